"""`BaseImageProcessor`: the calls of an image processor, and its single operations."""

from __future__ import annotations

import copy
import functools
from dataclasses import replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxprep import codec, ops
from jaxprep.errors import ConfigError, InputError
from jaxprep.formats import Format, HuggingFace
from jaxprep.formats.huggingface import classes
from jaxprep.formats.huggingface.families import BUILDERS, Build, Source
from jaxprep.formats.huggingface.settings import merged
from jaxprep.huggingface.families import Call, traced
from jaxprep.huggingface.features import BatchFeature, Each
from jaxprep.huggingface.inputs import Reading, as_numpy, for_pillow, images_of, layout_of
from jaxprep.huggingface.mixin import (
    ArgumentError,
    ImageProcessingMixin,
    layout_named,
    plain_settings,
)
from jaxprep.huggingface.table import FAMILIES
from jaxprep.inputs import is_pil
from jaxprep.pipeline import Pipeline
from jaxprep.types import Batch, is_traced

STACKED: Any = "one array if all results are of one size, otherwise a list"
"""The default of `return_tensors`."""
CALL_KEYS = ("return_tensors", "device", "input_data_format", "disable_grouping", "data_format")
"""What a call takes and a config need not."""


class BaseImageProcessor(ImageProcessingMixin):
    """An image processor: call it on images.

    Settings are attributes (`processor.size`, `processor.do_resize`); assigning to one replaces it
    from then on.
    """

    @property
    def config(self) -> Format:
        """The typed, frozen config."""
        return self._config

    @property
    def backend(self) -> str:
        """Whose arithmetic: "torchvision" or "pil"."""
        return getattr(self._config, "backend", "pil")

    @property
    def pipeline(self) -> Pipeline:
        """The pure function over a `Batch`, for 8-bit images `(h, w, c)`: use it inside
        `jax.jit`.
        """
        return self._config.pipeline

    @property
    def is_fast(self) -> bool:
        """Whether Transformers would call this its fast processor."""
        return self.backend == "torchvision"

    @property
    def model_input_names(self) -> list[str]:
        """The names of the results."""
        return list(self._row["outputs"])

    @property
    def _row(self) -> classes.Class:
        name = getattr(self._config, "class_name", None)
        return (
            classes.rows()[name]
            if name
            else {"family": "timm", "outputs": ["pixel_values"], "post_process": []}
        )

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") or name in ("_config", "_content"):
            raise AttributeError(name)
        config = self._config
        if name.startswith("post_process_") or name in self._row["post_process"]:
            return _post_process(self, name)
        if not isinstance(config, HuggingFace):
            if name in codec.field_types(type(config)):
                return getattr(config, name)
            raise AttributeError(f"`{type(self).__name__}` has no attribute `{name}`.")
        if name in ("size", "crop_size", "pad_size"):
            edges = config.effective.edges(name)
            return None if edges is None else edges.to_dict()
        if name in classes.arguments(config.class_name) or name in config.effective.given:
            return copy.deepcopy(config.effective.get(name))
        raise AttributeError(f"`{type(self).__name__}` has no attribute `{name}`.")

    def __setattr__(self, name: str, value: Any) -> None:
        if name.startswith("_"):
            object.__setattr__(self, name, value)
            return
        changed = plain_settings({name: value})
        self._set(self._config.overridden(_own(changed)), merged(self._content, changed))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, BaseImageProcessor) and (self._config, self._content) == (
            other._config,
            other._content,
        )

    def __hash__(self) -> int:
        return hash(self._config)

    def __reduce__(self) -> Any:
        return _restored, (type(self), self._config, dict(self._content))

    def __call__(self, images: Any = None, *args: Any, **kwargs: Any) -> Any:
        """See `preprocess`."""
        return self.preprocess(images, *args, **kwargs)

    def preprocess(
        self,
        images: Any = None,
        *args: Any,
        return_tensors: Any = STACKED,
        input_data_format: Any = None,
        device: Any = None,
        disable_grouping: bool | None = None,
        **kwargs: Any,
    ) -> BatchFeature:
        """Preprocess an image or many.

        Args:
            images: an image (PIL, NumPy, JAX, a torch tensor, a path, a URL, base64 text), a batch
                `(b, ...)`, or a list of any of them, nested or not, of any sizes. Of arrays the
                channels may be first or last.
            args, kwargs: the other inputs of the class, and settings for this call alone; None
                means the processor's.
            return_tensors: "jax", "np", "pt" or "tf" for one array; None for a list with one array
                per image. By default a `jax.Array`, or a list of them where the results are of
                different sizes.
            input_data_format: "channels_first" or "channels_last", of arrays; by default they are
                told apart by the number of channels.
            device: a device or a sharding to put the results on.
            disable_grouping: does nothing; images are always grouped.

        Returns:
            the results by name; `pixel_values` is `(b, c, h, w)`, or `(b, h, w, c)` with
            `data_format="channels_last"`.

        Raises:
            InputError: an image or an argument is not what the class takes.
            ConfigError: a setting is wrong.
        """
        del disable_grouping
        family = FAMILIES[self._row["family"]]
        inputs = dict(zip(family.inputs, args, strict=False))
        if len(args) > len(family.inputs):
            raise ArgumentError(
                f"Expected at most {1 + len(family.inputs)} positional arguments, got {1 + len(args)}."
            )
        inputs |= {name: kwargs.pop(name) for name in family.inputs if name in kwargs}
        config = self._overridden(
            {name: value for name, value in kwargs.items() if value is not None}, set(kwargs)
        )
        layout = layout_named(input_data_format, "input_data_format")
        if is_traced((images, inputs)):
            if family.traced is not None:
                return BatchFeature(family.traced(Call(images, inputs, config, layout)))
            return BatchFeature({self.model_input_names[0]: traced(config, images, layout)})
        results = family.run(Call(images, inputs, config, layout))
        features = _finished(results, return_tensors)
        return features if device is None else features.to(device)

    def _overridden(self, kwargs: dict[str, Any], names: set[str]) -> Format:
        """The config with a call's own settings."""
        if isinstance(self._config, HuggingFace):
            known = classes.arguments(self._config.class_name)
            unknown = sorted(names - known - {*CALL_KEYS})
            if unknown:
                raise ArgumentError(
                    f"`{type(self).__name__}` takes no `{unknown[0]}`. It takes {sorted(known)}."
                )
        elif names - {"data_format"}:
            raise ArgumentError(
                f"`{type(self).__name__}` takes no `{min(names - {'data_format'})}` in a call."
            )
        return self._config.overridden(_own(plain_settings(kwargs))) if kwargs else self._config

    # -- the single operations -----------------------------------------------------------------------------------------

    def resize(
        self, image: Any, size: Any, resample: Any = None, data_format: Any = None, input_data_format: Any = None,
        antialias: bool | None = None, **kwargs: Any,
    ) -> jax.Array:  # fmt: skip
        """One image resized as this class does it.

        Args:
            size: in any form that the setting takes.
            resample: one of PIL's integers, or a name; by default the setting's.
            data_format: of the result, by default that of the image.
            input_data_format: of the image, by default told by its channels.
            antialias: by default as the class does it.
            kwargs: other settings of the rule, such as `size_divisor`.
        """
        given = {"do_resize": True, "size": size, "resample": resample, **kwargs}
        names = [name for name in self._step_names() if name.startswith("resize")] or ["resize"]
        name = (
            names[0]
            if antialias is None
            else {True: "resize", False: "resize_interpolating"}[antialias]
        )
        return self._apply(name, given, image, data_format, input_data_format, resizes=True)

    def center_crop(
        self,
        image: Any,
        size: Any,
        data_format: Any = None,
        input_data_format: Any = None,
        **kwargs: Any,
    ) -> jax.Array:
        """The middle `size` of one image; a smaller image is padded with 0."""
        name = next(
            (name for name in self._step_names() if name.startswith("center_crop")), "center_crop"
        )
        key = "size" if name == "center_crop_share" else "crop_size"
        given = {"do_center_crop": True, key: size, **kwargs}
        return self._apply(name, given, image, data_format, input_data_format)

    def rescale(
        self,
        image: Any,
        scale: float,
        data_format: Any = None,
        input_data_format: Any = None,
        **kwargs: Any,
    ) -> jax.Array:
        """One image times `scale`, in float32; minus 1 with `offset=True`."""
        offset = -1.0 if kwargs.pop("offset", False) else 0.0
        arithmetic: Any = "float32" if self.backend == "torchvision" else "float64"
        step = ops.Rescale(codec.plain(scale), offset, arithmetic=arithmetic)
        return self._run(Pipeline((step,)), image, data_format, input_data_format)

    def normalize(
        self,
        image: Any,
        mean: Any,
        std: Any,
        data_format: Any = None,
        input_data_format: Any = None,
        **kwargs: Any,
    ) -> jax.Array:
        """One image minus `mean`, divided by `std`: a number, or one per channel."""
        step = ops.Normalize(_channels(mean), _channels(std))
        return self._run(Pipeline((step,)), image, data_format, input_data_format)

    def pad(
        self, images: Any, pad_size: Any = None, fill_value: Any = 0, padding_mode: str = "constant",
        return_mask: bool = False, data_format: Any = None, input_data_format: Any = None, **kwargs: Any,
    ) -> Any:  # fmt: skip
        """Images padded below and to the right, to `pad_size` or the largest of them, each in its
        own type.

        Args:
            fill_value: what the padding is, where `padding_mode` is "constant"; other modes are
                NumPy's.
            return_mask: return masks too, int32, 1 where the image is.
        """
        layout = layout_named(input_data_format, "input_data_format")
        is_one = hasattr(images, "ndim") and images.ndim == 3
        arrays = [as_numpy(image, "images") for image in ([images] if is_one else images)]
        layouts = [layout or layout_of(array.shape) for array in arrays]
        arrays = [
            np.moveaxis(a, 0, -1) if kind == "channels_first" else a
            for a, kind in zip(arrays, layouts)
        ]
        target = np.max([array.shape[:2] for array in arrays], axis=0)
        if pad_size is not None:
            target = np.asarray(
                self._overridden({"pad_size": pad_size}, set()).effective.pair("pad_size")
            )  # type: ignore[attr-defined]
        wanted = layout_named(data_format, "data_format")
        padded, masks = [], []
        for array, kind in zip(arrays, layouts):
            rest = target - array.shape[:2]
            if rest.min() < 0:
                raise InputError(
                    f"Expected images of at most {tuple(target)}, to be padded to that, got {array.shape}."
                )
            widths = ((0, rest[0]), (0, rest[1]), (0, 0))
            how: Any = {"constant_values": fill_value} if padding_mode == "constant" else {}
            done = np.pad(array, widths, mode=padding_mode, **how)  # type: ignore[call-overload]
            padded.append(
                jnp.asarray(
                    np.moveaxis(done, -1, 0) if (wanted or kind) == "channels_first" else done
                )
            )
            mask = np.zeros(target, np.int32)
            mask[: array.shape[0], : array.shape[1]] = 1
            masks.append(jnp.asarray(mask))
        result, mask_result = (padded[0], masks[0]) if is_one else (padded, masks)
        return (result, mask_result) if return_mask else result

    def _step_names(self) -> list[str]:
        steps = self._row.get("steps", [])
        return steps[self.backend] if isinstance(steps, dict) else steps

    def _apply(
        self,
        name: str,
        given: dict[str, Any],
        image: Any,
        data_format: Any,
        layout: Any,
        resizes: bool = False,
    ) -> jax.Array:
        """One builder of the class on one image."""
        if not isinstance(self._config, HuggingFace):
            raise ConfigError(
                f"`{type(self).__name__}` has no single operations: use its `pipeline`."
            )
        changed = {key: value for key, value in given.items() if value is not None}
        settings = {**self._config.settings, **plain_settings(changed)}
        config = replace(self._config, settings=settings)

        def pipeline_of(source: Source) -> Pipeline:
            build = Build(config.effective, config.backend, source, None, config.reference)
            BUILDERS[name](build)
            return Pipeline(tuple(build.steps))

        return self._run(pipeline_of, image, data_format, layout, resizes)

    def _run(
        self, pipeline: Any, image: Any, data_format: Any, layout: Any, resizes: bool = False
    ) -> jax.Array:
        layout = layout_named(layout, "input_data_format")
        if is_traced(image):
            kind = layout or layout_of(image.shape)
            read = jnp.moveaxis(image, -3, -1) if kind == "channels_first" else image
            source = Source(
                "float" if jnp.issubdtype(image.dtype, jnp.floating) else "uint8", read.shape[-1]
            )
            chain = pipeline if isinstance(pipeline, Pipeline) else pipeline(source)
            done: Any = chain(Batch(image=read)).image
        else:
            (found,) = images_of(image, Reading(False, self.backend == "torchvision", layout))
            found = for_pillow(found) if resizes and self.backend == "pil" else found
            kind = layout or (
                "channels_last"
                if is_pil(image) or np.ndim(image) != 3
                else layout_of(np.shape(image))
            )
            chain = pipeline if isinstance(pipeline, Pipeline) else pipeline(found.source)
            chain.check_image(found.pixels.shape, found.pixels.dtype)
            done = np.asarray(chain.run_images([found.pixels], [found.size]).listed()[0])
        wanted = layout_named(data_format, "data_format") or kind
        return jnp.asarray(jnp.moveaxis(done, -1, -3) if wanted == "channels_first" else done)


