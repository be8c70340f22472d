"""Video processors whose results are patches or tokens: the clips and settings that they are compared on, as in `video_cases`, and the
videos whose numbers of patches are compared.
"""

import functools
import pathlib
import tempfile
from collections.abc import Callable
from typing import Any

import numpy as np
from PIL import ImageFont

try:
    from video_cases import AT_30, GRAY, LAND, LARGE, LONG, PORT, TINY, WIDE  # a script of this folder
    from vlm_sizes import attempt, digest
except ModuleNotFoundError:
    from goldens.video_cases import AT_30, GRAY, LAND, LARGE, LONG, PORT, TINY, WIDE  # a test
    from goldens.vlm_sizes import attempt, digest

ONE = {**LAND, "length": 1}
_AS_IT_IS = {"do_sample_frames": False}
_SAMPLE = {"do_sample_frames": True, "return_metadata": True, "video_metadata": AT_30}
_FLAGS = [{"do_rescale": False}, {"do_normalize": False}]
_VALUES = {"rescale_factor": 0.01, "image_mean": [0.2, 0.4, 0.6], "image_std": 0.3}
_EDGES = {"size": {"shortest_edge": 3136, "longest_edge": 14000}}
_NORM = {"norm_mean": [0.48145466, 0.4578275, 0.40821073], "norm_std": [0.26862954, 0.26130258, 0.27577711]}
_CLIP = {"size": {"shortest_edge": 12544, "longest_edge": 60000}}
SETTINGS: dict[str, list[dict]] = {
    "Qwen2VL": [
        _EDGES, {**_EDGES, "merge_size": 1, "patch_size": 16}, {**_EDGES, "temporal_patch_size": 3}, {**_EDGES, "temporal_patch_size": 1},
        {**_EDGES, "resample": 2}, {"min_pixels": 3136, "max_pixels": 9000},
        {**_EDGES, "cap_pixels_per_frame": True, "max_video_tokens": 40}, {**_EDGES, "cap_pixels_per_frame": True, "max_video_tokens": 9},
    ],
    "VideoLlama3": [
        {"size": {"shortest_edge": 3136, "longest_edge": 60000}}, {**_EDGES, "merge_size": 1}, {**_EDGES, "temporal_patch_size": 2},
        {**_EDGES, "use_token_compression": False}, {"min_pixels": 3136, "max_pixels": 40000},
    ],
    "MiniMaxM3VL": [
        {"min_pixels": 3136, "max_pixels": 9000}, {"max_pixels": 9000, "vision_segment_max_frames": None},
        {"max_pixels": 9000, "vision_segment_max_frames": 1}, {"max_pixels": 9000, "temporal_patch_size": 1, "patch_size": 16},
    ],
    "Ernie4_5_VLMoe": [{**_EDGES, "draw_on_frames": False}, {**_EDGES, "draw_on_frames": False, "merge_size": 1, "patch_size": 16}],
    "Qwen3VL": [
        _CLIP, {**_CLIP, "merge_size": 1, "patch_size": 14}, {**_CLIP, "temporal_patch_size": 1}, {**_CLIP, "cap_pixels_per_frame": True},
        {**_CLIP, "cap_pixels_per_frame": True, "max_video_tokens": 8, "size": {"shortest_edge": 3136, "longest_edge": 90000}},
    ],
    "CohereCompass": [_CLIP, {**_CLIP, "merge_size": 1}, {**_CLIP, "cap_pixels_per_frame": True}],
    "Cosmos3Edge": [_CLIP, {**_CLIP, "merge_size": 1, "patch_size": 14}],
    "Glm4v": [_CLIP, {**_CLIP, "merge_size": 1}, {**_CLIP, "temporal_patch_size": 1}],
    "Glm46V": [_CLIP, {**_CLIP, "merge_size": 1}],
    "Glmga": [_CLIP, {**_CLIP, "patch_expand_factor": 2}, {**_CLIP, "temporal_patch_size": 3}],
    "Glm5Next": [
        {"max_image_tokens": 40}, {"max_image_tokens": 40, "patch_expand_factor": 2}, {"min_image_tokens": 60, "max_image_tokens": 90},
        {"max_image_tokens": 40, "temporal_patch_size": 1},
    ],
    "HYV4VL": [{"size": {"shortest_edge": 4096, "longest_edge": 60000}}, {"max_image_size": {"longest_edge": 5000}},
               {"merge_size": 1, "patch_size": 14}, {"temporal_patch_size": 2}],
    "MuseGlimmer": [{"max_video_frame_tokens": 12}, {"max_video_frame_tokens": 12, "merge_size": 1}, {"max_video_frame_tokens": 9, "temporal_patch_size": 3}],
    "Kimi_K25": [{"max_patches": 30}, {"size": {"max_height": 5, "max_width": 5}}, {"max_patches": 30, "temporal_patch_size": 2, "merge_size": 1}],
    "Gemma4": [{"patch_size": 4}, {"patch_size": 4, "max_soft_tokens": 140}, {"patch_size": 4, "pooling_kernel_size": 2}, {"patch_size": 4, "resample": 2}],
    "EmbeddingGemma2": [{"patch_size": 4}, {"patch_size": 4, "pooling_kernel_size": 2}],
    "Gemma4Unified": [{"patch_size": 4}, {"patch_size": 4, "max_soft_tokens": 140}],
    "NemotronH_Omni_Reasoning_V3": [
        {**_NORM, "video_target_num_patches": 30}, {**_NORM, "video_target_num_patches": 30, "video_maintain_aspect_ratio": False},
        {**_NORM, "video_target_num_patches": 37, "downsample_ratio": 1.0, "patch_size": 14},
        {**_NORM, "video_target_num_patches": 37, "temporal_patch_size": 3}, {**_NORM, "video_target_num_patches": 40, "downsample_ratio": 0.25},
    ],
    "SmolVLM": [
        {"size": {"longest_edge": 120}, "max_image_size": {"longest_edge": 48}}, {"size": {"longest_edge": 81}, "max_image_size": {"longest_edge": 48}},
        {"size": {"height": 60, "width": 70}, "max_image_size": {"longest_edge": 48}}, {"do_pad": False, "do_resize": False},
        {"do_resize": False}, {"max_image_size": {"longest_edge": 48}, "video_sampling": {"max_frames": 4, "fps": 2, "video_size": {"longest_edge": 100}}},
    ],
    "Molmo2": [
        {"size": {"height": 70, "width": 70}}, {"size": {"height": 56, "width": 56}, "pooling_size": [3, 2]},
        {"size": {"height": 70, "width": 70}, "do_rescale": True, "do_normalize": True}, {"size": {"height": 50, "width": 50}, "patch_size": 10, "do_rescale": True},
    ],
    "MiniCPMV4_6": [
        {"scale_resolution": 60}, {"scale_resolution": 60, "downsample_mode": "4x"}, {"scale_resolution": 60, "slice_mode": False},
        {"scale_resolution": 60, "max_slice_nums": 3}, {"do_resize": False}, {"scale_resolution": 50, "patch_size": 10, "resample": 2},
    ],
    "MiniCPMOcr": [{"scale_resolution": 60}, {"scale_resolution": 60, "downsample_mode": "16x"}],
}  # fmt: skip
"""By class: the settings that are tried besides the defaults."""
INPUTS = [
    ("list", [LAND]),
    ("list", [PORT, LAND, WIDE]),
    ("first", [PORT]),
    ("frames", [WIDE]),
    ("pil", [TINY, LAND]),
    ("gray", [GRAY]),
    ("batch", [LAND, LAND]),
    ("float", [TINY]),
]
"""How clips are passed, in turns."""
SAMPLES: dict[str, list[dict]] = {
    "Qwen2VL": [{"num_frames": 5}, {"fps": 2}],
    "VideoLlama3": [{"num_frames": 5}, {"fps": 2}],
    "MiniMaxM3VL": [{"fps": 2}, {"num_frames": 3, "fps": None}],
    "Ernie4_5_VLMoe": [{"num_frames": 17}, {"fps": 2}],
    "Qwen3VL": [{}, {"fps": 3, "min_frames": 10, "max_video_tokens": 2}, {"num_frames": 5, "fps": None}],
    "CohereCompass": [{}, {"num_frames": 5, "fps": None}],
    "Cosmos3Edge": [{}, {"num_frames": 5, "fps": None}],
    "Glm4v": [{}, {"fps": 1, "max_duration": 2}],
    "Glm46V": [{}],
    "Glmga": [{}, {"fps": 3, "max_frames": 4}],
    "Glm5Next": [{}, {"fps": 1, "max_frames": 2}],
    "HYV4VL": [{}, {"num_frames": 5, "fps": None}],
    "MuseGlimmer": [{}, {"num_frames": 5}],
    "Kimi_K25": [{}, {"num_frames": 5, "fps": None}],
    "Gemma4": [{}, {"num_frames": 5}, {"num_frames": None, "fps": 2}],
    "EmbeddingGemma2": [{}, {"fps": 3}, {"max_frames": 2, "fps": 3}],
    "Gemma4Unified": [{"num_frames": 5}],
    "NemotronH_Omni_Reasoning_V3": [{"num_frames": 5, "video_target_num_patches": 60}, {"fps": 1}],
    "SmolVLM": [{"num_frames": 4, "fps": 1, "max_image_size": {"longest_edge": 30}}, {"num_frames": 4, "fps": 2}],
    "Molmo2": [{}, {"num_frames": 3}, {"num_frames": None, "fps": 1}],
    "MiniCPMV4_6": [{}, *({"stack_frames": n} for n in (2, 3, 4, 5)), {"max_num_frames": 2, "stack_frames": 3}],
    "MiniCPMOcr": [{}, {"stack_frames": 2}],
}
"""By class: the keywords of calls that sample."""
WITHOUT = dict.fromkeys(("Ernie4_5_VLMoe", "NemotronH_Omni_Reasoning_V3", "MiniCPMV4_6", "MiniCPMOcr"), ("gray",))
"""Forms that a class makes nothing sensible of."""
DEFAULTS: dict[str, dict] = {"Ernie4_5_VLMoe": {"draw_on_frames": False}, "NemotronH_Omni_Reasoning_V3": _NORM}
"""Settings without which a class cannot be called."""


