"""The single operations of classes whose methods `pad`, `resize` or `center_crop` differ from those
of every processor.

Where a docstring names a model, the source is `transformers/models/<model>/
image_processing_<model>.py`, Transformers 5.24.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxprep.errors import InputError
from jaxprep.formats.huggingface import classes
from jaxprep.formats.huggingface.builders import Build, Source, builder_named
from jaxprep.formats.huggingface.builders.interpolation import add_blurred_resize
from jaxprep.formats.huggingface.frozen import Frozen
from jaxprep.formats.huggingface.settings import settings_of
from jaxprep.huggingface.annotations import padded as padded_target
from jaxprep.huggingface.configs import json_settings, layout_named
from jaxprep.huggingface.features import BatchFeature
from jaxprep.huggingface.images import IMAGES
from jaxprep.huggingface.operations import ImageOperations
from jaxprep.inputs import as_numpy, channels_last, layout_of
from jaxprep.ops.tile_sizes import TiledCanvas
from jaxprep.pipeline import Pipeline
from jaxprep.types import Size, is_traced

# -- to a square, and blurred --------------------------------------------------------------------


def pad_to_corner_square(
    self: Any,
    images: Any,
    disable_grouping: Any = None,
    constant_value: float = 0.0,
    data_format: Any = None,
    input_data_format: Any = None,
) -> Any:
    """Pad images below or to the right, each to a square (Owlv2).

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
    padded = []
    for image in [images] if is_one else images:
        side = max(_size_of(image, input_data_format))
        result = ImageOperations.pad(
            self,
            image,
            (side, side),
            constant_value,
            data_format=data_format,
            input_data_format=input_data_format,
        )
        padded.append(result)
    return padded[0] if is_one else padded


