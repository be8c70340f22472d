"""COCO annotations as detection targets, and the targets through what is done to their images;
NumPy, on the host.

The functions are those of
https://github.com/huggingface/transformers/blob/main/src/transformers/models/detr/image_processing_detr.py:
`prepare_coco_detection_annotation`, `prepare_coco_panoptic_annotation`, `resize_annotation`,
`normalize_annotation`, `_update_annotation_for_padded_image`.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from jaxprep.host.decode import read_image
from jaxprep.huggingface import coco
from jaxprep.huggingface.coco import numbers, wrong
from jaxprep.resample.references import ReferenceName
from jaxprep.resample.tables import resize_taps
from jaxprep.types import Size

Target = dict[str, Any]
"""Arrays by name, as the models take them: `boxes` `(n, 4)` float32, corners in pixels until
`relative`; `masks` `(n, h, w)`. `size` is a pair of numbers once the image was resized or padded.
"""


def detection_target(
    annotation: Any,
    size: Size,
    wants_masks: bool,
    where: str,
) -> Target:
    """Return the target of a COCO detection annotation, `{"image_id", "annotations"}`.

    Crowds are left out; boxes are cut at the borders of the image, and objects without an area in
    it are left out too.

    Args:
        annotation: of one image.
        size: height and width of the image.
        wants_masks: draw what `segmentation` says of each object.
        where: the annotation's place in the call, for messages.

    Raises:
        InputError: the annotation is not of this form; the message says where.

    >>> box = {"bbox": [1, 2, 3, 9], "category_id": 7, "area": 27, "iscrowd": 0}
    >>> target = detection_target({"image_id": 1, "annotations": [box]}, (8, 8), False, "$")
    >>> target["boxes"].tolist(), target["class_labels"].tolist()
    ([[1.0, 2.0, 4.0, 8.0]], [7])
    """
    listed = _objects(annotation, "annotations", ("image_id",), where)
    objects = [item for item in listed if item.fields.get("iscrowd", 0) == 0]
    boxes = _corner_boxes(objects, size)
    left, top, right, bottom = boxes.T
    has_width = right > left
    has_height = bottom > top
    keep = has_width & has_height
    classes = _integers(objects, "category_id")
    area = _areas(objects)
    image_id = _integer(annotation["image_id"], f"{where}.image_id")
    target: Target = {
        "image_id": np.asarray([image_id], np.int64),
        "class_labels": classes[keep],
        "boxes": boxes[keep],
        "area": area[keep],
        "iscrowd": np.zeros(keep.sum(), np.int64),
        "orig_size": np.asarray(size, np.int64),
    }
    keypoints = _keypoints(objects, where)
    if keypoints is not None:
        kept = keypoints[keep]
        # Transformers reshapes to (-1, 3) only where an object is left.
        target["keypoints"] = kept.reshape(-1, 3) if len(kept) else kept
    if wants_masks:
        kept_objects = [objects[i] for i in np.flatnonzero(keep)]
        target["masks"] = _drawn_masks(kept_objects, size)
    return target


def _corner_boxes(objects: list[_Object], size: Size) -> np.ndarray:
    """Corners `(n, 4)` float32, cut at the borders of the image."""
    height, width = size
    listed = [_box(item) for item in objects]
    boxes = np.asarray(listed, np.float32).reshape(-1, 4)
    # Added in float32, as the original does: in float64 corners would differ in the last bit.
    boxes[:, 2:] += boxes[:, :2]
    borders = np.asarray([width, height, width, height], np.float32)
    return boxes.clip(0, borders)


def _drawn_masks(objects: list[_Object], size: Size) -> np.ndarray:
    """What `segmentation` says of each object, `(n, h, w)` bool."""
    masks = np.zeros((len(objects), *size), bool)
    for i, item in enumerate(objects):
        outline = item.field("segmentation")
        masks[i] = coco.mask_of(outline, size, item.place("segmentation"))
    return masks


def panoptic_target(
    annotation: Any,
    size: Size,
    wants_masks: bool,
    masks_path: Any,
    where: str,
) -> Target:
    """Return the target of a COCO panoptic annotation, `{"image_id", "file_name",
    "segments_info"}`.

    Boxes are from the first to the last pixel of a segment; crowds stay. The file may be of another
    size than the image: boxes and masks are in its pixels then, as in the original.

    Args:
        annotation: of one image.
        size: height and width of the image.
        wants_masks: return `masks`.
        masks_path: the directory of the PNG files whose colours are the ids of segments.
        where: the annotation's place in the call, for messages.

    Raises:
        InputError: the annotation is not of this form.

    >>> import tempfile
    >>> from PIL import Image
    >>> segment = {"id": 1, "category_id": 7, "area": 4, "iscrowd": 0}
    >>> annotation = {"image_id": 1, "file_name": "a.png", "segments_info": [segment]}
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     Image.new("RGB", (2, 2), (1, 0, 0)).save(Path(folder, "a.png"))
    ...     target = panoptic_target(annotation, (2, 2), True, folder, "$")
    >>> target["boxes"].tolist()
    [[0.0, 0.0, 1.0, 1.0]]
    """
    segments = _objects(annotation, "segments_info", ("image_id", "file_name"), where)
    if not isinstance(masks_path, (str, os.PathLike)):
        raise wrong("the path of a directory", masks_path, "masks_path")
    file_name = _inside(annotation["file_name"], f"{where}.file_name")
    colours = read_image(Path(masks_path) / file_name)
    ids = _integers(segments, "id")
    # An id is the colour as a number in base 256, red first: `rgb_to_id` of
    # `transformers/image_transforms.py`.
    place_values = np.asarray([1, 256, 256 * 256])
    colour_ids = colours.astype(np.int64) @ place_values
    masks = colour_ids == ids[:, None, None]
    left, right = _extent(masks.any(1))
    top, bottom = _extent(masks.any(2))
    image_id = _integer(annotation["image_id"], f"{where}.image_id")
    target: Target = {
        "image_id": np.asarray([image_id], np.int64),
        "size": np.asarray(size, np.int64),
        "orig_size": np.asarray(size, np.int64),
        "boxes": np.stack([left, top, right, bottom], 1),
        "class_labels": _integers(segments, "category_id"),
        "iscrowd": _integers(segments, "iscrowd"),
        "area": _areas(segments),
    }
    if wants_masks:
        target["masks"] = masks
    return target


def _inside(name: Any, where: str) -> str:
    """The name of a file inside the directory that it is looked for in.

    Annotations are data from anywhere: "../" would let them read other files.
    """
    if isinstance(name, str):
        path = Path(name)
        if not path.is_absolute() and ".." not in path.parts:
            return name
    raise wrong("the path of a file inside `masks_path`", name, where)


def _extent(used: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The first and the last used position of each row, float32; of an empty row 1e8 and 0, as in
    `masks_to_boxes`.
    """
    is_used = used.any(1)
    first = used.argmax(1)
    backwards = used[:, ::-1]
    last = used.shape[1] - 1 - backwards.argmax(1)
    first = np.where(is_used, first, 1e8)
    last = np.where(is_used, last, 0)
    return first.astype(np.float32), last.astype(np.float32)


