"""EfficientLoFTR, LightGlue and SuperGlue: what they are compared on. A case is as in `vlm_patches_cases`."""

from goldens.huggingface_cases import GRAY, LAND, LONG, PORT, RGBA, TINY

SMALL = {"size": {"height": 60, "width": 80}}
SETTINGS = [
    {"size": {"height": 97, "width": 131}},
    {**SMALL, "do_grayscale": False},
    {**SMALL, "do_rescale": False},
    {**SMALL, "rescale_factor": 1 / 127.5},
    {**SMALL, "do_convert_rgb": True},
    {**SMALL, "resample": 3},
    {"do_resize": False},
    {"do_resize": False, "do_rescale": False},
    {"size": {"shortest_edge": 60}},
    {"size": [50, 40]},
]


def cases(backend: str) -> list[dict]:
    """Every variation of every class, on photographs that take turns; gray and colour in one call only where all become RGB."""
    found = []
    for name in ("EfficientLoFTRImageProcessor", "LightGlueImageProcessor", "SuperGlueImageProcessor"):
        for i, settings in enumerate(SETTINGS):
            inputs = [[LAND, PORT], [[PORT, LAND], [LAND, LAND]], [[PORT, LAND]]][i % 3] if i else [[LAND, LONG], [TINY, PORT]]
            keeps_size = not settings.get("do_resize", True) or "shortest_edge" in settings.get("size", {})
            if keeps_size:
                inputs = [[LAND, LAND], [LAND, {**LAND, "box": [100, 100, 287, 231]}]]
            if settings.get("do_convert_rgb"):
                # a gray image beside one of colours is multiplied by the sum of the weights on the torchvision backend: docs/differences.md
                inputs = [[PORT, RGBA]] if backend == "torchvision" else [[GRAY, PORT], [TINY, RGBA]]
            found.append({"class": name, "settings": settings, "inputs": inputs, "call": {"return_tensors": "np"}})
        gray = {**GRAY, "box": [0, 0, 60, 44]}
        found.append({"class": name, "settings": SMALL, "inputs": [GRAY, gray], "call": {"return_tensors": "np"}})
    return found
