"""Video processors whose results are patches or tokens: against Transformers' by goldens."""

from __future__ import annotations

import pytest
from helpers.huggingface.video import assert_as_golden, cases_of, names_of

NAMES = names_of("video_tokens")


@pytest.mark.parametrize("name", NAMES)
def test_results_are_those_of_the_class(name: str) -> None:
    for case in cases_of(name, 5, "video_tokens"):
        assert_as_golden(case, file="video_tokens")
