"""Settings that callers make for code of their own change no result: not a bit, not a type.

A setting acts before XLA compiles, on the program that it is given. So all processes compile in the
cheapest way alike, in a fifth of the time; but for the last test, which is about how XLA compiles.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from helpers import quick, scripts
from settings import laws

ROOT = Path(__file__).resolve().parents[2]
CHEAP = "--xla_backend_optimization_level=0"


LIBRARIES = ("jax", "flax.struct", "jaxtyping", "PIL.Image", "jax.experimental.multihost_utils")
"""What the processes share. `jaxprep` is not among them: a setting holds before it is imported."""


@dataclass(frozen=True)
class Processes:
    """Runs calls, each time in a process of its own; a program is compiled once for all of them."""

    scripts: scripts.Scripts

    def results(self, setting: str, flags: str = CHEAP, which: str = "all") -> dict[str, str]:
        """What calls give under a setting, with more flags for XLA."""
        file = self.scripts.folder / "results.json"
        flags = f"{os.environ['XLA_FLAGS']} {flags}"
        self.scripts.start([laws.__file__, setting, which, file], {"XLA_FLAGS": flags})
        assert self.scripts.answer(timeout=1200) == 0, self.scripts.read("stderr")[-4000:]
        return json.loads(file.read_text())


@pytest.fixture(scope="module")
def processes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Processes]:
    folder = tmp_path_factory.mktemp("settings")
    environment = {
        **os.environ,
        "PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'tests'}",  # jaxprep, and helpers of tests
        "JAX_COMPILATION_CACHE_DIR": str(folder / "programs"),
        "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
        "JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES": "-1",
    }
    with scripts.serve(folder, LIBRARIES, environment) as server:
        yield Processes(server)


@pytest.fixture(scope="module")
def expected(processes: Processes) -> dict[str, str]:
    """What all calls give without a setting."""
    return processes.results("none")


def test_every_call_gives_arrays_without_a_setting(expected: dict[str, str]):
    assert len(expected) > 50
    assert [name for name, result in expected.items() if "float32" in result] != []
    assert {name: result for name, result in expected.items() if "Error" in result} == {}


@pytest.mark.parametrize("setting", [name for name in laws.SETTINGS if name != "none"])
def test_every_call_gives_the_same_bits_under_a_setting(
    setting: str, processes: Processes, expected: dict[str, str]
):
    got = processes.results(setting)
    different = {name: (got[name], want) for name, want in expected.items() if got[name] != want}
    assert different == {}


@pytest.mark.skipif(not quick.XLA_FLAGS, reason="this XLA may have no such flags")
def test_presets_have_the_same_bits_as_the_tests_compile_them_and_as_users_do(
    processes: Processes,
):
    """The flags for XLA of `helpers/quick.py` change no bit, of eager calls nor of jitted ones."""
    as_users_do = "--xla_cpu_use_fusion_emitters=true --xla_cpu_parallel_codegen_split_count=32"
    as_tests_do = " ".join(quick.XLA_FLAGS)
    tested, usual = (
        processes.results("none", flags, "presets") for flags in (as_tests_do, as_users_do)
    )
    assert len(tested) > 15
    assert tested == usual
