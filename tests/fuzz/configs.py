"""Loads mutated configs of every format and runs those that load on a small image.

    python tests/fuzz/configs.py --count 20000 [--seed 0] [--jobs 2] [--folder DIR]
    python tests/fuzz/configs.py --only 1234 [--seed 0]    # one case: its file, and what it does
    python tests/fuzz/configs.py --match "Llava|VideoProcessor"  # of configs that hold such a text

A case is either refused by an error of `jaxprep.errors`, or runs and gives finite values. Anything
else is a fault and is printed: another exception, a value that is not finite, no end within 20
seconds, a process that dies (each has 4 GB). The exit status is 1 if there was one.

A case is made of its number and the seed alone, so it can be repeated. Seeds are the presets that
come with the library and the folders in `tests/goldens/keras_hub_dirs`; `--folder` adds the JSON
files of a folder.
"""

from __future__ import annotations

import argparse
import collections
import itertools
import json
import os
import random
import re
import resource
import shutil
import subprocess
import sys
import tempfile
import threading
import time
import traceback
import warnings
from pathlib import Path
from typing import Any, NamedTuple

ROOT = Path(__file__).resolve().parents[2]
SECONDS = 20
BYTES = 4 * 2**30
VIDEO_FILE = "video_preprocessor_config.json"
CASES_PER_PROCESS = 500
"""A process keeps the programs that it compiled: a new one starts before they fill its memory."""


class Seed(NamedTuple):
    """A config, and the name of the file that it is written to.

    Attributes:
        file: its name.
        content: JSON data.
    """

    file: str
    content: Any


# -- seeds ---------------------------------------------------------------------------------------


def seeds(folder: Path | None, match: str = "") -> list[Seed]:
    """Return configs of every format, in the order of their names; those that hold `match`, a
    regular expression."""
    found = [*_presets(), *_huggingface_classes("huggingface.json", "image_processor_type")]
    found += _huggingface_classes("huggingface_video.json", "video_processor_type")
    folders = [ROOT / "tests" / "goldens" / "keras_hub_dirs", *([folder] if folder else [])]
    for file in itertools.chain(*(sorted(root.rglob("*.json")) for root in folders)):
        content = json.loads(file.read_text())
        # `user__repo.preprocessor_config.json` is the `preprocessor_config.json` of a repository
        found.append(Seed(_file_name(file.name, content), content))
    return [seed for seed in found if re.search(match, json.dumps(seed.content))]


def _file_name(name: str, content: Any) -> str:
    for known in (
        "processor_config.json",
        "video_preprocessor_config.json",
        "preprocessor_config.json",
        "open_clip_config.json",
    ):
        if name.endswith(f".{known}"):
            return known
    keys = content if isinstance(content, dict) else {}
    is_known = name in ("image_converter.json", "preprocessor.json", "config.json")
    if is_known or "class_name" in keys:
        return name if is_known else "preprocessor.json"
    return "preprocessor_config.json"


def _presets() -> list[Seed]:
    """Built-in presets, in our file and in those of their libraries."""
    from jaxprep import presets
    from jaxprep.errors import ConfigError
    from jaxprep.presets.files import to_json

    found = []
    for name in presets.names()[::12]:
        try:
            config = presets.load(name)
        except ConfigError:  # one whose numbers are not known
            continue
        content = to_json(config)
        found.append(Seed("jaxprep.json", content))
        fields = content["preprocessor"]
        if name.startswith("timm/"):
            timm = {"architecture": "resnet50", "pretrained_cfg": fields}
            found.append(Seed("config.json", timm))
        elif name.startswith("open_clip/"):
            open_clip = {"model_cfg": {}, "preprocess_cfg": fields}
            found.append(Seed("open_clip_config.json", open_clip))
        found += itertools.starmap(Seed, config.library_files("preprocessor.json").items())
    return found


def _huggingface_classes(table: str, key: str) -> list[Seed]:
    """A file of each class of a table, with the defaults of the class."""
    rows = json.loads((ROOT / "presets" / table).read_text())["classes"]
    file = "preprocessor_config.json" if key == "image_processor_type" else VIDEO_FILE
    return [
        Seed(file, {key: name, **row.get("defaults", {})}) for name, row in sorted(rows.items())
    ]


