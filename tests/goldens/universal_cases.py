"""What the universal segmentation processors of Hugging Face are compared on: every setting, with and without maps.

A case is `{"class", "settings", "inputs"}`, and `labels`, the number of labels of each image's map; `ids`, the classes of
its instances; `tasks`. A map is the luma of its photograph in `labels` steps.
"""

import pathlib

import numpy as np

from goldens import inputs
from goldens.huggingface_cases import GRAY, LAND, LARGE, PALETTE, PORT, RGBA, SQUARE, STATISTICS, TINY

HERE = str(pathlib.Path(__file__).resolve().parent)
CLASSES = ("MaskFormerImageProcessor", "Mask2FormerImageProcessor", "OneFormerImageProcessor", "EomtImageProcessor")

EDGES = {"size": {"shortest_edge": 64, "longest_edge": 90}}
BATCH = [LAND, PORT, TINY]
IDS = {0: 3, 1: 1, 2: 1, 3: 0, 4: 6, 5: 2, 6: 2, 7: 5}
OTHER_IDS = {number: 7 - number for number in range(8)}
REDUCED = {"do_reduce_labels": True, "ignore_index": 255}
INFO = {"class_info_file": "oneformer_classes.json", "num_text": 6}
SIZES = [
    {"size": {"height": 60, "width": 90}},
    {"size": {"max_height": 90, "max_width": 110}},
    {"size": {"shortest_edge": 60, "longest_edge": 200}},
    {"size": [61, 93]},
]


def settings_of(case: dict) -> dict:
    """The settings of a case for this machine: the folder of `class_info_file` is this one."""
    found = dict(case["settings"])
    return found | {"repo_path": HERE} if "class_info_file" in found else found


def map_of(recipe: dict, labels: int) -> np.ndarray:
    """The map of a photograph, (h, w) uint8."""
    luma = np.asarray(inputs.grey(inputs.image({**recipe, "mode": "RGB"})))
    return (luma.astype(np.int32) * labels // 256).astype(np.uint8)


def arguments(case: dict) -> dict:
    """What a case passes beside the images."""
    found = {}
    if "labels" in case:
        found["segmentation_maps"] = [map_of(recipe, case["labels"]) for recipe in case["inputs"]]
    if "ids" in case:
        found["instance_id_to_semantic_id"] = _numbered(case["ids"])
    if "tasks" in case:
        found["task_inputs"] = case["tasks"]
    return found


def _numbered(ids):
    if isinstance(ids, list):
        return [_numbered(one) for one in ids]
    return {int(key): value for key, value in ids.items()}


def cases(backend: str) -> list[dict]:
    """Every variation of every class, each on photographs that take turns, and batches of several sizes."""
    return [{"class": name, **case} for name in CLASSES for case in _cases(name, backend)]


def _cases(name: str, backend: str) -> list[dict]:
    found = [
        {"settings": {}, "inputs": [LAND]},
        {"settings": EDGES, "inputs": BATCH},
        {"settings": EDGES, "inputs": [LARGE, SQUARE]},
    ]

    def vary(images=(LAND,), plain=False, extra=None, **settings):
        found.append(
            {"settings": settings if plain else {**EDGES, **settings}, "inputs": list(images), **(extra or {})}
        )

    for i, size in enumerate(SIZES):
        vary([BATCH[i % 3]], plain=True, **size)
    vary([PORT, LAND], do_resize=False)
    for resample in (0, 1, 3, 4, 5) if backend == "pil" else (0, 1, 3):
        vary(resample=resample, images=[PORT] if resample % 2 else [LAND, TINY])
    vary(do_rescale=False)
    vary(do_normalize=False, images=[TINY])
    vary(do_rescale=False, do_normalize=False, images=[PORT])
    vary(rescale_factor=1 / 127.5)
    vary(**STATISTICS, images=[PORT, LAND])
    vary(do_convert_rgb=True, images=[LAND, GRAY, PALETTE, RGBA])
    vary(pad_size={"height": 192, "width": 224}, images=BATCH)
    own = {"OneFormerImageProcessor": _oneformer, "EomtImageProcessor": _eomt}.get(name, _maskformer)
    own(vary, backend)
    return found


def _maskformer(vary, backend: str) -> None:
    for divisor in (16, 7, 0):
        vary(size_divisor=divisor, images=BATCH)
    vary(plain=True, size={"height": 60, "width": 90}, size_divisor=50)
    vary(plain=True, size={"max_height": 90, "max_width": 110}, size_divisor=10)
    vary(num_labels=3)
    maps = {"labels": 8}
    vary(extra=maps)
    vary(BATCH, extra=maps, ignore_index=3)
    vary(BATCH, extra=maps, **REDUCED)
    vary(BATCH, extra={**maps, "ids": IDS}, ignore_index=200)
    vary([PORT, TINY], extra={**maps, "ids": [IDS, OTHER_IDS]}, **REDUCED)
    vary([PORT, LAND], extra=maps, do_resize=False, ignore_index=0)
    vary([LAND, TINY], extra=maps, pad_size={"height": 192, "width": 224}, ignore_index=0)
    vary([LAND], extra={"labels": 1}, **REDUCED)  # nothing but background
    vary(plain=True, size={"height": 60, "width": 90}, extra=maps)
    if backend == "torchvision":  # the other backend fails on padding with None
        vary([LAND, TINY], extra=maps)


def _oneformer(vary, backend: str) -> None:
    vary([LAND, PORT], extra={"tasks": ["semantic", "instance"]})
    vary([LAND], extra={"tasks": ["panoptic"]}, num_labels=3)
    for task in ("semantic", "instance", "panoptic"):
        vary([LAND], extra={"labels": 8, "ids": IDS, "tasks": [task]}, **INFO)
        vary([PORT], extra={"labels": 8, "ids": OTHER_IDS, "tasks": [task]}, **INFO, **REDUCED)
    vary([TINY], extra={"labels": 8, "tasks": ["panoptic"]}, **{**INFO, "num_text": 20})
    vary(
        [LAND, TINY],
        extra={"labels": 8, "ids": [IDS, OTHER_IDS], "tasks": ["semantic", "instance"]},
        **INFO,
        ignore_index=2,
    )
    vary([PORT], extra={"labels": 5, "tasks": ["semantic"]}, **INFO, do_resize=False)


def _eomt(vary, backend: str) -> None:
    vary([LAND, PORT], do_pad=True)
    split = {"do_split_image": True, "plain": True}
    vary([LAND, PORT], **split, size={"shortest_edge": 48})
    vary([LAND], **split, size={"shortest_edge": 48, "longest_edge": 120})
    vary([SQUARE], **split, size={"shortest_edge": 48})
    vary([TINY, LAND], **split, size={"shortest_edge": 48}, do_resize=False, do_pad=True)
    vary([PORT, LARGE], **split, size={"shortest_edge": 64, "longest_edge": 90}, do_pad=True)
    vary([LAND], **split, size={"shortest_edge": 48}, do_rescale=False)
    maps = {"labels": 8}
    vary(BATCH, extra=maps)
    vary(BATCH, extra=maps, do_pad=True, ignore_index=255)
    vary(BATCH, extra={**maps, "ids": [IDS, OTHER_IDS, IDS]})
    vary([PORT], extra={**maps, "ids": {**OTHER_IDS, 8: 9}}, ignore_index=255)
    vary([LAND, PORT], **split, extra={**maps, "ids": IDS}, size={"shortest_edge": 48})
    vary([LAND], **split, extra=maps, size={"shortest_edge": 64, "longest_edge": 90}, do_pad=True, ignore_index=100)
    vary([TINY], extra=maps, do_resize=False)
