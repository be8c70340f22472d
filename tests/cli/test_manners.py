"""What the command line looks like: help, tables, JSON, colours, completion and quiet."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from helpers.runs import PRESET, SMALL, image_file, one_line, run
from PIL import Image

from jaxprep import presets
from jaxprep.cli import main
from jaxprep.cli.completion import preset_names
from jaxprep.cli.messages import BOLD, painted
from jaxprep.cli.options import make_parser
from jaxprep.presets.summaries import kept_part


def test_help_lists_every_command_under_a_heading(capsys):
    with pytest.raises(SystemExit):
        main(["--help"])
    said = capsys.readouterr().out
    commands = make_parser()._subparsers._group_actions[0].choices  # type: ignore[union-attr]
    headed = said[said.index("Look at presets:") : said.index("options:")]
    for name in commands:
        assert f"\n  {name} " in headed
    assert all(len(line) <= 100 for line in said.splitlines())


@pytest.mark.parametrize("flag", ["--json", "--quiet", "--import"])
def test_every_command_takes(flag):
    commands = make_parser()._subparsers._group_actions[0].choices  # type: ignore[union-attr]
    for name, command in commands.items():
        assert flag in command.format_help(), name


# presets


def test_nothing_that_matches_is_an_empty_list_as_json(capsys):
    assert main(["presets", "no such model", "--json"]) == 0
    said = capsys.readouterr()
    assert json.loads(said.out) == [] and said.err == ""


def test_the_columns_of_the_table_are_aligned(capsys):
    assert main(["presets", "resnet_50"]) == 0
    head, *rows = capsys.readouterr().out.splitlines()
    for title, texts in (
        ("INPUT SIZE", ("224 x 224", "256 x 256")),
        ("FILTER", ("bicubic", "bilinear")),
        ("KEPT", ("center", "squashed")),
    ):
        start = head.index(title)
        assert rows and all(row[start:].startswith(texts) and row[start - 1] == " " for row in rows)


@pytest.mark.parametrize(
    ("name", "kept"),
    [
        ("timm/resnet50.tv_in1k", "center 87.5%"),  # crop_pct 0.875
        ("torchvision/ResNet50_Weights.IMAGENET1K_V2", "center 96.6%"),  # 224 of 232
        ("open_clip/ViT-B-16-SigLIP/webli", "squashed"),
        ("torchvision/DeepLabV3_ResNet50_Weights.DEFAULT", "all"),
    ],
)
def test_the_table_says_what_is_kept_of_a_photograph(name, kept):
    assert kept_part(presets.load(name).pipeline) == kept


def test_a_padded_photograph_is_called_so():
    config = presets.load(
        "resnet_50_imagenet", crop_to_aspect_ratio=False, pad_to_aspect_ratio=True
    )
    assert kept_part(config.pipeline) == "padded"


# run and show as JSON


def test_the_summary_of_a_run_is_json_on_stdout_and_nothing_else(folder, tmp_path, capsys):
    (folder / "notes.txt").write_text("no image")
    assert run(folder, "--output", tmp_path / "out", "--json", "--quiet") == 0
    said = capsys.readouterr()
    assert said.err == ""
    assert json.loads(said.out) == {
        "output": str(tmp_path / "out"),
        "images": 5,
        "done_before": 0,
        "skipped": 0,
        "left_out": {".txt": 1},
        "missed": 0,
    }


def test_an_export_is_told_as_json(tmp_path, capsys):
    pytest.importorskip("flatbuffers")
    options = ["--size", "30", "40", "--platforms", "cpu", "--output", str(tmp_path / "pre")]
    assert main(["export", "resnet_50_imagenet", *options, "--json"]) == 0
    said = capsys.readouterr()
    assert json.loads(said.out) == json.loads((tmp_path / "pre" / "manifest.json").read_text())
    assert json.loads(said.out)["size"] == [30, 40] and said.err == ""


def test_a_picture_is_told_as_json(tmp_path, capsys):
    photo = image_file(tmp_path / "a.png", 40, 60, 3)
    options = ["--preset", PRESET, "--override", SMALL, "--output", str(tmp_path / "b.png")]
    assert main(["show", str(photo), *options, "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    with Image.open(told["output"]) as picture:
        assert told["size"] == [picture.height, picture.width]
    assert (told["photo"], told["preset"], told["recipe"]) == (str(photo), PRESET, None)


# colours and quiet


class Terminal:
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(
    ("variables", "is_painted"),
    [({}, True), ({"NO_COLOR": "1"}, False), ({"NO_COLOR": ""}, True), ({"TERM": "dumb"}, False)],
)
def test_colours_are_for_terminals_whose_user_wants_them(monkeypatch, variables, is_painted):
    for name in ("NO_COLOR", "TERM"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    stream: object = Terminal()
    assert ("\033" in painted("text", BOLD, stream)) == is_painted  # type: ignore[arg-type]
    assert painted("text", BOLD, sys.stdout) == "text"  # captured: no terminal


def test_quiet_leaves_warnings_and_errors_and_nothing_else(folder, tmp_path, capsys):
    arguments = (folder, "--output", tmp_path / "out", "--shard-size", 5)
    assert run(*arguments) == 0
    assert "5 images in" in capsys.readouterr().err
    assert run(*arguments, "--quiet") == 0
    assert capsys.readouterr().err == ""
    (tmp_path / "out" / "shard-00000.npz").write_bytes(b"damaged")
    assert run(*arguments, "--quiet") == 0
    assert "warning: Dropped 5 of 5 results" in one_line(capsys.readouterr().err)
    assert main(["inspect", "no such preset", "--quiet"]) == 1
    assert "error: Expected" in one_line(capsys.readouterr().err)


# completion


def test_completion_knows_every_name_without_loading_jax():
    # `ours/`: a page of the documentation registers it, which another test runs in this process
    built_in = {name for name in presets.names() if not name.startswith("ours/")}
    assert len(built_in) > 2000 and built_in <= set(preset_names())
    for alias in ("timm/resnet50", "torchvision/resnet50"):
        assert alias in preset_names() and alias not in presets.names()


@pytest.mark.parametrize(
    ("typed", "offered"),
    [
        ("jaxprep insp", ["inspect "]),
        ("jaxprep inspect timm/resnet50.a1_", ["timm/resnet50.a1_in1k "]),
        ("jaxprep run --preset resnet_50_i", ["resnet_50_imagenet "]),
        ("jaxprep show --preset ./mod", ["./models/"]),
    ],
)
def test_a_shell_is_answered(tmp_path, typed, offered):
    pytest.importorskip("argcomplete")
    (tmp_path / "models").mkdir()
    # What `register-python-argcomplete` makes a shell do: the answer is on file descriptor 8.
    code = "import sys; from jaxprep.cli import main; main(); print('jax' in sys.modules)"
    completed = subprocess.run(
        ["bash", "-c", f'"{sys.executable}" -c "{code}" 8>&1 9>&2 1>/dev/null'],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env={
            **os.environ,
            "PYTHONPATH": str(Path(__file__).parents[2]),
            "_ARGCOMPLETE": "1",
            "_ARGCOMPLETE_IFS": "\n",
            "COMP_LINE": typed,
            "COMP_POINT": str(len(typed)),
        },
    )
    assert completed.stdout.split("\n") == offered
