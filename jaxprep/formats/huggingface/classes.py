"""The tables of image and video processor classes, `presets/huggingface.json` and
`presets/huggingface_video.json`, as typed rows.

A row holds every fact of a class that is no behaviour. What is behaviour has a name there: `steps`
names builders (`jaxprep.formats.huggingface.builders`), `family` names what a call does
(`jaxprep.huggingface.registry`).
"""

from __future__ import annotations

import functools
from dataclasses import dataclass, field
from typing import Any, Literal

from jaxprep import codec
from jaxprep.resources import load_json

Backend = Literal["torchvision", "pil"]
"""Whose arithmetic Transformers computes with, `TorchvisionBackend` or `PilBackend`:
https://github.com/huggingface/transformers/blob/main/src/transformers/image_processing_backends.py
"""
LegacySize = Literal[
    "square",
    "longest_edge",
    "bounded",
    "bounded_by_default",
    "pixels",
    "pixels_or_default",
    "of_pixels",
    "width_first",
]
SizeKind = Literal[
    "original",
    "resized",
    "original_if_resized",
    "unpadded",
    "grid_thw",
    "grid_hw",
    "patches",
    "merge_size",
    "setting",
]
CountKind = Literal["views", "grid", "local", "columns_and_rows"]


@dataclass(frozen=True)
class Padding:
    """How the results of a class are padded, with 0 below and to the right.

    Attributes:
        to: "pad_size", that setting or, where it is not given, the largest result of the call; or
            "largest", the largest result whatever `pad_size` is.
        always: pad even where the setting `do_pad` is off.
        by_default: pad where the setting `do_pad` is not given.

    >>> rows()["OneFormerImageProcessor"].padding
    Padding(to='largest', always=True, by_default=False)
    """

    to: Literal["pad_size", "largest"]
    always: bool = False
    by_default: bool = False


@dataclass(frozen=True)
class Annotations:
    """What a class takes as COCO annotations.

    Attributes:
        panoptic: whether the format "coco_panoptic" is taken beside "coco_detection".
        masks: whether masks are drawn of detection annotations where a call asks for them.
        follow_normalize: whether boxes are converted exactly where values are normalised, if
            `do_convert_annotations` is not given.

    >>> rows()["RTDetrImageProcessor"].annotations.panoptic
    False
    """

    panoptic: bool
    masks: bool
    follow_normalize: bool


@dataclass(frozen=True)
class Tiling:
    """How a class puts the tiles of an image together with its thumbnail, the view of all of it.

    Attributes:
        thumbnail: whether that is before or after the tiles; None where there is none.
        always: an image that is a single tile has a thumbnail too.
        pads: whether images that have fewer views than others are padded to as many: always, or
            where the setting `do_pad` is on; None where they are not.
        counts: results that tell how an image was cut, by name: the number of its views; its grid,
            (rows, columns); for a class that returns tiles apart, their number, or columns and
            rows.
        lists: those are lists of Python's numbers, never arrays.
        by_image: with `return_tensors=None` the views of each image are an array of their own.
        needs: switches that a call refuses to be off.

    >>> rows()["GotOcr2ImageProcessor"].tiling.counts
    {'num_patches': 'views'}
    """

    thumbnail: Literal["first", "last"] | None = None
    always: bool = False
    pads: Literal["always", "do_pad"] | None = None
    lists: bool = False
    by_image: bool = False
    needs: tuple[str, ...] = ()
    counts: dict[str, CountKind] = field(default_factory=dict)


@dataclass(frozen=True)
class PatchLayout:
    """How a class stores images as patches: see `jaxprep.ops.Patches`.

    Attributes:
        order: the axes of a patch, slowest first.
        merges: whether the patches of a merged square follow one another; otherwise all are row by
            row.
        keeps_axes: whether each patch keeps its axes, channels and frames as one where frames come
            next; otherwise it is a vector.
        frames: how often an image is repeated; None is the setting `temporal_patch_size`.
        side: the setting that holds the side of a patch; "size" holds it as height and width.

    >>> rows()["Qwen2VLImageProcessor"].patches.order
    'cthw'
    """

    order: str = "cthw"
    merges: bool = True
    keeps_axes: bool = False
    frames: int | None = None
    side: Literal["patch_size", "size"] = "patch_size"


@dataclass(frozen=True)
class ListedAxes:
    """How many of the first axes of a result are lists with `return_tensors=None`.

    Attributes:
        axes: their number: 0 is one array, 1 a list of arrays, 2 a list of lists; all axes are
            Python's numbers.
        pil: the same on the PIL backend, where the backends differ.
        unpadded: the same where the setting `do_pad` is off, for a class that pads by it.

    >>> rows()["Idefics3ImageProcessor"].listed["pixel_values"]
    ListedAxes(axes=0, pil=None, unpadded=2)
    """

    axes: int
    pil: int | None = None
    unpadded: int | None = None

    def count(self, backend: Backend, pads: bool) -> int:
        """Return the number of these axes in a call.

        >>> ListedAxes(0, pil=1).count("pil", pads=True)
        1
        """
        if self.unpadded is not None and not pads:
            return self.unpadded
        if self.pil is not None and backend == "pil":
            return self.pil
        return self.axes


