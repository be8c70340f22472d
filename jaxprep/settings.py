"""JAX's default settings, for the programs of this library, whatever its caller has set.

What goes in: a function of this library. What comes out: the same function, which runs with 32-bit
numbers, promotion and compilation as JAX has them by default. Callers set these for code of their
own, where they find mistakes. A photograph would otherwise be computed in float64 under
`jax_enable_x64`, refused under `jax_numpy_rank_promotion="raise"`, and summed operation by
operation, with other last bits, under `jax_disable_jit`.

Settings that change no number (`jax_debug_nans`, `jax_check_tracer_leaks`, a mesh, a default
device) stay the caller's.
"""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable
from typing import Any, TypeVar

import jax
from jax.core import eval_context
from jax.extend.core import find_top_trace
from jax.sharding import Sharding

from jaxprep.errors import ConfigError

Function = TypeVar("Function", bound=Callable[..., Any])

# By the name in `jax.config`: the default, and the context that enters it in this thread.
_DEFAULTS: dict[str, tuple[Any, Callable[[], Any]]] = {
    "jax_enable_x64": (False, lambda: jax.enable_x64(False)),
    "jax_disable_jit": (False, lambda: jax.disable_jit(False)),
    "jax_numpy_rank_promotion": ("allow", lambda: jax.numpy_rank_promotion("allow")),
    "jax_numpy_dtype_promotion": ("standard", lambda: jax.numpy_dtype_promotion("standard")),
    # infinite positions mark padding among boxes
    "jax_debug_infs": (False, lambda: jax.debug_infs(False)),
}
# Images, tables and constants come from the host in every call: moving them is what was asked for.
# "disallow_explicit" forbids that, too, and "log" would be pages; both stay.
_GUARDS: dict[str, Callable[[], Any]] = {
    "jax_transfer_guard_host_to_device": lambda: jax.transfer_guard_host_to_device("allow"),
    "jax_transfer_guard_device_to_device": lambda: jax.transfer_guard_device_to_device("allow"),
    "jax_transfer_guard_device_to_host": lambda: jax.transfer_guard_device_to_host("allow"),
}


def check_backend() -> None:
    """Start JAX, and raise one error where it cannot, as with `JAX_PLATFORMS` of a chip that is not
    there: each image would be called one that cannot be preprocessed.

    Raises:
        ConfigError: JAX cannot start.

    >>> check_backend()
    """
    try:
        jax.devices()
    except RuntimeError as error:
        raise ConfigError(f"Expected JAX to start, got: {error}.") from error


def default_settings() -> contextlib.AbstractContextManager[Any]:
    """Return a context in which this thread has JAX's default settings.

    >>> import numpy as np
    >>> with jax.enable_x64(True), default_settings():
    ...     jax.numpy.asarray(np.float64([1])).dtype
    dtype('float32')
    """
    changed = [
        enter for name, (value, enter) in _DEFAULTS.items() if getattr(jax.config, name) != value
    ]
    changed += [enter for name, enter in _GUARDS.items() if _guard(name) == "disallow"]
    # Nothing to enter in nearly all calls, which cost a microsecond then instead of forty.
    if not changed:
        return contextlib.nullcontext()
    stack = contextlib.ExitStack()
    for enter in changed:
        stack.enter_context(enter())
    return stack


def without_mesh() -> contextlib.AbstractContextManager[Any]:
    """Return a context in which no mesh is set, as where a program is written that knows of none.

    >>> with jax.set_mesh(jax.make_mesh((1,), ("data",))), without_mesh():
    ...     jax.sharding.get_abstract_mesh().empty
    True
    """
    return jax.sharding.use_abstract_mesh(jax.sharding.AbstractMesh((), ()))


with eval_context():
    _COMPUTES_AT_ONCE = type(find_top_trace(()))


def outside_of_traces() -> contextlib.AbstractContextManager[Any]:
    """Return a context in which arrays are computed at once, also inside of a caller's `jit`,
    `grad` or `vmap`: for images that are constants there.

    >>> def area(scale):
    ...     with outside_of_traces():
    ...         number = jax.numpy.ones((2, 3)).sum().item()
    ...     return scale * number
    >>> jax.jit(area)(2.0).item()
    12.0
    """
    # entering costs six microseconds, asking less than one
    if type(find_top_trace(())) is _COMPUTES_AT_ONCE:
        return contextlib.nullcontext()
    return eval_context()


def default_device() -> Any:
    """Return the default `jax.Device` that the caller has set; None where JAX chooses it.

    >>> with jax.default_device(jax.devices("cpu")[0]):
    ...     default_device() == jax.devices("cpu")[0]
    True
    """
    device = getattr(jax.config, "jax_default_device", None)
    # The setting may be the name of a platform.
    return jax.local_devices(backend=device)[0] if isinstance(device, str) else device


def platform_of(sharding: Sharding | None) -> str:
    """Return the platform that computes what is put there, or where nobody says: "cpu", "gpu" or
    "tpu".

    Args:
        sharding: of an array; None is JAX's default device.

    >>> with jax.default_device(jax.devices("cpu")[0]):
    ...     platform_of(None)
    'cpu'
    """
    if sharding is not None:
        return next(iter(sharding.device_set)).platform
    device = default_device()
    return jax.default_backend() if device is None else device.platform


def _guard(name: str) -> Any:
    # One setting for all directions, until one of them is set by itself.
    return getattr(jax.config, name) or getattr(jax.config, "jax_transfer_guard")  # noqa: B009


def with_default_settings(function: Function) -> Function:
    """Return a function that runs as in `default_settings()`.

    >>> @with_default_settings
    ... def ones():
    ...     return jax.numpy.ones(2)
    >>> with jax.enable_x64(True):
    ...     ones().dtype
    dtype('float32')
    """

    @functools.wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        with default_settings():
            return function(*args, **kwargs)

    return call  # type: ignore[return-value]
