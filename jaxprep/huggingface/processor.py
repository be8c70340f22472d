"""`BaseImageProcessor`: the calls of an image processor, and the classes by their names."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Iterable, Mapping
from typing import Any, TypedDict

import jax

import jaxprep.huggingface.class_methods
import jaxprep.huggingface.unnormalize  # noqa: F401  # both declare methods of single classes
from jaxprep import codec, frameworks
from jaxprep.errors import ArgumentError, ConfigError, InputError
from jaxprep.formats import Format, HuggingFace, Timm
from jaxprep.formats.huggingface import classes
from jaxprep.formats.huggingface.builders import Source
from jaxprep.formats.huggingface.classes import ProcessorRow
from jaxprep.formats.huggingface.frozen import SizeDict, frozen
from jaxprep.formats.huggingface.read import TIMM
from jaxprep.formats.huggingface.settings import drop_none, drop_unsaid, merged, split_keys
from jaxprep.huggingface import class_docs, torch_tensors
from jaxprep.huggingface.call import Call, run_group, run_traced
from jaxprep.huggingface.configs import CALL_KEYS, json_settings, layout_named
from jaxprep.huggingface.features import AUTO, BatchFeature, finish
from jaxprep.huggingface.images import Reading, for_pillow, images_of, traced_images
from jaxprep.huggingface.mixin import SIZE_KEYS, size_of
from jaxprep.huggingface.operations import ImageOperations
from jaxprep.huggingface.registry import FAMILIES, methods_of
from jaxprep.inputs import BYTE_SCALE, CHANNEL_COUNTS, Layout, flatten, warn_of_range
from jaxprep.pipeline import Pipeline
from jaxprep.pipeline.describe import Description
from jaxprep.pipeline.placement import common, of_result
from jaxprep.postprocess import methods
from jaxprep.settings import with_default_settings
from jaxprep.types import Size, is_traced


class ClassAttributes(type):
    """Gives a class the attributes that classes of Transformers have: the default of each setting,
    and `valid_kwargs`.

    >>> from jaxprep.huggingface import ViTImageProcessor
    >>> ViTImageProcessor.size, ViTImageProcessor.do_center_crop
    ({'height': 224, 'width': 224}, None)
    """

    class_name: str | None

    # Of the class alone: an instance has its own settings, which `__getattr__` of the class finds.
    def __getattr__(cls, name: str) -> Any:
        class_name = None if name.startswith("_") else getattr(cls, "class_name", None)
        if class_name is not None:
            if name == "valid_kwargs":
                return valid_kwargs(class_name)
            row = classes.known_row(class_name)
            if name == "default_to_square":
                return row.square
            if name in classes.arguments(class_name):
                value = row.defaults.get(name)
                return SizeDict(value) if name in SIZE_KEYS and value else frozen(value)
        raise AttributeError(f"`{cls.__name__}` has no attribute `{name}`.")

    def __dir__(cls) -> list[str]:
        class_name = getattr(cls, "class_name", None)
        settings = () if class_name is None else class_docs.settings_of(class_name)
        return sorted({*super().__dir__(), *settings})

    def __setattr__(cls, name: str, value: Any) -> None:
        _refuse_settings(cls.class_name, [name], cls.__name__)
        super().__setattr__(name, value)


def _refuse_settings(class_name: str | None, names: Iterable[str], where: str) -> None:
    """Refuse settings as attributes of a class, which no instance would look at."""
    if class_name is None:
        return
    for name in sorted(classes.arguments(class_name).intersection(names)):
        raise ConfigError(
            f"Expected settings as arguments, as in `{where}({name}=...)`, got an attribute of the "
            f"class - at `{where}.{name}`."
        )


@functools.cache
def valid_kwargs(class_name: str) -> Any:
    """Return the settings of a class as a `TypedDict`, whose annotations are their names.

    >>> "crop_pct" in valid_kwargs("ConvNextImageProcessor").__annotations__
    True
    """
    names = sorted(classes.arguments(class_name))
    return TypedDict(f"{class_name}Kwargs", dict.fromkeys(names, Any), total=False)  # type: ignore[operator]


class BaseImageProcessor(ImageOperations, frameworks.NoAutoGraph, metaclass=ClassAttributes):
    """An image processor: call it on images.

    Settings are attributes (`processor.size`, `processor.do_resize`, also `processor.size.height`);
    assigning to one replaces it from then on, and nothing inside of one can be changed. The
    contract is that of `BaseImageProcessor`:
    https://github.com/huggingface/transformers/blob/main/src/transformers/image_processing_utils.py

    >>> from jaxprep.huggingface import ViTImageProcessor
    >>> processor = ViTImageProcessor(size={"height": 8, "width": 8})
    >>> processor.do_resize, processor.model_input_names
    (True, ['pixel_values'])
    """

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        # A class of a user; those of the table state their own `class_name`.
        if "class_name" not in cls.__dict__:
            _refuse_settings(cls.class_name, cls.__dict__, cls.__name__)

    @property
    def config(self) -> Format:
        """The typed, frozen config."""
        return self._config

    @property
    def pipeline(self) -> Pipeline:
        """The pure function over a `Batch`, for 8-bit images `(h, w, c)`: use it inside
        `jax.jit`.
        """
        return self._config.pipeline

    def describe(self, size: Size | None = None) -> Description:
        """Return what is done to an image, or to a frame of a video, in words and as data: what
        `jaxprep inspect` prints.

        Args:
            size: height and width of an image, whose size is then told after each step.

        Raises:
            InputError: a size that the steps do not take.

        >>> from jaxprep.huggingface import ViTImageProcessor
        >>> print(ViTImageProcessor().describe((480, 640)).steps[0].after)
        (224, 224)
        """
        return self.pipeline.describe(size)

    @property
    def is_fast(self) -> bool:
        """Whether Transformers would call this its fast processor."""
        return self.backend == "torchvision"

    @property
    def model_input_names(self) -> list[str]:
        """The names of the results."""
        return list(self._class_config().row.outputs)

    def _class_config(self) -> HuggingFace:
        config = self._config
        assert isinstance(config, HuggingFace)  # by construction: see `_type_of`
        return config

    @classmethod
    def _type_of(cls, config: Format) -> Any:
        if cls.class_name is not None:
            return cls
        if not isinstance(config, HuggingFace):
            return processor_class(TIMM)
        # Where both backends are there, each has a class; a class with PIL alone has no ending.
        has_twin = config.backend == "pil" and len(config.row.backends) > 1
        return processor_class(f"{config.class_name}Pil" if has_twin else config.class_name)

    def __getattr__(self, name: str) -> Any:
        # Before `_set`, and for the protocols that Python looks up, there is nothing to ask.
        if name.startswith("__") or name in ("_config", "_content"):
            raise AttributeError(name)
        if name in self.kind.type_keys and name in self._content:
            return self._content[name]
        config = self._class_config()
        if name == "valid_kwargs":
            return valid_kwargs(config.class_name)
        if name == "default_to_square" and config.effective.get(name) is None:
            return config.row.square
        # Always an object, whatever form the config has, as in Transformers.
        if name in SIZE_KEYS:
            return size_of(config, name)
        if name in classes.arguments(config.class_name) or name in config.effective.given:
            return frozen(config.effective.get(name))
        return _post_process(self, config, name)

    def __dir__(self) -> list[str]:
        config = self._config
        if not isinstance(config, HuggingFace):
            return sorted(super().__dir__())
        names = class_docs.settings_of(config.class_name)
        return sorted({*super().__dir__(), *names, *methods(config.class_name)})

    def __setattr__(self, name: str, value: Any) -> None:
        if name.startswith("_"):
            object.__setattr__(self, name, value)
            return
        changed = json_settings({name: value})
        config = self._config.overridden(_with_layout(changed))
        row = config.row if isinstance(config, HuggingFace) else None
        self._set(config, merged(self._content, changed, row))

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, BaseImageProcessor):
            return False
        return (self._config, self._content) == (other._config, other._content)

    def __hash__(self) -> int:
        return hash(self._config)

    def __reduce__(self) -> Any:
        return _restored, (type(self), self._config, dict(self._content))

    def __call__(self, images: Any = None, *args: Any, **kwargs: Any) -> Any:
        """Preprocess images: see `preprocess`."""
        return self.preprocess(images, *args, **kwargs)

    @with_default_settings
    def preprocess(
        self,
        images: Any = None,
        *args: Any,
        return_tensors: Any = AUTO,
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
            args: the other inputs of the class, in order.
            return_tensors: "jax", "np", "pt" or "tf" for one array; None for what the class returns
                in Transformers: a list with one array per image, or one array where the class
                stacks them itself, as Qwen2-VL does. By default a `jax.Array`, or a list of them
                where the results are of different sizes. Inside a caller's transformation always
                the default.
            input_data_format: "channels_first" or "channels_last", of arrays; by default they are
                told apart by the number of channels.
            device: a device or a sharding to put the results on; by default that of the images,
                where they are `jax.Array`s.
            disable_grouping: does nothing; images are always grouped.
            kwargs: the other inputs of the class by name, and settings for this call alone; None
                means the processor's.

        Returns:
            the results by name; `pixel_values` is `(b, c, h, w)`, or `(b, h, w, c)` with
            `data_format="channels_last"`.

        Raises:
            InputError: an image or an argument is not what the class takes.
            ConfigError: a setting is wrong.

        Warns:
            UserWarning: once, where images are rescaled and one on the host has floats in [0, 1],
                or 16 bits.

        >>> import numpy as np
        >>> from jaxprep.huggingface import ViTImageProcessor
        >>> processor = ViTImageProcessor(size={"height": 8, "width": 8})
        >>> images = [np.zeros((20, 30, 3), np.uint8), np.zeros((16, 16, 3), np.uint8)]
        >>> processor.preprocess(images).pixel_values.shape
        (2, 3, 8, 8)
        """
        del disable_grouping
        family = FAMILIES[self._class_config().row.family]
        if len(args) > len(family.inputs):
            raise ArgumentError(
                f"Expected at most {1 + len(family.inputs)} positional arguments, got "
                f"{1 + len(args)}."
            )
        # `processor(images, segmentation_maps)`: other inputs may be passed by position.
        inputs = dict(zip(family.inputs, args, strict=False))
        inputs |= {name: kwargs.pop(name) for name in family.inputs if name in kwargs}
        if frameworks.has_graph_tensors((images, inputs)):
            return self._preprocess_in_graph(images, inputs, input_data_format, kwargs)
        call = Call(
            images,
            inputs,
            self._with_call_settings(kwargs),
            layout_named(input_data_format, "input_data_format"),
            is_traced((images, inputs)),
        )
        if call.is_traced:
            return finish(family.run(call), AUTO)
        frameworks.prepare_process()
        settings = call.config.effective
        # A class without a factor never rescales: Pix2Struct ignores `do_rescale`.
        has_factor = settings.get("rescale_factor") is not None
        rescales = settings.flag("do_rescale") and has_factor
        if rescales and settings.number("rescale_factor") <= BYTE_SCALE:
            warn_of_range(self, images)
        features = finish(family.run(call), return_tensors, call.config.listed_axes)
        return beside_inputs(features, images) if device is None else features.to(device)

    def warm_up(self, sizes: Any = None, **settings: Any) -> int:
        """Compile the programs of calls with images ahead, and return how many; see
        `Pipeline.warm_up` for `largest`, `batch_sizes` and the errors.

        What other inputs than images need is compiled when they come.

        Raises:
            InputError: the results of this class depend on the other images of a call, which no
                size tells.

        >>> from jaxprep.huggingface import ViTImageProcessor
        >>> ViTImageProcessor(size={"height": 8, "width": 8}).warm_up([(300, 400)])
        1
        """
        return sum(pipeline.warm_up(sizes, **settings) for pipeline in self._image_pipelines())

    def _image_pipelines(self) -> list[Pipeline]:
        """The pipelines that 8-bit images go through, one for each view that a call makes."""
        config = self._class_config()
        if config.row.batch_dependent:
            raise InputError(
                "Expected a class whose results depend on each image alone, got "
                f"`{type(self).__name__}`: what it compiles depends on all images of a call."
            )
        views = (None, *config.row.views)
        return list(dict.fromkeys(config.pipeline_of(Source(), None, view) for view in views))

    def _preprocess_in_graph(
        self, images: Any, inputs: dict[str, Any], layout: Any, settings: dict[str, Any]
    ) -> BatchFeature:
        """Preprocess tensors of a graph of TensorFlow, as `tf.data` gives them."""
        layout = layout_named(layout, "input_data_format") or layout_of_tensors(images)

        def preprocess(given: dict[str, Any]) -> BatchFeature:
            return self.preprocess(**given, **settings, input_data_format=layout)

        given = {"images": images, **inputs}
        return frameworks.call_in_graph(preprocess, given, layout == "channels_first")

    def _with_call_settings(self, kwargs: dict[str, Any]) -> HuggingFace:
        """The config with a call's own settings."""
        config = self._class_config()
        known = classes.arguments(config.class_name)
        unknown = sorted(set(kwargs) - known - set(CALL_KEYS))
        if unknown:
            raise ArgumentError(
                f"`{type(self).__name__}` takes no `{unknown[0]}`. It takes {sorted(known)}."
            )
        said = drop_unsaid(config.class_name, kwargs, config.effective)
        _, said = split_keys(said, config.row.fixed)
        return config.overridden(_with_layout(json_settings(said)))


