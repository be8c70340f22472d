"""Kills runs at random moments, and starts two at once, and checks every result by its checksum.

Images are made, and preprocessed once undisturbed. Then runs on new folders are killed (SIGKILL) at
random moments, and continued by others that may be killed too; after each kill every line of the
manifest must be true, and at the end the results must be those of the undisturbed run. Then two
runs at a time, on random lists of images and started at random moments, write to one folder: each
of them does its work or is refused, and no line may be wrong.

Usage: `python benchmarks/kills.py [--kills 60] [--pairs 20] [--images 120] [--seed 0]`.
"""

from __future__ import annotations

import argparse
import collections
import hashlib
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from processes import ROOT

OPTIONS = ["--preset", "timm/resnet50.a1_in1k", "--override", "image_size=[24,24]", "--quiet"]
SMALL = ["--shard-size", "4", "--batch-size", "4"]
FORMATS = ("npz", "npy")
REFUSED = "no other run writes to"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=60)
    parser.add_argument("--pairs", type=int, default=20)
    parser.add_argument("--images", type=int, default=120)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--worker", action="store_true", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.worker:
        work()
        return
    draw = random.Random(args.seed)
    with tempfile.TemporaryDirectory() as name:
        home = Path(name)
        images = make_images(home / "images", args.images)
        with Worker() as worker:
            worker.wait_until_ready()
            begin = time.perf_counter()
            worker.run(images, home / "undisturbed", "npz")
            seconds = time.perf_counter() - begin
        expected = results(home / "undisturbed")
        if len(expected) != len(images):
            raise SystemExit(f"{len(images) - len(expected)} images have no result")
        print(f"{len(images)} images; an undisturbed run takes {seconds:.2f} s after its start")
        kill_runs(home, images, expected, seconds, args.kills, draw)
        run_pairs(home, images, expected, seconds, args.pairs, draw)


