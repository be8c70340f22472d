"""Image processors that cut an image into tiles: what they are compared on.

A case is `{"class", "settings", "inputs", "call"}`; `inputs` are recipes of `inputs`, or lists of them where the class takes samples of
several images.
"""

from goldens.huggingface_cases import GRAY, LAND, LONG, PALETTE, PORT, RGBA, TINY

SQUARE = {"photo": "chelsea", "box": [100, 60, 200, 160]}

VALUES = [{"do_rescale": False}, {"do_normalize": False}, {"do_convert_rgb": False}, {"resample": 2}]
"""Settings of every class."""
CROP = {"crop_to_patches": True, "size": {"height": 28, "width": 28}}
PINPOINTS = {"image_grid_pinpoints": [[36, 72], [72, 36], [72, 72], [108, 36], [36, 108]]}
NEXT = {**PINPOINTS, "size": {"shortest_edge": 36}, "crop_size": {"height": 36, "width": 36}}
CUT = {**NEXT, "crop_size": {"height": 24, "width": 24}}  # tiles of 24 become 36, then 24
ONE = {**PINPOINTS, "size": {"height": 36, "width": 36}}
OVIS = {**CROP, "max_patches": 9}
OCR = {"size": {"height": 48, "width": 48}, "tile_size": 28, "max_patches": 6}
PERCEPTION = {"tile_size": 28, "max_num_tiles": 9}
PHI = {"size": {"height": 56, "width": 56}, "dynamic_hd": 6}
ARIA = {"max_image_size": 490, "min_image_size": 336}
ARIA_SPLIT = {**ARIA, "split_image": True, "split_resolutions": [[490, 980], [980, 490], [500, 490]]}
MLLAMA = {"size": {"height": 28, "width": 28}}
LLAMA = {**MLLAMA, "max_patches": 6}
LONGEST = {"size": {"longest_edge": 112}, "max_image_size": {"longest_edge": 28}}
PAGES = {"size": {"height": 28, "width": 28}, "max_patches": 8}
GOT = [
    CROP,
    {"size": {"height": 28, "width": 36}},
    {**CROP, "max_patches": 6, "min_patches": 3},
    {**CROP, "size": {"height": 28, "width": 36}},
    {**CROP, "max_patches": 1},
    {**CROP, "max_patches": 2, "min_patches": 5},
    {**CROP, "do_resize": False},
]
IDEFICS = [
    LONGEST,
    {**LONGEST, "do_image_splitting": False},
    {**LONGEST, "size": {"longest_edge": 93}, "return_row_col_info": True},
    {**LONGEST, "do_resize": False},
    {**LONGEST, "do_pad": False},
    {**LONGEST, "max_image_size": {"longest_edge": 112}},
]
OCRS = [
    OCR,
    {**OCR, "crop_to_patches": False},
    {**OCR, "tile_size": 120},
    {**OCR, "size": {"height": 40, "width": 50}, "min_patches": 1, "max_patches": 3},
    {**OCR, "background_color": [1, 2, 3]},
]
SETTINGS = {
    "GotOcr2ImageProcessor": GOT,
    "Cohere2VisionImageProcessor": [*GOT, {**CROP, "crop_to_patches": False}],
    "GraniteDoclingImageProcessor": [
        PAGES,
        {**PAGES, "crop_to_patches": False},
        {**PAGES, "max_patches": 30, "fine_route": True},
        {**PAGES, "dense_max_patches": 15, "dense_min_aspect": 1.2},
        {**PAGES, "dense_max_patches": 15, "dense_min_aspect": 1.2, "dense_max_aspect": 3.0, "dense_max_scale": 0.5},
        {**PAGES, "max_patches": 1},
        {**PAGES, "do_resize": False},
    ],
    "Ovis2ImageProcessor": [
        OVIS,
        {"size": {"height": 28, "width": 36}},
        {**OVIS, "use_covering_area_grid": False, "min_patches": 2},
        {**OVIS, "do_center_crop": True, "crop_size": {"height": 24, "width": 32}},
        {"size": {"height": 28, "width": 36}, "do_center_crop": True, "crop_size": {"height": 24, "width": 32}},
        {**OVIS, "size": {"height": 28, "width": 36}},
        {**OVIS, "max_patches": 1},
    ],
    "DeepseekOcr2ImageProcessor": OCRS,
    "UnlimitedOcrImageProcessor": [*OCRS, {**OCR, "crop_to_patches": False, "maximum_pad_value": 20}],
    "PerceptionLMImageProcessor": [
        PERCEPTION,
        {**PERCEPTION, "vision_input_type": "vanilla"},
        {**PERCEPTION, "max_num_tiles": 4},
        {**PERCEPTION, "max_num_tiles": 1},
        {**PERCEPTION, "do_resize": False},
    ],
    "Phi4MultimodalImageProcessor": [
        PHI,
        {**PHI, "dynamic_hd": 4},
        {**PHI, "size": {"height": 60, "width": 60}, "dynamic_hd": 20},
        {**PHI, "patch_size": 7},
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
    ],
    "LlavaOnevisionImageProcessor": [
        ONE,
        {**ONE, "do_center_crop": True, "crop_size": {"height": 24, "width": 24}},
        {**ONE, "do_pad": False},
    ],
    "AriaImageProcessor": [ARIA, ARIA_SPLIT, {**ARIA, "min_image_size": 200}],
    "MllamaImageProcessor": [MLLAMA, {**MLLAMA, "max_image_tiles": 6}, {**MLLAMA, "max_image_tiles": 1}],
    "Llama4ImageProcessor": [
        LLAMA,
        {**LLAMA, "resize_to_max_canvas": True},
        {**LLAMA, "max_patches": 16},
        {**LLAMA, "image_mean": [0.48, 0.46, 0.41], "image_std": [0.27, 0.26, 0.28]},
    ],
    "Idefics3ImageProcessor": [*IDEFICS, {**LONGEST, "size": {"height": 60, "width": 90}}],
    "SmolVLMImageProcessor": IDEFICS[:3],
    "UltraVBertImageProcessor": [*IDEFICS, {**LONGEST, "max_image_tiles": 9}],
}
FAILS = {"Llama4ImageProcessor": [0], "Phi4MultimodalImageProcessor": [2], "MllamaImageProcessor": []}
"""Which of `VALUES` the original cannot do: Llama 4 normalises no integers, and Phi-4 cuts three channels only."""
RETURNED = {"Llama4ImageProcessor": "pt", "PerceptionLMImageProcessor": None}
"""NumPy has no bfloat16, and Perception LM does not pad."""
SAMPLES = [
    "GraniteDoclingImageProcessor",
    "LlavaOnevisionImageProcessor",
    "MllamaImageProcessor",
    "Idefics3ImageProcessor",
    "SmolVLMImageProcessor",
    "UltraVBertImageProcessor",
]
"""Classes that take samples of several images."""


