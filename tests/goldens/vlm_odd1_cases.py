"""DeepSeek-VL Hybrid, LayoutLMv2 and v3, ImageGPT and FLAVA: what they are compared on. A case is as in `vlm_patches_cases`."""

from goldens.huggingface_cases import GRAY, LAND, LONG, PALETTE, PORT, RGBA, TINY

SIZE = {"size": {"height": 60, "width": 80}}
CROP = {"do_center_crop": True, "crop_size": {"height": 50, "width": 90}}
STATISTICS = {"image_mean": [0.4, 0.5, 0.55], "image_std": [0.2, 0.3, 0.25]}
VALUES = [{"do_rescale": False}, {"do_normalize": False}, {"rescale_factor": 0.01}, STATISTICS]
HIGH = {"size": {"height": 64, "width": 64}, "high_res_size": {"height": 150, "width": 150}}
CODEBOOK = {**SIZE, "do_center_crop": False, "return_codebook_pixels": True, "codebook_size": {"height": 40, "width": 30}}
CODEBOOK_CROP = {**CODEBOOK, "codebook_crop_size": {"height": 28, "width": 36}}
OCR = {"apply_ocr": False}
# the corners of a cube, and colours between them
CLUSTERS = [[x / 4 - 1 + 0.01 * y, y / 3 - 0.9, z / 5 - 0.8 + 0.003 * x] for x in range(8) for y in range(6) for z in range(9)]
GPT = {"clusters": CLUSTERS, "size": {"height": 32, "width": 24}}
SETTINGS = {
    "DeepseekVLHybridImageProcessor": [
        HIGH,
        {**HIGH, "min_size": 50},
        {**HIGH, "resample": 2},
        {**HIGH, "high_res_resample": 2},
        *({**HIGH, **values} for values in VALUES),
        {**HIGH, "high_res_image_mean": [0.1, 0.2, 0.3], "high_res_image_std": [0.5, 0.6, 0.7]},
        {**HIGH, "do_convert_rgb": True},
    ],
    "LayoutLMv2ImageProcessor": [{**OCR, **SIZE}, {**OCR, "size": 50}, {**OCR, "do_resize": False}, {**OCR, **SIZE, "resample": 3}],
    "LayoutLMv3ImageProcessor": [
        {**OCR, **SIZE},
        {**OCR, "size": 50},
        {**OCR, "do_resize": False},
        {**OCR, **SIZE, "resample": 3},
        *({**OCR, **SIZE, **values} for values in VALUES),
        {**OCR, **SIZE, "do_convert_rgb": True},
    ],
    "ImageGPTImageProcessor": [
        GPT,
        {**GPT, "size": 50},
        {**GPT, "resample": 3},
        {**GPT, "do_color_quantize": False},
        {**GPT, **STATISTICS},
        {**GPT, "do_convert_rgb": True},
    ],
    "FlavaImageProcessor": [
        {**SIZE, **CROP},
        {**SIZE, "do_center_crop": False},
        *({**SIZE, **CROP, **values} for values in VALUES),
        CODEBOOK_CROP,
        {**CODEBOOK, "codebook_do_center_crop": False},
        {**CODEBOOK_CROP, "codebook_do_resize": False},
        {**CODEBOOK_CROP, "codebook_do_rescale": False},
        {**CODEBOOK_CROP, "codebook_do_normalize": False},
        {**CODEBOOK_CROP, "codebook_do_map_pixels": False},
        {**CODEBOOK_CROP, "codebook_resample": 2},
        {**CODEBOOK_CROP, "codebook_rescale_factor": 0.01},
        {**CODEBOOK_CROP, "codebook_image_mean": [0.1, 0.2, 0.3], "codebook_image_std": [0.5, 0.6, 0.7]},
        {**CODEBOOK, "codebook_size": 40, "codebook_crop_size": 36, "do_convert_rgb": True},
    ],
}
ON_TORCHVISION = {"LayoutLMv3ImageProcessor": [{**OCR, **SIZE, **CROP}], "ImageGPTImageProcessor": [{**GPT, **CROP}]}


def cases(backend: str) -> list[dict]:
    """Every variation of every class, on photographs that take turns."""
    found = []
    for name, variations in SETTINGS.items():
        extra = ON_TORCHVISION.get(name, []) if backend == "torchvision" else []
        for i, settings in enumerate([*variations, *extra]):
            inputs = [[LAND], [PORT]][i % 2] if i else [LAND, PORT, LONG, TINY]
            if settings.get("do_convert_rgb"):
                inputs = [RGBA, GRAY, PALETTE, LAND]
            found.append({"class": name, "settings": settings, "inputs": inputs, "call": {"return_tensors": None}})
    return found
