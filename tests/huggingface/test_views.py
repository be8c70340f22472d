"""Results are copied to their place, whatever runs of memory both are made of."""

from __future__ import annotations

import numpy as np
import pytest
from helpers.images import noise

from jaxprep.huggingface.views import LONGEST_RUN, copy_runs

SHAPE = (3, 4, 5, 6)
VIEWS = {
    "whole": lambda array: array,
    "corner": lambda array: array[:, :3, 1:, :4],
    "one value a run": lambda array: array[..., :1],
    "nothing": lambda array: array[..., :0],
    "last axis apart": lambda array: array[..., ::2],
    "axes moved": lambda array: array.transpose(2, 0, 1, 3),
    "channels last": lambda array: np.moveaxis(array, 0, -1),
    "repeated": lambda array: np.broadcast_to(array[:, None], (3, 2, 4, 5, 6)),
    "one axis": lambda array: array[0, 0, 0],
}


@pytest.mark.parametrize("dtype", [np.uint8, np.float32, np.float64])
@pytest.mark.parametrize("view", VIEWS)
def test_every_value_arrives_and_nothing_else_is_written(view: str, dtype: type) -> None:
    source = VIEWS[view](noise(*SHAPE, dtype="uint8").astype(dtype))
    around = np.full([n + 2 for n in source.shape], 7, dtype)
    want = around.copy()
    inside = tuple(slice(1, n + 1) for n in source.shape)
    want[inside] = source
    copy_runs(source, around[inside])
    np.testing.assert_array_equal(around, want)
    # a target whose last axis is no run, and one of another type
    for target in (
        np.zeros((*source.shape, 2), dtype)[..., 0],
        np.zeros(source.shape, np.complex64),
    ):
        copy_runs(source, target)
        np.testing.assert_array_equal(target, source)


def test_long_runs_arrive_too() -> None:
    source = noise(3, LONGEST_RUN + 8)[:, :-1]
    for length in (LONGEST_RUN, LONGEST_RUN + 1):
        target = np.zeros((3, 2 * LONGEST_RUN), np.uint8)
        copy_runs(source[:, :length], target[:, :length])
        np.testing.assert_array_equal(target[:, :length], source[:, :length])
        assert not target[:, length:].any()
