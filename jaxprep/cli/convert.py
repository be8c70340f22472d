"""Decodes image files in threads, and preprocesses them in groups: what every engine does."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future
from contextlib import closing, contextmanager
from dataclasses import dataclass
from itertools import count, islice
from pathlib import Path
from typing import (
    TYPE_CHECKING,
    Any,
    Literal,
    NamedTuple,
    Protocol,
    get_args,
    get_origin,
    get_type_hints,
)

import numpy as np
from jaxtyping import UInt8

from jaxprep.cli.fingerprints import fingerprint, stamp
from jaxprep.cli.labels import Labels
from jaxprep.cli.prefetch import grouped, run_ahead
from jaxprep.cli.sources import Source
from jaxprep.cli.stored import StoredType, as_stored, config_for
from jaxprep.cli.writers import Writer
from jaxprep.errors import InputError, JaxprepError
from jaxprep.facade import ImageClassifierPreprocessor
from jaxprep.formats import Format
from jaxprep.host.decode import Alpha, Memory, memory_of
from jaxprep.host.find import absolute
from jaxprep.pictures import error_of_image, in_layout, read_file
from jaxprep.pipeline.cores import core_count
from jaxprep.pipeline.plan import Bucket
from jaxprep.types import Size

if TYPE_CHECKING:
    from PIL.Image import Image as Picture

MAX_BYTES, THREAD_BYTES = 2**29, 2**26
"""What the images may take that are decoded ahead, and so much again those that wait for others of
their size, with their results; and the results of a shard. For images it is 64 MiB for each thread
where that is more: a phone's photograph takes 36 MB."""


@dataclass(frozen=True)
class Options:
    """Says what a run does; the options of the command line have the same names.

    Attributes:
        paths: files, folders and glob patterns.
        preset: the name of the config, for messages and the manifest.
        output: the folder of the results.
        format: "npz", "parquet" or "array_record" for shards, "npy" for one file per image.
        dtype: in which results are stored. "uint8": the pixels before the steps that only change
            values, which the manifest then has as `then`. None: as the preset has it, but float32
            instead of bfloat16.
        labels: whether each result has the number of its class, by the name of its folder; `run`
            puts the rule here.
        batch_size: images at a time.
        shard_size: images per shard.
        on_error: "fail" or "skip", at a file that cannot be preprocessed.
        alpha: what becomes of transparency; see `jaxprep.read_image`.
        workers: threads that decode (local), or processes that preprocess (ray); None is one per
            core.
        engine: "local", or "ray" for the machines of a Ray cluster.
        quiet: no progress bar and no summary.

    >>> Options(["photos"], "resnet_50_imagenet", "out").engine
    'local'
    """

    paths: Sequence[str]
    preset: str
    output: str
    format: Literal["npz", "npy", "parquet", "array_record"] = "npz"
    dtype: Literal["uint8", "bfloat16", "float32"] | None = None
    labels: bool | Labels = False
    batch_size: int = 16
    shard_size: int = 128
    on_error: Literal["fail", "skip"] = "fail"
    alpha: Alpha = "drop"
    workers: int | None = None
    engine: Literal["local", "ray"] = "local"
    quiet: bool = False

    def __post_init__(self) -> None:
        for name, kind in get_type_hints(type(self)).items():
            value = getattr(self, name)
            choices = _choices(kind)
            if choices and value not in choices:
                raise InputError(f"Expected one of {choices}, got {value!r} - at `{name}`.")
        for name in ("batch_size", "shard_size", "workers"):
            value = getattr(self, name)
            if value is not None and (not isinstance(value, int) or value < 1):
                raise InputError(f"Expected a number of at least 1, got {value!r} - at `{name}`.")


def _choices(kind: Any) -> list[Any]:
    """The values that an annotation names; none where it is no `Literal`."""
    if get_origin(kind) is Literal:
        return list(get_args(kind))
    found = [choice for part in get_args(kind) for choice in _choices(part)]
    return [*found, None] if found else []


