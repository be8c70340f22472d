"""Decodes image files, preprocesses them and writes arrays: `jaxprep run`."""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future
from contextlib import closing, contextmanager
from itertools import count, islice
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Num, UInt8
from tqdm import tqdm

from jaxprep.cli.interrupts import deferred_interrupt
from jaxprep.cli.manifest import LEFT_OUT, SKIPPED, Manifest, Record, fingerprint, owned
from jaxprep.cli.messages import say
from jaxprep.cli.options import load_config
from jaxprep.cli.prefetch import grouped, run_ahead
from jaxprep.cli.writers import Files, Shards, Source, Writer
from jaxprep.errors import DecodeError, JaxprepError, without_credentials
from jaxprep.facade import ImageClassifierPreprocessor
from jaxprep.formats import Format
from jaxprep.host.decode import Alpha, Memory, memory_of, read_image
from jaxprep.host.find import LeftOut, Listing, absolute, check_found, list_images
from jaxprep.pipeline.cores import core_count
from jaxprep.pipeline.plan import Bucket
from jaxprep.presets.files import to_json

# Not 1 or 2, which are those of a fatal error and of wrong usage: a script can tell them apart.
DONE_ALL, SOME_SKIPPED = 0, 3
"""Exit statuses."""
MAX_BYTES, THREAD_BYTES = 2**29, 2**26
"""What the images may take that are decoded ahead, and so much again those that wait for others of
their size; and the results of a shard. For images it is 64 MiB for each thread where that is more:
a phone's photograph takes 36 MB."""


class Photo(NamedTuple):
    """Holds a decoded image.

    Attributes:
        source: where it comes from.
        image: upright RGB.
        bucket: images of one bucket share a compiled program.

    >>> from jaxprep import Pipeline
    >>> image = np.zeros((8, 6, 3), np.uint8)
    >>> bucket = Pipeline().bucket((8, 6))
    >>> Photo(Source(Path("a.png"), {}, (8, 6), (8, 6)), image, bucket).source.size
    (8, 6)
    """

    source: Source
    image: UInt8[np.ndarray, "h w 3"]
    bucket: Bucket


class Measured(NamedTuple):
    """Says how much memory an image file takes.

    Attributes:
        path: the file.
        memory: while it is decoded, and then.

    >>> Measured(Path("a.png"), Memory(72, 18)).memory.decoded
    18
    """

    path: Path
    memory: Memory


Numbered = tuple[int, Photo]
"""A photo with its position among all of a shard."""


