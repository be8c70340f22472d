"""Reads what callers pass as images: arrays of any library, PIL images, and lists of them.

What a caller accepts is a `Policy`. This module reads for KerasHub's contract (`from_array`,
`from_list`); `jaxprep.huggingface.images` reads for that of Transformers.
"""

from __future__ import annotations

import functools
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import jax
import jax.core
import jax.numpy as jnp
import numpy as np
from jaxtyping import Shaped

from jaxprep.errors import InputError
from jaxprep.formats import Format
from jaxprep.pictures import Image, from_pil, is_pil
from jaxprep.pipeline import Pipeline
from jaxprep.pipeline.numbers import in_jax_type
from jaxprep.pipeline.step import Pointwise
from jaxprep.slips import level_of_caller
from jaxprep.types import from_torch, is_torch

Layout = Literal["channels_first", "channels_last"]
CHANNEL_COUNTS = (1, 3, 4)
"""Gray, RGB, RGBA: the lengths of an axis that may be the channels, as in
`infer_channel_dimension_format` of `transformers/image_utils.py`.
"""


@dataclass(frozen=True)
class Policy:
    """States what a caller accepts as an image.

    Attributes:
        expected: what errors say was expected.
        hint: what errors add about other types.
        narrows: booleans, and integers from 0 to 255 in nested lists, become uint8, which is what
            an image of them would be.

    >>> Policy("an array").refused("text", "x")
    InputError('Expected an array, got `str` - at `x`.')
    """

    expected: str
    hint: str = ""
    narrows: bool = False

    def refused(self, value: Any, where: str, why: str = "") -> InputError:
        """Return the error for a value of another type."""
        got = f"`{type(value).__name__}`{why}"
        hint = f" {self.hint}" if self.hint else ""
        return InputError(f"Expected {self.expected}, got {got} - at `{where}`.{hint}")


FACADE = Policy(
    "an image (a NumPy or JAX array, or a PIL image), a batch of them, a list of them, or a "
    "dictionary",
    hint="Read files with `jaxprep.read_image`.",
)


def is_numbers(value: Any) -> bool:
    """Return whether a list is the nested numbers of an image, as against a list of images.

    >>> is_numbers([[[0, 1, 2]]]), is_numbers([np.zeros((2, 2, 3))])
    (True, False)
    """
    while isinstance(value, (list, tuple)) and value:
        value = value[0]
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def is_list_of_images(value: Any) -> bool:
    """Return whether a list or tuple holds images, as against the nested numbers of one image or
    batch.

    >>> is_list_of_images([np.zeros((2, 2, 3))]), is_list_of_images([[[0, 1, 2]]])
    (True, False)
    """
    if not isinstance(value, (list, tuple)):
        return False
    # Nested numbers have neither; tensors of some libraries have a shape and no `ndim`.
    for item in value:
        if is_pil(item) or hasattr(item, "ndim") or hasattr(item, "shape"):
            return True
    return bool(value) and not isinstance(value[0], (list, tuple, int, float))


def warn_of_images_as_labels(y: Any, x: Any, channels_axis: int) -> None:
    """Warn where labels are further images, which nobody would preprocess.

    Maps of classes are labels: an array counts as images if it has colours and the type of `x`.

    Args:
        y: labels of any kind.
        x: the images that they belong to.
        channels_axis: of images, -1 or -3.

    >>> with warnings.catch_warnings(record=True) as caught:
    ...     warn_of_images_as_labels(np.zeros((4, 4, 3)), np.zeros((8, 8, 3)), channels_axis=-1)
    >>> len(caught)
    1
    """
    label, image = _first_of(y), _first_of(x)
    is_image = is_pil(label)
    shape = getattr(label, "shape", ())
    if not is_image and len(shape) in (3, 4):
        wanted = np.uint8 if is_pil(image) else getattr(image, "dtype", None)
        rank = 3 if is_pil(image) else len(getattr(image, "shape", ()))
        has_colors = shape[channels_axis] in (3, 4)
        is_image = has_colors and len(shape) == rank and getattr(label, "dtype", None) == wanted
    if is_image:
        warnings.warn(
            "Got images as the labels `y`, which come back as they are. Pass several images as one "
            "list: `preprocessor([a, b])`.",
            stacklevel=3,
        )


