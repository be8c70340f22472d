"""Frames are chosen as Transformers' video processors choose them: by answers of the real classes
to 500 random requests each, of which digests are kept (`tests/goldens/write_video.py`).
"""

from __future__ import annotations

import ast
import itertools
import json
import math
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from goldens import store, video_samplings
from hypothesis import given
from hypothesis import strategies as st

from jaxprep.errors import InputError
from jaxprep.formats.huggingface import classes
from jaxprep.videos import sampling
from jaxprep.videos.sampling import RULES, Clip, sample

GOLDEN: dict[str, Any] = json.loads((store.FOLDER / "video_samplings.json").read_text("utf-8"))


def _answer(rule: str, clip: dict, said: dict, own: dict) -> list[int] | str:
    known = Clip(clip["total_num_frames"], clip["fps"], clip["duration"])
    try:
        return sample(rule, known, {**own, **said}, own).tolist()
    except InputError:
        return "ValueError"


@pytest.mark.parametrize("name", sorted(GOLDEN))
def test_500_random_requests_give_the_indices_of_the_class(name: str) -> None:
    rule, own = video_samplings.SETTINGS[name]
    requests = video_samplings.requests(name)
    answers = [_answer(rule, clip, said, own) for clip, said in requests]
    for i, wanted in GOLDEN[name]["some"].items():
        assert answers[int(i)] == wanted, requests[int(i)]
    assert video_samplings.digest(answers, GOLDEN[name]["faults"]) == GOLDEN[name]["digest"]


@pytest.mark.parametrize("name", sorted(GOLDEN))
def test_where_the_class_fails_indices_are_of_the_clip_or_the_request_is_refused(name: str) -> None:
    rule, own = video_samplings.SETTINGS[name]
    requests = video_samplings.requests(name)
    for i in GOLDEN[name]["faults"]:
        clip, said = requests[i]
        answer = _answer(rule, clip, said, own)
        if isinstance(answer, list):
            assert answer and 0 <= min(answer) <= max(answer) < clip["total_num_frames"]


class Numbers(np.ndarray):
    """An array with the conversions of a tensor of torch that the originals call."""

    def int(self) -> np.ndarray:
        return self.astype(np.int64)

    long = int


TORCH = types.SimpleNamespace(
    arange=lambda *args: np.arange(*args).astype(np.float32).view(Numbers),
    linspace=lambda *args: np.linspace(*args, dtype=np.float32).view(Numbers),
)
"""What the originals take of torch; it rounds as torch does where steps are powers of two."""


class Metadata(dict[str, Any]):
    """What is known of a video, as keys and as attributes: the originals read both."""

    __getattr__ = dict.__getitem__


ASKED: list[dict[str, Any]] = [
    {},
    {"num_frames": 8},
    {"fps": 4.0},
    {"num_frames": 8, "fps": 4.0},
]


BASE = "video_processing_utils.py", "BaseVideoProcessor"
"""The file and the class that sample where a class does not say how."""


def original_sampling(name: str) -> Callable[..., Any]:
    """Return `sample_frames` of a class, out of its file: the class itself needs torch."""
    transformers = pytest.importorskip("transformers")
    folder = Path(transformers.__file__).parent
    classes_of_files = [(file, name) for file in folder.glob("models/*/video_processing_*.py")]
    for file, class_name in [*classes_of_files, (folder / BASE[0], BASE[1])]:
        for node in ast.parse(file.read_text("utf-8")).body:
            if not isinstance(node, ast.ClassDef) or node.name != class_name:
                continue
            for part in node.body:
                if isinstance(part, ast.FunctionDef) and part.name == "sample_frames":
                    return function_of(part, str(file))
    raise LookupError(name)


def function_of(node: ast.FunctionDef, file: str) -> Callable[..., Any]:
    """Return the function of a definition, with what it names of its module."""
    from transformers.video_utils import default_sample_indices_fn

    names = {
        "torch": TORCH,
        "np": np,
        "math": math,
        "logger": types.SimpleNamespace(warning_once=lambda _: None),
        "VideoMetadata": object,
        "default_sample_indices_fn": default_sample_indices_fn,
    }
    exec(compile(ast.Module([node], []), file, "exec"), names)
    return names["sample_frames"]