class TimmWrapperImageProcessor(BaseImageProcessor):
    """The evaluation transform of a timm model, which is one of PIL images.

    >>> import numpy as np
    >>> content = {"pretrained_cfg": {"input_size": [3, 8, 8]}, "architecture": "resnet18"}
    >>> processor = BaseImageProcessor.from_dict(content)
    >>> processor(np.zeros((20, 30, 3), np.uint8)).pixel_values.shape
    (1, 3, 8, 8)
    """

    @property
    def model_input_names(self) -> list[str]:
        return ["pixel_values"]

    def _class_config(self) -> HuggingFace:
        raise ConfigError(f"`{type(self).__name__}` has no single operations: use its `pipeline`.")

    def _image_pipelines(self) -> list[Pipeline]:
        return [self.pipeline]

    def __getattr__(self, name: str) -> Any:
        if not name.startswith("_") and name in codec.field_types(Timm):
            return getattr(self._config, name)
        raise AttributeError(f"`{type(self).__name__}` has no attribute `{name}`.")

    @with_default_settings
    def preprocess(
        self,
        images: Any = None,
        *args: Any,
        return_tensors: Any = AUTO,
        input_data_format: Any = None,
        device: Any = None,
        disable_grouping: bool | None = None,
        **kwargs: Any,
    ) -> BatchFeature:
        """Preprocess an image or many; see `BaseImageProcessor.preprocess`. `data_format` is the
        only setting of a call.
        """
        del disable_grouping
        if args:
            raise ArgumentError(f"Expected at most 1 positional arguments, got {1 + len(args)}.")
        unknown = sorted(set(kwargs) - {"data_format"})
        if unknown:
            raise ArgumentError(f"`{type(self).__name__}` takes no `{unknown[0]}` in a call.")
        pipeline = self._config.overridden(_with_layout(drop_none(kwargs))).pipeline
        if frameworks.has_graph_tensors(images):
            return self._preprocess_in_graph(images, {}, input_data_format, kwargs)
        layout = layout_named(input_data_format, "input_data_format")
        if is_traced(images):
            read = traced_images(images, layout)
            return finish({"pixel_values": run_traced(read, [pipeline] * len(read))}, AUTO)
        frameworks.prepare_process()
        # transformers/models/timm_wrapper/image_processing_timm_wrapper.py makes PIL images of all
        # inputs; RGB is what timm's own datasets convert to (`timm/data/dataset.py`).
        reading = Reading(to_rgb=True, on_torch=False, layout=layout)
        read = [for_pillow(image) for image in images_of(images, reading)]
        features = finish(
            {"pixel_values": run_group(pipeline, read).stacked_or_listed()}, return_tensors
        )
        return beside_inputs(features, images) if device is None else features.to(device)


