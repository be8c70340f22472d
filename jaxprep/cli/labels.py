"""Labels images by the folders that they are in: `jaxprep run --labels`."""

from __future__ import annotations

import glob
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePath

from jaxprep.errors import InputError
from jaxprep.host.find import absolute

FILE = "labels.json"


@dataclass(frozen=True)
class Labels:
    """Gives each image the number of its class: the first folder below the one that was asked for.

    As torchvision's `ImageFolder`: classes are numbered in the order of their sorted names.

    Attributes:
        roots: the folders that have a folder for each class, absolute.
        classes: names, sorted.

    >>> labels = Labels(("/photos",), ("cat", "dog"))
    >>> labels(Path("/photos/dog/indoors/a.jpg"))
    1
    """

    roots: tuple[str, ...]
    classes: tuple[str, ...]

    def __call__(self, path: Path) -> int:
        return self.classes.index(_class_of(absolute(path), self.roots))

    @property
    def ids(self) -> dict[str, int]:
        """The number of each class."""
        return {name: number for number, name in enumerate(self.classes)}


def labels_of(images: Sequence[Path], paths: Sequence[str]) -> Labels:
    """Return the labels of images.

    Args:
        images: that were found.
        paths: folders and patterns, as they were given. The folder of a pattern is its part before
            the first `*`, `?` or `[`.

    Raises:
        InputError: an image is not in a folder below one of these.

    >>> labels_of([Path("/photos/dog/a.jpg"), Path("/photos/cat/b.jpg")], ["/photos"]).classes
    ('cat', 'dog')
    """
    roots = tuple(dict.fromkeys(str(absolute(_root(path))) for path in paths))
    classes = {_class_of(absolute(image), roots) for image in images}
    return Labels(roots, tuple(sorted(classes)))


def _root(path: str) -> str:
    while glob.has_magic(path) and not os.path.lexists(path):
        path = os.path.dirname(path)
    return path or "."


def _class_of(image: PurePath, roots: Sequence[str]) -> str:
    for root in roots:
        if image.is_relative_to(root):
            parts = image.relative_to(root).parts
            if len(parts) > 1:
                return parts[0]
    raise InputError(
        f"Expected images in a folder for each class, as `photos/cat/1.jpg` for `photos`, got one "
        f"that is in none - at '{image}'. Give the folder that holds those of the classes."
    )
