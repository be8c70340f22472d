"""Runs `jaxprep run` on damaged image files, and compares each with what Pillow makes of it.

    python tests/fuzz/files.py --count 5000 [--seed 0]

Small photographs in every format that Pillow writes are damaged: bytes changed, cut off, left out,
written twice; one of ten stays whole. Each run has 250 of them, 4 GB, and 20 seconds a file. A
fault is printed: another exit status than 0 or 3, a traceback, a file that is neither in the
results nor named once, a result that is not finite or not that of the pixels that Pillow decodes, a
result where Pillow finds no image. The exit status is 1 if there was one. What Pillow reads and
jaxprep refuses is counted.
"""

from __future__ import annotations

import argparse
import collections
import io
import json
import os
import random
import resource
import subprocess
import sys
import tempfile
import warnings
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
SECONDS = 20
BYTES = 4 * 2**30
FILES_PER_RUN = 250
PRESET = "timm/resnet50.a1_in1k"
SIDE = 32
FORMATS = {
    "jpg": {"format": "JPEG", "quality": 90},
    "progressive.jpg": {"format": "JPEG", "quality": 70, "progressive": True},
    "png": {"format": "PNG"},
    "gif": {"format": "GIF"},
    "bmp": {"format": "BMP"},
    "tif": {"format": "TIFF", "compression": "tiff_lzw"},
    "webp": {"format": "WEBP", "quality": 80},
    "ppm": {"format": "PPM"},
}


def whole_files() -> list[tuple[str, bytes]]:
    """Return endings and contents of undamaged files."""
    from PIL import Image

    files = []
    for path in sorted((ROOT / "examples" / "photos").glob("*.jpg")):
        photo = Image.open(path).convert("RGB")
        photo.thumbnail((96, 96))
        for ending, options in FORMATS.items():
            buffer = io.BytesIO()
            photo.save(buffer, **options)
            files.append((ending, buffer.getvalue()))
    return files


def damaged(content: bytes, rng: random.Random) -> bytes:
    """Return a content with bytes changed, cut off, left out or written twice, or as it is."""
    data = bytearray(content)
    kind = rng.randrange(10)
    start = rng.randrange(len(data))
    if kind == 0:
        return content
    if kind in (1, 2, 3):
        for _ in range(rng.choice((1, 1, 3, 20))):
            data[rng.randrange(len(data))] = rng.randrange(256)
    elif kind in (4, 5):
        del data[start:]
    elif kind == 6:
        del data[start : start + rng.randint(1, 200)]
    elif kind == 7:
        data[start:start] = data[start : start + rng.randint(1, 200)]
    elif kind == 8:
        # the header, which has the sizes
        for _ in range(rng.randint(1, 4)):
            data[rng.randrange(min(64, len(data)))] = rng.choice((0, 1, 127, 255))
    else:
        data += bytes(rng.randrange(256) for _ in range(rng.randint(1, 99)))
    return bytes(data)


def decoded_by_pillow(path: Path) -> Any:
    """Return the pixels, upright RGB; None where Pillow finds no whole image."""
    import numpy as np
    from PIL import Image, ImageOps

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            with Image.open(path) as image:
                image.load()
                upright = ImageOps.exif_transpose(image)
                return np.asarray(upright.convert("RGB"))
        except Exception:
            return None


def run(folder: Path, output: Path, count: int) -> subprocess.CompletedProcess[str]:
    """Run the command line on a folder, in bounded memory and time."""
    command = [sys.executable, "-m", "jaxprep", "run", str(folder), "--preset", PRESET]
    command += ["--override", f"image_size=[{SIDE},{SIDE}]", "--output", str(output), "--quiet"]
    command += ["--on-error", "skip"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "JAX_PLATFORMS": "cpu"}
    return subprocess.run(
        command,
        env=environment,
        capture_output=True,
        text=True,
        errors="replace",
        timeout=SECONDS * count,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_AS, (BYTES, BYTES)),
    )


def check(folder: Path, output: Path, outcomes: collections.Counter[str]) -> list[str]:
    """Return the faults of one run."""
    import numpy as np

    import jaxprep

    paths = sorted(folder.iterdir())
    try:
        done = run(folder, output, len(paths))
    except subprocess.TimeoutExpired:
        return [f"HANG {folder}"]
    faults = []
    if "Traceback" in done.stderr or done.returncode not in (0, 3):
        faults.append(f"status {done.returncode}: {done.stderr[-400:]}")
    lines = (output / "manifest.jsonl").read_text().splitlines()
    records = collections.defaultdict(list)
    for line in lines:
        record = json.loads(line)
        records[Path(record["path"]).name].append(record)
    shards = {file.name: np.load(file) for file in output.glob("*.npz")}
    preprocess = jaxprep.ImageClassifierPreprocessor.from_preset(PRESET, image_size=(SIDE, SIDE))
    for path in paths:
        mine = records.pop(path.name, [])
        pixels = decoded_by_pillow(path)
        if not mine:
            # no image by its content: reported as left out, by its ending
            outcomes["left out"] += 1
            if pixels is not None:
                faults.append(f"{path.name}: Pillow reads it, and no line names it")
            continue
        if len(mine) > 1:
            faults.append(f"{path.name}: {len(mine)} lines")
        [record] = mine[:1]
        if record["status"] != "done":
            outcomes["refused" if pixels is None else "refused, read by Pillow"] += 1
            if path.name not in done.stderr and record["status"] == "skipped":
                faults.append(f"{path.name}: not named on stderr")
            continue
        outcomes["done"] += 1
        result = shards[record["file"]]["images"][record["row"]]
        if pixels is None:
            faults.append(f"{path.name}: a result, where Pillow finds no image")
        elif not np.isfinite(result).all():
            faults.append(f"{path.name}: not finite")
        elif not np.array_equal(result, np.asarray(preprocess(pixels))):
            faults.append(f"{path.name}: not the result of Pillow's pixels")
    if records:
        faults.append(f"lines of no file: {sorted(records)[:3]}")
    return faults


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--count", type=int, default=500)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    sys.path.insert(0, str(ROOT))
    os.environ.setdefault("JAX_PLATFORMS", "cpu")
    known = whole_files()
    outcomes: collections.Counter[str] = collections.Counter()
    count = 0
    for start in range(0, args.count, FILES_PER_RUN):
        with tempfile.TemporaryDirectory() as home:
            folder = Path(home, "files")
            folder.mkdir()
            for number in range(start, min(start + FILES_PER_RUN, args.count)):
                rng = random.Random(f"{args.seed}/{number}")
                ending, content = rng.choice(known)
                (folder / f"{number:06}.{ending}").write_bytes(damaged(content, rng))
            for fault in check(folder, Path(home, "out"), outcomes):
                count += 1
                print(fault, flush=True)
    print(f"{dict(outcomes)}: {count} faults")
    return 1 if count else 0


if __name__ == "__main__":
    sys.exit(main())
