"""Pipelines under JAX's transformations: the same bits on one device and on four, exported,
vmapped; and gradients.
"""

from __future__ import annotations

import functools
import operator
import re
from typing import Any

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers.images import noise
from jax import export
from jax.sharding import AxisType, NamedSharding, PartitionSpec

from jaxprep import Batch, Pipeline
from jaxprep.errors import InputError
from jaxprep.ops import CenterCrop, ChannelsFirst, Flip, Normalize, Pad, Rescale, Resize
from jaxprep.resample import passes
from jaxprep.resample.engines import cpu

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
STEPS = (
    Resize(shortest_edge=36, reference="pillow"),
    CenterCrop(32),
    Pad(1, 1, 1, 1, fill=(9.0, 8.0, 7.0)),
    Rescale(),
    Normalize(MEAN, STD),
    ChannelsFirst(),
)
UNIFORM, EXACT = Pipeline(STEPS), Pipeline(STEPS, exact=True)
FLOAT = Pipeline((Flip(), Resize((30, 34), method="bicubic"), Normalize(0.5, 0.5)))
SIZES = np.int32([[64, 40], [41, 64], [50, 50], [64, 64], [38, 47], [60, 33], [64, 41], [47, 63]])
COLLECTIVES = re.compile(
    r"all-gather|all-reduce|all-to-all|collective-permute|collective-broadcast|reduce-scatter"
)
DEVICES = 4


def given(dtype: Any = "uint8") -> Batch:
    image, points = (
        noise(8, 64, 64, 3, dtype=dtype),
        np.arange(32, dtype=np.float32).reshape(8, 2, 2),
    )
    return Batch(image=image, label=np.arange(8), keypoints=points, boxes=np.tile(points, 2))


CASES = {
    "uniform": (UNIFORM, given(), None),
    "float": (FLOAT, given("float32"), None),
    "plan": (EXACT, given(), EXACT.plan(SIZES, (64, 64))),
}


# the rest is about HLO, integers, or tolerances
quickly = pytest.mark.usefixtures("quick_compilation_of_a_test")


@functools.cache
def program(case: str) -> Any:
    """The compiled program of a batch that fits into the cache, on one device."""
    pipeline, batch, plan = CASES[case]
    return jax.jit(call(pipeline)).lower(batch, plan).compile()


@functools.cache
def on_one_device(case: str) -> Batch:
    _, batch, plan = CASES[case]
    return program(case)(batch, plan)


def call(pipeline: Pipeline) -> Any:
    return lambda batch, plan: pipeline(batch, plan=plan)


# Batches that outgrow the cache


def shrink_cache(monkeypatch: pytest.MonkeyPatch) -> None:
    """Room for one image on each of the devices: of eight images, four go at once."""
    monkeypatch.setattr(cpu, "CACHE_BYTES", cpu.transposed_bytes(64, 3, np.dtype(np.uint8)))


@pytest.mark.parametrize("case", CASES)
def test_a_batch_that_outgrows_the_cache_goes_in_turn_with_the_same_bits(case, monkeypatch):
    pipeline, batch, plan = CASES[case]
    want = on_one_device(case)
    fits = program(case)
    shrink_cache(monkeypatch)
    exceeds = jax.jit(call(pipeline)).lower(batch, plan).compile()
    if plan is None:  # images of a plan go one by one in any case
        assert exceeds.as_text().count(" while(") > fits.as_text().count(" while(")
    chex.assert_trees_all_equal(exceeds(batch, plan), want)


# Meshes


