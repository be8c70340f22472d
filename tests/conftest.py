"""What every test shares: four CPU devices, the programs that a run compiled, checks of the arrays
that public functions take and return, the photographs, a hub on the loopback interface.
"""

from __future__ import annotations

import os

import pytest

pytest.register_assert_rewrite("helpers")

from helpers import quick

AS_USERS_COMPILE = "JAXPREP_ALL_GOLDENS" in os.environ
"""Whether XLA compiles every program as it does for users, which takes three times as long."""

os.environ["JAX_PLATFORMS"] = "cpu"
XLA_FLAGS = ["--xla_force_host_platform_device_count=4"]
if not AS_USERS_COMPILE:
    XLA_FLAGS += quick.XLA_FLAGS
os.environ["XLA_FLAGS"] = " ".join(filter(None, (os.environ.get("XLA_FLAGS"), *XLA_FLAGS)))
os.environ["HF_HUB_DISABLE_TELEMETRY"] = "1"
os.environ["HF_HUB_DISABLE_PROGRESS_BARS"] = "1"
os.environ["NO_PROXY"] = ",".join(filter(None, (os.environ.get("NO_PROXY"), "127.0.0.1")))
for name in (
    "HF_ENDPOINT",
    "HF_HUB_OFFLINE",
    "TRANSFORMERS_OFFLINE",
    "HF_TOKEN",
    "HUGGING_FACE_HUB_TOKEN",
):
    os.environ.pop(name, None)

import contextlib
import ctypes
import gc
import shutil
import signal
import socket
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import jax
from helpers import annotations
from helpers.hub_server import HubServer

from jaxprep.pipeline import eager

# `pytest &` and cron start processes that ignore Ctrl-C, which some tests press
signal.signal(signal.SIGINT, signal.default_int_handler)

ROOT = Path(__file__).resolve().parents[1]
PHOTOS = ROOT / "examples" / "photos"
CHECKED_FUNCTIONS = annotations.check_public_functions()


@pytest.fixture(scope="session")
def photos() -> Path:
    """The folder of real photographs, `*.jpg`."""
    return PHOTOS


@pytest.fixture(scope="session")
def checked_functions() -> list[str]:
    """The names of the functions whose annotated arrays are checked in all tests."""
    return CHECKED_FUNCTIONS


def pytest_configure(config: pytest.Config) -> None:
    """Let a worker, and the processes that it starts, compile a program once in a run.

    What took XLA longer than 0.1 s is kept in a folder that is empty at first and gone at the end.
    Without it a sixth of the time that compiling takes goes into programs that the same file has
    compiled before. Workers share nothing: JAX writes such files in place, where the other may read
    a half. A folder that the caller chose is used as it is.
    """
    starts_workers = config.getoption("numprocesses", None) and not hasattr(config, "workerinput")
    if starts_workers or "JAX_COMPILATION_CACHE_DIR" in os.environ:
        return
    folder = tempfile.TemporaryDirectory(prefix="jaxprep-programs-")
    config.add_cleanup(folder.cleanup)
    settings = {
        "jax_compilation_cache_dir": folder.name,
        "jax_persistent_cache_min_compile_time_secs": 0.1,
    }
    for name, value in settings.items():
        jax.config.update(name, value)
        os.environ[name.upper()] = str(value)


def pytest_collection_finish() -> None:
    """Leave out of all later garbage collections what lives until the end: 8,000 tests and the
    libraries they compare with, through which each collection would walk for a second."""
    gc.collect()
    gc.freeze()


quick.lower_in_one_context()
quick.collect_rarely()

after_drop = [0.0]
"""Bytes that this process held when its programs were dropped last."""


def drop_programs() -> None:
    """Free all compiled programs, and give their memory back: 2 GB a worker are enough."""
    jax.clear_caches()
    eager.forget_ready()  # or small images would wait for the program of a large one
    quick.forget_contexts()
    gc.collect()
    if sys.platform == "linux":
        # glibc keeps what is freed: 25 programs take 170 MB, of which half comes back only so
        ctypes.CDLL(None).malloc_trim(0)
    after_drop[0] = memory()


