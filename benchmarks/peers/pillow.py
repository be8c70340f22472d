"""Runs Pillow and NumPy, written to be fast: PIL images exist, and arithmetic is in place."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
from PIL import Image

from cases import Case
from peers.normalise import normalise_into

METHODS = {
    "bilinear": Image.Resampling.BILINEAR,
    "bicubic": Image.Resampling.BICUBIC,
    "lanczos": Image.Resampling.LANCZOS,
}


def prepare(case: Case, images: list[np.ndarray], cores: int) -> dict:
    photos = [Image.fromarray(image) for image in images]

    def one(i: int, out: np.ndarray) -> None:
        normalise_into(out[i], resize(case, photos[i]))

    def shape() -> tuple[int, ...]:
        return len(photos), case.target, case.target, 3

    return in_turn_and_in_threads(one, len(photos), lambda: np.empty(shape(), np.float32), cores)


def resize(case: Case, photo: Image.Image) -> np.ndarray:
    """Return the uint8 levels of a case by Pillow: what `reference="pillow"` must equal."""
    height, width = case.resized((photo.height, photo.width))
    if case.method != "none":
        photo = photo.resize((width, height), METHODS[case.method])
    levels = np.asarray(photo)
    return levels[case.window((height, width))] if case.crop else levels


def in_turn_and_in_threads(
    one: Callable[[int, Any], None], count: int, make: Callable[[], Any], cores: int
) -> dict:
    """Return the forms of a peer that works image by image: in turn, and in a thread per core."""

    def in_turn() -> Any:
        out = make()
        for i in range(count):
            one(i, out)
        return out

    forms: dict[str, Callable[[], Any]] = {"PIL images": in_turn}
    if cores > 1 and count > 1:
        # Made once: starting threads is no part of a call. Pillow's C code runs without the GIL.
        pool = ThreadPoolExecutor(cores)

        def in_threads() -> Any:
            out = make()
            for _ in pool.map(lambda i: one(i, out), range(count)):
                pass
            return out

        forms[f"PIL images, {cores} threads"] = in_threads
    return forms