def _first_of(value: Any) -> Any:
    return value[0] if isinstance(value, (list, tuple)) and value else value


def flatten(value: Any, where: str) -> Iterator[tuple[Any, str]]:
    """Yield every image of nested lists in order, and its position in the call, for messages.

    >>> [position for _, position in flatten(["a.png", ["b.png"]], "images")]
    ['images[0]', 'images[1][0]']
    """
    if not isinstance(value, (list, tuple)) or is_numbers(value):
        yield value, where
        return
    for i, item in enumerate(value):
        yield from flatten(item, f"{where}[{i}]")


def check_foreign(value: Any) -> None:
    """Refuse what holds no values: iterators, files, and symbolic tensors of TensorFlow and Keras.

    Raises:
        InputError: `value` is one of them; the message says what to do instead.

    >>> check_foreign(iter([]))  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    jaxprep.errors.InputError: Expected values, got an iterator: ...
    """
    module = type(value).__module__
    if module.startswith("tensorflow") and not hasattr(value, "numpy"):
        raise InputError(
            "Expected values, got a symbolic tensor of TensorFlow: inside a `tf.data` graph call "
            "an `ImageConverter`, an `ImageClassifierPreprocessor` or an image processor, "
            "elsewhere use the batches that `dataset.as_numpy_iterator()` gives."
        )
    if hasattr(value, "read") and isinstance(value, Iterator):
        raise InputError(
            f"Expected values, got the file `{type(value).__name__}`: `jaxprep.read_image` reads "
            "an image from a binary one."
        )
    if isinstance(value, Iterator):
        raise InputError(
            "Expected values, got an iterator: use `map(preprocessor, iterator)`, or make a list "
            "of it."
        )
    if module.startswith("keras"):
        raise InputError(
            f"Expected values, got the symbolic `{type(value).__name__}` of a Keras model."
        )


def as_numpy(value: Any, where: str, policy: Policy) -> Shaped[np.ndarray, "*shape"]:
    """Return the numbers of an array of any library; those of torch through DLPack.

    Args:
        value: an array, a number, or nested lists of numbers.
        where: its position in the call, for messages.
        policy: what the caller accepts.

    Raises:
        InputError: not an array of integers or floats, or some of its values are masked.

    >>> as_numpy([[0, 255]], "images", Policy("an array", narrows=True)).dtype
    dtype('uint8')
    """
    check_foreign(value)
    if value is None or isinstance(value, (str, bytes, dict, set)):
        raise policy.refused(value, where)
    if np.ma.is_masked(value):
        raise policy.refused(value, where, ", of which some values are masked: fill them first")
    try:
        array = from_torch(value) if is_torch(value) else np.asarray(value)
    except MemoryError:
        raise
    except Exception as error:  # of any kind: files are read by some `__array__`
        raise policy.refused(value, where, f": {error}") from error
    if policy.narrows:
        array = _narrowed(array, is_nested=isinstance(value, (list, tuple)))
    # Other byte orders are for files: neither JAX nor DLPack knows them.
    array = array.astype(array.dtype.newbyteorder("="), copy=False)
    # bfloat16 of `ml_dtypes` is of NumPy's kind "V", void.
    if array.dtype.kind not in "buif" and str(array.dtype) != "bfloat16":
        raise policy.refused(value, where, f" of {array.dtype}, which is no array of numbers")
    return array


def _narrowed(array: np.ndarray, is_nested: bool) -> np.ndarray:
    # Masks are 0 and 1 so, as in PIL's mode 1.
    if array.dtype == bool:
        return array.astype(np.uint8)
    # Nested lists become int64 in NumPy; of an image they are bytes.
    is_bytes = is_nested and array.dtype.kind == "i" and array.size > 0
    if is_bytes and array.min() >= 0 and array.max() <= 255:
        return array.astype(np.uint8)
    return array


