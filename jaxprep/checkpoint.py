"""Keeps a preprocessor beside a train state, in one checkpoint of orbax.

A checkpoint has two items: `preprocessor`, JSON, and `state`, any pytree of arrays. Both are plain
items of orbax, so other tools read them too.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from jaxprep.errors import ConfigError, InputError, PresetNotFoundError
from jaxprep.facade import ImageClassifierPreprocessor
from jaxprep.huggingface import BaseImageProcessor
from jaxprep.presets import files

if TYPE_CHECKING:
    import orbax.checkpoint as ocp

__all__ = [
    "Checkpoint",
    "preprocessor_of",
    "restore",
    "restore_args",
    "save",
    "save_args",
    "to_json",
]

# orbax is imported in the functions: it takes seconds, which `import jaxprep` should not.


class Checkpoint(NamedTuple):
    """Holds what `restore` read.

    Attributes:
        preprocessor: what `restore` returns first.
        state: the train state, any pytree.

    >>> Checkpoint(ImageClassifierPreprocessor()).state is None
    True
    """

    preprocessor: Any
    state: Any = None


def save(
    path: str | os.PathLike[str], preprocessor: Any, state: Any = None, *, overwrite: bool = False
) -> None:
    """Write a checkpoint to a new folder, all or nothing.

    Args:
        path: of the folder.
        preprocessor: an `ImageClassifierPreprocessor`, an image processor of
            `jaxprep.huggingface`, or what the first is made of (a converter, a config, a pipeline).
        state: a pytree of arrays: parameters, an optimiser's state, a step.
        overwrite: replace what is there.

    Raises:
        InputError: there is something at `path`, or `preprocessor` is none.

    >>> import tempfile
    >>> preprocessor = ImageClassifierPreprocessor.from_preset("resnet_50_imagenet")
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     save(f"{folder}/step_7", preprocessor, {"step": 7})
    ...     checkpoint = restore(f"{folder}/step_7")
    >>> checkpoint.preprocessor == preprocessor, int(checkpoint.state["step"])
    (True, 7)
    """
    import orbax.checkpoint as ocp

    arguments = save_args(preprocessor, state)
    place = _absolute(path)
    if os.path.exists(place) and not overwrite:
        raise InputError(
            f"Expected a path where nothing is yet, or `overwrite=True` - at `{place}`."
        )
    with ocp.Checkpointer(ocp.CompositeCheckpointHandler()) as checkpointer:
        checkpointer.save(place, arguments, force=overwrite)


def restore(path: str | os.PathLike[str], state: Any = None) -> Checkpoint:
    """Read a checkpoint that `save` wrote, or a step that a manager wrote with `save_args`.

    Args:
        path: of its folder.
        state: a pytree like the one that was saved, of arrays or `jax.ShapeDtypeStruct`s: it says
            the classes, types and shardings of what is read. By default dictionaries and lists;
            optax needs its own classes: `{"params": params, "opt": optimiser.init(params)}`.

    Returns:
        `(preprocessor, state)`. What was saved as a pipeline comes back as a preprocessor, whose
        `pipeline` it is.

    Raises:
        PresetNotFoundError: there is no such folder.
        ConfigError: it has no preprocessor, or one that is not read, or a state of other names.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     save(f"{folder}/a", ImageClassifierPreprocessor())
    ...     restore(f"{folder}/a").state is None
    True
    """
    import orbax.checkpoint as ocp

    place = _absolute(path)
    if not os.path.isdir(place):
        raise PresetNotFoundError(f"Expected the folder of a checkpoint - at `{place}`.")
    for item in ("preprocessor", *(["state"] if state is not None else [])):
        if not os.path.isdir(os.path.join(place, item)):
            raise ConfigError(
                f"Expected a checkpoint with an item `{item}` - at `{place}`. A manager's folder "
                "has a checkpoint for each step: name that of a step."
            )
    has_state = os.path.isdir(os.path.join(place, "state"))
    with ocp.Checkpointer(ocp.CompositeCheckpointHandler()) as checkpointer:
        try:
            items = checkpointer.restore(place, restore_args(state, has_state=has_state))
        except ValueError:
            if state is not None:
                _check_names(os.path.join(place, "state"), state)
            raise
    return Checkpoint(preprocessor_of(items.preprocessor), items.state if has_state else None)


def save_args(preprocessor: Any, state: Any = None) -> ocp.args.Composite:
    """Return the arguments with which a `CheckpointManager` saves a step: `manager.save(step,
    args=save_args(preprocessor, state))`.

    Args:
        preprocessor: to keep beside the state.
        state: the train state, any pytree.

    >>> sorted(save_args(ImageClassifierPreprocessor(), {"step": 7}))
    ['preprocessor', 'state']
    """
    import orbax.checkpoint as ocp

    items: dict[str, Any] = {"preprocessor": ocp.args.JsonSave(to_json(preprocessor))}
    if state is not None:
        items["state"] = ocp.args.StandardSave(state)
    return ocp.args.Composite(**items)


def restore_args(state: Any = None, *, has_state: bool = True) -> ocp.args.Composite:
    """Return the arguments with which a `CheckpointManager` restores a step.

    Args:
        state: see `restore`.
        has_state: whether the step was saved with one.

    >>> sorted(restore_args())
    ['preprocessor', 'state']
    """
    import orbax.checkpoint as ocp

    items: dict[str, Any] = {"preprocessor": ocp.args.JsonRestore()}
    if has_state:
        items["state"] = ocp.args.StandardRestore(state)
    return ocp.args.Composite(**items)


def preprocessor_of(content: Any) -> Any:
    """Return the preprocessor of the JSON data of an item that was restored.

    Args:
        content: what a `CheckpointManager` restored.

    Raises:
        ConfigError: it is none.

    >>> preprocessor = ImageClassifierPreprocessor.from_preset("resnet_50_imagenet")
    >>> preprocessor_of(preprocessor.to_json()) == preprocessor
    True
    """
    if not isinstance(content, dict) or set(content) != {"config", "image_processor"}:
        return ImageClassifierPreprocessor.from_json(content)
    return BaseImageProcessor._of(files.from_json(content["config"]), content["image_processor"])


def to_json(preprocessor: Any) -> dict[str, Any]:
    """Return the JSON data of the item `preprocessor`, which `preprocessor_of` reads.

    Args:
        preprocessor: what `save` takes.

    >>> sorted(to_json(ImageClassifierPreprocessor()))
    ['jaxprep', 'preprocessor']
    """
    if isinstance(preprocessor, BaseImageProcessor):
        # The file that Transformers reads does not say the backend, nor what is jaxprep's.
        config = files.to_json(preprocessor.config)
        return {"config": config, "image_processor": preprocessor.to_dict()}
    if not isinstance(preprocessor, ImageClassifierPreprocessor):
        preprocessor = ImageClassifierPreprocessor(preprocessor)
    return preprocessor.to_json()


def _check_names(place: str, state: Any) -> None:
    """Refuse a state whose leaves have other names than the saved ones, by their names.

    Orbax refuses it, too, but its message fails where a leaf is an array (orbax 0.12.8).
    """
    import orbax.checkpoint as ocp

    with ocp.StandardCheckpointer() as checkpointer:
        metadata = checkpointer.metadata(place)
    tree = getattr(metadata, "item_metadata", metadata)
    saved = set(ocp.tree.to_flat_dict(getattr(tree, "tree", tree), sep="."))
    given = set(ocp.tree.to_flat_dict(state, sep="."))
    if saved != given:
        raise ConfigError(
            "Expected a `state` with the names of the saved one, got one without "
            f"{sorted(saved - given)[:5]} and with {sorted(given - saved)[:5]} more - at `{place}`."
        )


def _absolute(path: str | os.PathLike[str]) -> str:
    """Return a path as orbax takes it; an address such as `gs://…` is one already."""
    text = os.fspath(path)
    return text if "://" in text else str(Path(text).absolute())


def __dir__() -> list[str]:
    return sorted(__all__)
