"""Every family of Hugging Face's image processors as `conformance` compares it: a call of ours, and what the original gave.

The cases and the calls are those of the tests, in `tests/helpers/huggingface`.
"""

import importlib
import pathlib
import tempfile
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import pytest
from goldens import detection_cases, huggingface_cases, inputs, segmentation_cases, store, universal_cases, vlm_results
from helpers.huggingface import detection, plain, segmentation, universal, video, vision_language
from helpers.huggingface.common import original, pictures
from helpers.parity import EVERYTHING

from jaxprep import huggingface
from jaxprep.formats.huggingface import classes

Pairs = Iterator[tuple[str, Any, Any]]
"""The name of a result, ours, and the original's: arrays of the same values, or texts."""
IMAGES = "pixel_values"


def flat(results: Mapping[str, Any]) -> dict[str, Any]:
    """What there is for every image, by name: `pixel_values.0`, `labels.0.boxes`."""
    found = {f"{key}.{i}": item for key, values in results.items() for i, item in enumerate(values)}
    parts = {key: item.items() if isinstance(item, Mapping) else [("", item)] for key, item in found.items()}
    return {f"{key}.{name}".rstrip("."): value for key, part in parts.items() for name, value in part}


def matched(ours: Mapping[str, Any], theirs: Mapping[str, Any]) -> Pairs:
    """Two results, entry by entry."""
    mine, other = flat(ours), flat(theirs)
    if mine.keys() != other.keys():
        raise AssertionError(f"Expected {sorted(other)}, got {sorted(mine)}")
    for key, value in other.items():
        yield key, mine[key], value


def sampled(goldens: store.Golden, case: dict, ours: Mapping[str, Any]) -> Pairs:
    """A result and what a golden file holds of each entry."""
    results = flat(ours)
    if results.keys() != {key for key in case if "." in key}:
        raise AssertionError(f"Expected {sorted(key for key in case if '.' in key)}, got {sorted(results)}")
    for key, value in results.items():
        mine, record = np.asarray(value), case[key]
        is_image = mine.ndim == 3 and not key.startswith("labels.")
        array = store.channels_last(mine) if is_image else mine
        if list(array.shape) != record["shape"]:
            raise AssertionError(f"Expected {record['shape']}, got {array.shape} - at {key}")
        yield key, array.ravel()[goldens.positions(record)], goldens.values(record)


def judged(key: str, mine: np.ndarray, is_same: bool) -> tuple[str, Any, Any]:
    """An array, of which a golden file only tells whether it is the same in every bit."""
    return key, mine, mine if is_same else np.full(mine.shape, np.nan)


def told(key: str, mine: Any, record: Any) -> tuple[str, Any, Any]:
    """A text, or an array and its summary."""
    if not isinstance(record, dict):
        return key, mine, record
    array = np.asarray(mine)
    return judged(key, array, store.summary(array.astype(record["dtype"])) == record)


class Plain:
    """Images alone."""

    matched = staticmethod(matched)
    cases = staticmethod(huggingface_cases.cases)
    choose = staticmethod(plain.choose)
    recorded = staticmethod(sampled)
    ours = staticmethod(plain.results)

    @staticmethod
    def golden(name: str) -> str:
        return "huggingface"

    @staticmethod
    def theirs(case: dict) -> Mapping[str, Any]:
        found = original(case["class"])(**case["settings"])(pictures(case))
        return found if isinstance(found, Mapping) else {IMAGES: found}


class Detection:
    """Images with a `pixel_mask`, and annotations."""

    matched = staticmethod(matched)
    cases = staticmethod(detection_cases.cases)
    choose = staticmethod(detection.choose)

    @staticmethod
    def golden(name: str) -> str:
        return "detection"

    @staticmethod
    def called(processor: Any, case: dict) -> Mapping[str, Any]:
        with tempfile.TemporaryDirectory() as folder:
            kwargs = detection.keywords(case, pathlib.Path(folder))
            return processor(pictures(case), return_tensors="np", **kwargs)

    @classmethod
    def ours(cls, case: dict, backend: str) -> Mapping[str, Any]:
        return cls.called(getattr(huggingface, case["class"])(backend=backend, **case["settings"]), case)

    @classmethod
    def theirs(cls, case: dict) -> Mapping[str, Any]:
        with pytest.MonkeyPatch.context() as patch:
            detection.replace_pycocotools(patch)
            return cls.called(original(case["class"])(**case["settings"]), case)

    @staticmethod
    def recorded(goldens: store.Golden, case: dict, ours: Mapping[str, Any]) -> Pairs:
        digests, samples = detection_cases.summary(ours)
        if digests.keys() != case["digests"].keys():
            raise AssertionError(f"Expected {sorted(case['digests'])}, got {sorted(digests)}")
        labels = {f"labels.{i}.{key}": v for i, one in enumerate(ours.get("labels", [])) for key, v in one.items()}
        arrays = {**ours, **labels}
        for key, digest in digests.items():
            is_same, array = digest == case["digests"][key], np.asarray(arrays[key])
            if key != IMAGES:
                yield judged(key, array, is_same)
            elif samples is None or not is_same:
                yield judged(key, array.ravel()[detection_cases.places(array.size)], is_same)
        if samples is not None:
            yield IMAGES, *goldens.pair(case["samples"], samples)


