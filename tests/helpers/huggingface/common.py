"""What the families share: the choice of cases, their images, and the comparison of results."""

from __future__ import annotations

import functools
import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import numpy as np
import pytest
from goldens import inputs, store

from helpers.parity import EVERYTHING
from jaxprep.formats.huggingface import classes

TOLERANCE = 2e-6
"""The largest difference of two results, relative to max(1, |x|).

A difference of one in an 8-bit image is at least 1e-3 after normalization, so results this close
come from equal 8-bit images.
"""


@functools.cache
def _decode(recipe: str, as_array: bool) -> Any:
    read = inputs.array if as_array else inputs.image
    return read(json.loads(recipe))


def pictures(case: dict) -> list[Any]:
    """Return the input images of a case: PIL images, or arrays where the case says so."""
    as_arrays = case.get("arrays", False)
    return [_decode(json.dumps(recipe), as_arrays) for recipe in case["inputs"]]


def choose(
    cases: Sequence[dict], name: str, names: Sequence[str], every: int, first: int = 0
) -> list[dict]:
    """Choose the cases of the class `name` that run: all of them, if `EVERYTHING` is set.

    Otherwise case number `first`, those with arrays instead of PIL images, and of the others one in
    `every`, starting at another one for each class, so that the classes together show them all.
    """
    of_class = [case for case in cases if case.get("class") == name]
    if EVERYTHING:
        return of_class
    offset = list(names).index(name) % every
    return [
        case
        for i, case in enumerate(of_class)
        if i == first or i % every == offset or "arrays" in case
    ]


BY_BACKEND = ("class", "defaults", "input", "resample")
"""What each backend computes in a way of its own; all other traits, one backend may show."""
SHARED_RULES = ("resize", "resize_interpolating", "resize_clipped")
"""The resizes that read a size in one way, which most classes have."""


def showing(cases: Iterable[dict], elsewhere: Iterable[dict] = ()) -> list[dict]:
    """Choose few cases that together show every trait of any case; all, if `EVERYTHING` is set.

    Each time the case is chosen that shows most new traits for the programs that it compiles.

    Args:
        elsewhere: the cases of the other backend that run. What they show is not shown again, but
            for `BY_BACKEND`.
    """
    cases = [case for case in cases if "class" in case]
    if EVERYTHING:
        return cases
    shown = [frozenset(traits_of(case)) for case in cases]
    costs = [max(1, number_of_sizes(case)) for case in cases]
    missing = set().union(*shown)
    for case in elsewhere:
        missing -= {trait for trait in traits_of(case) if trait[0] not in BY_BACKEND}
    chosen: set[int] = set()
    while missing:
        best = max(range(len(cases)), key=lambda i: len(shown[i] & missing) / costs[i])
        missing -= shown[best]
        chosen.add(best)
    return [cases[i] for i in sorted(chosen)]


def showing_of(
    names: Iterable[str], live: Callable[[], Iterable[dict]]
) -> Callable[[str], list[dict]]:
    """Return what tells the cases of a backend that run (see `showing`).

    Args:
        names: the files with the goldens of torchvision's.
        live: returns the cases of the PIL backend.
    """

    @functools.cache
    def shown(backend: str) -> list[dict]:
        if backend == "torchvision":
            return showing(case for name in names for case in store.golden(name).cases)
        return showing(live(), shown("torchvision"))

    return shown