def layout_of_tensors(images: Any) -> Layout | None:
    """The layout of tensors of a graph whose height or width is not known yet; None where their
    numbers will tell.

    >>> from types import SimpleNamespace
    >>> layout_of_tensors(SimpleNamespace(shape=(3, None, None)))
    'channels_first'
    """
    for tensor in jax.tree.leaves(images):
        if getattr(tensor.shape, "rank", 3) is None:
            continue
        shape = tuple(tensor.shape)
        if len(shape) < 3 or None not in shape[-3:]:
            continue
        first, last = shape[-3] in CHANNEL_COUNTS, shape[-1] in CHANNEL_COUNTS
        if first != last:
            return "channels_first" if first else "channels_last"
    return None


class _Names:
    """A list of names as the attribute of a class and of its instances, a new one each time."""

    def __init__(self, names: tuple[str, ...]):
        self.names = names

    def __get__(self, instance: Any, owner: type) -> list[str]:
        return list(self.names)


@functools.cache
def processor_class(name: str) -> type[BaseImageProcessor] | None:
    """Return the class of a name of any release; None if it is none that is read.

    `CLIPImageProcessorPil` has the backend "pil"; `CLIPImageProcessorFast` and
    `CLIPFeatureExtractor` are `CLIPImageProcessor`.

    >>> processor_class("CLIPFeatureExtractor").__name__
    'CLIPImageProcessor'
    """
    if name == TIMM:
        return TimmWrapperImageProcessor
    canonical = classes.canonical(name)
    row = classes.rows().get(canonical)
    if row is None:
        return None
    is_pil = name.endswith("Pil")
    if is_pil and "pil" not in row.backends:
        return None
    # One class for all names, so that `isinstance` holds between them.
    if name not in (canonical, f"{canonical}Pil"):
        has_twin = is_pil and len(row.backends) > 1
        return processor_class(f"{canonical}Pil" if has_twin else canonical)
    # What runs on PIL is one of the class, too.
    base = processor_class(canonical) if is_pil else None
    if base is not None:
        return made_class(name, row, base, {}, class_name=canonical, backend_name="pil")
    return made_class(name, row, BaseImageProcessor, methods_of(canonical, row.family))


