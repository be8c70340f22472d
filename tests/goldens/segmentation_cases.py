"""What the image processors with a map, or another dense input, beside each image are compared on.

A case is `{"class", "settings", "inputs", "beside"}`: recipes of `inputs` for the images of one call, and by name recipes
of `dense` for what goes with them. Sizes and statistics are the same for all classes where they can be, so that our
compiled programs are shared.
"""

import json

import numpy as np
from PIL import Image

from goldens import huggingface_cases, inputs
from goldens.huggingface_cases import GRAY, LAND, LARGE, PALETTE, PORT, RGBA, SIZES, SQUARE, STATISTICS, TABLE, TINY

FAMILIES = ("maps", "matte", "prompted_depth", "prompted", "people")
GROUPS = {
    group: [f"{name}ImageProcessor" for name in names]
    for group, names in {
        "labels": ["Segformer", "Beit", "DPT", "MobileNetV2", "MobileViT"],
        "sam": ["Sam", "Sam2", "Sam3", "CHMv2"],
        "people": ["Sapiens2"],
        "paired": ["VitMatte", "PromptDepthAnything", "SegGpt"],
    }.items()
}
"""The classes of each golden file."""
STACKED = ("Sam2ImageProcessor", "Sam3ImageProcessor")
"""The classes that take maps only where all results are of one size."""
COMMON = {"resample": 3, **STATISTICS}
SMALL = {"size": {"height": 97, "width": 131}}
NEAR = [
    {"size": {"height": 97, "width": 131}},
    {"size": {"height": 70, "width": 112}, "ensure_multiple_of": 14},
    {"size": {"height": 120, "width": 90}, "keep_aspect_ratio": True},
    {"size": 77, "keep_aspect_ratio": True, "ensure_multiple_of": 8},
]
CROPS = [{"height": 88, "width": 120}, {"height": 120, "width": 55}, 101]
LONGEST = [{"size": {"longest_edge": edge}, "pad_size": {"height": edge + 7, "width": edge}} for edge in (131, 90, 200)]
SIZES_OF = {
    "resize": SIZES,
    "resize_near_multiple": NEAR,
    "resize_longest_half_up": LONGEST,
    "resize_or_fit": [SIZES[0], {"size": {"height": 120, "width": 80}}, {"size": [61, 93]}],
}
OTHER = {
    "mask_size": {
        "SamImageProcessor": [
            {"mask_size": {"longest_edge": edge}, "mask_pad_size": {"height": edge + 3, "width": edge + 5}}
            for edge in (40, 61, 77)
        ],
        None: [{"mask_size": {"height": 40, "width": 61}}, {"mask_size": 33}, {"mask_size": [50, 77]}],
    },
    "num_labels": {None: [{"num_labels": n} for n in (10, 27, 150)]},
    "prompt_scale_to_meter": {None: [{"prompt_scale_to_meter": s} for s in (0.01, 1.0, 0.00025)]},
}
PAIRED = {
    "maps": {"segmentation_maps": "classes"},
    "people": {"segmentation_maps": "classes"},
    "matte": {"trimaps": "trimap"},
    "prompted_depth": {"prompt_depth": "depth"},
    "prompted": {"prompt_images": "image", "prompt_masks": "few"},
}
BOXES = [[[20.0, 10.0, 90.0, 110.0]], [[5.5, 12.25, 40.0, 33.5], [-10.0, -4.0, 60.0, 80.0]], [[30.0, 40.0, 8.0, 12.0]]]
KEYPOINTS = [
    [[[40.0, 30.0, 2.0], [100.0, 90.0, 1.0], [60.0, 60.0, 0.0]]],
    [[[15.0, 20.0, 1.0], [500.0, -300.0, 1.0]], [[10.0, 5.5, 1.0], [33.25, 70.0, 2.0]]],
    [[[33.0, 45.0]]],
]