@pytest.mark.parametrize("name", sorted(set(video_samplings.SETTINGS) - {"PeVideoVideoProcessor"}))
def test_a_setting_that_is_none_is_none_where_the_class_does_not_read_it(name: str) -> None:
    original = original_sampling(name)
    rule, own = video_samplings.SETTINGS[name]
    settings = {**dict.fromkeys(RULES[rule].settings), **own}
    if rule == "by_rate":
        settings["max_duration"] = 0  # no bound: the class reads it from its config alone
    missing = [names for n in range(3) for names in itertools.combinations(settings, n)]
    answered = 0
    for asked, names in itertools.product(ASKED, missing):
        of_call = {**settings, "fps": None, **dict.fromkeys(names), **asked}
        metadata = Metadata(total_num_frames=64, fps=32.0, duration=2.0)
        try:
            wanted = list(original(types.SimpleNamespace(**of_call), metadata, **of_call))
        except (TypeError, ValueError):  # the class needs it
            continue
        assert sample(rule, Clip(64, 32.0, 2.0), of_call, of_call).tolist() == wanted, of_call
        answered += 1
    assert answered


def test_a_setting_that_a_request_needs_is_named_where_it_is_none() -> None:
    for rule in ("stepped", "spread"):
        settings = {"fps": 2, "temporal_patch_size": 2, "min_frames": 4, "max_frames": 8}
        for name in ("min_frames", "max_frames"):
            with pytest.raises(InputError, match=f"got None - at `{name}`"):
                sample(rule, Clip(90, 30.0), {**settings, name: None})


def test_every_row_has_a_rule_whose_settings_it_takes() -> None:
    for name, row in classes.video_rows().items():
        for setting in RULES[row.sampling].settings:
            # GLM-5 reads it from a config alone: an attribute that is no keyword of the class.
            is_of_config = (name, setting) == ("Glm5NextVideoProcessor", "max_duration")
            is_known = setting in row.defaults or setting in classes.arguments(name)
            assert is_known or is_of_config, (name, setting)
        if name in video_samplings.SETTINGS:
            assert row.sampling == video_samplings.SETTINGS[name][0]


@given(st.integers(1, 3000), st.integers(1, 200))
def test_equal_steps_are_those_of_float32(total: int, count: int) -> None:
    """By float64 to within one, and never beyond the end by more than the one that is dropped."""
    indices = sampling.torch_arange(0, total, total / count)
    exact = np.arange(len(indices)) * total / count
    assert np.all(np.abs(indices - exact) <= 1)
    assert count <= len(indices) <= count + 1


def test_a_request_for_too_many_frames_is_refused_before_they_are_counted() -> None:
    with pytest.raises(InputError, match="at most 1048576 frames"):
        sample("by_second", Clip(10, 1.0, 1e9), {"fps": 1e6, "max_duration": 1e9})
    with pytest.raises(InputError, match="a video of 1 to"):
        sample("uniform", Clip(2**30, 30.0, 1.0), {"num_frames": 8})


def test_a_rate_of_an_unknown_one_is_one_error() -> None:
    with pytest.raises(InputError, match=r"at `video_metadata\.fps`\. Pass `video_metadata`"):
        sample("uniform", Clip(10), {"fps": 2})


def test_a_rate_that_is_assumed_is_told() -> None:
    assert sampling.assumed("spread", Clip(10)) == Clip(10, 24.0)
    assert sampling.assumed("even", Clip(10, 30.0)) == Clip(10, 30.0)
    assert sampling.assumed("capped", Clip(10), {}, {"max_fps": 2}) == Clip(10, 2, 5.0)


def test_both_a_number_and_a_rate_are_refused() -> None:
    with pytest.raises(InputError, match="exclude each other"):
        sample("uniform", Clip(10, 30.0), {"fps": 2, "num_frames": 2})
