"""UVDoc: photographs of documents, resized for the model, and as they are, to be unwarped."""

from __future__ import annotations

from jaxprep.huggingface.call import Call, Family, Results, read, run, run_each
from jaxprep.huggingface.features import PerImage


def with_originals(call: Call) -> Results:
    """Return the images, and `original_images`: rescaled, BGR, at their own sizes.

    >>> import numpy as np
    >>> from jaxprep.huggingface import UVDocImageProcessor
    >>> features = UVDocImageProcessor()(np.zeros((20, 30, 3), np.uint8))
    >>> features.pixel_values.shape, features.original_images[0].shape
    ((1, 3, 712, 488), (3, 20, 30))
    """
    images = read(call)
    originals = run_each(call, images, "original")
    return {"pixel_values": run(call, images), "original_images": PerImage(originals)}


UNWARPED = Family(with_originals)
