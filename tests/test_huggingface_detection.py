"""Detection classes, and those with a `pixel_mask`: against Transformers' PIL backend live, and its torchvision backend by goldens.

Masks, labels and 8-bit images must be equal in every bit. A difference of one in the 8-bit image is at least 1e-3 in the
result, so agreement to 2e-6 says that it is exact too.
"""

from __future__ import annotations

import functools
import json
import os
import pathlib
import sys
import types
import warnings
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from goldens import detection_cases, inputs, store

import jaxprep
from jaxprep import huggingface
from jaxprep.huggingface import coco

EVERYTHING = "JAXPREP_ALL_GOLDENS" in os.environ
BAR = 2e-6
ROWS = detection_cases.classes()
PIL_NAMES = [name for name, row in ROWS.items() if "pil" in row["backends"]]
TARGETS = [name for name, row in ROWS.items() if row["family"] == "detection"]
LAND, PORT, TINY = (inputs.image(recipe) for recipe in (detection_cases.LAND, detection_cases.PORT, detection_cases.TINY))
SMALL = detection_cases.SMALL


@functools.cache
def _picture(recipe: str) -> Any:
    return inputs.image(json.loads(recipe))


def pictures(case: dict) -> list[Any]:
    return [_picture(json.dumps(recipe)) for recipe in case["inputs"]]


def given(case: dict, folder: pathlib.Path) -> dict[str, Any]:
    """The keywords of the call of a case."""
    if not case["labels"]:
        return {}
    sizes = [image.size[::-1] for image in pictures(case)]
    detection_cases.write_segments(folder, sizes)
    annotations = detection_cases.annotations(case["labels"], sizes)
    return {"annotations": annotations, "masks_path": folder, **detection_cases.KINDS[case["labels"]]}


def turns(cases: list[dict], name: str, of: int) -> list[dict]:
    """The cases of a class that run: of its variations every `of`-th, others for the next class."""
    mine = [case for case in cases if case.get("class") == name]
    number = list(ROWS).index(name)
    return [case for i, case in enumerate(mine) if EVERYTHING or i == 0 or i % of == number % of]


def outlined(monkeypatch: pytest.MonkeyPatch) -> None:
    """Lets the original draw outlines without pycocotools: by ours, which goldens hold to be the same."""
    mask = types.SimpleNamespace(
        frPyObjects=lambda parts, height, width: (parts, (height, width)),
        decode=lambda drawn: coco.mask_of(*drawn, "segmentation")[..., None].astype(np.uint8),
    )
    monkeypatch.setitem(sys.modules, "pycocotools", types.SimpleNamespace(mask=mask))


def same_values(ours: np.ndarray, theirs: np.ndarray, where: Any) -> None:
    assert ours.shape == theirs.shape, (where, ours.shape, theirs.shape)
    if theirs.dtype != np.float64:  # Transformers leaves float64 behind where it multiplies 8-bit gray by a factor
        assert ours.dtype == theirs.dtype, (where, ours.dtype, theirs.dtype)
    gap = np.abs(ours.astype(np.float64) - theirs) / np.maximum(1, np.abs(theirs))
    assert gap.max() <= BAR, (where, gap.max(), (gap > BAR).mean())


def same_labels(ours: dict, theirs: dict, where: Any) -> None:
    assert sorted(ours) == sorted(theirs), where
    for key, value in theirs.items():
        mine, other = np.asarray(ours[key]), np.asarray(value)
        assert (mine.shape, mine.dtype) == (other.shape, other.dtype), (where, key, mine.dtype, other.dtype)
        assert (mine == other).all(), (where, key, mine, other)


# -- the originals -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", PIL_NAMES)
def test_every_setting_gives_what_the_pil_backend_gives(
    name: str, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    transformers = pytest.importorskip("transformers")
    outlined(monkeypatch)
    cls = getattr(transformers, f"{name}Pil")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for case in turns(detection_cases.cases("pil"), name, 9):
            kwargs = given(case, tmp_path)
            theirs = cls(**case["settings"])(pictures(case), return_tensors="np", **kwargs)
            ours = getattr(huggingface, f"{name}Pil")(**case["settings"])(
                pictures(case), return_tensors="np", **kwargs
            )
            assert sorted(ours) == sorted(theirs), case
            same_values(ours["pixel_values"], theirs["pixel_values"], case)
            if "pixel_mask" in theirs:
                same_labels({"mask": ours["pixel_mask"]}, {"mask": theirs["pixel_mask"]}, case)
            for mine, other in zip(ours.get("labels", []), theirs.get("labels", []), strict=True):
                same_labels(mine, other, case)


@functools.cache
def _goldens() -> store.Golden:
    return store.Golden("detection")


@pytest.mark.parametrize("name", list(ROWS))
def test_every_setting_gives_what_the_torchvision_backend_gives(name: str, tmp_path: pathlib.Path) -> None:
    goldens = _goldens()
    for case in turns(goldens.cases, name, 9):
        processor = getattr(huggingface, name)(**case["settings"])
        ours = processor(pictures(case), return_tensors="np", **given(case, tmp_path))
        digests, samples = detection_cases.summary(ours)
        assert digests == case["digests"], {k: v for k, v in digests.items() if v != case["digests"].get(k)} | case
        if samples is not None:
            same_values(*goldens.pair(case["samples"], samples), case)


def test_outlines_are_those_of_pycocotools() -> None:
    drawn = [coco.mask_of(outline, size, "here") for outline, size in detection_cases.polygons()]
    golden = next(case for case in _goldens().cases if "outlines" in case)
    wanted = _goldens().arrays[golden["drawn"]["array"]]
    assert [int(store.digest(mask)[:8], 16) for mask in drawn] == wanted.tolist()
