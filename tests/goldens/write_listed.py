"""Write `listed.json`: how many first axes of each result are lists with `return_tensors=None`, by classes of Transformers on the torchvision backend.

Run where torch, torchvision and transformers are installed, from the root of the repository:

    python tests/goldens/write_listed.py

For each class: of its results by default, and, of those that are one array, with `do_pad=False` where that is another number. 0 is one array; results that are no arrays are left out.
"""

import json
import pathlib
from typing import Any

import _torch_env  # noqa: F401  before torchvision
import listed_cases
import transformers

import store

HERE = pathlib.Path(__file__).parent
PRESETS = HERE.parents[1] / "presets"
METADATA = {"fps": 2.0, "total_num_frames": 8, "duration": 4.0, "frames_indices": list(range(8))}


def rows(table: str) -> dict[str, Any]:
    return json.loads((PRESETS / table).read_text())["classes"]


def axes_of(name: str, is_video: bool, **settings: Any) -> dict[str, int]:
    processor = getattr(transformers, name)(**listed_cases.SETTINGS.get(name, {}))
    arguments = {**listed_cases.BESIDE.get(name, {}), **settings, "return_tensors": None}
    if is_video:
        videos = [listed_cases.CLIP]
        metadata = [transformers.video_utils.VideoMetadata(**METADATA)]
        results = processor(videos, do_sample_frames=False, video_metadata=metadata, **arguments)
    else:
        results = processor(listed_cases.images(name), **arguments)
    # Idefics returns its images without a name.
    items = results.items() if hasattr(results, "items") else [("pixel_values", results)]
    found = {result: listed_cases.listed_axes(value) for result, value in items}
    return {result: axes for result, axes in found.items() if axes is not None}


def main() -> None:
    store.require("transformers", 5)
    lines = []
    for table in ("huggingface.json", "huggingface_video.json"):
        for name, row in rows(table).items():
            if "torchvision" not in row["backends"]:
                continue
            is_video = "video" in table
            entry: dict[str, Any] = {"default": axes_of(name, is_video)}
            if not is_video and 0 in entry["default"].values():
                unpadded = axes_of(name, is_video, do_pad=False)
                if any(entry["default"][key] != axes for key, axes in unpadded.items()):
                    entry["unpadded"] = unpadded
            lines.append(f"  {json.dumps(name)}: {json.dumps(entry)}")
    text = f'{{\n "transformers": "{transformers.__version__}",\n "classes": {{\n'
    (HERE / "listed.json").write_text(text + ",\n".join(lines) + "\n }\n}\n")


if __name__ == "__main__":
    main()
