"""Image processors that make rows of patches with a grid: what they are compared on.

A case is `{"class", "settings", "inputs"}` and maybe `"call"`, the keywords of the call; `inputs` are recipes of `inputs`, or lists of
them where the class takes samples of several images.
"""

LAND = {"photo": "coffee", "box": [0, 0, 187, 131]}  # odd in both
PORT = {"photo": "retina", "box": [455, 300, 556, 491]}
LONG = {"photo": "coffee", "box": [0, 0, 390, 41]}
TINY = {"photo": "chelsea", "box": [150, 80, 191, 113]}  # 33 x 41
LARGE = {"photo": "coffee", "box": [0, 0, 599, 397]}
GRAY, PALETTE, RGBA = ({**LAND, "mode": mode} for mode in ("L", "P", "RGBA"))

SIZES = [{"shortest_edge": 3136, "longest_edge": 20000}, {"shortest_edge": 40000, "longest_edge": 60000}]
SETTINGS = {
    "Qwen2VLImageProcessor": [
        {},
        *({"size": size} for size in SIZES),
        {"min_pixels": 3136, "max_pixels": 20000},
        {"patch_size": 16, "size": SIZES[0]},
        {"merge_size": 1, "size": SIZES[0]},
        {"temporal_patch_size": 1, "size": SIZES[0]},
        {"do_rescale": False, "size": SIZES[0]},
        {"do_normalize": False, "size": SIZES[0]},
        {"do_convert_rgb": False, "size": SIZES[0]},
        {"resample": 2, "size": SIZES[0]},
    ],
}


def cases(backend: str) -> list[dict]:
    """Every variation of every class, on photographs that take turns."""
    del backend
    found = []
    for name, variations in SETTINGS.items():
        for i, settings in enumerate(variations):
            inputs = [[LAND, PORT, LONG, TINY], [LAND], [PORT, LAND]][i % 3]
            if not i:
                inputs = [LAND, PORT, LONG, TINY, GRAY, PALETTE, RGBA]
            found.append({"class": name, "settings": settings, "inputs": inputs})
    return found