class Segmentation:
    """Images with maps, trimaps, depths, prompts, boxes and keypoints."""

    matched = staticmethod(matched)
    cases = staticmethod(segmentation_cases.cases)
    choose = staticmethod(segmentation.choose)
    recorded = staticmethod(sampled)
    ours = staticmethod(segmentation.results)

    @staticmethod
    def golden(name: str) -> str:
        return "segmentation_" + next(key for key, names in segmentation_cases.GROUPS.items() if name in names)

    @staticmethod
    def theirs(case: dict) -> Mapping[str, Any]:
        images, beside = segmentation.arguments(case)
        return original(case["class"])(**case["settings"])(images, **beside)


class Universal:
    """Images with maps that become masks and classes, and texts."""

    cases = staticmethod(universal_cases.cases)
    choose = staticmethod(universal.choose)
    ours = staticmethod(universal.results)

    @staticmethod
    def matched(ours: Mapping[str, Any], theirs: Mapping[str, Any]) -> Pairs:
        return matched(*comparable(ours, theirs))

    @staticmethod
    def golden(name: str) -> str:
        return "universal"

    @staticmethod
    def theirs(case: dict) -> Mapping[str, Any]:
        made = universal.original(case["class"])(**universal_cases.settings_of(case))
        return made(pictures(case), **universal_cases.arguments(case))

    @staticmethod
    def recorded(goldens: store.Golden, case: dict, ours: Mapping[str, Any]) -> Pairs:
        for i, value in enumerate(ours[IMAGES]):
            yield IMAGES, *goldens.pair(case[f"values.{i}"], store.channels_last(np.asarray(value)))
        mine, records = comparable({key: ours[key] for key in ours if key != IMAGES}, case["rest"])
        if mine.keys() != records.keys():
            raise AssertionError(f"Expected {sorted(records)}, got {sorted(mine)}")
        for key, expected in records.items():
            for value, record in zip(mine[key], expected, strict=True):
                yield told(key, value, record)


