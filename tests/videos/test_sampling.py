"""Frames are chosen as Transformers' video processors choose them: by answers of the real classes
to 500 random requests each, of which digests are kept (`tests/goldens/write_video.py`).
"""

from __future__ import annotations

import json
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
