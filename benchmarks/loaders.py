"""Times loaders beside decoding alone, and a training step with real and with synthetic data.

JPEGs of 500 x 375 are cut from the photographs of `examples/photos`. What is timed takes each of
them once an epoch: decoding alone in threads; `parallel.batches`, and Grain in threads and in
worker processes, to canvases and plans; the same placed on the device by `prefetch`. Then a small
Flax CNN is trained on batches that are loaded, and on one batch that is on the device already:
where the step is slower than the loader both take the same time, and on a CPU they share its cores.

Usage: `python benchmarks/loaders.py [--images 512] [--cores 2] [--repeat 3] [--output FILE]
[--python loaders=PATH]`. The result is printed, and written to `results/loaders.txt`.
"""

from __future__ import annotations

import argparse
import functools
import itertools
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import environments
from folder import HEIGHT, WIDTH, make_photos
from processes import ROOT, machine, variables
from report import header
from worker import pin

CANVAS = (384, 512)
BATCH = 32
SIDE = 128
CLASSES = 10


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=int, default=512)
    parser.add_argument("--cores", type=int, default=2)
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--output", type=Path, default=ROOT / "benchmarks/results/loaders.txt")
    parser.add_argument("--worker", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    environments.add_options(parser)
    args = parser.parse_args()
    if args.worker:
        work(args)
        return
    python = environments.pythons(args, {"loaders"}).get("loaders")
    if python is None:
        raise SystemExit(1)
    described = header(machine())
    with tempfile.TemporaryDirectory() as home:
        command = [python, __file__, "--worker", "--folder", str(Path(home, "photos"))]
        for name in ("images", "cores", "repeat"):
            command += [f"--{name}", str(getattr(args, name))]
        done = subprocess.run(command, env=variables(args.cores), stdout=subprocess.PIPE, text=True)
    if done.returncode:
        raise SystemExit(f"failed: {' '.join(command)}")
    text = f"$ python benchmarks/loaders.py\n{described}\n{done.stdout}"
    print(text, end="")
    args.output.write_text(text)


def work(args: argparse.Namespace) -> None:
    make_photos(args)
    pin(args.cores)
    import jax

    paths = sorted(map(str, args.folder.glob("*.jpg")))
    paths = paths[: len(paths) // BATCH * BATCH]
    batches = len(paths) // BATCH
    twice = 2 * [(path, i % CLASSES) for i, path in enumerate(paths)]
    print(
        f"{args.cores} core(s), {len(paths)} JPEGs of {WIDTH} x {HEIGHT}, canvas {CANVAS}, batch "
        f"{BATCH}, best of {args.repeat} epochs, jax {jax.__version__}"
    )
    load = functools.partial(in_threads, twice, args.cores)
    loaders: dict[str, tuple[int, Callable[[], Iterable[Any]]]] = {
        "decoding alone, in threads": (
            len(paths),
            functools.partial(decoded, 2 * paths, args.cores),
        ),
        "batches, in threads": (batches, load),
        "batches, in threads, on the device": (batches, functools.partial(prefetched, load)),
        "Grain, in threads": (batches, functools.partial(in_grain, twice, args.cores)),
        "Grain, in worker processes": (batches, functools.partial(in_workers, twice, args.cores)),
    }
    rates: list[float] = []
    for name, (count, loader) in loaders.items():
        rates.append(len(paths) / best(args.repeat, loader, count))
        print(f"  {name:42}{rates[-1]:8.0f} images/s{rates[-1] / rates[0]:8.0%}")
    time_steps(load, batches, args.repeat)


def best(
    repeat: int,
    load: Callable[[], Iterable[Any]],
    count: int,
    use: Callable[[Any], Any] = lambda item: None,
) -> float:
    """Returns the seconds of an epoch, the smallest of several.

    Args:
        load: iterates two epochs; the first starts threads and workers, and compiles.
        count: the items of an epoch.
        use: what is done with each item; it returns what to wait for at the end of an epoch.
    """
    import jax

    times = []
    for _ in range(repeat):
        items = iter(load())
        for _ in range(2):
            begin = time.perf_counter()
            for item in itertools.islice(items, count):
                result = use(item)
            jax.block_until_ready(result)
        times.append(time.perf_counter() - begin)
    return min(times)


# -- loaders ---------------------------------------------------------------------------------------


@functools.cache
def train() -> Any:
    from jaxprep import Pipeline, augment, ops

    mean, std = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
    geometry = (augment.RandomResizedCrop(SIDE), augment.RandomFlip())
    return Pipeline((*geometry, ops.Rescale(), ops.Normalize(mean, std)))


def decoded(paths: list[str], cores: int) -> Iterable[Any]:
    from concurrent.futures import ThreadPoolExecutor

    import jaxprep

    with ThreadPoolExecutor(cores) as pool:
        for i in range(0, len(paths), 2 * BATCH):  # few are held at a time
            yield from pool.map(jaxprep.read_image, paths[i : i + 2 * BATCH])


def in_threads(records: list[Any], cores: int) -> Iterable[Any]:
    from jaxprep import parallel

    collate = parallel.Collate(parallel.LoadExample(CANVAS), pipeline=train(), workers=cores)
    return parallel.batches(records, collate, BATCH)


def in_grain(records: list[Any], cores: int) -> Any:
    import grain

    from jaxprep import parallel

    shard = parallel.Shard(records, BATCH)
    dataset = grain.MapDataset.source(shard).map(parallel.LoadExample(CANVAS))
    batched = dataset.batch(BATCH, batch_fn=parallel.Collate(pipeline=train()))
    options = grain.ReadOptions(num_threads=cores, prefetch_buffer_size=2 * cores)
    return batched.to_iter_dataset(options)


def in_workers(records: list[Any], cores: int) -> Any:
    import grain
    from absl import flags

    flags.FLAGS(sys.argv[:1])  # Grain's workers ask for them
    options = grain.multiprocessing.MultiprocessingOptions(num_workers=cores)
    return in_grain(records, 1).mp_prefetch(options)


def prefetched(load: Callable[[], Iterable[Any]]) -> Iterable[Any]:
    from jaxprep import parallel

    return parallel.prefetch(load())


# -- training --------------------------------------------------------------------------------------


def time_steps(load: Callable[[], Iterable[Any]], steps: int, repeat: int) -> None:
    import flax.linen as nn
    import jax
    import jax.numpy as jnp

    class Net(nn.Module):
        @nn.compact
        def __call__(self, x: Any) -> Any:
            for features in (16, 32, 64):
                x = nn.relu(nn.Conv(features, (3, 3), strides=2)(x))
            return nn.Dense(CLASSES)(x.mean((1, 2)))

    net = Net()
    key = jax.random.key(0)
    start = net.init(key, jnp.zeros((1, SIDE, SIDE, 3)))

    @jax.jit
    def step(variables: Any, batch: Any, plan: Any) -> Any:
        batch = train()(batch, key=key, plan=plan)

        def loss(variables: Any) -> Any:
            logits = jax.nn.log_softmax(net.apply(variables, batch.image))
            own = jnp.take_along_axis(logits, batch.label[:, None], 1)[:, 0]
            return -jnp.sum(own * batch.weight) / jnp.sum(batch.weight)

        gradient = jax.grad(loss)(variables)
        return jax.tree.map(lambda value, change: value - 0.01 * change, variables, gradient)

    variables = start

    def train_on(item: Any) -> Any:
        nonlocal variables
        variables = step(variables, *item)
        return variables

    one = next(iter(prefetched(load)))
    on_device = best(repeat, lambda: [one] * 2 * steps, steps, train_on) / steps
    loaded = best(repeat, lambda: prefetched(load), steps, train_on) / steps
    loading = best(repeat, load, steps) / steps
    print(f"training step of {BATCH} images, {SIDE} x {SIDE}, a CNN of three layers, ms:")
    print(f"  with synthetic data (one batch, on the device){1000 * on_device:10.1f}")
    print(f"  with real data{1000 * loaded:42.1f}")
    print(f"  loading such a batch alone{1000 * loading:30.1f}")


if __name__ == "__main__":
    main()