@pytest.mark.parametrize(
    ("case", "kind", "fits"),
    [
        ("uniform", AxisType.Explicit, False),
        ("float", AxisType.Auto, False),
        ("plan", AxisType.Auto, True),
        ("plan", AxisType.Explicit, True),
    ],
)
def test_a_mesh_changes_no_bit_needs_no_collectives_and_keeps_the_batch_sharded(
    case, kind, fits, monkeypatch
):
    pipeline, batch, plan = CASES[case]
    want = on_one_device(case)
    if not fits:
        shrink_cache(monkeypatch)
    mesh = jax.make_mesh((DEVICES,), ("data",), axis_types=(kind,))
    sharded = jax.device_put((batch, plan), NamedSharding(mesh, PartitionSpec("data")))
    with jax.set_mesh(mesh):
        compiled = jax.jit(call(pipeline)).lower(*sharded).compile()
        result = compiled(*sharded)
    assert COLLECTIVES.search(compiled.as_text()) is None
    for leaf in jax.tree.leaves(result):
        assert leaf.sharding.spec[0] == "data", leaf.shape
        assert len(leaf.sharding.device_set) == DEVICES
    chex.assert_trees_all_equal(result, want)


@pytest.mark.parametrize(("case", "fits"), [("uniform", False), ("float", True), ("plan", True)])
def test_shard_map_changes_no_bit_and_needs_no_collectives(case, fits, monkeypatch):
    pipeline, batch, plan = CASES[case]
    want = on_one_device(case)
    if not fits:
        monkeypatch.setattr(cpu, "CACHE_BYTES", 1)
    mesh, spec = jax.make_mesh((DEVICES,), ("data",)), PartitionSpec("data")
    mapped = jax.jit(
        jax.shard_map(call(pipeline), mesh=mesh, in_specs=(spec, spec), out_specs=spec)
    )
    batch, plan = jax.device_put((batch, plan), NamedSharding(mesh, spec))
    compiled = mapped.lower(batch, plan).compile()
    assert COLLECTIVES.search(compiled.as_text()) is None
    chex.assert_trees_all_equal(compiled(batch, plan), want)


@pytest.mark.parametrize(
    ("reference", "dtype", "is_mapped"), [("pillow", "uint8", False), ("float", "float32", True)]
)
def test_a_loop_over_many_taps_runs_on_every_mesh(reference, dtype, is_mapped):
    pipeline = Pipeline((Resize((2, 3), reference=reference),))
    image = noise(4, 170, 250, 3, dtype=dtype)
    assert min(pipeline.bucket((170, 250))[0].tap_counts) > passes.UNROLLED_TAPS
    want = jax.jit(pipeline)(Batch(image=image))
    spec = PartitionSpec("data")
    mesh = jax.make_mesh((DEVICES,), ("data",), axis_types=(AxisType.Explicit,))
    batch = jax.device_put(Batch(image=image), NamedSharding(mesh, spec))
    with jax.set_mesh(mesh):
        mapped = jax.shard_map(pipeline, in_specs=spec, out_specs=spec)
        function = mapped if is_mapped else pipeline
        chex.assert_trees_all_equal(jax.jit(function)(batch), want)


def test_an_explicit_mesh_need_not_be_set():
    mesh = jax.make_mesh((DEVICES,), ("data",), axis_types=(AxisType.Explicit,))
    sharded = jax.device_put(given(), NamedSharding(mesh, PartitionSpec("data")))
    chex.assert_trees_all_equal(
        jax.jit(lambda batch: UNIFORM(batch))(sharded), on_one_device("uniform")
    )


@pytest.mark.parametrize("case", ["float", "plan"])
def test_pmap_changes_no_bit(case):
    pipeline, batch, plan = CASES[case]
    split = jax.tree.map(lambda leaf: leaf.reshape(DEVICES, -1, *leaf.shape[1:]), (batch, plan))
    result = jax.pmap(call(pipeline))(*split)
    chex.assert_trees_all_equal(
        jax.tree.map(lambda leaf: leaf.reshape(-1, *leaf.shape[2:]), result), on_one_device(case)
    )


@pytest.mark.parametrize("case", CASES)
def test_vmap_changes_no_bit(case):
    pipeline, batch, plan = CASES[case]
    mapped = jax.vmap(call(pipeline))
    if case != "uniform":  # one of them runs operation by operation
        mapped = jax.jit(mapped)
    chex.assert_trees_all_equal(mapped(batch, plan), on_one_device(case))