def cases() -> list[dict]:
    """Every variation of every class, on clips that take turns."""
    found = []
    for number, (stem, variations) in enumerate(SETTINGS.items()):

        def add(settings: dict, clips: list, form: str, call: dict, name: str = f"{stem}VideoProcessor") -> None:
            found.append({"class": name, "settings": settings, "clips": clips, "form": form, "call": call})

        small = variations[0]
        add(DEFAULTS.get(stem, {}), [TINY], "list", _AS_IT_IS)
        inputs = [(form, clips) for form, clips in INPUTS if form not in WITHOUT.get(stem, ())]
        for i, settings in enumerate([*variations[1:], *({**small, **flag} for flag in (*_FLAGS, _VALUES))]):
            form, clips = inputs[(i + number) % len(inputs)]
            add(settings, clips, form, _AS_IT_IS)
        for form, clips in inputs:
            add(small, clips, form, _AS_IT_IS)
        add(small, [ONE], "list", _AS_IT_IS)
        for call in SAMPLES[stem]:
            add(small, [LONG], "list", {**_SAMPLE, **call})
        if stem.startswith("Ernie"):
            drawn = {**_EDGES, "do_resize": True, "font": FONT}
            add(drawn, [LARGE, {**PORT, "size": [240, 140], "length": 3}], "list", _AS_IT_IS)
            add(drawn, [LARGE], "pil", {"do_sample_frames": True, "video_metadata": [{"total_num_frames": 2, "fps": 0.001, "duration": 2e3}]})
    return found


