"""Trains a small network of Flax NNX: from JPEG files to weights, preprocessing in the step.

    python examples/train_nnx.py --output runs/nnx

20 epochs reach 97 % on the 360 digits of the test set. Interrupt it when you like: the same line
continues after the last checkpoint, and ends with the same weights in every bit. The checkpoint has
all that the network and the optimizer consist of, dropout's random state too.

The host decodes files of different sizes to one canvas. Everything else is one jitted function:
random crops, normalising as the preset says, erasing, mixup, and the update.
"""

from __future__ import annotations

import argparse
import functools
from pathlib import Path

import chex
import digits
import jax
import jax.numpy as jnp
import numpy as np
import optax
import orbax.checkpoint as ocp
from flax import nnx
from tqdm import tqdm

import jaxprep
from jaxprep import augment, checkpoint, parallel

BATCH_SIZE = 64
SAVE_EVERY = 10  # steps

PREPROCESSOR = jaxprep.ImageClassifierPreprocessor.from_preset("resnet_50_imagenet", image_size=16)
# a recipe of our own; `jaxprep.recipes()` names the published ones
RECIPE = augment.Recipe(
    sources=(),
    scale=(0.5, 1.0),
    flip=0.0,  # a mirrored digit is none
    erasing=augment.RandomErasing(0.25, mode="pixel"),
    mixing=augment.Mixing(mixup=0.2, smoothing=0.1),
    num_classes=digits.NUM_CLASSES,
)


class Network(nnx.Module):
    def __init__(self, rngs: nnx.Rngs):
        self.first = nnx.Conv(3, 32, (3, 3), strides=2, rngs=rngs)
        self.second = nnx.Conv(32, 64, (3, 3), strides=2, rngs=rngs)
        self.hidden = nnx.Linear(4 * 4 * 64, 128, rngs=rngs)
        self.dropout = nnx.Dropout(0.2, rngs=rngs)
        self.logits = nnx.Linear(128, digits.NUM_CLASSES, rngs=rngs)

    def __call__(self, x):
        x = nnx.relu(self.first(x))
        x = nnx.relu(self.second(x))
        x = nnx.relu(self.hidden(x.reshape(len(x), -1)))
        return self.logits(self.dropout(x))


@functools.partial(nnx.jit, static_argnames="pipeline", donate_argnames=("network", "optimizer"))
@chex.assert_max_traces(n=1)
def train_step(network, optimizer, batch, plan, key, *, pipeline):
    # mixing draws once a batch, so each batch needs a key of its own
    batch = pipeline(batch, plan=plan, key=jax.random.fold_in(key, optimizer.step[...]))

    def mean_loss(network):
        losses = optax.softmax_cross_entropy(network(batch.image), batch.label)
        return jnp.average(losses, weights=batch.weight)

    loss, gradients = nnx.value_and_grad(mean_loss)(network)
    optimizer.update(network, gradients)
    return loss


@functools.partial(nnx.jit, static_argnames="pipeline")
@chex.assert_max_traces(n=1)
def evaluate_step(network, batch, plan, *, pipeline):
    """Return how many examples are classified rightly, and how many there are: sums of weights."""
    batch = pipeline(batch, plan=plan)
    is_right = network(batch.image).argmax(-1) == batch.label
    return jnp.stack([jnp.sum(is_right * batch.weight), jnp.sum(batch.weight)])


def evaluate(network, examples, pipeline) -> float:
    collate = parallel.Collate(parallel.LoadExample(digits.CANVAS), pipeline=pipeline)
    network = nnx.view(network, deterministic=True)  # without dropout
    with parallel.prefetch(parallel.batches(examples, collate, BATCH_SIZE)) as batches:
        counts = [evaluate_step(network, *batch, pipeline=pipeline) for batch in batches]
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
    network = Network(nnx.Rngs(args.seed))
    schedule = optax.cosine_decay_schedule(3e-3, num_steps)
    optimizer = nnx.Optimizer(network, optax.adamw(schedule), wrt=nnx.Param)
    key = jax.random.key(args.seed)
    preprocessor = PREPROCESSOR

    manager = ocp.CheckpointManager(
        args.output.absolute(), options=ocp.CheckpointManagerOptions(max_to_keep=2)
    )
    step = manager.latest_step() or 0
    if step:
        state = nnx.state((network, optimizer))
        items = manager.restore(step, args=checkpoint.restore_args(state))
        nnx.update((network, optimizer), items.state)
        preprocessor = checkpoint.preprocessor_of(items.preprocessor)

    pipeline = jaxprep.training_pipeline(preprocessor, RECIPE)
    collate = parallel.Collate(parallel.LoadExample(digits.CANVAS), pipeline=pipeline)
    batches = digits.training_batches(
        train_examples, collate, BATCH_SIZE, seed=args.seed, epochs=args.epochs, skip=step
    )
    # leaving `manager` waits until the last checkpoint is written
    with manager, parallel.prefetch(batches) as batches, jax.transfer_guard("disallow"):
        progress = tqdm(batches, total=num_steps, initial=step, unit=" steps")
        for batch, plan in progress:
            loss = train_step(network, optimizer, batch, plan, key, pipeline=pipeline)
            step += 1
            if step % SAVE_EVERY == 0 or step == num_steps:
                state = nnx.state((network, optimizer))
                with jax.transfer_guard("allow"):  # orbax reads the arrays in its own way
                    manager.save(step, args=checkpoint.save_args(preprocessor, state))
            if step % steps_per_epoch == 0:
                accuracy = evaluate(network, test_examples, preprocessor.pipeline)
                progress.set_postfix(loss=f"{jax.device_get(loss):.3f}", accuracy=f"{accuracy:.3f}")
    accuracy = evaluate(network, test_examples, preprocessor.pipeline)
    print(f"accuracy {accuracy:.4f} on {len(test_examples)} test images")


if __name__ == "__main__":
    main()
