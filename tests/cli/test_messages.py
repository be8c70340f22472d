"""What a user reads after a slip: what was typed, what was expected, what to do; never a traceback,
and always one line.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import jax
import pytest
from PIL import Image

from jaxprep.cli import main

PRESET = "timm/resnet50.a1_in1k"
SHOW = ["show", "a.png", "--preset", PRESET, "--output"]
RUN = ["run", "a.png", "--preset", PRESET, "--quiet", "--output"]


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch) -> Path:
    """A working folder with an image, a text, a pipe, and a folder of KerasHub's without images."""
    monkeypatch.chdir(tmp_path)
    Image.new("RGB", (8, 6)).save("a.png")
    Path("a.txt").write_text("no image")
    Path("bad.jpg").write_text("no image")
    os.mkfifo("pipe")
    Path("folder.png").mkdir()
    Path("photos").mkdir()
    Image.new("RGB", (8, 6)).save("photos/a.png")
    Path("keras").mkdir()
    Path("keras/config.json").write_text('{"class_name": "ResNetBackbone", "config": {}}')
    return tmp_path


def said(capsys, *arguments: str) -> str:
    """What a command that fails writes: one line, on stderr, within seconds."""
    start = time.monotonic()
    assert main([str(argument) for argument in arguments]) == 1
    assert time.monotonic() - start < 15
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("jaxprep: error: ") and err.count("\n") == 1
    return err


SLIPS = {
    "a folder that is not there": ([*SHOW, "nodir/a.png"], ["'nodir'", "--output", "Make it"]),
    "a folder that is a file": ([*SHOW, "a.txt/a.png"], ["'a.txt'", "--output"]),
    "a picture that is a folder": ([*SHOW, "folder.png"], ["a folder, 'folder.png'"]),
    "a name that is too long": ([*SHOW, "a" * 300 + ".png"], ["File name too long"]),
    "an output that is a file": ([*RUN, "a.txt"], ["'a.txt'", "A file is where a folder"]),
    "an output below a file": ([*RUN, "a.txt/out"], ["'a.txt/out'", "is a file"]),
    "a folder that cannot be": ([*RUN, "/proc/out"], ["'/proc/out'", "Is its folder there?"]),
    "a bad image": (["run", "bad.jpg", *RUN[2:], "out"], ["'bad.jpg'", "--on-error skip"]),
    "an address as a photo": (
        ["show", "http://me:secret@host/a.jpg", *SHOW[2:], "b.png"],
        ["host/a.jpg"],
    ),
    "a word as a size": (
        ["inspect", PRESET, "--override", "image_size=banana"],
        ["'banana'", "image_size", "[224, 192]"],
    ),
    "brackets without end": (
        ["inspect", PRESET, "--override", "mean=" + "[" * 5000],
        ["$.mean"],
    ),
    "half of a surrogate pair": (
        ["inspect", PRESET, "--override", 'architecture="\\udc80"', "--json"],
        ["$.architecture", "surrogate"],
    ),
    "images in the output": (
        ["run", "photos", "--preset", PRESET, "--output", "photos"],
        ["found none", "What is in the output folder, 'photos', does not count"],
    ),
    "a file as a module": (
        ["inspect", PRESET, "--import", "./steps.py"],
        ["'./steps.py'", "is the module `steps`"],
    ),
    "a size of 10^18 pixels": (["inspect", PRESET, "--size", "999999999x999999999"], ["--size"]),
    "a text as a preset": (["inspect", "a.txt"], ["JSON", "a.txt"]),
    "an image as a preset": (["inspect", "a.png"], ["JSON", "a.png"]),
    "a pipe as a preset": (["inspect", "pipe"], ["a named pipe", "pipe"]),
    "a device as a preset": (["inspect", "/dev/zero"], ["a device"]),
    "a backbone's folder": (["inspect", "keras"], ["none in its ['config.json']", "keras"]),
    "no preset": (["inspect", ""], ["a built-in name", "''"]),
    "a handle with one slash": (["inspect", "hf:/google/vit"], ["`hf://google/vit`"]),
    "the page of a model": (
        ["inspect", "https://huggingface.co/google/vit/tree/main"],
        ["`hf://google/vit`"],
    ),
    "a path of nothing": (["inspect", "./nothing"], ["'./nothing'."]),
    "a file of nothing": (["inspect", "models/config.json"], ["'models/config.json'."]),
    "a bracket as a pattern": (["presets", "["], ["'['"]),
}


@pytest.mark.parametrize("arguments, parts", SLIPS.values(), ids=SLIPS.keys())
def test_a_slip_is_answered_in_one_line_that_helps(arguments, parts, capsys):
    message = said(capsys, *arguments)
    for part in parts:
        assert part in message
    assert ".jaxprep-" not in message and "secret" not in message
    if "nothing" in parts[0] or "models" in parts[0]:
        assert "hf://./" not in message and "hf://models" not in message


