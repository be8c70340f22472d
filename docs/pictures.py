"""Draws the pictures of the site, `docs/pictures/`: what presets keep of a photograph, tap tables.

    python docs/pictures.py

The files are committed. Drawn again, they are the same up to the numbers of Pillow's JPEG.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

import jaxprep
from jaxprep import data, ops
from jaxprep.resample.tables import HostAxis, Resample, Reverse, Taps, Window, resize_taps

FOLDER = Path(__file__).resolve().parent / "pictures"
PHOTO = "chelsea"
QUALITY = 85
WIDTH = 640
"""Of a picture of the gallery."""
CAPTION = 33
"""The height of the line below a picture of `show`, which the page has in its own words."""
PAPER, INK, MUTED = (255, 255, 255), (40, 40, 40), (106, 115, 125)


PRESETS = (
    "timm/resnet50.a1_in1k",
    "timm/resnet18.tv_in1k",
    "timm/beit_base_patch16_224.in22k_ft_in22k_in1k",
    "timm/convnext_base.fb_in22k_ft_in1k_384",
    "timm/deepseek_vit_412m.deepseek_v4_flash_vision_exp",
    "open_clip/ViT-B-32/openai",
    "open_clip/ViT-B-16-SigLIP-256/webli",
    "resnet_50_imagenet",
    "deit_base_distilled_patch16_224_imagenet",
    "retinanet_resnet50_fpn_coco",
    "torchvision/ResNet50_Weights.IMAGENET1K_V2",
    "torchvision/EfficientNet_B0_Weights.IMAGENET1K_V1",
)
"""Those of `preset_gallery.md`, which says what there is to see."""
HERO = (
    ("timm/resnet50.a1_in1k", "cropped"),
    ("open_clip/ViT-B-16-SigLIP-256/webli", "squashed"),
    ("timm/deepseek_vit_412m.deepseek_v4_flash_vision_exp", "padded"),
    ("resnet_50_imagenet", "not antialiased"),
)
FILTERS = (
    ("nearest", False),
    ("bilinear", False),
    ("box", True),
    ("bilinear", True),
    ("bicubic", True),
    ("lanczos3", True),
)
DETAIL = (26, 50, 98, 98)
"""Left, top, right and bottom of the part of the reduced photograph that is enlarged."""


# -- photographs -----------------------------------------------------------------------------------


def seen(preset: str, photo: np.ndarray) -> Image.Image:
    """Returns what the model of a preset sees, with the normalisation undone."""
    preprocessor = jaxprep.ImageClassifierPreprocessor.from_preset(preset)
    return Image.fromarray(np.asarray(jaxprep.denormalize(preprocessor(photo), preprocessor)))


def gallery() -> None:
    """Draws what `show` shows of each preset."""
    for preset in PRESETS:
        picture = jaxprep.show(preset, data.photo_path(PHOTO)).image
        picture = picture.crop((0, 0, picture.width, picture.height - CAPTION))
        height = round(WIDTH * picture.height / picture.width)
        picture = picture.resize((WIDTH, height), Image.Resampling.LANCZOS)
        picture.save(FOLDER / f"{preset.replace('/', '-')}.jpg", quality=QUALITY)


def hero() -> None:
    """Draws the photograph, and what four models see of it."""
    photo = data.photo(PHOTO)
    side, gap, line, arrow = 220, 14, 36, 64
    columns = 2
    right_height = 2 * side + gap + line
    left_width = round(right_height * photo.shape[1] / photo.shape[0])
    right = left_width + arrow
    page = Image.new("RGB", (right + columns * side + gap, right_height + line), PAPER)
    draw = ImageDraw.Draw(page)
    font = ImageFont.load_default(21)
    size = (left_width, right_height)
    page.paste(Image.fromarray(photo).resize(size, Image.Resampling.LANCZOS), (0, 0))
    draw.text((0, right_height + 6), "the photograph", INK, font)
    x, y = left_width + 12, right_height // 2
    draw.line((x, y, x + 34, y), INK, 4)
    draw.polygon(((x + 26, y - 10), (x + 26, y + 10), (x + 42, y)), INK)
    for i, (preset, words) in enumerate(HERO):
        panel = seen(preset, photo).resize((side, side), Image.Resampling.LANCZOS)
        x, y = right + i % columns * (side + gap), i // columns * (side + gap + line)
        page.paste(panel, (x, y))
        draw.text((x, y + side + 6), words, INK, font)
    page.save(FOLDER / "hero.jpg", quality=QUALITY)


def filters() -> None:
    """Draws a detail of a photograph that is reduced by each filter, enlarged."""
    photo = data.photo(PHOTO)
    size, zoom, gap, line = (100, 150), 4, 12, 26
    left, top, right, bottom = DETAIL
    width, height = (right - left) * zoom, (bottom - top) * zoom
    columns = 3
    rows = -(-len(FILTERS) // columns)
    page = Image.new(
        "RGB", (columns * (width + gap) - gap, rows * (height + line + gap) - gap), PAPER
    )
    draw = ImageDraw.Draw(page)
    for i, (method, antialias) in enumerate(FILTERS):
        reduced = ops.resize(photo, size, method=method, antialias=antialias, reference="jax")
        detail = Image.fromarray(np.asarray(reduced)).crop(DETAIL)
        x, y = i % columns * (width + gap), i // columns * (height + line + gap)
        page.paste(detail.resize((width, height), Image.Resampling.NEAREST), (x, y))
        words = method if antialias or method == "nearest" else f"{method}, not antialiased"
        draw.text((x, y + height + 4), words, INK, ImageFont.load_default(15))
    page.save(FOLDER / "filters.png", optimize=True)


# -- tap tables ------------------------------------------------------------------------------------


class Drawing:
    """An SVG file, on white, so that it is read in light and in dark pages."""

    def __init__(self, width: int, height: int, title: str):
        self.lines = [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" '
            f'width="{width}" height="{height}" role="img" font-family="sans-serif" '
            'font-size="12">',
            f"<title>{title}</title>",
            f'<rect width="{width}" height="{height}" rx="6" fill="#fff"/>',
        ]

    def rectangle(
        self, x: float, y: float, w: float, h: float, fill: str, stroke: str = ""
    ) -> None:
        edge = f' stroke="{stroke}" stroke-width="0.5"' if stroke else ""
        self.lines.append(
            f'<rect x="{x:g}" y="{y:g}" width="{w:g}" height="{h:g}" fill="{fill}"{edge}/>'
        )

    def text(
        self, x: float, y: float, words: str, fill: str = "#24292f", anchor: str = "start"
    ) -> None:
        self.lines.append(
            f'<text x="{x:g}" y="{y:g}" fill="{fill}" text-anchor="{anchor}">{words}</text>'
        )

    def save(self, name: str) -> None:
        (FOLDER / name).write_text("\n".join([*self.lines, "</svg>"]) + "\n", "utf-8")


def colour(weight: float, largest: float) -> str:
    """Returns blue for a positive weight, red for a negative one, the stronger the larger."""
    share = min(1.0, abs(weight) / largest)
    strong = np.array((15, 111, 198) if weight > 0 else (200, 40, 40))
    red, green, blue = (255 - share * (255 - strong)).round().astype(int)
    return f"#{red:02x}{green:02x}{blue:02x}"


def dense(taps: Taps, n: int) -> np.ndarray:
    """Returns the weights of a table as a matrix, a row for each output."""
    weight = np.asarray(taps.weight, np.float64) / 2.0 ** int(taps.shift)
    matrix = np.zeros((len(weight), n))
    for row, (start, weights) in enumerate(zip(taps.start, weight, strict=True)):
        matrix[row, start : start + len(weights)] = weights
    return matrix


def chains() -> None:
    """Draws the one table that a resize makes, alone and with a crop, a flip or a pad after it."""
    n, m = 24, 8
    resize = Resample(m, "bicubic", reference="pillow")
    columns: tuple[tuple[str, tuple[object, ...]], ...] = (
        ("resize 24 to 8", (resize,)),
        ("… then crop 4", (resize, Window(2, 4))),
        ("… then flip", (resize, Reverse())),
        ("… then pad to 12", (resize, Window(-2, 12))),
    )
    cell, left, top, gap = 8, 16, 52, 28
    width = left + len(columns) * (n * cell + gap)
    drawing = Drawing(width, top + 12 * cell + 44, "Tap tables of a resize and of chains with it")
    for i, (words, steps) in enumerate(columns):
        axis = HostAxis(n)
        for number, step in enumerate(steps, 1):
            axis.apply(step, number=number)  # type: ignore[arg-type]
        table = axis.table()
        assert table.taps is not None
        matrix = dense(table.taps, n)
        x = left + i * (n * cell + gap)
        drawing.text(x, 22, words)
        drawing.text(x, 40, f"{len(matrix)} outputs, {table.count} taps each", "#6a737d")
        for row, weights in enumerate(matrix):
            is_filled = table.edge[row] != 0
            for column, weight in enumerate(weights):
                fill = "#e6e8eb" if is_filled else colour(weight, matrix.max())
                drawing.rectangle(x + column * cell, top + row * cell, cell, cell, fill, "#d0d5da")
    y = top + 12 * cell + 28
    legend = (
        ("#0f6fc6", "positive weight"),
        ("#c82828", "negative weight"),
        ("#e6e8eb", "filled, never read"),
    )
    x = left
    for fill, words in legend:
        drawing.rectangle(x, y - 10, 12, 12, fill, "#d0d5da")
        drawing.text(x + 18, y, words)
        x += 44 + 7 * len(words)
    drawing.text(x + 10, y, "a row is an output pixel, a column a source pixel", "#6a737d")
    drawing.save("tap-chains.svg")


def shapes(pairs: Sequence[tuple[str, bool]]) -> None:
    """Draws the weights of one output pixel, by filter."""
    n, m, output = 36, 9, 4
    bar, height, gap, left, top = 7, 84, 26, 16, 44
    columns = 3
    rows = -(-len(pairs) // columns)
    block = n * bar
    drawing = Drawing(
        left * 2 + columns * block + (columns - 1) * gap,
        rows * (height + top + 24) + 8,
        "The weights of one output pixel, by filter",
    )
    for i, (method, antialias) in enumerate(pairs):
        reference = "torch" if not antialias and method != "nearest" else "pillow"
        weights = dense(resize_taps(n, m, method, antialias, reference), n)[output]
        x = left + i % columns * (block + gap)
        y = i // columns * (height + top + 24)
        count = int((weights != 0).sum())
        suffix = "" if antialias or method == "nearest" else ", not antialiased"
        drawing.text(x, y + 22, f"{method}{suffix}")
        drawing.text(x + block, y + 22, f"{count} tap{'s' if count > 1 else ''}", "#6a737d", "end")
        base = y + top + height * 0.8
        largest = max(0.5, weights.max()) if count <= 2 else 0.3
        drawing.rectangle(x, base, block, 0.8, "#b8bfc7")
        for column, weight in enumerate(weights):
            size = abs(weight) / largest * height * 0.8
            fill = "#0f6fc6" if weight > 0 else "#c82828"
            if size:
                drawing.rectangle(
                    x + column * bar, base - size if weight > 0 else base, bar - 1, size, fill
                )
    drawing.save("tap-filters.svg")


def main() -> None:
    FOLDER.mkdir(exist_ok=True)
    hero()
    gallery()
    filters()
    chains()
    shapes(FILTERS)


if __name__ == "__main__":
    main()