FONT = "Pillow's"


@functools.cache
def font_file() -> str:
    """The path of a file that holds the font of Pillow."""
    path = pathlib.Path(tempfile.mkdtemp()) / "font.ttf"
    path.write_bytes(ImageFont.load_default(36).font_bytes)
    return str(path)


def made(processor_class: Any, settings: dict) -> Any:
    """A processor of a case's settings."""
    return processor_class(**settings | ({"font": font_file()} if settings.get("font") == FONT else {}))


# -- numbers of patches --------------------------------------------------------------------------

GRIDS: dict[str, list[dict]] = {
    **{name: [{}] for name in SETTINGS if not name.startswith(("Muse", "Gemma", "Embedding", "Nemotron", "Ernie", "Smol", "Molmo", "MiniCPM"))},
    "Qwen3VL": [{}, {"cap_pixels_per_frame": True}],
    "Glm5Next": [{}, {"max_image_tokens": 500}],
    "HYV4VL": [{}, {"size": {"shortest_edge": 4096, "longest_edge": 3000000}}],
    "Ernie4_5_VLMoe": [{"draw_on_frames": False}],
}
"""By class: the settings with which numbers of patches are compared."""
PART = 250


def videos() -> list[tuple[int, int, int]]:
    """The 2,000 random numbers of frames, heights and widths."""
    random = np.random.default_rng(0)
    lengths = random.integers(1, 48, 2000).tolist()
    return [(t, h, w) for t, (h, w) in zip(lengths, random.integers(1, 2000, (2000, 2)).tolist(), strict=True)]


def number_of_patches(processor: Any) -> Callable[..., Any]:
    """A function of a number of frames, a height and a width that gives the number of patches of a video."""

    def call(length: int, height: int, width: int) -> Any:
        return processor.get_num_of_video_patches(length, height, width, {})

    return call


def digests(function: Callable[..., Any], parts: range) -> list[str]:
    """Of what a function gives for some of the eight parts of `videos`."""
    return [digest([attempt(function, *video) for video in videos()[i * PART : (i + 1) * PART]]) for i in parts]