def make_images(folder: Path, count: int) -> list[Path]:
    """Writes images of three sizes, all of one time, and with the same names in many folders."""
    import numpy as np
    from PIL import Image

    random_values = np.random.default_rng(0)
    paths = []
    for i in range(count):
        path = folder / f"{i // 10:02}" / f"{i % 10}.bmp"
        path.parent.mkdir(parents=True, exist_ok=True)
        pixels = random_values.integers(0, 256, (40 + 8 * (i % 3), 48, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(path)
        os.utime(path, ns=(10**18, 10**18))
        paths.append(path)
    return paths


def work() -> None:
    """Runs the commands that stdin lists, one JSON array a line, and prints their exit statuses."""
    from jaxprep import cli

    with tempfile.TemporaryDirectory() as folder:  # compiles
        paths = map(str, make_images(Path(folder, "in"), 12))
        cli.main(["run", *paths, "--output", f"{folder}/out", *OPTIONS, *SMALL])
    print("ready", flush=True)
    for line in sys.stdin:
        print(cli.main(json.loads(line)), flush=True)


class Worker:
    """A process that runs commands."""

    def __init__(self) -> None:
        self.process = subprocess.Popen(
            [sys.executable, __file__, "--worker"],
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.is_ready = False

    def __enter__(self) -> Worker:
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()

    def wait_until_ready(self) -> None:
        if not self.is_ready and self._line() != "ready":
            raise SystemExit(f"a worker did not start: {self.process.stderr.read()}")
        self.is_ready = True

    def start(self, images: list[Path], output: Path, kind: str) -> None:
        self.wait_until_ready()
        command = ["run", *map(str, images), "--output", str(output), "--format", kind]
        self.process.stdin.write(json.dumps([*command, *OPTIONS, *SMALL]) + "\n")
        self.process.stdin.flush()

    def status(self) -> int:
        return int(self._line())

    def run(self, images: list[Path], output: Path, kind: str) -> None:
        self.start(images, output, kind)
        if self.status() != 0:
            self.process.kill()
            raise SystemExit(f"a run failed: {self.process.stderr.read()}")

    def kill(self) -> str:
        """Kills the process, and returns what it wrote to stderr."""
        self.process.kill()
        return self.process.communicate()[1]

    def _line(self) -> str:
        return self.process.stdout.readline().strip()


def results(output: Path) -> dict[str, str]:
    """Returns the checksum of every result that the manifest lists, by the path of the image.

    Raises:
        Exception: a line that is not whole, or names a file, a row or a path that is not there.
    """
    import numpy as np

    found = {}
    lines = output / "manifest.jsonl"
    shards: dict[str, Any] = {}
    for line in lines.read_bytes().splitlines(keepends=True) if lines.exists() else []:
        if not line.endswith(b"\n"):  # the last, which was being written
            break
        record = json.loads(line)
        file = record["file"]
        if file not in shards:
            loaded = np.load(output / file)
            shards[file] = dict(loaded) if file.endswith(".npz") else loaded
        array = shards[file]
        if file.endswith(".npz"):
            if array["paths"][record["row"]] != record["path"]:
                raise AssertionError(f"row {record['row']} of {file} is not of {record['path']}")
            array = array["images"][record["row"]]
        found[record["path"]] = hashlib.sha256(array.tobytes()).hexdigest()
    return found


def wrong(output: Path, expected: dict[str, str]) -> int:
    """Returns how many lines are not true."""
    return sum(expected[path] != digest for path, digest in results(output).items())


def unlisted(output: Path) -> int:
    """Returns how many files of results, or temporary ones, no line names."""
    lines = (output / "manifest.jsonl").read_text().splitlines()
    listed = {json.loads(line)["file"] for line in lines}
    listed |= {"manifest.json", "manifest.jsonl", "README.md"}
    files = {path.relative_to(output).as_posix() for path in output.rglob("*") if path.is_file()}
    return len(files - listed)


def kill_runs(
    home: Path,
    images: list[Path],
    expected: dict[str, str],
    seconds: float,
    kills: int,
    draw: random.Random,
) -> None:
    counts: collections.Counter[str] = collections.Counter()
    number, waiting = 0, Worker()
    while counts["kills"] < kills:
        output, kind = home / f"killed-{number}", draw.choice(FORMATS)
        number += 1
        for _ in range(min(draw.randint(1, 4), kills - counts["kills"])):
            worker, waiting = waiting, Worker()  # which starts while this one works
            worker.start(images, output, kind)
            time.sleep(draw.uniform(0, 1.1 * seconds))
            worker.kill()
            counts["kills"] += 1
            counts["wrong lines after a kill"] += wrong(output, expected) if output.exists() else 0
            done = len(results(output)) if output.exists() else 0
            counts["kills before the first result"] += done == 0
            counts["kills after the last result"] += done == len(images)
        worker, waiting = waiting, Worker()
        with worker:
            worker.run(images, output, kind)
        counts["runs continued to their end"] += 1
        counts["results that differ at the end"] += wrong(output, expected)
        counts["results missing at the end"] += len(images) - len(results(output))
        counts["files that no line names at the end"] += unlisted(output)
        print(f"  {counts['kills']} kills so far", flush=True)
    waiting.kill()
    report("kills", counts)


def run_pairs(
    home: Path,
    images: list[Path],
    expected: dict[str, str],
    seconds: float,
    pairs: int,
    draw: random.Random,
) -> None:
    counts: collections.Counter[str] = collections.Counter()
    with Worker() as first, Worker() as second:
        first.wait_until_ready()
        second.wait_until_ready()
        for number in range(pairs):
            output, kind = home / f"pair-{number}", draw.choice(FORMATS)
            lists = [draw.sample(images, draw.randint(1, len(images))) for _ in range(2)]
            pause = draw.choice([0.0, draw.uniform(0, seconds)])
            for worker, paths in zip((first, second), lists, strict=True):
                worker.start(paths, output, kind)
                time.sleep(pause)
            statuses = [first.status(), second.status()]
            counts["pairs"] += 1
            counts["runs that did their work"] += statuses.count(0)
            counts["runs refused"] += statuses.count(1)
            counts["pairs in which both were refused"] += statuses == [1, 1]
            counts["wrong lines"] += wrong(output, expected)
            for status, paths in zip(statuses, lists, strict=True):
                missing = {str(path) for path in paths} - results(output).keys()
                counts["results missing of runs that say they are done"] += (
                    len(missing) if status == 0 else 0
                )
            first.run(images, output, kind)
            counts["results that differ after one more run"] += wrong(output, expected)
            counts["results missing after one more run"] += len(images) - len(results(output))
            counts["files that no line names"] += unlisted(output)
        refusals = sum(worker.kill().count(REFUSED) for worker in (first, second))
        counts["refusals that say why"] = refusals
    report("two runs at once", counts)


def report(title: str, counts: collections.Counter[str]) -> None:
    print(f"{title}:")
    for name, count in counts.items():
        print(f"  {name}: {count}")


if __name__ == "__main__":
    main()
