"""Semantic segmentation: one class per pixel, from dense logits, from mask queries, or from a
painted palette.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Float, Int

from jaxprep.errors import InputError
from jaxprep.postprocess import windows
from jaxprep.postprocess.registry import SEMANTIC, method
from jaxprep.postprocess.resize_plan import (
    Interpolation,
    ResizePlan,
    canvas_size,
    crop_to_size,
    exact_plan,
    plan,
    resize,
    resize_image,
    scan_channels,
    take_image,
)
from jaxprep.postprocess.results import (
    Result,
    each_size,
    field,
    float32,
    on_device,
    optional_field,
    require_shape,
    required_sizes,
    whole_number,
)
from jaxprep.types import Array, Size

MASK2FORMER_SIZE = (384, 384)
"""The size to which Mask2Former's masks are resized before anything else, for all of its models: a
constant in `models/mask2former/image_processing_mask2former.py` of Transformers."""


def class_scores(
    classes: Float[Array, "q c"],
    masks: Float[Array, "q h w"],
    null: bool,
) -> Float[jax.Array, "labels h w"]:
    """Computes the class scores of one image from its queries: the sum over queries of class
    probability times mask probability.

    Args:
        classes, masks: logits.
        null: the last class is "no object" and is left out.

    >>> scores = jax.jit(lambda logits, masks: class_scores(logits, masks, null=True).ravel())
    >>> scores(jnp.zeros((2, 4)), jnp.zeros((2, 1, 1))).tolist()
    [0.25, 0.25, 0.25]
    """
    weight = jax.nn.softmax(classes, axis=-1)
    if null:
        weight = weight[:, :-1]
    probabilities = jax.nn.sigmoid(masks)
    # GPUs and TPUs would multiply in TF32 and bfloat16: pixels would change their classes.
    return jnp.einsum("qc,qhw->chw", weight, probabilities, precision=lax.Precision.HIGHEST)


def best_class(
    scores: Float[Array, "c h w"],
    resize_plan: ResizePlan,
    interpolation: Interpolation = "bilinear",
) -> Int[jax.Array, "height width"]:
    """Returns the best class of each pixel of the canvas, int32; scores are resized first.

    Of equal scores the first class wins, as in torch's `argmax` on the CPU.

    >>> scores = jnp.float32([[[0, 9]], [[5, 5]]])
    >>> best_class(scores, plan((1, 2), None)).tolist()
    [[1, 0]]
    """

    def step(
        state: tuple[jax.Array, jax.Array],
        c: Any,
        plane: jax.Array,
    ) -> tuple[jax.Array, jax.Array]:
        best_score, best = state
        # No stack of all classes: at the size of a photograph that would be gigabytes.
        wins = plane > best_score
        return jnp.where(wins, plane, best_score), jnp.where(wins, c, best)

    canvas = canvas_size(scores, resize_plan)
    start = (jnp.full(canvas, -jnp.inf), jnp.zeros(canvas, jnp.int32))
    _, best = scan_channels(step, start, scores, resize_plan, interpolation)
    return best


@functools.partial(jax.jit, static_argnames=("interpolation", "with_scores"))
def _dense(
    logits: jax.Array,
    i: Any,
    resize_plan: ResizePlan,
    interpolation: Interpolation,
    with_scores: bool,
) -> Any:
    return _maps(take_image(logits, i), resize_plan, interpolation, with_scores)


@functools.partial(jax.jit, static_argnames=("interpolation", "null", "with_scores"))
def _queries(
    classes: jax.Array,
    masks: jax.Array,
    i: Any,
    to_network: ResizePlan,
    to_image: ResizePlan,
    interpolation: Interpolation,
    null: bool,
    with_scores: bool,
) -> Any:
    in_network = resize(take_image(masks, i), to_network)
    scores = class_scores(take_image(classes, i), in_network, null)
    return _maps(scores, to_image, interpolation, with_scores)


def _maps(
    scores: jax.Array,
    resize_plan: ResizePlan,
    interpolation: Interpolation,
    with_scores: bool,
) -> tuple[Array, Array | None]:
    """The map of classes on the canvas, and the scores there if they are wanted."""
    # Scores cost the memory that the scan saves; they are computed where they are asked for.
    if not with_scores:
        return best_class(scores, resize_plan, interpolation), None
    resized = resize(scores, resize_plan, interpolation)
    unchanged = ResizePlan(None, None, resize_plan.size)
    return best_class(resized, unchanged), resized


def _result(maps: tuple[Any, Any], size: Any, with_scores: bool) -> Any:
    """What the caller gets for one image: the map, or a `Result` with the scores."""
    segmentation = on_device(crop_to_size(maps[0], size))
    if not with_scores:
        return segmentation
    scores = maps[1]
    if scores is not None:
        scores = on_device(crop_to_size(scores, size))
    return Result(segmentation=segmentation, segmentation_scores=scores)


@method(
    (
        "BeitImageProcessor",
        "CHMv2ImageProcessor",
        "DPTImageProcessor",
        "MobileNetV2ImageProcessor",
        "MobileViTImageProcessor",
        "Sapiens2ImageProcessor",
        "SegformerImageProcessor",
    ),
    SEMANTIC,
)
@method("Tipsv2DptImageProcessor", SEMANTIC, fixed={"names": ("segmentation_logits", "logits")})
def dense_semantic_segmentation(
    outputs: Any,
    target_sizes: Any = None,
    return_segmentation_scores: bool = False,
    *,
    names: Sequence[str] = ("logits",),
) -> list[Any]:
    """Returns class maps from logits `(b, c, h, w)`.

    Reproduces `models/segformer/image_processing_segformer.py` of Transformers.

    Args:
        outputs: with `logits` (or the first field of `names` that it has).
        target_sizes: (height, width) per image; None leaves the maps at the size of the logits.
        return_segmentation_scores: return the resized logits too.
        names: where the logits may be.

    Returns:
        per image an int32 map `(height, width)`; or, with scores, a dict with attributes
        `segmentation` and `segmentation_scores`, float32 `(c, height, width)`.

    >>> outputs = {"logits": np.float32([[[[0, 9]], [[5, 5]]]])}
    >>> dense_semantic_segmentation(outputs, [(1, 4)])[0].tolist()
    [[1, 1, 0, 0]]
    """
    logits = field(outputs, *names)
    require_shape(names[0], logits, (*logits.shape[:1], None, None, None))
    results = []
    for i, size in each_size(target_sizes, len(logits)):
        resize_plan = plan(logits.shape[-2:], size)
        maps = _dense(logits, i, resize_plan, "bilinear", return_segmentation_scores)
        results.append(_result(maps, resize_plan.size, return_segmentation_scores))
    return results


@method(("DetrImageProcessor", "MaskFormerImageProcessor", "OneFormerImageProcessorPil"), SEMANTIC)
@method("ConditionalDetrImageProcessor", SEMANTIC, fixed={"null": False})
@method("Mask2FormerImageProcessor", SEMANTIC, fixed={"first_size": MASK2FORMER_SIZE})
@method("OneFormerImageProcessor", SEMANTIC, fixed={"interpolation": "antialias"})
def query_semantic_segmentation(
    outputs: Any,
    target_sizes: Any = None,
    return_segmentation_scores: bool = False,
    *,
    null: bool = True,
    first_size: Size | None = None,
    interpolation: Interpolation = "bilinear",
) -> list[Any]:
    """Returns class maps from mask queries: the sum over queries of class probability times mask
    probability, resized.

    Reproduces `models/maskformer/image_processing_maskformer.py` of Transformers and its relatives;
    the paper is https://arxiv.org/abs/2107.06278.

    Args:
        outputs: with `class_queries_logits` (or `logits`) and `masks_queries_logits` (or
            `pred_masks`).
        target_sizes, return_segmentation_scores: as in `dense_semantic_segmentation`; so are the
            results.
        null: the last class is "no object" and is left out.
        first_size: the size to which the masks are resized before they are made probabilities.
        interpolation: how scores are resized.

    >>> outputs = {
    ...     "class_queries_logits": np.float32([[[0, 9, 0]]]),
    ...     "masks_queries_logits": np.zeros((1, 1, 2, 2), np.float32),
    ... }
    >>> query_semantic_segmentation(outputs)[0].tolist()
    [[1, 1], [1, 1]]
    """
    classes = field(outputs, "class_queries_logits", "logits")
    masks = field(outputs, "masks_queries_logits", "pred_masks")
    # Where masks are resized first, there is one to resize.
    least_queries = 0 if first_size is None else 1
    require_queries(classes, masks, least_queries, least_classes=2 if null else 1)
    to_network, network = network_plan(masks, first_size)
    results = []
    for i, size in each_size(target_sizes, len(classes)):
        to_image = plan(network, size, interpolation)
        maps = _queries(
            classes,
            masks,
            i,
            to_network,
            to_image,
            interpolation,
            null,
            return_segmentation_scores,
        )
        results.append(_result(maps, to_image.size, return_segmentation_scores))
    return results


def require_queries(
    classes: jax.Array,
    masks: jax.Array,
    least_queries: int = 0,
    least_classes: int = 1,
) -> None:
    """Refuses logits of classes and masks of which not every query has both.

    Args:
        classes: `(b, q, c)`.
        masks: `(b, q, h, w)`.
        least_queries: how many queries there are at least.
        least_classes: how many classes there are at least, "no object" included.

    Raises:
        InputError: another shape, or fewer queries or classes.

    >>> require_queries(np.zeros((1, 2, 3)), np.zeros((1, 2, 4, 4)), least_classes=2)
    """
    require_shape("class_queries_logits", classes, (*classes.shape[:2], None))
    require_shape("masks_queries_logits", masks, (*classes.shape[:2], None, None))
    _, query_count, class_count = classes.shape
    if query_count < least_queries or class_count < least_classes:
        raise InputError(
            f"Expected at least {least_queries} queries and {least_classes} classes, "
            f'"no object" included, got {query_count} and {class_count} - at '
            "`outputs.class_queries_logits`."
        )


def network_plan(masks: Float[Array, "b q h w"], size: Size | None) -> tuple[ResizePlan, Size]:
    """Plans how to resize masks to a size that the model fixes, and returns that size; None leaves
    them as they are.

    >>> network_plan(np.zeros((1, 1, 2, 3), np.float32), None)[1]
    (2, 3)
    """
    native = (masks.shape[-2], masks.shape[-1])
    if size is None:
        return plan(native, None), native
    return exact_plan(native, size), size


@functools.partial(jax.jit, static_argnames=("vertical", "canvas"))
def _merged(
    classes: jax.Array,
    masks: jax.Array,
    rows: Any,
    starts: Any,
    to_network: ResizePlan,
    vertical: bool,
    canvas: Size,
) -> jax.Array:
    """The mean scores of the windows `rows` of one image, as a batch of one."""

    def scores_of(row: Any) -> jax.Array:
        in_network = resize(take_image(masks, row), to_network)
        return class_scores(take_image(classes, row), in_network, null=True)

    shape = (classes.shape[-1] - 1, *canvas)
    return windows.mean_of_windows(scores_of, rows, starts, shape, vertical)[None]


@method("EomtImageProcessor", SEMANTIC, settings=["size"])
def eomt_semantic_segmentation(
    outputs: Any,
    target_sizes: Any,
    size: Any = None,
    return_segmentation_scores: bool = False,
) -> list[Any]:
    """Returns class maps of EoMT: masks are resized to the network's size; the windows of a split
    image are averaged.

    Reproduces `models/eomt/image_processing_eomt.py` of Transformers; the paper is
    https://arxiv.org/abs/2503.19108.

    Args:
        outputs: as in `query_semantic_segmentation`, and `patch_offsets`, the (image, start, end)
            of each window along the image's longer side, if images were split.
        target_sizes: (height, width) per image; required.
        size: the processor's `size`.
        return_segmentation_scores: as in `dense_semantic_segmentation`; so are the results.

    Raises:
        InputError: a size without `shortest_edge`, or not one of `target_sizes` for each image.

    >>> outputs = {
    ...     "class_queries_logits": np.float32([[[0, 9, 0]]]),
    ...     "masks_queries_logits": np.zeros((1, 1, 2, 2), np.float32),
    ...     "patch_offsets": [(0, 0, 4)],
    ... }
    >>> eomt_semantic_segmentation(outputs, [(2, 2)], {"shortest_edge": 4})[0].tolist()
    [[1, 1], [1, 1]]
    """
    network_size = windows.eomt_size(size)
    classes = field(outputs, "class_queries_logits")
    # Set by the processor where its `do_split_image` cut images into windows.
    offsets = optional_field(outputs, "patch_offsets")
    if offsets is None or len(offsets) == 0:
        image_sizes = required_sizes(target_sizes, len(classes))
        return query_semantic_segmentation(
            outputs, image_sizes, return_segmentation_scores, first_size=network_size
        )
    masks = field(outputs, "masks_queries_logits")
    require_queries(classes, masks, least_queries=1, least_classes=2)
    to_network, window_size = network_plan(masks, network_size)
    results = []
    for layout in windows.layouts(offsets, target_sizes, size, window_size):
        merged = _merged(
            classes,
            masks,
            layout.rows,
            layout.starts,
            to_network,
            layout.vertical,
            layout.canvas,
        )
        to_image = plan(layout.canvas, layout.size, window=layout.window)
        maps = _dense(merged, 0, to_image, "bilinear", return_segmentation_scores)
        results.append(_result(maps, to_image.size, return_segmentation_scores))
    return results


@jax.jit
def _sigmoid(logits: jax.Array) -> jax.Array:
    return jax.nn.sigmoid(logits.astype(jnp.float32))


@method("Sam3ImageProcessor", SEMANTIC)
def sam3_semantic_segmentation(
    outputs: Any,
    target_sizes: Any = None,
    threshold: float = 0.5,
    return_segmentation_scores: bool = False,
) -> list[Any]:
    """Returns binary maps of SAM 3: 1 where the probability exceeds `threshold`.

    Reproduces `models/sam3/image_processing_sam3.py` of Transformers.

    Args:
        outputs: with `semantic_seg` `(b, 1, h, w)`, logits.
        target_sizes, return_segmentation_scores: as in `dense_semantic_segmentation`; so are the
            results, scores being probabilities.
        threshold: of the resized probability.

    Raises:
        InputError: logits of another rank, or of no pixels.

    >>> outputs = {"semantic_seg": np.float32([[[[-1, 1]]]])}
    >>> sam3_semantic_segmentation(outputs)[0].tolist()
    [[0, 1]]
    """
    logits = field(outputs, "semantic_seg")
    require_shape("semantic_seg", logits, (*logits.shape[:1], None, None, None))
    probabilities = _sigmoid(logits)
    results = []
    for i, size in each_size(target_sizes, len(probabilities)):
        # Probabilities are resized, not logits, as in Transformers.
        scores = resize_image(probabilities, i, size, "bilinear")
        segmentation = (scores[0] > float32(threshold, "threshold")).astype(np.int32)
        maps = (segmentation, scores)
        results.append(_result(maps, segmentation.shape, return_segmentation_scores))
    return results


def palette(num_labels: int) -> Int[np.ndarray, "colors 3"]:
    """Returns SegGPT's colours: black for the background, then a grid of the colour cube.

    Reproduces `build_palette` of `models/seggpt/image_processing_seggpt.py` of Transformers.

    >>> palette(2).tolist()
    [[0, 0, 0], [255, 255, 255], [255, 255, 127]]
    """
    # The smallest grid with room for all labels.
    base = int(num_labels ** (1 / 3)) + 1
    margin = 256 // base
    colors = [(0, 0, 0)]
    for number in range(num_labels):
        red, rest = divmod(number, base**2)
        green, blue = divmod(rest, base)
        color = (
            255 - red * margin,
            255 - green * margin,
            255 - blue * margin,
        )
        colors.append(color)
    return np.asarray(colors)


@jax.jit
def _painted(masks: jax.Array, mean: Any, std: Any) -> jax.Array:
    """The lower half, which is the prediction, as colours in [0, 255]."""
    # The prompt's mask and the image's are one tall image to the model.
    middle = masks.shape[2] // 2
    prediction = masks[:, :, middle:]
    scaled = prediction * std[:, None, None]
    unnormalized = scaled + mean[:, None, None]
    return jnp.clip(unnormalized * 255, 0, 255)


@jax.jit
def _nearest_color(
    images: jax.Array,
    i: Any,
    resize_plan: ResizePlan,
    colors: jax.Array,
) -> tuple[jax.Array, jax.Array]:
    image = resize(take_image(images, i), resize_plan, "nearest")
    distances = []
    # Colour by colour: the difference to all at once would be many times the image.
    for color in colors:
        difference = image - color[:, None, None]
        distances.append(jnp.square(difference).sum(0))
    distance = jnp.stack(distances)
    return distance.argmin(0).astype(jnp.int32), -distance


@jax.jit
def _mean_color(images: jax.Array, i: Any, resize_plan: ResizePlan) -> jax.Array:
    image = resize(take_image(images, i), resize_plan, "nearest")
    return image.mean(0).astype(jnp.int32)


@method("SegGptImageProcessor", SEMANTIC, settings=["image_mean", "image_std"])
def seggpt_semantic_segmentation(
    outputs: Any,
    target_sizes: Any = None,
    num_labels: int | None = None,
    return_segmentation_scores: bool = False,
    *,
    image_mean: Any = (0.485, 0.456, 0.406),
    image_std: Any = (0.229, 0.224, 0.225),
) -> list[Any]:
    """Returns class maps from SegGPT's painted image, whose upper half repeats the prompt.

    Reproduces `models/seggpt/image_processing_seggpt.py` of Transformers; the paper is
    https://arxiv.org/abs/2304.03284.

    Args:
        outputs: with `pred_masks` `(b, 3, 2 h, w)`, normalised.
        target_sizes, return_segmentation_scores: as in `dense_semantic_segmentation`.
        num_labels: classes besides the background; the class is the nearest of so many palette
            colours. None: the truncated mean of the channels.
        image_mean, image_std: the processor's normalisation, which is undone.

    Returns:
        as `dense_semantic_segmentation`; scores are negative squared distances to the colours, or
        None.

    >>> outputs = {"pred_masks": np.full((1, 3, 4, 2), 9.0)}
    >>> seggpt_semantic_segmentation(outputs, num_labels=2)[0].tolist()
    [[1, 1], [1, 1]]
    """
    masks = field(outputs, "pred_masks")
    mean = np.asarray(image_mean, np.float32)
    std = np.asarray(image_std, np.float32)
    painted = _painted(masks, mean, std)
    colors = None
    if num_labels is not None:
        count = whole_number(num_labels, "num_labels")
        colors = jnp.asarray(palette(count), jnp.float32)
    results = []
    for i, size in each_size(target_sizes, len(painted)):
        resize_plan = plan(painted.shape[-2:], size, "nearest")
        if colors is None:
            maps = (_mean_color(painted, i, resize_plan), None)
        else:
            maps = _nearest_color(painted, i, resize_plan, colors)
        results.append(_result(maps, resize_plan.size, return_segmentation_scores))
    return results
