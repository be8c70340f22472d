"""What numbers pixels may be: configs that keep them finite, and arrays in the types that JAX has.

The rule for configs: values of a magnitude of up to `LARGEST_INPUT`, which every integer of 32 bits
and every photograph has, stay within float32 after each step. How far a step can enlarge values it
says itself, by `Step.largest_value`. A config that breaks the rule is refused when it is made,
since it would turn a photograph into infinities, or into NaN a step later. A step that stores
values in a smaller type, float16, is held to that type for images of 8 bits, and for others when
they come.
"""

from __future__ import annotations

import functools
import math
import typing
from collections.abc import Iterator, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxprep import codec
from jaxprep.errors import ConfigError, InputError
from jaxprep.types import from_torch, is_torch, is_traced

LARGEST_INPUT = 2.0**32
FLOAT32_MAX = float(np.finfo(np.float32).max)


def check_fields_fit(step: Any) -> None:
    """Raises `ConfigError` where a number of a step is no float32, in which all are computed.

    >>> from jaxprep import ops
    >>> check_fields_fit(ops.Rescale(1 / 255))
    """
    for name, kind in codec.field_types(type(step)).items():
        value = getattr(step, name)
        if value == () and float in typing.get_args(kind):
            raise codec.expected("a number, or one for each channel", value, f"$.{name}")
        if any(abs(number) > FLOAT32_MAX for number in _floats(value)):
            raise codec.expected("numbers of at most 3.4e38, as float32", value, f"$.{name}")


def _floats(value: Any) -> Iterator[float]:
    if isinstance(value, float):
        yield value
    elif isinstance(value, tuple):
        for item in value:
            yield from _floats(item)


def check_stays_finite(steps: Sequence[Any]) -> None:
    """Raises `ConfigError` where steps make values of photographs infinite; see above.

    >>> from jaxprep import ops
    >>> check_stays_finite((ops.Rescale(1 / 255), ops.Normalize(0.5, 0.5)))
    """
    largest = LARGEST_INPUT
    for i, step in enumerate(steps):
        largest = step.largest_value(largest)
        # written so that NaN is refused too
        if not largest <= FLOAT32_MAX:
            at = f"$.steps[{i}]" if len(steps) > 1 else "$"
            raise ConfigError(
                f"Expected steps that keep values of up to 2**32 finite in float32, got up to "
                f"{largest:.3g} from `{codec.shown(step)}` - at `{at}`."
            )
        largest = min(largest, step.largest_stored)
    _check_tops(tuple(steps), 255, ConfigError)


@functools.lru_cache(maxsize=1024)
def check_dtype_fits(steps: tuple[Any, ...], dtype: Any) -> None:
    """Raises `InputError` where steps store integers of a dtype in a type that does not hold them.

    >>> from jaxprep import ops
    >>> check_dtype_fits((ops.Rescale(1 / 255), ops.Cast("float16")), np.dtype(np.uint16))
    """
    if jnp.issubdtype(dtype, jnp.integer):
        _check_tops(steps, int(jnp.iinfo(dtype).max), InputError)


def _check_tops(steps: tuple[Any, ...], largest: float, error: type[ConfigError | InputError]):
    start = largest
    for i, step in enumerate(steps):
        largest = step.largest_value(largest)
        if largest > step.largest_stored:
            raise error(
                f"Expected values of at most {step.largest_stored:g}, the largest that the type of "
                f"`{codec.shown(step)}` holds, got up to {largest:.6g} of values of up to {start}: "
                f"rescale them before - at `$.steps[{i}]`."
            )


def as_channels(channels: Any) -> int:
    """Returns a number of channels that a caller tells.

    Raises:
        InputError: no integer of at least 1.

    >>> as_channels(np.int64(3))
    3
    """
    if not isinstance(channels, int | np.integer) or channels < 1:
        raise InputError(f"Expected a number of channels, got {codec.shown(channels)}.")
    return int(channels)


def as_dtype(dtype: Any) -> Any:
    """Returns the type of images that a caller tells, as JAX holds it.

    Raises:
        InputError: it is none.

    >>> as_dtype("uint8")
    dtype('uint8')
    """
    try:
        return jax.dtypes.canonicalize_dtype(dtype)
    except TypeError as error:
        raise InputError(
            f"Expected a dtype of images, got {codec.shown(dtype)} - at `dtype`."
        ) from error


