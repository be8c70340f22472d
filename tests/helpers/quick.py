"""What makes a process that traces and compiles many programs quicker.

Tests call it, and the processes that `settings/` starts. What the functions do changes nothing that
is computed, and saves a sixth of the time.
"""

from __future__ import annotations

import gc
import threading
from importlib import metadata
from typing import Any

XLA_FLAGS: list[str] = []
"""Flags with which XLA compiles in half the time: LLVM is given a fusion directly, not through
MLIR, and all in one module.

Every preset keeps its bits, as `settings/` shows; sums of floats differ in their last.
"""
if metadata.version("jaxlib").startswith("0.10."):  # a process dies of a flag that it does not know
    XLA_FLAGS += [
        "--xla_cpu_use_fusion_emitters=false",
        "--xla_cpu_parallel_codegen_split_count=1",
    ]

mlir_contexts = threading.local()


def collect_rarely() -> None:
    """Look for garbage after 50,000 new objects, not after 700.

    Traces and jaxprs are millions of objects that live as long as their program, and each
    collection walks through them: a twelfth of the time of files that trace much.
    """
    gc.set_threshold(50_000, 10, 10)


def lower_in_one_context() -> None:
    """Let JAX lower all programs of a thread in one MLIR context, not in one each.

    A context loads all dialects: 7 ms of the 25 that a program of one operation takes, and 1 MB. It
    holds what was lowered in it, until `forget_contexts`. This function of JAX is private, so other
    versions of it are left alone.
    """
    if not metadata.version("jax").startswith("0.10."):
        return
    from jax._src.interpreters import mlir

    make_context = mlir.make_ir_context

    def context_of_thread() -> Any:
        if not hasattr(mlir_contexts, "context"):
            mlir_contexts.context = make_context()
        return mlir_contexts.context

    mlir.make_ir_context = context_of_thread


def forget_contexts() -> None:
    """Let go of the calling thread's context, and of all that was lowered in it."""
    vars(mlir_contexts).clear()
