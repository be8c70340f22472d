"""What the detection classes of Hugging Face, and those with a `pixel_mask`, are compared on: every switch, size and annotation.

A case is `{"class", "settings", "inputs", "labels"}`: the recipes of the images of one call, and the kind of annotations
that go with them, a name of `KINDS`.
"""

import json
import pathlib

import numpy as np
from PIL import Image

from goldens import store
from goldens.huggingface_cases import GRAY, LAND, LARGE, PALETTE, PORT, RGBA, SQUARE, STATISTICS, TABLE, TINY

SMALL = {"size": {"shortest_edge": 90, "longest_edge": 120}}
SQUEEZED = {"size": {"height": 97, "width": 131}}
SAMPLES = 96
KINDS = {  # of annotations: the keywords of the call
    "boxes": {},
    "keypoints": {},
    "none": {},
    "masks": {"return_segmentation_masks": True},
    "crowds": {"return_segmentation_masks": True},
    "panoptic": {},
    "panoptic_boxes": {"return_segmentation_masks": False},
}


def classes() -> dict[str, dict]:
    """The classes of the two families."""
    rows = json.loads(TABLE.read_text("utf-8"))["classes"]
    return {name: row for name, row in rows.items() if row["family"] in ("detection", "pixel_mask")}


# -- annotations -------------------------------------------------------------------------------------------------------


def annotations(kind: str, sizes: list[tuple[int, int]]) -> list[dict]:
    """One annotation for each image of `sizes` (height, width)."""
    if kind.startswith("panoptic"):
        return [panoptic(i, size) for i, size in enumerate(sizes)]
    return [detection(kind, i, size) for i, size in enumerate(sizes)]


def detection(kind: str, i: int, size: tuple[int, int]) -> dict:
    """Objects inside the image, over its border, outside of it, of no width, and, where `kind` has them, crowds."""
    height, width = size
    boxes = [
        [10, 12.5, width / 3, height / 2],
        [-7.25, height / 2, width + 30, height],
        [width + 5, 3, 20, 20],
        [width / 2, 20.7, 0, 13],
        [width / 7, height / 9, 11.3, 8.9],
    ]
    found = [
        {"category_id": 3 * j + i, "area": 17.3 * j + 0.7, "bbox": box, "iscrowd": 0} for j, box in enumerate(boxes)
    ]
    del found[4]["iscrowd"]
    for j, item in enumerate(found):
        if kind == "keypoints":
            item["keypoints"] = [j + 0.5, 2 * j, 2, height / 3, 5, j % 2]
        if kind in ("masks", "crowds"):
            item["segmentation"] = outlines(item["bbox"], size) if j < 4 else stripes(size)
    if kind in ("boxes", "crowds"):
        found.insert(1, {**found[0], "iscrowd": 1, "category_id": 99})
    return {"image_id": 1000 + i, "annotations": [] if kind == "none" else found}


def outlines(box: list[float], size: tuple[int, int]) -> list[list[float]]:
    """Two polygons: a diamond in the box, closed, and a triangle of the image."""
    x, y, width, height = box
    left, top, right, bottom = x, y, x + width, y + height
    diamond = [
        left,
        y + height / 2,
        x + width / 2,
        top,
        right,
        y + height / 2,
        x + width / 2,
        bottom,
        left,
        y + height / 2,
    ]
    return [diamond, [0, 0, size[1] / 5, 3.5, 2.25, size[0] / 4]]


