"""Defines `Source`: where a result comes from."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from jaxprep.cli.manifest import DONE, Record
from jaxprep.types import Size


class Source(NamedTuple):
    """Says where a result comes from.

    Attributes:
        path: the image file, absolute.
        fingerprint: of the file when it was decoded.
        size: height and width of the image.
        output_size: height and width of the result.
        label: number of the image's class; None where there are no labels.

    >>> source = Source(Path("/a.png"), {"bytes": 9}, (8, 6), (4, 4))
    >>> source.record({"file": "shard-00000.npz"}, 3)["row"]
    3
    """

    path: Path
    fingerprint: Record
    size: Size
    output_size: Size
    label: int | None = None

    def record(self, file: Record, row: int) -> Record:
        """Return the line of the manifest for the result.

        Args:
            file: that holds the result, as `describe_file` describes it.
            row: the position in the file.
        """
        sizes = {"size": list(self.size), "output_size": list(self.output_size)}
        return {
            "path": str(self.path),
            "status": DONE,
            **self.fingerprint,
            **sizes,
            **({} if self.label is None else {"label": self.label}),
            **file,
            "row": row,
        }