# -- mutations -----------------------------------------------------------------------------------

NUMBERS = (0, 1, -1, 2, 3, 7, 64, 1000, 2**15, 2**20, 2**28, 2**31, 2**53, 2**63, -(2**63), 10**30)
FLOATS = (0.0, -0.0, 0.5, 1e-3, 1e-12, 1e-40, 5e-324, 1e12, 1e38, 1e39, 1e300, -1e300, 0.1, 1 / 255)
WORDS = ("", "banana", "bilinear", "nearest", "lanczos3", "0", "224", "\ud800", "\0", "é" * 50)


def _nested(depth: int) -> Any:
    value: Any = 1
    for _ in range(depth):
        value = [value]
    return value


def hostile(rng: random.Random) -> Any:
    """Return a value that a field may not expect."""
    kind = rng.randrange(9)
    if kind == 0:
        return rng.choice(NUMBERS)
    if kind == 1:
        return rng.choice(FLOATS) * rng.choice((1, -1))
    if kind == 2:
        return rng.choice(WORDS)
    if kind == 3:
        return rng.choice((None, True, False))
    if kind == 4:
        return rng.choice(([], {}, [[]], {"": None}, {"height": 8}, {"shortest_edge": 8}))
    if kind == 5:
        return [rng.choice(FLOATS) for _ in range(rng.choice((1, 2, 3, 4, 100)))]
    if kind == 6:
        return rng.choice((float("nan"), float("inf"), -float("inf"), 10**400))
    if kind == 7:
        return _nested(rng.choice((5, 40, 900)))
    return {"height": hostile_size(rng), "width": hostile_size(rng)}


def hostile_size(rng: random.Random) -> Any:
    return rng.choice(
        (1, 2, 5, 8, 33, 224, 1000, 5000, 30_000, 2**16, 2**20, 0, -4, 8.0, "8", None)
    )


def places(value: Any) -> list[tuple[Any, Any]]:
    """Return every container in a value with each of its keys or indices."""
    if isinstance(value, dict):
        items = list(value.items())
    elif isinstance(value, list):
        items = list(enumerate(value))
    else:
        return []
    found = [(value, key) for key, _ in items]
    for _, item in items:
        found += places(item)
    return found


def mutate(content: Any, other: Any, rng: random.Random) -> None:
    """Change a config in place, once."""
    found = places(content)
    if not found:
        return
    holder, key = rng.choice(found)
    value = holder[key]
    kind = rng.randrange(8)
    if kind in (0, 1):
        holder[key] = hostile(rng)
    elif kind == 2:
        del holder[key]
    elif kind == 3 and isinstance(value, (int, float)):
        exponent = rng.randint(-45, 45)
        # an integer may be beyond all floats
        holder[key] = value * 10.0**exponent if abs(value) < 1e300 else value * 10
    elif kind == 4 and isinstance(value, list):
        holder[key] = value * rng.choice((0, 2, 30)) if rng.random() < 0.5 else value[:1]
    elif kind == 5 and isinstance(holder, dict):
        # a key that another config has, with its value or a hostile one
        theirs, name = rng.choice(places(other) or [(holder, key)])
        if isinstance(name, str):
            holder[name] = theirs[name] if rng.random() < 0.5 else hostile(rng)
    elif kind == 6:
        holder[key] = [value]
    elif isinstance(value, bool):
        holder[key] = not value
    else:
        holder[key] = hostile_size(rng)


def damaged(text: bytes, rng: random.Random) -> bytes:
    """Return a text with random bytes in it, or cut, or with a part twice."""
    data = bytearray(text)
    kind = rng.randrange(4)
    start = rng.randrange(len(data))
    if kind == 0:
        for _ in range(rng.randint(1, 8)):
            data[rng.randrange(len(data))] = rng.randrange(256)
    elif kind == 1:
        del data[start : start + rng.randint(1, 50)]
    elif kind == 2:
        data[start:start] = data[start : start + rng.randint(1, 50)]
    else:
        data[start : start + 1] = rng.choice((b"NaN", b"1e999", b"null,", b'"a":1,', b"\xff\xfe"))
    return bytes(data)


