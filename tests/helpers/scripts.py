"""Runs scripts in processes of their own, which have imported the libraries: two seconds each.

`python -m helpers.scripts MODULE...` imports, and waits for requests, each a line of JSON:
`{"command": [SCRIPT, ARGUMENT...], "stdout": FILE, "stderr": FILE}`. The answers are a line with
the number of the process, and one with its exit code when it has ended.
"""

from __future__ import annotations

import importlib
import json
import os
import runpy
import sys
from pathlib import Path

from helpers import quick


def run_script(command: list[str], stdout: str, stderr: str) -> None:
    """Run a script as `python SCRIPT ARGUMENT...` does, beside its own modules."""
    for file, descriptor in ((stdout, 1), (stderr, 2)):
        os.dup2(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), descriptor)
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
