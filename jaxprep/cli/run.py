"""Decodes image files, preprocesses them and writes arrays: `jaxprep run`."""

from __future__ import annotations

import argparse
import functools
import sys
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future
from contextlib import closing
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Num, UInt8
from tqdm import tqdm

from jaxprep.cli.interrupts import deferred_interrupt
from jaxprep.cli.manifest import SKIPPED, Manifest, fingerprint, owned
from jaxprep.cli.options import load_config
from jaxprep.cli.prefetch import grouped, run_ahead
from jaxprep.cli.writers import Files, Shards, Source, Writer
from jaxprep.errors import JaxprepError
from jaxprep.facade import ImageClassifierPreprocessor
from jaxprep.formats import Format
from jaxprep.host.decode import Alpha, find_images, read_image
from jaxprep.pipeline.cores import core_count
from jaxprep.pipeline.plan import Bucket
from jaxprep.presets.files import to_json

# Not 1 or 2, which are those of a fatal error and of wrong usage: a script can tell them apart.
DONE_ALL, SOME_SKIPPED = 0, 3
"""Exit statuses."""


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
    paths = find_images(args.paths)
    settings = {"preprocessor": to_json(config), "format": args.format, "alpha": args.alpha}
    with owned(Path(args.output)):
        return _run(paths, config, Manifest(Path(args.output), args.preset, settings), args)


def _run(
    paths: Sequence[Path], config: Format, manifest: Manifest, args: argparse.Namespace
) -> int:
    """Convert what is not done yet, and return the exit status."""
    remaining = [path for path in paths if not manifest.is_done(path, fingerprint(path))]
    done_before = len(paths) - len(remaining)
    writer = _writer(manifest, config, len(remaining), args)
    with _progress(len(paths), done_before, args.quiet) as bar:
        _write_all(remaining, config, writer, bar, args)
    # Only here: `finished` in the settings says that a run was not interrupted.
    manifest.finish()
    statuses = [manifest.records[str(path)]["status"] for path in remaining]
    skipped = statuses.count(SKIPPED)
    if not args.quiet:
        print(_summary(len(paths), done_before, skipped, args.output), file=sys.stderr)
    return SOME_SKIPPED if skipped else DONE_ALL


def _writer(manifest: Manifest, config: Format, count: int, args: argparse.Namespace) -> Writer:
    if args.format == "npy":
        return Files(manifest)
    # A shard's buffer is made for as many images as there are left, which may be few.
    return Shards(manifest, min(args.shard_size, count), stacked=config.image_size is not None)


def _write_all(
    paths: Sequence[Path], config: Format, writer: Writer, bar: Any, args: argparse.Namespace
) -> None:
    """Decode ahead in threads, preprocess in groups, write shard by shard.

    A group holds images of one bucket: a batch of mixed sizes would be compiled for the largest of
    them, and again for the next mixture.
    """
    convert = Converter(config)
    workers = args.workers or core_count()
    decode = functools.partial(decode_photo, config=config, alpha=args.alpha)
    # A batch is decoded while another is preprocessed, and every thread has an image more.
    ahead = run_ahead(decode, paths, workers=workers, ahead=args.batch_size + workers)
    with closing(ahead) as decoded, deferred_interrupt() as stop_if_interrupted:
        try:
            for _ in range(0, len(paths), args.shard_size):
                shard = islice(decoded, args.shard_size)
                photos = _decoded_photos(shard, writer.manifest, bar, args.on_error)
                # Bounds the memory: photos of many sizes would all wait for others of theirs.
                groups = grouped(
                    photos, _bucket, size=args.batch_size, max_waiting=4 * args.batch_size
                )
                for group in groups:
                    results = convert([photo for _, photo in group])
                    for (row, photo), result in zip(group, results, strict=True):
                        writer.add(row, photo.source, result)
                    bar.update(len(group))
                    stop_if_interrupted()  # the results so far are written by `close`
                writer.flush()
        finally:
            writer.close()


def _decoded_photos(
    decoded: Iterable[tuple[Path, Future[Photo]]], manifest: Manifest, bar: Any, on_error: str
) -> Iterator[tuple[int, Photo]]:
    """Yield the photos that could be decoded, with their positions among all.

    The others are reported and written to the manifest, or raise.
    """
    for row, (path, future) in enumerate(decoded):
        try:
            photo = future.result()
        except JaxprepError as error:
            if on_error == "fail":
                raise
            message = " ".join(str(error).split())
            bar.write(f"jaxprep: skipped: {message}", file=sys.stderr)
            record = {"path": str(path), "status": SKIPPED, **fingerprint(path)}
            manifest.add([{**record, "error": str(error)}])
            bar.update(1)
        else:
            yield row, photo


def _bucket(numbered: tuple[int, Photo]) -> Bucket:
    return numbered[1].bucket


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


def _summary(total: int, done_before: int, skipped: int, output: str) -> str:
    notes = []
    if done_before:
        notes.append(f"{done_before} done before")
    if skipped:
        notes.append(f"{skipped} skipped")
    count = total - skipped
    noun = "image" if count == 1 else "images"
    parentheses = f" ({', '.join(notes)})" if notes else ""
    return f"jaxprep: {count} {noun} in {output}{parentheses}"


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
    image = read_image(path, alpha=alpha)
    height, width, _ = image.shape
    try:
        output_size = config.pipeline.output_size((height, width))
        bucket = config.pipeline.bucket((height, width))
    except JaxprepError as error:
        raise type(error)(f"{error} - at '{path}'.") from error
    return Photo(Source(path, current, (height, width), output_size), image, bucket)


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
