"""Writes the `README.md` of an output folder, which says how to read what is in it."""

from __future__ import annotations

from pathlib import Path

from jaxprep.atomic import replacing
from jaxprep.cli.stored import StoredType

FILE = "README.md"

_TEXT = """\
# Images, preprocessed by `jaxprep run`

By the preset `{preset}`.

{what}

- `manifest.json` says how, and, once the run has ended, how many images there are.
- `manifest.jsonl` has a line for each image: its path, its size, and the file and row of its
  result; or why there is none. Of several lines for one image the last one holds. A row of a shard
  that no such line names is what became of an image before it changed.
{labels}
```python
{code}
```
"""
_LABELS = "- `labels.json` has the number of each class: of each folder that images were in.\n"
_THEN = """
These are pixels. The rest of the model's preprocessing only changes values; it is still to be done,
best in the program of the model:

```python
import json

import jax
import jaxprep

finish = jaxprep.Pipeline.from_json(json.load(open("manifest.json"))["then"])
batch = jax.jit(finish)(jaxprep.Batch(image=image[None]))
```
"""
_WHAT = {
    "npz": """\
Each `shard-*.npz` has the arrays `images` (n, height, width, channels), or `image_0`, `image_1`,
... where sizes differ, and `paths`.""",
    "npy": "Each image has a `.npy` file, under the path of the image.",
    "parquet": """\
Each `shard-*.parquet` has a row for each image: `path`, `image` (the bytes of the array), `shape`
and `dtype`.""",
    "array_record": """\
Each `shard-*.array_record` has a record for each image, in MessagePack as Flax writes it: `image`
and `path`. Grain reads it.""",
}
_DONE = """
entries = {}
for line in open("manifest.jsonl"):
    entry = json.loads(line)
    entries[entry["path"]] = entry
done = [entry for entry in entries.values() if entry["status"] == "done"]"""
_ROWS = f"""{_DONE}
rows = {{}}
for entry in done:
    rows.setdefault(entry["file"], []).append(entry["row"])
for name in sorted(rows):"""
_CODE = {
    "npz": """\
import json

import ml_dtypes
import numpy as np
{rows}
    shard = dict(np.load(name))
    for row in rows[name]:
        has_one_size = "images" in shard
        image = shard["images"][row] if has_one_size else shard[f"image_{{row}}"]{bfloat16}{label}
        path = shard["paths"][row]
        print(path, image.shape, image.dtype)""",
    "npy": """\
import json

import ml_dtypes
import numpy as np
{done}
for entry in done:
    path, image = entry["path"], np.load(entry["file"]){bfloat16}{label}
    print(path, image.shape, image.dtype)""",
    "parquet": """\
import json

import ml_dtypes
import numpy as np
import pyarrow.parquet
{rows}
    shard = pyarrow.parquet.read_table(name).to_pylist()
    for row in rows[name]:
        record = shard[row]
        values = np.frombuffer(record["image"], record["dtype"])
        path, image = record["path"], values.reshape(record["shape"]){label}
        print(path, image.shape, image.dtype)""",
    "array_record": """\
import json

from flax.serialization import msgpack_restore
from grain.sources import ArrayRecordDataSource
{rows}
    source = ArrayRecordDataSource(name)
    for row in rows[name]:
        record = msgpack_restore(source[row])
        path, image = record["path"], record["image"]{label}
        print(path, image.shape, image.dtype)""",
}
_LABEL = {
    "npz": 'label = shard["labels"][row]',
    "npy": 'label = entry["label"]',
    "parquet": 'label = record["label"]',
    "array_record": 'label = record["label"]',
}


def how_to_read(format: str, preset: str, dtype: StoredType | None, has_labels: bool) -> str:
    """Return the text, whose code runs in the folder.

    Args:
        format: of the results.
        preset: its name.
        dtype: that was asked for.
        has_labels: whether results have labels.

    >>> "np.load" in how_to_read("npz", "resnet_50_imagenet", None, False)
    True
    """
    indent = "\n    " if format == "npy" else "\n        "  # as the line before
    is_bfloat16 = dtype == "bfloat16" and format in ("npz", "npy")
    code = _CODE[format].format(
        done=_DONE,
        rows=_ROWS,
        # NumPy's format has no name for the type, and gives its bytes.
        bfloat16=f"{indent}image = image.view(ml_dtypes.bfloat16)" if is_bfloat16 else "",
        label=f"{indent}{_LABEL[format]}" if has_labels else "",
    )
    # Its import makes NumPy know the name "bfloat16".
    if dtype != "bfloat16":
        code = code.replace("import ml_dtypes\n", "")
    labels = _LABELS if has_labels else ""
    text = _TEXT.format(preset=preset, what=_WHAT[format], labels=labels, code=code)
    return text + (_THEN if dtype == "uint8" else "")


def write(folder: Path, text: str) -> None:
    """Write the file, whole or not at all.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     write(Path(folder), "# Images")
    ...     Path(folder, FILE).read_text()
    '# Images'
    """
    with replacing(folder / FILE) as file:
        file.write(text.encode("utf-8", "backslashreplace"))
