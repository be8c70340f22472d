"""COCO annotations as detection targets, and the targets through what is done to their images;
NumPy, on the host.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from jaxprep.host.decode import read_image
from jaxprep.huggingface import coco
from jaxprep.huggingface.coco import numbers, wrong
from jaxprep.resample.references import ReferenceName
from jaxprep.resample.tables import resize_taps
from jaxprep.types import Size

Target = dict[str, np.ndarray]
"""By name, as the models take it: `boxes` `(n, 4)` float32, corners in pixels until `relative`;
`masks` `(n, h, w)`.
"""


def detection_target(annotation: Any, size: Size, wants_masks: bool, where: str) -> Target:
    """The target of a COCO detection annotation, `{"image_id", "annotations"}`.

    Crowds are left out; boxes are cut at the borders of the image, and objects without an area in
    it are left out too.

    Args:
        size: height and width of the image.
        wants_masks: draw what `segmentation` says of each object.
        where: the annotation's place in the call, for messages.
    """
    objects = _objects(annotation, "annotations", ("image_id",), where)
    places = [
        f"{where}.annotations[{i}]" for i, item in enumerate(objects) if item.get("iscrowd", 0) == 0
    ]
    objects = [item for item in objects if item.get("iscrowd", 0) == 0]
    height, width = size
    boxes = np.asarray(
        [_box(item, place) for item, place in zip(objects, places)], np.float32
    ).reshape(-1, 4)
    boxes[:, 2:] += boxes[:, :2]
    boxes[:, 0::2] = boxes[:, 0::2].clip(min=0, max=width)
    boxes[:, 1::2] = boxes[:, 1::2].clip(min=0, max=height)
    keep = (boxes[:, 3] > boxes[:, 1]) & (boxes[:, 2] > boxes[:, 0])
    classes, area = _integers(objects, "category_id", places), _areas(objects, places)
    target: Target = {
        "image_id": np.asarray([_integer(annotation["image_id"], f"{where}.image_id")], np.int64),
        "class_labels": classes[keep],
        "boxes": boxes[keep],
        "area": area[keep],
        "iscrowd": np.zeros(keep.sum(), np.int64),
        "orig_size": np.asarray(size, np.int64),
    }
    keypoints = _keypoints(objects, places, where)
    if keypoints is not None:
        target["keypoints"] = keypoints[keep].reshape(-1, 3) if keep.any() else keypoints[keep]
    if wants_masks:
        masks = [
            coco.mask_of(_field(item, "segmentation", place), size, f"{place}.segmentation")
            for item, place, is_kept in zip(objects, places, keep)
            if is_kept
        ]
        target["masks"] = np.stack(masks) if masks else np.zeros((0, height, width), bool)
    return target


def panoptic_target(
    annotation: Any, size: Size, wants_masks: bool, masks_path: Any, where: str
) -> Target:
    """The target of a COCO panoptic annotation, `{"image_id", "file_name", "segments_info"}`.

    Boxes are from the first to the last pixel of a segment; crowds stay.

    Args:
        masks_path: the directory of the PNG files whose colours are the ids of segments.
    """
    segments = _objects(annotation, "segments_info", ("image_id", "file_name"), where)
    if not isinstance(masks_path, (str, os.PathLike)):
        raise wrong("the path of a directory", masks_path, "masks_path")
    colours = read_image(
        Path(masks_path) / _inside(annotation["file_name"], f"{where}.file_name")
    ).astype(np.int64)
    if colours.shape[:2] != size:
        raise wrong(f"segments of an image of {size}", colours.shape[:2], f"{where}.file_name")
    places = [f"{where}.segments_info[{i}]" for i in range(len(segments))]
    ids = _integers(segments, "id", places)
    masks = colours @ np.asarray([1, 256, 256 * 256]) == ids[:, None, None]
    target: Target = {
        "image_id": np.asarray([_integer(annotation["image_id"], f"{where}.image_id")], np.int64),
        "size": np.asarray(size, np.int64),
        "orig_size": np.asarray(size, np.int64),
        "boxes": np.stack([*_extent(masks.any(1)), *_extent(masks.any(2))], 1)[:, [0, 2, 1, 3]],
        "class_labels": _integers(segments, "category_id", places),
        "iscrowd": _integers(segments, "iscrowd", places),
        "area": _areas(segments, places),
    }
    if wants_masks:
        target["masks"] = masks
    return target


def _inside(name: Any, where: str) -> str:
    """The name of a file, held to the directory that it is looked for in."""
    if not isinstance(name, str) or Path(name).is_absolute() or ".." in Path(name).parts:
        raise wrong("the path of a file inside `masks_path`", name, where)
    return name


def _extent(used: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """First and last used place of each row, float32; of an empty row 1e8 and 0."""
    some, last = used.any(1), used.shape[1] - 1
    first = np.where(some, used.argmax(1), 1e8)
    return first.astype(np.float32), np.where(some, last - used[:, ::-1].argmax(1), 0).astype(
        np.float32
    )


# -- through what is done to the image ---------------------------------------------------------------------------------


def resized(target: Target, size: Size, out: Size, reference: ReferenceName) -> Target:
    """The target of an image of `size` that was resized to `out`.

    Masks are resized by nearest neighbour, and are bool from then on; keypoints stay as they are.
    """
    vertical, horizontal = (float(m) / float(n) for n, m in zip(size, out, strict=True))
    found = {**target, "size": np.asarray(out, np.int64)}
    found["boxes"] = target["boxes"] * np.asarray(
        [horizontal, vertical, horizontal, vertical], np.float32
    )
    found["area"] = target["area"] * np.float32(vertical * horizontal)
    if "masks" in target:
        rows, columns = (
            resize_taps(n, m, "nearest", False, reference).start
            for n, m in zip(size, out, strict=True)
        )
        found["masks"] = target["masks"][:, rows[:, None], columns].astype(bool)
    return found


def relative(target: Target, size: Size) -> Target:
    """Boxes as centre, width and height, in shares of an image of `size`."""
    x0, y0, x1, y1 = target["boxes"].T
    boxes = np.stack([(x0 + x1) / 2, (y0 + y1) / 2, x1 - x0, y1 - y0], -1)
    height, width = size
    return {**target, "boxes": boxes / np.asarray([width, height, width, height], np.float32)}


def padded(target: Target, size: Size, out: Size, are_relative: bool, is_pil: bool) -> Target:
    """The target of an image of `size` that was padded to `out`, below and to the right.

    Args:
        are_relative: whether boxes are shares of the image, which padding makes smaller.
        is_pil: whether they are multiplied in float64, as on the PIL backend.
    """
    vertical, horizontal = (n / m for n, m in zip(size, out, strict=True))
    found = {**target, "size": np.asarray(out, np.int64)}
    if are_relative:
        ratios = np.asarray(
            [horizontal, vertical, horizontal, vertical], np.float64 if is_pil else np.float32
        )
        found["boxes"] = (target["boxes"] * ratios).astype(np.float32)
    if "masks" in target:
        found["masks"] = np.pad(
            target["masks"], ((0, 0), *((0, m - n) for n, m in zip(size, out, strict=True)))
        )
    return found


# -- reading -----------------------------------------------------------------------------------------------------------


def _objects(
    annotation: Any, name: str, keys: tuple[str, ...], where: str
) -> list[Mapping[str, Any]]:
    """The list under `name`, of an annotation that has the other keys too."""
    if not isinstance(annotation, Mapping) or not {name, *keys} <= set(annotation):
        raise wrong(
            f"an object with {', '.join(f'`{key}`' for key in (*keys, name))}", annotation, where
        )
    objects = annotation[name]
    if not isinstance(objects, (list, tuple)):
        raise wrong("a list of objects", objects, f"{where}.{name}")
    for i, item in enumerate(objects):
        if not isinstance(item, Mapping):
            raise wrong("an object", item, f"{where}.{name}[{i}]")
    return list(objects)


def _field(item: Mapping[str, Any], name: str, where: str) -> Any:
    if name not in item:
        raise wrong(f"an object with `{name}`", item, where)
    return item[name]


def _box(item: Mapping[str, Any], where: str) -> np.ndarray:
    box = numbers(_field(item, "bbox", where), f"{where}.bbox")
    if len(box) != 4:
        raise wrong("a box `[x, y, width, height]`", item["bbox"], f"{where}.bbox")
    return box


def _integer(value: Any, where: str) -> int:
    value = value.item() if hasattr(value, "item") and np.size(value) == 1 else value
    if isinstance(value, bool) or not isinstance(value, int) or abs(value) >= 2**63:
        raise wrong("an integer", value, where)
    return value


def _integers(items: list[Mapping[str, Any]], name: str, places: list[str]) -> np.ndarray:
    found = [
        _integer(_field(item, name, place), f"{place}.{name}") for item, place in zip(items, places)
    ]
    return np.asarray(found, np.int64)


def _areas(items: list[Mapping[str, Any]], places: list[str]) -> np.ndarray:
    found = [
        numbers([_field(item, "area", place)], f"{place}.area")[0]
        for item, place in zip(items, places)
    ]
    return np.asarray(found, np.float32)


def _keypoints(items: list[Mapping[str, Any]], places: list[str], where: str) -> np.ndarray | None:
    """`(objects, 3 * points)` float32; None where no object has any."""
    if not any("keypoints" in item for item in items):
        return None
    found = [
        numbers(_field(item, "keypoints", place), f"{place}.keypoints")
        for item, place in zip(items, places)
    ]
    lengths = sorted({len(points) for points in found})
    if len(lengths) > 1 or lengths[0] % 3:
        raise wrong(
            "as many keypoints `x, y, visibility` for every object", lengths, f"{where}.annotations"
        )
    return np.asarray(found, np.float32)