def traits_of(case: dict) -> Iterator[tuple]:
    """What may go wrong by itself in a case: its class, every option by the kind of its value, with
    annotations and without, a size for each rule of resizing, and every kind of input.

    The defaults are a trait of the classes that only torch can make; of all others a test compares
    them as data.
    """
    yield "class", case["class"]
    name = case["class"].removesuffix("Pil")
    row = classes.rows().get(name) or classes.video_rows()[name]
    if "pil" not in row.backends and name in classes.rows() and not case["settings"]:
        yield "defaults", name
    builders = {builder for backend in row.backends for builder in row.builder_names(backend)}
    rules = sorted(name for name in builders if "resize" in name and name not in SHARED_RULES)
    is_annotated = case.get("labels") is not None
    for option, value in [*case["settings"].items(), *case.get("call", {}).items()]:
        yield option, kind_of(option, value), is_annotated
        if option == "size":
            yield option, kind_of(option, value), *rules
    for recipe in flat(case.get("inputs", [])):
        yield "input", recipe.get("mode"), recipe.get("dtype"), case.get("arrays", False)
    yield "sizes", number_of_sizes(case) > 1
    yield "nested", any(isinstance(part, list) for part in case.get("inputs", []))
    for key in ("form", "labels", "ids", "tasks"):
        yield key, kind_of(key, case.get(key))
    for key, values in case.get("beside", {}).items():
        for value in values:
            if isinstance(value, dict):
                yield key, value["dense"], value.get("dtype")
            else:
                yield key, kind_of(key, value)


def kind_of(option: str, value: Any) -> Any:
    """Of the value of an option, what makes a difference in kind: of numbers none but filters."""
    if isinstance(value, dict):
        return tuple(sorted(value))
    if isinstance(value, list):
        return "list", len(value)
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return "number" if is_number and "resample" not in option else str(value)


def of_class(cases: Iterable[dict], name: str) -> list[dict]:
    """The cases of the class `name`."""
    return [case for case in cases if case["class"] == name]


def flat(recipes: list) -> list[dict]:
    """The recipes in nested lists, in order."""
    parts = (flat(part) if isinstance(part, list) else [part] for part in recipes)
    return [recipe for part in parts for recipe in part]


def number_of_sizes(case: dict) -> int:
    """How many sizes the images or clips of a case have: each may compile programs of its own."""
    recipes = [*flat(case.get("inputs", [])), *case.get("clips", [])]
    return len({json.dumps([recipe.get("box"), recipe.get("size")]) for recipe in recipes})


def original(name: str) -> Any:
    """Return the class of Transformers with the PIL backend; skip the test without Transformers, or
    where the class needs torch, too."""
    transformers = pytest.importorskip("transformers")
    # a class that has a PIL backend only has no suffix
    found = getattr(transformers, f"{name}Pil", None) or getattr(transformers, name)
    if needs_torch(found):
        pytest.skip(f"the PIL backend of {name} needs torch")
    return found


def needs_torch(original: Any) -> bool:
    """Return whether a class of Transformers is a placeholder, which says that torch is missing."""
    return "torch" in getattr(original, "_backends", ())


def as_arrays(features: Any) -> dict[str, list[np.ndarray]]:
    """Return what a call of ours with `return_tensors=None` gives, one array per image and name;
    sizes, which are plain numbers, as JAX's integers.
    """
    arrays: dict[str, list[np.ndarray]] = {}
    for name, values in features.items():
        kinds = [np.int32 if isinstance(value, tuple) else None for value in values]
        arrays[name] = [np.asarray(value, kind) for value, kind in zip(values, kinds, strict=True)]
    return arrays


def assert_close(ours: np.ndarray, theirs: np.ndarray, where: Any) -> None:
    """Assert equal shapes, dtypes and integers, and floats that differ by at most `TOLERANCE`.

    Args:
        where: what is compared, for the message.
    """
    assert ours.shape == theirs.shape, (where, ours.shape, theirs.shape)
    if theirs.dtype == np.int64:
        assert ours.dtype == np.int32, (where, ours.dtype)  # int32 is JAX's integer
        np.testing.assert_array_equal(ours, theirs, str(where))
        return
    # Transformers leaves float64 behind where it multiplies 8-bit gray by a factor
    if theirs.dtype != np.float64:
        assert ours.dtype == theirs.dtype, (where, ours.dtype, theirs.dtype)
    difference = np.abs(ours.astype(np.float64) - theirs)
    is_close = difference <= TOLERANCE * np.maximum(1, np.abs(theirs))
    assert is_close.all(), (where, difference.max(), 1 - is_close.mean())