def test_an_eager_call_takes_a_sharded_batch():
    mesh = jax.make_mesh((DEVICES,), ("data",))
    batch = jax.device_put(given(), NamedSharding(mesh, PartitionSpec("data")))
    chex.assert_trees_all_equal(UNIFORM(batch), on_one_device("uniform"))


def test_a_pipeline_is_a_step_of_a_scan():
    images = noise(3, 2, 64, 64, 3)
    _, stacked = jax.lax.scan(
        lambda carry, image: (carry, UNIFORM(Batch(image=image)).image), 0, images
    )
    np.testing.assert_array_equal(stacked[1], jax.jit(UNIFORM)(Batch(image=images[1])).image)


# Export

PLATFORMS = ("cpu", "cuda", "tpu")


def test_an_exported_pipeline_runs_with_any_number_of_images():
    pytest.importorskip("flatbuffers")
    (b,) = export.symbolic_shape("b")
    batch = given()
    symbolic = jax.tree.map(
        lambda leaf: jax.ShapeDtypeStruct((b, *leaf.shape[1:]), leaf.dtype), batch
    )
    exported = export.export(jax.jit(UNIFORM), platforms=PLATFORMS)(symbolic)
    assert exported.platforms == PLATFORMS
    again = export.deserialize(exported.serialize())
    for count in (8, 3, 1):
        some, want = jax.tree.map(
            operator.itemgetter(slice(count)), (batch, on_one_device("uniform"))
        )
        result = again.call(some)
        assert isinstance(result, Batch)
        chex.assert_trees_all_equal(result, want)


def test_an_exported_pipeline_takes_a_plan():
    pytest.importorskip("flatbuffers")
    pipeline, batch, plan = CASES["plan"]
    exported = export.export(jax.jit(call(pipeline)), platforms=PLATFORMS)(batch, plan)
    again = export.deserialize(exported.serialize())
    chex.assert_trees_all_equal(again.call(batch, plan), on_one_device("plan"))
    others = pipeline.plan(SIZES[::-1], (64, 64))
    chex.assert_trees_all_equal(again.call(batch, others), jax.jit(call(pipeline))(batch, others))


@quickly
def test_an_exported_batch_keeps_its_extras():
    pytest.importorskip("flatbuffers")
    pipeline = Pipeline((Flip(),), kinds=(("mask", "mask"),))
    batch = Batch(
        image=noise(2, 5, 6, 3),
        extras={"mask": noise(2, 5, 6), "depth": noise(2, 3, dtype="float32")},
    )
    again = export.deserialize(export.export(jax.jit(pipeline))(batch).serialize())
    chex.assert_trees_all_equal(again.call(batch), jax.jit(pipeline)(batch))


# Gradients


@quickly
@pytest.mark.parametrize("reference", ["float", "torch", "jax"])
def test_the_gradient_is_the_transpose_of_the_resize(reference):
    pipeline = Pipeline(
        (Flip(), Resize((9, 12), method="bicubic", reference=reference), Normalize(0.5, 0.5))
    )
    x, u = noise(13, 17, 3, dtype="float32"), noise(9, 12, 3, dtype="float32")
    v = x[::-1, ::-1] * np.float32(0.7)

    def inner(image: jax.Array) -> jax.Array:
        return jnp.vdot(pipeline(Batch(image=image)).image, u)

    value_and_gradient = jax.jit(jax.value_and_grad(inner))
    value, gradient = value_and_gradient(x)
    assert gradient.shape == x.shape and np.isfinite(gradient).all() and np.any(gradient)
    # the pipeline is affine: its difference along v is exactly the gradient along v
    difference = np.float64(value_and_gradient(x + v)[0]) - np.float64(value)
    np.testing.assert_allclose(np.vdot(gradient, v), difference, rtol=2e-4, atol=2e-3)