def comparable(ours: Mapping[str, Any], theirs: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Both results, as far as OneFormer's texts can be compared."""
    pairs = {key: universal.comparable(ours[key], value, key) for key, value in theirs.items()}
    return {**ours, **{key: pair[0] for key, pair in pairs.items()}}, {key: pair[1] for key, pair in pairs.items()}


class Theme:
    """Classes of `vlm_<theme>_cases`, whose results are arrays by their paths."""

    def __init__(self, theme: str):
        self.theme = theme

    def golden(self, name: str) -> str:
        return f"vlm_{self.theme}"

    def cases(self, backend: str) -> list[dict]:
        return importlib.import_module(f"goldens.vlm_{self.theme}_cases").cases(backend)

    @staticmethod
    def choose(cases: list[dict], name: str, every: int) -> list[dict]:
        return cases if EVERYTHING else cases[:: 3 * every]  # a call makes many results of an image

    @staticmethod
    def theirs(case: dict) -> Mapping[str, Any]:
        return vlm_results.of_case(original(case["class"]), case, inputs)

    @staticmethod
    def ours(case: dict, backend: str) -> Mapping[str, Any]:
        call = case.get("call", {})
        if call.get("return_tensors") == "pt":  # for a type that NumPy has not, bfloat16
            call = {**call, "return_tensors": "jax"}
        return vlm_results.of_case(vision_language.our_class(case["class"], backend), {**case, "call": call}, inputs)

    @classmethod
    def matched(cls, ours: Mapping[str, Any], theirs: Mapping[str, Any]) -> Pairs:
        if ours.keys() != theirs.keys():
            raise AssertionError(f"Expected {sorted(theirs)}, got {sorted(ours)}")
        for name, array in theirs.items():
            yield name, vision_language.as_type_of(ours[name], str(array.dtype)), array

    @staticmethod
    def recorded(goldens: store.Golden, case: dict, ours: Mapping[str, Any]) -> Pairs:
        if sorted(ours) != sorted(case["names"]):
            raise AssertionError(f"Expected {sorted(case['names'])}, got {sorted(ours)}")
        for name, array in ours.items():
            yield name, *goldens.pair(case[name], vision_language.as_type_of(array, case[name]["dtype"]))


class Videos(Theme):
    """Classes of videos, of which a golden file holds some values."""

    limits = dict.fromkeys(video.TIES, 2.1 / 255)
    """A level of 8 bits where torch itself gives one or the other."""

    def golden(self, name: str) -> str:
        return self.theme

    def cases(self, backend: str) -> list[dict]:
        return [case for case in store.golden(self.theme).cases if "class" in case and backend == "torchvision"]

    def ours(self, case: dict, backend: str) -> Mapping[str, Any]:  # type: ignore[override]
        return video.results(case, self.theme)


def of_families(*families: str) -> tuple[str, ...]:
    """The classes of some families."""
    return tuple(name for name, row in classes.rows().items() if row.family in families)


GROUPS: dict[str, tuple[Any, tuple[str, ...]]] = {
    "Plain": (Plain, tuple(huggingface_cases.classes())),
    "Detection, and classes with a `pixel_mask`": (Detection, of_families("detection", "pixel_mask")),
    "Segmentation maps, and other inputs beside the images": (Segmentation, of_families(*segmentation_cases.FAMILIES)),
    "Universal segmentation": (Universal, of_families("maskformer", "oneformer", "eomt")),
}
THEMES = {
    "patches": "Patches with a grid",
    "tiles": "Tiles, with a view of the whole image",
    "odd2": "Interpolation by other libraries",
    "sequences": "Sequences of patches, and batches padded to the largest",
    "slices": "Parts of large images",
    "documents": "Pages",
    "pairs": "Pairs of images",
    "frames": "Frames of clips",
    "odd1": "Two resolutions, words, clusters of colours, masks",
}
for theme, title in THEMES.items():
    group = Theme(theme)
    members = {case["class"].removesuffix("Pil") for backend in ("torchvision", "pil") for case in group.cases(backend)}
    GROUPS[title] = group, tuple(sorted(members))
for file, title in {"video": "Videos", "video_tokens": "Videos as patches, tokens and slices"}.items():
    GROUPS[title] = Videos(file), tuple(video.names_of(file))


def cases_of(title: str, name: str, backend: str, count: int) -> list[dict]:
    """The cases of a class on a backend; about `count` of them, or all with `JAXPREP_ALL_GOLDENS`."""
    group = GROUPS[title][0]
    cases = group.cases("pil") if backend == "pil" else store.golden(group.golden(name)).cases
    mine = [case for case in cases if case.get("class") == name]
    if not mine:  # a class of the PIL backend that needs torch is in the goldens by its name
        mine = [case for case in store.golden(group.golden(name)).cases if case.get("class") == f"{name}Pil"]
    return group.choose(mine, name, max(1, -(-len(mine) // count)))


def pairs_of(title: str, case: dict, backend: str) -> Iterator[tuple[bool, str, Any, Any]]:
    """Every comparison of a case: whether it is with `exact=True`, the name of the result, ours and the original's."""
    group = GROUPS[title][0]
    is_live = backend == "pil" and not case["class"].endswith("Pil")
    theirs = group.theirs(case) if is_live else None
    for exact in (False, True):
        ours = group.ours({**case, "settings": {**case["settings"], "exact": exact}}, backend)
        if theirs is None:
            found = group.recorded(store.golden(group.golden(case["class"])), case, ours)
        else:
            found = group.matched(ours, theirs)
        outputs = classes.known_row(case["class"].removesuffix("Pil")).outputs
        for key, mine, other in found:
            name = key.split(".")[0]
            is_images = name.startswith(IMAGES) or name == outputs[0]  # Video-LLaVA has a name of its own
            yield exact, IMAGES if is_images else name, mine, other