def layout_of(shape: tuple[int, ...], where: str = "images") -> Layout:
    """Return where the channels are, from their number: 1, 3 or 4. Where both ends may be the
    channels, they are first, with a warning.

    Raises:
        InputError: neither end can be the channels.

    >>> layout_of((3, 20, 30)), layout_of((20, 30, 3))
    ('channels_first', 'channels_last')
    """
    may_be_first = shape[-3] in CHANNEL_COUNTS
    may_be_last = shape[-1] in CHANNEL_COUNTS
    if may_be_first and may_be_last:
        warnings.warn(
            f"An image of shape {shape} may have its channels first or last; first is assumed. "
            "Say which with `input_data_format`.",
            stacklevel=2,
        )
    if may_be_first:
        return "channels_first"
    if may_be_last:
        return "channels_last"
    raise InputError(
        "Unable to infer channel dimension format: expected 1, 3 or 4 channels first or last, got "
        f"shape {shape} - at `{where}`."
    )


def channels_last(array: Any, layout: Layout) -> Any:
    """Return an image or a batch, NumPy or JAX, with its channels as the last axis.

    >>> channels_last(np.zeros((3, 20, 30)), "channels_first").shape
    (20, 30, 3)
    """
    if layout == "channels_last":
        return array
    return array.transpose(*range(array.ndim - 3), -2, -1, -3)


# -- ranges --------------------------------------------------------------------------------------

BYTE_SCALE = 1 / 20
"""A factor up to this is for levels in [0, 255]; of values in [0, 1] it leaves one dark colour.
With 1 / 255 and any standard deviation in use it is at most 0.02, without at least 1."""


@functools.lru_cache(maxsize=1024)
def rescales_levels(pipeline: Pipeline) -> bool:
    """Return whether a pipeline rescales levels in [0, 255], by its first affine step.

    >>> from jaxprep import ops
    >>> rescales_levels(Pipeline((ops.Rescale(1 / 255), ops.Normalize(0.5, 0.5))))
    True
    >>> rescales_levels(Pipeline((ops.Normalize(0.5, 0.5),)))
    False
    """
    for step in pipeline.inner_steps:
        if not isinstance(step, Pointwise) or step.is_random:
            continue
        affine = step.affine()
        if affine is not None:
            return bool(np.max(np.abs(affine[0])) <= BYTE_SCALE)
    return False


def warn_of_range(owner: Any, images: Any) -> None:
    """Warn, once for each `owner`, where levels in [0, 255] are rescaled and `images` hold others:
    floats in [0, 1], or integers of 16 bits. Of several images the first is looked at.

    Transformers warns of the former, in these words: `validate_preprocess_arguments` and
    `is_scaled_image` of transformers/image_utils.py.

    Args:
        owner: the preprocessor; it remembers that it has warned.
        images: what it was called with; of a dictionary, the images. Traced ones have no values
            to look at.

    >>> class Preprocessor:
    ...     pass
    >>> with warnings.catch_warnings(record=True) as caught:
    ...     warnings.simplefilter("always")
    ...     preprocessor = Preprocessor()
    ...     warn_of_range(preprocessor, np.full((2, 2, 3), 0.5))
    ...     warn_of_range(preprocessor, np.full((2, 2, 3), 0.5))
    >>> len(caught)
    1
    """
    if "_has_warned" in vars(owner):
        return
    array = _first_array(images)
    if array is None or not array.ndim or not array.size:
        return
    if array.dtype == np.uint16 and array.max() > 255:
        got = f"16-bit integers up to {array.max()}"
        hint = "Keep the high byte (`image >> 8`), as `jaxprep.read_image` does."
    elif jnp.issubdtype(array.dtype, np.floating) and _is_share(array):
        got = "floats in [0, 1]: it looks like you are rescaling images that are rescaled already"
        hint = "Pass levels (uint8), or leave the rescale out (`do_rescale=False`, `scale=None`)."
    else:
        return
    object.__setattr__(owner, "_has_warned", True)
    warnings.warn(
        f"Expected images of levels in [0, 255], which are rescaled, got {got}. {hint}",
        stacklevel=level_of_caller(),
    )


