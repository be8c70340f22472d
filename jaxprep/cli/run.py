"""Decodes image files, preprocesses them and writes arrays: `jaxprep run`."""

from __future__ import annotations

import argparse
import dataclasses
import os
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from jaxprep import codec, presets
from jaxprep.atomic import check_is_local, replacing
from jaxprep.cli import convert, how_to_read, ray_engine, shard_files
from jaxprep.cli import labels as labels_module
from jaxprep.cli.convert import Converter, Options, shard_size_of
from jaxprep.cli.fingerprints import stamp
from jaxprep.cli.interrupts import deferred_interrupt
from jaxprep.cli.labels import Labels, labels_of
from jaxprep.cli.manifest import LEFT_OUT, SKIPPED, Manifest, Record, owned
from jaxprep.cli.messages import say
from jaxprep.cli.options import load_config
from jaxprep.cli.stored import split_at_values
from jaxprep.cli.writers import Files, Shards, Writer
from jaxprep.errors import InputError, JaxprepError
from jaxprep.formats import Format
from jaxprep.host.find import LeftOut, Listing, absolute, check_found, list_images
from jaxprep.presets.files import to_json
from jaxprep.settings import check_backend

# Not 1 or 2, which are those of a fatal error and of wrong usage: a script can tell them apart.
DONE_ALL, SOME_SKIPPED = 0, 3
"""Exit statuses."""


class Outcome(NamedTuple):
    """Says how a run ended.

    Attributes:
        images: how many images have results, those of earlier runs included.
        done_before: how many of them an earlier run had done.
        skipped: how many files and folders were reported and left out, as `on_error="skip"` asks.
        left_out: how many files are no images by their content, by the endings of their names.
        missed: how many of these are pictures of a kind that cannot be read here.

    >>> Outcome(6, 2, 0, {}, 0).images
    6
    """

    images: int
    done_before: int
    skipped: int
    left_out: Mapping[str, int]
    missed: int


def execute(args: argparse.Namespace) -> int:
    """Preprocess files as the options say, and return the exit status.

    Raises:
        JaxprepError: a preset, a folder or (with `--on-error fail`) a file that cannot be used.
        OSError: the results cannot be written. Those written before are kept.

    >>> import tempfile
    >>> import numpy as np
    >>> from PIL import Image
    >>> from jaxprep.cli.options import make_parser
    >>> options = ["--preset", "timm/resnet50.a1_in1k", "--override", "image_size=[4,4]", "--quiet"]
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     Image.new("RGB", (6, 8)).save(f"{folder}/a.png")
    ...     output = f"{folder}/out"
    ...     status = execute(
    ...         make_parser().parse_args(["run", f"{folder}/a.png", "--output", output, *options])
    ...     )
    ...     status, np.load(f"{output}/shard-00000.npz")["images"].shape
    (0, (1, 4, 4, 3))
    """
    names = [field.name for field in dataclasses.fields(Options)]
    options = Options(**{name: getattr(args, name) for name in names})
    outcome = run(load_config(args), options)
    if args.json:
        print(codec.dumps({"output": args.output, **outcome._asdict()}), end="")
    else:
        say(_summary(outcome, args.output))
    return SOME_SKIPPED if outcome.skipped or outcome.missed else DONE_ALL


def preprocess_files(
    paths: str | os.PathLike[str] | Sequence[str | os.PathLike[str]],
    preset: Any,
    output: str | os.PathLike[str],
    *,
    config_file: str | None = None,
    overrides: Mapping[str, Any] | None = None,
    **options: Any,
) -> Outcome:
    """Preprocess image files and write arrays: what `jaxprep run` does.

    A run that ended early goes on where it was, with the same arguments; results are those of the
    command line, bit for bit, whatever the engine.

    Args:
        paths: files, folders with all below them, or glob patterns.
        preset: a name, a path or a handle, as `jaxprep.presets.load` takes it, or a config.
        output: a new or empty folder, or that of an earlier run.
        config_file: the file to read in a preset's folder.
        overrides: other values for fields of the config.
        options: of the command line, with underscores: `format`, `dtype`, `labels`, `batch_size`,
            `shard_size`, `on_error`, `alpha`, `workers`, `engine` and `quiet`; see `jaxprep run
            --help`. With `engine="ray"` the images and the output are on file systems that all
            machines share.

    Raises:
        JaxprepError: a preset, a folder or (with `on_error="fail"`) a file that cannot be used.
        OSError: the results cannot be written. Those written before are kept.

    >>> import tempfile
    >>> import numpy as np
    >>> import jaxprep
    >>> photos = [jaxprep.data.photo_path(name) for name in ("chelsea", "coffee")]
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     outcome = preprocess_files(
    ...         photos, "timm/resnet50.a1_in1k", folder, overrides={"image_size": 8}, quiet=True
    ...     )
    ...     outcome.images, np.load(f"{folder}/shard-00000.npz")["images"].shape
    (2, (2, 8, 8, 3))
    """
    many = [paths] if isinstance(paths, (str, os.PathLike)) else list(paths)
    config, name = preset, "a config"
    if not isinstance(preset, Format):
        name = os.fspath(preset)
        config = presets.load(preset, config_file=config_file)
    known = {field.name for field in dataclasses.fields(Options)} - {"paths", "preset", "output"}
    if unknown := sorted(set(options) - known):
        raise InputError(f"Expected options of {sorted(known)}, got {unknown}.")
    files = [os.fspath(path) for path in many]
    given = Options(files, name, os.fspath(output), **options)
    return run(config.overridden(dict(overrides or {})), given)


