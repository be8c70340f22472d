"""Trains a small network on several devices: from JPEG files to weights, preprocessing in the step.

    python examples/train_devices.py --output runs/devices --cpu-devices 4

20 epochs reach 97 % on the 360 digits of the test set. The script takes all devices that there are;
`--cpu-devices` makes several of the CPU. On a pod, start the same script on every host with
`--distributed` and a folder that all of them see: each host reads its share of each batch.

An example is augmented by its position in the stream: in the same bits on any number of devices.
With the same number a run that is interrupted continues and ends with the same weights.
"""

from __future__ import annotations

import argparse
import dataclasses
import functools
from pathlib import Path

import chex
import digits
import jax
import jax.numpy as jnp
import numpy as np
import optax
import orbax.checkpoint as ocp
from flax import linen as nn
from flax.training.train_state import TrainState
from jax.sharding import NamedSharding, PartitionSpec
from tqdm import tqdm

import jaxprep
from jaxprep import augment, checkpoint, parallel
from jaxprep.training import find_recipe

BATCH_SIZE = 64  # of all devices together
SAVE_EVERY = 10  # steps

PREPROCESSOR = jaxprep.ImageClassifierPreprocessor.from_preset(
    "timm/resnet50.a1_in1k", image_size=16
)
# a published recipe, changed for digits: mirrored or cut off they are none; mixing pairs examples
# across devices
RECIPE = dataclasses.replace(
    find_recipe("torchvision/v1"),
    flip=0.0,
    scale=(0.5, 1.0),
    mixing=augment.Mixing(mixup=0.2, cutmix=1.0, smoothing=0.1),
)


class Network(nn.Module):
    @nn.compact
    def __call__(self, x):
        for features in (32, 64):
            x = nn.relu(nn.Conv(features, (3, 3), strides=2)(x))
        x = nn.relu(nn.Dense(128)(x.reshape(len(x), -1)))
        return nn.Dense(digits.NUM_CLASSES)(x)


def create_state(seed: int, num_steps: int) -> tuple[TrainState, jax.Array]:
    """Return the state before the first step, and the key of the augmentation."""
    key, init_key = jax.random.split(jax.random.key(seed))
    network = Network()
    params = network.init(init_key, jnp.zeros((1, 16, 16, 3)))
    optimizer = optax.adamw(optax.cosine_decay_schedule(3e-3, num_steps))
    return TrainState.create(apply_fn=network.apply, params=params, tx=optimizer), key


@functools.partial(jax.jit, static_argnames="pipeline", donate_argnames="state")
@chex.assert_max_traces(n=1)
def train_step(state, batch, plan, key, *, pipeline):
    # mixing draws once a batch, so each batch needs a key of its own
    batch = pipeline(batch, plan=plan, key=jax.random.fold_in(key, state.step))

    def mean_loss(params):
        losses = optax.softmax_cross_entropy(state.apply_fn(params, batch.image), batch.label)
        return jnp.average(losses, weights=batch.weight)

    loss, gradients = jax.value_and_grad(mean_loss)(state.params)
    return state.apply_gradients(grads=gradients), loss


@functools.partial(jax.jit, static_argnames="pipeline")
@chex.assert_max_traces(n=1)
def evaluate_step(state, batch, plan, *, pipeline):
    """Return how many examples are classified rightly, and how many there are: sums of weights."""
    batch = pipeline(batch, plan=plan)
    is_right = state.apply_fn(state.params, batch.image).argmax(-1) == batch.label
    return jnp.stack([jnp.sum(is_right * batch.weight), jnp.sum(batch.weight)])


def evaluate(state, examples, pipeline, mesh) -> float:
    collate = parallel.Collate(parallel.LoadExample(digits.CANVAS), pipeline=pipeline)
    with parallel.prefetch(parallel.batches(examples, collate, BATCH_SIZE), mesh) as batches:
        counts = [evaluate_step(state, *batch, pipeline=pipeline) for batch in batches]
    right, total = np.sum(jax.device_get(counts), axis=0)
    return right / total


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--output", type=Path, required=True, help="folder of the checkpoints")
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--data", type=Path, default=digits.FOLDER, help="folder of the JPEG files")
    parser.add_argument("--cpu-devices", type=int, help="train on so many devices of the CPU")
    parser.add_argument("--distributed", action="store_true", help="started on several hosts")
    return parser.parse_args()


def main() -> None:
    args = parse_arguments()
    if args.cpu_devices:
        jax.config.update("jax_platforms", "cpu")
        jax.config.update("jax_num_cpu_devices", args.cpu_devices)
    if args.distributed:
        jax.distributed.initialize()

    train_examples, test_examples = digits.load(args.data)
    steps_per_epoch = digits.steps_per_epoch(train_examples, BATCH_SIZE)
    num_steps = args.epochs * steps_per_epoch
    mesh = jax.make_mesh((jax.device_count(),), ("data",))
    everywhere = NamedSharding(mesh, PartitionSpec())
    create = jax.jit(create_state, static_argnums=(0, 1), out_shardings=everywhere)
    state, key = create(args.seed, num_steps)
    preprocessor = PREPROCESSOR

    manager = ocp.CheckpointManager(
        args.output.absolute(), options=ocp.CheckpointManagerOptions(max_to_keep=2)
    )
    step = manager.latest_step() or 0
    if step:
        items = manager.restore(step, args=checkpoint.restore_args(state))
        preprocessor, state = checkpoint.preprocessor_of(items.preprocessor), items.state

    pipeline = jaxprep.training_pipeline(preprocessor, RECIPE, num_classes=digits.NUM_CLASSES)
    collate = parallel.Collate(parallel.LoadExample(digits.CANVAS), pipeline=pipeline)
    batches = digits.training_batches(
        train_examples, collate, BATCH_SIZE, seed=args.seed, epochs=args.epochs, skip=step
    )
    # leaving `manager` waits until the last checkpoint is written
    with manager, parallel.prefetch(batches, mesh) as batches, jax.transfer_guard("disallow"):
        progress = tqdm(batches, total=num_steps, initial=step, unit=" steps")
        for batch, plan in progress:
            state, loss = train_step(state, batch, plan, key, pipeline=pipeline)
            step += 1
            if step % SAVE_EVERY == 0 or step == num_steps:
                with jax.transfer_guard("allow"):  # orbax reads the arrays in its own way
                    manager.save(step, args=checkpoint.save_args(preprocessor, state))
            if step % steps_per_epoch == 0:
                accuracy = evaluate(state, test_examples, preprocessor.pipeline, mesh)
                progress.set_postfix(loss=f"{jax.device_get(loss):.3f}", accuracy=f"{accuracy:.3f}")
    accuracy = evaluate(state, test_examples, preprocessor.pipeline, mesh)
    print(f"accuracy {accuracy:.4f} on {len(test_examples)} test images")


if __name__ == "__main__":
    main()
