"""Prompt Depth Anything: images, and a coarse depth of each in metres."""

from __future__ import annotations

from typing import Any

import jax.numpy as jnp
import numpy as np

from jaxprep.huggingface.call import Call, Family, Results, image_results, read
from jaxprep.huggingface.images import one_by_one
from jaxprep.huggingface.segmentation import paired_maps

TINY = 1e-6
"""Metres that are added to the first row of a depth that is the same everywhere, "to avoid
numerical issues" (`transformers/models/prompt_depth_anything/
image_processing_prompt_depth_anything.py`).
"""


def prompted_depth(call: Call) -> Results:
    """Return images, and `prompt_depth` in metres, `(1, h, w)` or `(h, w, 1)`, at its own size.

    >>> from jaxprep.huggingface import PromptDepthAnythingImageProcessor
    >>> processor = PromptDepthAnythingImageProcessor(size={"height": 14, "width": 14})
    >>> image, depth = np.zeros((28, 28, 3), np.uint8), np.full((4, 4), 1500, np.uint16)
    >>> processor(image, prompt_depth=depth).prompt_depth.shape
    (1, 1, 4, 4)
    """
    # `do_convert_rgb` is about the prompt, which has one channel whatever it says.
    call = call.with_settings(do_convert_rgb=False)
    images = one_by_one(read(call))
    results = image_results(call, images)
    given = call.inputs.get("prompt_depth")
    if given is None:
        return results
    prompts = paired_maps(call, given, len(images), "prompt_depth")
    depths = [in_metres(prompt.pixels, call) for prompt in prompts]
    if call.config.data_format == "channels_first":
        depths = [depth.transpose(2, 0, 1) for depth in depths]
    return results | {"prompt_depth": depths}


def in_metres(depth: Any, call: Call) -> Any:
    """Return a depth `(h, w, 1)` as float32, in the precision of the backend.

    NumPy multiplies integers by a Python float in float64, which is rounded at the end; torch
    multiplies in float32.

    >>> from jaxprep.formats import HuggingFace
    >>> call = Call(None, {}, HuggingFace("PromptDepthAnythingImageProcessor"))
    >>> in_metres(np.array([[[1000]], [[2000]]]), call)[:, 0, 0].tolist()
    [1.0, 2.0]
    """
    scale = call.config.effective.number("prompt_scale_to_meter")
    if call.is_traced:
        return _varied(depth.astype(jnp.float32) * np.float32(scale), jnp)
    if depth.dtype.kind in "ui" and call.config.backend == "pil":
        metres = depth * np.float64(scale)
    else:
        metres = depth.astype(np.float32) * np.float32(scale)
    return _varied(metres, np).astype(np.float32)


def _varied(metres: Any, xp: Any) -> Any:
    """Add `TINY` to the first row of a depth that is the same everywhere."""
    # `depth[0, 0]` of `(1, h, w)` in the original.
    is_first_row = (xp.arange(len(metres)) == 0)[:, None, None]
    is_constant = metres.min() == metres.max()
    return xp.where(is_first_row & is_constant, metres + TINY, metres)


PROMPTED_DEPTH = Family(prompted_depth, ("prompt_depth",))
