"""Draws photographs with the region that a model gets, and results with visible pixels."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import UInt8
from PIL import Image, ImageDraw, ImageFont

from jaxprep.atomic import check_is_local, replacing
from jaxprep.errors import InputError
from jaxprep.types import Size

HEIGHT = 448
"""The model's input is enlarged by an integer to about so many pixels."""
MAX_HEIGHT = 1120
"""It is reduced to so many if it is taller."""
MAX_ASPECT = 2.5
"""A panel is at most so many times as wide as it is tall."""
BORDER = 16
FONT_SIZE = 17
HATCH = 12
"""Pixels between the lines that mark where there is no photo."""
PAPER = (255, 255, 255)
INK = (40, 40, 40)
MARGIN = (214, 218, 224)
FRAME = (230, 30, 60)
SECOND_FRAME = (40, 90, 255)
HATCHING = tuple(level - 22 for level in MARGIN)
SHADE = 0.5
"""The brightness of the part of the photo that the model does not get."""


class Box(NamedTuple):
    """Holds a rectangle in pixels of an image; it may reach beyond the image.

    >>> Box(left=-1, top=0, right=3, bottom=2).width
    4
    """

    left: float
    top: float
    right: float
    bottom: float

    def scaled(self, factor: float, x: float = 0, y: float = 0) -> Box:
        """Return the box in an image whose pixels are `1 / factor` as large and begin at `(x, y)`.

        >>> Box(10, 10, 20, 30).scaled(2, 5, 5)
        Box(left=10, top=10, right=30, bottom=50)
        """
        return Box(
            left=(self.left - x) * factor,
            top=(self.top - y) * factor,
            right=(self.right - x) * factor,
            bottom=(self.bottom - y) * factor,
        )

    @property
    def width(self) -> float:
        return self.right - self.left

    @property
    def height(self) -> float:
        return self.bottom - self.top


