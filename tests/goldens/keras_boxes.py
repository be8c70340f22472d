"""The bounding box cases of keras_hub.npz: KerasHub's boxes, and where they should be on the image it made.

KerasHub crops and pads its images by whole pixels, and its boxes by another formula. `want_boxes` follow the image: the map
below is checked against the image that KerasHub itself makes of a ramp of coordinates.
"""

import keras_hub
import numpy as np

FORMATS = (
    "xyxy",
    "yxyx",
    "xywh",
    "center_xywh",
    "center_yxhw",
    "rel_xyxy",
    "rel_yxyx",
    "rel_xywh",
    "rel_center_xywh",
)
MODES = ("crop", "pad", "stretch")
EXACT_SIZES = ((40, 60, 20, 30), (64, 32, 16, 8), (48, 80, 24, 40))  # height, width -> height, width: same aspect
SAME = 0.01  # pixels; closer than this, KerasHub is right


def to_xyxy(boxes: np.ndarray, box_format: str, height: int, width: int) -> np.ndarray:
    """Corners x, y, x, y in pixels of an image of `height` and `width`."""
    kind = box_format.removeprefix("rel_")
    first, second = boxes[..., :2], boxes[..., 2:]
    if "yx" in kind and kind != "xyxy":
        first, second = first[..., ::-1], second[..., ::-1]
    if kind.startswith("center"):
        first, second = first - second / 2, first + second / 2
    elif kind == "xywh":
        second = first + second
    corners = np.concatenate([first, second], axis=-1)
    return corners * [width, height, width, height] if box_format.startswith("rel_") else corners


def from_xyxy(corners: np.ndarray, box_format: str, height: int, width: int) -> np.ndarray:
    """The inverse of `to_xyxy`."""
    kind = box_format.removeprefix("rel_")
    if box_format.startswith("rel_"):
        corners = corners / [width, height, width, height]
    first, second = corners[..., :2], corners[..., 2:]
    if kind.startswith("center"):
        first, second = (first + second) / 2, second - first
    elif kind == "xywh":
        second = second - first
    if "yx" in kind and kind != "xyxy":
        first, second = first[..., ::-1], second[..., ::-1]
    return np.concatenate([first, second], axis=-1)


def image_map(mode: str, size: tuple[int, int], target: tuple[int, int]) -> list[tuple[float, float]]:
    """For y and x, the `(scale, offset)` that takes a coordinate of the input to one of the output image."""
    (height, width), (out_height, out_width) = size, target
    as_high, as_wide = int(float(width * out_height) / out_width), int(float(height * out_width) / out_height)
    if mode == "stretch":
        return [(out_height / height, 0.0), (out_width / width, 0.0)]
    if mode == "crop":
        windows = max(min(height, as_high), 1), max(min(width, as_wide), 1)
        starts = tuple(int((full - window) / 2) for full, window in zip(size, windows, strict=True))
    else:
        above, left = int((max(height, as_high) - height) / 2), int((max(width, as_wide) - width) / 2)
        left = 0 if above > 0 else left
        windows, starts = (height + 2 * above, width + 2 * left), (-above, -left)
    scales = [out / window for out, window in zip(target, windows, strict=True)]
    return [(scale, -start * scale) for scale, start in zip(scales, starts, strict=True)]


def check_image_map(converter, size: tuple[int, int], maps: list[tuple[float, float]]) -> None:
    """Resize a ramp of coordinates with `converter`; a pixel from any border, it must be the inverse of `maps`."""
    for axis, (scale, offset) in enumerate(maps):
        length = size[axis]
        ramp = np.arange(length, dtype=np.float32) + 0.5
        image = np.broadcast_to(ramp.reshape((-1, 1, 1) if axis == 0 else (1, -1, 1)), (*size, 1))
        output = np.asarray(converter(np.ascontiguousarray(image)))
        middle = output.shape[1 - axis] // 2
        values = output[:, middle, 0] if axis == 0 else output[middle, :, 0]
        first, last = max(0.0, -offset / scale), min(float(length), (len(values) - offset) / scale)
        expected = (np.arange(len(values)) + 0.5 - offset) / scale
        inside = (expected > first + 1) & (expected < last - 1)
        assert inside.any()
        np.testing.assert_allclose(values[inside], expected[inside], atol=1e-3)


