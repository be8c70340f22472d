"""Compiles for chips that this machine does not have: XLA takes a description as a device."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

GROUPS = {"h100": "cuda", "v5e": "tpu", "v6e": "tpu"}
"""The chips, and the group of packages (see `environments.py`) that holds the compiler of each."""

VARIABLES = {
    # arrays that are made while a function is traced live on the host
    "JAX_PLATFORMS": "cpu",
    # libtpu otherwise asks the cloud's metadata server which chips there are
    "TPU_SKIP_MDS_QUERY": "1",
    "TPU_ACCELERATOR_TYPE": "v5litepod-4",
    "TPU_WORKER_HOSTNAMES": "localhost",
    # libtpu otherwise takes a lock on the machine's chips, which two compilations would fight for
    "ALLOW_MULTIPLE_LIBTPU_LOAD": "1",
    # without a card nothing can be tuned: products for which XLA finds no Triton tiles then would
    # fail; so they go to cuBLAS, as they do untuned
    "XLA_FLAGS": "--xla_gpu_enable_triton_gemm=false",
}
"""The environment of a process that compiles."""

TOPOLOGIES = {"v5e": "v5e:2x2", "v6e": "v6e:2x2"}
POD = "v5e:16x16"
H100 = """
gpu_device_info {
  cuda_compute_capability { major: 9 }
  threads_per_block_limit: 1024
  threads_per_warp: 32
  shared_memory_per_block: 49152
  shared_memory_per_core: 233472
  threads_per_core_limit: 2048
  core_count: 132
  fpus_per_core: 128
  block_dim_limit_x: 2147483647
  block_dim_limit_y: 65535
  block_dim_limit_z: 65535
  memory_bandwidth: 3352320000000
  l2_cache_size: 52428800
  clock_rate_ghz: 1.98
  device_memory_size: 84942979072
  shared_memory_per_block_optin: 232448
  registers_per_core_limit: 65536
  registers_per_block_limit: 65536
}
platform_name: "CUDA"
dnn_version_info { major: 9 minor: 8 }
runtime_version { major: 12 minor: 8 }
device_description_str: "NVIDIA H100 80GB HBM3"
"""
"""XLA's `GpuTargetConfigProto` of an H100 SXM
(https://github.com/openxla/xla/blob/main/xla/stream_executor/device_description.proto).
"""


def compile_for(target: str, function: Callable[..., Any], args: tuple[Any, ...]) -> Any:
    """Return the compiled program of `function` for one chip.

    Args:
        target: a key of `GROUPS`.
        args: arrays or `ShapeDtypeStruct`s.
    """
    import jax
    import numpy as np
    from jax.sharding import Mesh, NamedSharding, PartitionSpec

    mesh = Mesh(np.array([_devices(target)[0]]), ("device",))
    sharding = NamedSharding(mesh, PartitionSpec())

    def on_device(leaf: Any) -> Any:
        return jax.ShapeDtypeStruct(np.shape(leaf), leaf.dtype, sharding=sharding)

    return _compile(GROUPS[target], function, jax.tree.map(on_device, args))


def compile_for_pod(function: Callable[..., Any], args: tuple[Any, ...], explicit: bool) -> Any:
    """Return the compiled program of `function` for 256 chips, and the sharding of its images: the
    batch axis over all chips.

    Args:
        args: shapes and dtypes, the images first. What has their batch axis is sharded likewise,
            all else is whole on each chip.
        explicit: the mesh has an axis of type Explicit, otherwise Auto.

    Returns:
        the program, and the sharding.
    """
    import jax
    import numpy as np
    from jax.experimental import topologies
    from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec

    devices = topologies.get_topology_desc(platform="tpu", topology_name=POD).devices
    kind = AxisType.Explicit if explicit else AxisType.Auto
    mesh = Mesh(np.array(devices), ("batch",), axis_types=(kind,))
    sharding = NamedSharding(mesh, PartitionSpec("batch"))
    batch = args[0].shape[0]

    def on_pod(leaf: Any) -> Any:
        is_batch = leaf.shape[0] == batch
        spec = PartitionSpec("batch") if is_batch else PartitionSpec()
        sharding = NamedSharding(mesh, spec)
        return jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=sharding)

    return _compile("tpu", function, jax.tree.map(on_pod, args)), sharding


def _compile(platform: str, function: Callable[..., Any], args: tuple[Any, ...]) -> Any:
    import jax

    traced = jax.jit(function).trace(*args)
    return traced.lower(lowering_platforms=(platform,)).compile()


def _devices(target: str) -> list[Any]:
    from jax.experimental import topologies

    if target == "h100":
        described = topologies.get_topology_desc(
            "h100", "cuda", target_config=H100, topology="1x1x1"
        )
    else:
        described = topologies.get_topology_desc(platform="tpu", topology_name=TOPOLOGIES[target])
    return described.devices
