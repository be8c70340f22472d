"""`jaxprep run --engine ray` does what a local run does, and goes on where it was killed."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from helpers.runs import image_file

import jaxprep
from jaxprep.errors import InputError

COUNT = 200
PRESET = "timm/resnet50.a1_in1k"
OPTIONS = ["--preset", PRESET, "--override", "image_size=[16,16]", "--shard-size", "10"]


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """200 JPEGs of different sizes, and a file that is none."""
    folder = tmp_path / "photos"
    for seed in range(COUNT):
        image_file(folder / f"{seed:03}.jpg", 30 + seed % 7, 40 + seed % 5, 3, seed=seed)
    (folder / "broken.jpg").write_bytes((folder / "000.jpg").read_bytes()[:300])
    return folder


def results(folder: Path) -> dict[str, bytes]:
    """The result of each image, by its name."""
    found = {}
    for file in folder.glob("*.npz"):
        with np.load(file) as arrays:
            for path, image in zip(arrays["paths"], arrays["images"], strict=True):
                found[Path(str(path)).name] = image.tobytes()
    return found


def lines(folder: Path) -> list[dict[str, str]]:
    try:
        text = (folder / "manifest.jsonl").read_text()
    except FileNotFoundError:
        return []
    return [json.loads(line) for line in text.splitlines(keepends=True) if line.endswith("\n")]


def test_a_run_of_ray_that_is_killed_half_way_goes_on_and_gives_the_bits_of_a_local_run(
    photos, tmp_path
):
    pytest.importorskip("ray")
    output = tmp_path / "ray"
    command = [sys.executable, "-m", "jaxprep", "run", str(photos), *OPTIONS, "--quiet"]
    command += ["--on-error", "skip", "--engine", "ray", "--workers", "2", "--output", str(output)]
    # A cluster of its own, which sees two cores whatever the machine has.
    environment = {**os.environ, "RAY_OVERRIDE_RESOURCES": json.dumps({"CPU": 2})}
    environment.pop("RAY_ADDRESS", None)
    process = subprocess.Popen(command, env=environment)
    deadline = time.monotonic() + 300
    while len(lines(output)) < COUNT // 4 and process.poll() is None:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    process.send_signal(signal.SIGKILL)
    process.wait()
    begun = {line["path"] for line in lines(output) if line["status"] == "done"}
    assert COUNT // 4 <= len(begun) < COUNT

    again = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300)
    assert again.returncode == 3 and "broken.jpg" in again.stderr, again.stderr

    local = jaxprep.preprocess_files(
        photos,
        PRESET,
        tmp_path / "local",
        overrides={"image_size": (16, 16)},
        on_error="skip",
        quiet=True,
    )
    assert (local.images, local.skipped) == (COUNT, 1)
    assert results(output) == results(tmp_path / "local") and len(results(output)) == COUNT
    assert set(Counter(line["path"] for line in lines(output)).values()) == {1}
    assert not list(output.glob(".ray-*"))


def test_ray_that_is_not_installed_is_one_line(photos, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(jaxprep.errors.MissingPackageError, match=r"pip install 'jaxprep\[ray\]'"):
        jaxprep.preprocess_files(photos, PRESET, tmp_path / "out", engine="ray")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    "options", [{"engine": "spark"}, {"format": "png"}, {"on_error": "ask"}, {"batch_size": 0}]
)
def test_options_of_python_are_checked_as_those_of_the_command_line(photos, tmp_path, options):
    (name,) = options
    with pytest.raises(InputError, match=name):
        jaxprep.preprocess_files(photos, PRESET, tmp_path / "out", **options)
    assert not (tmp_path / "out").exists()
