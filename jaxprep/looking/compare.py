"""Says what two presets do differently with a photograph: `jaxprep.compare`."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from jaxtyping import UInt8

from jaxprep import codec, presets
from jaxprep.errors import InputError
from jaxprep.formats import Format
from jaxprep.host.decode import Alpha
from jaxprep.looking.photos import Photo, preprocessed, read_photo
from jaxprep.looking.settings import SETTINGS, in_words, settings_of
from jaxprep.looking.show import kept_box, name_of
from jaxprep.pipeline.undo import undone
from jaxprep.types import Size, by

if TYPE_CHECKING:
    from jaxprep.looking.panels import Picture


class Difference(NamedTuple):
    """A setting that two presets have different values of.

    Attributes:
        setting: one of `method`, `antialias`, `reference`, `resize`, `size`, `crop`, `order`,
            `flip`, `channels`, `layout`, `range`, `mean`, `std`, `dtype`.
        a, b: its values, JSON data; None is what a preset has not.

    >>> str(Difference("method", "bicubic", "bilinear"))
    'method: bicubic | bilinear'
    """

    setting: str
    a: Any
    b: Any

    def __str__(self) -> str:
        first, second = in_words(self.setting, self.a), in_words(self.setting, self.b)
        return f"{self.setting}: {first} | {second}"


@dataclass(frozen=True)
class Comparison:
    """What two presets do differently with a photograph; `str` says it in words.

    Attributes:
        a, b: the names of the presets.
        photo: the name of the photograph.
        size: its height and width.
        differences: the settings that differ, from the steps of both, in a fixed order.
        output_sizes: height and width of what each makes of the photograph.
        seen: the share of the photograph that each sees, 0 to 1.
        max_difference, mean_difference: between what the two models see, in levels of 0 to 255, the
            normalisation undone; None where their sizes differ.

    >>> from jaxprep import data
    >>> first, second = "timm/resnet50.a1_in1k", "timm/resnet50.tv_in1k"
    >>> comparison = compare(first, second, data.photo("chelsea"))
    >>> [difference.setting for difference in comparison.differences]
    ['method', 'resize', 'size']
    """

    a: str
    b: str
    photo: str
    size: Size
    differences: tuple[Difference, ...]
    output_sizes: tuple[Size, Size]
    seen: tuple[float, float]
    max_difference: int | None
    mean_difference: float | None
    _images: tuple[UInt8[np.ndarray, "h w 3"], ...] = field(repr=False, compare=False)
    _boxes: tuple[Any, Any] = field(repr=False, compare=False)

    @property
    def picture(self) -> Picture:
        """The photograph with the regions that the two see (the first red, the second blue), what
        each sees, and where that differs: brighter is more. A notebook displays it.
        """
        from jaxprep.looking.panels import compared  # imports PIL

        photo, first, second = self._images
        caption = (self.photo, f"{self.a} (red) | {self.b} (blue)", self._numbers())
        return compared(photo, self._boxes, (first, second), caption)

    def _numbers(self) -> str:
        if self.max_difference is None:
            return f"sizes differ: {by(self.output_sizes[0])} | {by(self.output_sizes[1])}"
        return f"at most {self.max_difference} levels, {self.mean_difference:.2f} on average"

    def __str__(self) -> str:
        return "\n".join(self._lines())

    def _lines(self) -> Iterator[str]:
        yield f"{self.a} | {self.b}"
        yield f"  of {self.photo}, {by(self.size)} (height x width)"
        yield "Settings that differ" if self.differences else "No setting differs"
        for difference in self.differences:
            yield f"  {difference}"
        yield f"Result     {by(self.output_sizes[0])} | {by(self.output_sizes[1])}"
        first, second = (f"{100 * share:.1f} %" for share in self.seen)
        yield f"Seen       {first} | {second} of the photograph"
        yield f"Difference {self._numbers()}" + (
            "" if self.max_difference is None else " (of 0 to 255, normalisation undone)"
        )

    def to_json(self) -> dict[str, Any]:
        """Return the comparison as JSON data.

        >>> from jaxprep import Pipeline, data, ops
        >>> one, other = Pipeline((ops.CenterCrop(8),)), Pipeline((ops.CenterCrop(4),))
        >>> compare(one, other, data.photo("chelsea")).to_json()["output_sizes"]
        [[8, 8], [4, 4]]
        """
        return {
            "a": self.a,
            "b": self.b,
            "photo": self.photo,
            "size": list(self.size),
            "differences": [difference._asdict() for difference in self.differences],
            "output_sizes": [list(size) for size in self.output_sizes],
            "seen": list(self.seen),
            "max_difference": self.max_difference,
            "mean_difference": self.mean_difference,
        }


def compare(
    a: Any,
    b: Any,
    photo: Any,
    *,
    alpha: Alpha = "drop",
    titles: tuple[str, str] | None = None,
) -> Comparison:
    """Say what two presets do differently with a photograph, in words, numbers and a picture.

    Args:
        a, b: names or paths; preprocessors, converters or processors; configs; pipelines without
            random steps.
        photo: an image file; a video file or the frames of one `(t, h, w, c)`, of which the first
            is taken; a PIL image; an array `(h, w, c)`, uint8 in [0, 255].
        alpha: of image files with transparency: "drop" keeps the stored colours, "white" lays them
            over white.
        titles: of the presets; by default their names.

    Returns:
        a `Comparison`: `print` it, display its `picture`, or take `to_json()`.

    Raises:
        JaxprepError: a preset or a photograph that cannot be used.

    >>> from jaxprep import Pipeline, data, ops
    >>> one = Pipeline((ops.Resize((32, 32), method="bicubic"), ops.Rescale()))
    >>> other = Pipeline((ops.Resize((32, 32)), ops.ReverseChannels(), ops.Rescale()))
    >>> for difference in compare(one, other, data.photo("chelsea")).differences:
    ...     print(difference)
    method: bicubic | bilinear
    channels: RGB | BGR
    """
    is_pair = isinstance(titles, tuple | list) and len(titles) == 2
    if titles is not None and not (is_pair and all(isinstance(title, str) for title in titles)):
        raise InputError(f"Expected two texts, got {codec.shown(titles)} - at `titles`.")
    configs: list[Format] = [presets.config_of(preset) for preset in (a, b)]
    names = titles or (name_of(a, configs[0]), name_of(b, configs[1]))
    for name, config in zip(names, configs, strict=True):
        if config.pipeline.unmixed.is_random:
            raise InputError(f"Expected presets without random steps, got `{name}`.")
    photos: list[Photo] = [read_photo(photo, config, alpha) for config in configs]
    size = photos[0].size
    pipelines = [config.pipeline for config in configs]
    images = [
        undone(preprocessed(read, config), config.pipeline)
        for read, config in zip(photos, configs, strict=True)
    ]
    boxes = [kept_box(pipeline, size) for pipeline in pipelines]
    first, second = (settings_of(pipeline, size) for pipeline in pipelines)
    differences = tuple(
        Difference(name, first[name], second[name])
        for name in SETTINGS
        if first[name] != second[name]
    )
    largest, mean = None, None
    if images[0].shape == images[1].shape:
        levels = np.abs(images[0].astype(np.int16) - images[1])
        largest, mean = int(levels.max()), float(levels.mean())
    return Comparison(
        a=names[0],
        b=names[1],
        photo=photos[0].name,
        size=size,
        differences=differences,
        output_sizes=(pipelines[0].output_size(size), pipelines[1].output_size(size)),
        seen=(_share(boxes[0], size), _share(boxes[1], size)),
        max_difference=largest,
        mean_difference=mean,
        _images=(photos[0].pixels, *images),
        _boxes=(boxes[0], boxes[1]),
    )


def _share(box: Any, size: Size) -> float:
    """The share of an image of `size` that lies in a box."""
    width = min(box.right, size[1]) - max(box.left, 0)
    height = min(box.bottom, size[0]) - max(box.top, 0)
    return round(max(width, 0) * max(height, 0) / (size[0] * size[1]), 6)
