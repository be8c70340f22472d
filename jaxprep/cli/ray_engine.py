"""Preprocesses files on the machines of a Ray cluster: `jaxprep run --engine ray`.

Ray's workers do what a local run does, a shard of the files at a time, each in a process with
programs of its own: they decode, preprocess, and write into a folder of this run below the output
folder. The process that began the run holds the output folder, and alone moves files there and
writes the manifest. So a run that dies, or one of its workers, leaves what a local run leaves, and
the next one goes on from the manifest; what a lost worker still writes is in nobody's way.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import logging
import os
import shutil
import tempfile
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from jaxprep import errors
from jaxprep.cli import convert
from jaxprep.cli.convert import Converter, Options, shard_size_of
from jaxprep.cli.manifest import Record
from jaxprep.cli.writers import Files, Shards, Writer
from jaxprep.errors import InputError, JaxprepError, MissingPackageError
from jaxprep.formats import Format
from jaxprep.host.find import absolute

PREFIX = ".ray-"
"""How the folder of a run's workers begins, below the output folder."""


class Answer(NamedTuple):
    """Says what became of the images of a task; it is JSON data.

    Attributes:
        folder: the worker's, with the files of results.
        records: lines of the manifest, with names in `folder`.
        errors: path, class and message, for images without results.

    >>> Answer("0", [], [("a.png", "DecodeError", "no image")]).errors[0][1]
    'DecodeError'
    """

    folder: str
    records: list[Record]
    errors: list[tuple[str, str, str]]


def check_installed() -> None:
    """Raise `MissingPackageError` where Ray is not installed.

    >>> check_installed()  # doctest: +SKIP
    """
    _ray_data()


def _ray_data() -> Any:
    try:
        import ray.data
    except ImportError as error:
        raise MissingPackageError(
            "Expected the package `ray`: pip install 'jaxprep[ray]'."
        ) from error
    return ray.data


def write_all(
    paths: Sequence[Path],
    converter: Converter,
    writer: Writer,
    reporter: convert.Reporter,
    stop_if_interrupted: Callable[[], None],
    options: Options,
) -> None:
    """Preprocess files and write their results, as `convert.write_all` does, by Ray's workers.

    The cluster is the one that this process is connected to, or that of `RAY_ADDRESS`; else one is
    started on this machine. All its machines share the files and the output folder.

    Raises:
        InputError: the output folder is not shared.

    >>> from jaxprep.formats import Timm
    >>> with tempfile.TemporaryDirectory() as folder:  # starts a cluster  # doctest: +SKIP
    ...     done = Done(Path(folder))
    ...     options = Options([], "a preset", folder, engine="ray", format="npy")
    ...     write_all([Path("photo.jpg")], Converter(Timm()), Files(done), done, print, options)
    """
    output = writer.manifest.folder.absolute()
    for old in output.glob(f"{PREFIX}*"):
        shutil.rmtree(old, ignore_errors=True)
    if not paths:
        return
    size = shard_size_of(converter.config, options)
    names = [str(absolute(path)) for path in paths]
    tasks = [names[start : start + size] for start in range(0, len(names), size)]
    made = tempfile.TemporaryDirectory(prefix=PREFIX, dir=output, ignore_cleanup_errors=True)
    with (
        made as folder,
        contextlib.closing(_answers(tasks, converter.config, folder, options)) as answers,
    ):
        for answer in answers:
            _adopt(answer, writer)
            reporter.converted(len(answer.records))
            for path, kind, message in answer.errors:
                reporter.report_image(Path(path), _error(kind, message))
            stop_if_interrupted()


def _adopt(answer: Answer, writer: Writer) -> None:
    try:
        writer.adopt(Path(answer.folder), answer.records)
    except FileNotFoundError as error:
        raise InputError(
            "Expected an output folder that all machines of the cluster share, got one where the "
            f"results of a worker are missing - at '{writer.manifest.folder}'."
        ) from error


def _error(kind: str, message: str) -> JaxprepError:
    """The error that a worker met, of its class."""
    made = getattr(errors, kind, errors.DecodeError)
    error: JaxprepError = made(message)
    return error


