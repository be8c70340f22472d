"""Files that are there as a whole or not at all."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

TEMPORARY = ".jaxprep-"
"""How the names of files begin that are being written."""


@contextmanager
def replacing(path: Path) -> Iterator[IO[Any]]:
    """A binary file to write; it takes the place of `path` at the end, or, if anything is raised,
    is gone.
    """
    with tempfile.NamedTemporaryFile(dir=path.parent, prefix=TEMPORARY, delete=False) as file:
        try:
            yield file
            file.close()
            os.chmod(file.name, 0o644)
            os.replace(file.name, path)
        except BaseException:
            os.unlink(file.name)
            raise


def remove_temporaries(folder: Path) -> None:
    """Removes what a process that was killed left of `replacing`, in a folder and below."""
    for path in folder.rglob(f"{TEMPORARY}*"):
        path.unlink(missing_ok=True)