def case(number: int, seed: int, known: list[Seed]) -> tuple[str, bytes]:
    """Return the name and the content of the file of a case."""
    limit = sys.getrecursionlimit()
    sys.setrecursionlimit(10 * limit)  # for values nested in nested ones: this writes them
    try:
        return _case(number, seed, known)
    finally:
        sys.setrecursionlimit(limit)  # jaxprep reads them with Python's own


def _case(number: int, seed: int, known: list[Seed]) -> tuple[str, bytes]:
    rng = random.Random(f"{seed}/{number}")
    name, content = rng.choice(known)
    content = json.loads(json.dumps(content))
    other = rng.choice(known).content
    for _ in range(rng.choice((1, 1, 1, 2, 3, 5))):
        mutate(content, other, rng)
    text = json.dumps(content)
    # A key twice: the first of an object again at its end.
    if rng.random() < 0.05 and text.endswith("}") and isinstance(content, dict) and content:
        again = json.dumps(next(iter(content)))
        text = f"{text[:-1]}, {again}: {json.dumps(hostile(rng))}}}"
    data = text.encode()
    return name, damaged(data, rng) if rng.random() < 0.1 else data


# -- running -------------------------------------------------------------------------------------


def run(name: str, data: bytes, folder: Path) -> str:
    """Load a config, save it and run it; return what came of it, in words.

    Raises:
        Exception: a fault.
    """
    import numpy as np

    from jaxprep import AutoImageProcessor, AutoVideoProcessor, ImageClassifierPreprocessor, presets
    from jaxprep.errors import JaxprepError

    file, saved = folder / name, folder / "saved"
    file.write_bytes(data)
    image = np.random.default_rng(0).integers(0, 256, (19, 24, 3), np.uint8)
    try:
        if name == VIDEO_FILE:
            processor = AutoVideoProcessor.from_pretrained(file)
            processor.save_pretrained(saved)
            again = AutoVideoProcessor.from_pretrained(saved)
            assert again.to_dict() == processor.to_dict(), "saved and loaded it is another"
        else:
            config = presets.load(file)
    except JaxprepError as error:
        str(error).encode("utf-8", "backslashreplace")
        return "refused"
    finally:
        shutil.rmtree(saved, ignore_errors=True)
    if name != VIDEO_FILE:
        hash(config)
        str(config).encode()
        presets.save(config, saved)
        again = presets.load(saved)
        shutil.rmtree(saved)
        if again != config:
            raise AssertionError(f"saved and loaded it is another: {again} != {config}")
    try:
        if name == VIDEO_FILE:
            features = processor(np.stack([image] * 4))
        elif name == "preprocessor_config.json" and (len(data) % 2 or _has_views(config)):
            features = AutoImageProcessor.from_pretrained(file)([image, image[:, ::-1]])
        else:
            features = {"image": ImageClassifierPreprocessor(config)(image)}
        results = [value for value in features.values() if hasattr(value, "dtype")]
    except JaxprepError:
        return "refused with the image"
    for result in results:
        values = np.asarray(result, np.float32)
        if not np.isfinite(values).all():
            raise AssertionError(f"{np.sum(~np.isfinite(values))} values are not finite")
    return "ran"


def _has_views(config: Any) -> bool:
    """Whether a class makes more of an image than one image, as processors of Hugging Face do."""
    row = getattr(config, "row", None)
    return row is not None and bool(row.views)


def work(args: argparse.Namespace) -> None:
    """Run cases, and print a line of JSON before and after each."""
    resource.setrlimit(resource.RLIMIT_AS, (BYTES, BYTES))
    warnings.simplefilter("ignore")
    known = seeds(args.folder, args.match)
    with tempfile.TemporaryDirectory() as folder:
        for number in range(args.start, args.start + args.count):
            name, data = case(number, args.seed, known)
            print(json.dumps([number, "begun", ""]), flush=True)
            try:
                outcome, said = run(name, data, Path(folder)), ""
            except Exception:
                outcome, said = "FAULT", traceback.format_exc()[-1500:]
            print(json.dumps([number, outcome, said]), flush=True)