def random_boxes(rng: np.random.Generator, height: int, width: int) -> np.ndarray:
    """Corners of six boxes in pixels: three inside, the whole image, one at a corner, one reaching out of the image."""
    points = rng.uniform(0.02, 0.98, (3, 2, 2)) * [width, height]
    inside = np.concatenate([points.min(axis=1), points.max(axis=1)], axis=-1)
    others = [[0, 0, width, height], [0, 0, 3, 2], [-4, height / 2, width / 2, height + 5]]
    return np.concatenate([inside, others])


def batch_of_boxes(rng, count: int, box_format: str, size: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """float32 boxes in `box_format` with two rows of padding, 0 and -1, and their int32 labels."""
    corners = np.stack([random_boxes(rng, *size) for _ in range(count)])
    boxes = from_xyxy(corners, box_format, *size)
    padding = np.broadcast_to(np.array([[0.0] * 4, [-1.0] * 4]), (count, 2, 4))
    labels = np.broadcast_to(np.arange(8, dtype=np.int32), (count, 8))
    return np.concatenate([boxes, padding], axis=1).astype(np.float32), labels.copy()


def want(boxes, labels, box_format: str, size, target, maps) -> tuple[np.ndarray, np.ndarray]:
    """Boxes moved as the image was, clipped to it; padding rows become 0, labels of empty boxes -1."""
    is_padding = (boxes == 0).all(axis=-1) | (boxes == -1).all(axis=-1)
    corners = to_xyxy(boxes.astype(np.float64), box_format, *size)
    (scale_y, offset_y), (scale_x, offset_x) = maps
    corners = corners * [scale_x, scale_y, scale_x, scale_y] + [offset_x, offset_y, offset_x, offset_y]
    corners = np.clip(corners, 0, [target[1], target[0], target[1], target[0]])
    corners = np.where(is_padding[..., None], 0, corners)
    area = (corners[..., 2] - corners[..., 0]) * (corners[..., 3] - corners[..., 1])
    return from_xyxy(corners, box_format, *target), np.where(area > 0, labels, -1)


def case(rng, mode: str, box_format: str, count: int | None, size, target) -> dict:
    """Transform one image's boxes, or a batch's; the pixels do not matter."""
    config = {
        "image_size": list(target),
        "crop_to_aspect_ratio": mode == "crop",
        "pad_to_aspect_ratio": mode == "pad",
        "bounding_box_format": box_format,
    }
    boxes, labels = batch_of_boxes(rng, count or 1, box_format, size)
    images = np.zeros((count or 1, *size, 3), np.uint8)
    if count is None:
        images, boxes, labels = images[0], boxes[0], labels[0]
    converter = keras_hub.layers.ImageConverter(**config)
    outputs = converter({"images": images, "bounding_boxes": {"boxes": boxes, "labels": labels}})["bounding_boxes"]
    out_boxes, out_labels = np.asarray(outputs["boxes"]), np.asarray(outputs["labels"])
    maps = image_map(mode, size, target)
    check_image_map(converter, size, maps)
    want_boxes, want_labels = want(boxes, labels, box_format, size, target, maps)
    result = {
        "group": "boxes",
        "config": config,
        "image_shape": list(images.shape),
        "boxes": boxes.tolist(),
        "labels": labels.tolist(),
        "out_boxes": out_boxes.tolist(),
        "out_labels": out_labels.tolist(),
    }
    assert (out_boxes.dtype, out_labels.dtype) == (np.float32, np.int32)
    pixels = [to_xyxy(b.astype(np.float64), box_format, *target) for b in (out_boxes, want_boxes)]
    deviation = float(np.abs(pixels[0] - pixels[1]).max())
    if deviation > SAME or (out_labels != want_labels).any():
        result |= {
            "defect": f"boxes are up to {deviation:.2f} pixels off the image",
            "deviation": round(deviation, 4),
            "want_boxes": want_boxes.astype(np.float32).tolist(),
            "want_labels": want_labels.tolist(),
        }
    return result


def cases() -> list[dict]:
    """Every mode and format at random sizes, one image and a batch of two, and at a size of the same aspect."""
    rng = np.random.default_rng(25)
    results = []
    for mode in MODES:
        for box_format in FORMATS:
            for count in (None, 2):
                size = tuple(int(n) for n in rng.integers(30, 120, 2))
                target = tuple(int(n) for n in rng.integers(12, 60, 2))
                results.append(case(rng, mode, box_format, count, size, target))
            height, width, out_height, out_width = EXACT_SIZES[int(rng.integers(len(EXACT_SIZES)))]
            results.append(case(rng, mode, box_format, None, (height, width), (out_height, out_width)))
    return results
