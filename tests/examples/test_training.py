"""The training scripts of `examples/`, each in a process of its own: they learn, and resume.

In the scripts themselves every step function is under `chex.assert_max_traces(n=1)`, and the loop
under `jax.transfer_guard("disallow")`: a second trace or an implicit transfer ends the run.
"""

from __future__ import annotations

import importlib.util
import os
import random
import re
import signal
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import jax
import numpy as np
import pytest
from helpers import scripts

from jaxprep import checkpoint

# one of the scripts imports it, to write the data: here it would take a second
if importlib.util.find_spec("sklearn") is None:
    pytest.skip("Expected scikit-learn, which has the digits.", allow_module_level=True)

ROOT = Path(__file__).resolve().parents[2]

EPOCHS, STEPS = 2, 46
"""Of the short runs: 1,437 examples in batches of 64, of which the last is filled up."""

ACCURACIES = {
    "train_linen.py": 0.85,
    "train_nnx.py": 0.80,
    "train_devices.py": 0.85,
    "finetune_huggingface.py": 0.82,
}
"""What each script reaches in 2 epochs at least; `examples/README.md` says what in all."""
OPTIONS = {"train_devices.py": ["--cpu-devices", "4"]}


LIBRARIES = ("chex", "jax", "optax", "orbax.checkpoint", "flax.linen", "flax.nnx", "jaxprep")
"""What the scripts import, once for all runs."""


@dataclass(frozen=True)
class Runs:
    """Runs scripts one by one, which share the data, the imports and what they compile."""

    folder: Path
    scripts: scripts.Scripts
    accuracies: dict[str, float] = field(default_factory=dict)

    def start(self, script: str, output: str) -> int:
        """Start a script, and return the number of its process."""
        options = ["--data", self.folder / "digits", "--epochs", EPOCHS, *OPTIONS.get(script, [])]
        command = [ROOT / "examples" / script, "--output", self.folder / output, *options]
        return self.scripts.start(command)

    def undisturbed(self, script: str) -> float:
        """Run a script once from its beginning to its end, and return its accuracy."""
        if script not in self.accuracies:
            self.accuracies[script] = self.finish(script, f"undisturbed {script}")
        return self.accuracies[script]

    def finish(self, script: str, output: str) -> float:
        """Run a script to its end, from where its output folder stands."""
        self.start(script, output)
        exit_code = self.scripts.answer(timeout=300)
        found = re.search(r"accuracy (\S+) on 360 test images", self.scripts.read("stdout"))
        assert exit_code == 0 and found is not None, self.scripts.read("stderr")
        return float(found[1])

    def kill(self, script: str, output: str, step: int) -> None:
        """Start a script, and kill it when its progress bar has reached a step."""
        process = self.start(script, output)
        is_killed = False
        while not self.scripts.is_answered(timeout=0.01):
            steps = re.findall(rf" (\d+)/{STEPS} ", self.scripts.read("stderr"))
            if not is_killed and steps and int(steps[-1]) >= step:
                os.kill(process, signal.SIGKILL)
                is_killed = True
        assert self.scripts.answer(timeout=1) == -signal.SIGKILL, self.scripts.read("stderr")

    def state(self, output: str) -> dict[str, bytes]:
        """The bits of every array of the last checkpoint, by its place."""
        state = checkpoint.restore(self.folder / output / str(STEPS)).state
        return {
            jax.tree_util.keystr(path): _bits(leaf)
            for path, leaf in jax.tree.leaves_with_path(state)
        }


def _bits(leaf: jax.Array) -> bytes:
    if jax.dtypes.issubdtype(leaf.dtype, jax.dtypes.prng_key):
        leaf = jax.random.key_data(leaf)
    return np.asarray(leaf).tobytes()


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Runs]:
    folder = tmp_path_factory.mktemp("examples")
    # the scripts choose how many devices they have
    flags = [flag for flag in os.environ["XLA_FLAGS"].split() if "device_count" not in flag]
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "tests")]),
        "JAX_COMPILATION_CACHE_DIR": str(folder / "programs"),
        "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
        "TQDM_MININTERVAL": "0",  # every step is shown
        "TQDM_MINITERS": "1",
        # compiling takes half of the time otherwise
        "JAX_DISABLE_MOST_OPTIMIZATIONS": "1",
        "XLA_FLAGS": " ".join(flags),
    }
    with scripts.serve(folder, LIBRARIES, environment) as server:
        yield Runs(folder, server)


@pytest.mark.parametrize("script", ACCURACIES)
def test_a_script_reaches_its_accuracy_counting_each_test_image_once(script, runs):
    accuracy = runs.undisturbed(script)
    assert accuracy >= ACCURACIES[script]
    # of 360 images: the last batch has 40, and 24 that only fill it
    assert 360 * accuracy == pytest.approx(round(360 * accuracy), abs=0.02)


@pytest.mark.parametrize("script", ["train_linen.py", "train_nnx.py", "train_devices.py"])
def test_a_run_that_is_killed_and_resumed_ends_with_the_same_weights_in_every_bit(script, runs):
    runs.undisturbed(script)
    runs.kill(script, f"killed {script}", step=random.randint(1, STEPS - 10))
    runs.finish(script, f"killed {script}")
    assert runs.state(f"killed {script}") == runs.state(f"undisturbed {script}")
