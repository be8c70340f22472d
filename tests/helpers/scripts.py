"""Runs scripts in processes of their own, which have imported the libraries: two seconds each.

`python -m helpers.scripts MODULE...` imports, and waits for requests, each a line of JSON:
`{"command": [SCRIPT, ARGUMENT...], "environment": {}, "stdout": FILE, "stderr": FILE}`. The answers
are a line with the number of the process, and one with its exit code when it has ended. `Scripts`
starts this program, and asks it.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import os
import runpy
import select
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from helpers import quick


@dataclass(frozen=True)
class Scripts:
    """Runs scripts one by one, each in a process of its own; `folder` holds what the last wrote."""

    folder: Path
    server: subprocess.Popen[bytes]

    def start(self, command: Sequence[Any], environment: Mapping[str, str] | None = None) -> int:
        """Start a script, with more variables in its environment; return its process' number."""
        request = {
            "command": [str(part) for part in command],
            "environment": dict(environment or {}),
            "stdout": str(self.folder / "stdout"),
            "stderr": str(self.folder / "stderr"),
        }
        # what the last script has written is not this one's
        for file in ("stdout", "stderr"):
            (self.folder / file).write_bytes(b"")
        assert self.server.stdin is not None
        self.server.stdin.write(json.dumps(request).encode() + b"\n")
        return self.answer(timeout=60)

    def answer(self, timeout: float) -> int:
        """Return the number of the process that has started, or the exit code of the one that has
        ended."""
        assert self.is_answered(timeout), self.read("stderr")
        assert self.server.stdout is not None
        return int(self.server.stdout.readline())

    def is_answered(self, timeout: float) -> bool:
        readable, _, _ = select.select([self.server.stdout], [], [], timeout)
        return bool(readable)

    def read(self, file: str) -> str:
        return (self.folder / file).read_text("utf-8", "replace")


@contextlib.contextmanager
def serve(
    folder: Path, modules: Sequence[str], environment: Mapping[str, str]
) -> Iterator[Scripts]:
    """Run scripts in processes that have imported `modules`, until the `with` block ends."""
    with subprocess.Popen(
        [sys.executable, "-m", "helpers.scripts", *modules],
        env=dict(environment),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        bufsize=0,  # or `select` would not see a line that was read with the one before
    ) as server:
        yield Scripts(folder, server)


def run_script(command: list[str], environment: dict[str, str], stdout: str, stderr: str) -> None:
    """Run a script as `python SCRIPT ARGUMENT...` does, beside its own modules."""
    for file, descriptor in ((stdout, 1), (stderr, 2)):
        os.dup2(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), descriptor)
    os.environ.update(environment)
    sys.argv = command
    sys.path.insert(0, str(Path(command[0]).parent))
    runpy.run_path(command[0], run_name="__main__")


def _main() -> None:
    quick.collect_rarely()
    quick.lower_in_one_context()
    for name in sys.argv[1:]:
        importlib.import_module(name)
    for line in sys.stdin:
        # nothing has asked for the devices yet, which start the threads of XLA
        process = os.fork()
        if process == 0:
            run_script(**json.loads(line))
            return
        print(process, flush=True)
        _, status = os.waitpid(process, 0)
        print(os.waitstatus_to_exitcode(status), flush=True)


if __name__ == "__main__":
    _main()