def _answers(
    tasks: Sequence[list[str]], config: Format, folder: str, options: Options
) -> Generator[Answer, None, None]:
    """Yield the answer of each task, in the order in which they are done."""
    data = _ray_data()

    # By value, with what it is bound to: Ray says much about arguments that an actor may lose.
    class BoundWorker(Worker):
        def __init__(self) -> None:
            super().__init__(config, folder, options)

    # An accelerator belongs to one process; so these compute on the CPU, unless somebody says else.
    variables = {"JAX_PLATFORMS": os.environ.get("JAX_PLATFORMS", "cpu")}
    with _connected() as ray:
        data.DataContext.get_current().enable_progress_bars = False
        cores = int(ray.cluster_resources().get("CPU", 1))
        workers = min(options.workers or cores, len(tasks))
        # Text, since tables of Arrow have no paths that are not Unicode.
        rows = [{"task": json.dumps([number, names])} for number, names in enumerate(tasks)]
        answers = data.from_items(rows, override_num_blocks=len(rows)).map(
            BoundWorker,
            compute=data.ActorPoolStrategy(min_size=1, max_size=workers),
            num_cpus=1,
            runtime_env={"env_vars": variables},
        )
        for row in answers.iter_rows():
            yield Answer(*json.loads(row["answer"]))


@contextlib.contextmanager
def _connected() -> Iterator[Any]:
    """Ray, connected to a cluster; to one that is started here, and ended, where there is none."""
    import ray

    # Its news go to stderr, where the progress bar is.
    loggers = [logging.getLogger(name) for name in ("ray", "ray.data")]
    levels = [logger.level for logger in loggers]
    is_connected = ray.is_initialized()
    if not is_connected:
        # It also logs an error for every pool of actors: https://github.com/ray-project/ray/issues/53727
        os.environ.setdefault("RAY_BACKEND_LOG_LEVEL", "fatal")
        ray.init(include_dashboard=False, log_to_driver=False, logging_level=logging.ERROR)
    try:
        for logger in loggers:
            logger.setLevel(logging.ERROR)
        yield ray
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
        if not is_connected:
            ray.shutdown()


class Worker:
    """Does tasks in a process of Ray, with the programs that its first tasks compiled.

    Args:
        config: of the preprocessing.
        folder: of the run's workers.
        options: of the run.

    >>> import tempfile
    >>> from jaxprep import data
    >>> from jaxprep.formats import Timm
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     worker = Worker(Timm(), folder, Options([], "a preset", folder))
    ...     task = json.dumps([0, [str(data.photo_path("chelsea"))]])
    ...     answer = Answer(*json.loads(worker({"task": task})["answer"]))
    >>> answer.records[0]["file"]
    'shard-00000.npz'
    """

    def __init__(self, config: Format, folder: str, options: Options):
        self.converter = Converter(config, options.dtype)
        self.folder = Path(folder)
        self.options = options

    def __call__(self, row: Mapping[str, str]) -> dict[str, str]:
        number, names = json.loads(row["task"])
        # A folder of its own, also for a task that is done again: its first worker may only be cut
        # off, and still write.
        done = Done(Path(tempfile.mkdtemp(prefix=f"{number}-", dir=self.folder)))
        writer: Writer = Files(done)
        if self.options.format != "npy":
            is_stacked = self.converter.config.image_size is not None
            writer = Shards(done, len(names), is_stacked, convert.MAX_BYTES, self.options.format)
        paths = [Path(name) for name in names]
        # The cores are the other workers'.
        options = dataclasses.replace(self.options, workers=1)
        convert.write_all(paths, self.converter, writer, done, lambda: None, options)
        answer = Answer(str(done.folder), list(done.records.values()), done.errors)
        return {"answer": json.dumps(answer)}


class Done:
    """Collects what a task did, for the process that writes the manifest.

    Attributes:
        folder: where the results are.
        records: lines of the manifest, by the path of the image.
        errors: path, class and message, for images without results.

    >>> Done(Path("out")).records
    {}
    """

    def __init__(self, folder: Path):
        self.folder = folder
        self.records: dict[str, Record] = {}
        self.errors: list[tuple[str, str, str]] = []

    def check_folder(self) -> None:
        """Do nothing: the folder is this task's alone."""

    def add(self, records: list[Record]) -> None:
        """Take lines of results that are on disk."""
        self.records |= {record["path"]: record for record in records}

    def remove_unlisted(self, is_result: Callable[[str], bool]) -> list[str]:
        """Delete nothing: the folder is new."""
        return []

    def report_image(self, path: Path, error: JaxprepError) -> None:
        """Take an image that could not be decoded or converted."""
        self.errors.append((str(path), type(error).__name__, str(error)))

    def converted(self, count: int) -> None:
        """Take how many more images have results: their lines say it."""