def stripes(size: tuple[int, int]) -> dict:
    """Run lengths: every third column and a bit."""
    height, width = size
    lengths = [height + 3, 2 * height - 4] * (width // 3)
    return {"size": [height, width], "counts": [*lengths, height * width - sum(lengths)]}


def panoptic(i: int, size: tuple[int, int]) -> dict:
    """Three segments of the file that `write_segments` makes, one of them a crowd, and one that has no pixel."""
    segments = [
        {"id": ident, "category_id": 10 + j, "area": 30 * j + 1, "iscrowd": int(j == 1)}
        for j, ident in enumerate((7, 300, 70000, 5))
    ]
    return {"image_id": 2000 + i, "file_name": file_name(size), "segments_info": segments}


def file_name(size: tuple[int, int]) -> str:
    return "{}x{}.png".format(*size)


def write_segments(folder: pathlib.Path, sizes: list[tuple[int, int]]) -> None:
    """The PNG files whose colours are the ids of segments, for images of `sizes`."""
    for height, width in sizes:
        ids = np.zeros((height, width), np.int64)
        ids[: height // 2, width // 5 : width // 2] = 7
        y, x = np.ogrid[:height, :width]
        ids[(y - height / 2) ** 2 + (x - width / 2) ** 2 < (height / 4) ** 2] = 300
        ids[height - 5 :, ::2] = 70000
        colours = np.stack([ids % 256, ids // 256 % 256, ids // 65536], -1).astype(np.uint8)
        Image.fromarray(colours).save(folder / file_name((height, width)))


# -- settings ----------------------------------------------------------------------------------------------------------


def variations(name: str, backend: str) -> list[tuple[dict, list[dict], str | None]]:
    """Settings, images and annotations: the defaults, every switch the other way, every size, other numbers."""
    return _bounded(name, backend) if classes()[name]["family"] == "detection" else _masked(name, backend)


def _common(small: dict, defaults: dict, backend: str) -> list[tuple[dict, list[dict]]]:
    """What all classes are compared on."""
    both, turned = [LAND, PORT], {key: not defaults[key] for key in ("do_pad", "do_normalize")}
    colours = {"do_convert_rgb": True, "do_normalize": False}
    found = [
        ({}, both),
        ({}, [TINY]),
        ({}, [LARGE]),
        (small, [PORT, SQUARE, LAND]),
        (small, [TINY]),
        ({**small, **STATISTICS, "do_normalize": True}, both),
        ({**small, "image_mean": 0.5, "image_std": 0.25, "do_normalize": True}, [SQUARE]),
        ({**small, "do_normalize": turned["do_normalize"]}, both),
        ({**small, "do_normalize": turned["do_normalize"]}, [TINY]),
        ({**small, "do_normalize": True, "do_rescale": False}, [SQUARE]),
        ({**small, "do_normalize": False, "do_rescale": False}, both),
        ({**small, "do_normalize": False, "do_rescale": False}, [TINY]),
        ({**small, "rescale_factor": 1 / 127.5}, both),
        ({**small, "do_pad": turned["do_pad"]}, [LAND]),
        ({**small, "do_pad": turned["do_pad"]}, [PORT, PORT]),
        ({**small, "do_pad": turned["do_pad"]}, [TINY]),
        ({"do_resize": False}, [SQUARE]),
        ({"do_resize": False, "do_pad": True}, [LAND, TINY]),
        ({"do_resize": False, "do_normalize": False}, [LAND, LAND]),
        ({**small, "do_convert_rgb": True}, [GRAY, RGBA, PALETTE]),
        ({**small, "do_convert_rgb": True}, [RGBA]),
        ({**small, **colours}, [GRAY, LAND]),
        ({**small, "do_normalize": False}, [GRAY]),
        ({**small, "do_normalize": False}, [RGBA]),
        ({**small, "do_normalize": False}, [PALETTE]),
    ]
    filters = (0, 1, 2, 3, 4, 5) if backend == "pil" else (0, 1, 2, 3)
    return found + [({**small, "resample": filter_}, [LAND if filter_ % 2 else PORT]) for filter_ in filters]


def _bounded(name: str, backend: str) -> list[tuple[dict, list[dict], str | None]]:
    """DETR and what follows it."""
    row = classes()[name]
    both, pads = [LAND, PORT], row["defaults"]["do_pad"]
    small = SMALL if pads else SQUEEZED
    pad = {"do_pad": True, "pad_size": {"height": 230, "width": 220}}
    sizes = [
        {"size": {"shortest_edge": 80, "longest_edge": 101}},
        {"size": {"shortest_edge": 64, "longest_edge": 64}},
        {"size": {"max_height": 90, "max_width": 120}},
        {"size": [61, 93]},
        SQUEEZED,
    ]
    if "max_size" in row:
        sizes += [{"size": 77}, {"size": 77, "max_size": 100}, {**SMALL, "pad_and_return_pixel_mask": True}]
    images = _common(small, row["defaults"], backend)
    images += [({**settings, **({} if pads else {"do_pad": True})}, both) for settings in [*sizes, SMALL]]
    images += [(settings, [TINY]) for settings in sizes[:5]]
    images += [({**small, **pad}, both), ({**SQUEEZED, **pad}, [TINY]), ({"do_resize": False, **pad}, [LAND])]
    found: list[tuple[dict, list[dict], str | None]] = [(settings, inputs, None) for settings, inputs in images]
    kinds = ["boxes", "keypoints", "none"]
    kinds += ["masks", *(["crowds"] if backend == "pil" else [])] if row["annotations"]["masks"] else []
    for kind in kinds:
        found += [(settings, both, kind) for settings in ((small, {**small, **pad}) if kind != "none" else (small,))]
    formats = [(kind, {}) for kind in kinds[:1] + kinds[3:4]]
    if row["annotations"]["panoptic"]:
        formats += [(kind, {"format": "coco_panoptic"}) for kind in ("panoptic", "panoptic_boxes")]
        found.append(({**SMALL, "format": "coco_panoptic"}, [PORT, SQUARE, LAND], "panoptic"))
    for kind, settings in formats:
        found += [
            ({**SQUEEZED, **settings}, [LAND], kind),
            ({**small, **settings, "do_convert_annotations": False}, both, kind),
            ({**small, **settings, "do_convert_annotations": True, "do_normalize": False}, both, kind),
            ({**small, **settings, "do_normalize": False}, [PORT, SQUARE], kind),
            ({**settings, "do_resize": False, "do_pad": False}, [LAND], kind),
            ({**settings, "do_resize": False, "do_pad": True}, both, kind),
            ({**SMALL, **settings, "do_pad": False}, [PORT, PORT], kind),
        ]
    return found


def _masked(name: str, backend: str) -> list[tuple[dict, list[dict], str | None]]:
    """ViLT and BridgeTower."""
    small = {"size": {"shortest_edge": 90}}
    both = [LAND, PORT]
    images = _common({**small, "size_divisor": 16}, classes()[name]["defaults"], backend)
    sizes = [small, {"size": 77}, {"size": {"shortest_edge": 80, "longest_edge": 500}}, {**small, "size_divisor": 7}]
    images += [(settings, both) for settings in sizes]
    images += [({**small, "pad_size": {"height": 230, "width": 220}}, both)]
    if name == "BridgeTowerImageProcessor":
        off = {"do_center_crop": False}
        images += [({**settings, **off}, both) for settings in [{}, *sizes]] + [({**small, **off}, [TINY])]
        images += [({**small, "crop_size": {"shortest_edge": edge}}, both) for edge in (64, 101, 288)]
    return [(settings, inputs, None) for settings, inputs in images]


def cases(backend: str) -> list[dict]:
    """Every variation of every class that has the backend."""
    found = [
        {"class": name, "settings": settings, "inputs": images, "labels": kind}
        for name, row in classes().items()
        if backend in row["backends"]
        for settings, images, kind in variations(name, backend)
    ]
    return found + (arrays() if backend == "torchvision" else [])


def arrays() -> list[dict]:
    """Cases whose inputs are arrays `(h, w, c)`, of numbers that the torchvision backend resizes as floats."""
    names = ("DetrImageProcessor", "RfDetrImageProcessor", "YolosImageProcessor", "ViltImageProcessor")
    small = {"ViltImageProcessor": {"size": {"shortest_edge": 90}}}
    return [
        {
            "class": name,
            "settings": {**small.get(name, SMALL), "rescale_factor": 0.5},
            "inputs": [{**photo, "dtype": dtype} for photo in (LAND, PORT)],
            "labels": None,
            "arrays": True,
        }
        for name in names
        for dtype in ("float32", "int32")
    ]


# -- what goldens keep -------------------------------------------------------------------------------------------------


def summary(found: dict) -> tuple[dict, np.ndarray | None]:
    """Of the results of a call, what they are in every bit, by name, and `SAMPLES` values of an image of floats."""
    arrays = {name: np.asarray(value) for name, value in found.items() if name != "labels"}
    for i, label in enumerate(found.get("labels", [])):
        arrays |= {f"labels.{i}.{name}": np.asarray(value) for name, value in label.items()}
    values = arrays["pixel_values"]
    is_float = values.dtype.kind == "f"
    digests = {
        name: f"{array.dtype} {list(array.shape)} "
        + ("" if is_float and name == "pixel_values" else store.digest(array)[:16])
        for name, array in sorted(arrays.items())
    }
    return digests, values.ravel()[places(values.size)] if is_float else None


def places(size: int) -> np.ndarray:
    """Flat indices of the values that are kept."""
    return np.sort(np.random.default_rng(size).choice(size, min(SAMPLES, size), replace=False))


def polygons() -> list[tuple[list[list[float]], tuple[int, int]]]:
    """Outlines of every kind, and the size of the image that each is drawn on: over its border, closed, of one line."""
    draws = np.random.default_rng(0)
    found = []
    for i in range(400):
        size = tuple(int(n) for n in draws.integers(1, 60, 2))
        shapes = []
        for _ in range(1 + i % 3):
            points = [
                draws.uniform(-15, 75, (3 + i % 6, 2)),
                draws.integers(0, 60, (3 + i % 6, 2)).astype(float),
                draws.integers(-10, 140, (3 + i % 6, 2)) / 2,
            ][i % 3]
            flat = np.round(points, 3).ravel().tolist()
            shapes.append(flat[:2] * (i % 5 == 0) + flat + flat[:2] * (i % 4 == 0))
        if i % 7 == 0:
            shapes.append([3.0, 4.5, 20.0, 11.25])
        found.append((shapes, size))
    return found
