"""Video processors: the clips and settings that they are compared on.

A case is `{"class", "settings", "clips", "form", "call"}`: `clips` are recipes of `clip`, `form` says how they are passed (see `passed`),
`call` are the keywords of the call.
"""

import pathlib
from typing import Any

import numpy as np
from PIL import Image

try:
    import inputs  # a script of this folder
except ModuleNotFoundError:
    from goldens import inputs  # a test

# A clip is a window that moves over a photograph: small in JSON, and no two frames are equal.
LAND = {"photo": "coffee", "at": [20, 40], "size": [93, 128], "length": 5, "shift": [2, 3]}
PORT = {"photo": "retina", "at": [300, 500], "size": [131, 72], "length": 8, "shift": [3, -1]}
WIDE = {"photo": "coffee", "at": [100, 10], "size": [37, 210], "length": 3, "shift": [0, 5]}
TINY = {"photo": "chelsea", "at": [80, 150], "size": [33, 41], "length": 2, "shift": [1, 1]}
LARGE = {"photo": "coffee", "at": [0, 0], "size": [240, 320], "length": 2, "shift": [5, 7]}
LONG = {"photo": "chelsea", "at": [10, 10], "size": [40, 56], "length": 90, "shift": [1, 1]}
GRAY = {**LAND, "mode": "L"}
RGBA = {**LAND, "mode": "RGBA"}
AT_30 = [{"total_num_frames": 90, "fps": 30.0, "duration": 3.0}]

_SAMPLE = {"do_sample_frames": True, "return_metadata": True}
_FLAGS = [{"do_resize": False}, {"do_rescale": False}, {"do_normalize": False}, {"do_convert_rgb": False}, {"do_center_crop": False}]
_SQUARE = {"size": {"height": 48, "width": 40}}
_CROP = {"size": {"shortest_edge": 40}, "crop_size": {"height": 32, "width": 36}}
_SMALL = {
    "LlavaNextVideo": _CROP, "VideoLlava": _CROP, "Timesformer": _CROP, "VideoMAE": _CROP, "Vivit": _CROP,
    "VJEPA2": {"crop_size": 32}, "PeVideo": {"do_resize": True, "size": {"height": 30, "width": 44}},
}  # fmt: skip
SETTINGS: dict[str, list[dict]] = {}
"""By class: the settings that are tried besides the defaults."""
for _name in (
    "InstructBlipVideo", "InternVL", "LlavaNextVideo", "LlavaOnevision", "PerceptionLM", "PeVideo", "Sam2Video", "Timesformer",
    "VideoLlava", "VideoMAE", "Videomt", "Vivit", "VJEPA2",
):  # fmt: skip
    _small = _SMALL.get(_name, _SQUARE)
    SETTINGS[f"{_name}VideoProcessor"] = [
        _small,
        *({**_small, **flag} for flag in _FLAGS),
        {**_small, "resample": 2},
        {**_small, "resample": 3},
        {**_small, "resample": 0},
        {**_small, "do_rescale": True, "rescale_factor": 0.01, "do_normalize": True, "image_mean": [0.2, 0.4, 0.6], "image_std": 0.3},
        {**_small, "size": 36},
        {**_small, "do_resize": True, "size": {"shortest_edge": 36, "longest_edge": 60}},
        {**_small, "do_center_crop": True, "crop_size": {"height": 70, "width": 30}},
    ]
INPUTS = [
    ("list", [LAND]),
    ("list", [LAND, PORT, WIDE]),
    ("first", [PORT]),
    ("frames", [WIDE]),
    ("pil", [TINY, LAND]),
    ("gray", [GRAY]),
    ("batch", [LAND, LAND]),
    ("float", [TINY]),
    ("nested", [LAND, TINY]),
]
"""How clips are passed, in turns."""
CALLS = {
    "InternVLVideoProcessor": [{"num_frames": 4, "initial_shift": False}, {"num_frames": 4, "initial_shift": 2.5}],
}
"""By class: more keywords to sample by."""


