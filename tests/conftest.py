"""What every test shares: four CPU devices, checks of the arrays that public functions take and
return, the photographs, a hub on the loopback interface.
"""

from __future__ import annotations

import os

os.environ["JAX_PLATFORMS"] = "cpu"
os.environ["XLA_FLAGS"] = (
    f"{os.environ.get('XLA_FLAGS', '')} --xla_force_host_platform_device_count=4".strip()
)
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

import signal
import socket
from collections.abc import Iterator
from pathlib import Path

import jax
import pytest

pytest.register_assert_rewrite("helpers")

from helpers import annotations
from helpers.hub_server import HubServer

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


@pytest.fixture(scope="module", autouse=True)
def drop_programs() -> Iterator[None]:
    """Free the compiled programs of a file when its last test is done: few are used by the next."""
    yield
    jax.clear_caches()


@pytest.fixture
def offline_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Run the test in an empty folder without a network, as after `pip install` from elsewhere: an
    example works as it is written, for everyone, or fails.
    """

    def refuse(self: socket.socket, address: object) -> None:
        raise OSError(f"Expected an example that needs no network, got a connection to {address}.")

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(socket.socket, "connect", refuse)
    return tmp_path


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
