"""Image processors that make rows of patches with a grid, and those that pad images of such sizes: what they are compared on.

A case is `{"class", "settings", "inputs"}` and maybe `"call"`, the keywords of the call, and `"arrays"`; `inputs` are recipes of `inputs`, or
lists of them where the class takes samples of several images.
"""

from goldens.huggingface_cases import GRAY, LAND, LONG, PALETTE, PORT, RGBA, TINY

THIN = {"photo": "chelsea", "box": [150, 80, 169, 155]}  # 75 x 19: narrower than a merged square
EVEN = {"photo": "coffee", "box": [0, 0, 448, 224]}  # multiples of 28 and of 32
ALL = [LAND, PORT, LONG, TINY, GRAY, PALETTE, RGBA]
WIDE = [
    LAND,
    PORT,
    TINY,
    GRAY,
    PALETTE,
    RGBA,
]  # for GLM-Image, which takes no image four times as long as high

EDGES = [
    {"shortest_edge": 3136, "longest_edge": 20000},
    {"shortest_edge": 40000, "longest_edge": 60000},
]
VALUES = [
    {"do_rescale": False},
    {"do_normalize": False},
    {"do_rescale": False, "do_normalize": False},
    {"do_convert_rgb": False},
    {"image_mean": [0.1, 0.2, 0.3], "image_std": [0.3, 0.2, 0.1], "rescale_factor": 0.01},
]
PATCHES = [
    {"patch_size": 16},
    {"merge_size": 1},
    {"merge_size": 3},
    {"temporal_patch_size": 3},
    {"resample": 2},
    {"resample": 1},
]
PIXELS = [
    {"min_pixels": 3136, "max_pixels": 20000},
    {"max_pixels": 20000},
    {"size": {"min_pixels": 3136, "max_pixels": 9000}, "min_pixels": 4000, "max_pixels": 20000},
]
PIXEL_CALLS = [{"max_pixels": 20000}, {"min_pixels": 30000, "max_pixels": 60000}]


def _smart(pixels: bool = True) -> list[dict]:
    """Variations of classes whose `size` holds numbers of pixels: of their own settings, and of a call's."""
    found = [
        {},
        *({"size": size} for size in EDGES),
        *({"size": EDGES[0], **more} for more in PATCHES + VALUES),
    ]
    calls = [{"call": {"size": EDGES[0]}}, {"call": {"size": EDGES[0], "patch_size": 8}}]
    even = {"settings": {"do_resize": False}, "inputs": [EVEN]}
    extra = [even, {"settings": {}, "call": {"do_resize": None}, "inputs": [EVEN]}]
    if pixels:
        found += PIXELS
        calls += [{"call": call} for call in PIXEL_CALLS]
        calls += [
            {"settings": {"max_pixels": 30000}, "call": {"size": EDGES[0]}},
            {"settings": {"max_pixels": 30000}, "call": {"min_pixels": 20000}},
        ]
    return [
        *({"settings": one} for one in found),
        *({"settings": {}, **one} for one in calls),
        *extra,
    ]


def _of(*settings: dict, values: dict) -> list[dict]:
    """Variations by settings alone; those of values with the settings `values`, which make small results."""
    return [{"settings": one} for one in (*settings, *({**values, **value} for value in VALUES))]