@pytest.fixture(scope="module", autouse=True)
def programs_of_one_file() -> Iterator[None]:
    """Free the compiled programs of a file when its last test is done: few are used by the next."""
    yield
    drop_programs()


def memory() -> float:
    """The bytes of memory that this process holds; 0 where Linux does not say."""
    if sys.platform != "linux":
        return 0
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


@pytest.fixture(autouse=True)
def bounded_memory() -> Iterator[None]:
    """Free them after a test, too, where the process has grown large, and by much since then: what
    modules and references hold is not freed, and freeing costs a second, and programs."""
    yield
    if memory() > max(1.2e9, after_drop[0] + 2e8):
        drop_programs()


BUILT_ON_ARITHMETIC = {
    "doctor",
    "facade",
    "huggingface",
    "looking",
    "postprocess",
    "undoing",
}
"""Folders about calls, size rules, layouts, labels and files: what they compute is built on the
arithmetic that `resample`, `ops`, `pipeline`, `formats` and `augment` compare with references."""


@contextlib.contextmanager
def few_optimizations() -> Iterator[None]:
    jax.config.update("jax_disable_most_optimizations", not AS_USERS_COMPILE)
    yield
    jax.config.update("jax_disable_most_optimizations", False)


@pytest.fixture(scope="module")
def quick_compilation() -> Iterator[None]:
    """Compile the programs of a file in half the time, with little optimisation by LLVM.

    The programs and their fusions are the same. Only the last bits of floats change, as LLVM fuses
    no product with a sum. So this is for what is about calls (what is taken, refused, named, typed,
    shaped, saved), and for the folders of `BUILT_ON_ARITHMETIC`. Where every bit of a float is
    compared, LLVM optimises as it does for users. With `JAXPREP_ALL_GOLDENS=1` it does so
    everywhere.
    """
    with few_optimizations():
        yield


@pytest.fixture(scope="module", autouse=True)
def quick_compilation_of_folders(request: pytest.FixtureRequest) -> None:
    """Compile so all files of the folders of `BUILT_ON_ARITHMETIC`."""
    if request.path.parent.name in BUILT_ON_ARITHMETIC:
        request.getfixturevalue("quick_compilation")


@pytest.fixture
def quick_compilation_of_a_test() -> Iterator[None]:
    """The same for one test of a file."""
    with few_optimizations():
        yield


@pytest.fixture
def compilation_of_users(quick_compilation: None) -> Iterator[None]:
    """Compile as users do for one test of a file that is compiled quickly."""
    jax.config.update("jax_disable_most_optimizations", False)
    yield
    jax.config.update("jax_disable_most_optimizations", not AS_USERS_COMPILE)


@pytest.fixture(scope="module")
def empty_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder for `offline_folder`: one for each of 1,700 examples takes seconds."""
    return tmp_path_factory.mktemp("empty")


@pytest.fixture
def offline_folder(empty_folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Run the test in an empty folder without a network, as after `pip install` from elsewhere: an
    example works as it is written, for everyone, or fails.
    """

    def refuse(self: socket.socket, address: object) -> None:
        raise OSError(f"Expected an example that needs no network, got a connection to {address}.")

    monkeypatch.chdir(empty_folder)
    monkeypatch.setattr(socket.socket, "connect", refuse)
    yield empty_folder
    for path in empty_folder.iterdir():
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink()


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[HubServer]:
    """A hub of its own for the test, with an empty cache (`tmp_path / "hub"`), nobody logged in, no
    waiting.
    """
    from huggingface_hub import close_session, constants

    server = HubServer()
    monkeypatch.setattr(constants, "ENDPOINT", server.endpoint)
    template = server.endpoint + "/{repo_id}/resolve/{revision}/{filename}"
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr(constants, "HF_TOKEN_PATH", str(tmp_path / "token"))
    monkeypatch.setattr("time.sleep", lambda seconds: None)
    yield server
    close_session()
    server.close()