@dataclass(frozen=True)
class ModernOutput:
    """The name of the results where `setting` is false, for a class that once used another name.

    >>> rows()["VideoLlavaImageProcessor"].modern_output.name
    'pixel_values'
    """

    setting: str
    name: str


@dataclass(frozen=True)
class ProcessorRow:
    """What the table says of one class.

    Attributes:
        family: what a call does with images and other inputs, a key of
            `jaxprep.huggingface.registry.FAMILIES`.
        steps: the builders of the pipeline, in order; by backend where the backends differ.
        views: the builders of other results that a call makes of an image, by names of ours, as
            `steps` for the main one.
        backends: those the class has; the first is the default.
        square: a lone number as `size` is the side of a square, not the shorter edge.
        models: model types whose repositories may leave the class unnamed.
        aliases: irregular names that the class had in former releases.
        kwargs: settings of the class beside those of every class.
        outputs: the names of the results (`model_input_names`); the first is that of the images.
        defaults: the class attributes of Transformers, by setting.
        padding: None where results are never padded to one size.
        batch_dependent: the size of a result depends on the other images of the call.
        keeps_channels: `do_convert_rgb` is about an input beside the images.
        annotations: None for a class that takes none.
        patches: how images are stored, for the classes that make patches of them.
        alpha: what images with alpha are laid over where they are converted to RGB.
        maps: the settings in which a segmentation map differs from its image; a string names
            another setting, whose value is taken.
        sizes: results that tell sizes of images, by name, and which size.
        listed: results of which other axes than the first are lists with `return_tensors=None`, by
            name: the originals stack some results themselves.
        tiling: None for a class that does not cut images into tiles.
        modern_output: another name for the images' result.
        renamed: names that settings had in former releases, and what they are called now.
        legacy_size: how a lone number as `size` was meant in former releases; a key of
            `settings.LEGACY_SIZES`.
        max_size: the bound on the longer edge that goes with a lone number as `size`, in pixels.
        nullable: settings, beside switches, that may be null for "none" where the default is not.
        resize_builder: the builder of the method `resize`, where that is not a call's.
        resize_settings: what the method `resize` takes for settings that it is not given, where
            that is not the processor's.
        drops_none: in a call, None always means the processor's own setting, as everywhere in
            Transformers 4.
        fixed: settings that a call does not replace, although the original takes them in a call.

    >>> row = rows()["ViTImageProcessor"]
    >>> row.builder_names("pil")
    ('resize', 'center_crop', 'rescale_and_normalize', 'pad')
    """

    family: str
    steps: tuple[str, ...] | dict[str, tuple[str, ...]]
    backends: tuple[Backend, ...]
    square: bool
    models: tuple[str, ...]
    aliases: tuple[str, ...]
    kwargs: tuple[str, ...]
    outputs: tuple[str, ...]
    defaults: dict[str, Any]
    views: dict[str, tuple[str, ...]] = field(default_factory=dict)
    padding: Padding | None = None
    batch_dependent: bool = False
    keeps_channels: bool = False
    annotations: Annotations | None = None
    patches: PatchLayout = PatchLayout()
    alpha: Literal["white", "checkerboard"] = "white"
    maps: dict[str, Any] = field(default_factory=dict)
    sizes: dict[str, SizeKind] = field(default_factory=dict)
    listed: dict[str, ListedAxes] = field(default_factory=dict)
    tiling: Tiling | None = None
    modern_output: ModernOutput | None = None
    renamed: dict[str, str] = field(default_factory=dict)
    legacy_size: LegacySize | None = None
    max_size: int | None = None
    nullable: tuple[str, ...] = ()
    drops_none: bool = False
    fixed: tuple[str, ...] = ()
    resize_builder: str | None = None
    resize_settings: dict[str, Any] = field(default_factory=dict)

    def takes_null(self, key: str) -> bool:
        """Return whether null is a value of a setting, "off" or "none", and not the same as no
        value: a switch, or one of `nullable`.
        """
        # Some classes have no default for a switch, which a file may turn on.
        is_switch = key.startswith("do_") or isinstance(self.defaults.get(key), bool)
        return is_switch or key in self.nullable

    def builder_names(self, backend: Backend, view: str | None = None) -> tuple[str, ...]:
        """Return the names of the builders on one backend, in order; of one of `views`, or of the
        main result."""
        if view is not None:
            return self.views[view]
        # DPT, MobileViT and SuperPoint: their backends do the same in another order.
        if isinstance(self.steps, dict):
            return self.steps[backend]
        return self.steps


