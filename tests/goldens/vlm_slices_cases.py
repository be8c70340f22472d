"""Image processors that cut large images into parts: what they are compared on.

A case is `{"class", "settings", "inputs"}` and maybe `"call"`; see `vlm_patches_cases`.
"""

from goldens.huggingface_cases import GRAY, LAND, LONG, PALETTE, PORT, RGBA, TINY

TALL = {"photo": "coffee", "box": [10, 0, 91, 297]}
LARGE = {"photo": "coffee", "box": [0, 0, 399, 301]}

SCAN = {
    "size": {"height": 42, "width": 42},
    "do_pan_and_scan": True,
    "pan_and_scan_min_crop_size": 20,
    "pan_and_scan_max_num_crops": 4,
    "pan_and_scan_min_ratio_to_activate": 1.2,
}
CUT = {"scale_resolution": 112}
WINDOWS = {"size": {"height": 56, "width": 56}, "patch_size": 42}
CROPS = {"size": {"height": 84, "width": 84}, "overlap_margins": [1, 1]}
SETTINGS = {
    "Gemma3ImageProcessor": [
        ({"size": {"height": 112, "width": 112}}, [LAND, PORT, TINY]),
        ({"size": {"height": 112, "width": 112}}, [LONG, GRAY, PALETTE, RGBA]),
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
    "MiniCPMV4_6ImageProcessor": [
        (CUT, [LAND, PORT, TINY]),
        (CUT, [LONG, GRAY, PALETTE, RGBA]),
        ({**CUT, "downsample_mode": "4x"}, [LAND, TALL]),
        ({**CUT, "max_slice_nums": 4}, [LONG, LARGE]),
        ({**CUT, "slice_mode": False}, [LARGE, TINY]),
        ({**CUT, "patch_size": 8}, [PORT, LAND]),
        ({**CUT, "do_rescale": False}, [LAND]),
        ({**CUT, "do_normalize": False}, [PORT]),
        ({**CUT, "do_rescale": False, "do_normalize": False}, [LAND]),
        ({**CUT, "do_convert_rgb": False, "resample": 2}, [LAND]),
    ],
    "MiniCPMOcrImageProcessor": [
        (CUT, [LAND, PORT, TINY]),
        (CUT, [LONG, GRAY, PALETTE, RGBA]),
        ({**CUT, "downsample_mode": "16x"}, [LAND, TALL]),
        ({**CUT, "small_image_upsize": "never"}, [TINY, LAND, LARGE]),
        ({**CUT, "small_image_upsize": "never", "slice_mode": False}, [TINY, LARGE]),
        ({**CUT, "max_slice_nums": 4}, [LONG, LARGE]),
        ({**CUT, "do_normalize": False}, [PORT]),
    ],
    "Step3p7ImageProcessor": [
        (WINDOWS, [LAND, PORT, TINY]),
        (WINDOWS, [LONG, TALL, GRAY, PALETTE, RGBA]),
        (WINDOWS, [{"photo": "coffee", "box": [0, 0, 50, 40]}]),
        (WINDOWS, [{"photo": "coffee", "box": [0, 0, 140, 20]}, {"photo": "coffee", "box": [0, 0, 50, 30]}]),
        ({**WINDOWS, "max_image_size": 120}, [LAND, TALL]),
        ({**WINDOWS, "patch_size": 30}, [PORT, TINY]),
        ({**WINDOWS, "size": {"height": 200, "width": 200}}, [LAND, TALL]),
        ({**WINDOWS, "do_rescale": False}, [LAND]),
        ({**WINDOWS, "do_normalize": False, "resample": 3}, [PORT]),
        ({**WINDOWS, "do_convert_rgb": False}, [LAND]),
    ],
    "Molmo2ImageProcessor": [
        (CROPS, [LAND, PORT, TINY]),
        (CROPS, [LONG, GRAY, PALETTE, RGBA]),
        ({**CROPS, "max_crops": 4}, [LONG, TALL]),
        ({**CROPS, "overlap_margins": [2, 1]}, [LAND, PORT]),
        ({**CROPS, "overlap_margins": [0, 0]}, [LAND]),
        ({**CROPS, "pooling_size": [4, 4]}, [LAND, TALL]),
        ({**CROPS, "patch_size": 7, "overlap_margins": [4, 4]}, [PORT]),
        ({**CROPS, "do_rescale": False}, [LAND]),
        ({**CROPS, "do_normalize": False}, [TINY]),
        ({**CROPS, "do_convert_rgb": False, "resample": 3}, [LAND]),
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
