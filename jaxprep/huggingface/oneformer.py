"""OneFormer: padded images, the task as text, and what is on the images as masks, classes and
texts.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, MutableMapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from jaxprep import codec
from jaxprep.errors import InputError
from jaxprep.formats import HuggingFace
from jaxprep.formats.huggingface.frozen import Frozen
from jaxprep.huggingface import hub
from jaxprep.huggingface.call import Call, Results
from jaxprep.huggingface.features import PerImage
from jaxprep.huggingface.instance_masks import InstanceMasks
from jaxprep.huggingface.padding import Padding, pad_masks
from jaxprep.huggingface.universal import INPUTS as UNIVERSAL_INPUTS
from jaxprep.huggingface.universal import ignore_index_of, instance_masks_of, padded_images
from jaxprep.types import Size

INPUTS = ("task_inputs", *UNIVERSAL_INPUTS)
Metadata = Mapping[str, Any]
"""The name of each class by its number, as text; `class_names`, all of them; `thing_ids`, the
numbers of the classes that are things.
"""
MAX_CLASSES = 100_000
MAX_TEXTS = 2**16


def oneformer(call: Call) -> Results:
    """Return padded images with their `pixel_mask`, and `task_inputs`, one text per image.

    With `segmentation_maps`, `mask_labels`, `class_labels` and `text_inputs` too, as the task of
    each image wants them. Inside a caller's transformation, where texts are no values, images
    alone.

    >>> from jaxprep.huggingface import OneFormerImageProcessor
    >>> processor = OneFormerImageProcessor(size={"height": 8, "width": 8})
    >>> result = processor(np.zeros((16, 16, 3), np.uint8), ["semantic"])
    >>> result.task_inputs, result.pixel_mask.shape
    (['the task is semantic'], (1, 8, 8))
    """
    results, padding = padded_images(call)
    if call.is_traced:
        return results
    return results | texts_and_labels(call, padding)


def texts_and_labels(call: Call, padding: Padding) -> Results:
    """All results but the images.

    >>> content = {"7": {"name": "cat", "isthing": 1}}
    >>> settings = {"metadata": metadata_from(content, "$"), "num_text": 2}
    >>> config = HuggingFace("OneFormerImageProcessor", settings)
    >>> texts_and_labels(Call(None, {}, config), Padding([(2, 2)], (2, 2)))
    {'task_inputs': ['the task is panoptic']}
    """
    tasks = tasks_of(call.inputs.get("task_inputs"), len(padding.sizes))
    instances = instance_masks_of(call, padding.sizes)
    results: Results = {}
    if instances is not None:
        results = annotated(call.config, instances, tasks, padding.padded_size)
    return results | {"task_inputs": [f"the task is {task}" for task in tasks]}


def tasks_of(given: Any, count: int) -> list[str]:
    """Return the task of each image: "panoptic" unless given; one for all, or one for each.

    >>> tasks_of("semantic", 2)
    ['semantic', 'semantic']
    """
    if given is None or isinstance(given, str):
        given = [given or "panoptic"]
    tasks = list(given)
    # One task serves all images.
    if len(tasks) == 1:
        tasks = tasks * count
    if len(tasks) != count or not all(isinstance(task, str) for task in tasks):
        raise InputError(
            f"Expected a task for each of {count} images, got {given!r} - at `task_inputs`."
        )
    return tasks


def annotated(
    config: HuggingFace,
    instances: Sequence[InstanceMasks],
    tasks: Sequence[str],
    padded_size: Size,
) -> Results:
    """Return `mask_labels`, padded with `ignore_index` as the original does, `class_labels` and
    `text_inputs`.

    >>> content = {"7": {"name": "cat", "isthing": 1}}
    >>> settings = {"metadata": metadata_from(content, "$"), "num_text": 2}
    >>> config = HuggingFace("OneFormerImageProcessor", settings)
    >>> instances = InstanceMasks(np.ones((1, 2, 2), np.float32), np.array([7]))
    >>> annotated(config, [instances], ["semantic"], (2, 2))["text_inputs"]
    [['a photo with a cat', 'a semantic photo']]
    """
    metadata = metadata_of(config)
    if metadata is None:
        raise InputError(
            "Expected `class_info_file`, or `metadata`, which names the classes of "
            "`segmentation_maps`."
        )
    count = config.effective.integer("num_text", highest=MAX_TEXTS)
    annotations = []
    for i, (instances_of_image, task) in enumerate(zip(instances, tasks, strict=True)):
        if task not in TASKS:
            raise InputError(
                f"Expected one of {sorted(TASKS)}, got {task!r} - at `task_inputs[{i}]`."
            )
        seen = dict.fromkeys(metadata["class_names"], 0)
        annotate = TASKS[task]
        annotations.append(annotate(instances_of_image, metadata, count, seen))
    fill = ignore_index_of(config)
    masks = []
    for annotation in annotations:
        masks.append(pad_masks(annotation.masks, padded_size, fill))
    return {
        "mask_labels": PerImage(masks),
        "class_labels": PerImage(annotation.classes for annotation in annotations),
        "text_inputs": [annotation.texts for annotation in annotations],
    }


class Annotation(NamedTuple):
    """What a task wants to know of an image: masks, classes, and `num_text` texts.

    >>> Annotation(np.zeros((0, 2, 2)), np.zeros(0), ["a semantic photo"]).texts
    ['a semantic photo']
    """

    masks: np.ndarray
    classes: np.ndarray
    texts: list[str]


def semantic(
    instances: InstanceMasks,
    metadata: Metadata,
    count: int,
    seen: MutableMapping[str, int],
) -> Annotation:
    """Merge the instances of each class to one mask.

    >>> names = metadata_from({"7": {"name": "cat", "isthing": 1}}, "$")
    >>> instances = InstanceMasks(np.ones((1, 2, 2), np.float32), np.array([7]))
    >>> semantic(instances, names, 2, {"cat": 0}).texts
    ['a photo with a cat', 'a semantic photo']
    """
    classes = list(dict.fromkeys(instances.classes.tolist()))
    masks = []
    for number in classes:
        masks_of_class = instances.masks[instances.classes == number]
        masks.append(masks_of_class.max(0))
    stacked = np.stack(masks) if masks else instances.masks[:0]
    merged = InstanceMasks(stacked, np.asarray(classes, np.int64))
    return _with_texts(merged, "a semantic photo", metadata, count, seen)


def instance(
    instances: InstanceMasks,
    metadata: Metadata,
    count: int,
    seen: MutableMapping[str, int],
) -> Annotation:
    """Return the instances of things.

    >>> names = metadata_from({"7": {"name": "cat", "isthing": 1}}, "$")
    >>> instances = InstanceMasks(np.ones((1, 2, 2), np.float32), np.array([7]))
    >>> instance(instances, names, 2, {"cat": 0}).texts
    ['a photo with a cat', 'an instance photo']
    """
    is_thing = np.isin(instances.classes, metadata["thing_ids"])
    things = InstanceMasks(instances.masks[is_thing], instances.classes[is_thing])
    return _with_texts(things, "an instance photo", metadata, count, seen)


def panoptic(
    instances: InstanceMasks,
    metadata: Metadata,
    count: int,
    seen: MutableMapping[str, int],
) -> Annotation:
    """Return all instances, of things and of stuff.

    >>> names = metadata_from({"7": {"name": "cat", "isthing": 1}}, "$")
    >>> instances = InstanceMasks(np.ones((1, 2, 2), np.float32), np.array([7]))
    >>> panoptic(instances, names, 2, {"cat": 0}).texts
    ['a photo with a cat', 'an panoptic photo']
    """
    # "an panoptic": the original's words, which the text encoder was trained with.
    return _with_texts(instances, "an panoptic photo", metadata, count, seen)


TASKS: dict[str, Callable[..., Annotation]] = {
    "semantic": semantic,
    "instance": instance,
    "panoptic": panoptic,
}
"""`get_semantic_annotations` and its siblings in `transformers/models/oneformer/
image_processing_oneformer.py`.
"""


def _with_texts(
    instances: InstanceMasks,
    blank: str,
    metadata: Metadata,
    count: int,
    seen: MutableMapping[str, int],
) -> Annotation:
    """Masks with a text for each, in the order of all classes, filled up with `blank` to `count`.

    Args:
        seen: how many masks each class has had; counted up.
    """
    for number in instances.classes.tolist():
        name = metadata.get(str(number))
        if name is None:
            raise InputError(
                f"Expected labels that `metadata` names, got {number} - at `segmentation_maps`."
            )
        seen[name] += 1
    texts: list[str] = []
    for name in metadata["class_names"]:
        texts += [f"a photo with a {name}"] * seen[name]
    # The model has `num_text` slots; further texts are dropped.
    texts = texts[:count]
    blanks = [blank] * (count - len(texts))
    return Annotation(instances.masks, instances.classes, texts + blanks)


# -- the names of classes ------------------------------------------------------------------------


def metadata_of(config: HuggingFace) -> Metadata | None:
    """Return the `metadata` of the settings; if there is none, that of `class_info_file`, which is
    read on first use.

    >>> content = {"7": {"name": "cat", "isthing": 1}}
    >>> settings = {"metadata": metadata_from(content, "$"), "num_text": 2}
    >>> config = HuggingFace("OneFormerImageProcessor", settings)
    >>> metadata_of(config)["class_names"]
    ['cat']
    """
    metadata = config.effective.get("metadata")
    if metadata:
        return checked(metadata, "$.metadata")
    folder = config.effective.get("repo_path")
    name = config.effective.get("class_info_file")
    if not name:
        return None
    for value, key in ((folder, "repo_path"), (name, "class_info_file")):
        if not isinstance(value, str) or not value or "\0" in value:
            raise codec.expected("a text", value, f"$.{key}")
    # Read when it is needed first: a processor that gets no maps needs no file.
    return _from_file(folder, name)


@functools.lru_cache(maxsize=16)
def _from_file(folder: str, name: str) -> Metadata:
    content, where = hub.find_file(folder, name)
    return metadata_from(content, where)


def metadata_from(content: Any, where: str) -> Metadata:
    """Return the metadata of a `class_info_file`: an object with `{"name", "isthing"}` for each
    number of a class.

    >>> names = metadata_from({"7": {"name": "cat", "isthing": 1}}, "$")
    >>> names["7"], names["thing_ids"]
    ('cat', [7])
    """
    if not isinstance(content, Mapping) or len(content) > MAX_CLASSES:
        raise codec.expected(f"an object with at most {MAX_CLASSES} classes", content, where)
    for number, info in content.items():
        if (
            not number.isdecimal()
            or not isinstance(info, Mapping)
            or not isinstance(info.get("name"), str)
        ):
            raise codec.expected(
                "the number of a class, with its `name` and `isthing`", info, f"{where}.{number}"
            )
    names = {number: info["name"] for number, info in content.items()}
    things = [int(number) for number, info in content.items() if info.get("isthing")]
    return Frozen({**names, "thing_ids": things, "class_names": list(names.values())})


def checked(metadata: Any, where: str) -> Metadata:
    """Metadata as a config holds it, or as a `class_info_file` does.

    >>> checked({"7": "cat", "class_names": ["cat"], "thing_ids": [7]}, "$")["7"]
    'cat'
    """
    if not isinstance(metadata, Mapping) or len(metadata) > MAX_CLASSES:
        raise codec.expected(f"an object with at most {MAX_CLASSES} classes", metadata, where)
    if metadata and all(isinstance(info, Mapping) for info in metadata.values()):
        return metadata_from(metadata, where)
    for key, kind in (("class_names", str), ("thing_ids", int)):
        values = metadata.get(key)
        if not isinstance(values, (list, tuple)) or not all(
            isinstance(value, kind) for value in values
        ):
            raise codec.expected(f"a list of `{kind.__name__}`", values, f"{where}.{key}")
    known = set(metadata["class_names"])
    for key, value in metadata.items():
        if key not in ("class_names", "thing_ids") and (
            not isinstance(value, str) or value not in known
        ):
            raise codec.expected("one of `class_names`", value, f"{where}.{key}")
    return metadata