def cases(backend: str) -> list[dict]:
    """Every variation of every class, on photographs that take turns."""
    del backend
    found = []
    for name, settings in SETTINGS.items():
        for i, own in enumerate([*settings, *_values(name)]):
            call = {"return_tensors": RETURNED.get(name, "np")}
            found.append({"class": name, "settings": own, "inputs": _inputs(name, own, i), "call": call})
    return found


def _values(name: str) -> list[dict]:
    first, fails = SETTINGS[name][0], FAILS.get(name, [])
    if name == "AriaImageProcessor":
        return [{**first, **VALUES[3]}]  # large images
    return [{**first, **values} for i, values in enumerate(VALUES) if i not in fails]


def _inputs(name: str, settings: dict, number: int) -> list:
    images: list = [[LAND, PORT, LONG, TINY], [SQUARE], [PORT, LAND]][number % 3]
    if name in SAMPLES:
        images = [[[LAND, PORT], [LONG]], [SQUARE, TINY], [[PORT], [LAND]]][number % 3]
    if not number:
        images = [LAND, PORT, LONG, TINY, SQUARE, GRAY, PALETTE, RGBA]
        images = [images[:1], images[1:4], images[4:]] if name in SAMPLES else images
    if settings.get("do_pad") is False or (settings.get("do_resize") is False and name == "PerceptionLMImageProcessor"):
        images = [LAND]
    return images