def run(config: Format, options: Options) -> Outcome:
    """Preprocess files, and say how it ended; see `preprocess_files`.

    >>> import tempfile
    >>> from jaxprep.formats import Timm
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     try:
    ...         run(Timm(), Options([f"{folder}/none"], "a config", f"{folder}/out"))
    ...     except JaxprepError as error:
    ...         type(error).__name__
    'InputError'
    """
    check_is_local(options.output, "--output")
    output = Path(options.output)
    listing = list_images(options.paths, ignore=output)
    if listing.errors and options.on_error == "fail":
        raise _stopping(listing.errors[0][1])
    if not listing.errors:
        check_found(listing, options.paths, ignored=output)
    if options.engine == "ray":
        ray_engine.check_installed()
    else:
        check_backend()
    shard_files.check_installed(options.format)
    settings = {"preprocessor": to_json(config), "format": options.format, "alpha": options.alpha}
    # Only what was asked for, so that folders of before there were these options go on.
    if options.dtype is not None:
        settings["dtype"] = options.dtype
    if options.dtype == "uint8":
        _, values = split_at_values(config.pipeline)
        settings["then"] = values.to_json()
    if options.labels:
        labels = labels_of(listing.images, options.paths)
        settings["labels"] = list(labels.classes)
        options = dataclasses.replace(options, labels=labels)
    with owned(output):
        manifest = Manifest(output, options.preset, settings)
        _write_how_to_read(output, options)
        return _run(listing, config, manifest, options)


def _write_how_to_read(output: Path, options: Options) -> None:
    """Write what says how the results are read, and which class has which number."""
    has_labels = isinstance(options.labels, Labels)
    if isinstance(options.labels, Labels):
        with replacing(output / labels_module.FILE) as file:
            file.write(codec.dumps(options.labels.ids).encode())
    text = how_to_read.how_to_read(options.format, options.preset, options.dtype, has_labels)
    how_to_read.write(output, text)


def _run(listing: Listing, config: Format, manifest: Manifest, options: Options) -> Outcome:
    """Convert what is not done yet."""
    as_named = {absolute(path): path for path in listing.images}
    current = {key: _current(path, options) for key, path in as_named.items()}
    remaining = [as_named[key] for key in manifest.remaining(current)]
    done_before = len(listing.images) - len(remaining)
    writer = _writer(manifest, config, len(remaining), options)
    removed = writer.remove_unlisted()
    if removed:
        say(f"removed {_names(removed)}, which the manifest does not list")
    manifest.add([_left_out_record(entry) for entry in listing.left_out if entry.is_picture])
    engine = ray_engine if options.engine == "ray" else convert
    with (
        deferred_interrupt() as stop_if_interrupted,
        _progress(len(listing.images), done_before, options.quiet) as bar,
    ):
        reporter = Reporter(manifest, bar, options.on_error)
        for path, error in listing.errors:
            reporter.report(path, error)
        converter = Converter(config, options.dtype)
        engine.write_all(remaining, converter, writer, reporter, stop_if_interrupted, options)
        # What lines replaced, each by another shard: nobody should take it for results.
        writer.remove_unlisted()
        # Only here: `finished` in the settings says that a run was not interrupted.
        endings = _endings(listing.left_out)
        manifest.finish(endings)
    count = len(listing.images) - reporter.skipped_images
    skipped = reporter.skipped_images + len(listing.errors)
    missed = sum(entry.is_picture for entry in listing.left_out)
    return Outcome(count, done_before, skipped, endings, missed)