def refuse_masked(value: Any, expected: str, where: str) -> None:
    """Raises `InputError` where some values of an array of `numpy.ma` are masked: what is stored
    under the mask would count.

    >>> refuse_masked(np.ma.masked_array([1, 2]), "an array", "image")
    """
    if np.ma.is_masked(value):
        raise InputError(
            f"Expected {expected}, got an array of which some values are masked: fill them, with "
            f"`filled` - at `{where}`."
        )


def as_numbers(value: Any, expected: str, where: str, *, saturates: bool = False) -> Any:
    """Returns boxes, labels, masks and the like as an array: those of JAX where they are, others on
    the host, in the types that JAX holds them in.

    Args:
        value: an array of any library, or nested lists.
        expected: what it should be, for messages.
        where: its position in the call, for messages.
        saturates: floats beyond float32 become infinite, as where a model masks logits by the
            least number of float64.

    Raises:
        InputError: it has no values that are booleans, integers or real numbers, some are masked,
            or JAX does not hold one.

    >>> as_numbers([[0, 0, 4, 4]], "boxes (n, 4)", "boxes").shape
    (1, 4)
    """
    refuse_masked(value, expected, where)
    array = value
    if not isinstance(value, jax.Array):
        try:
            if is_traced(value):
                array = jnp.asarray(value)
            else:
                array = from_torch(value) if is_torch(value) else np.asarray(value)
        except MemoryError:
            raise
        except Exception as error:  # of any kind: files are read by some `__array__`
            raise InputError(
                f"Expected {expected}, got {codec.shown(value)}: {error} - at `{where}`."
            ) from error
    if not any(jnp.issubdtype(array.dtype, kind) for kind in (bool, jnp.integer, jnp.floating)):
        shown = f"an array of {array.dtype}" if hasattr(value, "dtype") else codec.shown(value)
        raise InputError(f"Expected {expected}, got {shown} - at `{where}`.")
    if saturates and isinstance(array, np.ndarray) and array.dtype == np.float64:
        with np.errstate(over="ignore"):
            return array.astype(np.float32)
    return in_jax_type(array, where)


def in_jax_type(image: Any, where: str = "image") -> Any:
    """Returns an array in the type that JAX holds it in: in the byte order of the machine, and of
    32 bits. JAX arrays and tracers come back as they are.

    Raises:
        InputError: that type does not hold a value; JAX would wrap or infinite it without a word.

    >>> in_jax_type(np.array([1, 2], ">i8")).dtype
    dtype('int32')
    """
    if not isinstance(image, np.ndarray) or image.dtype.kind not in "iuf":
        return image
    dtype = image.dtype.newbyteorder("=")
    if dtype.itemsize > 8:  # a long double, which JAX does not know
        dtype = np.dtype(np.float64)
    dtype = np.dtype(jax.dtypes.canonicalize_dtype(dtype))
    if dtype == image.dtype:
        return image
    if image.dtype.kind in "iu":
        info = np.iinfo(dtype)
        if image.size and not info.min <= image.min() <= image.max() <= info.max:
            raise InputError(
                f"Expected integers that {dtype} holds, got {image.dtype} from {image.min()} to "
                f"{image.max()} - at `{where}`. Convert them to floats."
            )
        return image.astype(dtype)
    with np.errstate(over="ignore"):
        converted = image.astype(dtype)
    if np.isfinite(converted).all():
        return converted
    became_infinite = ~np.isfinite(converted) & np.isfinite(image)
    if became_infinite.any():
        raise InputError(
            f"Expected numbers that {dtype} holds, got {image[became_infinite].flat[0]:g} - at "
            f"`{where}`."
        )
    return converted


def largest_affine(scale: Any, offset: Any, largest: float) -> float:
    """Returns the largest magnitude of `scale * x + offset`, for x of up to `largest`.

    >>> largest_affine(np.array([2.0, -3.0]), -1.0, 10.0)
    31.0
    """
    with np.errstate(over="ignore", invalid="ignore"):
        values = np.abs(np.asarray(scale, np.float64)) * largest + np.abs(np.asarray(offset))
    top = float(np.max(values))
    return math.inf if math.isnan(top) else top
