"""Images that belong together: the frames of clips, and pairs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from jaxprep.errors import InputError
from jaxprep.huggingface.call import Call, read
from jaxprep.huggingface.images import Image
from jaxprep.huggingface.samples import split
from jaxprep.huggingface.views import array_module
from jaxprep.inputs import flatten, is_numbers


def read_groups(call: Call) -> tuple[list[Image], list[int]]:
    """Read the images of a call, one after another, and how many belong to each group.

    Nested lists are groups, and so are the arrays of a list of batches `(t, h, w, c)`; an array
    `(b, t, h, w, c)` is b groups. A list of images, a batch `(t, h, w, c)` and a lone image are one
    group: `make_nested_list_of_images` of `transformers/image_utils.py`.

    Raises:
        InputError: a group without images.

    >>> import numpy as np
    >>> from jaxprep.formats import HuggingFace
    >>> config = HuggingFace("VideoMAEImageProcessor")
    >>> frame = np.zeros((8, 8, 3), np.uint8)
    >>> read_groups(Call([[frame, frame], [frame]], {}, config))[1]
    [2, 1]
    """
    value, counts = ungrouped(call.images)
    return read(call._replace(images=value)), counts


def ungrouped(value: Any) -> tuple[Any, list[int]]:
    """Return the images of groups one after another, not read yet, and how many belong to each.

    Raises:
        InputError: a group without images.

    >>> ungrouped([["a.png", "b.png"], ["c.png"]])
    (['a.png', 'b.png', 'c.png'], [2, 1])
    """
    images, counts = _grouped(value)
    for i, count in enumerate(counts):
        if not count:
            raise InputError(f"Expected at least one image, got none - at `images[{i}]`.")
    return images, counts


def _grouped(value: Any) -> tuple[Any, list[int]]:
    ndim = getattr(value, "ndim", 0)
    if ndim == 5:
        # Not a list of batches, so that the sharding of a traced array is kept.
        return value.reshape(-1, *value.shape[2:]), [value.shape[1]] * value.shape[0]
    if ndim == 4:
        return value, [value.shape[0]]
    if not isinstance(value, (list, tuple)) or is_numbers(value):
        return value, [1]
    if all(isinstance(item, (list, tuple)) and not is_numbers(item) for item in value):
        groups = list(value)
    elif any(getattr(item, "ndim", 0) == 4 for item in value):
        groups = [[item] for item in value]
    else:
        groups = [value]
    items = [[item for item, _ in flatten(group, "images")] for group in groups]
    counts = [sum(_count(item) for item in group) for group in items]
    return [item for group in items for item in group], counts


def _count(item: Any) -> int:
    return item.shape[0] if getattr(item, "ndim", 0) == 4 else 1


def group_results(call: Call, results: Any, counts: Sequence[int]) -> Any:
    """Return the results of each group as one array: all in one, `(n, count, ...)`, where the
    groups are alike, otherwise a list.

    Where those of a group differ in size, a class that lists the images of a group with
    `return_tensors=None` gives a list of them for each group.

    Args:
        results: one array, or a list with one per image.
        counts: how many belong to each group.

    Raises:
        InputError: the results of a group are of different sizes, and the class stacks them.

    >>> import numpy as np
    >>> from jaxprep.formats import HuggingFace
    >>> call = Call(None, {}, HuggingFace("VideoMAEImageProcessor"))
    >>> group_results(call, np.zeros((4, 3, 8, 8)), [2, 2]).shape
    (2, 2, 3, 8, 8)
    >>> [group.shape for group in group_results(call, np.zeros((3, 8)), [2, 1])]
    [(2, 8), (1, 8)]
    """
    is_array = not isinstance(results, list)
    if is_array and len(set(counts)) == 1:
        return results.reshape(len(counts), counts[0], *results.shape[1:])
    groups = split(results, counts)
    if not is_array:
        differs = any(_differ(group) for group in groups)
        if differs and call.config.listed_axes.get(call.config.result_name, 1) > 1:
            return groups
        groups = [_stacked(group, i) for i, group in enumerate(groups)]
    if len({(group.shape, group.dtype) for group in groups}) > 1:
        return groups
    return array_module(groups).stack(groups)


def _differ(results: Sequence[Any]) -> bool:
    return len({result.shape for result in results}) > 1


def _stacked(results: Sequence[Any], i: int) -> Any:
    if _differ(results):
        shapes = sorted({result.shape for result in results})
        raise InputError(
            f"Expected results of one size, got {shapes} - at `images[{i}]`. Resize or crop the "
            "images to one size, and make all of them RGB or gray."
        )
    return array_module(list(results)).stack(results)
