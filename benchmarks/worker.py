"""Measures one peer in one case on some cores, in a separate process, and prints JSON.

It runs under the peer's python.

Usage: `python worker.py REQUEST`, a JSON object with `peer`, `case`, `cores`, and for timing
`seconds` and `at_least`; without them the memory is measured. Optional: `forms`, to measure some
only.
"""

from __future__ import annotations

import hashlib
import importlib
import importlib.metadata
import json
import os
import sys
from typing import Any

PACKAGES = (
    "jax", "jaxlib", "jaxprep", "numpy", "pillow", "torch", "torchvision", "timm", "transformers",
    "keras", "keras-hub", "opencv-python-headless", "kornia-rs", "pyvips", "pyvips-binary",
    "dm-pix", "simplejpeg",
)  # fmt: skip


def main() -> None:
    request = json.loads(sys.argv[1])
    pin(request["cores"])  # before anything is imported that counts the cores
    answer = work(request)
    print(json.dumps(answer))


def pin(cores: int) -> None:
    """Binds this process and what it starts to the first so many of the cores it may use."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, set(sorted(os.sched_getaffinity(0))[:cores]))


def work(request: dict[str, Any]) -> dict[str, Any]:
    import numpy as np

    from cases import Case
    from measure import first, measure, peak_of
    from peers import BY_NAME

    case, peer = Case.from_json(request["case"]), BY_NAME[request["peer"]]
    images = make_images(case)
    module = importlib.import_module(f"peers.{peer.module}")
    forms = module.prepare(case, images, request["cores"], **peer.options)
    answer: dict[str, Any] = {"versions": versions(), "device": device(), "forms": {}}
    for name, call in forms.items():
        if name not in request.get("forms", forms):
            continue
        # Memory in other processes than times: its measurement frees what makes calls fast.
        if "seconds" not in request:
            answer["forms"][name] = {"peak_bytes": peak_of(call)}
            continue
        seconds, result = first(call)
        checks = {} if peer.name == "floor" else check(case, images, peer, np.asarray(result))
        # Its memory would be counted with that of the calls that follow.
        del result
        answer["forms"][name] = {
            "first": seconds,
            **measure(call, request["seconds"], request["at_least"]),
            **checks,
        }
    return answer


def make_images(case: Any) -> list[Any]:
    """Return noise, the same everywhere: the hardest input for a rounding rule, and as fast as any
    other for all peers.
    """
    import numpy as np

    # Named, since NumPy may change what `default_rng` is.
    random = np.random.Generator(np.random.PCG64(3))
    return [random.integers(0, 256, (height, width, 3), np.uint8) for height, width in case.sizes]


def check(case: Any, images: list[Any], peer: Any, result: Any) -> dict[str, Any]:
    """Return a digest of the uint8 levels of a result, and how they differ from Pillow's where
    Pillow is installed.

    Raises:
        AssertionError: the peer is exact to Pillow by its row, and the result is not.
    """
    import numpy as np

    from peers.normalise import affine_error, levels_of

    levels = levels_of(result)
    answer: dict[str, Any] = {
        "levels": hashlib.sha256(levels.tobytes()).hexdigest(),
        "shape": list(result.shape),
    }
    answer["affine_error"] = affine_error(result, levels)
    try:
        from PIL import Image

        from peers.pillow import resize
    except ImportError:
        return answer
    expected = np.stack([resize(case, Image.fromarray(image)) for image in images])
    difference = np.abs(levels.astype(np.int16) - expected)
    answer["differs_from_pillow"] = {
        "share": float(np.mean(difference > 0)),
        "largest": int(difference.max()),
    }
    # A faster peer that computes something else is no comparison: the run stops here.
    if peer.reference == "pillow":
        assert not difference.any(), (
            f"{np.count_nonzero(difference)} of {difference.size} levels are not Pillow's"
        )
    if peer.reference is not None:
        assert answer["affine_error"] <= 1e-6, (
            f"the affine is off by {answer['affine_error']:.2g} of max(1, |x|)"
        )
    return answer


def versions() -> dict[str, str]:
    installed = {}
    for name in PACKAGES:
        try:
            installed[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return {"python": sys.version.split()[0], **installed}


def device() -> str:
    """Return what JAX computes on, if the peer uses JAX."""
    # Not imported here: peers without JAX should not pay for it.
    if "jax" not in sys.modules:
        return "cpu"
    first = sys.modules["jax"].devices()[0]
    return first.platform if first.platform == "cpu" else first.device_kind


if __name__ == "__main__":
    main()
