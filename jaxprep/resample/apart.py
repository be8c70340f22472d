"""Keeping a computation apart from its neighbours."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
from jax.experimental.xla_metadata import set_xla_metadata


def apart(function: Callable[..., Any], *args: Any) -> Any:
    """Calls `function` as an XLA computation that is not inlined, so that it does not fuse with
    what precedes it.

    XLA would otherwise recompute the first pass for every tap of the second.
    `lax.optimization_barrier` does not prevent that; this does, also under `vmap`, `grad`, sharding
    and export. What `function` itself calls is inlined as usual.
    """

    def body(*args: Any) -> Any:
        with set_xla_metadata(inlineable=None):
            return function(*args)

    with set_xla_metadata(inlineable="false"):
        return jax.jit(body)(*args)
