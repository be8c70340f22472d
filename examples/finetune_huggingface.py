"""Fine-tunes a network with the image processor of a model on the Hugging Face hub.

    python examples/finetune_huggingface.py --output runs/vit

20 epochs reach 96 % on the 360 digits of the test set. `examples/vit` has the file
`preprocessor_config.json` of google/vit-base-patch16-224; `--model google/vit-base-patch16-224`
reads it from the hub. The backbone is a small one with random weights that stay as they are, since
the subject is what surrounds it: put the network in its place whose processor you take.

Normalising, channels first and whose arithmetic resizes are the processor's, in training as in
evaluation; random crops and RandAugment are the recipe's. The result has a
`preprocessor_config.json`, too. Interrupt it when you like: the same line continues, and ends with
the same weights in every bit.
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
from jaxprep import checkpoint, parallel
from jaxprep.training import find_recipe

BATCH_SIZE = 64
SAVE_EVERY = 10  # steps
MODEL = Path(__file__).with_name("vit")
IMAGE_SIZE = 32  # the model's own is 224

# a published recipe, changed for digits: mirrored or cut off they are none
RECIPE = dataclasses.replace(find_recipe("timm/rsb-a2"), flip=0.0, scale=(0.5, 1.0))


class Network(nn.Module):
    @nn.compact
    def __call__(self, x):
        x = jnp.moveaxis(x, 1, -1)  # processors of Hugging Face put channels first
        x = nn.relu(nn.Conv(256, (8, 8), strides=4, name="backbone")(x))
        x = nn.avg_pool(x, (2, 2), (2, 2))
        return nn.Dense(digits.NUM_CLASSES, name="head")(x.reshape(len(x), -1))


def create_state(key: jax.Array, num_steps: int) -> TrainState:
    network = Network()
    params = network.init(key, jnp.zeros((1, 3, IMAGE_SIZE, IMAGE_SIZE)))
    optimizers = {
        "backbone": optax.set_to_zero(),
        "head": optax.adamw(optax.cosine_decay_schedule(1e-2, num_steps)),
    }
    optimizer = optax.multi_transform(optimizers, {"params": {name: name for name in optimizers}})
    return TrainState.create(apply_fn=network.apply, params=params, tx=optimizer)


@functools.partial(jax.jit, static_argnames="pipeline", donate_argnames="state")
@chex.assert_max_traces(n=1)
def train_step(state, batch, plan, key, *, pipeline):
    batch = pipeline(batch, plan=plan, key=key)  # an example draws by its place in the stream

    def mean_loss(params):
        logits = state.apply_fn(params, batch.image)
        losses = optax.softmax_cross_entropy_with_integer_labels(logits, batch.label)
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
    parser.add_argument("--model", default=MODEL, help="a folder, or the id of a model on the hub")
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
    size = {"height": IMAGE_SIZE, "width": IMAGE_SIZE}
    processor = jaxprep.AutoImageProcessor.from_pretrained(args.model, size=size)

    manager = ocp.CheckpointManager(
        args.output.absolute(), options=ocp.CheckpointManagerOptions(max_to_keep=2)
    )
    step = manager.latest_step() or 0
    if step:
        items = manager.restore(step, args=checkpoint.restore_args(state))
        processor, state = checkpoint.preprocessor_of(items.preprocessor), items.state

    pipeline = jaxprep.training_pipeline(processor, RECIPE, mixing=False)
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
                    manager.save(step, args=checkpoint.save_args(processor, state))
            if step % steps_per_epoch == 0:
                accuracy = evaluate(state, test_examples, processor.pipeline)
                progress.set_postfix(loss=f"{jax.device_get(loss):.3f}", accuracy=f"{accuracy:.3f}")
    processor.save_pretrained(args.output)
    accuracy = evaluate(state, test_examples, processor.pipeline)
    print(f"accuracy {accuracy:.4f} on {len(test_examples)} test images")


if __name__ == "__main__":
    main()