NEOMME = [
    {"min_pixels": 3136, "max_pixels": 20000},
    {"min_pixels": 40000, "max_pixels": 60000},
    {"min_pixels": 20000, "max_pixels": 20001},
]
CASES = {
    "Qwen2VLImageProcessor": _smart(),
    "CohereCompassImageProcessor": _smart(),
    "MiniMaxM3VLImageProcessor": [*_smart(), {"settings": {"size": [672, 672]}}],
    "Ernie4_5_VLMoeImageProcessor": _smart(pixels=False),
    "VideoLlama3ImageProcessor": _smart(),
    "HunYuanVLImageProcessor": _smart(),
    "HYV4VLImageProcessor": _smart(),
    "Glm4vImageProcessor": _smart(pixels=False),
    "Glm46VImageProcessor": _smart(pixels=False),
    "GlmgaImageProcessor": [
        *_smart(pixels=False),
        {"settings": {"patch_expand_factor": 2}},
        {"settings": {}, "call": {"patch_expand_factor": 2}},
    ],
    "Cosmos3EdgeImageProcessor": _smart(pixels=False),
    "GlmImageImageProcessor": _smart(),
    "PaddleOCRVLImageProcessor": _smart(),
    "MuseGlimmerImageProcessor": _of(
        {},
        *({"max_image_tokens": 30, **more} for more in ({}, *PATCHES)),
        {"max_image_tokens": 7},
        values={"max_image_tokens": 20},
    ),
    "Glm5NextImageProcessor": _of(
        {},
        *({"max_image_tokens": 30, **more} for more in ({}, *PATCHES, {"patch_expand_factor": 2})),
        {"min_image_tokens": 60, "max_image_tokens": 64},
        {"size": {"longest_edge": 50}},
        values={"max_image_tokens": 20},
    ),
    "Kimi_K25ImageProcessor": [
        *_of(
            {},
            *(
                {"max_patches": 30, **more}
                for more in ({}, *(one for one in PATCHES if "temporal_patch_size" not in one))
            ),
            {"size": {"max_height": 9, "max_width": 9}},
            values={"max_patches": 20},
        ),
        {"settings": {"do_resize": False}, "inputs": [EVEN]},
    ],
    "NeoMMEImageProcessor": _of(
        {},
        *({"size": size} for size in NEOMME),
        {"max_side": 100},
        {"max_side": 100, "size": NEOMME[1]},
        {"max_side": 300, "size": NEOMME[0], "resample": 3},
        {"patch_size": 20},
        {"max_side": 100, "do_resize": False},
        values={"max_side": 60},
    ),
    "InklingImageProcessor": [
        *_of(
            {},
            {"rescale_image_frac": 0.5},
            {"rescale_image_frac": 1.7, "resample": 3},
            {"rescale_image_frac": 3.0, "rescale_image_max_upscaled_long_edge": 200},
            {"rescale_image_frac": 1.5, "rescale_image_max_upscaled_long_edge": None},
            {"size": {"height": 24, "width": 24}},
            values={"rescale_image_frac": 0.5},
        ),
        {"settings": {}, "inputs": [{"photo": "coffee", "box": [0, 0, 160, 80]}]},
    ],
    "Inkling2ImageProcessor": [
        *_of({}, {"size": {"height": 24, "width": 24}}, values={}),
        {"settings": {}, "inputs": [RGBA, {**PORT, "mode": "LA"}], "arrays": False},
    ],
    "Apertus1p5ImageProcessor": [
        *_of(
            {},
            *({"size": size} for size in NEOMME[:2]),
            {"size": NEOMME[0], "spatial_factor": 20},
            {"size": NEOMME[0], "resample": 2},
            {"size": NEOMME[0], "do_pad": False},
            {"do_resize": False},
            values={"size": NEOMME[0]},
        ),
        {"settings": {}, "call": {"size": NEOMME[0], "do_pad": False}},
    ],
    "Emu3ImageProcessor": [
        *_of(
            {},
            *NEOMME[:2],
            {**NEOMME[0], "spatial_factor": 20},
            {**NEOMME[0], "resample": 2},
            {**NEOMME[0], "size": {"min_pixels": 5, "max_pixels": 6}},
            {"do_resize": False},
            values=NEOMME[0],
        ),
        {"settings": NEOMME[0], "call": {"do_pad": False}},
        {"settings": NEOMME[0], "call": {"do_normalize": None, "size": None}},
    ],
}
CASES["HunYuanVLImageProcessor"][0]["inputs"] = CASES["HYV4VLImageProcessor"][0]["inputs"] = [
    LAND,
    RGBA,
]
ARRAYS = [
    {"photo": "coffee", "box": [0, 0, 187, 131], "mode": mode} for mode in ("RGB", "RGBA", "L")
]


def cases(backend: str) -> list[dict]:
    """Every variation of every class, on photographs that take turns."""
    found = []
    for name, variations in CASES.items():
        for i, variation in enumerate(variations):
            everything = WIDE if name.startswith("GlmImage") else ALL
            long = THIN if "GlmImage" not in name else TINY
            inputs = [[LAND, PORT, long, TINY], [LAND], [PORT, LAND]][i % 3]
            case = {"class": name, "inputs": inputs if i else everything, **variation}
            case["call"] = dict(case.get("call", {}))
            found.append(case)
        if backend == "torchvision":
            found.append(
                {
                    "class": name,
                    "settings": variations[1]["settings"],
                    "inputs": ARRAYS,
                    "call": {},
                    "arrays": True,
                }
            )
    return found
