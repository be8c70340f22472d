"""The examples of README.md run as they are written."""

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def test_the_python_examples_run_one_after_another_in_the_repository(monkeypatch, tmp_path):
    blocks = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    assert len(blocks) >= 4
    monkeypatch.chdir(tmp_path)
    for folder in ("examples", "tests"):
        (tmp_path / folder).symlink_to(ROOT / folder)
    names: dict = {}
    for block in blocks:
        exec(compile(block, "README.md", "exec"), names)
    assert names["x"].shape == (8, 224, 224, 3)
    assert names["features"]["pixel_values"].shape == (3, 3, 224, 224)
    assert names["box"].shape == (1, 4)
    assert names["batch"].image.shape == (2, 224, 224, 3)
    assert (tmp_path / "my_preset" / "jaxprep.json").exists()
