"""Ships a preprocessor as a folder with one program, which runs beside the model that it feeds.

`export` writes the folder, whole or not at all:

* `program.stablehlo`: what `jax.export` serialises, for any number of images;
* `preprocessor.json`: the config, from which jaxprep makes the same preprocessor again, and plans;
* `photo.png`: a photograph, and what the program makes of it in `manifest.json`;
* `manifest.json`: arguments, results, checksums of the files, versions.

`load_exported` checks all of it on the machine where it shall run. `docs/serving.md` shows how a
program runs without jaxprep.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any, Literal, NamedTuple

import jax
import numpy as np
from jax import export as jax_export

from jaxprep import bounds, checkpoint, codec
from jaxprep.atomic import check_is_local, new_folder
from jaxprep.data import photo
from jaxprep.errors import ConfigError, InputError, MissingPackageError, PresetNotFoundError
from jaxprep.facade import ImageClassifierPreprocessor, ImageConverter
from jaxprep.formats import Format, HuggingFace
from jaxprep.host.decode import read_image
from jaxprep.huggingface import BaseImageProcessor
from jaxprep.pipeline import Pipeline, Plan, numbers
from jaxprep.pipeline.plan import as_sizes
from jaxprep.resources import NotRegularError, TooLargeError, read_regular
from jaxprep.settings import with_default_settings, without_mesh
from jaxprep.types import Batch, Size

PROGRAM, PREPROCESSOR, PHOTO, MANIFEST = (
    "program.stablehlo",
    "preprocessor.json",
    "photo.png",
    "manifest.json",
)
VERSION = 1
"""Of the manifest. A folder of another version is refused."""
MAX_BYTES = 2**30
"""Of a file that is read: a program of some megabytes holds its tables."""
PLATFORMS = ("cpu", "cuda", "rocm", "tpu")
SAMPLES = 256
"""How many values of a result the manifest holds, evenly spaced, for platforms that round floats
in another place than a CPU."""
COMPATIBILITY = (
    "jax.export guarantees that a program runs with every jaxlib of the six months after the one "
    "that wrote it: https://docs.jax.dev/en/latest/export/export.html#compatibility-guarantees. "
    "After that export it again from preprocessor.json."
)

Platform = Literal["cpu", "cuda", "rocm", "tpu"]


@with_default_settings
def export(
    preprocessor: Any,
    directory: str | os.PathLike[str],
    *,
    size: Size | None = None,
    canvas: Size | None = None,
    platforms: Sequence[Platform] = ("cpu", "cuda", "tpu"),
    channels: int = 3,
    dtype: Any = np.uint8,
) -> None:
    """Write a preprocessor as one program for any number of images, to a new folder.

    The program needs neither jaxprep nor its Python code, and gives what the preprocessor gives;
    on CPU in every bit.

    Args:
        preprocessor: an `ImageClassifierPreprocessor`, an `ImageConverter`, a `Pipeline`, a config,
            or an image processor of `jaxprep.huggingface` that makes one array of each image. The
            program of an image processor returns a dictionary, as its calls do.
        directory: a path where nothing is, or an empty folder.
        size: height and width of the images, for a program of one size: `f(images)`.
        canvas: instead, height and width of canvases that hold images of any sizes in their
            top-left corners: `f(images, tables)`, where the tables come from
            `ExportedPreprocessor.tables(sizes)`. Where results differ in size, it returns them in
            the corners of an array, and their sizes.
        platforms: which the program is for; none of them need be there.
        channels, dtype: of the images.

    Raises:
        InputError: something is at `directory`; not one of `size` and `canvas`; no such platform;
            a random step; images that the steps do not take; an image processor whose results are
            of other kinds.
        MissingPackageError: `flatbuffers`, which `jax.export` serialises with, is not installed.
        OSError: a file cannot be written; nothing is left.

    >>> import tempfile
    >>> pre = ImageConverter(image_size=(8, 8), scale=1 / 255)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     export(pre, f"{folder}/pre", size=(30, 40), platforms=("cpu",))
    ...     sorted(os.listdir(f"{folder}/pre"))
    ['manifest.json', 'photo.png', 'preprocessor.json', 'program.stablehlo']
    """
    target = _new_path(directory)
    _check_flatbuffers()
    source = _Source.of(preprocessor)
    plan_size, shape = _shape_of(source.pipeline, size, canvas, channels)
    names = _checked_platforms(platforms)
    dtype = numbers.as_dtype(dtype)
    source.pipeline.check_key(None)
    source.pipeline.check_image((*plan_size, channels), dtype)
    plan = None if canvas is None else source.plan([plan_size], canvas)
    preprocess = _function(source, plan)
    picture = _picture(plan_size if plan is None else _smaller(plan_size))
    # the program is for one device, whatever mesh its author has set
    with without_mesh():
        program = _exported(preprocess, shape, dtype, plan, names)
        # of a program for other platforms alone, what the same function gives here
        call = program.call if _platform() in names else preprocess
        results = _run(call, program, source, picture, None if plan is None else plan.canvas)
    contents = {
        PROGRAM: bytes(program.serialize()),
        PREPROCESSOR: codec.dumps(checkpoint.to_json(source.given)).encode(),
        PHOTO: _png(picture),
    }
    manifest = {
        "jaxprep_export": VERSION,
        "size": None if size is None else list(plan_size),
        "canvas": None if plan is None else list(plan.canvas),
        "platforms": list(program.platforms),
        "arguments": [_described(aval) for aval in program.in_avals],
        "results": [_described(aval) for aval in program.out_avals],
        "photo": [_facts(np.asarray(leaf)) for leaf in jax.tree.leaves(results)],
        "files": {name: _digest(content) for name, content in contents.items()},
        "versions": {
            "jaxprep": _version(),
            "jax": jax.__version__,
            "jaxlib": metadata.version("jaxlib"),
            "calling_convention": program.calling_convention_version,
        },
        "compatibility": COMPATIBILITY,
    }
    # Last, since it has the checksums of all others.
    contents[MANIFEST] = json.dumps(_signed(manifest), indent=1).encode()
    with new_folder(target) as folder:
        for name, content in contents.items():
            (folder / name).write_bytes(content)


class _Source(NamedTuple):
    """What is exported: as it was given, its pipeline, and what an image processor calls it."""

    given: Any
    pipeline: Pipeline
    name: str | None = None

    @classmethod
    def of(cls, preprocessor: Any) -> _Source:
        if isinstance(preprocessor, BaseImageProcessor):
            config = preprocessor.config
            _check_plain(preprocessor, config)
            name = config.result_name if isinstance(config, HuggingFace) else "pixel_values"
            return cls(preprocessor, preprocessor.pipeline, name)
        kinds = (ImageClassifierPreprocessor, ImageConverter, Pipeline, Format)
        if not isinstance(preprocessor, kinds):
            raise InputError(
                "Expected a preprocessor, a converter, a pipeline, a config or an image processor, "
                f"got {codec.shown(preprocessor)} - at `preprocessor`."
            )
        if not isinstance(preprocessor, ImageClassifierPreprocessor):
            preprocessor = ImageClassifierPreprocessor(preprocessor)  # type: ignore[arg-type]
        return cls(preprocessor, preprocessor.pipeline)

    def plan(self, sizes: Any, canvas: Size) -> Plan:
        return self.pipeline.plan(sizes, canvas, any_sizes=True)

    def result(self, image: Any, sizes: Any) -> Any:
        image = image if self.name is None else {self.name: image}
        return image if sizes is None else (image, sizes)


def _check_plain(processor: BaseImageProcessor, config: Any) -> None:
    """Refuse an image processor whose call does more than its pipeline."""
    if not isinstance(config, HuggingFace):
        return
    row = config.row
    if row.family == "plain" and not row.views and not row.sizes and not row.batch_dependent:
        return
    raise InputError(
        "Expected an image processor that makes one array of each image, got "
        f"`{type(processor).__name__}`, whose results are {list(row.outputs)}: export its "
        "`pipeline`, or call it before the model."
    )


def _shape_of(
    pipeline: Pipeline, size: Any, canvas: Any, channels: Any
) -> tuple[Size, tuple[int, ...]]:
    """Height and width of an image, and the shape of one that the program takes."""
    if (size is None) == (canvas is None):
        raise InputError(
            "Expected one of `size`, that of all images, and `canvas`, which holds images of any "
            f"sizes, got {'neither' if size is None else 'both'}."
        )
    channels = numbers.as_channels(channels)
    (sides,) = as_sizes([canvas if size is None else size])
    bounds.check_sides(sides)
    if pipeline.reads_channels_first:
        return sides, (channels, *sides)
    return sides, (*sides, channels)


def _checked_platforms(platforms: Any) -> tuple[str, ...]:
    is_list = isinstance(platforms, Sequence) and not isinstance(platforms, str)
    listed: tuple[Any, ...] = tuple(platforms) if is_list else (platforms,)
    unknown = [name for name in listed if name not in PLATFORMS]
    if unknown or not listed or len(set(listed)) < len(listed):
        raise InputError(
            f"Expected some of the platforms {list(PLATFORMS)}, each once, got "
            f"{codec.shown(list(listed))} - at `platforms`."
        )
    return listed


def _check_flatbuffers() -> None:
    try:
        import flatbuffers  # noqa: F401
    except ImportError as error:
        raise MissingPackageError(
            "Expected the package `flatbuffers`, with which `jax.export` serialises: "
            "pip install flatbuffers."
        ) from error


def _function(source: _Source, plan: Plan | None) -> Callable[..., Any]:
    """What is exported: a function of images, and of the leaves of a plan where there is one."""
    # The arguments are plain arrays: a process that has only the program has no class `Plan`.
    structure = jax.tree.structure(plan)
    depends_on_image = plan is not None and not plan.fills_canvas

    def preprocess(images: Any, *tables: Any) -> Any:
        given = jax.tree.unflatten(structure, tables[0]) if tables else None
        done = source.pipeline(Batch(image=images), plan=given)
        return source.result(done.image, done.size if depends_on_image else None)

    return preprocess


def _exported(
    preprocess: Callable[..., Any],
    shape: tuple[int, ...],
    dtype: Any,
    plan: Plan | None,
    platforms: Sequence[str],
) -> jax_export.Exported:
    """The program, for any number of images."""
    (count,) = jax_export.symbolic_shape("b")
    arguments: list[Any] = [jax.ShapeDtypeStruct((count, *shape), dtype)]
    if plan is not None:
        leaves = map(np.asarray, jax.tree.leaves(plan))
        kinds = (jax.ShapeDtypeStruct((count, *leaf.shape[1:]), leaf.dtype) for leaf in leaves)
        arguments.append(tuple(kinds))
    program = jax_export.export(jax.jit(preprocess), platforms=platforms)(*arguments)
    called = _custom_calls(program)
    if called:
        raise InputError(
            f"Expected steps that are StableHLO alone, got custom calls of {called}, which "
            "another process may not have."
        )
    return program


def _custom_calls(program: jax_export.Exported) -> list[str]:
    """What a program calls of the process that runs it: code, by a name or by an address."""
    # the assertions of shapes go when it is loaded
    called = set(re.findall(r"custom_call @([\w.]+)", program.mlir_module()))
    return sorted(called - {"shape_assertion"})


# -- the folder ------------------------------------------------------------------------------------


def _new_path(directory: Any) -> Path:
    if not isinstance(directory, str | os.PathLike) or not os.fspath(directory):
        raise InputError(f"Expected a path, got {codec.shown(directory)} - at `directory`.")
    check_is_local(directory, "directory")
    path = Path(directory)
    # `lexists` below also sees a link that leads nowhere, which `exists` does not.
    is_empty = path.is_dir() and not any(path.iterdir())
    if os.path.lexists(path) and not is_empty:
        raise InputError(f"Expected a path where nothing is yet - at `{path}`.")
    if not path.absolute().parent.is_dir():
        raise InputError(f"Expected a folder to write to - at `{path.absolute().parent}`.")
    return path


def _version() -> str:
    # the package itself lies above all its modules
    return sys.modules["jaxprep"].__version__


def _picture(size: Size) -> np.ndarray:
    """The photograph of a cat, repeated to fill an image of `size`: `(h, w, 3)`."""
    cat = photo("chelsea")
    rows, columns = (np.arange(n) % side for n, side in zip(size, cat.shape, strict=False))
    return cat[rows][:, columns]


def _smaller(canvas: Size) -> Size:
    """The size of the photograph on a canvas, which it shall not fill."""
    height, width = canvas
    return -(-height * 2 // 3), -(-width * 3 // 4)


def _as_image(picture: np.ndarray, channels: int, dtype: Any, channels_first: bool) -> np.ndarray:
    """The picture with as many channels as the program takes, `(1, h, w, c)` or `(1, c, h, w)`."""
    # Any values serve, as long as they are the same wherever the program is checked.
    image = picture[..., np.arange(channels) % 3].astype(dtype)
    return image.transpose(2, 0, 1)[None] if channels_first else image[None]


def _run(
    call: Callable[..., Any],
    program: jax_export.Exported,
    source: _Source,
    picture: np.ndarray,
    canvas: Size | None,
) -> Any:
    """What a function with the arguments of a program makes of the picture, on this machine."""
    images_type = program.in_avals[0]
    channels_first = source.pipeline.reads_channels_first
    channels = images_type.shape[1 if channels_first else 3]
    size = picture.shape[:2]
    if canvas is not None:
        below, right = (side - own for side, own in zip(canvas, size, strict=True))
        picture = np.pad(picture, [(0, below), (0, right), (0, 0)])
    arguments: list[Any] = [_as_image(picture, channels, images_type.dtype, channels_first)]
    if canvas is not None:
        arguments.append(tuple(jax.tree.leaves(source.plan([size], canvas))))
    return jax.device_get(jax.jit(call)(*arguments))


def _platform() -> str:
    """The platform of JAX's default device, by the name that `jax.export` has for it."""
    return jax_export.default_export_platform()


