"""Write `vlm_sizes.json`: digests of what Transformers' size functions that cannot be imported without torch give for 2,000 random sizes.

Run where torch, torchvision (0.27 or newer) and transformers are installed, from the root of the repository:

    python tests/goldens/write_vlm_sizes.py
"""

import importlib
import json
import logging
import pathlib
from collections.abc import Callable
from typing import Any

import _torch_env  # noqa: F401  # before transformers imports torchvision
import torch
import transformers
from transformers.image_utils import SizeDict

from vlm_sizes import attempt, digest, sizes

FILE = pathlib.Path(__file__).with_name("vlm_sizes.json")


def _module(model: str) -> Any:
    return importlib.import_module(f"transformers.models.{model}.image_processing_{model}")


def _called(name: str, result: str, **settings: Any) -> Callable[..., Any]:
    processor = getattr(transformers, name)(**settings)

    def call(height: int, width: int) -> Any:
        return processor(torch.zeros(3, height, width, dtype=torch.uint8))[result].tolist()

    return call


def functions() -> list[dict]:
    """What is asked of each class: its settings, the largest side of an image, and the original's function of height and width."""
    smart = {
        name: _module(name).smart_resize for name in ("minimax_m3_vl", "muse_glimmer", "apertus1p5")
    }
    kimi, neomme = _module("kimi_k25").navit_resize, _module("neomme").get_resize_output_size
    found = [
        ("MiniMaxM3VL", {}, 3000, lambda h, w: smart["minimax_m3_vl"](h, w, 28, 3136, 451584)),
        ("MuseGlimmer", {}, 3000, lambda h, w: smart["muse_glimmer"](h, w, 28, 4096)),
        (
            "MuseGlimmer",
            {"max_image_tokens": 144},
            3000,
            lambda h, w: smart["muse_glimmer"](h, w, 28, 144),
        ),
        (
            "MuseGlimmer",
            {"max_image_tokens": 12},
            1200,
            lambda h, w: smart["muse_glimmer"](h, w, 28, 12),
        ),
        (
            "Apertus1p5",
            {},
            3000,
            lambda h, w: smart["apertus1p5"](h, w, 16, 128 * 128, 1400 * 1400),
        ),
        ("Kimi_K25", {}, 3000, lambda h, w: kimi(h, w, 14, 2, 16384, 512)[1]),
        ("Kimi_K25", {"max_patches": 500}, 3000, lambda h, w: kimi(h, w, 14, 2, 500, 512)[1]),
        (
            "Kimi_K25",
            {"size": {"max_height": 20, "max_width": 20}},
            3000,
            lambda h, w: kimi(h, w, 14, 2, 16384, 20)[1],
        ),
        (
            "Inkling",
            {"rescale_image_frac": 0.7},
            160,
            _called("InklingImageProcessor", "num_patches", rescale_image_frac=0.7),
        ),
        ("Inkling2", {}, 160, _called("Inkling2ImageProcessor", "image_grid_thw")),
    ]
    for max_side, bounds in (
        (500, None),
        (None, (3136, 200000)),
        (400, (100000, 150000)),
        (40, (1000, 1001)),
    ):
        size = None if bounds is None else {"min_pixels": bounds[0], "max_pixels": bounds[1]}
        settings = {"max_side": max_side, "size": size}
        sized = None if size is None else SizeDict(**size)
        found.append(
            ("NeoMME", settings, 1200, lambda h, w, m=max_side, s=sized: neomme(h, w, m, s))
        )
    return [
        {"class": f"{name}ImageProcessor", "settings": s, "highest": n, "function": f}
        for name, s, n, f in found
    ]


def main() -> None:
    logging.disable(logging.WARNING)
    records = []
    for record in functions():
        function = record.pop("function")
        results = [attempt(function, *size) for size in sizes(record["highest"])]
        records.append({**record, "sha256": digest(results)})
    FILE.write_text(
        json.dumps({"transformers": transformers.__version__, "records": records}, indent=1) + "\n"
    )


if __name__ == "__main__":
    with torch.no_grad():
        main()
