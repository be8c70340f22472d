"""Image processors whose arithmetic is that of another library: what they are compared on.

A case is `{"class", "settings", "inputs"}` and maybe `"call"`, the keywords of the call; `inputs` are recipes of `inputs`. The PIL twin of
ZoeDepth needs torch, so it is among the cases of the torchvision backend. The twin of Owlv2 truncates the blur of integers along each axis,
which is not reproduced (`docs/differences.md`).
"""

from goldens.huggingface_cases import GRAY, LAND, LONG, PALETTE, PORT, RGBA, TINY

LARGE = {"photo": "coffee", "box": [0, 0, 399, 351]}

SMALL = {"height": 96, "width": 96}
VITPOSE = {"height": 64, "width": 48}
OTHER = [0.4, 0.5, 0.6]
COMMON = [
    {"do_rescale": False},
    {"do_normalize": False},
    {"do_rescale": False, "do_normalize": False},
    {"rescale_factor": 0.01},
    {"image_mean": OTHER, "image_std": OTHER},
]
SETTINGS = {
    "Owlv2ImageProcessor": [
        {"size": {"height": 240, "width": 240}},
        *({"size": SMALL, **settings} for settings in [{}, *COMMON]),
        {"size": SMALL, "do_pad": False},
        {"size": {"height": 50, "width": 80}},
        {"size": {"height": 50, "width": 80}, "do_pad": False},
        {"size": SMALL, "do_convert_rgb": False},
        {"size": SMALL, "resample": 0},
        {"size": SMALL, "resample": 3},
        {"size": 70},
        {"size": SMALL, "rescale": False, "do_normalize": False},
    ],
    "SLANeXtImageProcessor": [
        {},
        *({"size": SMALL, "pad_size": SMALL, **settings} for settings in [{}, *COMMON]),
        {"size": {"height": 60, "width": 81}, "pad_size": SMALL},
        {"size": SMALL, "pad_size": None},
        {"size": SMALL, "do_pad": False},
        {"do_resize": False},
        {"size": SMALL, "do_center_crop": True, "crop_size": {"height": 40, "width": 60}, "pad_size": SMALL},
        {"size": SMALL, "pad_size": SMALL, "resample": 3},
        {"size": 75, "pad_size": 90},
    ],
    "UVDocImageProcessor": [
        {},
        *({"size": SMALL, **settings} for settings in [{}, {"do_rescale": False}, {"rescale_factor": 0.01}]),
        {"size": {"height": 50, "width": 81}},
        {"do_resize": False},
        {"size": SMALL, "do_normalize": True, "image_mean": OTHER, "image_std": [0.1, 0.2, 0.3]},
        {"size": SMALL, "resample": 3},
        {"size": SMALL, "do_convert_rgb": True},
        {"size": {"height": 1, "width": 7}},
    ],
    "VitPoseImageProcessor": [
        {},
        *({"size": VITPOSE, **settings} for settings in [{}, *COMMON]),
        {"size": {"height": 50, "width": 81}},
        {"size": VITPOSE, "normalize_factor": 150.0},
        {"size": VITPOSE, "do_affine_transform": False},
    ],
    "ZoeDepthImageProcessor": [
        {"size": {"height": 150, "width": 200}},
        *({"size": SMALL, **settings} for settings in [{}, *COMMON]),
        {"size": SMALL, "do_pad": False},
        {"size": SMALL, "keep_aspect_ratio": False},
        {"size": SMALL, "ensure_multiple_of": 32},
        {"size": {"height": 60, "width": 91}, "ensure_multiple_of": 7, "keep_aspect_ratio": False},
        {"size": SMALL, "resample": 3},
        {"do_resize": False},
        {"do_resize": False, "do_pad": False},
    ],
}
BOXES = [[10.5, 5, 60, 100.25], [100, 40, 70, 20], [-20, -30, 300, 300]]
"""x, y, width, height: tall, wide, and larger than the image."""


def cases(backend: str) -> list[dict]:
    """Every variation of every class, on photographs that take turns."""
    found = []
    for name, variations in SETTINGS.items():
        for i, settings in enumerate(variations):
            case = {"class": name, "settings": settings, "inputs": _inputs(name, i), "call": {}}
            if len(case["inputs"]) == 1 or _is_stacked(name, settings):
                case["call"]["return_tensors"] = "np"
            if name.startswith("VitPose"):
                case["call"]["boxes"] = [BOXES[: 1 + n % 3] for n in range(len(case["inputs"]))]
            is_truncated = name.startswith("Owlv2") and False in (settings.get("do_rescale"), settings.get("rescale"))
            needs_torch = name.startswith("ZoeDepth")
            if backend == "torchvision" or not (is_truncated or needs_torch):
                found.append(case)
            if backend == "torchvision" and needs_torch:
                found.append({**case, "class": f"{name}Pil"})
    return [*found, *_floats(backend)]


def _floats(backend: str) -> list[dict]:
    """Arrays of floats in [-1, 3), which are not rescaled."""
    found = []
    names = ["Owlv2ImageProcessor", "VitPoseImageProcessor"]
    if backend == "torchvision":
        names.append("ZoeDepthImageProcessor")
    for name in names:
        call = {"return_tensors": "np", "input_data_format": "channels_last"}
        if name.startswith("VitPose"):
            call["boxes"] = [BOXES]
        settings = {"size": SMALL, "do_rescale": False}
        found.append({"class": name, "settings": settings, "arrays": True, "inputs": [{**LAND, "dtype": "float32"}], "call": call})
    return found


def _inputs(name: str, i: int) -> list[dict]:
    pictures = [[LAND, PORT, LONG, TINY], [LARGE], [PORT, LAND]][i % 3]
    if i == 0 and name.startswith(("Owlv2", "SLANeXt")):
        return [*pictures, LARGE, GRAY, PALETTE, RGBA]
    return [LARGE, *pictures] if i == 0 else pictures


def _is_stacked(name: str, settings: dict) -> bool:
    """Whether images of different sizes become one array."""
    if name.startswith("ZoeDepth"):
        return settings.get("keep_aspect_ratio") is False
    if name.startswith("SLANeXt"):
        return settings.get("do_pad") is not False
    switched_off = {"do_resize", "do_affine_transform"} & {key for key, value in settings.items() if value is False}
    return not switched_off
