"""Builders of classes of videos whose frames are patches: sizes that depend on the number of
frames, and the patches of a single frame.

Where a docstring names a model, the rule is that of `transformers/models/<model>/
video_processing_<model>.py`, Transformers 5.24.
"""

from __future__ import annotations

from jaxprep import ops
from jaxprep.bounds import check_size
from jaxprep.formats.huggingface.builders.build import Build, builder
from jaxprep.formats.huggingface.builders.patches import (
    MAX_MERGED,
    expanded_factor,
    frames_of,
    patch_factor,
    patch_side,
    pixel_bounds,
)
from jaxprep.formats.huggingface.settings import BOTH, EXACT, LONGEST, PIXELS, Settings
from jaxprep.ops.patch_sizes import ClosestGrid, LargestGrid, NearPatches, SmartSize, TokenBudget
from jaxprep.ops.resize import MAX_COUNT
from jaxprep.ops.tile_sizes import LONGEST_SIDE, LongestEven

LEAST_SHARE = 1.05
"""A frame has at least so many times the least number of pixels, whatever the budget is."""


def token_pixels(settings: Settings) -> int:
    """Return how many pixels `max_video_tokens` tokens have.

    >>> token_pixels(Settings("Qwen3VLVideoProcessor", {}))
    786432
    """
    tokens = settings.integer("max_video_tokens", highest=2**24)
    return tokens * patch_factor(settings) ** 2


# -- sizes ---------------------------------------------------------------------------------------


@builder("resize")
def resize_smart_capped(build: Build) -> None:
    """Qwen2-VL: as an image; with `cap_pixels_per_frame`, each frame has its share of 0.9 of the
    pixels of `max_video_tokens`.

    >>> from jaxprep.formats import HuggingFace
    >>> HuggingFace("Qwen2VLVideoProcessor").pipeline.output_size((427, 640))
    (420, 644)
    """
    settings = build.settings
    lowest, highest = pixel_bounds(settings)
    if settings.flag("cap_pixels_per_frame"):
        share = int(token_pixels(settings) * 0.9) * frames_of(settings) // build.source.frames
        highest = max(min(highest, share), int(lowest * LEAST_SHARE))
    if settings.flag("do_resize"):
        build.resize(rule=SmartSize(patch_factor(settings), lowest, highest))