def made_class(
    name: str, row: ProcessorRow, base: type[Any], methods: Mapping[str, Any], **members: Any
) -> Any:
    """Return the class of a row.

    Args:
        name: of the class.
        row: of the table.
        base: the class that it is a kind of.
        methods: of its family.
        members: other members; `class_name` is the name by default.

    >>> row = classes.rows()["ViTImageProcessor"]
    >>> made_class("ViTImageProcessor", row, BaseImageProcessor, {})().size
    {'height': 224, 'width': 224}
    """
    class_name = members.get("class_name", name)
    has_backend = "backend_name" not in members
    doc = class_docs.docstring(name, class_name, row, base.kind.noun, base.__name__)
    return ClassAttributes(
        name,
        (base,),
        {
            "class_name": name,
            "backend_name": None,
            "model_input_names": _Names(row.outputs),
            "__module__": "jaxprep.huggingface",
            "__doc__": doc,
            "__signature__": class_docs.ClassSignature(
                functools.partial(class_docs.signature, class_name, row, has_backend)
            ),
            **_under_default_settings(methods),
            **members,
        },
    )


def _under_default_settings(members: Mapping[str, Any]) -> dict[str, Any]:
    return {
        name: with_default_settings(member) if inspect.isfunction(member) else member
        for name, member in members.items()
    }


