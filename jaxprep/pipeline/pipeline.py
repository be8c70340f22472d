"""`Pipeline`: a tuple of steps as one function over a batch.

What goes in: a `Batch`. What comes out: a `Batch` with the preprocessed image. A call checks its
arguments, and goes to `traced.run` inside a program. Outside it goes to `eager.run`, or, with a
key, a plan or a mesh, to `traced.run_jitted`: one program for the batch. All run the pipeline
as it was lowered: `lower.py` cuts it into segments, `segment.py` and `plan.py` make their tables,
and `program.py` runs them.
"""

from __future__ import annotations

import difflib
import functools
import inspect
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import jax
import jax.core
import jax.numpy as jnp
import numpy as np

from jaxprep import codec
from jaxprep.errors import ConfigError, InputError
from jaxprep.pipeline import eager, numbers, traced, warm
from jaxprep.pipeline.describe import Description, describe
from jaxprep.pipeline.lower import Lowered, output_channels, segments, static_sizes
from jaxprep.pipeline.placement import Placement, is_on_mesh, placement_of
from jaxprep.pipeline.plan import (
    Bucket,
    Plan,
    as_sizes,
    bucket_of,
    plan_of,
    result_size,
    without_layouts,
)
from jaxprep.pipeline.program import (
    PerImage,
    Program,
    check_dtype,
    constant_program,
    run_stages,
)
from jaxprep.pipeline.ragged import Ragged
from jaxprep.pipeline.segment import Segment
from jaxprep.pipeline.step import KINDS, Geometry, Layout, Mix, Opaque, Pointwise, Step
from jaxprep.resample.engines.shapes import ShapesEngine
from jaxprep.resample.references import REFERENCES
from jaxprep.resample.tables import canvas as canvas_of
from jaxprep.settings import default_settings, outside_of_traces, with_default_settings
from jaxprep.slips import Kind, check_names
from jaxprep.types import Batch, Size, is_traced

ExtraKind = Literal["mask", "boxes_visible", "keypoints_visible"]
FLAGS = {"boxes_visible": "boxes", "keypoints_visible": "keypoints"}
"""The kinds of flags, and whose they are."""


