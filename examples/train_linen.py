"""Trains a small network of Flax Linen: from JPEG files to weights, preprocessing in the step.

    python examples/train_linen.py --output runs/linen

20 epochs reach 97 % on the 360 digits of the test set. Interrupt it when you like: the same line
continues after the last checkpoint, and ends with the same weights in every bit.

The host decodes files of different sizes to one canvas. Everything else is one jitted function:
random crops, normalising as the preset says, mixup and cutmix, and the update.
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
from tqdm import tqdm

import jaxprep
from jaxprep import augment, checkpoint, parallel
from jaxprep.training import find_recipe

BATCH_SIZE = 64
SAVE_EVERY = 10  # steps

PREPROCESSOR = jaxprep.ImageClassifierPreprocessor.from_preset(
    "timm/resnet50.a1_in1k", image_size=16
)
# a published recipe, changed for digits: mirrored or cut off they are none
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


def create_state(key: jax.Array, num_steps: int) -> TrainState:
    network = Network()
    params = network.init(key, jnp.zeros((1, 16, 16, 3)))
    optimizer = optax.adamw(optax.cosine_decay_schedule(3e-3, num_steps))
    return TrainState.create(apply_fn=network.apply, params=params, tx=optimizer)


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


def evaluate(state, examples, pipeline) -> float:
    collate = parallel.Collate(parallel.LoadExample(digits.CANVAS), pipeline=pipeline)
    with parallel.prefetch(parallel.batches(examples, collate, BATCH_SIZE)) as batches:
        counts = [evaluate_step(state, *batch, pipeline=pipeline) for batch in batches]
    right, total = np.sum(jax.device_get(counts), axis=0)
    return right / total


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--output", type=Path, required=True, help="folder of the checkpoints")
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--data", type=Path, default=digits.FOLDER, help="folder of the JPEG files")
    return parser.parse_args()


def main() -> None:
    args = parse_arguments()
    train_examples, test_examples = digits.load(args.data)
    steps_per_epoch = digits.steps_per_epoch(train_examples, BATCH_SIZE)
    num_steps = args.epochs * steps_per_epoch
    key, init_key = jax.random.split(jax.random.key(args.seed))
    state = jax.jit(create_state, static_argnums=1)(init_key, num_steps)
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
    with manager, parallel.prefetch(batches) as batches, jax.transfer_guard("disallow"):
        progress = tqdm(batches, total=num_steps, initial=step, unit=" steps")
        for batch, plan in progress:
            state, loss = train_step(state, batch, plan, key, pipeline=pipeline)
            step += 1
            if step % SAVE_EVERY == 0 or step == num_steps:
                with jax.transfer_guard("allow"):  # orbax reads the arrays in its own way
                    manager.save(step, args=checkpoint.save_args(preprocessor, state))
            if step % steps_per_epoch == 0:
                accuracy = evaluate(state, test_examples, preprocessor.pipeline)
                progress.set_postfix(loss=f"{jax.device_get(loss):.3f}", accuracy=f"{accuracy:.3f}")
    accuracy = evaluate(state, test_examples, preprocessor.pipeline)
    print(f"accuracy {accuracy:.4f} on {len(test_examples)} test images")


if __name__ == "__main__":
    main()
