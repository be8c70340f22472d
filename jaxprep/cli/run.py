"""`jaxprep run`: files in, arrays out."""

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
from tqdm import tqdm

from jaxprep.cli.ahead import pooled, run_ahead
from jaxprep.cli.interrupts import held_back
from jaxprep.cli.manifest import SKIPPED, Manifest, fingerprint
from jaxprep.cli.options import load_config
from jaxprep.cli.writers import Files, Shards, Source, Writer
from jaxprep.errors import JaxprepError
from jaxprep.facade import ImageClassifierPreprocessor
from jaxprep.formats import Format
from jaxprep.host.decode import Alpha, find_images, read_image
from jaxprep.pipeline.cores import core_count
from jaxprep.pipeline.plan import Bucket
from jaxprep.presets.files import to_json

DONE_ALL, SOME_SKIPPED = 0, 3


class Photo(NamedTuple):
    """A decoded image, upright RGB `(h, w, 3)`, where it comes from, and what it shares a compiled
    program with.
    """

    source: Source
    image: np.ndarray
    bucket: Bucket


def execute(args: argparse.Namespace) -> int:
    config = load_config(args)
    paths = find_images(args.paths)
    settings = {"preprocessor": to_json(config), "format": args.format, "alpha": args.alpha}
    manifest = Manifest(Path(args.output), args.preset, settings)
    todo = [path for path in paths if not manifest.is_done(path, fingerprint(path))]
    stacked = config.image_size is not None
    writer = (
        Shards(manifest, min(args.shard_size, len(todo)), stacked)
        if args.format == "npz"
        else Files(manifest)
    )
    with _progress(len(paths), len(paths) - len(todo), args.quiet) as bar:
        _write_all(todo, config, writer, bar, args)
    manifest.finish()
    skipped = sum(manifest.records[str(path)]["status"] == SKIPPED for path in todo)
    if not args.quiet:
        print(_summary(len(paths), len(paths) - len(todo), skipped, args.output), file=sys.stderr)
    return SOME_SKIPPED if skipped else DONE_ALL


def _write_all(
    paths: Sequence[Path], config: Format, writer: Writer, bar: Any, args: argparse.Namespace
) -> None:
    """Decode ahead, and preprocess images of a bucket together: batches of mixed sizes would
    compile ever anew.
    """
    convert = Converter(config)
    workers = args.workers or core_count()
    decode = functools.partial(decode_photo, config=config, alpha=args.alpha)
    ahead = run_ahead(decode, paths, workers=workers, ahead=args.batch_size + workers)
    with closing(ahead) as decoded, held_back() as stop_if_interrupted:
        try:
            for _ in range(0, len(paths), args.shard_size):
                photos = _good(
                    islice(decoded, args.shard_size), writer.manifest, bar, args.on_error
                )
                for group in pooled(
                    photos, _bucket, size=args.batch_size, most=4 * args.batch_size
                ):
                    results = convert([photo for _, photo in group])
                    for (row, photo), result in zip(group, results, strict=True):
                        writer.add(row, photo.source, result)
                    bar.update(len(group))
                    stop_if_interrupted()
                writer.flush()
        finally:
            writer.close()


def _good(
    decoded: Iterable[tuple[Path, Future[Photo]]], manifest: Manifest, bar: Any, on_error: str
) -> Iterator[tuple[int, Photo]]:
    """The photos that could be decoded, with their numbers among all; the others are reported, or
    end it.
    """
    for row, (path, future) in enumerate(decoded):
        try:
            photo = future.result()
        except JaxprepError as error:
            if on_error == "fail":
                raise
            bar.write(f"jaxprep: skipped: {' '.join(str(error).split())}", file=sys.stderr)
            manifest.add(
                [{"path": str(path), "status": SKIPPED, **fingerprint(path), "error": str(error)}]
            )
            bar.update(1)
        else:
            yield row, photo


def _bucket(numbered: tuple[int, Photo]) -> Bucket:
    return numbered[1].bucket


def _progress(total: int, done: int, quiet: bool) -> Any:
    """The bar on stderr; in a file, where it cannot redraw itself, a line now and then."""
    interval = 0.1 if sys.stderr.isatty() else 10.0
    return tqdm(
        total=total,
        initial=done,
        unit=" images",
        disable=quiet,
        mininterval=interval,
        dynamic_ncols=True,
    )


def _summary(total: int, before: int, skipped: int, output: str) -> str:
    notes = [f"{before} done before"] * bool(before) + [f"{skipped} skipped"] * bool(skipped)
    count = total - skipped
    return f"jaxprep: {count} image{'s' * (count != 1)} in {output}" + (
        f" ({', '.join(notes)})" if notes else ""
    )


def decode_photo(path: Path, config: Format, alpha: Alpha = "drop") -> Photo:
    """Decode a file, and make sure that the config takes it.

    Raises:
        JaxprepError: it is no image, or one that cannot be preprocessed; the message names the
            file.
    """
    found = fingerprint(path)
    image = read_image(path, alpha=alpha)
    height, width, _ = image.shape
    try:
        output_size = config.pipeline.output_size((height, width))
        bucket = config.pipeline.bucket((height, width))
    except JaxprepError as error:
        raise type(error)(f"{error} - at '{path}'.") from error
    return Photo(Source(path, found, (height, width), output_size), image, bucket)


class Converter:
    """Preprocesses photos of one bucket, in types that a NumPy file can hold.

    A group smaller than one that was seen is filled up to it: that program is compiled already.
    """

    def __init__(self, config: Format):
        self.config = config
        self.preprocess = ImageClassifierPreprocessor(config)  # type: ignore[arg-type]
        self.largest: dict[Bucket, int] = {}

    def __call__(self, photos: Sequence[Photo]) -> list[np.ndarray]:
        count = max(len(photos), self.largest.get(photos[0].bucket, 0))
        self.largest[photos[0].bucket] = count
        images = [laid_out(photo.image, self.config) for photo in photos]
        results = self.preprocess(images + images[-1:] * (count - len(photos)))
        arrays = (
            list(np.asarray(results))
            if hasattr(results, "shape")
            else list(map(np.asarray, results))
        )
        is_known = arrays[0].dtype.kind in "fiub"  # bfloat16 is not
        return (arrays if is_known else [array.astype(np.float32) for array in arrays])[
            : len(photos)
        ]


def laid_out(image: np.ndarray, config: Format) -> np.ndarray:
    """An RGB image in the mode and the layout that the config takes."""
    _, mode = config.pipeline_for("RGB")
    if mode != "RGB":
        from PIL import Image

        image = np.asarray(Image.fromarray(image).convert(mode))
        image = image[..., None] if image.ndim == 2 else image
    return np.moveaxis(image, -1, 0) if config.pipeline.reads_channels_first else image
