"""A counter of XLA compilations."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import jax

# The event that JAX records for each program that XLA compiles; programs that come from the
# persistent compilation cache record it too.
COMPILED = "/jax/core/compile/backend_compile_duration"


@contextlib.contextmanager
def compilations() -> Iterator[list[str]]:
    """Collect the names of all programs that XLA compiles inside the `with` block.

    Helper programs of JAX itself (`broadcast_in_dim`, `convert_element_type`, ...) are among them.
    """
    names: list[str] = []

    def listen(event: str, _: float, **details: Any) -> None:
        if event == COMPILED:
            names.append(str(details.get("fun_name")))

    jax.monitoring.register_event_duration_secs_listener(listen)
    try:
        yield names
    finally:
        jax.monitoring.unregister_event_duration_listener(listen)
