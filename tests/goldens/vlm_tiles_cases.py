"""Image processors that cut an image into tiles: what they are compared on.

A case is `{"class", "settings", "inputs", "call"}`; `inputs` are recipes of `inputs`, or lists of them where the class takes samples of
several images.
"""

LAND = {"photo": "coffee", "box": [0, 0, 187, 131]}  # odd in both
PORT = {"photo": "retina", "box": [455, 300, 556, 491]}
LONG = {"photo": "coffee", "box": [0, 0, 390, 41]}
TINY = {"photo": "chelsea", "box": [150, 80, 191, 113]}  # 33 x 41
SQUARE = {"photo": "chelsea", "box": [100, 60, 200, 160]}
GRAY, PALETTE, RGBA = ({**LAND, "mode": mode} for mode in ("L", "P", "RGBA"))

VALUES = [{"do_rescale": False}, {"do_normalize": False}, {"do_convert_rgb": False}, {"resample": 2}]
"""Settings of every class."""
CROP = {"crop_to_patches": True, "size": {"height": 28, "width": 28}}
PINPOINTS = {"image_grid_pinpoints": [[36, 72], [72, 36], [72, 72], [108, 36], [36, 108]]}
NEXT = {**PINPOINTS, "size": {"shortest_edge": 36}, "crop_size": {"height": 36, "width": 36}}
CUT = {**NEXT, "crop_size": {"height": 24, "width": 24}}  # tiles of 24 become 36, then 24
SETTINGS = {
    "GotOcr2ImageProcessor": [
        CROP,
        {"size": {"height": 28, "width": 36}},
        {**CROP, "max_patches": 6, "min_patches": 3},
        {**CROP, "size": {"height": 28, "width": 36}},
        {**CROP, "max_patches": 1},
        {**CROP, "max_patches": 2, "min_patches": 5},
        {**CROP, "do_resize": False},
        *({**CROP, **values} for values in VALUES),
    ],
    "LlavaNextImageProcessor": [
        NEXT,
        CUT,
        {**NEXT, "image_grid_pinpoints": [[54, 90], [40, 72]]},  # smaller tiles at the border
        {**CUT, "do_center_crop": False, "image_grid_pinpoints": [[72, 72], [48, 96]]},
        {**NEXT, "size": {"height": 40, "width": 36}},
        {**NEXT, "size": {"height": 24, "width": 24}, "do_center_crop": False, "crop_size": {"height": 24, "width": 24}},
        {**NEXT, "do_resize": False},
        {**NEXT, "do_pad": False},
        *({**NEXT, **values} for values in VALUES),
    ],
}


def cases(backend: str) -> list[dict]:
    """Every variation of every class, on photographs that take turns."""
    del backend
    found = []
    for name, variations in SETTINGS.items():
        for i, settings in enumerate(variations):
            images = [[LAND, PORT, LONG, TINY], [SQUARE], [PORT, LAND]][i % 3]
            if not i:
                images = [LAND, PORT, LONG, TINY, SQUARE, GRAY, PALETTE, RGBA]
            if settings.get("do_pad") is False:
                images = [LAND]
            found.append({"class": name, "settings": settings, "inputs": images, "call": {"return_tensors": "np"}})
    return found