class Photo(NamedTuple):
    """Holds a decoded image.

    Attributes:
        source: where it comes from.
        image: upright: RGB, or a PIL image whose mode the config treats in its own way.
        bucket: images of one bucket share a compiled program.

    >>> from jaxprep import Pipeline
    >>> image = np.zeros((8, 6, 3), np.uint8)
    >>> bucket = Pipeline().bucket((8, 6))
    >>> Photo(Source(Path("a.png"), {}, (8, 6), (8, 6)), image, bucket).source.size
    (8, 6)
    """

    source: Source
    image: UInt8[np.ndarray, "h w 3"] | Picture
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


class Reporter(Protocol):
    """Hears of each image that has a result, and of each that has none.

    >>> from jaxprep.cli import run
    >>> all(hasattr(run.Reporter, name) for name in ("report_image", "converted"))
    True
    """

    def report_image(self, path: Path, error: JaxprepError) -> None:
        """Take an image that could not be decoded or converted; it may raise."""

    def converted(self, count: int) -> None:
        """Take how many more images have results."""


def shard_size_of(config: Format, options: Options) -> int:
    """Return how many results a shard may hold and take no more than `MAX_BYTES`.

    >>> from jaxprep.formats import Timm
    >>> config = Timm(input_size=(3, 2048, 2048))
    >>> shard_size_of(config, Options(["photos"], "large", "out"))
    10
    """
    if config.image_size is None:  # the writer sees how many bytes there are
        return options.shard_size
    height, width = config.image_size
    most = MAX_BYTES // (height * width * 3 * 4)
    return max(1, min(options.shard_size, most))


def write_all(
    paths: Sequence[Path],
    convert: Converter,
    writer: Writer,
    reporter: Reporter,
    stop_if_interrupted: Callable[[], None],
    options: Options,
) -> None:
    """Decode ahead in threads, preprocess in groups, write shard by shard.

    A group holds images of one bucket: a batch of mixed sizes would be compiled for the largest of
    them, and again for the next mixture.

    >>> import tempfile
    >>> from jaxprep import data
    >>> from jaxprep.cli import ray_engine, writers
    >>> from jaxprep.formats import Timm
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     done = ray_engine.Done(Path(folder))
    ...     writer = writers.Files(done)
    ...     options = Options([], "a preset", folder, format="npy")
    ...     paths = [data.photo_path("chelsea")]
    ...     write_all(paths, Converter(Timm()), writer, done, lambda: None, options)
    ...     [record["status"] for record in done.records.values()]
    ['done']
    """
    config = convert.config
    workers = options.workers or core_count()
    max_bytes = max(MAX_BYTES, workers * THREAD_BYTES)
    shard_size = shard_size_of(config, options)
    with _decoding(paths, config, options, workers, max_bytes) as decoded:
        try:
            for _ in range(0, len(paths), shard_size):
                shard = islice(decoded, shard_size)
                # Bounds the memory: photos of many sizes would all wait for others of theirs.
                groups = grouped(
                    _decoded_photos(shard, reporter),
                    _bucket,
                    size=options.batch_size,
                    max_waiting=4 * options.batch_size,
                    max_bytes=max_bytes,
                    bytes_of=_image_bytes,
                )
                for group in groups:
                    for row, source, result in _converted(group, convert, reporter):
                        writer.add(row, source, result)
                        reporter.converted(1)
                    del group  # while the next is decoded
                    stop_if_interrupted()  # the results so far are written by `close`
                writer.flush()
        finally:
            writer.close()


