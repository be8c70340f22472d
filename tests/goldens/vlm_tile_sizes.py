"""Of what sizes, classes and settings `write_vlm_tile_sizes.py` tells how images are cut."""

import json

import numpy as np

CASES = [
    ("Cohere2VisionImageProcessor", {}),
    ("Cohere2VisionImageProcessor", {"size": {"height": 300, "width": 400}, "max_patches": 20}),
    ("Ovis2ImageProcessor", {"crop_to_patches": True}),
    ("Ovis2ImageProcessor", {"crop_to_patches": True, "size": {"height": 200, "width": 200}, "max_patches": 20}),
    ("DeepseekOcr2ImageProcessor", {}),
    ("UnlimitedOcrImageProcessor", {}),
    ("PerceptionLMImageProcessor", {}),
    ("PerceptionLMImageProcessor", {"tile_size": 100, "max_num_tiles": 16}),
    ("Phi4MultimodalImageProcessor", {}),
    ("Phi4MultimodalImageProcessor", {"dynamic_hd": 12}),
    ("Llama4ImageProcessor", {}),
    ("Llama4ImageProcessor", {"max_patches": 9, "size": {"height": 100, "width": 100}}),
    ("Llama4ImageProcessor", {"resize_to_max_canvas": True}),
    ("UltraVBertImageProcessor", {}),
    ("UltraVBertImageProcessor", {"max_image_tiles": 100, "size": {"longest_edge": 4500}}),
]


def sizes(count: int = 2000) -> list[tuple[int, int]]:
    """Random heights and widths, half of them in ratios of small numbers, where ties are."""
    generator = np.random.default_rng(0)
    anyhow = generator.integers(1, 3000, (count // 2, 2))
    ratios = generator.integers(1, 9, (count - count // 2, 2)) * generator.integers(1, 370, (count - count // 2, 1))
    return [(int(height), int(width)) for height, width in np.concatenate([anyhow, ratios])]


def key(name: str, settings: dict) -> str:
    """The name of an array."""
    return f"{name} {json.dumps(settings, sort_keys=True)}"