# -- through what is done to the image -----------------------------------------------------------


def resized(
    target: Target,
    size: Size,
    out: Size,
    reference: ReferenceName,
) -> Target:
    """Return the target of an image of `size` that was resized to `out`.

    Masks are resized by nearest neighbour, and are bool from then on; keypoints stay as they are,
    as in the original.

    >>> target = {"boxes": np.ones((1, 4), np.float32), "area": np.ones(1, np.float32)}
    >>> resized(target, (8, 8), (4, 16), "pillow")["boxes"].tolist()
    [[2.0, 0.5, 2.0, 0.5]]
    """
    height, width = size
    out_height, out_width = out
    vertical = out_height / height
    horizontal = out_width / width
    ratios = np.asarray([horizontal, vertical, horizontal, vertical], np.float32)
    changed: Target = {"size": out}
    if "boxes" in target:
        changed["boxes"] = target["boxes"] * ratios
    if "area" in target:
        changed["area"] = target["area"] * np.float32(vertical * horizontal)
    if "masks" in target:
        # Nearest takes one pixel for each, so rows and columns are the tables' first taps. Masks of
        # a panoptic file may be of another size than the image.
        mask_height, mask_width = target["masks"].shape[1:]
        rows = resize_taps(mask_height, out_height, "nearest", False, reference).start
        columns = resize_taps(mask_width, out_width, "nearest", False, reference).start
        masks = target["masks"][:, rows[:, None], columns]
        changed["masks"] = masks.astype(bool)
    return {**target, **changed}


