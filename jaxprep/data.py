"""Photographs to try things with, which come with the library.

They are files of scikit-image's sample set, free to copy, change and redistribute:

* astronaut: 512 x 512 (height, width), a portrait of Eileen Collins, NASA; public domain.
* chelsea: 300 x 451, a cat, by Stefan van der Walt; CC0.
* coffee: 400 x 600, a cup of coffee, by Rachel Michetti; CC0.
* rocket: 427 x 640, a launch, SpaceX; CC0.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from jaxtyping import UInt8

from jaxprep import resources
from jaxprep.errors import InputError
from jaxprep.host.decode import read_image

__all__ = [
    "PHOTOS",
    "photo",
    "photo_path",
]

PHOTOS = ("astronaut", "chelsea", "coffee", "rocket")
"""The names that `photo` takes."""


def photo(name: str = "chelsea") -> UInt8[np.ndarray, "h w 3"]:
    """Return a photograph that comes with the library, as `jaxprep.read_image` reads its file.

    Args:
        name: one of `PHOTOS`.

    Raises:
        InputError: there is no photograph of that name.

    >>> photo("chelsea").shape
    (300, 451, 3)
    """
    return read_image(photo_path(name))


def photo_path(name: str = "chelsea") -> Path:
    """Return the JPEG file of a photograph; arguments and errors are those of `photo`.

    Args:
        name: of a photograph: "astronaut", "chelsea", "coffee" or "rocket".

    >>> photo_path("chelsea").name
    'chelsea.jpg'
    """
    if name not in PHOTOS:
        raise InputError(f"Expected one of {list(PHOTOS)}, got {name!r} - at `name`.")
    return resources.packaged("photos", f"{name}.jpg")


def __dir__() -> list[str]:
    return sorted(__all__)