def beside_inputs(features: BatchFeature, inputs: Any, batch_ndim: int = 4) -> BatchFeature:
    """Put results, in place, on the devices of the images or videos that they are made of.

    Args:
        features: the results.
        inputs: as passed.
        batch_ndim: the axes of a batch of them.

    >>> features = BatchFeature({"pixel_values": jax.numpy.zeros((1, 2))})
    >>> beside_inputs(features, [jax.numpy.zeros((2, 2, 3))]) is features
    True
    """
    placement = common([image for image, _ in flatten(inputs, "images")], "images")
    if placement is None:
        return features
    # a batch may be sharded along its first axis; of single images no axis is that of a result
    first = 0 if getattr(inputs, "ndim", 0) == batch_ndim else None

    def put(leaf: Any) -> Any:
        if not isinstance(leaf, jax.Array):
            return leaf
        axes = [first, *[None] * leaf.ndim][: leaf.ndim]
        return jax.device_put(leaf, of_result(placement, axes, leaf.shape))

    for name, value in features.items():
        features[name] = jax.tree.map(put, value)
    return features


def _restored(cls: Any, config: Format, content: dict[str, Any]) -> Any:
    return cls._of(config, content)


def _with_layout(settings: dict[str, Any]) -> dict[str, Any]:
    """A call's settings as fields of the config: None as `data_format` is channels first."""
    if "data_format" not in settings:
        return settings
    data_format = layout_named(settings["data_format"], "data_format")
    return {**settings, "data_format": data_format or "channels_first"}


def _post_process(processor: BaseImageProcessor, config: HuggingFace, name: str) -> Any:
    """A function of `jaxprep.postprocess` by the name that Transformers gives it, with the
    processor's settings; tensors of torch where a model's outputs are.
    """
    known = methods(config.class_name)
    if name.startswith("post_process_") and name not in known:
        raise AttributeError(f"`{config.class_name}` has no `{name}`. It has {sorted(known)}.")
    if name not in known:
        raise AttributeError(f"`{type(processor).__name__}` has no attribute `{name}`.")
    declared = known[name]

    @functools.wraps(declared.function)
    def call(*args: Any, **kwargs: Any) -> Any:
        outputs = args[0] if args else next(iter(kwargs.values()), None)
        device = torch_tensors.device_of(outputs)
        if device is not None:
            args, kwargs = torch_tensors.to_host(args), torch_tensors.to_host(kwargs)
        results = declared(processor, *args, **kwargs)
        if device is None or "return_tensors" in kwargs:
            return results
        return torch_tensors.to_torch(results, device)

    return call