def classes() -> dict[str, dict]:
    """The classes of these families that are read."""
    rows = json.loads(TABLE.read_text("utf-8"))["classes"]
    return {name: row for name, row in rows.items() if row["family"] in FAMILIES}


def dense(recipe: dict):
    """The map, trimap, depth or image that a recipe describes: an array `(h, w)`, or a PIL image."""
    plain = {key: value for key, value in recipe.items() if key in ("photo", "box")}
    if recipe["dense"] == "image":
        return inputs.image(plain)
    luma = np.asarray(inputs.image({**plain, "mode": "L"})).astype(np.int32)
    values = {
        "classes": np.where(luma > 230, 255, luma // 9),
        "many": luma * 3,
        "few": luma // 25,
        "trimap": luma // 86 * 127,
        "depth": luma * 37 + 100,
        "flat": luma * 0 + 1500,
    }[recipe["dense"]]
    dtype = recipe.get("dtype", "uint16" if recipe["dense"] in ("depth", "flat") else "uint8")
    if dtype in ("L", "P"):
        image = Image.fromarray(values.astype(np.uint8))
        if dtype == "P":
            image.putpalette(list(range(256)) * 3)
        return image
    return values.astype(dtype)


def beside(family: str, photos: list[dict], i: int, settings: dict) -> dict:
    """What goes with the images of the `i`-th case: maps as PIL images, palettes and arrays of several types in turn."""
    found = {}
    for name, kind in PAIRED[family].items():
        dtypes = ["uint8", "L", "int32", "P"] if kind != "depth" else ["uint16", "float32", "int32"]
        dtype = dtypes[i % len(dtypes)]
        kind = "flat" if kind == "depth" and i % 5 == 4 else kind
        kind = "image" if kind == "few" and settings.get("do_convert_rgb") is False else kind
        found[name] = [{**{k: v for k, v in photo.items() if k != "mode"}, "dense": kind, "dtype": dtype} for photo in photos]
    return found


def variations(name: str, backend: str) -> list[dict]:
    """The default, every size three ways, every switch with three sizes, three values of every other key."""
    row = classes()[name]
    names, default = huggingface_cases.steps(row, backend), row["defaults"]
    found: list[dict] = [{}]

    def vary(**settings):
        shared = {"do_resize": True} if default.get("do_resize") is False else {}
        found.append({**(COMMON if "resample" in default else STATISTICS), **shared, **settings})

    rule = next((name for name in names if name.startswith("resize")), None)
    rule_of = "resize_or_fit" if name in STACKED else rule
    sizes = SIZES_OF[rule_of] if rule_of else [{"size_divisor": n} for n in (16, 7, 50)]
    for settings in sizes:
        vary(**settings)
    three = sizes[:3]
    switches = [key for key in ("do_resize", "do_rescale", "do_normalize", "do_flip_channel_order") if key in default]
    for key in switches:
        for settings in three:
            room = {"pad_size": 200} if key == "do_resize" and "pad" in names else {}
            vary(**{**settings, **room, key: not default[key]})
    if "do_reduce_labels" in row["kwargs"]:
        for settings in three:
            vary(**settings, do_reduce_labels=True)
    if "center_crop" in names:
        for settings, crop in zip(three, CROPS):
            vary(**{**settings, **({"pad_size": 210} if "pad" in names else {})}, do_center_crop=True, crop_size=crop)
        if default.get("do_center_crop"):
            for settings in three:
                vary(**settings, do_center_crop=False)
    if "pad_around" in names:
        for settings, divisor in zip(three, (32, 7, 50)):
            vary(**settings, do_pad=True, size_divisor=divisor)
    if default.get("do_pad") or name == "Sapiens2ImageProcessor":
        for settings in three:
            vary(**{key: value for key, value in settings.items() if key != "pad_size"}, do_pad=not default["do_pad"])
    if "pad" in names and not default.get("do_pad"):
        for settings, size in zip(three, (300, [310, 290], {"height": 288, "width": 288})):
            vary(**settings, do_pad=True, pad_size=size)
    for resample in (0, 1, 2) + ((4, 5) if backend == "pil" else ()):
        if rule:
            vary(**{**three[0], "resample": resample})
    for factor in (1 / 127.5, 0.5, 1 / 300):
        vary(**three[0], rescale_factor=factor)
    if "do_normalize" in default:
        for mean, std in (([0.1, 0.2, 0.3], [0.5, 0.6, 0.7]), ([0.0, 0.0, 0.0], [1.0, 1.0, 1.0]), (0.4, 0.3)):
            vary(**{**three[0], "do_normalize": True, "image_mean": mean, "image_std": std})
    for settings in three:
        vary(**settings, do_convert_rgb=not default.get("do_convert_rgb"))
    for key, by_class in OTHER.items():
        for settings in by_class.get(name, by_class[None]) if key in row["kwargs"] else []:
            vary(**three[0], **settings)
    return found


def cases(backend: str) -> list[dict]:
    """Every variation of every class that has the backend, on photographs that take turns, with and without a pair."""
    found = []
    for name, row in classes().items():
        if backend not in row["backends"]:
            continue
        for i, settings in enumerate(variations(name, backend)):
            to_rgb = settings.get("do_convert_rgb", row["defaults"].get("do_convert_rgb")) and not row.get("keeps_channels")
            fits = settings.get("do_resize", True) or name not in STACKED
            alone = fits and ("do_pad" not in settings or settings.get("do_pad") or settings.get("pad_size"))
            groups = [[[LAND], [PORT], [SQUARE], [TINY]][i % 4]]
            if i == 0:
                groups = [[LAND, GRAY, PALETTE, RGBA] if to_rgb else [LAND, PORT], [LARGE]]
            elif i % 3 == 0 and alone:
                groups = [[PORT, SQUARE, LAND]]
            for photos in groups:
                case = {"class": name, "settings": settings, "inputs": photos}
                found.append({**case, "beside": beside(row["family"], photos, i, settings)})
    return found + [case for case in own() if backend in classes().get(case["class"], {"backends": []})["backends"]]


def own() -> list[dict]:
    """Cases of single classes."""
    def case(name, settings, photos, **pairs):
        return {"class": f"{name}ImageProcessor", "settings": settings, "inputs": photos, "beside": pairs}

    raw = {"do_rescale": False, "do_normalize": False, **SMALL}
    return [
        case("Segformer", SMALL, [LAND, PORT]),
        case("MobileViT", {"size": {"shortest_edge": 90}, "do_center_crop": False}, [RGBA]),
        case("MobileViT", {"size": {"shortest_edge": 90}, "do_flip_channel_order": False}, [GRAY]),
        *[
            case("Sapiens2", {"size": size, **settings}, [LAND, PORT, SQUARE], boxes=BOXES, **pairs)
            for size in ({"height": 64, "width": 48}, {"height": 160, "width": 120}, {"height": 97, "width": 131})
            for settings, pairs in (
                (STATISTICS, {}),
                ({"do_normalize": False, "do_rescale": False}, {"keypoints": KEYPOINTS}),
                ({"do_center_crop": True, "crop_size": 60}, {"keypoints": KEYPOINTS}),
                ({"keypoint_heatmap_downscale_factor": 3}, {"keypoints": KEYPOINTS}),
                ({"keypoint_heatmap_sigma": 2.5}, {"keypoints": KEYPOINTS}),
            )
        ],
        case("SegGpt", raw, [LAND], prompt_images=[{**PORT, "dense": "image"}]),
        case("SegGpt", {**SMALL, "num_labels": 10, "do_resize": False}, [LAND], prompt_masks=[{**LAND, "dense": "few"}]),
        case("SegGpt", {**SMALL, "do_convert_rgb": False}, [LAND], prompt_masks=[{**LAND, "dense": "image"}]),
    ]
