#!/usr/bin/env python3
"""Does what README.md promises, as a newcomer would: its two commands, then the project's checks.

Each command runs in a fresh copy of the working tree (what git tracks or would track), outside any
virtual environment. The checks run after the tests, in the environment that the test command made,
with the extra `dev`. The last line is pytest's; the exit status is 0 only if everything succeeded.
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
CHECKS = ("ruff check .", "ruff format --check .", "pyright", "lint-imports")
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
        for check in ("pip install --quiet -e '.[dev]'", *CHECKS):
            ok, _ = run(check, copy, venv=made_venv(copy))
            failed += [] if ok else [check]
    for command in failed:
        print(f"FAILED: {command}")
    print(closing[-1] if closing else "pytest printed no closing line")
    return 1 if failed or not closing else 0


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


def made_venv(copy: Path) -> Path:
    """The virtual environment that the README's command left in the copy, or a new one."""
    made = sorted(copy.glob("*/pyvenv.cfg"))
    if made:
        return made[0].parent
    subprocess.run([sys.executable, "-m", "venv", copy / ".venv-dev"], check=True)
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
    outside = {
        key: value
        for key, value in os.environ.items()
        if key not in ("VIRTUAL_ENV", "PYTHONPATH", "PYTHONHOME")
    }
    paths = [
        p for p in os.environ["PATH"].split(os.pathsep) if not Path(p, "..", "pyvenv.cfg").exists()
    ]
    if venv is not None:
        outside["VIRTUAL_ENV"] = str(venv)
        paths.insert(0, str(venv / "bin"))
    return outside | {"PATH": os.pathsep.join(paths)}


if __name__ == "__main__":
    sys.exit(main())