@pytest.mark.parametrize("arguments", [[*SHOW, ""], [*RUN, ""], [*RUN, "\0"], ["show", "", "--x"]])
def test_an_empty_path_is_wrong_usage(arguments, capsys):
    # as of a variable of the shell that is not set
    with pytest.raises(SystemExit) as caught:
        main(arguments)
    assert caught.value.code == 2
    assert "expected a path, got" in capsys.readouterr().err


UNREADABLE = ["NaN", "1e999", '"\\ud800"', "[" * 900 + "]" * 900, "1" * 5000, "[", "\xff"]


@pytest.mark.parametrize("value", UNREADABLE, ids=range(len(UNREADABLE)))
def test_a_file_that_could_not_be_written_again_is_one_line_in_every_command(value, capsys):
    content = f'{{"image_processor_type": "ViTImageProcessor", "unread": {value}}}'
    Path("preprocessor_config.json").write_bytes(content.encode("latin-1"))
    for arguments in (
        ["inspect", "preprocessor_config.json", "--json"],
        ["inspect", "."],
        ["show", "a.png", "--preset", ".", "--output", "b.png"],
        ["run", "a.png", "--preset", ".", "--output", "out"],
    ):
        assert "preprocessor_config.json" in said(capsys, *arguments)
    assert not list(Path().rglob(".jaxprep-*"))


def run_program(*arguments: str, **options) -> subprocess.CompletedProcess:
    command = [sys.executable, "-m", "jaxprep", *arguments]
    return subprocess.run(command, capture_output=True, timeout=120, **options)


def test_a_path_that_is_no_utf8_is_printed_all_the_same(tmp_path):
    odd = os.fsencode(tmp_path) + b"/\xff"
    os.mkdir(odd)
    with open(odd + b"/config.json", "w") as file:
        json.dump({"architecture": "resnet18", "pretrained_cfg": {}}, file)
    done = run_program("inspect", odd, env={**os.environ, "LC_ALL": "C"})
    assert (done.returncode, done.stderr) == (0, b"")
    assert b"udcff" in done.stdout


@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_a_full_disk_behind_stdout_is_one_line(unbuffered):
    env = {**os.environ, "PYTHONUNBUFFERED": unbuffered}
    with open("/dev/full", "w") as full:
        command = [sys.executable, "-m", "jaxprep", "inspect", PRESET]
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, timeout=120, env=env)
    assert done.returncode == 1
    assert done.stderr.count(b"\n") == 1 and b"No space left" in done.stderr


def test_control_c_while_jax_is_imported_is_one_line():
    # `-X importtime` says when the import of JAX begins, whatever the machine's speed
    command = [sys.executable, "-X", "importtime", "-m", "jaxprep", "inspect", PRESET]
    with subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    ) as process:
        assert process.stderr
        for line in process.stderr:
            if "jax" in line.rpartition("|")[2] and "jaxprep" not in line:
                break
        process.send_signal(signal.SIGINT)
        rest = [line for line in process.stderr if not line.startswith("import time:")]
    assert process.returncode == 130
    assert rest == ["jaxprep: interrupted\n"]


@pytest.mark.parametrize(
    "arguments",
    [
        [*RUN, "out", "--on-error", "skip"],
        [*SHOW, "b.png"],
        ["compare", PRESET, PRESET, "a.png"],
        ["doctor", "x.npy", "a.png"],
        ["export", PRESET, "--size", "8", "8", "--platforms", "cpu", "--output", "exported"],
    ],
    ids=lambda arguments: arguments[0],
)
def test_a_chip_that_is_not_there_is_no_fault_of_an_image(arguments, monkeypatch, capsys):
    def devices():
        raise RuntimeError("Unable to initialize backend 'tpu': no TPU (set JAX_PLATFORMS='')")

    monkeypatch.setattr(jax, "devices", devices)
    message = said(capsys, *arguments)
    assert "Expected JAX to start, got: Unable to initialize backend 'tpu'" in message
    assert "a.png" not in message and not Path("out").exists() and not Path("exported").exists()


def test_a_process_without_streams_does_its_work(tmp_path):
    """As `2>&-` of a shell, and some daemons, start it: Python has None for them then."""
    code = (
        "import os, sys; os.close(0); os.close(1); os.close(2); sys.stdout = sys.stderr = None;"
        f"from jaxprep.cli import main; status = main({[*RUN[:-1], '--output', 'out']!r});"
        "print('of a library'); open('status', 'w').write(str(status))"
    )
    code = code.replace("'--quiet', ", "")
    assert subprocess.run([sys.executable, "-c", code], timeout=120).returncode == 0
    assert Path("status").read_text() == "0"
    assert {"manifest.jsonl", "shard-00000.npz"} <= {path.name for path in Path("out").iterdir()}