def cases() -> list[dict]:
    """Every variation of every class, on clips that take turns."""
    found = []
    for name, variations in SETTINGS.items():

        def add(settings: dict, clips: list, form: str, call: dict, name: str = name) -> None:
            found.append({"class": name, "settings": settings, "clips": clips, "form": form, "call": call})

        add({}, [LARGE], "list", {})
        for i, settings in enumerate(variations):
            if name == "Sam2VideoVideoProcessor" and "shortest_edge" in str(settings):
                continue  # `reshaped_input_sizes` is None then
            form, clips = INPUTS[i % len(INPUTS)]
            add(settings, clips, form, {})
        for form, clips in INPUTS:
            add(variations[0], clips, form, {})
        if name == "PeVideoVideoProcessor":
            add(variations[0], [TINY, PORT], "list", {"return_tensors": "np"})
        for call in ({"num_frames": 7}, {"fps": 2}, {"num_frames": 1}, *CALLS.get(name, [])):
            add(variations[0], [LONG], "list", {**_SAMPLE, **call, "video_metadata": AT_30})
        add(variations[0], [LONG], "list", {**_SAMPLE, "num_frames": 5})
        add(variations[0], [TINY, LAND], "list", {"return_metadata": True})
    return found


POST = [
    ("VideomtVideoProcessor", "post_process_semantic_segmentation", {}),
    ("VideomtVideoProcessor", "post_process_semantic_segmentation", {"return_segmentation_scores": True}),
    *(("VideomtVideoProcessor", "post_process_instance_segmentation", {"threshold": share}) for share in (0.5, 0.2, 0.05)),
    *(("VideomtVideoProcessor", "post_process_panoptic_segmentation", {"threshold": share, "overlap_mask_area_threshold": 0.3})
      for share in (0.8, 0.4, 0.2)),
    ("VideomtVideoProcessor", "post_process_panoptic_segmentation",
     {"threshold": 0.2, "overlap_mask_area_threshold": 0.3, "label_ids_to_fuse": [0, 2]}),
    ("Sam2VideoVideoProcessor", "post_process_masks", {}),
    ("Sam2VideoVideoProcessor", "post_process_masks", {"binarize": False, "pad_size": {"height": 40, "width": 36}}),
]  # fmt: skip
"""Methods that work on the outputs of a model, with their keywords."""
TARGETS = [[37, 50], [21, 64]]


def outputs() -> dict[str, np.ndarray]:
    """What a model gives for two frames: smooth masks of seven queries, and logits of four classes and "no object"."""
    random = np.random.default_rng(13)
    coarse = random.normal(size=(2, 7, 4, 5)).astype(np.float32) * 4
    masks = np.repeat(np.repeat(coarse, 6, axis=2), 5, axis=3) + random.normal(size=(2, 7, 24, 25)).astype(np.float32)
    classes = random.normal(size=(2, 7, 5)).astype(np.float32) * 3
    return {"masks_queries_logits": masks, "class_queries_logits": classes}


def clip(recipe: dict, photos: pathlib.Path = inputs.PHOTOS) -> list[Image.Image]:
    """The frames of a clip as Pillow images."""
    photo = inputs.photo(recipe["photo"], photos)
    (top, left), (height, width), (down, right) = recipe["at"], recipe["size"], recipe["shift"]
    frames = []
    for i in range(recipe["length"]):
        y, x = top + i * down, left + i * right
        frames.append(inputs.MODES[recipe.get("mode", "RGB")](photo.crop((x, y, x + width, y + height))))
    return frames


def array(recipe: dict, photos: pathlib.Path = inputs.PHOTOS) -> np.ndarray:
    """The frames of a clip as one array (t, h, w, c)."""
    frames = np.stack([np.asarray(frame) for frame in clip(recipe, photos)])
    return frames[..., None] if frames.ndim == 3 else frames


def passed(case: dict, photos: pathlib.Path = inputs.PHOTOS) -> Any:
    """What a call of a case is given.

    "list": arrays with channels last; "first": first; "frames": a list of arrays for each frame; "pil": of Pillow images; "gray": one
    channel; "batch": one array of five axes; "float": float32 with values of levels; "nested": lists in lists.
    """
    form = case["form"]
    if form == "pil":
        return [clip(recipe, photos) for recipe in case["clips"]]
    arrays = [array(recipe, photos) for recipe in case["clips"]]
    if form == "first":
        return [np.ascontiguousarray(np.moveaxis(one, -1, 1)) for one in arrays]
    if form == "frames":
        return [list(one) for one in arrays]
    if form == "batch":
        return np.stack(arrays)
    if form == "float":
        return [one.astype(np.float32) for one in arrays]
    if form == "nested":
        return [[one] for one in arrays]
    return arrays


def named(results: Any, leaves: Any) -> dict[str, np.ndarray]:
    """Every array of the results of a call by a name of its own; of metadata the indices. `leaves` is that of `vlm_results`."""
    results = dict(results)
    metadata = results.pop("video_metadata", None)
    found = leaves(results)
    for i, one in enumerate(metadata or []):
        found[f"metadata.{i}"] = np.asarray(one["frames_indices"], np.int64)
    return found