def relative(target: Target, size: Size) -> Target:
    """Return boxes as centre, width and height, in shares of an image of `size`.

    >>> target = {"boxes": np.array([[1, 2, 3, 4]], np.float32)}
    >>> relative(target, (8, 4))["boxes"].tolist()
    [[0.5, 0.375, 0.5, 0.25]]
    """
    x0, y0, x1, y1 = target["boxes"].T
    columns = [
        (x0 + x1) / 2,
        (y0 + y1) / 2,
        x1 - x0,
        y1 - y0,
    ]
    boxes = np.stack(columns, -1)
    height, width = size
    sides = np.asarray([width, height, width, height], np.float32)
    return {**target, "boxes": boxes / sides}


def padded(
    target: Target,
    size: Size,
    out: Size,
    are_relative: bool,
    is_pil: bool,
) -> Target:
    """Return the target of an image of `size` that was padded to `out`, below and to the right.

    Args:
        are_relative: boxes are shares of the image, which padding makes smaller.
        is_pil: they are multiplied in float64, as NumPy does on the PIL backend.

    >>> target = {"boxes": np.full((1, 4), 0.5, np.float32)}
    >>> padded(target, (8, 8), (16, 8), True, False)["boxes"].tolist()
    [[0.5, 0.25, 0.5, 0.25]]
    """
    height, width = size
    out_height, out_width = out
    changed: Target = {"size": out}
    if are_relative:
        vertical = height / out_height
        horizontal = width / out_width
        dtype = np.float64 if is_pil else np.float32
        ratios = np.asarray([horizontal, vertical, horizontal, vertical], dtype)
        boxes = target["boxes"] * ratios
        changed["boxes"] = boxes.astype(np.float32)
    if "masks" in target:
        below = (0, out_height - height)
        to_the_right = (0, out_width - width)
        changed["masks"] = np.pad(target["masks"], ((0, 0), below, to_the_right))
    return {**target, **changed}


# -- reading -------------------------------------------------------------------------------------


class _Object(NamedTuple):
    """One object of an annotation, and its place in the call for messages."""

    fields: Mapping[str, Any]
    where: str

    def field(self, name: str) -> Any:
        if name not in self.fields:
            raise wrong(f"an object with `{name}`", self.fields, self.where)
        return self.fields[name]

    def place(self, name: str) -> str:
        return f"{self.where}.{name}"


def _objects(
    annotation: Any,
    name: str,
    keys: tuple[str, ...],
    where: str,
) -> list[_Object]:
    """The list under `name`, of an annotation that has the other keys too."""
    needed = (*keys, name)
    if not isinstance(annotation, Mapping) or not set(needed) <= set(annotation):
        listed = ", ".join(f"`{key}`" for key in needed)
        raise wrong(f"an object with {listed}", annotation, where)
    items = annotation[name]
    if not isinstance(items, (list, tuple)):
        raise wrong("a list of objects", items, f"{where}.{name}")
    objects = []
    for i, item in enumerate(items):
        place = f"{where}.{name}[{i}]"
        if not isinstance(item, Mapping):
            raise wrong("an object", item, place)
        objects.append(_Object(item, place))
    return objects


def _box(item: _Object) -> np.ndarray:
    value = item.field("bbox")
    place = item.place("bbox")
    box = numbers(value, place)
    if len(box) != 4:
        raise wrong("a box `[x, y, width, height]`", value, place)
    return box


def _integer(value: Any, where: str) -> int:
    """An integer that int64 holds, also one in an array."""
    if hasattr(value, "item") and np.size(value) == 1:
        value = value.item()
    if isinstance(value, bool) or not isinstance(value, int):
        raise wrong("an integer", value, where)
    if abs(value) >= 2**63:
        raise wrong("an integer", value, where)
    return value


def _integers(objects: list[_Object], name: str) -> np.ndarray:
    values = []
    for item in objects:
        value = item.field(name)
        values.append(_integer(value, item.place(name)))
    return np.asarray(values, np.int64)


def _areas(objects: list[_Object]) -> np.ndarray:
    areas = []
    for item in objects:
        value = item.field("area")
        [area] = numbers([value], item.place("area"))
        areas.append(area)
    return np.asarray(areas, np.float32)


def _keypoints(objects: list[_Object], where: str) -> np.ndarray | None:
    """`(objects, 3 * points)` float32; None where no object has any."""
    if not any("keypoints" in item.fields for item in objects):
        return None
    keypoints = []
    for item in objects:
        value = item.field("keypoints")
        keypoints.append(numbers(value, item.place("keypoints")))
    lengths = sorted({len(points) for points in keypoints})
    if len(lengths) > 1 or lengths[0] % 3:
        expected = "as many keypoints `x, y, visibility` for every object"
        raise wrong(expected, lengths, f"{where}.annotations")
    return np.asarray(keypoints, np.float32)
