"""Runs jaxprep: the pipeline jitted, as in training, and the facade eagerly, as on a server."""

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
    """Return the steps of a case."""
    steps: list[Any] = []
    if case.method != "none":
        rule = {"shortest_edge": case.target} if case.crop else {"size": case.target}
        steps.append(ops.Resize(**rule, method=METHODS[case.method], reference=reference))
    if case.crop:
        steps.append(ops.CenterCrop(case.target))
    return jaxprep.Pipeline((*steps, ops.Rescale(), ops.Normalize(MEAN, STD)))


def prepare(case: Case, images: list[np.ndarray], cores: int, reference: str) -> dict:
    # Before JAX starts, as README advises for CPU: a device per core.
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


def along_batch(batch: Any) -> Any:
    """Shard a batch over all devices; return None for one device, or where it does not divide."""
    count = len(jax.devices())
    images = jax.tree.leaves(batch)[0]
    if count == 1 or len(images) % count:
        return None
    # The mesh is an explicit one, as README advises.
    mesh = jax.make_mesh((count,), ("batch",))
    return jax.device_put(batch, NamedSharding(mesh, PartitionSpec("batch")))


def _uniform(pipeline: jaxprep.Pipeline, images: np.ndarray) -> dict:
    def run(image: Any) -> Any:
        return pipeline(jaxprep.Batch(image=image)).image

    program, of_core = jax.jit(run), jax.jit(run, compiler_options=ONE_THREAD)
    # In training the batch is on the device before the step; a server has NumPy's.
    on_device, sharded = jnp.asarray(images), along_batch(images)
    forms = {
        JITTED: lambda: jax.block_until_ready(program(on_device)),
        "jit, NumPy batch": lambda: jax.block_until_ready(program(images)),
    }
    if sharded is not None:
        forms[SHARDED] = lambda: jax.block_until_ready(of_core(sharded))
    return forms


def _same_array(facade: Any, images: list[np.ndarray]) -> dict:
    """Return the facade called eagerly, and under `jax.jit`, on the same NumPy array.

    The array is a photograph `(h, w, c)` or a batch `(b, h, w, c)`.
    """
    array = images[0] if len(images) == 1 else np.stack(images)
    program = jax.jit(facade)
    return {
        EAGER: lambda: jax.block_until_ready(facade(array)),
        JITTED_FACADE: lambda: jax.block_until_ready(program(array)),
    }


def _ragged(pipeline: jaxprep.Pipeline, images: list[np.ndarray]) -> dict:
    """Return the pipeline jitted with a plan, on the smallest canvas that holds all images."""
    sizes = np.asarray([image.shape[:2] for image in images])
    plan = pipeline.plan(sizes, canvas=sizes.max(axis=0))
    canvas = np.zeros((len(images), *plan.canvas, 3), np.uint8)
    for slot, image in zip(canvas, images, strict=True):
        slot[: image.shape[0], : image.shape[1]] = image

    def run(image: Any, plan: Any) -> Any:
        return pipeline(jaxprep.Batch(image=image), plan=plan).image

    program, of_core = jax.jit(run), jax.jit(run, compiler_options=ONE_THREAD)
    # A loader puts both on the device ahead of the step.
    on_device = jnp.asarray(canvas)
    tables = jax.device_put(plan)
    sharded = along_batch((canvas, plan))
    forms = {JITTED: lambda: jax.block_until_ready(program(on_device, tables))}
    if sharded is not None:
        forms[SHARDED] = lambda: jax.block_until_ready(of_core(*sharded))
    return forms
