"""What the plain image processors of Hugging Face are compared on: every class, every switch and every meaning of `size`.

A case is `{"class", "settings", "inputs"}`, with recipes of `inputs` that go into one call. Sizes and statistics are the same for
all classes where they can be, so that our compiled programs are shared.
"""

import json
import pathlib

TABLE = pathlib.Path(__file__).resolve().parents[2] / "presets" / "huggingface.json"

LAND = {"photo": "coffee", "box": [0, 0, 187, 131]}  # odd in both
PORT = {"photo": "retina", "box": [455, 300, 556, 491]}
SQUARE = {"photo": "astronaut", "box": [100, 0, 292, 192]}
LONG = {"photo": "coffee", "box": [0, 0, 390, 41]}
TINY = {"photo": "chelsea", "box": [150, 80, 191, 113]}  # 33 x 41
LARGE = {"photo": "coffee", "box": [0, 0, 599, 397]}
GRAY, PALETTE, RGBA = ({**LAND, "mode": mode} for mode in ("L", "P", "RGBA"))
PHOTOS = [LAND, PORT, SQUARE, TINY]

STATISTICS = {"image_mean": [0.4, 0.5, 0.55], "image_std": [0.2, 0.3, 0.25]}
COMMON = {"resample": 3, **STATISTICS}
SIZES = [
    {"size": {"height": 97, "width": 131}},
    {"size": {"shortest_edge": 90}},
    {"size": {"shortest_edge": 80, "longest_edge": 101}},
    {"size": {"max_height": 90, "max_width": 120}},
    {"size": 77},
    {"size": [61, 93]},
]
BASE = ["resize", "resize_interpolating", "resize_clipped"]
ELSEWHERE = {"blur_and_resize", "resize_corners_near_multiple", "resize_in_integers"}
"""Builders of the plain classes that are compared elsewhere."""
OWN = {  # sizes of the classes with a rule of their own
    "resize_convnext": [{"size": {"shortest_edge": 90}}, {"size": 77, "crop_pct": 0.9}, {"size": 385}],
    "resize_crop_pct": [
        {"size": {"shortest_edge": 90}, "crop_pct": 0.8},
        {"size": {"height": 77, "width": 77}},
        {"size": {"height": 97, "width": 131}},
        {"size": 77},
    ],
    "resize_shortest": [SIZES[0], SIZES[1], SIZES[2]],
    "resize_levit": [{"size": {"shortest_edge": 90}}, {"size": {"height": 97, "width": 131}}, {"size": 77}],
    "resize_longest": [{"size": {"height": 90, "width": 90}}, {"size": 77}, {"size": 64, "min_size": 50}],
    "resize_multiple_below": [{"size_divisor": 16}, {"size_divisor": 7}],
    "resize_textnet": [{"size": {"shortest_edge": 90}}, {"size": 77, "size_divisor": 10}],
    "resize_pplcnet": [{"resize_short": 90}, {"resize_short": 77, "size_divisor": 8}],
    "resize_side_limit": [
        {"limit_side_len": 100},
        {"limit_side_len": 160, "limit_type": "min", "max_side_limit": 200},
        {"limit_side_len": 120, "limit_type": "resize_long"},
    ],
    "resize_widest": [{"size": {"height": 40, "width": 100}}, {"max_image_width": 50}],
    "resize_widest_interpolating": [{"size": {"height": 40, "width": 100}}, {"max_image_width": 50}],
}


def classes() -> dict[str, dict]:
    """The plain classes of the table, but for those of `vlm_odd2_cases`."""
    rows = json.loads(TABLE.read_text("utf-8"))["classes"]
    return {name: row for name, row in rows.items() if row["family"] == "plain" and not ELSEWHERE & {*row["steps"]}}


def steps(row: dict, backend: str) -> list[str]:
    """The names of the builders of a class."""
    return row["steps"][backend] if isinstance(row["steps"], dict) else row["steps"]


