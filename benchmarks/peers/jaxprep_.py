"""jaxprep: the pipeline jitted, as in a training step, and the facade called eagerly, as on a
server.
"""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import NamedSharding, PartitionSpec

import jaxprep
from cases import MEAN, STD, Case
from jaxprep import ops

METHODS = {"bilinear": "bilinear", "bicubic": "bicubic", "lanczos": "lanczos3"}
JITTED = "jit"
"""The form whose first call is a compilation, and that steadiness and memory are measured with."""
ONE_THREAD = {"xla_disable_hlo_passes": "cpu-parallel-task-assigner"}
"""Compiler options that README advises for a device per core: XLA otherwise divides the program of
each device over all cores once more.
"""
SHARDED = "jit, a device per core"
EAGER = "facade, NumPy array"
JITTED_FACADE = "jit(facade), NumPy"


def pipeline_of(case: Case, reference: str) -> jaxprep.Pipeline:
    """The steps of a case."""
    steps: list[Any] = []
    if case.method != "none":
        rule = {"shortest_edge": case.target} if case.crop else {"size": case.target}
        steps.append(ops.Resize(**rule, method=METHODS[case.method], reference=reference))
    if case.crop:
        steps.append(ops.CenterCrop(case.target))
    return jaxprep.Pipeline((*steps, ops.Rescale(), ops.Normalize(MEAN, STD)))


def prepare(case: Case, images: list[np.ndarray], cores: int, reference: str) -> dict:
    jax.config.update("jax_num_cpu_devices", cores)
    pipeline = pipeline_of(case, reference)
    facade = jaxprep.ImageConverter.from_config(pipeline)
    if case.is_ragged:
        forms = _ragged(pipeline, images)
    else:
        forms = {**_uniform(pipeline, np.stack(images)), **_same_array(facade, images)}
    if reference in ("pillow", "torchvision"):
        forms["facade, list of arrays"] = lambda: jax.block_until_ready(facade(images))
    return forms


def _sharded(batch: Any) -> Any:
    """A batch over all devices, one per core; None where there is one, or where it does not
    divide.
    """
    count = len(jax.devices())
    if count == 1 or len(jax.tree.leaves(batch)[0]) % count:
        return None
    return jax.device_put(
        batch, NamedSharding(jax.make_mesh((count,), ("batch",)), PartitionSpec("batch"))
    )


def _uniform(pipeline: jaxprep.Pipeline, images: np.ndarray) -> dict:
    def run(image: Any) -> Any:
        return pipeline(jaxprep.Batch(image=image)).image

    program, of_core = jax.jit(run), jax.jit(run, compiler_options=ONE_THREAD)
    on_device, sharded = jnp.asarray(images), _sharded(images)
    forms = {
        JITTED: lambda: jax.block_until_ready(program(on_device)),
        "jit, NumPy batch": lambda: jax.block_until_ready(program(images)),
    }
    return (
        forms
        if sharded is None
        else {**forms, SHARDED: lambda: jax.block_until_ready(of_core(sharded))}
    )


def _same_array(facade: Any, images: list[np.ndarray]) -> dict:
    """The facade called eagerly, and under `jax.jit`, on one NumPy array: a photograph `(h, w, c)`
    or a batch `(b, h, w, c)`.
    """
    array = images[0] if len(images) == 1 else np.stack(images)
    program = jax.jit(facade)
    return {
        EAGER: lambda: jax.block_until_ready(facade(array)),
        JITTED_FACADE: lambda: jax.block_until_ready(program(array)),
    }


def _ragged(pipeline: jaxprep.Pipeline, images: list[np.ndarray]) -> dict:
    """Images on the smallest canvas that holds the largest of them, on the device already, and
    their plan.
    """
    sizes = np.asarray([image.shape[:2] for image in images])
    plan = pipeline.plan(sizes, canvas=sizes.max(axis=0))
    canvas = np.zeros((len(images), *plan.canvas, 3), np.uint8)
    for slot, image in zip(canvas, images, strict=True):
        slot[: image.shape[0], : image.shape[1]] = image

    def run(image: Any, plan: Any) -> Any:
        return pipeline(jaxprep.Batch(image=image), plan=plan).image

    program, of_core = jax.jit(run), jax.jit(run, compiler_options=ONE_THREAD)
    on_device, tables, sharded = jnp.asarray(canvas), jax.device_put(plan), _sharded((canvas, plan))
    forms = {JITTED: lambda: jax.block_until_ready(program(on_device, tables))}
    return (
        forms
        if sharded is None
        else {**forms, SHARDED: lambda: jax.block_until_ready(of_core(*sharded))}
    )