def _first_array(value: Any) -> np.ndarray | None:
    """Return the first array of what a caller passed; None where there is none to look at."""
    while isinstance(value, (list, tuple)) and value and not is_numbers(value):
        value = value[0]
    if isinstance(value, jax.core.Tracer):
        return None
    # An array on an accelerator, or on several devices, would be copied for this.
    if isinstance(value, jax.Array):
        devices = value.devices()
        if len(devices) > 1 or next(iter(devices)).platform != "cpu":
            return None
        if not jnp.issubdtype(value.dtype, np.number):  # keys have no numbers to look at
            return None
    elif is_torch(value):
        value = from_torch(value)
    elif not isinstance(value, np.ndarray) and not is_numbers(value):
        return None
    array = np.asarray(value)
    return array[0] if array.ndim == 4 and len(array) else array


def _is_share(array: np.ndarray) -> bool:
    """Return whether floats are in [0, 1], and not all 0, which is black in either range."""
    # The first row tells most photographs of levels, at once.
    if array[0].max() > 1:
        return False
    return bool(array.min() >= 0 and 0 < array.max() <= 1)


# -- KerasHub's contract -------------------------------------------------------------------------


def from_array(value: Any, config: Format, where: str = "x") -> Shaped[np.ndarray, "... h w c"]:
    """Return an array of one image or a batch with its channels last, whatever the layout of the
    config.

    Args:
        value: `(h, w, c)` or `(b, h, w, c)`, channels first where `config` reads them so.
        config: of the caller.
        where: the value's position in the call, for messages.

    Raises:
        InputError: not an array of numbers, or of another rank.

    >>> from jaxprep.formats import Custom
    >>> from_array(np.zeros((2, 3, 3)), Custom()).shape
    (2, 3, 3)
    """
    array = in_jax_type(as_numpy(value, where, FACADE), where)
    check_rank(array, config, where)
    # KerasHub asks the config, not the shape: `(3, 224, 224)` is an image of 224 channels to it.
    is_first = config.pipeline.reads_channels_first
    return channels_last(array, "channels_first" if is_first else "channels_last")


def check_rank(array: Any, config: Format, where: str) -> None:
    """Refuse an array that is neither one image nor a batch.

    Raises:
        InputError: it is of another rank.

    >>> from jaxprep.formats import Custom
    >>> check_rank(np.zeros((2, 3, 3)), Custom(), "x")
    """
    if array.ndim not in (3, 4):
        axes = "c, h, w" if config.pipeline.reads_channels_first else "h, w, c"
        hint = " A gray image has an axis of one channel, too." if array.ndim == 2 else ""
        raise InputError(
            f"Expected an image ({axes}) or a batch (batch, {axes}), got shape {array.shape} - at "
            f"`{where}`.{hint}"
        )


def from_list(values: Sequence[Any], config: Format) -> list[Image]:
    """Return the images of a list; arrays of different types are promoted to one that holds them
    all.

    Raises:
        InputError: an empty list, or something that is not one image.

    >>> from jaxprep.formats import Custom
    >>> images = from_list([np.zeros((2, 3, 3), np.uint8), np.zeros((4, 4, 3))], Custom())
    >>> [image.pixels.dtype.name for image in images]
    ['float32', 'float32']
    """
    if not len(values):
        raise InputError("Expected at least one image, got an empty list - at `x`.")
    images = [_from_item(value, config, f"x[{i}]") for i, value in enumerate(values)]
    # One program for the list; with one image of float32 those of uint8 are computed as float32.
    try:
        dtype = np.result_type(*{image.pixels.dtype for image in images})
    except TypeError:  # NumPy promotes no bfloat16 with a float16, or with an integer of 32 bits
        dtype = np.dtype(np.float32)
    return [Image(image.pixels.astype(dtype, copy=False), image.pipeline) for image in images]


def _from_item(value: Any, config: Format, where: str) -> Image:
    if is_pil(value):
        return from_pil(value, config, where)
    pixels = from_array(value, config, where)
    if pixels.ndim != 3:
        raise InputError(f"Expected an image of rank 3, got shape {pixels.shape} - at `{where}`.")
    return Image(pixels, config.pipeline)