def resize_blurred(
    self: Any,
    image: Any,
    size: Any,
    anti_aliasing: bool = True,
    anti_aliasing_sigma: Any = None,
    data_format: Any = None,
    input_data_format: Any = None,
    **kwargs: Any,
) -> jax.Array:
    """Interpolate an image, or a batch, to `size`; what shrinks is blurred before (Owlv2).

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


# -- with a mask, and with boxes -----------------------------------------------------------------


def pad_with_mask(
    self: Any,
    image: Any,
    padded_size: Size,
    fill: float = 0,
    return_pixel_mask: bool = True,
    data_format: Any = None,
    input_data_format: Any = None,
) -> tuple[jax.Array, jax.Array | None]:
    """Pad an image, or a batch, below and to the right (Idefics 2 and 3).

    Args:
        image: one image, or a batch of one size.
        padded_size: height and width.
        fill: what the padding is.
        return_pixel_mask: return the mask too, else None.
        data_format: of the result, by default that of the image.
        input_data_format: of the image, by default told by its channels.

    Returns:
        the image and its mask `(h, w)`, int32, 1 where the image is.

    Raises:
        InputError: an image is larger than `padded_size`.

    >>> import numpy as np
    >>> from jaxprep.huggingface import Idefics3ImageProcessor
    >>> image, mask = Idefics3ImageProcessor().pad(np.ones((3, 1, 2)), (2, 2), fill=5)
    >>> image[0].tolist(), mask.tolist()
    ([[1.0, 1.0], [5.0, 5.0]], [[1, 1], [0, 0]])
    """
    layouts = {"data_format": data_format, "input_data_format": input_data_format}
    result, mask = ImageOperations.pad(
        self, image, tuple(padded_size), fill, return_mask=True, **layouts
    )
    if isinstance(result, list):
        result, mask = jnp.stack(result), jnp.stack(mask)
    return result, mask if return_pixel_mask else None


def pad_with_annotation(
    self: Any,
    image: Any,
    padded_size: Size,
    annotation: Any = None,
    update_bboxes: bool = True,
    fill: float = 0,
    data_format: Any = None,
    input_data_format: Any = None,
) -> tuple[jax.Array, jax.Array | None, Any]:
    """Pad an image, or a batch, below and to the right, and its target (DETR).

    Args:
        image: one image, or a batch of one size.
        padded_size: height and width.
        annotation: what `prepare_annotation` returns, or a list of them, one for each image.
        update_bboxes: boxes are shares of the image, which padding makes smaller.
        fill: what the padding is.
        data_format: of the result, by default that of the image.
        input_data_format: of the image, by default told by its channels.

    Returns:
        the image, its mask `(h, w)`, int32, 1 where the image is, and the target.

    Raises:
        InputError: an image is larger than `padded_size`.

    >>> import numpy as np
    >>> from jaxprep.huggingface import DetrImageProcessor
    >>> target = {"boxes": np.full((1, 4), 0.5, np.float32)}
    >>> image, mask, target = DetrImageProcessor().pad(np.ones((3, 2, 2)), (4, 2), target)
    >>> mask.shape, target["boxes"].tolist()
    ((4, 2), [[0.5, 0.25, 0.5, 0.25]])
    """
    layouts = {"data_format": data_format, "input_data_format": input_data_format}
    result, mask = pad_with_mask(self, image, padded_size, fill, **layouts)
    out = (int(padded_size[0]), int(padded_size[1]))
    size = _size_of(image, input_data_format)

    def follow(target: Mapping[str, Any]) -> BatchFeature:
        arrays = {key: np.asarray(value) for key, value in target.items()}
        are_relative = update_bboxes and "boxes" in arrays
        changed = padded_target(arrays, size, out, are_relative, self.backend == "pil")
        return BatchFeature(changed, "jax")

    if annotation is None or size == out:
        return result, mask, annotation
    if isinstance(annotation, (list, tuple)):
        return result, mask, [follow(target) for target in annotation]
    return result, mask, follow(annotation)


# -- to multiples, tiles and shares --------------------------------------------------------------


def pad_to_next_multiple(
    self: Any,
    images: Any,
    pad_size: Any = None,
    size_divisor: int = 8,
    data_format: Any = None,
    input_data_format: Any = None,
    **kwargs: Any,
) -> jax.Array:
    """Mirror an image, or a batch, below and to the right to the next multiple above its size
    (Swin2SR).

    Args:
        images: one image, or a batch of one size.
        pad_size: ignored, as in the original; so are `kwargs`.
        size_divisor: sides are multiples of it.
        data_format: of the result, by default that of the image.
        input_data_format: of the image, by default told by its channels.

    >>> import numpy as np
    >>> from jaxprep.huggingface import Swin2SRImageProcessor
    >>> Swin2SRImageProcessor().pad(np.ones((3, 8, 6)), None, 4).shape
    (3, 12, 8)
    """
    del pad_size, kwargs
    given = {"do_pad": True, "size_divisor": size_divisor}
    entry = builder_named("pad_next_multiple")
    return self._apply(entry, given, images, data_format, input_data_format)


def pad_to_tiles(
    self: Any,
    image: Any,
    size: Any,
    aspect_ratio: Size,
    data_format: Any = None,
    input_data_format: Any = None,
) -> jax.Array:
    """Pad an image, or a batch, with 0 below and to the right to whole tiles (Mllama).

    Args:
        image: one image, or a batch of one size.
        size: height and width of a tile.
        aspect_ratio: rows and columns of tiles.
        data_format: of the result, by default that of the image.
        input_data_format: of the image, by default told by its channels.

    Raises:
        InputError: an image is larger than the tiles.

    >>> import numpy as np
    >>> from jaxprep.huggingface import MllamaImageProcessor
    >>> size = {"height": 4, "width": 4}
    >>> MllamaImageProcessor().pad(np.ones((3, 5, 6)), size, (2, 3)).shape
    (3, 8, 12)
    """
    # By another name, since `size` of the config must be a square.
    config = self._class_config().overridden(json_settings({"pad_size": size}))
    height, width = config.effective.pair("pad_size")
    rows, columns = aspect_ratio
    padded_size = (height * int(rows), width * int(columns))
    layouts = {"data_format": data_format, "input_data_format": input_data_format}
    return pad_with_mask(self, image, padded_size, **layouts)[0]


def resize_to_tiles(
    self: Any,
    image: Any,
    size: Any,
    max_image_tiles: int | None = None,
    resample: Any = None,
    data_format: Any = None,
    input_data_format: Any = None,
    antialias: bool | None = None,
    **kwargs: Any,
) -> tuple[jax.Array, Size]:
    """Resize an image, or a batch, into the tiles that fit it best (Mllama).

    Args:
        image: one image, or a batch of one size.
        size: height and width of a tile, which is a square.
        max_image_tiles: how many tiles there may be, by default the processor's number.
        resample: one of PIL's integers, or a name; by default the setting's.
        data_format: of the result, by default that of the image.
        input_data_format: of the image, by default told by its channels.
        antialias: of the torchvision backend; by default True.
        kwargs: ignored.

    Returns:
        the image, and the rows and columns of tiles.

    >>> import numpy as np
    >>> from jaxprep.huggingface import MllamaImageProcessor
    >>> size = {"height": 8, "width": 8}
    >>> resized, tiles = MllamaImageProcessor().resize(np.ones((3, 8, 16), np.uint8), size)
    >>> resized.shape, tiles
    ((3, 8, 16), (1, 2))
    """
    del kwargs
    said = json_settings({"size": size})
    if max_image_tiles is not None:
        said["max_image_tiles"] = max_image_tiles
    settings = self._class_config().overridden(said).effective
    side = settings.pair("size")[0]
    rule = TiledCanvas(side, settings.integer("max_image_tiles"))
    fitted = rule.fit(_size_of(image, input_data_format))
    # The tiles are not filled: that is what `pad` does.
    given = {"do_resize": True, "size": fitted.content, "resample": resample}
    # Pillow's method has no such argument.
    interpolates = antialias is False and self.backend == "torchvision"
    entry = builder_named("resize_interpolating" if interpolates else "resize")
    result = self._apply(entry, given, image, data_format, input_data_format)
    height, width = fitted.canvas
    return result, (height // side, width // side)


def resize_shortest_below(
    self: Any,
    image: Any,
    size: Any,
    resample: Any = None,
    size_divisor: int | None = None,
    data_format: Any = None,
    input_data_format: Any = None,
) -> jax.Array:
    """Resize the shorter edge of an image, or of a batch, to `size`; the longer one is bounded
    (ViLT).

    Args:
        image: one image, or a batch of one size.
        size: with `shortest_edge`.
        resample: one of PIL's integers, or a name; by default the setting's.
        size_divisor: sides are cut down to multiples of it; None is no such number on the
            torchvision backend, and the processor's on the other.
        data_format: of the result, by default that of the image.
        input_data_format: of the image, by default told by its channels.

    >>> import numpy as np
    >>> from jaxprep.huggingface import ViltImageProcessor
    >>> image, size = np.ones((3, 20, 30), np.uint8), {"shortest_edge": 40}
    >>> ViltImageProcessor().resize(image, size).shape
    (3, 40, 60)
    """
    if size_divisor is None and self.backend == "pil":
        size_divisor = self.size_divisor
    return ImageOperations.resize(
        self,
        image,
        size,
        resample,
        data_format,
        input_data_format,
        size_divisor=size_divisor,
    )


def crop_center_share(
    self: Any,
    image: Any,
    size: Any,
    crop_size: Any = None,
    data_format: Any = None,
    input_data_format: Any = None,
    **kwargs: Any,
) -> jax.Array:
    """Cut out the middle `size / crop_size` of the shorter edge of an image or a batch (Perceiver).

    Args:
        image: one image, or a batch of one size.
        size: height and width.
        crop_size: height and width, by default the processor's.
        data_format: of the result, by default that of the image.
        input_data_format: of the image, by default told by its channels.
        kwargs: ignored.

    >>> import numpy as np
    >>> from jaxprep.huggingface import PerceiverImageProcessor
    >>> PerceiverImageProcessor().center_crop(np.ones((3, 20, 30)), 10, 12).shape
    (3, 16, 16)
    """
    del kwargs
    given = {"do_center_crop": True, "size": size}
    if crop_size is not None:
        given["crop_size"] = crop_size
    entry = builder_named("center_crop_share")
    return self._apply(entry, given, image, data_format, input_data_format)


def _size_of(image: Any, input_data_format: Any) -> Size:
    """Height and width of an image, or of those of a batch."""
    layout = layout_named(input_data_format, "input_data_format")
    first = image[0] if np.ndim(image) == 4 else image
    array = first if is_traced(first) else as_numpy(first, "images", IMAGES)
    height, width = channels_last(array, layout or layout_of(array.shape)).shape[:2]
    return height, width


def _methods() -> dict[str, dict[str, Callable[..., Any]]]:
    found: dict[str, dict[str, Callable[..., Any]]] = {
        "Owlv2ImageProcessor": {"pad": pad_to_corner_square, "resize": resize_blurred},
        "Swin2SRImageProcessor": {"pad": pad_to_next_multiple},
        "MllamaImageProcessor": {"pad": pad_to_tiles, "resize": resize_to_tiles},
        "ViltImageProcessor": {"resize": resize_shortest_below},
        "PerceiverImageProcessor": {"center_crop": crop_center_share},
    }
    for name in ("Idefics2", "Idefics3", "SmolVLM", "UltraVBert"):
        found[f"{name}ImageProcessor"] = {"pad": pad_with_mask}
    for name, row in classes.rows().items():
        if row.family == "detection":
            found[name] = {"pad": pad_with_annotation}
    return found


OWN_OPERATIONS = _methods()
"""By class; they stand instead of those of `ImageOperations`."""
