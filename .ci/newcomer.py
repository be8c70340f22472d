#!/usr/bin/env python3
"""Does what README.md promises, as a newcomer would: its two commands, then the project's checks.

Each command runs in a fresh copy of the working tree (what git tracks or would track), outside any
virtual environment. The checks run after the tests, in the environment that the test command made,
with the extras `dev` and `docs`. Where a Python 3.13 is installed, a part of the tests runs there
too, as pip gives that Python a newer JAX. The last line is that of the first run of pytest; the
exit status is 0 only if everything succeeded.
"""

import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
CHECKS = (
    "ruff check .",
    "ruff format --check .",
    "pyright",
    "lint-imports",
    "python docs/build.py",
)
NEWEST = "3.13"
# Not all tests: the whole of this file has 25 minutes on two cores.
NEWEST_TESTS = (
    "tests/pipeline/test_transforms.py",
    "tests/postprocess/test_laws.py",
    "tests/host",
)
DROPPED = (
    "VIRTUAL_ENV",
    "PYTHONPATH",
    "PYTHONHOME",
    # a newcomer's Python buffers its output, and keeps the bytecode that it made: without it each
    # of the many processes compiles the tests again, for a minute
    "PYTHONUNBUFFERED",
    "PYTHONDONTWRITEBYTECODE",
)
"""Variables of the caller that the commands do not see."""
COMMAND = r"<!-- ci:{} -->\s*```(?:console|bash)\n(?:\$ )?([^\n]+)\n```"
CLOSING = re.compile(
    r"=*\s*(\d+ (passed|failed|skipped|errors?|deselected|warnings?)|no tests ran)\b.* in [\d.]+s"
)


def main() -> int:
    readme = (ROOT / "README.md").read_text()
    commands = {marker: readme_command(readme, marker) for marker in ("run", "test")}
    with tempfile.TemporaryDirectory(prefix="jaxprep-ci-") as scratch:
        failed = []
        for marker, command in commands.items():
            copy = fresh_copy(Path(scratch, marker))
            ok, output = run(command, copy)
            failed += [] if ok else [command]
        closing = [line for line in output if CLOSING.match(line)]
        for check in ("pip install --quiet -e '.[dev,docs]'", *CHECKS):
            ok, _ = run(check, copy, venv=made_venv(copy))
            failed += [] if ok else [check]
        failed += newest_failures(Path(scratch, "newest"))
    for command in failed:
        print(f"FAILED: {command}")
    print(closing[-1] if closing else "pytest printed no closing line")
    return 1 if failed or not closing else 0


def newest_failures(folder: Path) -> list[str]:
    """The commands that fail on Python 3.13: none where there is no such Python."""
    python = newest_python()
    if python is None:
        print(f"\nNo Python {NEWEST} here: the tests did not run on it.", flush=True)
        return []
    copy = fresh_copy(folder)
    venv = made_venv(copy, python)
    commands = (
        "pip install --quiet -e '.[test]'",
        "python -c 'import jax, sys; print(sys.version, jax.__version__)'",
        f"python -m pytest {' '.join(NEWEST_TESTS)}",
    )
    for command in commands:
        ok, _ = run(command, copy, venv=venv)
        if not ok:
            return [f"{command} (Python {NEWEST})"]
    return []


def newest_python() -> str | None:
    """A Python 3.13 that starts: on the PATH, or one that pyenv installed."""
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv"), "versions")
    installed = sorted(pyenv.glob(f"{NEWEST}.*/bin/python{NEWEST}"))
    for python in filter(None, (shutil.which(f"python{NEWEST}"), *map(str, installed))):
        # pyenv's own `python3.13` on the PATH refuses where another version is chosen
        if subprocess.run([python, "-c", ""], capture_output=True).returncode == 0:
            return python
    return None


def readme_command(readme: str, marker: str) -> str:
    """The one line of code that follows `<!-- ci:marker -->`."""
    found = re.findall(COMMAND.format(marker), readme)
    if len(found) != 1:
        sys.exit(
            f"Expected one ```console block of one line after <!-- ci:{marker} --> in README.md, "
            f"got {len(found)}."
        )
    return found[0]


def fresh_copy(folder: Path) -> Path:
    listed = subprocess.run(
        ["git", "ls-files", "-z", "-co", "--exclude-standard"],
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
    )
    for name in filter(None, listed.stdout.split("\0")):
        if (ROOT / name).is_file():  # a file may be deleted and the deletion not committed
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, folder / name)
    return folder


def made_venv(copy: Path, python: str = sys.executable) -> Path:
    """The virtual environment that the README's command left in the copy, or a new one of
    `python`.
    """
    made = sorted(copy.glob("*/pyvenv.cfg"))
    if made:
        return made[0].parent
    subprocess.run([python, "-m", "venv", copy / ".venv-dev"], check=True)
    return copy / ".venv-dev"


def run(command: str, folder: Path, venv: Path | None = None) -> tuple[bool, list[str]]:
    """Run a command line with bash, showing its output.

    Returns:
        whether it succeeded, and the lines that it printed.
    """
    print(f"\n$ {command}", flush=True)
    start = time.monotonic()
    process = subprocess.Popen(
        ["bash", "-o", "pipefail", "-c", command],
        cwd=folder,
        env=environment(venv),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
    )
    assert process.stdout is not None
    lines = []
    for line in process.stdout:
        print(line, end="", flush=True)
        lines.append(line.rstrip("\n"))
    status = process.wait()
    print(f"-- exit {status}, {time.monotonic() - start:.1f} s", flush=True)
    return status == 0, lines


def environment(venv: Path | None) -> dict[str, str]:
    """Return ours without an active Python environment, and with `venv` active if one is given."""
    outside = {key: value for key, value in os.environ.items() if key not in DROPPED}
    paths = [
        p for p in os.environ["PATH"].split(os.pathsep) if not Path(p, "..", "pyvenv.cfg").exists()
    ]
    if venv is not None:
        outside["VIRTUAL_ENV"] = str(venv)
        paths.insert(0, str(venv / "bin"))
    return outside | {"PATH": os.pathsep.join(paths)}


if __name__ == "__main__":
    sys.exit(main())
