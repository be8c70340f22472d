"""`jaxprep show`: a picture of what a model will see."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from jaxprep.cli.files import replacing
from jaxprep.cli.interrupts import held_back
from jaxprep.cli.options import load_config
from jaxprep.cli.run import Converter, decode_photo
from jaxprep.errors import InputError
from jaxprep.ops.words import by
from jaxprep.pipeline import Pipeline
from jaxprep.pipeline.plan import position_matrix
from jaxprep.types import Size

HEIGHT, TALLEST = 448, 1120
"""The model's input is enlarged by a whole number to about the first, and reduced to the second if
it is taller.
"""
WIDEST = 2.5
"""The photo's panel is at most so many times as wide as it is tall."""
BORDER, FONT_SIZE = 16, 17
PAPER, INK, MARGIN, FRAME = (255, 255, 255), (40, 40, 40), (214, 218, 224), (230, 30, 60)
SHADE = 0.5
"""How bright the part of the photo is that the model does not get."""


class Box(NamedTuple):
    """A rectangle in pixels of the photo; it may reach beyond it."""

    left: float
    top: float
    right: float
    bottom: float

    def scaled(self, factor: float, x: float = 0, y: float = 0) -> Box:
        """Moved by `-x` and `-y`, and then scaled."""
        return Box(
            *((value - origin) * factor for value, origin in zip(self, (x, y, x, y), strict=True))
        )


def execute(args: argparse.Namespace) -> int:
    config = load_config(args)
    output, path = Path(args.output), Path(args.photo)
    if output.suffix.lower() != ".png":
        raise InputError(f"Expected the name of a PNG file, got '{output}' - at `--output`.")
    photo = decode_photo(path, config, args.alpha)
    with held_back() as stop_if_interrupted:
        (result,) = Converter(config)([photo])
        stop_if_interrupted()
    seen = undone(result, config.pipeline)
    box = kept_box(config.pipeline, photo.source.size)
    caption = (path.name, f"{by(photo.source.size)} -> {by(photo.source.output_size)}", args.preset)
    with replacing(output) as file:
        picture(photo.image, box, seen, caption).save(file, "PNG")
    return 0


def kept_box(pipeline: Pipeline, size: Size) -> Box:
    """Where the result of an image of `size` comes from: its corners, mapped back."""
    height, width = pipeline.output_size(size)
    matrix = position_matrix(pipeline.segments, size)
    (scale_x, shift_x), (scale_y, shift_y) = matrix[0, [0, 2]], matrix[1, [1, 2]]
    top, bottom = sorted(((0 - shift_y) / scale_y, (height - shift_y) / scale_y))
    left, right = sorted(((0 - shift_x) / scale_x, (width - shift_x) / scale_x))
    return Box(left, top, right, bottom)


def undone(result: np.ndarray, pipeline: Pipeline) -> np.ndarray:
    """A result as RGB in [0, 255]: its values before they were scaled, and the order of its
    channels before it changed.

    What a step lost stays lost. Where a step cannot be undone at all, the range of the values is
    stretched to [0, 255].
    """
    image = result.astype(np.float64)
    for step in reversed(pipeline.steps):
        before = step.undo(image)
        if before is None:
            spread = image.max() - image.min()
            image = (image - image.min()) * (255 / spread if spread else 0)
            break
        image = before
    if image.shape[-1] not in (1, 3):
        raise InputError(f"Expected a result of 1 or 3 channels to draw, got {image.shape[-1]}.")
    return np.broadcast_to(np.clip(np.rint(image), 0, 255).astype(np.uint8), (*image.shape[:2], 3))


