"""Image processors whose results are padded to sequences or batches: what they are compared on.

A case is `{"class", "settings", "inputs"}` and maybe `"call"`; see `vlm_patches_cases`.
"""

LAND = {"photo": "coffee", "box": [0, 0, 187, 131]}  # odd in both
PORT = {"photo": "retina", "box": [455, 300, 556, 491]}
LONG = {"photo": "coffee", "box": [0, 0, 390, 41]}
TINY = {"photo": "chelsea", "box": [150, 80, 191, 113]}  # 33 x 41
LARGE = {"photo": "coffee", "box": [0, 0, 599, 397]}
EVEN = {"photo": "coffee", "box": [0, 0, 96, 48]}  # whole patches
GRAY, PALETTE, RGBA = ({**LAND, "mode": mode} for mode in ("L", "P", "RGBA"))
COLORS = [LAND, PORT, LONG, TINY]

SETTINGS = {
    "Siglip2ImageProcessor": [
        ({}, COLORS),
        ({"max_num_patches": 64, "do_convert_rgb": True}, [LAND, PORT, GRAY, PALETTE, RGBA]),
        ({"max_num_patches": 36, "patch_size": 14}, [LAND, LONG]),
        ({"max_num_patches": 64, "do_resize": False}, [EVEN]),
        ({"max_num_patches": 64, "do_rescale": False}, [PORT]),
        ({"max_num_patches": 64, "do_normalize": False}, [LAND, TINY]),
        ({"max_num_patches": 64, "resample": 3}, [LAND, PORT]),
    ],
    "PixtralImageProcessor": [
        ({}, [LAND, PORT, LONG, TINY, GRAY, PALETTE, RGBA]),
        ({"size": {"longest_edge": 96}}, COLORS),
        ({"size": {"height": 64, "width": 128}, "patch_size": 14}, [LAND, LARGE]),
        ({"size": {"longest_edge": 96}, "patch_size": {"height": 8, "width": 16}}, [PORT, LAND]),
        ({"size": 100, "resample": 2}, [LARGE]),
        ({"do_resize": False}, [LAND, PORT]),
        ({"size": {"longest_edge": 96}, "do_rescale": False}, [LAND]),
        ({"size": {"longest_edge": 96}, "do_normalize": False}, [PORT, LONG]),
        ({"size": {"longest_edge": 96}, "do_convert_rgb": False}, [LAND]),
        ({"size": {"longest_edge": 96}, "do_pad": False}, [LAND]),
    ],
}


def cases(backend: str) -> list[dict]:
    """Every variation of every class."""
    del backend
    found = []
    for name, variations in SETTINGS.items():
        for settings, inputs, *call in variations:
            options = {"return_tensors": "np", **(call[0] if call else {})}
            found.append({"class": name, "settings": settings, "inputs": inputs, "call": options})
    return found
