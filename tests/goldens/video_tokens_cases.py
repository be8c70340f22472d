"""Video processors whose results are patches or tokens: the clips and settings that they are compared on, as in `video_cases`."""

try:
    from video_cases import AT_30, GRAY, LAND, LONG, PORT, TINY, WIDE  # a script of this folder
except ModuleNotFoundError:
    from goldens.video_cases import AT_30, GRAY, LAND, LONG, PORT, TINY, WIDE  # a test

SMALLER = {**LONG, "length": 33}
ONE = {**LAND, "length": 1}
_AS_IT_IS = {"do_sample_frames": False}
_SAMPLE = {"do_sample_frames": True, "return_metadata": True, "video_metadata": AT_30}
_FLAGS = [{"do_rescale": False}, {"do_normalize": False}]
_VALUES = {"rescale_factor": 0.01, "image_mean": [0.2, 0.4, 0.6], "image_std": 0.3}
_EDGES = {"size": {"shortest_edge": 3136, "longest_edge": 14000}}
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
    "Qwen3VL": [{}, {"fps": 3}, {"num_frames": 5, "fps": None}],
    "CohereCompass": [{}, {"num_frames": 5, "fps": None}],
    "Cosmos3Edge": [{}, {"num_frames": 5, "fps": None}],
    "Glm4v": [{}, {"fps": 1}],
    "Glm46V": [{}],
    "Glmga": [{}, {"fps": 3}],
    "Glm5Next": [{}, {"fps": 1}],
    "HYV4VL": [{}, {"num_frames": 5, "fps": None}],
    "MuseGlimmer": [{}, {"num_frames": 5}],
    "Kimi_K25": [{}, {"num_frames": 5, "fps": None}],
}
"""By class: the keywords of calls that sample."""
DEFAULTS: dict[str, dict] = {"Ernie4_5_VLMoe": {"draw_on_frames": False}}
"""Settings without which a class cannot be called."""


def cases() -> list[dict]:
    """Every variation of every class, on clips that take turns."""
    found = []
    for number, (stem, variations) in enumerate(SETTINGS.items()):

        def add(settings: dict, clips: list, form: str, call: dict, name: str = f"{stem}VideoProcessor") -> None:
            found.append({"class": name, "settings": settings, "clips": clips, "form": form, "call": call})

        small = variations[0]
        add(DEFAULTS.get(stem, {}), [TINY], "list", _AS_IT_IS)
        for i, settings in enumerate([*variations[1:], *({**small, **flag} for flag in (*_FLAGS, _VALUES))]):
            form, clips = INPUTS[(i + number) % len(INPUTS)]
            add(settings, clips, form, _AS_IT_IS)
        for form, clips in INPUTS:
            add(small, clips, form, _AS_IT_IS)
        add(small, [ONE], "list", _AS_IT_IS)
        for call in SAMPLES[stem]:
            add(small, [LONG], "list", {**_SAMPLE, **call})
    return found