def picture(photo: np.ndarray, box: Box, seen: np.ndarray, caption: Sequence[str]) -> Image.Image:
    """The photo with its kept region, beside what the model sees, above a caption of a few
    parts.
    """
    right = _enlarged(Image.fromarray(np.ascontiguousarray(seen)))
    left = _marked(Image.fromarray(photo), box, right.height)
    height = max(left.height, right.height)
    font = ImageFont.load_default(FONT_SIZE)
    line = FONT_SIZE + BORDER
    page = Image.new(
        "RGB", (left.width + right.width + 3 * BORDER, height + line + 2 * BORDER), PAPER
    )
    page.paste(left, (BORDER, BORDER + (height - left.height) // 2))
    page.paste(right, (left.width + 2 * BORDER, BORDER + (height - right.height) // 2))
    draw = ImageDraw.Draw(page)
    text = _fitted(caption, page.width - 2 * BORDER, font)
    draw.text((BORDER, height + 2 * BORDER), text, INK, font)
    return page


def _enlarged(image: Image.Image) -> Image.Image:
    """Each pixel as a square of whole pixels, unless the image is large."""
    factor = max(1, round(HEIGHT / image.height))
    image = image.resize((image.width * factor, image.height * factor), Image.Resampling.NEAREST)
    if image.height > TALLEST or image.width > WIDEST * TALLEST:
        image.thumbnail((round(WIDEST * TALLEST), TALLEST), Image.Resampling.LANCZOS)
    return image


def _marked(photo: Image.Image, box: Box, height: int) -> Image.Image:
    """The photo, with room for what the box has beyond it; what is outside of the box is darker,
    the box framed.
    """
    whole = Box(
        min(box.left, 0),
        min(box.top, 0),
        max(box.right, photo.width),
        max(box.bottom, photo.height),
    )
    factor = min(height / (whole.bottom - whole.top), WIDEST * height / (whole.right - whole.left))
    panel_size = [
        max(1, round(n * factor)) for n in (whole.right - whole.left, whole.bottom - whole.top)
    ]
    panel = Image.new("RGB", (panel_size[0], panel_size[1]), MARGIN)
    draw = ImageDraw.Draw(panel)
    for x in range(-panel.height, panel.width, 12):  # hatched where there is nothing
        draw.line((x, panel.height, x + panel.height, 0), tuple(n - 22 for n in MARGIN), 1)
    place = _rounded(
        Box(0, 0, photo.width, photo.height).scaled(factor, whole.left, whole.top), panel
    )
    kept = _rounded(box.scaled(factor, whole.left, whole.top), panel)
    small = photo.resize(
        (place[2] - place[0], place[3] - place[1]), Image.Resampling.LANCZOS, reducing_gap=3.0
    )
    panel.paste(Image.eval(small, lambda value: round(value * SHADE)), place[:2])
    inside = (
        max(kept[0], place[0]),
        max(kept[1], place[1]),
        min(kept[2], place[2]),
        min(kept[3], place[3]),
    )
    if inside[0] < inside[2] and inside[1] < inside[3]:
        moved = (
            inside[0] - place[0],
            inside[1] - place[1],
            inside[2] - place[0],
            inside[3] - place[1],
        )
        panel.paste(small.crop(moved), inside[:2])
    draw.rectangle((kept[0], kept[1], kept[2] - 1, kept[3] - 1), outline=FRAME, width=3)
    return panel


def _rounded(box: Box, panel: Image.Image) -> tuple[int, int, int, int]:
    """Whole pixels of the panel, at least one each way."""
    left, top = min(round(box.left), panel.width - 1), min(round(box.top), panel.height - 1)
    right, bottom = min(round(box.right), panel.width), min(round(box.bottom), panel.height)
    return left, top, max(right, left + 1), max(bottom, top + 1)


def _fitted(parts: Sequence[str], width: int, font: Any) -> str:
    """The parts on one line; the longest is shortened in its middle until they fit."""
    shown = list(parts)
    while font.getlength(text := "   ".join(shown)) > width:
        i = max(range(len(shown)), key=lambda i: len(shown[i]))
        if len(shown[i]) < 8:
            break
        middle = len(shown[i]) // 2
        shown[i] = shown[i][: middle - 2] + "..." + shown[i][middle + 2 :]
    return text
