"""The images that goldens are made of, rebuilt by scripts and tests alike from a small JSON recipe.

A recipe names a source, then what is done to it, in this order:

    {"photo": "coffee", "box": [left, top, right, bottom], "mode": "RGBA"}      # or
    {"photo": "coffee", "margin": [top, bottom, left, right]}                   # of bright paper
    {"noise": [height, width, channels]}                                       # arrays only
    {..., "dtype": "float32"}                                                   # arrays only, default uint8

Everything after the JPEG decoder is integer arithmetic or exact in float32, so a recipe means the same bytes
everywhere. Only NumPy and Pillow are needed.
"""

import argparse
import functools
import pathlib

import numpy as np
from PIL import Image

PHOTOS = pathlib.Path(__file__).resolve().parents[2] / "examples" / "photos"

LANDSCAPE = {"photo": "coffee", "box": [0, 0, 599, 397]}
PORTRAIT = {"photo": "retina", "box": [455, 0, 955, 1411]}  # tall: Pillow 13 resizes it vertically first
SMALL = {"photo": "chelsea", "box": [150, 80, 211, 177]}  # smaller than any crop


def photo(name: str, photos: pathlib.Path = PHOTOS) -> Image.Image:
    """Decode one of the example photographs to RGB."""
    with Image.open(photos / f"{name}.jpg") as image:
        return image.convert("RGB")


def grey(image: Image.Image) -> Image.Image:
    """Mode L: Pillow's ITU-R 601-2 luma."""
    return image.convert("L")


def bilevel(image: Image.Image) -> Image.Image:
    """Mode 1: white where the luma is 128 or more, without dithering."""
    return Image.fromarray(np.asarray(grey(image)) >= 128)


def palette(image: Image.Image) -> Image.Image:
    """Mode P: the 6 x 6 x 6 colour cube with levels 0, 51, ..., 255."""
    red, green, blue = np.moveaxis(np.asarray(image) // 43, -1, 0)
    indexed = Image.fromarray(red * 36 + green * 6 + blue)
    indexed.putpalette([51 * level for colour in np.ndindex(6, 6, 6) for level in colour])
    return indexed


def gradient(height: int, width: int) -> np.ndarray:
    """Values from 0 in the top-left corner to 255 in the bottom-right one, (h, w) uint8."""
    rows, columns = np.arange(height)[:, None], np.arange(width)[None, :]
    return ((rows + columns) * 255 // max(height + width - 2, 1)).astype(np.uint8)


def with_alpha(image: Image.Image) -> Image.Image:
    """Append a diagonal gradient as alpha: RGB becomes RGBA, L becomes LA."""
    result = image.copy()
    result.putalpha(Image.fromarray(gradient(image.height, image.width)))
    return result


def rgba(image: Image.Image) -> Image.Image:
    """Mode RGBA: transparent in the top-left corner, opaque in the bottom-right one."""
    return with_alpha(image)


def grey_alpha(image: Image.Image) -> Image.Image:
    """Mode LA: as `rgba`, in grey."""
    return with_alpha(grey(image))


def cmyk(image: Image.Image) -> Image.Image:
    """Mode CMYK, with black ink from none in the top-left corner to a quarter in the bottom-right one."""
    *inks, _ = image.convert("CMYK").split()
    black = Image.fromarray(gradient(image.height, image.width) // 4)
    return Image.merge("CMYK", (*inks, black))


def premultiplied(image: Image.Image) -> Image.Image:
    """Mode RGBa: as `rgba`, the colours multiplied by alpha."""
    return rgba(image).convert("RGBa")


def palette_alpha(image: Image.Image) -> Image.Image:
    """Mode PA: as `palette`, opaque."""
    return palette(image).convert("PA")


def grey_16(image: Image.Image) -> Image.Image:
    """Mode I;16: the levels of `grey`, from 0 to 255."""
    return Image.fromarray(np.asarray(grey(image)).astype(np.uint16))


def on_paper(image: Image.Image, margin: list[int]) -> Image.Image:
    """An RGB image on paper, whose levels are 236 to 255: the margins are above, below, on the left and on the right."""
    top, bottom, left, right = margin
    rows, columns = np.ogrid[: top + image.height + bottom, : left + image.width + right]
    levels = (255 - (rows * 7 + columns * 3) % 20).astype(np.uint8)
    paper = Image.fromarray(np.repeat(levels[..., None], 3, axis=2))
    paper.paste(image, (left, top))
    return paper


MODES = {
    "RGB": Image.Image.copy,
    "L": grey,
    "1": bilevel,
    "P": palette,
    "RGBA": rgba,
    "LA": grey_alpha,
    "CMYK": cmyk,
    "RGBa": premultiplied,
    "PA": palette_alpha,
    "I;16": grey_16,
    # by Pillow's own conversion; to LAB it is LittleCMS'
    **{mode: functools.partial(Image.Image.convert, mode=mode) for mode in ("YCbCr", "HSV", "LAB", "RGBX", "I", "F")},
}


def noise(height: int, width: int, channels: int) -> np.ndarray:
    """Noise from an integer hash of the position, (h, w, c) uint8: the worst case for rounding and overshoot."""
    y, x, c = np.ogrid[:height, :width, :channels]
    mixed = (y * 73856093 + x * 19349663 + c * 83492791 + 12345) * 2654435761 % 2**32
    mixed = (mixed ^ (mixed >> 15)) * 2246822519 % 2**32
    return (mixed >> 24).astype(np.uint8)


DTYPES = {
    "uint8": lambda pixels: pixels,
    "int16": lambda pixels: pixels.astype(np.int16) * np.int16(100) - np.int16(10000),
    "int32": lambda pixels: pixels.astype(np.int32) * 1000 - 50000,
    "float32": lambda pixels: pixels.astype(np.float32) / 64 - 1,  # exact, in [-1, 2.984375]
}


def image(recipe: dict, photos: pathlib.Path = PHOTOS) -> Image.Image:
    """The Pillow image that a recipe with a photograph describes."""
    picture = photo(recipe["photo"], photos)
    if "box" in recipe:
        picture = picture.crop(tuple(recipe["box"]))
    if "margin" in recipe:
        picture = on_paper(picture, recipe["margin"])
    return MODES[recipe.get("mode", "RGB")](picture)


def array(recipe: dict, photos: pathlib.Path = PHOTOS) -> np.ndarray:
    """The (h, w, c) array that a recipe describes."""
    pixels = noise(*recipe["noise"]) if "noise" in recipe else np.array(image(recipe, photos))
    pixels = pixels[..., None] if pixels.ndim == 2 else pixels
    return DTYPES[recipe.get("dtype", "uint8")](pixels)


def photos_argument(description: str | None) -> pathlib.Path:
    """The folder of photographs a script was told to use: `--photos`, else the repository's."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--photos", type=pathlib.Path, default=PHOTOS)
    return parser.parse_args().photos
