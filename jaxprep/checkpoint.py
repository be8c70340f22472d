"""Keeps a preprocessor beside a train state, in one checkpoint of orbax.

A checkpoint has two items: `preprocessor`, JSON, and `state`, any pytree of arrays. Both are plain
items of orbax, so other tools read them too.
"""

from __future__ import annotations

import os
import threading
from typing import TYPE_CHECKING, Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.experimental import multihost_utils
from jax.sharding import SingleDeviceSharding

from jaxprep import codec
from jaxprep.errors import ConfigError, InputError, PresetNotFoundError
from jaxprep.facade import ImageClassifierPreprocessor
from jaxprep.huggingface import BaseImageProcessor, BaseVideoProcessor
from jaxprep.presets import files
from jaxprep.settings import default_device

if TYPE_CHECKING:
    import orbax.checkpoint as ocp
    from etils import epath

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

_LEAVES = (int, float, np.generic, jax.Array)
"""Of a state, beside what NumPy takes for an array."""
_NO_NUMBERS = ("O", "S", "U", "M", "m")
"""`numpy.dtype.kind` of objects, text, dates and times."""
_SAVING = threading.Lock()
"""Saves of two threads at once take the temporary folders of each other (orbax 0.12.8)."""


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
        path: of the folder; also an address that orbax takes, such as `gs://…`.
        preprocessor: an `ImageClassifierPreprocessor`, an image or video processor of
            `jaxprep.huggingface`, or what the first is made of (a converter, a config, a pipeline).
        state: a pytree of arrays and numbers: parameters, an optimiser's state, a step.
        overwrite: replace the checkpoint that is there, once the new one is written.

    Raises:
        InputError: there is something at `path`, or, to overwrite, something else than a
            checkpoint; the state is none.
        ConfigError: `preprocessor` is none.

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
    place = _place(path)
    with _SAVING:
        is_taken = place.exists()
        if is_taken and not overwrite:
            raise InputError(
                f"Expected a path where nothing is yet, or `overwrite=True` - at `{place}`."
            )
        # What is no checkpoint may be a folder of photographs.
        if is_taken and not _may_be_replaced(place):
            raise InputError(
                f"Expected a checkpoint with an item `preprocessor` to overwrite - at `{place}`."
            )
        # orbax deletes what it overwrites before it writes
        new = place.with_name(f"{place.name}.jaxprep-new") if is_taken else place
        with ocp.Checkpointer(ocp.CompositeCheckpointHandler()) as checkpointer:
            checkpointer.save(new, arguments, force=is_taken)
        if is_taken:
            _move(new, place)


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
        ConfigError: it has no preprocessor, or one that is not read, or a state of other names or
            shapes; or it is damaged.
        InputError: `state` has a leaf that is no array.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     save(f"{folder}/a", ImageClassifierPreprocessor())
    ...     restore(f"{folder}/a").state is None
    True
    """
    place = _place(path)
    if not place.is_dir():
        # a process that died while it overwrote may have left both without their name
        left = [place.with_name(f"{place.name}.jaxprep-{kind}") for kind in ("new", "old")]
        hint = "".join(f" Rename `{found}`, which is one." for found in left if found.is_dir())
        raise PresetNotFoundError(f"Expected the folder of a checkpoint - at `{place}`.{hint}")
    for item in ("preprocessor", *(["state"] if state is not None else [])):
        if not (place / item).is_dir():
            raise ConfigError(
                f"Expected a checkpoint with an item `{item}` - at `{place}`. A manager's folder "
                "has a checkpoint for each step: name that of a step."
            )
    has_state = (place / "state").is_dir()
    arguments = restore_args(state, has_state=has_state)
    content = _restored(place, "preprocessor", arguments)
    try:
        preprocessor = preprocessor_of(content)
    except ConfigError as error:
        raise ConfigError(f"{error} In `{place / 'preprocessor'}`.") from error
    if state is not None:
        _check_like(place / "state", arguments["state"].item)
    return Checkpoint(preprocessor, _restored(place, "state", arguments) if has_state else None)


def save_args(preprocessor: Any, state: Any = None) -> ocp.args.Composite:
    """Return the arguments with which a `CheckpointManager` saves a step: `manager.save(step,
    args=save_args(preprocessor, state))`.

    Args:
        preprocessor: to keep beside the state.
        state: the train state, any pytree of arrays and numbers.

    Raises:
        InputError: `state` is none.
        ConfigError: `preprocessor` is none.

    >>> sorted(save_args(ImageClassifierPreprocessor(), {"step": 7}))
    ['preprocessor', 'state']
    """
    import orbax.checkpoint as ocp

    items: dict[str, Any] = {"preprocessor": ocp.args.JsonSave(to_json(preprocessor))}
    if state is not None:
        items["state"] = ocp.args.StandardSave(_as_saved(state))
    return ocp.args.Composite(**items)


def restore_args(state: Any = None, *, has_state: bool = True) -> ocp.args.Composite:
    """Return the arguments with which a `CheckpointManager` restores a step.

    Args:
        state: see `restore`.
        has_state: whether the step was saved with one.

    Raises:
        InputError: `state` has a leaf that is no array.

    >>> sorted(restore_args())
    ['preprocessor', 'state']
    """
    import orbax.checkpoint as ocp

    items: dict[str, Any] = {"preprocessor": ocp.args.JsonRestore()}
    if has_state:
        # where the devices are that a state was saved from, it comes back on them
        elsewhere = SingleDeviceSharding(default_device() or jax.local_devices()[0])
        like = None if state is None else _as_saved(state, jax.ShapeDtypeStruct)
        items["state"] = ocp.args.StandardRestore(like, fallback_sharding=elsewhere)
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
    config = files.from_json(content["config"], "$.config")
    shown = content["image_processor"]
    if not isinstance(shown, dict):
        raise codec.expected("an object", shown, "$.image_processor")
    codec.check_json(shown, "$.image_processor", max_depth=codec.MAX_FILE_DEPTH)
    is_of_videos = "video_processor_type" in shown
    return (BaseVideoProcessor if is_of_videos else BaseImageProcessor)._of(config, shown)


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


def _as_saved(state: Any, *others: type) -> Any:
    """Return a state whose leaves are what orbax takes: scalars of NumPy become arrays.

    Args:
        state: a pytree of arrays and numbers.
        others: types that leaves may be, too.

    Raises:
        InputError: a leaf is neither an array nor a number, there is none, or two of one name.
    """
    try:
        leaves = jax.tree_util.tree_leaves_with_path(state)
    except (TypeError, ValueError) as error:  # the keys of a dictionary cannot be sorted
        raise InputError(
            f"Expected a pytree, got one that JAX refuses: {error} - at `state`."
        ) from error
    names: set[str] = set()
    for path, leaf in leaves:
        # orbax would save both as one, and give one back for both
        name = jax.tree_util.keystr(path, simple=True, separator=".")
        if name in names:
            raise InputError(f"Expected a pytree with one leaf of the name `{name}` - at `state`.")
        names.add(name)
        has_numbers = isinstance(leaf, (*_LEAVES, *others)) or hasattr(leaf, "__array__")
        kind = getattr(getattr(leaf, "dtype", None), "kind", "")
        if not has_numbers or kind in _NO_NUMBERS:
            raise InputError(
                "Expected a pytree of arrays and numbers, got "
                f"{codec.shown(leaf)} - at `state{jax.tree_util.keystr(path)}`."
            )
    is_bare = len(leaves) == 1 and leaves[0][0] == ()
    # orbax takes an array of NumPy for a tree, but neither a number nor an array of JAX
    is_refused = is_bare and (np.ndim(leaves[0][1]) == 0 or isinstance(leaves[0][1], jax.Array))
    if not leaves or is_refused:
        raise InputError(
            f"Expected a pytree with arrays in it, got {codec.shown(state)} - at `state`. Leave "
            "it out, or put it into a dictionary."
        )
    return jax.tree.map(
        lambda leaf: np.asarray(leaf) if isinstance(leaf, np.generic) else leaf, state
    )


def _restored(place: epath.Path, item: str, arguments: ocp.args.Composite) -> Any:
    """Return one item of a checkpoint."""
    import orbax.checkpoint as ocp

    try:
        with ocp.Checkpointer(ocp.CompositeCheckpointHandler()) as checkpointer:
            return checkpointer.restore(place, ocp.args.Composite(**{item: arguments[item]}))[item]
    # what is damaged shows in any of these
    except (
        OSError,
        ValueError,
        LookupError,
        TypeError,
        AttributeError,
        RecursionError,
    ) as error:
        raise ConfigError(
            f"Expected an item `{item}` that orbax reads, got {type(error).__name__}: {error} - at "
            f"`{place / item}`."
        ) from error


def _check_like(place: epath.Path, state: Any) -> None:
    """Refuse a state whose leaves have other names or shapes than the saved ones.

    Orbax refuses other names, too, but its message fails where a leaf is an array, and it gives
    arrays of NumPy the saved shape without a word (orbax 0.12.8).
    """
    import orbax.checkpoint as ocp

    try:
        with ocp.StandardCheckpointer() as checkpointer:
            metadata = checkpointer.metadata(place)
        tree = getattr(metadata, "item_metadata", metadata)
        saved = ocp.tree.to_flat_dict(getattr(tree, "tree", tree), sep=".")
    except (OSError, ValueError, LookupError, TypeError, AttributeError):
        saved = {}
    if not saved:
        return  # damaged, as reading it says
    given = ocp.tree.to_flat_dict(state, sep=".")
    if saved.keys() != given.keys():
        raise ConfigError(
            "Expected a `state` with the names of the saved one, got one without "
            f"{sorted(saved.keys() - given.keys())[:5]} and with "
            f"{sorted(given.keys() - saved.keys())[:5]} more - at `{place}`."
        )
    for name, leaf in given.items():
        shape = getattr(saved[name], "shape", None)
        is_key = isinstance(leaf, jax.Array | jax.ShapeDtypeStruct) and jnp.issubdtype(
            leaf.dtype, jax.dtypes.prng_key
        )
        # a key is saved as the integers that it is made of
        if shape is not None and not is_key and tuple(shape) != np.shape(leaf):
            raise ConfigError(
                f"Expected a `state` with `{name}` of shape {tuple(shape)}, as saved, got "
                f"{np.shape(leaf)} - at `{place}`."
            )


def _may_be_replaced(place: epath.Path) -> bool:
    """Return whether a folder is a checkpoint, or empty."""
    return place.is_dir() and ((place / "preprocessor").is_dir() or not any(place.iterdir()))


def _move(new: epath.Path, place: epath.Path) -> None:
    """Put a checkpoint in the place of another one."""
    if jax.process_index() == 0:
        old = place.with_name(f"{place.name}.jaxprep-old")
        if old.exists():
            old.rmtree()
        place.rename(old)
        new.rename(place)
        old.rmtree()
    if jax.process_count() > 1:
        multihost_utils.sync_global_devices(f"jaxprep: {place}")


def _place(path: str | os.PathLike[str]) -> epath.Path:
    """Return a path as orbax takes it; an address such as `gs://…` is one already."""
    from etils import epath

    text = os.fspath(path) if isinstance(path, str | os.PathLike) else None
    if not isinstance(text, str):
        raise InputError(f"Expected a path, got {codec.shown(path)} - at `path`.")
    try:
        # of a link, what it leads to is replaced
        return epath.Path(text if "://" in text else os.path.realpath(text))
    except (LookupError, ValueError) as error:  # "https://", and a zero byte
        raise InputError(
            f"Expected a path, or an address that orbax takes, got {codec.shown(text)} - at `path`."
        ) from error


def __dir__() -> list[str]:
    return sorted(__all__)
