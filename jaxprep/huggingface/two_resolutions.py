"""DeepSeek-VL Hybrid: each image at a low and at a high resolution."""

from __future__ import annotations

from jaxprep.huggingface.call import Call, Family, Results, image_results, read, run_each


def two_resolutions(call: Call) -> Results:
    """Return `pixel_values` and `high_res_pixel_values`; the former are made of the padded 8-bit
    image of high resolution (`transformers/models/deepseek_vl_hybrid/
    image_processing_deepseek_vl_hybrid.py`).

    >>> import numpy as np
    >>> from jaxprep.huggingface import DeepseekVLHybridImageProcessor
    >>> low, high = {"height": 8, "width": 8}, {"height": 16, "width": 16}
    >>> processor = DeepseekVLHybridImageProcessor(size=low, high_res_size=high)
    >>> sorted(processor(np.zeros((20, 30, 3), np.uint8)))
    ['high_res_pixel_values', 'pixel_values']
    """
    images = read(call)
    high = run_each(call, images, "high_resolution")
    return image_results(call, images) | {"high_res_pixel_values": high}


TWO_RESOLUTIONS = Family(two_resolutions)