@dataclass(frozen=True)
class VideoRow(ProcessorRow):
    """What the table says of a class of videos: the same for each frame, and which frames.

    `family` is a key of `jaxprep.huggingface.video_registry.VIDEO_FAMILIES`.

    Attributes:
        sampling: the rule that chooses frames, a key of `jaxprep.videos.sampling.RULES`.
        nullable: a call may pass None for "none" where the processor has a value.
        length_dependent: the pipeline of a frame depends on how many frames its video has.
        result: the name of the videos in the results, where that is not the first of `outputs`.
        repeats_last: whether the last frame of a video is repeated until there are whole patches of
            `temporal_patch_size` frames.
        chunk: the setting that says how many steps of time a grid has at most; a video of more has
            several. None gives each video one grid.
        construction: what is derived of the settings where a processor is made; a key of
            `settings.CONSTRUCTIONS`.

    >>> video_rows()["InternVLVideoProcessor"].sampling
    'shifted'
    """

    sampling: str = "uniform"
    nullable: tuple[str, ...] = ("num_frames", "fps")
    length_dependent: bool = False
    result: str | None = None
    repeats_last: bool = True
    chunk: str | None = None
    construction: Literal["size_from_crop", "video_sampling"] | None = None


IMAGE_TABLE = "huggingface.json"
VIDEO_TABLE = "huggingface_video.json"


@functools.cache
def rows() -> dict[str, ProcessorRow]:
    """Return every class of images that is read, by its name.

    >>> rows()["ViTImageProcessor"].family
    'plain'
    """
    return codec.from_json(dict[str, ProcessorRow], load_json(IMAGE_TABLE)["classes"])  # type: ignore[arg-type]


@functools.cache
def video_rows() -> dict[str, VideoRow]:
    """Return every class of videos that is read, by its name.

    >>> video_rows()["VideoMAEVideoProcessor"].outputs
    ('pixel_values',)
    """
    return codec.from_json(dict[str, VideoRow], load_json(VIDEO_TABLE)["classes"])  # type: ignore[arg-type]


def row_of(name: str) -> ProcessorRow | None:
    """Return the row of a class of images or videos; None if there is none.

    >>> row_of("VivitVideoProcessor").defaults["rescale_factor"] == 1 / 127.5
    True
    """
    return rows().get(name) or video_rows().get(name)


def known_row(name: str) -> ProcessorRow:
    """Return the row of a class that is known to have one.

    >>> known_row("ViTImageProcessor").square
    True
    """
    row = row_of(name)
    assert row is not None
    return row


def arguments(name: str) -> frozenset[str]:
    """Return the names that a class takes as settings, in its config and in a call.

    >>> sorted(arguments("GLPNImageProcessor") - arguments("ViTImageProcessor"))
    ['size_divisor']
    """
    table = IMAGE_TABLE if name in rows() else VIDEO_TABLE
    shared = load_json(table)["kwargs"]
    return frozenset([*shared, *known_row(name).kwargs])


def renamed(name: str) -> dict[str, str]:
    """Names that settings of a class had in former releases, and what they are called now.

    >>> renamed("OwlViTImageProcessor")["rescale"]
    'do_rescale'
    """
    shared = load_json(IMAGE_TABLE)["renamed"] if name in rows() else {}
    return {**shared, **known_row(name).renamed}


def canonical(name: str) -> str:
    """Return the name that a class has in Transformers 5, from any that it had in a release.

    An unknown name is returned with its suffixes replaced.

    >>> canonical("CLIPFeatureExtractor"), canonical("CLIPImageProcessorFast")
    ('CLIPImageProcessor', 'CLIPImageProcessor')
    """
    # `ViTImageProcessorFast` was the torchvision backend until Transformers 5, which names the
    # other.
    for suffix in ("Fast", "Pil"):
        name = name.removesuffix(suffix)
    # What image processors were called in Transformers 4.
    if name.endswith("FeatureExtractor"):
        name = name.removesuffix("FeatureExtractor") + "ImageProcessor"
    return _aliases().get(name, name)


def of_model(model_type: str) -> str | None:
    """Return the class that serves a model type.

    >>> of_model("vit")
    'ViTImageProcessor'
    """
    return _models().get(model_type)


def video_of_model(model_type: str) -> str | None:
    """Return the class that serves the videos of a model type.

    >>> video_of_model("videomae")
    'VideoMAEVideoProcessor'
    """
    return _video_models().get(model_type)


@functools.cache
def _video_models() -> dict[str, str]:
    return {model: name for name, row in video_rows().items() for model in row.models}


@functools.cache
def _aliases() -> dict[str, str]:
    return {alias: name for name, row in rows().items() for alias in row.aliases}


@functools.cache
def _models() -> dict[str, str]:
    return {model: name for name, row in rows().items() for model in row.models}