def _png(picture: np.ndarray) -> bytes:
    from PIL import Image

    file = io.BytesIO()
    # Without loss: of other pixels the program would make other bits.
    Image.fromarray(picture).save(file, "png")
    return file.getvalue()


def _described(aval: Any) -> dict[str, Any]:
    shape = [side if isinstance(side, int) else str(side) for side in aval.shape]
    return {"shape": shape, "dtype": str(aval.dtype)}


def _facts(result: np.ndarray) -> dict[str, Any]:
    """What is known of a result: all its bits by a checksum, and some values."""
    values = _samples(result)
    return {
        "shape": list(result.shape),
        "dtype": str(result.dtype),
        "sha256": hashlib.sha256(np.ascontiguousarray(result).tobytes()).hexdigest(),
        "samples": [float(value) for value in values],
    }


def _samples(result: np.ndarray) -> np.ndarray:
    flat = result.reshape(-1).astype(np.float64)
    return flat[:: max(1, len(flat) // SAMPLES)][:SAMPLES]


def _digest(content: bytes) -> dict[str, Any]:
    return {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}


def _signed(manifest: Mapping[str, Any]) -> dict[str, Any]:
    """The manifest with a checksum of itself."""
    # Sorted: what other tools do to the order or the indentation of a JSON file changes nothing.
    text = json.dumps(manifest, sort_keys=True).encode()
    return {**manifest, "sha256": hashlib.sha256(text).hexdigest()}


# -- loading ---------------------------------------------------------------------------------------


class ExportedPreprocessor:
    """A preprocessor that was exported, as `load_exported` returns it: call it on images.

    Attributes:
        preprocessor: what was exported, made anew from the config.
        program: what `jax.export` deserialised.
        manifest: what `manifest.json` says.
        platforms: the names of the platforms that the program runs on.
        size: height and width of the images; None for canvases.
        canvas: height and width of the canvases; None for images of one size.

    >>> import tempfile
    >>> pre = ImageConverter(image_size=(8, 8), scale=1 / 255)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     export(pre, f"{folder}/pre", canvas=(64, 64), platforms=("cpu",))
    ...     program = load_exported(f"{folder}/pre")
    >>> program.canvas, program(np.zeros((5, 64, 64, 3), np.uint8), [(30, 40)] * 5).shape
    ((64, 64), (5, 8, 8, 3))
    """

    def __init__(self, preprocessor: Any, program: jax_export.Exported, manifest: dict[str, Any]):
        self.preprocessor = preprocessor
        self.manifest = manifest
        self.platforms: tuple[str, ...] = tuple(program.platforms)
        self.size = _pair(manifest["size"])
        self.canvas = _pair(manifest["canvas"])
        self._source = _Source.of(preprocessor)
        self.program = program
        self._call = jax.jit(program.call)

    @with_default_settings
    def __call__(self, images: Any, sizes: Any = None) -> Any:
        """Preprocess a batch of images.

        Args:
            images: `(b, h, w, c)` of the exported size or canvas and dtype.
            sizes: on canvases, height and width of each image, `(b, 2)`.

        Returns:
            what the preprocessor returns; where results on canvases differ in size, they lie in
            the corners of an array, and `(results, sizes)` is returned.

        Raises:
            InputError: images of another shape or dtype, or sizes that are not known.
        """
        expected = self.program.in_avals[0]
        shape = np.shape(images)
        dtype = getattr(images, "dtype", None)
        is_right = len(shape) == 4 and shape[1:] == expected.shape[1:] and dtype == expected.dtype
        if not is_right:
            sides = ", ".join(map(str, expected.shape))
            kind = f"`{type(images).__name__}` of shape" if dtype is None else dtype
            raise InputError(f"Expected {expected.dtype} images ({sides}), got {kind} {shape}.")
        numbers.refuse_masked(images, "images", "images")
        # `jax.export` takes a symbolic dimension for at least 1.
        count = shape[0]
        if count == 0:
            raise InputError(f"Expected at least one image, got {shape}.")
        if self.canvas is None:
            if sizes is not None:
                raise InputError(f"Expected no `sizes`: all images are of size {self.size}.")
            return self._call(images)
        if sizes is None:
            raise InputError(
                "Expected `sizes`, the height and width of each image on its canvas: "
                f"`images, sizes = jaxprep.stack(photos, canvas={self.canvas})`."
            )
        tables = self.tables(sizes)
        size_count = len(tables[0])
        if size_count != count:
            raise InputError(f"Expected {count} sizes, as many as images, got {size_count}.")
        return self._call(images, tables)

    @with_default_settings
    def tables(self, sizes: Any) -> tuple[np.ndarray, ...]:
        """Return the second argument of the program, for images of `sizes` on canvases: plain
        arrays, which may be kept, or sent to a process without jaxprep.

        Raises:
            InputError: the program takes images of one size; sizes beyond the canvas; or a strip
                that needs larger tables than the program takes.
        """
        if self.canvas is None:
            raise InputError("Expected a program for canvases, got one for images of one size.")
        plan = self._source.plan(sizes, self.canvas)
        leaves = tuple(map(np.asarray, jax.tree.leaves(plan)))
        expected = [(aval.shape[1:], aval.dtype) for aval in self.program.in_avals[1:]]
        if [(leaf.shape[1:], leaf.dtype) for leaf in leaves] != expected:
            raise InputError(
                f"Expected images whose tables the program holds, got one among {sizes!r:.80} that "
                "is so thin that it needs larger ones: call the preprocessor."
            )
        return leaves

    def __reduce__(self) -> tuple[Any, ...]:
        # Pickled for workers, and copied deeply: a compiled function is neither.
        return _revived, (self.preprocessor, bytes(self.program.serialize()), self.manifest)

    def __repr__(self) -> str:
        what = f"size={self.size}" if self.canvas is None else f"canvas={self.canvas}"
        return f"{type(self).__name__}({what}, platforms={self.platforms})"


def _revived(preprocessor: Any, program: bytes, manifest: dict[str, Any]) -> ExportedPreprocessor:
    return ExportedPreprocessor(preprocessor, jax_export.deserialize(bytearray(program)), manifest)


def _pair(value: Any) -> Size | None:
    return None if value is None else (value[0], value[1])


@with_default_settings
def load_exported(directory: str | os.PathLike[str], *, check: bool = True) -> ExportedPreprocessor:
    """Load a folder that `export` wrote, and check that it gives here what it gave there.

    Args:
        directory: the folder.
        check: compare the files with their checksums, and what the program makes of the photograph
            on this machine with what it made when it was exported: on CPU in every bit; elsewhere
            floats within 1e-5.

    Returns:
        the preprocessor; call it on images.

    Raises:
        PresetNotFoundError: there is no such folder, or a file of it is missing.
        ConfigError: a file was changed or cut, or the photograph comes out differently.
        InputError: the program is for other platforms than the one of this machine.

    >>> import tempfile
    >>> pre = ImageConverter(image_size=(8, 8), scale=1 / 255)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     export(pre, f"{folder}/pre", size=(30, 40), platforms=("cpu",))
    ...     program = load_exported(f"{folder}/pre")
    >>> program(np.full((2, 30, 40, 3), 255, np.uint8)).shape, program.size
    ((2, 8, 8, 3), (30, 40))
    """
    if not isinstance(directory, str | os.PathLike):
        raise InputError(f"Expected a path, got {codec.shown(directory)} - at `directory`.")
    folder = Path(directory)
    if not folder.is_dir():
        raise PresetNotFoundError(f"Expected a folder that `export` wrote - at `{folder}`.")
    manifest = _read_manifest(folder, check)
    contents = {name: _read(folder / name) for name in (PROGRAM, PREPROCESSOR, PHOTO)}
    if check:
        for name, content in contents.items():
            _check_content(folder / name, content, manifest["files"].get(name, {}))
    platforms = manifest["platforms"]
    if _platform() not in platforms:
        raise InputError(
            f"Expected a machine of one of the platforms {platforms}, which the program is for, "
            f"got {_platform()!r}: export it with `platforms=` that name it."
        )
    preprocessor = checkpoint.preprocessor_of(
        codec.loads(contents[PREPROCESSOR], str(folder / PREPROCESSOR))
    )
    _check_flatbuffers()
    try:
        # A `bytearray`, as the signature of `jax.export.deserialize` asks for.
        program = jax_export.deserialize(bytearray(contents[PROGRAM]))
    except Exception as error:  # of `flatbuffers` or JAX, of any kind
        raise ConfigError(
            f"Expected a program that JAX {jax.__version__} reads, got {type(error).__name__}: "
            f"{error!s:.200} - in `{folder / PROGRAM}`. It was written by JAX "
            f"{manifest['versions'].get('jax')}. {COMPATIBILITY}"
        ) from error
    # The folder may come from anyone, and a custom call runs code of this process.
    called = _custom_calls(program)
    if called:
        raise ConfigError(
            f"Expected a program of StableHLO alone, as `export` writes, got custom calls of "
            f"{called} - in `{folder / PROGRAM}`."
        )
    exported = ExportedPreprocessor(preprocessor, program, manifest)
    if check:
        _check_photo(exported, program, contents[PHOTO], folder)
    return exported


def _read(file: Path) -> bytes:
    try:
        return read_regular(file, MAX_BYTES)
    except FileNotFoundError as error:
        raise PresetNotFoundError(f"Expected a file of an export - at `{file}`.") from error
    except (NotRegularError, TooLargeError) as error:
        raise ConfigError(f"{str(error).capitalize()} - in `{file}`.") from error


def _read_manifest(folder: Path, check: bool) -> dict[str, Any]:
    file = folder / MANIFEST
    manifest = codec.loads(_read(file), str(file))
    if not isinstance(manifest, dict) or manifest.get("jaxprep_export") != VERSION:
        raise ConfigError(f"Expected the manifest of an export of version {VERSION} - in `{file}`.")
    unsigned = {name: value for name, value in manifest.items() if name != "sha256"}
    if check and _signed(unsigned) != manifest:
        raise ConfigError(f"Expected the manifest as it was written, got another - in `{file}`.")
    # `...` stands for what is missing: an entry that is null may be right, as `size` of canvases.
    wrong = [name for name, is_right in _ENTRIES.items() if not is_right(manifest.get(name, ...))]
    if wrong:
        raise ConfigError(
            f"Expected the manifest that `export` writes, got no {wrong} - in `{file}`."
        )
    return manifest


def _is_size(value: Any) -> bool:
    return value is None or (
        isinstance(value, list) and len(value) == 2 and all(type(side) is int for side in value)
    )


def _are_facts(value: Any) -> bool:
    names = {"shape", "dtype", "sha256", "samples"}
    return isinstance(value, list) and all(isinstance(o, dict) and names <= {*o} for o in value)


_ENTRIES: dict[str, Callable[[Any], bool]] = {
    "size": _is_size,
    "canvas": _is_size,
    "platforms": lambda value: isinstance(value, list),
    "photo": _are_facts,
    "files": lambda value: isinstance(value, dict),
    "versions": lambda value: isinstance(value, dict),
}
"""What the manifest says, and what tells that it is of the right kind."""


def _check_content(file: Path, content: bytes, expected: Mapping[str, Any]) -> None:
    found = _digest(content)
    if found == expected:
        return
    if found["bytes"] != expected.get("bytes"):
        raise ConfigError(
            f"Expected {expected.get('bytes')} bytes, as were exported, got {found['bytes']} - in "
            f"`{file}`. Copy the folder again, or export anew."
        )
    raise ConfigError(
        f"Expected the content that was exported, got another of as many bytes - in `{file}`. Copy "
        "the folder again, or export anew."
    )


def _check_photo(
    exported: ExportedPreprocessor, program: jax_export.Exported, png: bytes, folder: Path
) -> None:
    """Refuse a program that makes something else of the photograph than when it was exported."""
    picture = read_image(png)
    count = len(program.out_avals)
    facts_of_all = exported.manifest["photo"]
    facts_count = len(facts_of_all)
    size = exported.size if exported.canvas is None else _smaller(exported.canvas)
    if picture.shape[:2] != size or facts_count != count:
        raise ConfigError(
            f"Expected a photograph of size {size} and the facts of {count} results, got "
            f"{picture.shape[:2]} and {facts_count} - in `{folder}`."
        )
    results = _run(program.call, program, exported._source, picture, exported.canvas)
    leaves = [np.asarray(leaf) for leaf in jax.tree.leaves(results)]
    for result, expected in zip(leaves, facts_of_all, strict=True):
        facts = _facts(result)
        if facts["sha256"] == expected["sha256"]:
            continue
        samples = np.asarray(facts["samples"])
        wanted = np.asarray(expected["samples"])
        same_kind = all(facts[name] == expected[name] for name in ("shape", "dtype"))
        difference = np.inf
        if same_kind:
            # relative for large numbers, absolute for those below 1
            magnitude = np.maximum(1, np.abs(wanted))
            relative = np.abs(samples - wanted) / magnitude
            difference = float(np.max(relative))
        # an accelerator may sum in another order than the machine that exported it
        if _platform() != "cpu" and difference <= 1e-5:
            continue
        raise ConfigError(
            f"Expected the program to make of `{PHOTO}` what it made when it was exported, got "
            f"{facts['dtype']} {facts['shape']} that differs by {difference:.2g} or in its last "
            f"bits, on {_platform()!r} - in `{folder}`. Export it anew on this kind of machine."
        )
