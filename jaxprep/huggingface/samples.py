"""Samples of several images: how the images of a call belong together, and their padding."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate
from typing import Any

import numpy as np

from jaxprep import bounds
from jaxprep.errors import InputError
from jaxprep.huggingface.views import array_module
from jaxprep.inputs import flatten, is_numbers


def sample_counts(images: Any, one_each: bool = False) -> list[int]:
    """Return how many images each sample of a call has.

    A list of lists is a list of samples; any other list is one sample, and so is a batch
    (`make_nested_list_of_images` of `transformers/image_utils.py`).

    Args:
        images: as they were passed.
        one_each: each image of a list that is not nested is a sample, as Fuyu has it.

    Raises:
        InputError: some items of a list are lists, and others are not.

    >>> sample_counts([["a.png", "b.png"], ["c.png"]]), sample_counts(["a.png", "b.png"])
    ([2, 1], [2])
    """
    if not isinstance(images, (list, tuple)) or is_numbers(images):
        counts = [_count(images)]
    elif all(nested := [_is_list(item) for item in images]):
        # A nested list says it all; deeper ones are flattened.
        return [sum(_count(image) for image, _ in flatten(item, "images")) for item in images]
    elif any(nested):
        raise InputError(
            "Expected a list of images, or a list of lists of images, got one with both: "
            f"`images[{nested.index(True)}]` is a list, `images[{nested.index(False)}]` is not."
        )
    else:
        counts = [_count(item) for item in images]
    if one_each:
        return [1] * sum(counts)
    # A batch among others is a sample of its own, as there.
    is_batch = isinstance(images, (list, tuple)) and any(_is_batch(item) for item in images)
    return counts if is_batch else [sum(counts)]


def _is_list(item: Any) -> bool:
    return isinstance(item, (list, tuple)) and not is_numbers(item)


def _is_batch(image: Any) -> bool:
    return getattr(image, "ndim", None) == 4


def _count(image: Any) -> int:
    return len(image) if _is_batch(image) else 1


def split(items: Any, counts: Sequence[int]) -> list[Any]:
    """Return the items of each sample, of a sequence or along the first axis of an array.

    >>> split("abc", [2, 1])
    ['ab', 'c']
    """
    ends = list(accumulate(counts))
    return [items[end - count : end] for end, count in zip(ends, counts, strict=True)]


def padded_samples(array: Any, counts: Sequence[int]) -> Any:
    """Return rows as samples of equal length: 0 after the last row of each.

    Args:
        array: the rows of all samples, `(rows, ...)`.
        counts: of the rows of each sample.

    Raises:
        InputError: so much padding that it is a mistake.

    >>> padded_samples(np.ones((3, 1)), [2, 1])[..., 0].tolist()
    [[1.0, 1.0], [1.0, 0.0]]
    """
    most = max(counts)
    shape = (len(counts), most, *array.shape[1:])
    if min(counts) == most:
        return array.reshape(shape)
    bounds.check_padded(shape[1:], [array.shape])
    starts = range(0, len(counts) * most, most)
    return spread(array, counts, starts, len(counts) * most).reshape(shape)


def spread(array: Any, counts: Sequence[int], starts: Sequence[int], total: int) -> Any:
    """Return the rows of all samples in one array of `total` rows, 0 where nothing lies.

    Args:
        array: the rows of all samples, `(rows, ...)`.
        counts: of the rows of each sample.
        starts: where the first row of each lies.

    >>> spread(np.ones(3), [2, 1], [0, 3], 4).tolist()
    [1.0, 1.0, 0.0, 1.0]
    """
    if sum(counts) == total:
        return array
    xp = array_module(array)
    # Where each row goes; then nothing but one gather, traced as on the host.
    source = np.full(total, len(array))
    first = 0
    for start, count in zip(starts, counts, strict=True):
        source[start : start + count] = range(first, first + count)
        first += count
    zero = xp.zeros((1, *array.shape[1:]), array.dtype)
    return xp.concatenate([array, zero])[source]


def in_samples(array: Any, counts: Sequence[int]) -> Any:
    """Return rows as one array where all samples have as many, otherwise, and where rows come in a
    list, in a list of samples.

    >>> in_samples(np.ones((4, 1)), [2, 2]).shape, len(in_samples(np.ones((4, 1)), [3, 1]))
    ((2, 2, 1), 2)
    """
    if isinstance(array, list) or len(set(counts)) > 1:
        return split(array, counts)
    return padded_samples(array, counts)
