"""The methods of Owlv2 that differ from those of every processor.

The sources are `image_processing_owlv2.py` and `image_processing_pil_owlv2.py` of
`transformers/models/owlv2`, Transformers 5.24.
"""

from __future__ import annotations

from typing import Any

import jax

from jaxprep.errors import InputError
from jaxprep.formats.huggingface.builders import Build, Source
from jaxprep.formats.huggingface.builders.interpolation import add_blurred_resize
from jaxprep.formats.huggingface.frozen import Frozen
from jaxprep.formats.huggingface.settings import settings_of
from jaxprep.huggingface.configs import json_settings, layout_named
from jaxprep.huggingface.images import IMAGES
from jaxprep.huggingface.operations import ImageOperations
from jaxprep.inputs import as_numpy, channels_last, layout_of
from jaxprep.pipeline import Pipeline


def pad(
    self: Any,
    images: Any,
    disable_grouping: Any = None,
    constant_value: float = 0.0,
    data_format: Any = None,
    input_data_format: Any = None,
) -> Any:
    """Pad images below or to the right, each to a square.

    Args:
        images: one array, or several.
        disable_grouping: ignored; on the PIL backend a number is `constant_value`, the second
            argument there.
        constant_value: what the padding is.
        data_format: of the results, by default that of each image.
        input_data_format: of the images, by default told by their channels.

    >>> import numpy as np
    >>> from jaxprep.huggingface import Owlv2ImageProcessor
    >>> Owlv2ImageProcessor().pad(np.ones((3, 1, 2)), constant_value=5)[0].tolist()
    [[1.0, 1.0], [5.0, 5.0]]
    """
    if self.backend == "pil" and disable_grouping is not None:
        constant_value = disable_grouping
    is_one = hasattr(images, "ndim") and images.ndim == 3
    layout = layout_named(input_data_format, "input_data_format")
    padded = []
    for image in [images] if is_one else images:
        array = as_numpy(image, "images", IMAGES)
        side = max(channels_last(array, layout or layout_of(array.shape)).shape[:2])
        result = ImageOperations.pad(
            self,
            array,
            (side, side),
            constant_value,
            data_format=data_format,
            input_data_format=input_data_format,
        )
        padded.append(result)
    return padded[0] if is_one else padded


def resize(
    self: Any,
    image: Any,
    size: Any,
    anti_aliasing: bool = True,
    anti_aliasing_sigma: Any = None,
    data_format: Any = None,
    input_data_format: Any = None,
    **kwargs: Any,
) -> jax.Array:
    """Interpolate an image, or a batch, to `size`; what shrinks is blurred before.

    Args:
        image: one image, or a batch; integers stay integers.
        size: height and width, in any form that the setting takes.
        anti_aliasing: blur what shrinks.
        anti_aliasing_sigma: None; the deviation of the blur follows from the sizes.
        data_format: of the result, by default that of the image.
        input_data_format: of the image, by default told by its channels.
        kwargs: ignored, as in the original; `resample` too.

    Raises:
        InputError: not one image or one batch, or `anti_aliasing_sigma` is given.

    >>> import numpy as np
    >>> from jaxprep.huggingface import Owlv2ImageProcessor
    >>> Owlv2ImageProcessor().resize(np.zeros((3, 8, 6), np.uint8), (4, 4)).shape
    (3, 4, 4)
    """
    del kwargs
    if anti_aliasing_sigma is not None:
        raise InputError(
            "Expected None, since the blur follows from the sizes, got "
            f"{anti_aliasing_sigma!r:.80} - at `anti_aliasing_sigma`."
        )
    config = self._class_config()
    changed = json_settings({"size": size, "do_rescale": False})
    settings = settings_of(config.class_name, Frozen({**config.settings, **changed}))

    def pipeline_of(source: Source) -> Pipeline:
        build = Build(settings, config.backend, source, None, config.reference)
        add_blurred_resize(build, bool(anti_aliasing))
        return Pipeline(tuple(build.steps))

    return self._run(pipeline_of, image, data_format, input_data_format)


OWLV2_METHODS = {"pad": pad, "resize": resize}