@builder("resize")
def resize_smart_shared(build: Build) -> None:
    """VideoLLaMA 3: as an image, but all frames share the largest number of pixels.

    >>> from jaxprep.formats import HuggingFace
    >>> from jaxprep.formats.huggingface.builders import Source
    >>> config = HuggingFace("VideoLlama3VideoProcessor")
    >>> config.pipeline_of(Source(frames=4)).output_size((427, 640))
    (308, 448)
    """
    settings = build.settings
    lowest, highest = pixel_bounds(settings)
    if settings.flag("do_resize"):
        # Of more frames than pixels the original divides by 0; one square is the smallest frame.
        highest = max(highest // build.source.frames, 1)
        build.resize(rule=SmartSize(patch_factor(settings), lowest, highest))


@builder("resize")
def resize_smart_within_pixels(build: Build) -> None:
    """MiniMax-M3: as an image, by `min_pixels` and `max_pixels`, whatever `size` is.

    >>> from jaxprep.formats import HuggingFace
    >>> HuggingFace("MiniMaxM3VLVideoProcessor").pipeline.output_size((427, 640))
    (420, 644)
    """
    settings = build.settings
    lowest, highest = (settings.integer(key, highest=MAX_COUNT) for key in PIXELS)
    if settings.flag("do_resize"):
        build.resize(rule=SmartSize(patch_factor(settings), lowest, highest))


@builder("resize")
def resize_smart_clip(build: Build) -> None:
    """Qwen3-VL, GLM-4V: the bounds are for all frames together; an image with a side below that of
    a merged square is enlarged first. With `cap_pixels_per_frame`, a frame has at most the pixels
    of `max_video_tokens`.

    >>> from jaxprep.formats import HuggingFace
    >>> from jaxprep.formats.huggingface.builders import Source
    >>> config = HuggingFace("Qwen3VLVideoProcessor")
    >>> config.pipeline_of(Source(frames=8)).output_size((427, 640))
    (256, 352)
    """
    settings = build.settings
    frames = build.source.frames
    lowest, highest = pixel_bounds(settings)
    if settings.flag("cap_pixels_per_frame"):
        share = min(token_pixels(settings), highest // frames)
        highest = max(share, int(lowest * LEAST_SHARE)) * frames
    if not settings.flag("do_resize"):
        return
    rule = SmartSize(
        expanded_factor(build),
        lowest,
        highest,
        enlarge="together",
        frames=frames,
        frame_step=frames_of(settings),
    )
    build.resize(rule=rule)


@builder("resize")
def resize_largest_grid(build: Build) -> None:
    """HunYuan-V4-VL: the largest grid of merged squares, with a new line after each row, that the
    pixels of all frames allow.

    >>> from jaxprep.formats import HuggingFace
    >>> HuggingFace("HYV4VLVideoProcessor").pipeline.output_size((427, 640))
    (416, 640)
    """
    settings = build.settings
    highest = settings.needed_edges("size", BOTH, LONGEST).side("longest_edge")
    of_frame = settings.needed_edges("max_image_size", LONGEST).side("longest_edge")
    if settings.flag("do_resize"):
        build.resize(
            rule=LargestGrid(patch_factor(settings), highest, of_frame, build.source.frames)
        )


@builder("resize")
def resize_closest_grid_of_frame(build: Build) -> None:
    """Muse Glimmer: as an image, by `max_video_frame_tokens`.

    >>> from jaxprep.formats import HuggingFace
    >>> HuggingFace("MuseGlimmerVideoProcessor").pipeline.output_size((427, 640))
    (252, 392)
    """
    settings = build.settings
    tokens = settings.integer("max_video_frame_tokens", highest=MAX_COUNT)
    if settings.flag("do_resize"):
        build.resize(rule=ClosestGrid(patch_factor(settings), tokens))


@builder("resize")
def fit_token_budget_of_clip(build: Build) -> None:
    """GLM-5: as an image, with a budget for all frames together.

    >>> from jaxprep.formats import HuggingFace
    >>> from jaxprep.formats.huggingface.builders import Source
    >>> config = HuggingFace("Glm5NextVideoProcessor", {"max_image_tokens": 200})
    >>> config.pipeline_of(Source(frames=8)).output_size((480, 640))
    (168, 224)
    """
    settings = build.settings
    lowest, highest = (
        settings.integer(key, highest=MAX_COUNT) for key in ("min_image_tokens", "max_image_tokens")
    )
    if settings.flag("do_resize"):
        rule = TokenBudget(
            expanded_factor(build), lowest, highest, build.source.frames, frames_of(settings)
        )
        build.fit(rule)


# -- layout --------------------------------------------------------------------------------------


@builder()
def patches_of_frame(build: Build) -> None:
    """Patches of one frame, as `ProcessorRow.patches` says them but for the frames, which
    `jaxprep.huggingface.patched_videos` puts together.

    >>> from jaxprep.formats import HuggingFace
    >>> HuggingFace("Qwen2VLVideoProcessor").pipeline.layout.shape((56, 84), 3)
    (2, 3, 2, 2, 3, 14, 14)
    """
    settings = build.settings
    layout = settings.row.patches
    # Checked here, where a config is read, though only the family needs it.
    frames_of(settings)
    build.layout = ops.Patches(
        patch_side(settings),
        settings.integer("merge_size", highest=MAX_MERGED) if layout.merges else 1,
        order=layout.order.replace("t", ""),
    )


# -- Nemotron H Omni -----------------------------------------------------------------------------

MAX_STACKED = 64
"""Frames of a tubelet."""


@builder("resize")
def resize_near_patches(build: Build) -> None:
    """Nemotron H Omni: floats, to about `video_target_num_patches` patches.

    >>> from jaxprep.formats import HuggingFace
    >>> settings = {"norm_mean": 0.5, "norm_std": 0.5}
    >>> config = HuggingFace("NemotronH_Omni_Reasoning_V3VideoProcessor", settings)
    >>> config.pipeline.output_size((427, 640))
    (416, 608)
    """
    settings = build.settings
    settings.integer("temporal_patch_size", highest=MAX_STACKED)
    rule = NearPatches(
        settings.integer("patch_size"),
        settings.integer("video_target_num_patches", highest=MAX_COUNT),
        round(1 / settings.number("downsample_ratio", 1 / MAX_MERGED, 1.0)),
        settings.flag("video_maintain_aspect_ratio"),
    )
    build.add(ops.Resize(rule=rule, method="bicubic", reference="torch", rounded=False))
    build.is_float = True


@builder()
def normalize_levels(build: Build) -> None:
    """Nemotron H Omni: divided by 255, then by `norm_mean` and `norm_std`, whatever other settings
    say; channels first.

    >>> from jaxprep.formats import HuggingFace
    >>> settings = {"norm_mean": 0.5, "norm_std": 0.5}
    >>> config = HuggingFace("NemotronH_Omni_Reasoning_V3VideoProcessor", settings)
    >>> [type(step).__name__ for step in config.pipeline.steps]
    ['Resize', 'Rescale', 'Normalize', 'ChannelsFirst']
    """
    settings = build.settings
    mean, std = (settings.per_channel(key) for key in ("norm_mean", "norm_std"))
    build.add(ops.Rescale(1 / 255), ops.Normalize(mean, std))
    build.layout = ops.ChannelsFirst()


# -- SmolVLM -------------------------------------------------------------------------------------


@builder("resize")
def resize_longest_then_square(build: Build) -> None:
    """SmolVLM: the longer side to `longest_edge`, the other even, and then to a square of
    `max_image_size`.

    >>> from jaxprep.formats import HuggingFace
    >>> HuggingFace("SmolVLMVideoProcessor").pipeline.output_size((427, 640))
    (364, 364)
    """
    settings = build.settings
    side = settings.needed_edges("max_image_size", LONGEST).side("longest_edge")
    check_size((side, side), "$.max_image_size")
    if not settings.flag("do_resize"):
        return
    edges = settings.needed_edges("size", LONGEST, EXACT)
    if edges.keys == EXACT:
        build.resize(size=settings.pair("size"))
    else:
        build.resize(rule=LongestEven(min(edges.side("longest_edge"), LONGEST_SIDE)))
    build.resize(size=(side, side))