@dataclass(frozen=True, eq=False)
class Picture:
    """Holds a picture that a notebook displays.

    Attributes:
        image: the picture, a `PIL.Image.Image` in RGB; `numpy.asarray(picture.image)` is an array
            `(h, w, 3)`.

    >>> Picture(Image.new("RGB", (4, 2)))._repr_png_()[1:4]
    b'PNG'
    """

    image: Image.Image

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the picture to a PNG file, whole or not at all.

        Args:
            path: its name ends in `.png`; its folder exists.

        Raises:
            InputError: another name, or a folder that does not exist.
            OSError: the file cannot be written.

        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     Picture(Image.new("RGB", (4, 2))).save(f"{folder}/picture.png")
        ...     os.listdir(folder)
        ['picture.png']
        """
        check_png(path)
        with replacing(Path(path)) as file:
            self.image.save(file, "PNG")

    def _repr_png_(self) -> bytes:
        # What IPython asks for: https://ipython.readthedocs.io/en/stable/config/integrating.html
        file = BytesIO()
        self.image.save(file, "PNG")
        return file.getvalue()

    def __repr__(self) -> str:
        return f"<jaxprep picture, {self.image.height} x {self.image.width} pixels>"


def check_png(path: str | os.PathLike[str], where: str = "path") -> None:
    """Raise `InputError` unless a picture can be written under a name.

    Args:
        path: the name.
        where: its position in the call, for messages.

    >>> check_png("picture.png")
    """
    if not isinstance(path, str | os.PathLike):
        raise InputError(
            f"Expected the name of a PNG file, got `{type(path).__name__}` - at `{where}`. To write"
            " to an open file: `picture.image.save(file, 'PNG')`."
        )
    check_is_local(path, where)
    output = Path(path)
    # JPEG would blur the pixels that the picture is to show.
    if output.suffix.lower() != ".png":
        raise InputError(f"Expected the name of a PNG file, got '{output}' - at `{where}`.")
    # Before a temporary file is named in the folder.
    if not output.parent.is_dir():
        raise InputError(
            f"Expected a folder that exists, got '{output.parent}' - at `{where}`. Make it first."
        )
    if output.is_dir():
        raise InputError(f"Expected the name of a PNG file, got a folder, '{output}'.")


def picture(
    photo: UInt8[np.ndarray, "h w 3"],
    box: Box,
    pixels: UInt8[np.ndarray, "height width 3"],
    caption: Sequence[str],
) -> Picture:
    """Draw the photo with its kept region on the left, and what the model sees on the right.

    Args:
        photo: the photo.
        box: the kept region, in its pixels.
        pixels: what the model sees.
        caption: parts of the line below.

    >>> black = np.zeros((8, 6, 3), np.uint8)
    >>> picture(black, Box(0, 0, 6, 8), black, ["a.png"]).image.size
    (720, 513)
    """
    # A gray result is three views of one channel, which `Image.fromarray` does not take.
    pixels = np.ascontiguousarray(pixels)
    right = enlarged(Image.fromarray(pixels))
    left = photo_panel(Image.fromarray(photo), [box], right.height)
    return in_a_row([left, right], caption)


def in_a_row(panels: Sequence[Image.Image], caption: Sequence[str]) -> Picture:
    """Draw panels from left to right, with the caption below them.

    >>> in_a_row([Image.new("RGB", (100, 50)), Image.new("RGB", (20, 40))], ["a.png"]).image.size
    (168, 115)
    """
    height = max(panel.height for panel in panels)
    panel_widths = sum(panel.width for panel in panels)
    width = panel_widths + (len(panels) + 1) * BORDER
    page = new_page((width, height), caption)
    left = BORDER
    for panel in panels:
        top = BORDER + (height - panel.height) // 2
        page.paste(panel, (left, top))
        left += panel.width + BORDER
    return Picture(page)


def new_page(size: Size, caption: Sequence[str]) -> Image.Image:
    """Return an empty page for panels of a width and height, with the caption below them.

    >>> new_page((100, 50), ["a.png"]).size
    (100, 115)
    """
    width, height = size
    font = ImageFont.load_default(FONT_SIZE)
    line_height = FONT_SIZE + BORDER
    page_size = (width, height + line_height + 2 * BORDER)
    page = Image.new("RGB", page_size, PAPER)
    text = _shortened(caption, width - 2 * BORDER, font)
    position = (BORDER, height + 2 * BORDER)
    ImageDraw.Draw(page).text(position, text, INK, font)
    return page


def enlarged(image: Image.Image) -> Image.Image:
    """Draw the image with each pixel as a square, so that its pixels can be seen, unless it is
    large.

    >>> enlarged(Image.new("RGB", (224, 112))).size
    (896, 448)
    """
    # By an integer: all pixels are squares of one size then, and their edges stay sharp.
    factor = max(1, round(HEIGHT / image.height))
    size = (image.width * factor, image.height * factor)
    image = image.resize(size, Image.Resampling.NEAREST)
    max_width = MAX_ASPECT * MAX_HEIGHT
    if image.height > MAX_HEIGHT or image.width > max_width:
        image.thumbnail((round(max_width), MAX_HEIGHT), Image.Resampling.LANCZOS)
    return image


def compared(
    photo: UInt8[np.ndarray, "h w 3"],
    boxes: Sequence[Box],
    images: Sequence[UInt8[np.ndarray, "height width 3"]],
    caption: Sequence[str],
) -> Picture:
    """Draw the photo with two kept regions, what two models see, and where that differs.

    Args:
        photo: the photo.
        boxes: the two kept regions, in its pixels.
        images: what the models see. Where they have one size, the difference is drawn too, as large
            as the levels have room for.
        caption: parts of the line below.

    >>> black = np.zeros((8, 6, 3), np.uint8)
    >>> compared(black, [Box(0, 0, 6, 8)] * 2, [black, black], ["a.png"]).image.size
    (1424, 513)
    """
    seen = []
    for image in images:
        contiguous = np.ascontiguousarray(image)
        seen.append(enlarged(Image.fromarray(contiguous)))
    first, second = images
    if first.shape == second.shape:
        # signed, as a difference of uint8 would wrap
        levels = np.abs(first.astype(np.int16) - second)
        largest = max(int(levels.max()), 1)
        factor = 255 // largest
        bright = (levels * factor).astype(np.uint8)
        seen.append(enlarged(Image.fromarray(bright)))
        caption = [*caption, f"difference x {factor}"]
    height = max(panel.height for panel in seen)
    left = photo_panel(Image.fromarray(photo), boxes, height)
    return in_a_row([left, *seen], caption)


def photo_panel(photo: Image.Image, boxes: Sequence[Box], height: int) -> Image.Image:
    """Draw the photo and, hatched, what the boxes have beyond it; darker outside the boxes, each
    framed.

    Args:
        photo: the photo.
        boxes: the kept region, in its pixels, or two of them.
        height: of the panel; less for a photo that is very wide.

    >>> photo_panel(Image.new("RGB", (6, 8)), [Box(-3, 0, 6, 8)], 80).size
    (90, 80)
    """
    shown = Box(
        left=min(0, *(box.left for box in boxes)),
        top=min(0, *(box.top for box in boxes)),
        right=max(photo.width, *(box.right for box in boxes)),
        bottom=max(photo.height, *(box.bottom for box in boxes)),
    )
    max_width = MAX_ASPECT * height
    factor = min(height / shown.height, max_width / shown.width)
    panel_width = max(1, round(shown.width * factor))
    panel_height = max(1, round(shown.height * factor))
    panel = Image.new("RGB", (panel_width, panel_height), MARGIN)
    draw = ImageDraw.Draw(panel)
    # Diagonals from the lower edge to the upper one; those that begin left of the panel end in it.
    for x in range(-panel.height, panel.width, HATCH):
        draw.line((x, panel.height, x + panel.height, 0), HATCHING, 1)

    whole_photo = Box(0, 0, photo.width, photo.height)
    photo_box = whole_photo.scaled(factor, shown.left, shown.top)
    left, top, right, bottom = _to_pixels(photo_box, panel)
    size = (right - left, bottom - top)
    # `reducing_gap`: Pillow first averages blocks of pixels, which makes large photos quick:
    # https://pillow.readthedocs.io/en/stable/reference/Image.html#PIL.Image.Image.resize
    small = photo.resize(size, Image.Resampling.LANCZOS, reducing_gap=3.0)
    darker = Image.eval(small, lambda level: round(level * SHADE))
    panel.paste(darker, (left, top))
    kept = []
    for box in boxes:
        in_panel = box.scaled(factor, shown.left, shown.top)
        kept.append(_to_pixels(in_panel, panel))
    for kept_left, kept_top, kept_right, kept_bottom in kept:
        bright_left = max(kept_left, left)
        bright_top = max(kept_top, top)
        bright_right = min(kept_right, right)
        bright_bottom = min(kept_bottom, bottom)
        # A crop may lie beyond the photo altogether, in its padding.
        if bright_left < bright_right and bright_top < bright_bottom:
            in_photo = (
                bright_left - left,
                bright_top - top,
                bright_right - left,
                bright_bottom - top,
            )
            panel.paste(small.crop(in_photo), (bright_left, bright_top))
    # The second frame is thinner: where both are the same, the first shows inside it.
    styles = ((FRAME, 3), (SECOND_FRAME, 2))
    for box, (color, line) in zip(kept, styles, strict=False):
        kept_left, kept_top, kept_right, kept_bottom = box
        # Pillow draws the right and bottom edges of a rectangle on the pixels that are given.
        frame = (kept_left, kept_top, kept_right - 1, kept_bottom - 1)
        draw.rectangle(frame, outline=color, width=line)
    return panel


def _to_pixels(box: Box, panel: Image.Image) -> tuple[int, int, int, int]:
    """Return the box in integers inside the panel, at least one pixel wide and high."""
    left = min(round(box.left), panel.width - 1)
    top = min(round(box.top), panel.height - 1)
    right = min(round(box.right), panel.width)
    bottom = min(round(box.bottom), panel.height)
    right = max(right, left + 1)
    bottom = max(bottom, top + 1)
    return left, top, right, bottom


def _shortened(parts: Sequence[str], width: int, font: Any) -> str:
    """Join the parts on one line; the longest is shortened in its middle until they fit."""
    shown = list(parts)
    while font.getlength("   ".join(shown)) > width:
        longest = max(shown, key=len)
        if len(longest) < 8:
            break
        middle = len(longest) // 2
        start = longest[: middle - 2]
        end = longest[middle + 2 :]
        shown[shown.index(longest)] = f"{start}...{end}"
    return "   ".join(shown)
