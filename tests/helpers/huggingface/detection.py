"""Processors of images with annotations, or with a `pixel_mask`."""

from __future__ import annotations

import pathlib
import sys
import types
from typing import Any

import numpy as np
import pytest
from goldens import detection_cases

from helpers.huggingface import common
from jaxprep.huggingface import coco

shown = common.showing_of(["detection"], lambda: detection_cases.cases("pil"))


def choose(cases: list[dict], name: str, every: int) -> list[dict]:
    """Choose the cases of a class that run (see `common.choose`)."""
    return common.choose(cases, name, list(detection_cases.classes()), every)


def keywords(case: dict, folder: pathlib.Path) -> dict[str, Any]:
    """Return the keyword arguments of the call of a case; panoptic masks are files in `folder`."""
    if not case["labels"]:
        return {}
    sizes = [image.size[::-1] for image in common.pictures(case)]
    detection_cases.write_segments(folder, sizes)
    annotations = detection_cases.annotations(case["labels"], sizes)
    return {
        "annotations": annotations,
        "masks_path": folder,
        **detection_cases.KINDS[case["labels"]],
    }


def replace_pycocotools(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the originals draw polygons with `jaxprep.huggingface.coco`, so that pycocotools need not
    be installed.

    That the two draw the same is tested with a golden file of pycocotools.
    """
    mask = types.SimpleNamespace(
        frPyObjects=lambda parts, height, width: (parts, (height, width)),
        decode=lambda drawn: coco.mask_of(*drawn, "segmentation")[..., None].astype(np.uint8),
    )
    monkeypatch.setitem(sys.modules, "pycocotools", types.SimpleNamespace(mask=mask))
