"""Times `jaxprep run` on a folder of JPEGs and, to compare, decoding alone by as many threads.

The photographs of `examples/photos` are cut into JPEGs of 500 x 375. Each side is run on few and on
many of them, and the throughput is that of the difference, so that imports and compilation cancel;
the total time is printed too. Then every stage is timed alone, to show where the time goes.

Usage: `python benchmarks/folder.py [--images 500] [--preset resnet_50_imagenet] [--cores 1,2]
[--python jaxprep=PATH]`.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import environments
from processes import ROOT, variables
from worker import pin

WIDTH, HEIGHT = 500, 375
BATCH = 16
PHOTOS = ROOT / "examples" / "photos"
STAGES = ("decode", "preprocess", "write")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=int, default=500)
    parser.add_argument("--preset", default="resnet_50_imagenet")
    parser.add_argument("--cores", default="1,2")
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--worker", choices=("make", "decode", "stages"), help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    environments.add_options(parser)
    args = parser.parse_args()
    if args.worker:
        {"make": make_photos, "decode": decode_alone, "stages": stages}[args.worker](args)
        return
    python = environments.pythons(args, {"jaxprep"}).get("jaxprep")
    if python is None:
        raise SystemExit(1)
    # so that both folders have batches of the same sizes, and compile the same programs
    few = BATCH + args.images % BATCH
    with tempfile.TemporaryDirectory() as home:
        folders = {count: Path(home, str(count)) for count in (few, args.images)}
        for count, folder in folders.items():
            work(python, "make", args, folder, count, 2)
        for cores in map(int, args.cores.split(",")):
            compare(python, args, folders, cores, Path(home))
            work(python, "stages", args, folders[args.images], args.images, cores)


def work(
    python: str, what: str, args: argparse.Namespace, folder: Path, images: int, cores: int
) -> float:
    """Runs this file as a worker on some cores; returns the seconds of the process."""
    options = ["--worker", what, "--folder", str(folder)]
    options += ["--images", str(images), "--preset", args.preset]
    return seconds([python, __file__, *options, "--cores", str(cores)], cores)


def seconds(command: list[str], cores: int) -> float:
    begin = time.perf_counter()
    done = subprocess.run(command, env=variables(cores), preexec_fn=lambda: pin(cores))
    if done.returncode:
        raise SystemExit(f"failed: {' '.join(command)}")
    return time.perf_counter() - begin


def compare(
    python: str, args: argparse.Namespace, folders: dict[int, Path], cores: int, home: Path
) -> None:
    """Time both sides on both folders, in turn; the smallest of several times counts."""
    times: dict[tuple[str, int], list[float]] = {}
    for n in range(args.repeat):
        for count, folder in folders.items():
            output = home / f"out-{cores}-{n}-{count}"
            command = [python, "-m", "jaxprep", "run", "--preset", args.preset, str(folder)]
            command += ["--output", str(output), "--quiet"]
            # as many threads as the other side has
            command += ["--batch-size", str(BATCH), "--workers", str(cores)]
            times.setdefault(("jaxprep run", count), []).append(seconds(command, cores))
            # so that the page cache takes its memory again: new pages are slow on virtual machines
            shutil.rmtree(output)
            alone = work(python, "decode", args, folder, count, cores)
            times.setdefault(("decoding alone", count), []).append(alone)
    print(f"\n{cores} core(s), {args.images} JPEGs of {WIDTH} x {HEIGHT}, {args.preset}")
    rates: dict[str, float] = {}
    for name in ("decoding alone", "jaxprep run"):
        few, many = (min(times[name, count]) for count in folders)
        # with few images the difference may be noise alone, and even negative
        difference = max(many - few, 1e-3)
        rates[name] = (max(folders) - min(folders)) / difference
        print(f"  {name:16}{rates[name]:8.0f} images/s without start-up; {many:.2f} s in all")
    print(f"  share: {rates['jaxprep run'] / rates['decoding alone']:.0%} (wanted: at least 90 %)")
    sys.stdout.flush()


def make_photos(args: argparse.Namespace) -> None:
    """Writes JPEGs, each another window of a photograph."""
    import numpy as np
    from PIL import Image

    photos = [Image.open(path).convert("RGB") for path in sorted(PHOTOS.glob("*.jpg"))]
    # a smaller one would have to be enlarged
    photos = [photo for photo in photos if photo.width >= 400 and photo.height >= 300]
    random = np.random.default_rng(0)
    args.folder.mkdir(parents=True)
    for i in range(args.images):
        photo = photos[i % len(photos)]
        side = random.uniform(0.6, 1.0) * min(photo.width / WIDTH, photo.height / HEIGHT)
        width, height = WIDTH * side, HEIGHT * side
        left = random.uniform(0, photo.width - width)
        top = random.uniform(0, photo.height - height)
        window = left, top, left + width, top + height
        cut = photo.resize((WIDTH, HEIGHT), Image.Resampling.BICUBIC, box=window)
        # Decoding takes longer for a higher quality, and less for a lower one.
        cut.save(args.folder / f"{i:05}.jpg", quality=90)


def _decoded(folder: Path, cores: int) -> Iterator:
    """Yield the images of a folder, decoded in threads; few are held at a time."""
    from concurrent.futures import ThreadPoolExecutor

    import jaxprep

    paths = sorted(folder.glob("*.jpg"))
    with ThreadPoolExecutor(cores) as pool:
        for i in range(0, len(paths), 4 * BATCH):
            yield from pool.map(jaxprep.read_image, paths[i : i + 4 * BATCH])


def decode_alone(args: argparse.Namespace) -> None:
    for _ in _decoded(args.folder, int(args.cores)):
        pass


def stages(args: argparse.Namespace) -> None:
    """Times each stage alone, warm, in milliseconds per image."""
    import jax
    import numpy as np

    import jaxprep

    preprocessor = jaxprep.ImageClassifierPreprocessor.from_preset(args.preset)
    spent = dict.fromkeys(STAGES, 0.0)
    begin = time.perf_counter()
    images = list(_decoded(args.folder, int(args.cores)))
    spent["decode"] = time.perf_counter() - begin
    groups = [images[i : i + BATCH] for i in range(0, len(images), BATCH)]
    # the last batch may be smaller, for which another program is compiled
    for group in (groups[0], groups[-1]):
        jax.block_until_ready(preprocessor(group))
    begin = time.perf_counter()
    results = [np.asarray(preprocessor(group)) for group in groups]
    spent["preprocess"] = time.perf_counter() - begin
    begin = time.perf_counter()
    np.savez(args.folder / "shard.npz", images=np.concatenate(results))
    os.remove(args.folder / "shard.npz")
    spent["write"] = time.perf_counter() - begin
    alone = {name: round(1000 * value / len(images), 3) for name, value in spent.items()}
    print(f"  each stage alone, ms per image: {json.dumps(alone)}")


if __name__ == "__main__":
    main()
