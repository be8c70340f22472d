"""Presets and formats of another package, which pip really installs, without network."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import textwrap
import zipfile
from pathlib import Path

import pytest

from jaxprep.cli import main

PACKAGE = """
import dataclasses
from jaxprep import Pipeline, formats, ops, presets

table = {"settings": {"s": {"input_size": [3, 64, 64]}}, "presets": {"tiny": "s"}}
presets.register_collection("ours", table, formats.Timm)

@formats.register
@dataclasses.dataclass(frozen=True)
class Darkroom(formats.Format):
    side: int = 224
    library = "Darkroom (`darkroom`)"
    files = ("darkroom.json",)

    @property
    def pipeline(self):
        return Pipeline((ops.Resize(self.image_size),))

    @property
    def image_size(self):
        return self.side, self.side

    def with_image_size(self, size):
        return dataclasses.replace(self, side=size[0])

    @classmethod
    def reads(cls, content):
        return "darkroom" in content

    @classmethod
    def read(cls, content, where="$", model=None):
        return cls(**content["darkroom"])
"""
ENTRY_POINTS = """
[jaxprep.presets]
ours = our_models
broken = our_models_broken

[jaxprep.formats]
Darkroom = our_models
"""


@pytest.fixture(scope="module")
def installed(tmp_path_factory) -> Path:
    """A folder into which pip installed a wheel with entry points, one of which is broken."""
    folder = tmp_path_factory.mktemp("package")
    wheel, info = folder / "our_models-1.0-py3-none-any.whl", "our_models-1.0.dist-info"
    contents = {
        "our_models.py": PACKAGE,
        "our_models_broken.py": "import no_such_module",
        f"{info}/METADATA": "Metadata-Version: 2.1\nName: our-models\nVersion: 1.0\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        f"{info}/entry_points.txt": ENTRY_POINTS,
    }
    contents[f"{info}/RECORD"] = "".join(f"{name},,\n" for name in [*contents, f"{info}/RECORD"])
    with zipfile.ZipFile(wheel, "w") as file:
        for name, text in contents.items():
            file.writestr(name, text)
    target = folder / "site"
    pip = [sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--no-index"]
    subprocess.run([*pip, "--target", target, wheel], check=True)
    models = folder / "model"
    models.mkdir()
    (models / "darkroom.json").write_text('{"darkroom": {"side": 32}}')
    (models / "config.json").write_text('{"pretrained_cfg": {"input_size": [3, 48, 48]}}')
    saved = {"jaxprep": 1, "preprocessor": {"format": "Darkroom", "side": 16}}
    (folder / "jaxprep.json").write_text(json.dumps(saved))
    return folder


def said(installed: Path, code: str) -> str:
    """What a program prints for which the package is installed."""
    program = "import sys, warnings\nfrom jaxprep import presets\n" + textwrap.dedent(code)
    paths = [str(installed / "site"), str(Path(__file__).parents[2])]
    completed = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        cwd=installed,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(paths)},
    )
    assert completed.returncode == 0, completed.stderr
    return completed.stdout + completed.stderr


def test_names_and_files_of_an_installed_package_are_found_when_they_are_asked_for(installed):
    printed = said(
        installed,
        """
        presets.load("resnet_50_imagenet"), presets.describe("timm/resnet50")
        print("our_models" in sys.modules)
        print(presets.load("ours/tiny").image_size)
        # its file before the `config.json` of the model, as if it had been imported first
        print(presets.load("model"), presets.load("jaxprep.json"))
        """,
    )
    assert printed == "False\n(64, 64)\nDarkroom(side=32) Darkroom(side=16)\n"


def test_a_folder_is_read_first_and_a_broken_package_is_an_error_of_its_names_alone(installed):
    printed = said(
        installed,
        """
        print(presets.load("model"))
        from jaxprep.cli import main
        print(main(["presets", "tiny"]))
        print(main(["inspect", "broken/x"]))
        print(main(["inspect", "ours/tiny", "--json"]))
        """,
    )
    assert printed.startswith("Darkroom(side=32)\n") and "ours/tiny" in printed
    assert printed.count("warning: Left out: expected the entry point `broken") == 1
    assert "error: Expected the entry point `broken = our_models_broken` of the package" in printed
    assert "No module named 'no_such_module'" in printed and "Traceback" not in printed


def test_a_module_of_the_working_folder_is_imported_where_it_is_named(
    tmp_path, monkeypatch, capsys
):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    name = "jaxprep_test_module"
    table = '{"presets": {"t": {"settings": {"input_size": [3, 8, 8]}}}}'
    Path(f"{name}.py").write_text(
        "from jaxprep import formats, presets\n"
        f"presets.register_collection('of-a-module', {table}, formats.Timm)\n"
    )
    assert main(["inspect", "of-a-module/t"]) == 1
    assert main(["inspect", "of-a-module/t", "--import", name]) == 0
    assert "8 x 8" in capsys.readouterr().out
    assert main(["presets", "--import", "no_such_module"]) == 1
    assert "No module named 'no_such_module' - at `--import`" in capsys.readouterr().err
