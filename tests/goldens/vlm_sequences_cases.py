"""Image processors whose results are padded to sequences or batches: what they are compared on.

A case is `{"class", "settings", "inputs"}` and maybe `"call"`; see `vlm_patches_cases`.
"""

from goldens.huggingface_cases import GRAY, LAND, LARGE, LONG, PALETTE, PORT, RGBA, TINY

EVEN = {"photo": "coffee", "box": [0, 0, 96, 48]}  # whole patches
EXTREME = {"photo": "coffee", "box": [0, 0, 390, 5]}
SIDES = {"size": {"shortest_edge": 50, "longest_edge": 120}}
CANVAS = {"size": {"height": 90, "width": 120}}
TOKENS = {"tile_size": 64, "max_image_tokens": 32, "min_image_tokens": 8}
GRIDS = {"min_num_patches": 40}
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
        ({}, [LAND, PORT, TINY]),
        ({}, [LONG, GRAY, PALETTE, RGBA]),
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
    "Gemma4ImageProcessor": [
        ({"max_soft_tokens": 70}, [LAND, PORT, GRAY, PALETTE, RGBA]),
        ({"max_soft_tokens": 70}, [EXTREME, TINY]),
        ({"max_soft_tokens": 140}, [LAND]),
        ({"max_soft_tokens": 70, "patch_size": 8, "do_normalize": True}, [PORT]),
        ({"max_soft_tokens": 70, "pooling_kernel_size": 2}, [LONG, PORT]),
        ({"max_soft_tokens": 70, "do_resize": False}, [{"photo": "coffee", "box": [0, 0, 96, 144]}]),
        ({"max_soft_tokens": 70, "do_rescale": False}, [LAND]),
        ({"max_soft_tokens": 70, "do_convert_rgb": False, "resample": 2}, [LAND]),
    ],
    "Gemma4UnifiedImageProcessor": [
        ({"max_soft_tokens": 70}, [LAND, PORT, GRAY, PALETTE, RGBA]),
        ({"max_soft_tokens": 70}, [EXTREME, TINY]),
        ({"max_soft_tokens": 140}, [LAND]),
        ({"max_soft_tokens": 70, "patch_size": 8, "do_normalize": True}, [PORT]),
        ({"max_soft_tokens": 70, "pooling_kernel_size": 2}, [LONG, PORT]),
        ({"max_soft_tokens": 70, "do_resize": False}, [{"photo": "coffee", "box": [0, 0, 96, 144]}]),
        ({"max_soft_tokens": 70, "do_rescale": False}, [LAND]),
        ({"max_soft_tokens": 70, "do_convert_rgb": False, "resample": 2}, [LAND]),
    ],
    "Pix2StructImageProcessor": [
        ({"max_patches": 256}, [LAND, PORT, TINY]),
        ({"max_patches": 256}, [LONG, GRAY, PALETTE, RGBA]),
        ({"max_patches": 50, "patch_size": {"height": 8, "width": 8}}, [PORT, LAND]),
        ({"max_patches": 64, "do_normalize": False}, [LAND, TINY]),
        ({"max_patches": 64, "do_convert_rgb": False}, [LONG]),
    ],
    "Pix2StructImageProcessorPil": [
        ({"max_patches": 256}, [LAND, PORT, TINY]),
        ({"max_patches": 256}, [LONG, GRAY, PALETTE, RGBA]),
        ({"max_patches": 64, "do_normalize": False}, [LAND, TINY]),
    ],
    "Kosmos2_5ImageProcessor": [
        ({"max_patches": 256}, [LAND, PORT, TINY]),
        ({"max_patches": 256}, [LONG, GRAY, PALETTE, RGBA]),
        ({"max_patches": 50, "patch_size": {"height": 8, "width": 8}}, [PORT, LAND]),
        ({"max_patches": 64, "do_convert_rgb": False}, [LONG]),
    ],
    "Kosmos2_5ImageProcessorPil": [
        ({"max_patches": 256}, [LAND, PORT, TINY]),
        ({"max_patches": 256}, [LONG, GRAY, PALETTE, RGBA]),
    ],
    "Idefics2ImageProcessor": [
        (SIDES, [[LAND, PORT], [LONG], [TINY, GRAY, RGBA]]),
        (SIDES, [LAND, PALETTE]),
        ({**SIDES, "do_image_splitting": True}, [[LAND], [PORT, TINY]]),
        ({"size": {"height": 40, "width": 60}, "do_image_splitting": True}, [LAND]),
        ({"do_resize": False}, [LAND, PORT]),
        ({**SIDES, "do_rescale": False}, [LAND]),
        ({**SIDES, "do_normalize": False}, [[PORT], [LAND]]),
        ({**SIDES, "do_convert_rgb": False, "resample": 3}, [LAND]),
        ({"size": {"height": 40, "width": 60}, "do_pad": False}, [LAND, PORT]),
    ],
    "FuyuImageProcessor": [
        (CANVAS, [LAND, PORT, LONG, TINY]),
        (CANVAS, [[LAND], [PORT]]),
        (CANVAS, [[LAND, TINY], [PORT, LONG]]),
        ({**CANVAS, "padding_value": 200.7, "do_convert_rgb": True}, [LAND, GRAY, RGBA]),
        ({**CANVAS, "do_resize": False}, [EVEN]),
        ({**CANVAS, "do_pad": False}, [LAND]),
        ({**CANVAS, "do_rescale": False}, [LAND]),
        ({**CANVAS, "do_normalize": False, "resample": 3}, [PORT]),
        ({**CANVAS, "image_mean": [0.4, 0.5, 0.6], "image_std": [0.2, 0.3, 0.4]}, [LAND]),
    ],
    "FuyuImageProcessorPil": [
        (CANVAS, [[LAND, TINY], [PORT, LONG]]),
        ({**CANVAS, "padding_value": 200.7, "do_convert_rgb": True}, [LAND, GRAY, RGBA]),
        ({**CANVAS, "do_normalize": False, "resample": 3}, [PORT]),
    ],
    "Lfm2VlImageProcessor": [
        (TOKENS, [LAND, PORT, TINY]),
        ({**TOKENS, "return_row_col_info": True}, [LONG, LARGE]),
        ({**TOKENS, "use_thumbnail": False}, [LARGE, LAND]),
        ({**TOKENS, "do_image_splitting": False, "do_convert_rgb": True}, [LARGE, PALETTE]),
        ({**TOKENS, "min_tiles": 1, "max_tiles": 4, "return_row_col_info": True}, [LARGE, PORT]),
        ({**TOKENS, "downsample_factor": 1, "encoder_patch_size": 8}, [PORT]),
        ({**TOKENS, "max_pixels_tolerance": 0.5}, [TINY, LAND]),
        ({**TOKENS, "do_resize": False, "resample": 3}, [LAND]),
        ({**TOKENS, "do_rescale": False}, [LAND]),
        ({**TOKENS, "do_normalize": False}, [PORT]),
        ({"tile_size": 64, "max_image_tokens": 16, "min_image_tokens": 16, "do_pad": False, "use_thumbnail": False}, [LARGE]),
    ],
    "NemotronH_Omni_Reasoning_V3ImageProcessor": [
        (GRIDS, [LAND, PORT, TINY]),
        (GRIDS, [LONG, GRAY, PALETTE, RGBA]),
        ({**GRIDS, "max_num_patches": 80}, [LARGE, LAND]),
        ({**GRIDS, "max_num_patches": 0, "max_model_len": 20}, [LARGE, LAND, PORT]),
        ({**GRIDS, "downsample_ratio": 0.25}, [PORT, LONG]),
        ({**GRIDS, "patch_size": 14, "downsample_ratio": 1.0}, [LAND]),
        ({**GRIDS, "norm_mean": [0.4, 0.5, 0.6], "norm_std": [0.2, 0.3, 0.4]}, [LAND]),
        ({**GRIDS, "do_rescale": False}, [LAND]),
        ({**GRIDS, "do_normalize": False, "resample": 2}, [PORT]),
        ({**GRIDS, "do_convert_rgb": False}, [EVEN]),
    ],
}


def cases(backend: str) -> list[dict]:
    """Every variation of every class."""
    found = []
    for name, variations in SETTINGS.items():
        # The PIL backend of classes with a name of their own for it needs torch: it is a golden.
        needs_torch = name.endswith("Pil") or f"{name}Pil" in SETTINGS
        if backend == "pil" and needs_torch:
            continue
        for settings, inputs, *call in variations:
            options = {"return_tensors": "np", **(call[0] if call else {})}
            found.append({"class": name, "settings": settings, "inputs": inputs, "call": options})
    return found
