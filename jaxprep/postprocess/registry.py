"""The table of post-processing methods: which function stands behind which method of which class.

The table is not written down anywhere. Each function declares its methods with the decorator
`method`, so that a new function needs its own source file and nothing else:

>>> import numpy as np
>>> from jaxprep import postprocess
>>> @postprocess.method("MyDepthImageProcessor", postprocess.DEPTH, settings=("max_depth",))
... def clipped_depth(outputs, target_sizes=None, *, max_depth=10.0):
...     return [{"predicted_depth": depth.clip(0, max_depth)} for depth in outputs["depth"]]
>>> estimate = postprocess.methods("MyDepthImageProcessor")[postprocess.DEPTH]
>>> outputs = {"depth": np.float32([[[1, 9]]])}
>>> estimate({"max_depth": 5.0}, outputs)[0]["predicted_depth"].tolist()
[[1.0, 5.0]]
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

from jaxprep.errors import InputError
from jaxprep.postprocess.results import setting_of
from jaxprep.settings import with_default_settings

Function = TypeVar("Function", bound=Callable[..., Any])

# The names that Transformers gives its methods (`src/transformers/models/*/image_processing_*.py`
# of release 5.24). A method that only one class has is named where it is declared.
SEMANTIC = "post_process_semantic_segmentation"
INSTANCE = "post_process_instance_segmentation"
PANOPTIC = "post_process_panoptic_segmentation"
DETECTION = "post_process_object_detection"
GROUNDED = "post_process_grounded_object_detection"
GUIDED = "post_process_image_guided_detection"
DEPTH = "post_process_depth_estimation"
NORMALS = "post_process_normal_estimation"
MATCHING = "post_process_keypoint_matching"

EVERY_CLASS = "*"
"""In place of a class name: every class has the method."""


@dataclass(frozen=True)
class Method:
    """A function as the method of a processor class.

    Attributes:
        function: takes what the method takes, in the same order.
        settings: the parameters that the processor's settings fill where the caller does not.
        fixed: the parameters in which the class differs from others that share the function.

    >>> Method(round, fixed={"ndigits": 1})({}, 2.55)
    2.5
    """

    function: Callable[..., Any]
    settings: tuple[str, ...] = ()
    fixed: Mapping[str, Any] = field(default_factory=dict)

    def __call__(self, processor: Any, *args: Any, **kwargs: Any) -> Any:
        """Calls the function with the settings of `processor`, an object with attributes or a
        mapping.
        """
        given = {}
        if self.settings:
            given = inspect.signature(self.function).bind_partial(*args, **kwargs).arguments
        for name in self.settings:
            value = setting_of(processor, name)
            # A setting that is None is one that the processor does not have: the function's own
            # default is better.
            if name not in given and value is not None:
                kwargs[name] = value
        return self.function(*args, **kwargs, **self.fixed)


METHODS: dict[str, dict[str, Method]] = {}
"""Methods by class and name, as `method` has declared them. `methods` looks a class up.

A class of Transformers' PIL backend has a row only for what it does in another way.
"""

# These models have the post-processing of another model: their classes inherit from it, or their
# processors repeat its code (`models/sam_hq`, `models/sam3_tracker`, `models/sam3_lite_text`,
# `models/edgetam` of Transformers 5.24).
_SAME_MODEL = {"SamHQ": "Sam", "Sam3Tracker": "Sam3", "Sam3LiteText": "Sam3", "EdgeTam": "Sam2"}


def method(
    class_names: str | Sequence[str],
    name: str,
    *,
    settings: Sequence[str] = (),
    fixed: Mapping[str, Any] | None = None,
) -> Callable[[Function], Function]:
    """Declares a function to be a method of one or several processor classes.

    The decorator returns the function, which runs under JAX's default settings from then on
    (`jaxprep.settings`). It can be stacked: once for each group of classes with the same settings
    and fixed parameters.

    Args:
        class_names: such as "DetrImageProcessor"; EVERY_CLASS for all.
        name: the method's, such as DETECTION.
        settings: the names of parameters that the processor's settings fill, where the caller does
            not and the processor has them.
        fixed: parameters with the values that these classes need.

    Raises:
        InputError: another function is that method already.

    >>> @method("ToyImageProcessor", "post_process_counting", fixed={"start": 1})
    ... def count(outputs, start=0):
    ...     return list(range(start, start + len(outputs)))
    >>> methods("ToyImageProcessor")["post_process_counting"]({}, ["a", "b"])
    [1, 2]
    """
    if isinstance(class_names, str):
        class_names = (class_names,)

    def declare(function: Function) -> Function:
        function = with_default_settings(function)
        declared = Method(function, tuple(settings), dict(fixed or {}))
        for class_name in class_names:
            row = METHODS.setdefault(class_name, {})
            if name in row and _full_name(row[name].function) != _full_name(function):
                raise InputError(
                    f"Expected a method that is free, got one of `{_full_name(row[name].function)}`"
                    f" - at `{class_name}.{name}`."
                )
            row[name] = declared
        return function

    return declare


def _full_name(function: Callable[..., Any]) -> str:
    # By name and not by identity: running the cell of a notebook again must not be an error.
    return f"{function.__module__}.{function.__qualname__}"


def methods(class_name: str) -> dict[str, Method]:
    """Returns the methods of a processor class, by any of its names.

    `DetrImageProcessor`, `DetrImageProcessorPil`, `DetrImageProcessorFast` and
    `DetrFeatureExtractor` are one class; a `…Processor` with a tokenizer has the methods of its
    image processor and its own.

    Args:
        class_name: of an image or video processor.

    >>> sorted(methods("GLPNFeatureExtractor"))
    ['post_process_depth_estimation', 'post_process_image_classification']
    """
    name = class_name.removesuffix("Pil").removesuffix("Fast")
    image_processor = _image_processor_of(name)
    return {
        **METHODS.get(image_processor, {}),
        **METHODS.get(name, {}),
        **METHODS.get(class_name, {}),  # of the PIL backend only
        **METHODS.get(EVERY_CLASS, {}),
    }


def _image_processor_of(class_name: str) -> str:
    """The name of the image processor class from which a class has its methods."""
    # The longest suffix first: "DetrImageProcessor" ends with "Processor" too.
    for suffix in ("ImageProcessor", "FeatureExtractor", "Processor"):
        if class_name.endswith(suffix):
            model = class_name.removesuffix(suffix)
            return f"{_SAME_MODEL.get(model, model)}ImageProcessor"
    return class_name
