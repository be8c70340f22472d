"""Finds masks, boxes and keypoints under names by which no step would move them."""

from __future__ import annotations

import difflib
import sys
import warnings
from collections.abc import Mapping
from typing import Any, Literal, NamedTuple

from jaxprep.errors import InputError
from jaxprep.types import Size

Kind = Literal["masks", "boxes", "keypoints"]

WORDS: dict[Kind, tuple[str, ...]] = {
    "masks": ("mask", "masks"),
    "boxes": ("box", "boxes", "bbox", "bboxes"),
    "keypoints": ("keypoint", "keypoints"),
}
"""The names that callers give them, with any case."""

NEAR = 0.82
"""As near are `msk` and `boxs`, one letter off; `marks` and `masks` are not."""


class Named(NamedTuple):
    """Says what a name is about.

    Attributes:
        kind: what it names.
        is_misspelt: whether it is no word, but nearly one.

    >>> Named("masks", is_misspelt=False).kind
    'masks'
    """

    kind: Kind
    is_misspelt: bool


def named(name: Any) -> Named | None:
    """Return what a name is about; None where it may be anything.

    >>> named("msk")
    Named(kind='masks', is_misspelt=True)
    >>> named("mask_id") is None, named("task") is None
    (True, True)
    """
    text = str(name).lower()
    for kind, words in WORDS.items():
        if text in words:
            return Named(kind, is_misspelt=False)
    # `boxes_b` and `masks2` are names of somebody's own.
    if not text.isalpha():
        return None
    for kind, words in WORDS.items():
        near = difflib.get_close_matches(text, words, n=1, cutoff=NEAR)
        if near and near[0][0] == text[0] and near[0] not in text:
            return Named(kind, is_misspelt=True)
    return None


def is_of_kind(value: Any, kind: Kind, leading: tuple[int, ...], size: Size) -> bool:
    """Return whether a value has the shape of masks, boxes or keypoints of images.

    Args:
        value: of any type.
        kind: what it is called.
        leading: `(batch,)` of a batch of images, else `()`.
        size: height and width of the images.

    >>> import numpy as np
    >>> is_of_kind(np.zeros((8, 6)), "masks", (), (8, 6)), is_of_kind(3, "masks", (), (8, 6))
    (True, False)
    """
    if isinstance(value, Mapping):
        return kind == "boxes" and "boxes" in value
    shape = known_shape(value)
    if shape is None or shape[: len(leading)] != leading:
        return False
    rest = shape[len(leading) :]
    if kind == "masks":
        return rest in (size, (*size, 1))
    return len(rest) == 2 and rest[1] == (4 if kind == "boxes" else 2)


def known_shape(value: Any) -> tuple[Any, ...] | None:
    """Return the shape of an array; None of what has none, as a tensor of a graph may.

    >>> known_shape(3) is None
    True
    """
    try:
        return tuple(value.shape)
    except (AttributeError, TypeError, ValueError):  # the last of a shape of unknown rank
        return None


def check_names(
    entries: Mapping[Any, Any],
    leading: tuple[int, ...],
    size: Size,
    instead: Mapping[Kind, str],
    where: str,
) -> None:
    """Refuse entries that are masks, boxes or keypoints under a misspelt name; warn of those under
    a right word that is not the one that is read, which may be what their owner wants.

    Args:
        entries: which no step would move, by their names.
        leading: `(batch,)` of a batch of images, else `()`.
        size: height and width of the images.
        instead: where each kind is read.
        where: the entries are, for messages.

    Raises:
        InputError: a misspelt name.

    >>> import numpy as np
    >>> check_names({"msk": np.zeros((8, 6))}, (), (8, 6), {"masks": "the key `masks`"}, "x")
    ... # doctest: +ELLIPSIS
    Traceback (most recent call last):
    jaxprep.errors.InputError: Expected the key `masks`, got `msk`, which no step would move...
    """
    for name, value in entries.items():
        found = named(name)
        if found is None or found.kind not in instead:
            continue
        if not is_of_kind(value, found.kind, leading, size):
            continue
        if found.is_misspelt:
            raise InputError(
                f"Expected {instead[found.kind]}, got `{name}`, which no step would move - at "
                f"`{where}`."
            )
        warnings.warn(
            f"Got `{name}` in `{where}`, which no step moves with the image: it comes back as it "
            f"is. For {found.kind} that follow the image, use {instead[found.kind]}.",
            stacklevel=level_of_caller(),
        )


def level_of_caller() -> int:
    """Return the `stacklevel` with which the calling function warns the first one outside of
    jaxprep.

    >>> level_of_caller() >= 1
    True
    """
    level = 1
    frame = sys._getframe(1)
    while frame.f_back is not None and frame.f_globals.get("__name__", "").startswith("jaxprep."):
        frame = frame.f_back
        level += 1
    return level