@dataclass(frozen=True)
class Pipeline:
    """Steps applied in order to every image of a batch, compiled into as few passes over the pixels
    as they take.

    A pipeline is a pure function, ``pipeline(batch) -> batch``, hashable and equal by value. Call
    it as it is, or inside your own `jax.jit`, `vmap`, `pmap`, `shard_map` or `jax.export`; the
    results are the same in every bit.

    >>> import numpy as np
    >>> from jaxprep import Batch, Pipeline, ops
    >>> pipeline = Pipeline((ops.Resize((2, 2)), ops.Rescale(1 / 255)))
    >>> image = np.full((4, 4, 3), 255, np.uint8)
    >>> pipeline(Batch(image=image)).image[0, 0].tolist()
    [1.0, 1.0, 1.0]

    Attributes:
        steps: `Geometry`, `Pointwise`, `Opaque` and at most one `Layout` at either end, from
            `jaxprep.ops` or of your own.
        kinds: for arrays of `batch.extras` that follow the image, their name and kind: a "mask",
            `(h, w)` or `(h, w, c)`, takes the same geometry by nearest neighbour; padding is 0,
            values are not rescaled. "boxes_visible" and "keypoints_visible" are flags `(n,)`, which
            are made where the batch has none: false from then on for boxes of which nothing is left
            in the picture, and for keypoints outside of it. A dictionary `{name: kind}` is taken,
            too.
        exact: compute every affine of uint8 values by a table made on the host in the published
            order of operations, so that every bit of the result is the reference's. Otherwise
            within 1e-6 * max(1, |x|).
        mixing: what combines the examples of a batch after the steps, such as `augment.Mixing`; its
            draw comes last among the `draws`.
    """

    steps: tuple[Step, ...] = ()
    kinds: tuple[tuple[str, ExtraKind], ...] = ()
    exact: bool = False
    mixing: Mix | None = None

    def __post_init__(self) -> None:
        if isinstance(self.steps, Step | str) or not isinstance(self.steps, Iterable):
            raise codec.expected("a tuple of steps", self.steps, "$.steps")
        # a list of steps is not hashable; the dataclass is frozen
        object.__setattr__(self, "steps", tuple(self.steps))
        if isinstance(self.kinds, Mapping):
            object.__setattr__(self, "kinds", tuple(self.kinds.items()))
        for i, step in enumerate(self.steps):
            self._check_step(step, i)
        codec.check_fields(self)
        numbers.check_stays_finite(self.inner_steps)
        segments(self.inner_steps)  # what cannot be lowered is refused here
        if self.mask_names:
            _ = self.mask_steps  # and what masks cannot follow

    def _check_step(self, step: Step, i: int) -> None:
        where = f"$.steps[{i}]"
        if not isinstance(step, Step):
            raise codec.expected("a step of `jaxprep.ops`", step, where)
        name = type(step).__name__
        if not isinstance(step, KINDS):
            kinds = ", ".join(f"`{kind.__name__}`" for kind in KINDS)
            raise ConfigError(
                f"Expected a step of one of the kinds {kinds}, got `{name}` - at `{where}`."
            )
        _check_class(step, where)
        # without the decorator a class has no fields: unequal steps would be equal, or unhashable
        parameters = vars(type(step)).get("__dataclass_params__")
        if parameters is None or not parameters.frozen:
            raise ConfigError(
                f"Expected `{name}` to be a frozen dataclass: write "
                f"`@dataclasses.dataclass(frozen=True)` before its class - at `{where}`."
            )
        try:
            hash(step)
        except TypeError as error:
            raise ConfigError(
                f"Expected `{name}` to have fields of numbers, strings and tuples, got "
                f"{codec.shown(step)}: {error} - at `{where}`."
            ) from error
        if not isinstance(step, Layout):
            return
        if step.is_input and i > 0:
            raise ConfigError(f"Expected `{name}` to be the first step - at `{where}`.")
        if not step.is_input and i < len(self.steps) - 1:
            raise ConfigError(f"Expected `{name}` to be the last step - at `{where}`.")

    def __call__(
        self, batch: Batch, *, key: Any = None, draws: Any = None, plan: Plan | None = None
    ) -> Batch:
        """Preprocess a batch, or one image.

        Args:
            batch: with `image` `(h, w, c)` or `(batch, h, w, c)` (channels before the height if the
                first step is `ChannelsLast`), where every image fills its array, or sits in the
                top-left corner of it with its own `size`. Called eagerly, `image` may have any size
                without compiling anew, and `label` and `weight` may be anything: they never enter a
                program. Under your own `jit` JAX's rules for dtypes hold for them.
                With random steps a program is compiled for each size, unless a plan is given.
            key: for random steps, a `jax.random` key. Image i of the batch draws with
                `fold_in(key, batch.index[i])`, or `fold_in(key, i)` where there is no index.
            draws: what random steps shall use instead of drawing; see `draw`.
            plan: the tables for images of different sizes, from `plan(sizes)`; needed when
                `batch.size` is traced. It may be on the host: it is put where the images are.

        Returns:
            the batch with the new image; with `size` where there was one; boxes and keypoints moved
            along, boxes clipped to the result. Results of different sizes sit in the top-left
            corner of an array of zeros. A `jax.Array` stays on its device, a batch on a mesh is
            computed there (a program for each size) and keeps its sharding.

        Raises:
            InputError: rank, number of channels, dtype or sizes are not what the steps take; a key
                where no step is random; neither key nor draws where one is, or both.
        """
        if not isinstance(batch, Batch):
            raise InputError(
                f"Expected a `Batch`, got `{type(batch).__name__}`: wrap arrays as "
                "`Batch(image=...)`."
            )
        with default_settings():
            batch = self._as_arrays(batch)
            self._check(batch, plan)
            self.check_key(key, draws)
            if draws is not None:
                self._check_draw_shapes(draws, batch)
            self._check_index(batch, key)
            if self.mixing is not None:
                return self._mixed(batch, key, draws, plan)
            extras = [batch.extras.get(name) for name, _ in self.kinds]
            # label and weight do not count: a traced label alone puts no image into a program
            follows = (
                batch.image,
                batch.size,
                batch.boxes,
                batch.keypoints,
                plan,
                extras,
                key,
                draws,
            )
            if isinstance(batch.image, jax.core.Tracer) or is_traced(follows):
                # inside the caller's program: nothing may be computed on pixels here, nor compiled
                return traced.run(self.lowered, batch, plan, key, draws)
            # without a draw every table is made on the host: images of any size share programs
            is_spread = is_on_mesh(placement_of(batch.image))
            with outside_of_traces():
                if plan is None and not self.is_random and not is_spread:
                    return eager.run(self.lowered, batch)
                return traced.run_jitted(self.lowered, batch, plan, key, draws)

    def _mixed(self, batch: Batch, key: Any, draws: Any, plan: Plan | None) -> Batch:
        """Runs the steps, and combines the examples of what they return."""
        assert self.mixing is not None
        if batch.image.ndim != 4:
            raise InputError(
                f"Expected a batch of images to mix, got one of shape {batch.image.shape}."
            )
        batch = self.mixing.checked(batch)
        own_draws, mix_draw = (None, None) if draws is None else (draws[:-1], draws[-1])
        # steps of which none is random take neither
        own = {"key": key, "draws": own_draws} if self.is_random else {}
        done = self.unmixed(batch, plan=plan, **own)
        mix_key = None if key is None else self._mix_key(key)
        if is_traced((done.image, done.label, mix_key, mix_draw)):
            return self.mixing(done, mix_key, draw=mix_draw)
        return _mix_jitted(self.mixing, done, mix_key, mix_draw)

    def _mix_key(self, key: Any) -> Any:
        """The key of `mixing`: that of an example with the index -1, as only those have that are
        never mixed, since they fill a batch. A split of one key has the keys that `fold_in` makes
        of it."""
        return jax.random.fold_in(key, np.uint32(2**32 - 1))

    @functools.cached_property
    def unmixed(self) -> Pipeline:
        """The steps alone."""
        return self.replace(mixing=None)

    @with_default_settings
    def draw(self, key: Any, batch: Batch, *, plan: Plan | None = None) -> tuple[Any, ...]:
        """Draw the numbers of the random steps for the images of a batch.

        Returns:
            for each step (layouts not counted) a pytree with a leading batch axis, or None; last
            that of `mixing`, if there is any.

        Args:
            key, batch, plan: as in a call.
        """
        self.check_key(key, None)
        self._check_index(batch, key)
        draws: tuple[Any, ...] = (None,) * len(self.inner_steps)
        if self.is_random:
            draws = traced.draw(self.lowered, batch, plan, key)
        if self.mixing is None:
            return draws
        return *draws, self.mixing.draw(self._mix_key(key), batch.image.shape[0])

    @functools.cached_property
    def inner_steps(self) -> tuple[Step, ...]:
        """The steps without layouts."""
        return without_layouts(self.steps)

    @property
    def moves_pixels(self) -> bool:
        """Whether a step may change where a pixel is, and with it where boxes and masks are."""
        return not all(isinstance(step, Pointwise) for step in self.inner_steps)

    @functools.cached_property
    def segments(self) -> tuple[Segment, ...]:
        """The steps as the program runs them."""
        return segments(self.inner_steps)

    @functools.cached_property
    def lowered(self) -> Lowered:
        """The pipeline as it is run."""
        return Lowered(
            steps=self.inner_steps,
            segments=self.segments,
            exact=self.exact,
            layout=self.layout,
            reads_channels_first=self.reads_channels_first,
            exact_sizes=self._exact_sizes,
            kinds=self.mask_names,
            mask=self.masks.lowered if self.mask_names else None,
            # a step need not say what happens to masks where there are none
            mask_indices=tuple(i for i, _ in self.mask_steps) if self.mask_names else (),
            is_random=self.is_random,
            flags=tuple((name, FLAGS[kind]) for name, kind in self.kinds if kind in FLAGS),
        )

    @functools.cached_property
    def mask_names(self) -> tuple[str, ...]:
        """The names of the masks in `Batch.extras`."""
        return tuple(name for name, kind in self.kinds if kind == "mask")

    @functools.cached_property
    def is_random(self) -> bool:
        """Whether any step is random, so that calls need a `key`."""
        return any(step.is_random for step in self.steps)

    @property
    def layout(self) -> Layout | None:
        """How results are stored; None as `(h, w, c)`."""
        last = self.steps[-1] if self.steps else None
        return last if isinstance(last, Layout) and not last.is_input else None

    @functools.cached_property
    def _exact_sizes(self) -> bool:
        """Whether images of different sizes cannot share a canvas."""
        sizes: list[Size | None] = [None, *static_sizes(self.segments)]
        # an opaque step sees the full array, canvas included, unless a step before it gave images
        # one size
        for segment, size_before in zip(self.segments, sizes, strict=False):
            if segment.opaque is not None and size_before is None:
                return True
        # so does a layout such as patches
        if self.layout is None or self.layout.keeps_corner:
            return False
        return sizes[-1] is None

    @with_default_settings
    def run_images(
        self,
        images: Sequence[np.ndarray] | np.ndarray,
        sizes: Sequence[Size],
        placement: Placement = None,
        store: eager.Store | None = None,
    ) -> Ragged:
        """Runs images on the host, of any sizes, eagerly.

        Args:
            images: `(h, w, c)` each, or a batch of them.
            sizes: height and width of each, in the top-left corner of its array.
            placement: the device of the results; None is JAX's default.
            store: takes each result, instead of the return value; see `eager.run_images`.

        Raises:
            InputError: a step is random: `run_images` takes no key; or an image is not what the
                steps take.
        """
        self.check_key(None, None)
        if isinstance(images, np.ndarray):
            images = numbers.in_jax_type(images)
        else:
            images = [numbers.in_jax_type(image) for image in images]
        for channels, dtype in {(image.shape[-1], image.dtype) for image in images}:
            _check_type(self, channels, dtype)
        with outside_of_traces():
            return eager.run_images(self.lowered, images, sizes, placement, store)

    @with_default_settings
    def output_size(self, size: Size) -> Size:
        """Return height and width of the result for an image of `size` (height, width)."""
        return result_size(self.segments, as_sizes([size])[0])

    def result_shape(self, size: Size, channels: int = 3) -> tuple[int, ...]:
        """Return the shape of the result for an image of `size` (height, width).

        >>> from jaxprep import ops
        >>> Pipeline((ops.Resize((28, 42)), ops.Patches(14))).result_shape((300, 200))
        (2, 3, 1, 1, 14, 14, 3)
        """
        out = self.output_size(size)
        out_channels = output_channels(self.segments, channels)
        if self.layout is None:
            return *out, out_channels
        eager.check_stored(self.lowered, [out], channels)
        return self.layout.shape(out, out_channels)

    @with_default_settings
    def result_dtype(self, dtype: Any, size: Size, channels: int = 3) -> np.dtype:
        """Return the type of the result for an image of `size` (height, width) and `dtype`.

        >>> from jaxprep import ops
        >>> Pipeline((ops.Resize((28, 42)), ops.Rescale())).result_dtype(np.uint8, (300, 200))
        dtype('float32')
        """
        key = jax.dtypes.canonicalize_dtype(dtype), channels
        if key not in self._result_dtypes:
            self.check_key(None, None)
            # Once, whatever the size: nothing is computed, nor compiled.
            stages, constants = constant_program(self.lowered, size)
            program = Program(stages, self.exact, self.layout)
            run = functools.partial(run_stages, program, constants, ShapesEngine())
            image = jax.ShapeDtypeStruct((*size, channels), key[0])
            result = jax.eval_shape(lambda pixels: run(pixels, PerImage()), image)
            self._result_dtypes[key] = np.dtype(result.dtype)
        return self._result_dtypes[key]

    @functools.cached_property
    def _result_dtypes(self) -> dict[tuple[Any, int], np.dtype]:
        return {}

    @with_default_settings
    def describe(self, size: Size | None = None) -> Description:
        """Return what the steps do, in words and as data: what `jaxprep inspect` prints.

        Args:
            size: height and width of an image, whose size is then told after each step.

        Raises:
            InputError: a size that the steps do not take.

        >>> from jaxprep import ops
        >>> description = Pipeline((ops.Resize((2, 4)), ops.Rescale())).describe((6, 8))
        >>> description.steps[0].before, description.steps[0].after
        ((6, 8), (2, 4))
        >>> print(description.steps[1])
        divide by 255
        """
        result, canvas = static_sizes(self.segments)[-1], None
        if size is not None:
            size = as_sizes([size])[0]
            result = self.output_size(size)
            canvas = self.bucket(size)[0].source
        return describe(self.steps, self.segments, self.mixing, result, size, canvas)

    @with_default_settings
    def bucket(self, size: Size) -> Bucket:
        """Return what an eager call compiles a program for, given an image of `size`: sizes of one
        bucket share it.

        The first stage's `source` is the canvas that the image is put on. Programs also differ by
        the number of images (1, 2, 3, 4, 6, 8, 12, 16, ...), their channels and their dtype.
        """
        return bucket_of(self.segments, as_sizes([size])[0], None, self._exact_sizes)

    @with_default_settings
    def plan(self, sizes: Any, canvas: Size | None = None, *, any_sizes: bool = False) -> Plan:
        """Make the tables for images of `sizes` `(batch, 2)` (height, width), to pass into a jitted
        call.

        Plans for the same canvas and number of images have the same structure as far as the steps
        allow, so that a program compiled with one runs with the others. Batches of few images may
        need less than others: a program is compiled for each of a handful of structures.

        Args:
            canvas: height and width of the array that the images come in; by default the bucket of
                the largest sides.
            any_sizes: give the plan the structure that serves images of any sizes on this canvas,
                so that a training step is compiled once, and the processes of a pod, which see
                different images, run one program. No bit of a result depends on it.

        Raises:
            InputError: sizes that are no integers of at least 1, or beyond the canvas; or a step
                would see more than the image.
        """
        checked = as_sizes(sizes)
        heights, widths = zip(*checked, strict=True)
        largest = (max(heights), max(widths))
        canvas = canvas_of(largest) if canvas is None else as_sizes([canvas])[0]
        if largest[0] > canvas[0] or largest[1] > canvas[1]:
            raise InputError(
                f"Expected a canvas of at least {largest}, the largest of the images, got {canvas}."
            )
        return plan_of(self.lowered, checked, canvas, any_sizes)

    @with_default_settings
    def warm_up(
        self,
        sizes: Any = None,
        *,
        largest: Size | None = None,
        batch_sizes: int | Sequence[int] = (1,),
        channels: int = 3,
        dtype: Any = np.uint8,
    ) -> int:
        """Compile the programs of eager calls ahead, so that no image has to wait for one.

        An image whose size is in no bucket of `sizes`, or that `largest` does not hold, compiles
        its program when it comes, as without a warm-up. So does a strip of fewer than 48 pixels
        where the size of the result depends on the image: it may be longer than that of any other.

        Args:
            sizes: heights and widths of images, `(n, 2)`: their buckets are compiled.
            largest: height and width up to which images may have any size; instead of `sizes`.
            batch_sizes: the numbers of images in a call; lists of fewer images are served too. On
                CPU only images of at most 128 x 128 run together.
            channels, dtype: of the images.

        Returns:
            how many programs are ready. They are read from JAX's persistent cache where it has
            them.

        Raises:
            InputError: not one of `sizes` and `largest`; a wrong value; more programs than
                `jaxprep.limit_programs` says; a random step, whose calls are jitted for each size.

        >>> from jaxprep import ops
        >>> pipeline = Pipeline((ops.Resize((8, 8), reference="pillow"),))
        >>> pipeline.warm_up([(300, 400), (480, 640)])
        2
        """
        self.check_key(None)
        channels, dtype = numbers.as_channels(channels), numbers.as_dtype(dtype)
        _check_type(self, channels, dtype)
        calls = warm.calls_to_warm(self.lowered, sizes, largest, batch_sizes, channels, dtype)
        return warm.warm_up(self.lowered, calls, channels, dtype)

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON data, which `from_json` reads back to an equal pipeline.

        Raises:
            ConfigError: a step of one's own has a field that JSON does not hold.
        """
        data = codec.to_json(self)
        codec.check_json(data, max_depth=codec.MAX_FILE_DEPTH)  # a step may hold a function
        return data

    @classmethod
    def from_json(cls, data: Any) -> Pipeline:
        """Read a pipeline from JSON data.

        Raises:
            ConfigError: an unknown step or field, or a value of the wrong type; the message says
                where.
        """
        return codec.from_json(cls, data)

    def replace(self, **changes: Any) -> Pipeline:
        """Return a copy with some fields changed."""
        return replace(self, **changes)

    def __hash__(self) -> int:
        return self._hash

    @functools.cached_property
    def _hash(self) -> int:
        """The hash, computed once: a pipeline is a key of every cache that an eager call looks
        into."""
        return hash((self.steps, self.kinds, self.exact, self.mixing))

    @property
    def reads_channels_first(self) -> bool:
        """Whether images come as `(c, h, w)`."""
        first = self.steps[0] if self.steps else None
        return isinstance(first, Layout) and first.is_input

    @functools.cached_property
    def masks(self) -> Pipeline:
        """The pipeline that a mask of the image goes through: the same geometry, by nearest
        neighbour."""
        return Pipeline(tuple(step for _, step in self.mask_steps))

    @functools.cached_property
    def mask_steps(self) -> tuple[tuple[int, Step], ...]:
        """The steps for masks, each with the index of the step that it follows."""
        followed = []
        for i, step in enumerate(self.inner_steps):
            for_mask = step.for_mask()
            if for_mask is not None and not isinstance(for_mask, Step):
                raise ConfigError(
                    f"Expected `{type(step).__name__}.for_mask` to return a step or None, got "
                    f"{codec.shown(for_mask)} - at `$.steps[{i}]`."
                )
            if for_mask is not None:
                followed.append((i, for_mask))
        return tuple(followed)

    def check_image(self, shape: Sequence[int], dtype: Any) -> None:
        """Raise `InputError` unless the steps take one image of this shape and dtype."""
        # the number of images may be a symbol of `jax.export`
        if not all(isinstance(side, (int, np.integer)) for side in shape[-3:]):
            raise InputError(
                f"Expected an image whose height, width and channels are known numbers, got shape "
                f"{tuple(shape)}: tables are made for each size on the host. Export a program for "
                "one size, or for canvases of one size with a plan."
            )
        if any(n < 1 for n in shape[-3:]) or any(n == 0 for n in shape[:-3]):
            raise InputError(f"Expected an image with pixels, got shape {tuple(shape)}.")
        _check_type(self, shape[-1], dtype)

    def _as_arrays(self, batch: Batch) -> Batch:
        """The batch with its image and masks in the types that JAX has."""
        image = _as_array(batch.image, "batch.image")
        if not isinstance(batch.extras, Mapping):
            raise InputError(
                f"Expected a dictionary of arrays, got {codec.shown(batch.extras)} - at "
                "`batch.extras`."
            )
        extras = dict(batch.extras)
        for name, _ in self.kinds:
            if extras.get(name) is not None:
                extras[name] = _as_array(extras[name], f"batch.extras[{name!r}]")
        return batch.replace(image=image, extras=extras)

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
        leading = tuple(shape[:-3])
        _check_positions(batch.boxes, leading, 4, "batch.boxes", "(x0, y0, x1, y1)")
        _check_positions(batch.keypoints, leading, 2, "batch.keypoints", "(x, y)")
        self._check_mask_names(batch, shape)
        self._check_other_names(batch, shape)
        self._check_flags(batch)
        for name in self.mask_names:
            mask = batch.extras.get(name)
            if mask is not None:
                _check_type(Pipeline(), 1, mask.dtype)
            mask_shape = () if mask is None else tuple(np.shape(mask))[: len(shape) - 1]
            if mask is not None and mask_shape != tuple(shape[:-1]):
                raise InputError(
                    f"Expected a mask of the image's {tuple(shape[:-1])}, got {np.shape(mask)} - "
                    f"at `batch.extras[{name!r}]`."
                )

    def _check_flags(self, batch: Batch) -> None:
        """Refuses flags of another shape than one for each box or keypoint."""
        for name, kind in self.kinds:
            flags = batch.extras.get(name)
            if kind not in FLAGS or flags is None:
                continue
            positions = getattr(batch, FLAGS[kind])
            wanted = None if positions is None else tuple(np.shape(positions)[:-1])
            if wanted is None or tuple(np.shape(flags)) != wanted:
                expected = f"`batch.{FLAGS[kind]}` with them"
                if wanted is not None:
                    expected = f"shape {wanted}, a flag for each of `batch.{FLAGS[kind]}`"
                raise InputError(
                    f"Expected {expected}, got flags of shape {np.shape(flags)} - at "
                    f"`batch.extras[{name!r}]`."
                )

    def _check_mask_names(self, batch: Batch, shape: Sequence[int]) -> None:
        """Refuses a mask under a name that is nearly one of `kinds`: it would stay as it is."""
        names = set(self.mask_names)
        rank = len(shape) - 1  # of one mask for each image, without channels
        for name in sorted(names - set(batch.extras)):
            others = [
                other
                for other, value in batch.extras.items()
                if isinstance(other, str) and other not in names and np.ndim(value) >= rank
            ]
            near = difflib.get_close_matches(name, others, n=1)
            if near:
                raise InputError(
                    f"Expected the mask `{name}`, as `kinds` says, got `{near[0]}`, which no step "
                    f"would move - at `batch.extras`. Rename it, or change `kinds`."
                )

    def _check_other_names(self, batch: Batch, shape: Sequence[int]) -> None:
        """Refuses boxes and the like under a misspelt name in the extras, where they would stay as
        they are, and warns of those under a name that is a field of `Batch`, or needs `kinds`.
        """
        kinds = {name for name, _ in self.kinds}
        others = {name: value for name, value in batch.extras.items() if name not in kinds}
        if not others or not self.moves_pixels:
            return
        instead: dict[Kind, str] = {}
        if not self.mask_names:
            instead["masks"] = "a name that the pipeline's `kinds` call a mask"
        if batch.boxes is None:
            instead["boxes"] = "`Batch(boxes=...)`"
        if batch.keypoints is None:
            instead["keypoints"] = "`Batch(keypoints=...)`"
        size = shape[-3], shape[-2]
        check_names(others, tuple(shape[:-3]), size, instead, "batch.extras")

    def _check_plan(self, plan: Plan, shape: Sequence[int]) -> None:
        if not isinstance(plan, Plan):
            raise InputError(
                f"Expected what `pipeline.plan(sizes)` returns, got {codec.shown(plan)} - at "
                "`plan`."
            )
        # a plan of another pipeline may have the same shapes, and give wrong pixels silently
        if plan.steps != self.inner_steps:
            raise InputError(
                "Expected a plan of this pipeline, got one of another: a plan holds the steps it "
                "is for."
            )
        if tuple(shape[-3:-1]) != plan.canvas:
            raise InputError(
                f"Expected images on a canvas of {plan.canvas}, the plan's, got "
                f"{tuple(shape[-3:-1])}. Name the canvas of the images where the plan is made: "
                f"`pipeline.plan(sizes, canvas={tuple(shape[-3:-1])})`."
            )
        if tuple(shape[:-3]) != np.shape(plan.size)[:-1]:
            count = np.shape(plan.size)[:-1]
            raise InputError(
                f"Expected images {count}, as many as in the plan, got {tuple(shape[:-3])}."
            )

    def check_key(self, key: Any, draws: Any = None) -> None:
        """Raises `InputError` for a key or draws where no step is random; for none or both of them
        where one is."""
        if not self.is_random and self.mixing is None:
            if key is not None or draws is not None:
                given = "key" if key is not None else "draws"
                raise InputError(
                    f"Expected no `{given}`, as no step of this pipeline is random: "
                    f"{[type(step).__name__ for step in self.steps]}."
                )
            return
        if key is None and draws is None:
            random = [type(step).__name__ for step in self.steps if step.is_random]
            if self.mixing is not None:
                random.append(type(self.mixing).__name__)
            raise InputError(
                f"Expected a `key`, as {random} draw: `pipeline(batch, key=jax.random.key(0))`."
            )
        if key is not None and draws is not None:
            raise InputError(
                "Expected a `key` or `draws`, got both: what is in `draws` is not drawn. Leave the "
                "`key` out."
            )
        if draws is not None:
            self._check_draws(draws)
            return
        assert key is not None
        dtype = getattr(key, "dtype", np.dtype(object))
        is_key = jnp.issubdtype(dtype, jax.dtypes.prng_key) and key.shape == ()
        is_raw_key = dtype == jnp.uint32 and key.shape == (2,)  # of `jax.random.PRNGKey`
        if not (is_key or is_raw_key):
            raise InputError(f"Expected one key of `jax.random.key`, got {codec.shown(key)}.")

    def _check_draws(self, draws: Any) -> None:
        count = len(self.inner_steps) + (self.mixing is not None)
        if not isinstance(draws, (tuple, list)) or len(draws) != count:
            raise InputError(
                f"Expected `draws` for each of the {count} steps, as `Pipeline.draw` returns them, "
                f"got {codec.shown(draws)}."
            )
        for step, draw in zip(self.inner_steps, draws, strict=False):
            if step.is_random != (draw is not None):
                wanted = "a draw" if step.is_random else "None, as it is not random,"
                raise InputError(
                    f"Expected {wanted} for `{type(step).__name__}`, got {codec.shown(draw)}."
                )

    def _check_draw_shapes(self, draws: Any, batch: Batch) -> None:
        """Refuses draws of another structure or number of images than the steps draw."""
        leading = tuple(batch.image.shape[:-3])
        for step, draw in zip(self.inner_steps, draws, strict=False):
            if draw is None:
                continue
            wanted = _draw_structure(step)
            shapes = {np.shape(leaf)[: len(leading)] for leaf in jax.tree.leaves(draw)}
            if jax.tree.structure(draw) != wanted or shapes - {leading}:
                count = f" for each of {leading[0]} images" if leading else ""
                raise InputError(
                    f"Expected what `{type(step).__name__}` draws{count}, {wanted}, as "
                    f"`Pipeline.draw` returns it, got {codec.shown(draw)}."
                )

    @staticmethod
    def _check_index(batch: Batch, key: Any) -> None:
        if key is None or batch.index is None:
            return
        shape = np.shape(batch.index)
        if shape != tuple(batch.image.shape[:-3]):
            raise InputError(
                f"Expected an index for each image, {tuple(batch.image.shape[:-3])}, got {shape} - "
                "at `batch.index`."
            )
        dtype = getattr(batch.index, "dtype", None)
        dtype = np.asarray(batch.index).dtype if dtype is None else dtype
        # of floats only the whole part would count
        if not jnp.issubdtype(dtype, jnp.integer):
            raise InputError(f"Expected integers, got dtype {dtype} - at `batch.index`.")


def _as_array(value: Any, where: str) -> Any:
    # tensors of other frameworks have their numbers here, too, but a `dtype` of their own
    if not isinstance(value, np.ndarray | np.generic | jax.Array):
        try:
            value = np.asarray(value)
        except NotImplementedError as error:
            raise InputError(
                f"Expected an array, got a tensor without numbers, {codec.shown(value)} - at "
                f"`{where}`. In a graph of TensorFlow call the preprocessor, not its pipeline."
            ) from error
        except MemoryError:
            raise
        except Exception as error:  # of any kind: files are read by some `__array__`
            raise InputError(
                f"Expected an array, got {codec.shown(value)}: {error} - at `{where}`."
            ) from error
    if np.ma.is_masked(value):
        raise InputError(
            f"Expected an array, got one of which some values are masked: fill them, with `filled` "
            f"- at `{where}`."
        )
    return value if value.dtype == np.uint8 else numbers.in_jax_type(value, where)


def _check_positions(value: Any, leading: tuple[int, ...], columns: int, where: str, what: str):
    """Refuses boxes and keypoints of another shape than `(*leading, n, columns)`."""
    if value is None:
        return
    array = _as_array(value, where)
    is_real = jnp.issubdtype(array.dtype, jnp.integer) or jnp.issubdtype(array.dtype, jnp.floating)
    if not is_real:
        raise InputError(f"Expected numbers, got dtype {array.dtype} - at `{where}`.")
    shape = tuple(array.shape)
    if len(shape) != len(leading) + 2 or shape[:-2] != leading or shape[-1] != columns:
        batch = "batch, " if leading else ""
        raise InputError(
            f"Expected an array ({batch}n, {columns}) of positions {what}, got shape {shape} - at "
            f"`{where}`. Whether each is visible goes to `batch.extras`, see `kinds`; what else is "
            "known of it to `batch.label`."
        )


# a call asks for the same few again and again
@functools.lru_cache(maxsize=1024)
def _check_type(pipeline: Pipeline, channels: int, dtype: Any) -> None:
    """Raises `InputError` unless the steps take images of so many channels and of a dtype."""
    steps = pipeline.inner_steps
    is_number = jnp.issubdtype(dtype, jnp.number) or dtype == jnp.bool_
    if not is_number or jnp.issubdtype(dtype, jnp.complexfloating):
        raise InputError(f"Expected an image of integers or real numbers, got dtype {dtype}.")
    for step in steps:
        if isinstance(step, Pointwise | Opaque):
            # it refuses a number of channels that it does not take
            channels = step.output_channels(channels)
        elif isinstance(step, Geometry) and np.size(step.fill) not in (1, channels):
            raise InputError(
                f"Expected an image of {np.size(step.fill)} channels, since {type(step).__name__} "
                f"has a fill for each, got {channels} channels."
            )
    if dtype != np.uint8:  # the steps were held to its values when the pipeline was made
        numbers.check_dtype_fits(steps, np.dtype(dtype))
    for step in steps:
        if not isinstance(step, Geometry):
            return  # it may change the dtype; the program checks what comes of it
        if step.resampling is not None:
            reference = step.resampling.reference
            check_dtype(dtype, reference, REFERENCES[reference].integer is not None)
            return


@functools.lru_cache(maxsize=256)
def _draw_structure(step: Any) -> Any:
    """The structure of what a random step draws for an image."""
    side = jax.ShapeDtypeStruct((), np.int32)
    key = jax.eval_shape(lambda: jax.random.key(0))
    return jax.tree.structure(jax.eval_shape(step.draw, key, (side, side)))


# what pipelines call, with so many arguments: of a step that draws nothing `axes` has one
_CALLED = {
    "draw": ("key", "size"),
    "apply": ("image", "draw"),
    "axes": ("size", "draw"),
    "store": ("image",),
    "shape": ("size", "channels"),
}


_checked_classes: set[tuple[type, bool]] = set()


def _check_class(step: Step, where: str) -> None:
    """Check the methods of a step's class, those of this package once: all presets load in 2.2
    instead of 3.1 s."""
    key = type(step), step.is_random
    if key in _checked_classes:
        return
    _check_methods(step, where)
    _check_signatures(step, where)
    if type(step).__module__.startswith("jaxprep."):
        _checked_classes.add(key)


def _check_signatures(step: Step, where: str) -> None:
    """Refuses methods that do not take what pipelines call them with."""
    for method, arguments in _CALLED.items():
        function = getattr(step, method, None)
        if not callable(function):  # a field of the step may have such a name
            continue
        if method == "axes" and not step.is_random:
            arguments = arguments[:1]
        try:
            signature = inspect.signature(function)
        except ValueError:  # some functions written in C tell nobody
            continue
        try:
            signature.bind(*arguments)
        except TypeError as error:
            listed = ", ".join(arguments)
            raise ConfigError(
                f"Expected `{type(step).__name__}.{method}` to take ({listed}), got {signature} - "
                f"at `{where}`."
            ) from error


def _check_methods(step: Step, where: str) -> None:
    """Refuses methods that no pipeline calls: those of another kind of step, and `__call__`."""
    name = type(step).__name__
    kind = next(kind for kind in KINDS if isinstance(step, kind))
    if type(step).__call__ is not Step.__call__:
        raise ConfigError(
            f"Expected `{name}` not to define `__call__`, which pipelines do not call: define what "
            f"a `{kind.__name__}` does - at `{where}`."
        )
    for other in KINDS:
        for method, function in vars(other).items():
            is_foreign = inspect.isfunction(function) and not hasattr(kind, method)
            if is_foreign and callable(getattr(step, method, None)):
                raise ConfigError(
                    f"Expected `{name}` not to define `{method}`, as nothing calls it of a "
                    f"`{kind.__name__}`: derive from `{other.__name__}` - at `{where}`."
                )


@functools.partial(jax.jit, static_argnums=0)
def _mix_jitted(mixing: Mix, batch: Batch, key: Any, draw: Any) -> Batch:
    return mixing(batch, key, draw=draw)


# `step(batch)` runs the pipeline of that step alone; `step.py` cannot import this module in turn
Step.pipeline_type = Pipeline