def _current(path: Path, options: Options) -> Record:
    """Return what changes when the result of an image changes: the file, or its label."""
    current = stamp(path)
    if current and isinstance(options.labels, Labels):
        return {**current, "label": options.labels(path)}
    return current


def _writer(manifest: Manifest, config: Format, count: int, options: Options) -> Writer:
    if options.format == "npy":
        return Files(manifest)
    # A shard's buffer is made for as many images as there are left, which may be few.
    shard_size = min(shard_size_of(config, options), count)
    is_stacked = config.image_size is not None
    return Shards(manifest, shard_size, is_stacked, convert.MAX_BYTES, options.format)


class Reporter:
    """Reports files that are skipped, on stderr and in the manifest, or raises their errors.

    Args:
        manifest: of the output folder.
        bar: the progress bar.
        on_error: "skip", or "fail" to raise.

    >>> from jaxprep.errors import InputError
    >>> reporter = Reporter(None, None, "fail")
    >>> try:
    ...     reporter.report(Path("a.png"), InputError("no image - at 'a.png'."))
    ... except InputError as error:
    ...     print(error)
    no image - at 'a.png'. To leave such files out and go on: --on-error skip.
    """

    def __init__(self, manifest: Any, bar: Any, on_error: str):
        self.manifest = manifest
        self.bar = bar
        self.on_error = on_error
        self.skipped_images = 0

    def report(self, path: Path, error: JaxprepError) -> None:
        """Report a path that is no image: a folder that cannot be read, or nothing."""
        if self.on_error == "fail":
            raise _stopping(error)
        message = " ".join(str(error).split())
        self.bar.write(f"jaxprep: skipped: {message}", file=sys.stderr)
        record = {"path": str(absolute(path)), "status": SKIPPED, **stamp(path)}
        self.manifest.add([{**record, "error": str(error)}])

    def report_image(self, path: Path, error: JaxprepError) -> None:
        """Report an image that could not be decoded or converted."""
        self.report(path, error)
        self.skipped_images += 1
        self.bar.update(1)

    def converted(self, count: int) -> None:
        """Take how many more images have results."""
        self.bar.update(count)


def _stopping(error: JaxprepError) -> JaxprepError:
    """Return the error of the first bad file of a run, which ends it, and say how it would not."""
    stopping = type(error)(f"{error} To leave such files out and go on: --on-error skip.")
    stopping.__cause__ = error
    return stopping


def _left_out_record(entry: LeftOut) -> Record:
    known = {"path": str(absolute(entry.path)), "status": LEFT_OUT, **stamp(entry.path)}
    return {**known, "error": entry.reason}


def _progress(total: int, done: int, quiet: bool) -> Any:
    """Return a progress bar on stderr; in a file, where it cannot redraw itself, a line every ten
    seconds.
    """
    from tqdm import tqdm  # a heavy package for who only imports `preprocess_files`

    has_none = sys.stderr is None  # a process without one, as of `pythonw`
    interval = 0.1 if not has_none and sys.stderr.isatty() else 10.0
    return tqdm(
        total=total,
        initial=done,
        unit=" images",
        disable=quiet or has_none,
        mininterval=interval,
        dynamic_ncols=True,
    )


def _summary(outcome: Outcome, output: str) -> str:
    notes = []
    if outcome.done_before:
        notes.append(f"{outcome.done_before} done before")
    if outcome.skipped:
        notes.append(f"{outcome.skipped} skipped")
    if outcome.left_out:
        counted = [f"{number} {ending}" for ending, number in outcome.left_out.items()]
        more = ", ..." if len(counted) > 5 else ""
        notes.append(f"left out {', '.join(counted[:5])}{more}")
    noun = "image" if outcome.images == 1 else "images"
    parentheses = f" ({'; '.join(notes)})" if notes else ""
    return f"{outcome.images} {noun} in {output}{parentheses}"


def _endings(left_out: Sequence[LeftOut]) -> dict[str, int]:
    """Count files by the endings of their names, the most frequent first."""
    endings = Counter(_ending(entry.path) for entry in left_out)
    return dict(endings.most_common())


def _ending(path: Path) -> str:
    if path.is_dir():
        return "as links to folders"
    return path.suffix.lower() or "without ending"


def _names(names: Sequence[str]) -> str:
    if len(names) == 1:
        return names[0]
    return f"{len(names)} files of results ({names[0]}, ...)"
