"""`Pipeline`: a tuple of steps as one function over a batch."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np

from jaxprep import codec
from jaxprep.errors import ConfigError, InputError
from jaxprep.ops.layout import ChannelsFirst, ChannelsLast, channels_last
from jaxprep.ops.resize import Resize
from jaxprep.ops.step import Geometry, Pointwise, Select, Step
from jaxprep.pipeline import eager
from jaxprep.pipeline.geometry import Segment, segments
from jaxprep.pipeline.plan import Bucket, Plan, as_sizes, bucket_of, make_plan, merge
from jaxprep.pipeline.run import (
    constant_maps,
    move_positions,
    run_constant,
    run_images,
    run_planned,
)
from jaxprep.resample.buckets import canvas as canvas_of
from jaxprep.resample.lines import OWN, Output
from jaxprep.resample.resize import check_dtype
from jaxprep.types import Batch, Size, is_traced

Kind = Literal["mask"]


@dataclass(frozen=True)
class Pipeline:
    """Steps applied in order to every image of a batch, compiled into as few passes over the pixels
    as they take.

    A pipeline is a pure function, ``pipeline(batch) -> batch``, hashable and equal by value. Call
    it as it is, or inside your own `jax.jit`, `vmap`, `pmap`, `shard_map` or `jax.export`; the
    results are the same in every bit.

    Attributes:
        steps: from `jaxprep.ops`.
        kinds: for arrays of `batch.extras` that follow the image, their name and kind: a "mask",
            `(h, w)` or `(h, w, c)`, takes the same geometry by nearest neighbour; padding is 0,
            values are not rescaled.
        exact: compute every affine of uint8 values by a table made on the host in the published
            order of operations, so that every bit of the result is the reference's. Otherwise
            within 1e-6 * max(1, |x|).
    """

    steps: tuple[Step, ...] = ()
    kinds: tuple[tuple[str, Kind], ...] = ()
    exact: bool = False

    def __post_init__(self) -> None:
        object.__setattr__(self, "steps", tuple(self.steps))
        for i, step in enumerate(self.steps):
            if not isinstance(step, Step):
                raise codec.expected("a step of `jaxprep.ops`", step, f"$.steps[{i}]")
            if isinstance(step, ChannelsLast) and i > 0:
                raise ConfigError(
                    f"Expected `ChannelsLast` to be the first step - at `$.steps[{i}]`."
                )
            if isinstance(step, ChannelsFirst) and i < len(self.steps) - 1:
                raise ConfigError(
                    f"Expected `ChannelsFirst` to be the last step - at `$.steps[{i}]`."
                )
        codec.check_fields(self)

    def __call__(self, batch: Batch, *, key: Any = None, plan: Plan | None = None) -> Batch:
        """Preprocess a batch, or one image.

        Args:
            batch: with `image` `(h, w, c)` or `(batch, h, w, c)` (channels before the height if the
                first step is `ChannelsLast`), where every image fills its array, or sits in the
                top-left corner of it with its own `size`. Called eagerly, `image` may have any size
                without compiling anew, and `label` and `weight` may be anything: they never enter a
                    program. Under your own `jit` JAX's rules for dtypes hold for them.
            key: for random steps; none of these steps is random.
            plan: the tables for images of different sizes, from `plan(sizes)`; needed when
                `batch.size` is traced.

        Returns:
            the batch with the new image; with `size` where there was one; boxes and keypoints moved
            along, boxes clipped to the result. Results of different sizes sit in the top-left
            corner of an array of zeros.

        Raises:
            InputError: rank, number of channels, dtype or sizes are not what the steps take.
        """
        if not isinstance(batch, Batch):
            raise InputError(
                f"Expected a `Batch`, got `{type(batch).__name__}`: wrap arrays as `Batch(image=...)`."
            )
        if not hasattr(batch.image, "ndim"):
            batch = batch.replace(image=np.asarray(batch.image))
        self._check(batch, plan)
        follows = (
            batch.image,
            batch.size,
            batch.boxes,
            batch.keypoints,
            plan,
            [batch.extras.get(n) for n, _ in self.kinds],
        )
        if is_traced(follows):
            return self._traced(batch, plan)
        return self._eager(batch) if plan is None else self._eager_planned(batch, plan)

    @functools.cached_property
    def segments(self) -> tuple[Segment, ...]:
        """The steps as the program runs them."""
        return segments(
            tuple(step for step in self.steps if isinstance(step, Geometry | Pointwise))
        )

    def output_size(self, size: Size) -> Size:
        """Height and width of the result for an image of `size` (height, width)."""
        return constant_maps(self.segments, as_sizes([size])[0])[1]

    def bucket(self, size: Size) -> Bucket:
        """What an eager call compiles a program for, given an image of `size`: sizes of one bucket
        share it.

        The first stage's `source` is the canvas that the image is put on. Programs also differ by
        the number of images (1, 2, 3, 4, 6, 8, 12, 16, ...), their channels and their dtype.
        """
        return bucket_of(self.segments, as_sizes([size])[0])

    def plan(self, sizes: Any, canvas: Size | None = None) -> Plan:
        """The tables for images of `sizes` `(batch, 2)` (height, width), to pass into a jitted
        call.

        Plans for the same canvas and number of images have the same structure as far as the steps
        allow, so that a program compiled with one runs with the others.

        Args:
            canvas: height and width of the array that the images come in; by default the bucket of
                the largest sides.
        """
        checked = as_sizes(sizes)
        largest = max(height for height, _ in checked), max(width for _, width in checked)
        canvas = canvas_of(largest) if canvas is None else as_sizes([canvas])[0]
        if any(n > m for n, m in zip(largest, canvas, strict=True)):
            raise InputError(
                f"Expected a canvas of at least {largest}, the largest of the images, got {canvas}."
            )
        program = merge([bucket_of(self.segments, size, canvas) for size in checked])
        return make_plan(self.segments, checked, program)

    def to_json(self) -> dict[str, Any]:
        """Plain JSON data, which `from_json` reads back to an equal pipeline."""
        return codec.to_json(self)

    @classmethod
    def from_json(cls, data: Any) -> Pipeline:
        """A pipeline from JSON data.

        Raises:
            ConfigError: an unknown step or field, or a value of the wrong type; the message says
                where.
        """
        return codec.from_json(cls, data)

    def replace(self, **changes: Any) -> Pipeline:
        """A changed copy."""
        return replace(self, **changes)

    def __hash__(self) -> int:
        return self._hash

    @functools.cached_property
    def _hash(self) -> int:
        """Kept: a pipeline is a key of every cache that an eager call looks into."""
        return hash((self.steps, self.kinds, self.exact))

    @property
    def reads_channels_first(self) -> bool:
        """Whether images come as `(c, h, w)`."""
        return bool(self.steps) and isinstance(self.steps[0], ChannelsLast)

    @property
    def writes_channels_first(self) -> bool:
        """Whether results are `(c, h, w)`."""
        return bool(self.steps) and isinstance(self.steps[-1], ChannelsFirst)

    @functools.cached_property
    def masks(self) -> Pipeline:
        """The pipeline that a mask of the image goes through: the same geometry, by nearest
        neighbour.
        """
        steps: list[Step] = []
        for step in self.steps:
            if isinstance(step, Resize):
                steps.append(replace(step, method="nearest"))
            elif isinstance(step, Geometry):
                has_fill = isinstance(step, Select) and "fill" in codec.field_types(type(step))
                steps.append(replace(step, fill=0.0) if has_fill else step)  # type: ignore[arg-type]
        return Pipeline(tuple(steps))

    def check_image(self, shape: Sequence[int], dtype: Any) -> None:
        """Raises `InputError` unless the steps take one image of this shape and dtype."""
        if any(n < 1 for n in shape):  # not `min`: exported shapes may be symbolic
            raise InputError(f"Expected an image with pixels, got shape {tuple(shape)}.")
        if not (jnp.issubdtype(dtype, jnp.number) or dtype == jnp.bool_) or jnp.issubdtype(
            dtype, jnp.complexfloating
        ):
            raise InputError(f"Expected an image of integers or real numbers, got dtype {dtype}.")
        channels = shape[-1]
        for step in self.steps:
            if isinstance(step, Pointwise):
                channels = step.output_channels(channels)
        first = next((step for step in self.steps if isinstance(step, Resize)), None)
        before = self.steps[: self.steps.index(first)] if first else ()
        if first and not any(isinstance(step, Pointwise) for step in before):
            check_dtype(dtype, first.method, first.reference)

    def _check(self, batch: Batch, plan: Plan | None) -> None:
        shape = batch.image.shape
        if len(shape) not in (3, 4):
            layout = "c, h, w" if self.reads_channels_first else "h, w, c"
            raise InputError(
                f"Expected an image ({layout}) or a batch (batch, {layout}), got shape {shape}."
            )
        if self.reads_channels_first:
            shape = (*shape[:-3], *shape[-2:], shape[-3])
        self.check_image(shape, batch.image.dtype)
        if plan is not None:
            self._check_plan(plan, shape)
        for name, _ in self.kinds:
            mask = batch.extras.get(name)
            if mask is not None and tuple(np.shape(mask))[: len(shape) - 1] != tuple(shape[:-1]):
                raise InputError(
                    f"Expected a mask of the image's {tuple(shape[:-1])}, got {np.shape(mask)} - at "
                    f"`batch.extras[{name!r}]`."
                )

    def _check_plan(self, plan: Plan, shape: Sequence[int]) -> None:
        if tuple(stage.segment for stage in plan.stages) != self.segments:
            raise InputError(
                "Expected a plan of this pipeline, got one of another: a plan holds the steps it is for."
            )
        if tuple(shape[-3:-1]) != plan.canvas:
            raise InputError(
                f"Expected images on a canvas of {plan.canvas}, the plan's, got {tuple(shape[-3:-1])}."
            )
        if tuple(shape[:-3]) != np.shape(plan.size)[:-1]:
            count = np.shape(plan.size)[:-1]
            raise InputError(
                f"Expected images {count}, as many as in the plan, got {tuple(shape[:-3])}."
            )

    def _traced(self, batch: Batch, plan: Plan | None) -> Batch:
        if plan is None and batch.size is not None:
            if is_traced(batch.size):
                raise InputError(
                    "Expected a plan, since the sizes of the images are traced: make it outside of jit with "
                    "`plan = pipeline.plan(sizes)`, and call `pipeline(batch, plan=plan)` inside."
                )
            plan = self.plan(np.atleast_2d(np.asarray(batch.size)), self._canvas(batch.image))
            room = int(plan.size[:, 0].max()), int(plan.size[:, 1].max())
            plan = plan if batch.image.ndim == 4 else jax.tree.map(lambda leaf: leaf[0], plan)
            done = self._traced(batch, plan)
            return done.replace(image=eager.cut(done.image, room, self.writes_channels_first))
        image = channels_last(batch.image) if self.reads_channels_first else batch.image
        first = self.writes_channels_first
        follow = functools.partial(self._follow, canvas=image.shape[-3:-1])
        follows = Batch(None, boxes=batch.boxes, keypoints=batch.keypoints)
        follows = follows.replace(
            extras={name: batch.extras[name] for name, _ in self.kinds if name in batch.extras}
        )
        if image.ndim == 3:
            image, follows = self._run(image, plan, Output(first)), follow(follows, plan)
        else:
            follows = jax.vmap(follow, axis_size=image.shape[0])(follows, plan)
            image = run_images(self._run, self.segments, image, plan, first)
        return batch.replace(
            image=image,
            boxes=follows.boxes,
            keypoints=follows.keypoints,
            size=None if plan is None else plan.size,
            extras={**batch.extras, **follows.extras},
        )

    def _run(
        self, image: Any, plan: Plan | None, output: Output, is_alone: bool = False
    ) -> jax.Array:
        if plan is None:
            return run_constant(self.segments, image, self.exact, output)
        return run_planned(plan, image, self.exact, output, is_alone)

    def _follow(self, batch: Batch, plan: Plan | None, canvas: Size) -> Batch:
        """What goes with one image through the same geometry."""
        if plan is None:
            maps, size = constant_maps(self.segments, canvas)
        else:
            maps, size = plan.maps, plan.size
            if batch.extras:
                raise InputError(
                    "Expected no masks beside a plan: call the pipeline's `masks` with a plan of its own."
                )
        boxes, keypoints = move_positions(batch.boxes, batch.keypoints, maps, size)
        masks = {
            name: _on_mask(mask, lambda mask: run_constant(self.masks.segments, mask, False, OWN))
            for name, mask in batch.extras.items()
        }
        return batch.replace(boxes=boxes, keypoints=keypoints, extras=masks)

    def _canvas(self, image: Any) -> Size:
        height, width = image.shape[-2:] if self.reads_channels_first else image.shape[-3:-1]
        return height, width

    def _eager_planned(self, batch: Batch, plan: Plan) -> Batch:
        kinds = {name: batch.extras[name] for name, _ in self.kinds if name in batch.extras}
        done = _run_jitted(
            self,
            Batch(batch.image, boxes=batch.boxes, keypoints=batch.keypoints, extras=kinds),
            plan,
        )
        kept = {name: getattr(batch, name) for name in ("label", "weight", "index")}
        return done.replace(**kept, extras={**batch.extras, **done.extras})

    def _eager(self, batch: Batch) -> Batch:
        single = batch.image.ndim == 3
        images = np.asarray(batch.image)
        images = np.moveaxis(images, -3, -1) if self.reads_channels_first else images
        images = images[None] if single else images
        canvas = images.shape[1:3]
        sizes = [canvas] * len(images)
        if batch.size is not None:
            sizes = as_sizes(np.atleast_2d(np.asarray(batch.size)))
            if len(sizes) != len(images) or any(
                n > m for size in sizes for n, m in zip(size, canvas, strict=True)
            ):
                raise InputError(
                    f"Expected one size for each of the {len(images)} images, inside {canvas}, got {sizes}."
                )
        image = eager.run_images(self, images, sizes)
        moved = [constant_maps(self.segments, size) for size in sizes]
        boxes, keypoints = batch.boxes, batch.keypoints
        if boxes is not None or keypoints is not None:
            many = [
                None if a is None else np.asarray(a)[None] if single else np.asarray(a)
                for a in (boxes, keypoints)
            ]
            maps, ends = (
                np.asarray([one for one, _ in moved]),
                np.asarray([size for _, size in moved]),
            )
            boxes, keypoints = eager.move_all(many[0], many[1], maps, ends)
        extras = {**batch.extras}
        for name, _ in self.kinds:
            if name in extras:
                mask = np.asarray(extras[name])
                mask = mask[None] if single else mask
                done = np.asarray(
                    eager.run_images(self.masks, mask[..., None] if mask.ndim == 3 else mask, sizes)
                )
                extras[name] = done[..., 0] if mask.ndim == 3 else done
                extras[name] = jax.device_put(extras[name][0] if single else extras[name])
        size = None if batch.size is None else np.asarray([size for _, size in moved], np.int32)
        first = (lambda leaf: None if leaf is None else leaf[0]) if single else (lambda leaf: leaf)
        # `device_put`, not `asarray`, which compiles a program for every shape
        image, boxes, keypoints = jax.device_put(
            [first(leaf) for leaf in (image, boxes, keypoints)]
        )
        return batch.replace(
            image=image, boxes=boxes, keypoints=keypoints, size=first(size), extras=extras
        )


@functools.partial(jax.jit, static_argnums=0)
def _run_jitted(pipeline: Pipeline, batch: Batch, plan: Plan) -> Batch:
    return pipeline(batch, plan=plan)


def _on_mask(mask: Any, function: Any) -> Any:
    """Calls a function of `(h, w, c)` on a mask that may be `(h, w)`."""
    return function(mask[..., None])[..., 0] if mask.ndim == 2 else function(mask)