class Runner:
    """Runs a range of cases in processes one after the other; kills those that hang."""

    def __init__(self, args: argparse.Namespace, outcomes: collections.Counter[str]):
        self.args, self.outcomes = args, outcomes

    def __call__(self, start: int, stop: int) -> None:
        while start < stop:
            start = self._process(start, min(CASES_PER_PROCESS, stop - start))

    def _process(self, start: int, count: int) -> int:
        """Run cases in one process; return the number of the next one."""
        command = [sys.executable, __file__, "--start", str(start), "--count", str(count)]
        command += ["--seed", str(self.args.seed), "--match", self.args.match]
        command += ["--folder", str(self.args.folder)] if self.args.folder else []
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        assert process.stdout is not None and process.stderr is not None
        current, done, hung = start - 1, start, threading.Event()
        # The first case waits for imports.
        watchdog = _timer(3 * SECONDS, process, hung)
        errors: list[bytes] = []
        reader = threading.Thread(target=lambda: errors.append(process.stderr.read()))
        reader.start()
        for line in process.stdout:
            number, outcome, said = json.loads(line)
            watchdog.cancel()
            watchdog = _timer(SECONDS, process, hung)
            current = number
            if outcome != "begun":
                done = number + 1
                self.report(number, outcome, said)
        watchdog.cancel()
        reader.join()
        if process.wait() == 0:
            return start + count
        if current < start:
            # not a case's fault: counted once, for all that the process had to do
            self.report(start, "NO START", errors[0].decode(errors="replace")[-600:])
            return start + count
        if current >= done:  # it was begun and has not ended
            last = errors[0].decode(errors="replace")[-600:]
            self.report(current, "HANG" if hung.is_set() else "DEATH", last)
            return current + 1
        return done

    def report(self, number: int, outcome: str, said: str) -> None:
        self.outcomes[outcome] += 1
        if outcome.isupper():
            print(f"case {number}: {outcome} {said}", flush=True)


def _timer(seconds: float, process: subprocess.Popen[bytes], hung: threading.Event) -> Any:
    def kill() -> None:
        hung.set()
        process.kill()

    timer = threading.Timer(seconds, kill)
    timer.daemon = True
    timer.start()
    return timer


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--count", type=int, default=1000)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--folder", type=Path)
    parser.add_argument("--match", default="", help="a regular expression")
    parser.add_argument("--only", type=int)
    parser.add_argument("--start", type=int, help=argparse.SUPPRESS)  # of a worker
    args = parser.parse_args()
    sys.path.insert(0, str(ROOT))
    os.environ.setdefault("JAX_PLATFORMS", "cpu")
    if args.start is not None:
        work(args)
        return 0
    if args.only is not None:
        name, data = case(args.only, args.seed, seeds(args.folder, args.match))
        print(name, data.decode(errors="backslashreplace"))
        with tempfile.TemporaryDirectory() as folder:
            print(run(name, data, Path(folder)))
        return 0
    outcomes: collections.Counter[str] = collections.Counter()
    runner, begun = Runner(args, outcomes), time.monotonic()
    share = -(-args.count // args.jobs)
    threads = []
    for job in range(args.jobs):
        start = args.first + job * share
        stop = min(start + share, args.first + args.count)
        threads.append(threading.Thread(target=runner, args=(start, stop)))
        threads[-1].start()
    for thread in threads:
        thread.join()
    faults = sum(count for outcome, count in outcomes.items() if outcome.isupper())
    print(f"{dict(outcomes)} in {time.monotonic() - begun:.0f} s: {faults} faults")
    print(f"{sum(outcomes.values())} of {args.count} cases")
    return int(faults > 0)


if __name__ == "__main__":
    sys.exit(main())