def _restored(cls: Any, config: Format, content: dict[str, Any]) -> Any:
    return cls._of(config, content)


def _own(changed: dict[str, Any]) -> dict[str, Any]:
    """A call's settings as fields of `HuggingFace`."""
    if "data_format" in changed:
        return {
            **changed,
            "data_format": layout_named(changed["data_format"], "data_format") or "channels_first",
        }
    return changed


def _channels(value: Any) -> Any:
    plain = codec.plain(value)
    return (
        tuple(float(item) for item in plain) if isinstance(plain, (list, tuple)) else float(plain)
    )


def _finished(results: dict[str, Any], return_tensors: Any) -> BatchFeature:
    """The results of a family as the caller wants them."""
    if return_tensors is not None and return_tensors is not STACKED:
        return BatchFeature(results, return_tensors)
    done: dict[str, Any] = {}
    for name, value in results.items():
        if return_tensors is None and hasattr(value, "ndim"):
            value = list(np.asarray(value))
        if isinstance(value, Each):
            value = value.converted("jax", name)
        elif isinstance(value, list):
            value = [jnp.asarray(item) if isinstance(item, np.ndarray) else item for item in value]
            alike = {(item.shape, item.dtype) for item in value if isinstance(item, jax.Array)}
            if (
                return_tensors is STACKED
                and len(alike) == 1
                and all(isinstance(item, jax.Array) for item in value)
            ):
                value = jnp.asarray(np.stack([np.asarray(item) for item in value]))
        elif isinstance(value, np.ndarray):
            value = jax.device_put(
                value
            )  # nobody else has it: no copy where the host's memory will do
        done[name] = value
    return BatchFeature(done)


def _post_process(processor: BaseImageProcessor, name: str) -> Any:
    """A function of `jaxprep.postprocess` by the name that Transformers gives it, with this
    processor's settings.
    """
    from jaxprep.huggingface.unnormalize import postprocess
    from jaxprep.postprocess import methods

    class_name = getattr(processor.config, "class_name", type(processor).__name__)
    known = {
        **methods(class_name),
        **({"postprocess": postprocess} if class_name == "JanusImageProcessor" else {}),
    }
    if name not in known:
        raise AttributeError(f"`{class_name}` has no `{name}`. It has {sorted(known)}.")
    return functools.partial(known[name], processor)