@quickly
def test_a_gradient_in_a_batch_is_that_of_the_image_alone():
    images = noise(3, 13, 17, 3, dtype="float32")
    pipeline = Pipeline((Resize((9, 12)), Normalize(0.5, 0.5)))

    def loss(image: jax.Array) -> jax.Array:
        return jnp.sum(pipeline(Batch(image=image)).image ** 2)

    together = jax.jit(jax.grad(loss))(images)
    np.testing.assert_allclose(
        together[1], jax.jit(jax.grad(loss))(images[1]), rtol=1e-5, atol=1e-5
    )


def test_a_gradient_through_a_reference_that_rounds_is_refused_by_its_type():
    with pytest.raises(
        InputError, match="choose reference='float', 'torch' or 'jax', which take any type"
    ):
        jax.grad(lambda image: jnp.sum(EXACT(Batch(image=image)).image))(
            noise(64, 64, 3, dtype="float32")
        )


# Two passes


def computations(dtype: str) -> list[int]:
    """How many taps each computation of a compiled resize gathers, those that gather several."""
    pipeline = Pipeline((Resize((20, 22)),))
    image = jax.ShapeDtypeStruct((4, 64, 64, 3), dtype)
    compiled = jax.jit(lambda image: pipeline(Batch(image=image)).image).lower(image).compile()
    gathers = [text.count(" gather(") for text in re.split(r"\n(?=%|ENTRY)", compiled.as_text())]
    return sorted(count for count in gathers if count > 1)


@quickly
@pytest.mark.parametrize("dtype", ["float32", "uint8"])
def test_the_two_passes_do_not_fuse(dtype, monkeypatch):
    vertical, horizontal = 7, 6  # taps of 64 to 20 and to 22, of which the last is sliced
    counts = computations(dtype)
    assert sum(counts) <= vertical + horizontal
    assert len(counts) == 2 and max(counts) <= vertical
    monkeypatch.setattr(cpu, "no_inline", lambda function, *args: function(*args))
    (count,) = computations(dtype)
    assert count > vertical  # one pass recomputed in the other


@quickly
def test_rows_are_transposed_by_copies_of_their_own():
    """XLA makes a copy with the processor's transpositions; fused with what reads it, it goes
    number by number.
    """
    pipeline = Pipeline((Resize((20, 22), reference="pillow"),))
    image = jax.ShapeDtypeStruct((4, 64, 64, 3), "uint8")
    compiled = jax.jit(lambda image: pipeline(Batch(image=image)).image).lower(image).compile()
    parts = re.split(r"\n(?=%|ENTRY)", compiled.as_text())
    alone = "".join(text for text in parts if not text.startswith("%fused"))
    for transposed in ("192,16", "16,66"):  # columns of 16 rows, and rows again
        assert re.search(rf"= u8\[4,\d+,{transposed}\]\S* copy\(", alone), transposed


# Programs for accelerators


@pytest.mark.parametrize("case", CASES)
def test_no_program_for_an_accelerator_has_computations_that_are_not_inlined(case):
    """XLA:GPU fuses nothing inside such a computation: 71 kernels instead of 2."""
    pipeline, batch, plan = CASES[case]
    traced = jax.jit(call(pipeline)).trace(batch, plan)
    assert "inlineable" in traced.lower(lowering_platforms=("cpu",)).as_text()
    for platform in ("cuda", "tpu"):
        text = traced.lower(lowering_platforms=(platform,)).as_text()
        assert "inlineable" not in text
        assert "stablehlo.while" not in text  # nor the loops that keep a core's cache warm


def test_a_batch_is_traced_where_jax_may_use_no_cpu(monkeypatch):
    """As under `JAX_PLATFORMS=cuda`."""

    def no_such_backend(backend):
        raise RuntimeError(f"Unknown backend {backend}")

    monkeypatch.setattr(jax, "device_count", no_such_backend)
    pipeline = Pipeline((Resize((8, 6), reference="pillow"),))
    batch = Batch(image=noise(2, 20, 30, 3))
    lowered = jax.jit(pipeline).trace(batch).lower(lowering_platforms=("cuda",))
    assert lowered.out_info.image.shape == (2, 8, 6, 3)
