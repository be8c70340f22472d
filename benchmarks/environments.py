"""Makes a virtual environment for each group of peers, once, and uses it again.

Only the standard library is imported. Groups have separate environments, since some of them exclude
each other's versions of NumPy or JAX, and so that none is slowed down by what another one imports.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from pathlib import Path

from processes import ROOT, variables

# without it, pip takes torch's CUDA build and several GB of libraries with it; --retries 1 gives up
# soon where that index cannot be reached
CPU_TORCH = ("--extra-index-url", "https://download.pytorch.org/whl/cpu", "--retries", "1")
JAX = "jax{}==0.10.2"
"""The release whose compilers `compile_ahead.py` asks: its numbers compare within one release."""

GROUPS: dict[str, tuple[tuple[str, ...], ...]] = {
    "jaxprep": (("--editable", ".[decode]", "pillow>=13"),),
    "loaders": (("--editable", ".[decode,grain]", "pillow>=13"),),
    "torch": (
        (*CPU_TORCH, "torch==2.13.0", "transformers>=5.20", "pillow>=13"),
        # PyPI's torchvision asks for the CUDA build of torch
        ("--no-deps", "torchvision==0.28.0", "timm"),
    ),
    "keras": (("keras-hub==0.32.0", "jax>=0.10", "pillow>=13"),),
    "opencv": (("opencv-python-headless", "pillow>=13"),),
    "kornia": (("kornia-rs>=0.2", "numpy>=2.0", "pillow>=13"),),
    "vips": (("pyvips[binary]", "numpy>=2.0", "pillow>=13"),),
    "dm_pix": (("dm-pix", "jax>=0.10", "pillow>=13"),),
    "plots": (("matplotlib",),),
    "tpu": (("--editable", ".", JAX.format("[tpu]")),),
    "cuda": (("--editable", ".", JAX.format("[cuda12]")),),
}
"""For each group, what one `pip install` after another is given, from the root of the checkout."""

IMPORTS = {
    "jaxprep": "jax, PIL",
    "loaders": "jax, PIL, grain",
    "torch": "torch, transformers",
    "keras": "keras_hub",
    "opencv": "cv2",
    "kornia": "kornia_rs",
    "vips": "pyvips",
    "dm_pix": "dm_pix",
    "plots": "matplotlib",
    "tpu": "jax, libtpu",
    "cuda": "jax, jax_plugins.xla_cuda12",
}
"""What a given python must be able to import to serve a group."""

DEFAULT = Path.home() / ".cache" / "jaxprep-benchmarks"


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--environments", type=Path, default=DEFAULT, metavar="DIR", help="default: %(default)s"
    )
    parser.add_argument(
        "--python",
        action="append",
        default=[],
        metavar="GROUP=PATH",
        help=f"an existing python for a group ({', '.join(GROUPS)}), instead of a new environment",
    )


def pythons(args: argparse.Namespace, groups: set[str]) -> dict[str, str]:
    """Return the python of each group; a line on stderr for each group that cannot be had.

    Args:
        args: with the options of `add_options`.
        groups: keys of `GROUPS`.
    """
    given = dict(item.split("=", 1) for item in args.python)
    if unknown := set(given) - set(GROUPS):
        known, got = ", ".join(GROUPS), ", ".join(sorted(unknown))
        raise SystemExit(f"Expected GROUP=PATH with one of {known}, got {got}.")
    usable: dict[str, str] = {}
    for group in sorted(groups):
        python = given.get(group) or _made(group, args.environments)
        why_not = "not installed" if python is None else _why_not(python, group)
        if why_not:
            print(f"{group}: skipped ({why_not})", file=sys.stderr)
        else:
            usable[group] = python
    return usable


def _made(group: str, folder: Path) -> str | None:
    """Return the python of a group's environment, which is made now unless it holds the same
    packages already; None where it cannot be made.
    """
    home, note = folder / group, folder / group / "installed.json"
    python, wanted = str(home / "bin" / "python"), json.dumps(GROUPS[group])
    if note.exists() and note.read_text() == wanted:
        return python
    print(f"{group}: installing into {home}", file=sys.stderr)
    commands = [[sys.executable, "-m", "venv", "--clear", str(home)]]
    commands += [
        [python, "-m", "pip", "install", "--quiet", *packages] for packages in GROUPS[group]
    ]
    for command in commands:
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
        if done.returncode:
            words = done.stderr.strip().splitlines() or ["pip failed"]
            print(f"{group}: {words[-1]}", file=sys.stderr)
            return None
    # last, so that an environment that was left half made is made again
    note.write_text(wanted)
    return python


def _why_not(python: str, group: str) -> str:
    """Why a python cannot serve a group; nothing if it can."""
    command = [python, "-c", f"import {IMPORTS[group]}"]
    try:
        done = subprocess.run(command, env=variables(1), capture_output=True, text=True)
    except OSError as error:
        return str(error)
    if not done.returncode:
        return ""
    words = done.stderr.strip().splitlines() or ["it failed"]
    return words[-1]