@contextmanager
def _decoding(
    paths: Sequence[Path], config: Format, options: Options, workers: int, max_bytes: int
) -> Iterator[Iterator[tuple[Measured, Future[Photo]]]]:
    """Decode ahead in threads, as far as the images fit into `max_bytes`.

    A batch is decoded while another is preprocessed, and every thread has an image more.
    """

    def decode(item: Measured) -> Photo:
        photo = decode_photo(item.path, config, options.alpha)
        if not isinstance(options.labels, Labels):
            return photo
        return photo._replace(source=photo.source._replace(label=options.labels(item.path)))

    def bytes_of(item: Measured, is_decoded: bool) -> int:
        return item.memory.decoded if is_decoded else item.memory.decoding

    ahead = options.batch_size + workers
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
            reporter.report_image(path, error_of_image(error, path))
            return
    else:
        for (row, photo), result in zip(group, results, strict=True):
            yield row, photo.source, result
        return
    for numbered in group:
        yield from _converted([numbered], convert, reporter)


def _bucket(numbered: Numbered) -> Bucket:
    return numbered[1].bucket


def _image_bytes(numbered: Numbered) -> int:
    """Return what an image and its result take; of a strip the result may be a thousand times as
    large."""
    photo = numbered[1]
    height, width = _size(photo.image)
    result_height, result_width = photo.source.output_size
    # As much again for the canvas that each has in its program.
    return 2 * 3 * (height * width + 4 * result_height * result_width)


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
    before = stamp(path)
    try:
        image = read_file(path, config, alpha)
        height, width = _size(image)
        output_size = config.pipeline.output_size((height, width))
        bucket = config.pipeline.bucket((height, width))
        # After decoding: `read_file` has refused what is no regular file, or too large to read.
        current = fingerprint(path, before)
    except Exception as error:
        raise error_of_image(error, path) from error
    source = Source(absolute(path), current, (height, width), output_size)
    return Photo(source, image, bucket)


def _size(image: np.ndarray | Picture) -> Size:
    if isinstance(image, np.ndarray):
        return image.shape[0], image.shape[1]
    return image.height, image.width


class Converter:
    """Preprocesses photos of one bucket at a time, to the type in which results are stored.

    Args:
        config: of the preprocessing.
        dtype: as in `Options`.

    A group that is smaller than the largest of its bucket so far is filled up to that, for which
    there is a compiled program.

    >>> from jaxprep.formats import KerasHub
    >>> config = KerasHub(image_size=(4, 4), scale=1 / 255)
    >>> source = Source(Path("a.png"), {}, (8, 6), (4, 4))
    >>> photo = Photo(source, np.zeros((8, 6, 3), np.uint8), config.pipeline.bucket((8, 6)))
    >>> [result.shape for result in Converter(config)([photo])]
    [(4, 4, 3)]
    """

    def __init__(self, config: Format, dtype: StoredType | None = None):
        self.config = config
        self.dtype: StoredType | None = dtype
        self.preprocess = ImageClassifierPreprocessor(config_for(config, dtype))  # type: ignore[arg-type]
        self.largest: dict[Bucket, int] = {}

    def __call__(self, photos: Sequence[Photo]) -> list[np.ndarray]:
        """Return the results, one array `(height, width, channels)` for each photo.

        Raises:
            InputError: an image that is resized in its own mode, where pixels are to be stored.
        """
        if self.dtype == "uint8" and not isinstance(photos[0].image, np.ndarray):
            raise InputError(
                f"Expected an RGB or a gray image for --dtype uint8, got the mode "
                f"{photos[0].image.mode}, which the preset treats in its own way."
            )
        bucket = photos[0].bucket
        count = max(len(photos), self.largest.get(bucket, 0))
        self.largest[bucket] = count
        images: list[Any] = [
            in_layout(photo.image, self.config)
            if isinstance(photo.image, np.ndarray)
            else photo.image
            for photo in photos
        ]
        # The last image again: what is computed for it is thrown away, and costs less than to
        # compile a program for a smaller batch.
        images += images[-1:] * (count - len(photos))
        results = self.preprocess(images)
        # A batch comes to the host at once, not row by row.
        results = np.asarray(results) if hasattr(results, "shape") else map(np.asarray, results)
        results = list(results)[: len(photos)]
        return [as_stored(result, self.dtype) for result in results]
