"""Image processors that cut large images into parts: what they are compared on.

A case is `{"class", "settings", "inputs"}` and maybe `"call"`; see `vlm_patches_cases`.
"""

LAND = {"photo": "coffee", "box": [0, 0, 187, 131]}  # odd in both
PORT = {"photo": "retina", "box": [455, 300, 556, 491]}
LONG = {"photo": "coffee", "box": [0, 0, 390, 41]}
TALL = {"photo": "coffee", "box": [10, 0, 91, 297]}
TINY = {"photo": "chelsea", "box": [150, 80, 191, 113]}  # 33 x 41
GRAY, PALETTE, RGBA = ({**LAND, "mode": mode} for mode in ("L", "P", "RGBA"))

SCAN = {
    "size": {"height": 42, "width": 42},
    "do_pan_and_scan": True,
    "pan_and_scan_min_crop_size": 20,
    "pan_and_scan_max_num_crops": 4,
    "pan_and_scan_min_ratio_to_activate": 1.2,
}
SETTINGS = {
    "Gemma3ImageProcessor": [
        ({"size": {"height": 112, "width": 112}}, [LAND, PORT, LONG, TINY, GRAY, PALETTE, RGBA]),
        (SCAN, [LAND, PORT, LONG, TALL, TINY]),
        ({**SCAN, "pan_and_scan_max_num_crops": 7}, [LONG, LAND]),
        ({**SCAN, "pan_and_scan_min_crop_size": 50}, [LONG, TALL]),
        ({**SCAN, "pan_and_scan_min_ratio_to_activate": 1.6}, [LAND, TALL]),
        ({**SCAN, "do_rescale": False}, [LONG]),
        ({**SCAN, "do_normalize": False}, [TALL, LONG]),
        ({**SCAN, "do_convert_rgb": False, "resample": 3}, [LAND]),
        ({**SCAN, "size": 42}, [LAND]),
        ({"do_resize": False}, [LAND]),
        ({"size": {"height": 42, "width": 42}}, [LONG, TALL], {k: SCAN[k] for k in SCAN if k != "size"}),
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