def variations(name: str, backend: str) -> list[dict]:
    """The default, every switch the other way, every meaning of a size, and other numbers."""
    row = classes()[name]
    names, default = steps(row, backend), row["defaults"]
    has_values = any(name.startswith("rescale_") or name == "normalize" for name in names)
    statistics = STATISTICS if has_values else {}
    found: list[dict] = [{}]

    def vary(**settings):
        found.append({**(COMMON if has_values and "resample" in default else statistics), **settings})

    rule = next((name for name in names if name.startswith("resize")), None)
    sizes = SIZES if rule in BASE else OWN.get(rule, [])
    small = {**(sizes[0] if sizes else {})}  # the switches are tried on a small result
    if "pad_narrow" in names:
        small["do_pad"] = False
    for settings in sizes:
        needs_pair = "center_crop_share" in names and isinstance(settings["size"], dict) and "height" not in settings["size"]
        vary(**settings, **({"do_center_crop": False} if needs_pair else {}))
    if rule:
        vary(**small, do_resize=False)
        for resample in (0, 1, 2) if rule != "resize_interpolating" and rule != "resize_clipped" else (0, 2):
            if rule != "resize_widest_interpolating" or resample != 1:
                vary(**{**small, "resample": resample})
    if rule and backend == "pil":
        for resample in (4, 5):
            vary(**{**small, "resample": resample})
    if any(name.startswith("center_crop") for name in names):
        vary(**small, do_center_crop=not default.get("do_center_crop"), crop_size={"height": 88, "width": 120})
        if "center_crop" in names:
            vary(**small, do_center_crop=True, crop_size={"height": 120, "width": 55})
            vary(**small, do_center_crop=True, crop_size=101)
        else:
            vary(**small, crop_size={"height": 120, "width": 140})
    if has_values or "rescale" in names:
        vary(**small, do_rescale=False, **({"do_normalize": False} if names[0] == "rescale" else {}))
        vary(**small, rescale_factor=1 / 127.5)
    if has_values:
        vary(**small, do_normalize=not default.get("do_normalize"))
        vary(**small, do_normalize=True, image_mean=[0.1, 0.2, 0.3], image_std=[0.5, 0.6, 0.7])
    if "pad" in names:
        vary(**small, do_center_crop=False, do_pad=True, pad_size={"height": 230, "width": 220})
        vary(**{**small, "do_resize": False}, do_center_crop=False, do_pad=True, pad_size={"height": 200, "width": 192})
    for pad in ("pad_square", "pad_narrow", "pad_next_multiple"):
        if pad in names:
            vary(**{**small, "do_pad": not default["do_pad"]})
    if "pad_next_multiple" in names:
        vary(size_divisor=13)
        vary(pad_size=16)
    if "rescale_offset_and_normalize" in names:
        vary(**small, rescale_offset=True, rescale_factor=1 / 127.5)
        vary(**small, include_top=False)
        vary(**small, include_top=False, rescale_offset=True, do_normalize=False)
    if "gray" in names:
        vary(**small, do_grayscale=True)
    if default.get("do_convert_rgb"):
        vary(**small, do_convert_rgb=False)
    return found


def cases(backend: str, *, every: bool = False) -> list[dict]:
    """Every variation of every class that has the backend, each on photographs that take turns; `every`, on all."""
    found = []
    for name, row in classes().items():
        if backend not in row["backends"]:
            continue
        for i, settings in enumerate(variations(name, backend)):
            follows_source = settings.get("do_resize") is False or "resize_multiple_below" in steps(row, backend)
            to_rgb = settings.get("do_convert_rgb", row["defaults"].get("do_convert_rgb"))
            photos = PHOTOS if every else [LAND if i % 2 else PORT]
            if i % 4 == 2 and not every and not follows_source:
                photos = [TINY]
            groups = [[photo] for photo in photos]
            if i == 0:
                groups = [[LAND, GRAY, PALETTE, RGBA] if to_rgb else [LAND, PORT], *groups[1:], [LARGE]]
            elif i % 3 == 0 and not follows_source and not every:
                groups.append([PORT, SQUARE, LAND])
            for inputs in groups:
                if "resize_multiple_below" in steps(row, backend) and inputs == [TINY] and settings.get("do_resize", True):
                    inputs = [SQUARE]
                found.append({"class": name, "settings": settings, "inputs": inputs})
    return found + (arrays() if backend == "torchvision" else [])


def arrays() -> list[dict]:
    """Cases whose inputs are arrays `(h, w, c)`, where the torchvision backend has rules of its own."""
    small, plain = {"size": {"height": 97, "width": 131}}, {"do_rescale": False}
    settings = {
        "uint8": {**small, **COMMON},
        "float32": {**small, **COMMON, **plain},
        "int32": {**small, **COMMON, **plain},
    }
    found = [
        {"class": name, "settings": settings[dtype], "inputs": [{**LAND, "mode": mode, "dtype": dtype}], "arrays": True}
        for name, mode, dtype in [
            ("BlipImageProcessor", "RGBA", "uint8"),
            ("BlipImageProcessor", "L", "uint8"),
            ("BlipImageProcessor", "RGB", "float32"),
            ("ViTImageProcessor", "RGB", "float32"),
            ("ViTImageProcessor", "RGB", "int32"),
            ("PPDocLayoutV4ImageProcessor", "RGB", "float32"),
        ]
    ]
    return found
