"""Starts workers, and describes the machine they run on, with the standard library alone."""

from __future__ import annotations

import json
import os
import platform
import subprocess
from pathlib import Path
from typing import Any

from cases import Case
from peers import Peer

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
TIMEOUT = 600
"""Seconds after which a worker is given up: a peer may wait for a network, or for itself."""
FLAGS = ("avx2", "avx512f", "avx512_vnni", "amx_int8", "asimd", "sve")

ISAS: dict[str, dict[str, str]] = {
    "native": {},
    "avx2": {
        # XLA: jaxprep, the floor, jax.image, KerasHub, dm_pix
        "XLA_FLAGS": "--xla_cpu_max_isa=AVX2",
        # ATen's kernels (torchvision's resize among them), and oneDNN's
        "ATEN_CPU_CAPABILITY": "avx2",
        "ONEDNN_MAX_CPU_ISA": "AVX2",
        # what NumPy 2.4 dispatches above X86_V3
        "NPY_DISABLE_CPU_FEATURES": "X86_V4 AVX512_ICL AVX512_SPR",
        "OPENCV_CPU_DISABLE": "AVX512-SKX",
        "OPENCV_IPP": "avx2",
        # a mask of Highway's targets to leave out: bits 3 to 8 are those with AVX-512
        "VIPS_VECTOR": str(0x1F8),
        # the C library's memcpy, which every peer calls
        "GLIBC_TUNABLES": "glibc.cpu.hwcaps=-AVX512F,-AVX512VL,-AVX512BW",
    },
}
"""Environment variables that keep a process to some instructions, on a CPU that has more.

Each was seen to work: `torch.backends.cpu.get_cpu_capability()`, NumPy's `__cpu_features__`,
`cv2.getCPUFeaturesLine()` and `cv2.ipp.getIppVersion()`, `vips_vector_get_supported_targets()`,
`ld.so --list-diagnostics`. Pillow from PyPI has no kernels for AVX2 or AVX-512. kornia-rs reads the
CPU's flags, and has no variable.
"""


def variables(cores: int, frugal: bool = False, isa: str = "native") -> dict[str, str]:
    """Return the environment of a worker: jaxprep from this checkout, so many threads, no network,
    no cache of programs.

    Args:
        isa: the instructions that it may use, a key of `ISAS`.
        frugal: what is freed goes back to the system at once; slower, and what makes memory
            measurable.
    """
    # a program from the cache would make the first call look fast
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith("JAX_COMPILATION_CACHE")
    }
    return {
        **kept,
        "PYTHONPATH": str(ROOT),
        # each library counts the cores by another rule, and not all of them look at the affinity
        "OMP_NUM_THREADS": str(cores),
        "RAYON_NUM_THREADS": str(cores),  # kornia-rs
        "VIPS_CONCURRENCY": str(cores),
        "KERAS_BACKEND": "jax",
        "TF_CPP_MIN_LOG_LEVEL": "3",
        "TRANSFORMERS_VERBOSITY": "error",
        "HF_HUB_OFFLINE": "1",
        "JAX_TRACEBACK_FILTERING": "off",  # the last line of an error is the error
        **({"MALLOC_MMAP_THRESHOLD_": "65536"} if frugal else {}),
        **ISAS[isa],
    }


def run_worker(
    python: str, peer: Peer, case: Case, cores: int, isa: str = "native", **more: Any
) -> Any:
    """Return what the worker printed for a request (see `worker.py`); `{"error": ...}` with its
    last words where it failed.
    """
    request = {"peer": peer.name, "case": case.to_json(), "cores": cores, **more}
    command = [python, str(HERE / "worker.py"), json.dumps(request)]
    return run_json(command, variables(cores, "seconds" not in more, isa))


def run_json(command: list[str], environment: dict[str, str], timeout: int = TIMEOUT) -> Any:
    """Return the JSON on the last line that a command prints; `{"error": ...}` where it fails.

    Libraries print to stdout as they please, so that only the last line is the answer.
    """
    try:
        done = subprocess.run(
            command, env=environment, capture_output=True, text=True, timeout=timeout
        )
    except subprocess.TimeoutExpired:
        return {"error": f"not done after {timeout} s"}
    if done.returncode:
        words = done.stderr.strip().splitlines() or [f"exit status {done.returncode}"]
        return {"error": words[-1]}
    return json.loads(done.stdout.strip().splitlines()[-1])


def machine() -> dict[str, Any]:
    """Return the CPU, the kernel, the checkout, and how busy the machine was at the start."""
    described = _cpu()
    flags = described.get("flags", described.get("Features", "")).split()
    return {
        "cpu": described.get("model name", platform.processor() or platform.machine()),
        "flags": [flag for flag in FLAGS if flag in flags],
        "cores": len(os.sched_getaffinity(0))
        if hasattr(os, "sched_getaffinity")
        else os.cpu_count(),
        "kernel": f"{platform.system()} {platform.release()}",
        "memory_gib": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30),
        "load": os.getloadavg()[0],
        "commit": commit(),
    }


def _cpu() -> dict[str, str]:
    """Return the first processor of /proc/cpuinfo; nothing where there is none."""
    try:
        first = Path("/proc/cpuinfo").read_text().split("\n\n")[0]
    except OSError:
        return {}
    pairs = (line.partition(":") for line in first.splitlines())
    return {name.strip(): value.strip() for name, _, value in pairs}


def commit() -> str:
    done = subprocess.run(
        ["git", "describe", "--always", "--dirty"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    return done.stdout.strip()
