"""Times a training transform beside timm's, and RandAugment beside the layer of Keras.

The transform is a random resized crop to 224 x 224, a flip, RandAugment of two operations at
magnitude 9, and a normalisation, of 64 photographs of 512 x 512 in memory, with timm's operations
and probabilities. timm's has two worker processes of a `DataLoader`, as in its training script;
jaxprep's is one jitted function with a device per core. Then RandAugment alone, of 64 images of
224 x 224: Keras' layer under `jax.jit`, and jaxprep's step. Each runs in processes of its own, in
turn; the throughput of the best of them counts.

Usage: `python benchmarks/augmentation.py [--cores 2] [--seconds 10] [--rounds 3] [--output FILE]
[--python jaxprep=PATH --python torch=PATH --python keras=PATH]`. The result is printed, and written
to `results/augmentation.txt`.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import environments
from cases import MEAN, STD
from processes import ROOT, machine, run_json, variables
from report import header
from worker import pin

BATCH, SOURCE, TARGET = 64, 512, 224
SEED = 0
# By the name that is printed: the group of packages, and what is timed.
PEERS = {
    "jaxprep, transform": "jaxprep",
    "timm, transform, 2 workers": "torch",
    "jaxprep, RandAugment": "jaxprep",
    "Keras, RandAugment": "keras",
}
BARS = (
    ("jaxprep, transform", "timm, transform, 2 workers", 3.0),
    ("jaxprep, RandAugment", "Keras, RandAugment", 10.0),
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cores", type=int, default=2)
    parser.add_argument("--seconds", type=float, default=10.0, help="of each process")
    parser.add_argument("--rounds", type=int, default=3, help="processes of each")
    parser.add_argument("--output", type=Path, default=ROOT / "benchmarks/results/augmentation.txt")
    parser.add_argument("--worker", choices=PEERS, help=argparse.SUPPRESS)
    environments.add_options(parser)
    args = parser.parse_args()
    if args.worker:
        print(json.dumps(work(args.worker, args.cores, args.seconds)))
        return
    described = header(machine())
    pythons = environments.pythons(args, set(PEERS.values()))
    answers: dict[str, list[dict[str, Any]]] = {}
    for _ in range(args.rounds):
        for name, group in PEERS.items():
            if group not in pythons:
                continue
            command = [pythons[group], __file__, "--worker", name]
            command += ["--cores", str(args.cores), "--seconds", str(args.seconds)]
            answers.setdefault(name, []).append(run_json(command, variables(args.cores)))
            print(name, answers[name][-1], file=sys.stderr)
    text = f"$ python benchmarks/augmentation.py\n{described}\n{report(answers, args.cores)}"
    print(text, end="")
    args.output.write_text(text)


def report(answers: dict[str, list[dict[str, Any]]], cores: int) -> str:
    """Return the table, and the bars."""
    lines = [f"{cores} core(s), {BATCH} images a batch; ms an image: best process, and all of them"]
    best: dict[str, float] = {}
    for name, runs in answers.items():
        errors = [run["error"] for run in runs if "error" in run]
        if errors:
            lines.append(f"{name:28} failed: {errors[0][:150]}")
            continue
        times = [run["milliseconds"] for run in runs]
        best[name] = min(times)
        every = ", ".join(f"{time:.3f}" for time in times)
        lines.append(f"{name:28}{best[name]:9.3f}   ({every})   {runs[0]['versions']}")
    for ours, theirs, wanted in BARS:
        if ours in best and theirs in best:
            ratio = best[theirs] / best[ours]
            met = "met" if ratio >= wanted else "not met"
            lines.append(
                f"{ours}: {ratio:.1f} times as fast as {theirs} (wanted {wanted:g}: {met})"
            )
    return "\n".join(lines) + "\n"


def work(name: str, cores: int, seconds: float) -> dict[str, Any]:
    """Time one peer in this process."""
    pin(cores)
    import numpy as np

    side = TARGET if "RandAugment" in name else SOURCE
    images = photographs(np, side)
    made = {
        "jaxprep, transform": jaxprep_transform,
        "timm, transform, 2 workers": timm_transform,
        "jaxprep, RandAugment": jaxprep_policy,
        "Keras, RandAugment": keras_policy,
    }[name]
    call, versions = made(images)
    call()  # compiles
    call()
    # All batches of so many seconds: workers have some ready while others take long.
    begin, batches = time.perf_counter(), 0
    while time.perf_counter() - begin < seconds:
        call()
        batches += 1
    elapsed = time.perf_counter() - begin
    return {
        "milliseconds": 1000 * elapsed / (batches * BATCH),
        "versions": versions,
    }


def photographs(np: Any, side: int) -> Any:
    """Return a batch cut from the photographs of `examples/photos`, enlarged if needed."""
    from PIL import Image

    paths = sorted((ROOT / "examples" / "photos").glob("*.jpg"))
    photos = []
    for path in paths:
        photo = Image.open(path).convert("RGB")
        scale = max(1.0, 1.25 * side / min(photo.size))
        photos.append(photo.resize((int(photo.width * scale), int(photo.height * scale))))
    random = np.random.default_rng(SEED)
    batch = np.empty((BATCH, side, side, 3), np.uint8)
    for i in range(BATCH):
        photo = photos[i % len(photos)]
        left = int(random.integers(photo.width - side + 1))
        top = int(random.integers(photo.height - side + 1))
        batch[i] = np.asarray(photo.crop((left, top, left + side, top + side)))
    return batch


Made = tuple[Callable[[], Any], str]
"""A function that does a batch, and the versions of the packages that it calls."""


def _policy() -> Any:
    from jaxprep import augment

    # timm's `rand-m9-n2`: each operation happens with probability 0.5
    return augment.RandAugment(
        num_ops=2, strength=0.9, operation_probability=0.5, space="timm", fill=128.0
    )


def jaxprep_transform(images: Any) -> Made:
    from jaxprep import Pipeline, augment, ops

    steps = (
        augment.RandomResizedCrop(TARGET),
        augment.RandomFlip(),
        _policy(),
        ops.Rescale(),
        ops.Normalize(MEAN, STD),
    )
    return _jitted(Pipeline(steps), images)


def jaxprep_policy(images: Any) -> Made:
    from jaxprep import Pipeline

    return _jitted(Pipeline((_policy(),)), images)


def _jitted(pipeline: Any, images: Any) -> Made:
    """The pipeline, jitted, with a device per core, as README advises: XLA uses several cores of
    one device poorly.
    """
    import itertools

    import jax

    # Before JAX starts.
    jax.config.update("jax_num_cpu_devices", len(os.sched_getaffinity(0)))
    import jaxprep
    from peers.jaxprep_ import ONE_THREAD, along_batch

    def run(images: Any, key: Any) -> Any:
        return pipeline(jaxprep.Batch(image=images), key=key).image

    program = jax.jit(run, compiler_options=ONE_THREAD)
    sharded = along_batch(images)
    images = jax.device_put(images) if sharded is None else sharded
    keys = itertools.count()

    def call() -> Any:
        with jax.set_mesh(images.sharding.mesh) if sharded is not None else nullcontext():
            return jax.block_until_ready(program(images, jax.random.key(next(keys))))

    return call, f"jax {jax.__version__}"


def timm_transform(images: Any) -> Made:
    import itertools

    from peers.torch_ import load_torch

    torch = load_torch(1)
    import timm
    from PIL import Image
    from timm.data import create_transform

    transform = create_transform(
        TARGET,
        is_training=True,
        auto_augment="rand-m9-n2",
        color_jitter=None,
        interpolation="bilinear",
        mean=MEAN,
        std=STD,
        hflip=0.5,
        vflip=0.0,
        re_prob=0.0,
    )
    photos = [Image.fromarray(image) for image in images]

    class Photographs(torch.utils.data.IterableDataset):
        def __iter__(self) -> Any:
            for photo in itertools.cycle(photos):
                yield transform(photo)

    # Workers that never wait for an epoch to begin; each makes whole batches.
    loader = iter(
        torch.utils.data.DataLoader(
            Photographs(), batch_size=BATCH, num_workers=2, prefetch_factor=2
        )
    )
    # what was made ahead while nobody waited is not counted
    for _ in range(8):
        next(loader)

    def call() -> Any:
        return next(loader)

    return call, f"timm {timm.__version__}, torch {torch.__version__}"


def keras_policy(images: Any) -> Made:
    import jax
    import keras

    # The factor is of the strength; its operations are about those of timm.
    layer = keras.layers.RandAugment(value_range=(0, 255), num_ops=2, factor=0.9)
    layer.build(images.shape)

    def run(images: Any) -> Any:
        return layer(images, training=True)

    images = jax.device_put(images.astype("float32"))

    def call() -> Any:
        return jax.block_until_ready(run(images))

    return call, f"keras {keras.__version__}, jax {jax.__version__}"


if __name__ == "__main__":
    main()
