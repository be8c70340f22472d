"""VideoMAE, ViViT and TVP: images that are the frames of clips."""

from __future__ import annotations

from typing import Any

import jax

from jaxprep.errors import InputError
from jaxprep.formats import HuggingFace
from jaxprep.formats.huggingface.builders import builder_named
from jaxprep.huggingface.call import Call, Family, Results, run_each
from jaxprep.huggingface.configs import json_settings
from jaxprep.huggingface.groups import group_results, read_groups
from jaxprep.huggingface.images import Reading
from jaxprep.huggingface.operations import apply, pipelines_of
from jaxprep.postprocess import method


def frames(call: Call) -> Results:
    """Return clips, `(b, t, c, h, w)`; of different lengths, a list with an array for each; of
    frames that differ in size in the end, a list with a list for each.

    A list of images is one clip, and so is an array `(t, h, w, c)`. The clips may be passed as
    `videos`, which is their name in Transformers.

    Raises:
        InputError: frames of one clip that differ in size in the end, of VideoMAE on the
            torchvision backend, which stacks them.

    >>> import numpy as np
    >>> from jaxprep.huggingface import VideoMAEImageProcessor
    >>> processor = VideoMAEImageProcessor(size={"shortest_edge": 8}, do_center_crop=False)
    >>> frame = np.zeros((16, 16, 3), np.uint8)
    >>> processor([frame, frame]).pixel_values.shape
    (1, 2, 3, 8, 8)
    """
    videos = call.inputs.get("videos")
    if videos is not None:
        if call.images is not None:
            raise InputError("Expected clips once, got `images` and `videos`.")
        call = call._replace(images=videos)
    images, counts = read_groups(call)
    return {call.config.result_name: group_results(call, run_each(call, images), counts)}


FRAMES = Family(frames, ("videos",))


@method("TvpImageProcessor", "pad_image", settings=["config"])
def pad_frame(
    image: Any,
    pad_size: Any = None,
    constant_values: Any = 0,
    pad_mode: Any = "constant",
    *,
    config: HuggingFace,
) -> jax.Array:
    """Pad an image or a batch below and to the right, to `pad_size` (TVP).

    Args:
        image: an image, or a batch of one size.
        pad_size: height and width; by default the processor's.
        constant_values: what is there.
        pad_mode: "constant", or on the PIL backend "replicate", "reflect" or "symmetric".
        config: the processor's.

    >>> import numpy as np
    >>> from jaxprep.huggingface import TvpImageProcessor
    >>> image = np.zeros((3, 4, 5), np.uint8)
    >>> TvpImageProcessor().pad_image(image, {"height": 8, "width": 6}).shape
    (3, 8, 6)
    """
    changed = {
        "do_pad": True,
        "constant_values": constant_values,
        "pad_mode": getattr(pad_mode, "value", pad_mode),
    }
    if pad_size is not None:
        changed["pad_size"] = pad_size
    pipeline_of = pipelines_of(config, builder_named("pad_frames"), json_settings(changed))
    return apply(pipeline_of, image, Reading(on_torch=config.backend == "torchvision"))