def execute(args: argparse.Namespace) -> int:
    """Preprocess files as the options say, and return the exit status.

    Raises:
        JaxprepError: a preset, a folder or (with `--on-error fail`) a file that cannot be used.
        OSError: the results cannot be written. Those written before are kept.

    >>> import tempfile
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
    config = load_config(args)
    output = Path(args.output)
    listing = list_images(args.paths, ignore=output)
    if listing.errors and args.on_error == "fail":
        raise _stopping(listing.errors[0][1])
    if not listing.errors:
        check_found(listing, args.paths)
    settings = {"preprocessor": to_json(config), "format": args.format, "alpha": args.alpha}
    with owned(output):
        manifest = Manifest(output, args.preset, settings)
        return _run(listing, config, manifest, args)


def _run(listing: Listing, config: Format, manifest: Manifest, args: argparse.Namespace) -> int:
    """Convert what is not done yet, and return the exit status."""
    remaining = [
        path for path in listing.images if not manifest.is_done(absolute(path), fingerprint(path))
    ]
    done_before = len(listing.images) - len(remaining)
    writer = _writer(manifest, config, len(remaining), args)
    removed = writer.remove_unlisted()
    if removed:
        say(f"removed {_names(removed)}, which the manifest does not list")
    manifest.add([_left_out_record(entry) for entry in listing.left_out if entry.is_picture])
    with (
        deferred_interrupt() as stop_if_interrupted,
        _progress(len(listing.images), done_before, args.quiet) as bar,
    ):
        reporter = Reporter(manifest, bar, args.on_error)
        for path, error in listing.errors:
            reporter.report(path, error)
        _write_all(remaining, config, writer, reporter, stop_if_interrupted, args)
        # What lines replaced, each by another shard: nobody should take it for results.
        writer.remove_unlisted()
        # Only here: `finished` in the settings says that a run was not interrupted.
        manifest.finish(_endings(listing.left_out))
    if not args.quiet:
        count = len(listing.images) - reporter.skipped_images
        skipped = reporter.skipped_images + len(listing.errors)
        say(_summary(count, args.output, done_before, skipped, listing.left_out))
    has_missed = any(entry.is_picture for entry in listing.left_out)
    return SOME_SKIPPED if reporter.skipped_images or listing.errors or has_missed else DONE_ALL


def _writer(manifest: Manifest, config: Format, count: int, args: argparse.Namespace) -> Writer:
    if args.format == "npy":
        return Files(manifest)
    # A shard's buffer is made for as many images as there are left, which may be few.
    shard_size = min(_shard_size(config, args), count)
    return Shards(manifest, shard_size, config.image_size is not None, MAX_BYTES)


def _shard_size(config: Format, args: argparse.Namespace) -> int:
    """Return how many results a shard may hold and take no more than `MAX_BYTES`."""
    if config.image_size is None:  # the writer sees how many bytes there are
        return args.shard_size
    height, width = config.image_size
    most = MAX_BYTES // (height * width * 3 * 4)
    return max(1, min(args.shard_size, most))


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
        record = {"path": str(absolute(path)), "status": SKIPPED, **fingerprint(path)}
        self.manifest.add([{**record, "error": str(error)}])

    def report_image(self, path: Path, error: JaxprepError) -> None:
        """Report an image that could not be decoded or converted."""
        self.report(path, error)
        self.skipped_images += 1
        self.bar.update(1)


def _stopping(error: JaxprepError) -> JaxprepError:
    """Return the error of the first bad file of a run, which ends it, and say how it would not."""
    stopping = type(error)(f"{error} To leave such files out and go on: --on-error skip.")
    stopping.__cause__ = error
    return stopping


def _write_all(
    paths: Sequence[Path],
    config: Format,
    writer: Writer,
    reporter: Reporter,
    stop_if_interrupted: Callable[[], None],
    args: argparse.Namespace,
) -> None:
    """Decode ahead in threads, preprocess in groups, write shard by shard.

    A group holds images of one bucket: a batch of mixed sizes would be compiled for the largest of
    them, and again for the next mixture.
    """
    convert = Converter(config)
    workers = args.workers or core_count()
    max_bytes = max(MAX_BYTES, workers * THREAD_BYTES)
    shard_size = _shard_size(config, args)
    with _decoding(paths, config, args.alpha, workers, args.batch_size, max_bytes) as decoded:
        try:
            for _ in range(0, len(paths), shard_size):
                shard = islice(decoded, shard_size)
                # Bounds the memory: photos of many sizes would all wait for others of theirs.
                groups = grouped(
                    _decoded_photos(shard, reporter),
                    _bucket,
                    size=args.batch_size,
                    max_waiting=4 * args.batch_size,
                    max_bytes=max_bytes,
                    bytes_of=_image_bytes,
                )
                for group in groups:
                    for row, source, result in _converted(group, convert, reporter):
                        writer.add(row, source, result)
                        reporter.bar.update(1)
                    del group  # while the next is decoded
                    stop_if_interrupted()  # the results so far are written by `close`
                writer.flush()
        finally:
            writer.close()


@contextmanager
def _decoding(
    paths: Sequence[Path], config: Format, alpha: Alpha, workers: int, ahead: int, max_bytes: int
) -> Iterator[Iterator[tuple[Measured, Future[Photo]]]]:
    """Decode ahead in threads, as far as the images fit into `max_bytes`.

    A batch is decoded while another is preprocessed, and every thread has an image more.
    """

    def decode(item: Measured) -> Photo:
        return decode_photo(item.path, config, alpha)

    def bytes_of(item: Measured, is_decoded: bool) -> int:
        return item.memory.decoded if is_decoded else item.memory.decoding

    ahead += workers
    measured = run_ahead(_measured, paths, workers=workers, ahead=ahead)
    with closing(measured):
        items = (future.result() for _, future in measured)
        decoded = run_ahead(
            decode, items, workers=workers, ahead=ahead, max_bytes=max_bytes, bytes_of=bytes_of
        )
        with closing(decoded):
            yield decoded


def _measured(path: Path) -> Measured:
    try:
        return Measured(path, memory_of(path))
    except Exception:  # decoding says what it is
        return Measured(path, Memory(0, 0))


def _decoded_photos(
    decoded: Iterable[tuple[Measured, Future[Photo]]], reporter: Reporter
) -> Iterator[Numbered]:
    """Yield the photos that could be decoded, with their positions among all.

    The others are reported, or raise.
    """
    rows = count()
    # Not `enumerate`, which keeps its last item while the next is made.
    for measured, future in decoded:
        row = next(rows)
        try:
            photo = future.result()
        except JaxprepError as error:
            reporter.report_image(measured.path, error)
        else:
            yield row, photo
            del photo
        del future


def _converted(
    group: Sequence[Numbered], convert: Converter, reporter: Reporter
) -> Iterator[tuple[int, Source, np.ndarray]]:
    """Yield the results of a group, one by one where the whole cannot be converted.

    What cannot be converted alone is reported, or raises.
    """
    try:
        results = convert([photo for _, photo in group])
    except Exception as error:
        if len(group) == 1:
            path = group[0][1].source.path
            reporter.report_image(path, _error_of_image(error, path))
            return
    else:
        for (row, photo), result in zip(group, results, strict=True):
            yield row, photo.source, result
        return
    for numbered in group:
        yield from _converted([numbered], convert, reporter)


def _error_of_image(error: Exception, path: Path) -> JaxprepError:
    """Return an error of any kind as that of an image."""
    if isinstance(error, JaxprepError):
        message = str(error)
        # as the message quotes it
        name = without_credentials(str(path))
        is_named = name in message or repr(name) in message
        return error if is_named else type(error)(f"{message} - at '{path}'.")
    message = str(error) or "there is too little memory"
    return DecodeError(
        f"Expected an image that can be preprocessed, got {type(error).__name__}: {message} - at "
        f"'{path}'."
    )


def _bucket(numbered: Numbered) -> Bucket:
    return numbered[1].bucket


def _image_bytes(numbered: Numbered) -> int:
    # As much again for the canvas that it is copied to.
    return 2 * numbered[1].image.nbytes


def _left_out_record(entry: LeftOut) -> Record:
    known = {"path": str(absolute(entry.path)), "status": LEFT_OUT, **fingerprint(entry.path)}
    return {**known, "error": entry.reason}


def _progress(total: int, done: int, quiet: bool) -> Any:
    """Return a progress bar on stderr; in a file, where it cannot redraw itself, a line every ten
    seconds.
    """
    interval = 0.1 if sys.stderr.isatty() else 10.0
    return tqdm(
        total=total,
        initial=done,
        unit=" images",
        disable=quiet,
        mininterval=interval,
        dynamic_ncols=True,
    )


def _summary(
    count: int, output: str, done_before: int, skipped: int, left_out: Sequence[LeftOut]
) -> str:
    notes = []
    if done_before:
        notes.append(f"{done_before} done before")
    if skipped:
        notes.append(f"{skipped} skipped")
    if left_out:
        counted = [f"{number} {ending}" for ending, number in _endings(left_out).items()]
        more = ", ..." if len(counted) > 5 else ""
        notes.append(f"left out {', '.join(counted[:5])}{more}")
    noun = "image" if count == 1 else "images"
    parentheses = f" ({'; '.join(notes)})" if notes else ""
    return f"{count} {noun} in {output}{parentheses}"


def _endings(left_out: Sequence[LeftOut]) -> dict[str, int]:
    """Count files by the endings of their names, the most frequent first."""
    endings = Counter(entry.path.suffix.lower() or "without ending" for entry in left_out)
    return dict(endings.most_common())


def _names(names: Sequence[str]) -> str:
    if len(names) == 1:
        return names[0]
    return f"{len(names)} files of results ({names[0]}, ...)"


def decode_photo(path: Path, config: Format, alpha: Alpha = "drop") -> Photo:
    """Decode a file, and check that the config takes the image.

    Args:
        path: an image file.
        config: what will be done to it.
        alpha: as in `jaxprep.read_image`.

    Raises:
        JaxprepError: it is no image, or one that cannot be preprocessed; the message names the
            file.

    >>> import tempfile
    >>> from PIL import Image
    >>> from jaxprep.formats import Timm
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     Image.new("RGB", (6, 8)).save(f"{folder}/a.png")
    ...     photo = decode_photo(Path(folder, "a.png"), Timm())
    >>> photo.source.size, photo.source.output_size
    ((8, 6), (224, 224))
    """
    # Before decoding: of a file that changes meanwhile the next run then sees that it changed.
    current = fingerprint(path)
    try:
        image = read_image(path, alpha=alpha)
        height, width, _ = image.shape
        output_size = config.pipeline.output_size((height, width))
        bucket = config.pipeline.bucket((height, width))
    except Exception as error:
        raise _error_of_image(error, path) from error
    source = Source(absolute(path), current, (height, width), output_size)
    return Photo(source, image, bucket)


class Converter:
    """Preprocesses photos of one bucket at a time, to types that a NumPy file can hold.

    A group that is smaller than the largest of its bucket so far is filled up to that, for which
    there is a compiled program.

    >>> from jaxprep.formats import KerasHub
    >>> config = KerasHub(image_size=(4, 4), scale=1 / 255)
    >>> source = Source(Path("a.png"), {}, (8, 6), (4, 4))
    >>> photo = Photo(source, np.zeros((8, 6, 3), np.uint8), config.pipeline.bucket((8, 6)))
    >>> [result.shape for result in Converter(config)([photo])]
    [(4, 4, 3)]
    """

    def __init__(self, config: Format):
        self.config = config
        self.preprocess = ImageClassifierPreprocessor(config)  # type: ignore[arg-type]
        self.largest: dict[Bucket, int] = {}

    def __call__(self, photos: Sequence[Photo]) -> list[np.ndarray]:
        """Return the results, one array `(height, width, channels)` for each photo."""
        bucket = photos[0].bucket
        count = max(len(photos), self.largest.get(bucket, 0))
        self.largest[bucket] = count
        images = [in_layout(photo.image, self.config) for photo in photos]
        # The last image again: what is computed for it is thrown away, and costs less than to
        # compile a program for a smaller batch.
        images += images[-1:] * (count - len(photos))
        results = self.preprocess(images)
        # A batch comes to the host at once, not row by row.
        results = np.asarray(results) if hasattr(results, "shape") else map(np.asarray, results)
        results = list(results)[: len(photos)]
        # NumPy's format has no bfloat16, which is of kind "V" to NumPy.
        if results[0].dtype.kind in "fiub":
            return results
        return [result.astype(np.float32) for result in results]


def in_layout(image: UInt8[np.ndarray, "h w 3"], config: Format) -> Num[np.ndarray, ...]:
    """Return an RGB image in the mode (RGB or gray) and the layout that the config takes.

    >>> from jaxprep.formats import Timm
    >>> config = Timm(input_size=(1, 4, 4), mean=(0.5,), std=(0.5,))
    >>> in_layout(np.zeros((8, 6, 3), np.uint8), config).shape
    (8, 6, 1)
    """
    # timm has models of gray images, for which the format names PIL's mode L.
    _, mode = config.pipeline_for("RGB")
    pixels: np.ndarray = image
    if mode != "RGB":
        from PIL import Image

        pixels = np.asarray(Image.fromarray(image).convert(mode))
        pixels = pixels[..., None] if pixels.ndim == 2 else pixels
    return np.moveaxis(pixels, -1, 0) if config.pipeline.reads_channels_first else pixels
