"""Converts bounding boxes and segmentation masks in dictionaries, with their images.

The keys, and what happens to a box that is cropped away, are those of Keras:
https://github.com/keras-team/keras/blob/master/keras/src/layers/preprocessing/image_preprocessing/resizing.py
and `bounding_boxes/converters.py` in the same folder. Boxes move exactly as the pixels do here,
which Keras computes by another formula; docs/differences.md has both.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from jaxprep import codec, inputs, pictures
from jaxprep.errors import InputError
from jaxprep.formats import Format
from jaxprep.ops.boxes import from_corners, to_corners
from jaxprep.pipeline import Ragged
from jaxprep.pipeline.numbers import as_numbers
from jaxprep.pipeline.placement import common, placement_of
from jaxprep.slips import Kind, check_names, known_shape
from jaxprep.types import Batch, Size, is_traced

IMAGES, MASKS, BOXES = "images", "segmentation_masks", "bounding_boxes"

KEYS: dict[Kind, str] = {"masks": MASKS, "boxes": BOXES}
NO_KEY = "`Batch(keypoints=...)` and a pipeline"

MIN_SIDE = 1e-3
"""Pixels. A box that was cropped away keeps a side up to this, by rounding in float32."""


def has_labels(x: Mapping[str, Any]) -> bool:
    """Return whether a dictionary has boxes or masks.

    >>> has_labels({"images": None, "labels": [1]})
    False
    """
    return MASKS in x or BOXES in x


def check_keys(x: Mapping[str, Any], config: Format) -> None:
    """Refuse boxes, masks and keypoints under a misspelt key, by which nothing would move them, and
    warn of those under a short one, such as `mask`.

    Args:
        x: a dictionary with images.
        config: what is done to its images.

    Raises:
        InputError: a misspelt key.

    >>> from jaxprep.formats import KerasHub
    >>> check_keys({"images": np.zeros((2, 2, 3)), "labels": [1]}, KerasHub())
    """
    for key in (MASKS, BOXES):
        near = difflib.get_close_matches(key, [str(name) for name in x], n=1, cutoff=0.8)
        if near and key not in x:
            raise InputError(
                f"Expected the key `{key}`, got `{near[0]}`, which would pass through as it is."
            )
    others = {key: value for key, value in x.items() if key not in (IMAGES, MASKS, BOXES)}
    if not others or not config.pipeline.moves_pixels:
        return
    images = x[IMAGES]
    if not is_traced(images) and inputs.is_list_of_images(images):
        images = images[0]
        others = {key: _first(value) for key, value in others.items()}
    if pictures.is_pil(images):
        shape: Any = (images.height, images.width, 3)
    else:
        shape = known_shape(images)
    # Of another rank an error of its own says so.
    if shape is None or len(shape) not in (3, 4):
        return
    height_axis = -2 if config.pipeline.reads_channels_first else -3
    size = shape[height_axis], shape[height_axis + 1]
    instead: dict[Kind, str] = {"keypoints": NO_KEY}
    instead |= {kind: f"the key `{key}`" for kind, key in KEYS.items() if key not in x}
    check_names(others, tuple(shape[:-3]), size, instead, "x")


def _first(value: Any) -> Any:
    return value[0] if isinstance(value, (list, tuple)) and value else value


def convert_labelled(x: Mapping[str, Any], config: Format) -> dict[str, Any]:
    """Convert the images of a dictionary, and its boxes and masks with them.

    Args:
        x: "images" as in `ImageConverter.__call__`, with "bounding_boxes" (`{"boxes": (n, 4),
            "labels": (n,)}` in the config's `bounding_box_format`) or "segmentation_masks"
            `(h, w)` or `(h, w, 1)`, or both; for a batch or a list of images, as many of each.
            Other entries pass through.
        config: what to do to the images.

    Returns:
        the same keys. Masks are resized by nearest neighbour. Boxes are clipped to the result; one
        of which nothing is left, and padding (all 0 or all -1), has the label -1. Entries of a list
        are stacked where they have one shape.

    Raises:
        InputError: boxes of another shape, another number of labels than of boxes, a mask of
            another size than its image, or not one of each for every image of a list.

    >>> from jaxprep.formats import KerasHub
    >>> boxes = {"boxes": np.array([[0.0, 0.0, 4.0, 4.0]]), "labels": np.array([7])}
    >>> inputs = {"images": np.zeros((8, 8, 3), np.uint8), "bounding_boxes": boxes}
    >>> result = convert_labelled(inputs, KerasHub(image_size=(4, 4)))
    >>> result["bounding_boxes"]["boxes"].tolist()
    [[0.0, 0.0, 2.0, 2.0]]
    """
    images = x[IMAGES]
    # Images of different sizes have boxes in pixels of their image each.
    if not is_traced(images) and inputs.is_list_of_images(images):
        return _convert_each(x, config)
    image = _to_array(images, config)
    pipeline = config.pipeline
    batch = Batch(image=image)
    if MASKS in x:
        pipeline = pipeline.replace(kinds=((MASKS, "mask"),))
        mask = as_numbers(x[MASKS], "masks (h, w) or (h, w, 1), or a batch of them", MASKS)
        batch = batch.replace(extras={MASKS: mask})
    # Without a size of the results nothing is resized or cropped, and boxes stay as they are.
    if BOXES in x and config.image_size is not None:
        if pipeline.reads_channels_first:
            height, width = image.shape[-2:]
        else:
            height, width = image.shape[-3:-1]
        batch = batch.replace(boxes=_corners(x[BOXES], (height, width), config))
    batch = pipeline(batch)
    result = {**x, IMAGES: batch.image}
    if MASKS in x:
        result[MASKS] = batch.extras[MASKS]
    if batch.boxes is not None:
        result[BOXES] = _boxes_of_corners(batch.boxes, x[BOXES], config)
    return result


def _to_array(images: Any, config: Format) -> Any:
    """Return an image or a batch in the layout that the pipeline reads."""
    if is_traced(images):
        return images
    # one of JAX stays where it is
    if isinstance(images, jax.Array):
        inputs.check_rank(images, config, "x")
        return images
    if pictures.is_pil(images):
        array = pictures.from_pil(images, config, IMAGES, in_own_mode=False).pixels
    else:
        array = inputs.from_array(images, config)
    return np.moveaxis(array, -1, -3) if config.pipeline.reads_channels_first else array


def _convert_each(x: Mapping[str, Any], config: Format) -> dict[str, Any]:
    """Convert images of a list one by one, each with its mask and its boxes, however many."""
    _check_one_for_each_image(x)
    results = []
    for i in range(len(x[IMAGES])):
        single = {key: x[key][i] for key in (IMAGES, MASKS) if key in x}
        if BOXES in x:
            single[BOXES] = {key: x[BOXES][key][i] for key in ("boxes", "labels")}
        results.append(convert_labelled(single, config))
    combined = dict(x)
    for key in results[0]:
        values = [result[key] for result in results]
        if key == BOXES:
            combined[key] = {**x[BOXES], **_combined_boxes(values)}
        else:
            placement = common(values, key)
            combined[key] = Ragged.of(values, placement).stacked_or_listed()
    return combined


def _check_one_for_each_image(x: Mapping[str, Any]) -> None:
    """Refuse masks and boxes that are not as many as the images of a list, which would be left out,
    or belong to other images.
    """
    entries = {MASKS: x[MASKS]} if MASKS in x else {}
    if BOXES in x:
        _check_has_boxes(x[BOXES])
        entries |= {f"{BOXES}.{key}": x[BOXES][key] for key in ("boxes", "labels")}
    count = len(x[IMAGES])
    for where, value in entries.items():
        try:
            got = f"{len(value)}"
        except TypeError:  # a number, None, an iterator, an array without axes
            got = f"`{type(value).__name__}`"
        if got != f"{count}":
            raise InputError(
                f"Expected a list with an entry for each of {count} images, got {got} - at "
                f"`{where}`."
            )


def _combined_boxes(boxes: list[dict[str, Any]]) -> dict[str, Any]:
    """Stack the entries of boxes of several images, or list them where they differ in number."""
    combined = {}
    for name in boxes[0]:
        entries = [of_image[name] for of_image in boxes]
        placement = common(entries, f"{BOXES}.{name}")
        arrays = [np.asarray(entry) for entry in entries]
        combined[name] = Ragged.of(arrays, placement).stacked_or_listed()
    return combined


def _box_format(config: Format) -> str:
    """Return the format of a config's boxes: KerasHub's names it, for others they are corners."""
    return getattr(config, "bounding_box_format", "xyxy")


def _check_has_boxes(boxes: Any) -> None:
    has_keys = isinstance(boxes, Mapping) and {"boxes", "labels"} <= set(boxes)
    if not has_keys:
        raise InputError(
            f"Expected a dictionary with `boxes` and `labels`, got {codec.shown(boxes)} - at "
            f"`{BOXES}`. For a list of images, each is a list with an entry for each image."
        )


def _corners(boxes: Any, size: Size, config: Format) -> Float[Array, "*batch n 4"]:
    """Return the boxes of a dictionary, for images of `size`, as corners in pixels."""
    _check_has_boxes(boxes)
    array = as_numbers(boxes["boxes"], "boxes (n, 4) or (batch, n, 4)", f"{BOXES}.boxes")
    if array.shape == (0,):  # a list of none
        array = array.reshape(0, 4)
    array = jnp.asarray(array, jnp.float32)
    if array.ndim < 2 or array.shape[-1] != 4:
        raise InputError(
            f"Expected boxes (n, 4) or (batch, n, 4), got shape {array.shape} - at `{BOXES}.boxes`."
        )
    labels = _labels_of(boxes)
    # Those of one image, or alike in all images, may come without the axis of the batch.
    if labels.shape not in (array.shape[:-1], array.shape[-2:-1]):
        raise InputError(
            f"Expected one label for each box, {array.shape[:-1]}, got shape {labels.shape} - at "
            f"`{BOXES}.labels`."
        )
    corners = to_corners(array, _box_format(config), size)
    # Boxes of a batch are padded with -1 by some data sets, and with 0 by others.
    all_zero = jnp.all(array == 0, -1, keepdims=True)
    all_minus_one = jnp.all(array == -1, -1, keepdims=True)
    # Padding must have no area in the results, wherever crops and pads move it.
    return jnp.where(all_zero | all_minus_one, -jnp.inf, corners)


def _labels_of(boxes: Mapping[str, Any]) -> Any:
    """Return the labels of boxes, in a type that has -1."""
    labels = as_numbers(boxes["labels"], "one number for each box", f"{BOXES}.labels")
    is_unsigned = jnp.issubdtype(labels.dtype, jnp.unsignedinteger) or labels.dtype == bool
    return labels.astype(jnp.int32) if is_unsigned else labels


def _boxes_of_corners(
    corners: Float[Array, "*batch n 4"], boxes: Mapping[str, Any], config: Format
) -> dict[str, Any]:
    """Corners in the results as the boxes of a dictionary; without area they have the label -1."""
    sides = corners[..., 2:] - corners[..., :2]
    has_area = jnp.all(sides > MIN_SIDE, -1)
    # labels of another device stay there
    has_area = jax.device_put(has_area, placement_of(boxes["labels"]))
    labels = jnp.asarray(_labels_of(boxes))
    # -1 stands for no class, as in Keras' padding of labels.
    no_label = -jnp.ones((), labels.dtype)
    assert config.image_size is not None  # boxes are converted only where the size is known
    return {
        **boxes,
        "boxes": from_corners(corners, _box_format(config), config.image_size),
        "labels": jnp.where(has_area, labels, no_label),
    }
