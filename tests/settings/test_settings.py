"""Settings that callers make for code of their own change no result: not a bit, not a type.

A setting acts before XLA compiles, on the program that it is given. So all processes compile in the
cheapest way alike, in a fifth of the time; but for the last test, which is about how XLA compiles.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from helpers import quick
from settings import laws

SCRIPT = Path(laws.__file__)
ROOT = SCRIPT.parents[2]
CHEAP = "--xla_backend_optimization_level=0"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder for results, and for the programs that the processes compile once for all."""
    return tmp_path_factory.mktemp("settings")


def results(setting: str, folder: Path, flags: str = CHEAP, which: str = "all") -> dict[str, str]:
    """What calls give, in a process of its own under a setting, with more flags for XLA."""
    file = folder / f"{setting}.json"
    environment = {
        **os.environ,
        "PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'tests'}",  # jaxprep, and helpers of tests
        "XLA_FLAGS": f"{os.environ['XLA_FLAGS']} {flags}",
        "JAX_COMPILATION_CACHE_DIR": str(folder / "programs"),
        "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
        "JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES": "-1",
    }
    command = [sys.executable, str(SCRIPT), setting, which, str(file)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-4000:]
    return json.loads(file.read_text())


@pytest.fixture(scope="module")
def expected(folder: Path) -> dict[str, str]:
    """What all calls give without a setting."""
    return results("none", folder)


def test_every_call_gives_arrays_without_a_setting(expected: dict[str, str]):
    assert len(expected) > 50
    assert [name for name, result in expected.items() if "float32" in result] != []
    assert {name: result for name, result in expected.items() if "Error" in result} == {}


@pytest.mark.parametrize("setting", [name for name in laws.SETTINGS if name != "none"])
def test_every_call_gives_the_same_bits_under_a_setting(
    setting: str, folder: Path, expected: dict[str, str]
):
    got = results(setting, folder)
    different = {name: (got[name], want) for name, want in expected.items() if got[name] != want}
    assert different == {}


@pytest.mark.skipif(not quick.XLA_FLAGS, reason="this XLA may have no such flags")
def test_presets_have_the_same_bits_as_the_tests_compile_them_and_as_users_do(folder: Path):
    """The flags for XLA of `helpers/quick.py` change no bit, of eager calls nor of jitted ones."""
    as_users_do = "--xla_cpu_use_fusion_emitters=true --xla_cpu_parallel_codegen_split_count=32"
    as_tests_do = " ".join(quick.XLA_FLAGS)
    tested, usual = (
        results("none", folder, flags, "presets") for flags in (as_tests_do, as_users_do)
    )
    assert len(tested) > 15
    assert tested == usual
