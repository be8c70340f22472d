"""The arrays of public functions are as annotated, in every call of every test."""

from __future__ import annotations

import inspect

import numpy as np
import pytest
from helpers import annotations
from jaxtyping import Float, TypeCheckError

from jaxprep import ops
from jaxprep.errors import InputError


def double(values: Float[np.ndarray, "n 2"], count: int = 2) -> Float[np.ndarray, "n 2"]:
    """Accept also what its annotation does not say, but for an empty array."""
    if not values.size:
        raise InputError("Expected values, got none.")
    return values * count


def test_arrays_as_annotated_are_accepted():
    assert annotations.checked(double)(np.ones((3, 2))).shape == (3, 2)


def test_an_array_that_is_not_as_annotated_is_an_error():
    with pytest.raises(TypeCheckError, match="values"):
        annotations.checked(double)(np.ones((3, 4)))


def test_a_result_that_is_not_as_annotated_is_an_error():
    def halves(values: Float[np.ndarray, " n"]) -> Float[np.ndarray, " n"]:
        return values[::2]

    with pytest.raises(TypeCheckError, match="return"):
        annotations.checked(halves)(np.ones(3))


def test_the_error_of_a_function_comes_before_that_of_its_annotation():
    with pytest.raises(InputError, match="Expected values, got none"):
        annotations.checked(double)(np.ones((0, 4)))


def test_what_is_no_array_is_left_to_the_function():
    assert annotations.checked(double)(np.ones((3, 2)), 2.5)[0, 0] == 2.5


def test_every_function_on_an_image_is_checked(checked_functions: list[str]):
    functions = [getattr(ops, name) for name in ops.__all__]
    on_images = [
        f"{function.__module__}.{function.__name__}"
        for function in functions
        if inspect.isfunction(function) and "image" in inspect.signature(function).parameters
    ]
    assert set(on_images) <= set(checked_functions) and len(on_images) >= 10
