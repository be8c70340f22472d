"""Donut, Nougat and PP-FormulaNet: what they are compared on. A case is as in `vlm_patches_cases`."""

from goldens.huggingface_cases import GRAY, LAND, LONG, PALETTE, PORT, RGBA, TINY

PAGE = {"photo": "retina", "box": [455, 300, 520, 391], "margin": [23, 8, 11, 40]}
WIDE_PAGE = {"photo": "coffee", "box": [200, 150, 330, 190], "margin": [9, 20, 30, 5]}
SMALL = {"size": {"height": 96, "width": 72}}
SIZES = [
    SMALL,
    {"size": {"height": 72, "width": 96}},
    {"size": 80},
    {"size": [70, 90]},
    {"size": {"height": 61, "width": 300}},
]
SWITCHES = [
    {"do_resize": False},
    {"do_thumbnail": False},
    {"do_pad": False},
    {"do_align_long_axis": True},
    {"do_align_long_axis": True, "size": {"height": 72, "width": 96}},
    {"do_rescale": False},
    {"do_normalize": False},
    {"do_convert_rgb": True},
    {"resample": 3},
    {"resample": 1},
]
OWN = {
    "DonutImageProcessor": [{"do_center_crop": True, "crop_size": {"height": 50, "width": 90}}],
    "NougatImageProcessor": [{"do_crop_margin": False}, {"do_crop_margin": False, "do_resize": False}],
    "PPFormulaNetImageProcessor": [{"do_crop_margin": False}],
}


def cases(backend: str) -> list[dict]:
    """Every variation of every class, on photographs that take turns."""
    found = []
    for name, own in OWN.items():
        if backend == "pil" and name.startswith("PP"):
            continue
        variations = [*SIZES, *({**SMALL, **switches} for switches in [*SWITCHES, *own])]
        for i, settings in enumerate(variations):
            inputs = [[PAGE], [WIDE_PAGE], [LAND]][i % 3] if i else [LAND, PORT, PAGE, LONG, TINY]
            # without a resize, what is larger than the page is cropped on one backend, and fails on the other
            if backend == "pil" and not settings.get("do_resize", True):
                inputs = [TINY]
            if backend == "pil" and not settings.get("do_thumbnail", True):
                settings = {**settings, "do_pad": False}
            if settings.get("do_convert_rgb"):
                inputs = [*inputs, GRAY, PALETTE, RGBA]
            found.append({"class": name, "settings": settings, "inputs": inputs, "call": {"return_tensors": None}})
    return found
