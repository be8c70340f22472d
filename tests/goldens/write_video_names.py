"""Write `video_names.json`: the public names of Transformers' video processors, which only torch lets import.

Run where torch, torchvision and transformers are installed, from the root of the repository:

    python tests/goldens/write_video_names.py
"""

import json
import pathlib

import _torch_env  # noqa: F401  before torchvision
import transformers
from transformers.video_processing_utils import BaseVideoProcessor

import store

HERE = pathlib.Path(__file__).parent
ROWS = json.loads((HERE.parents[1] / "presets" / "huggingface_video.json").read_text())["classes"]


def public(cls: type) -> set[str]:
    return {name for name in dir(cls) if not name.startswith("_")}


def main() -> None:
    store.require("transformers", 5)
    every = public(BaseVideoProcessor)
    names = {name: sorted(public(getattr(transformers, name)) - every) for name in ROWS}
    lines = ",\n".join(f"  {json.dumps(name)}: {json.dumps(own)}" for name, own in names.items())
    text = f'{{\n "transformers": "{transformers.__version__}",\n "every": {json.dumps(sorted(every))},\n'
    (HERE / "video_names.json").write_text(f'{text} "classes": {{\n{lines}\n }}\n}}\n')


if __name__ == "__main__":
    main()
