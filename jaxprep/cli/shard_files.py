"""Writes many results to one file: NumPy's `.npz`, Parquet by pyarrow, ArrayRecord."""

from __future__ import annotations

import errno
import importlib.util
import os
from collections.abc import Callable, Sequence
from typing import IO, TYPE_CHECKING, Any, NamedTuple

import numpy as np

from jaxprep.errors import MissingPackageError

if TYPE_CHECKING:
    from jaxprep.cli.sources import Source

Results = np.ndarray | Sequence[np.ndarray]
"""Results of one shape as one array; others as a list."""
GROUP = 16
"""Rows of a row group of Parquet: what a reader of one row has to read."""


class ShardKind(NamedTuple):
    """Says how results are put into one file.

    Attributes:
        package: that writes it, None for NumPy; the extra of jaxprep has the name of the format.
        write: writes to a file that is open and empty.

    >>> KINDS["parquet"].package
    'pyarrow'
    """

    package: str | None
    write: Callable[[IO[bytes], Results, Sequence[Source]], None]


def check_installed(format: str) -> None:
    """Raise `MissingPackageError` where the package that writes a format is not installed.

    >>> check_installed("npz")
    """
    package = KINDS[format].package if format in KINDS else None
    if package is not None and importlib.util.find_spec(package) is None:
        raise MissingPackageError(
            f"Expected the package `{package}` for --format {format}: pip install "
            f"'jaxprep[{format}]'."
        )


def _write_npz(file: IO[bytes], results: Results, sources: Sequence[Source]) -> None:
    if isinstance(results, np.ndarray):
        arrays: dict[str, Any] = {"images": results}
    else:
        arrays = {f"image_{row}": result for row, result in enumerate(results)}
    if sources[0].label is not None:
        arrays["labels"] = np.array([source.label for source in sources], np.int32)
    np.savez(file, **arrays, paths=np.array([str(source.path) for source in sources]))


def _write_parquet(file: IO[bytes], results: Results, sources: Sequence[Source]) -> None:
    import pyarrow
    from pyarrow import parquet

    # Bytes and a shape, not lists of numbers: Arrow has no bfloat16, sizes may differ, and 150,000
    # numbers of a list would each be looked at.
    columns = {
        "path": pyarrow.array([_unicode(source) for source in sources], pyarrow.string()),
        "image": pyarrow.array([result.tobytes() for result in results], pyarrow.binary()),
        "shape": pyarrow.array(
            [list(result.shape) for result in results], pyarrow.list_(pyarrow.int32())
        ),
        "dtype": pyarrow.array([result.dtype.name for result in results], pyarrow.string()),
    }
    if sources[0].label is not None:
        columns["label"] = pyarrow.array([source.label for source in sources], pyarrow.int32())
    # A dictionary of the distinct values, and statistics of bytes, are of no use for images.
    options: Any = {"use_dictionary": ["dtype"], "write_statistics": ["path"]}
    parquet.write_table(pyarrow.table(columns), file, row_group_size=GROUP, **options)


def _write_array_record(file: IO[bytes], results: Results, sources: Sequence[Source]) -> None:
    from array_record.python.array_record_module import ArrayRecordWriter
    from flax.serialization import msgpack_serialize

    # It opens the file by its name, to which nothing has been written yet. One record in a group,
    # since Grain reads them in any order: https://google-grain.readthedocs.io
    try:
        writer = ArrayRecordWriter(file.name, "group_size:1")
        for result, source in zip(results, sources, strict=True):
            record: dict[str, Any] = {"image": result, "path": _unicode(source)}
            if source.label is not None:
                record["label"] = source.label
            writer.write(msgpack_serialize(record))
        writer.close()
    # An error of the system, in words.
    except RuntimeError as error:
        codes = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
        code = next((code for code in codes if os.strerror(code) in str(error)), errno.EIO)
        raise OSError(code, os.strerror(code), file.name) from error


def _unicode(source: Source) -> str:
    """The path as text that any program reads; `manifest.jsonl` has it exactly."""
    return os.fsencode(source.path).decode("utf-8", "backslashreplace")


KINDS = {
    "npz": ShardKind(None, _write_npz),
    "parquet": ShardKind("pyarrow", _write_parquet),
    "array_record": ShardKind("array_record", _write_array_record),
}
"""By the name of the format, which is also how the names of its files end."""
