"""Sizes of images that rules of vision-language models are compared on."""

import numpy as np
from PIL import Image, ImageDraw, ImageFont

IMAGE = np.arange(3 * 40 * 60, dtype=np.uint8).reshape(3, 40, 60)
TEXT = "How many letters does a header have, where it is so long that it takes more than one line of eighty letters?"


def sizes() -> list[list[int]]:
    """2,000 heights and widths: small and large, square and long, and multiples of patches."""
    rng = np.random.default_rng(0)
    found = rng.integers(2, 4000, (1200, 2)).tolist()
    found += rng.integers(2, 300, (400, 2)).tolist()
    for side, ratio in zip(rng.integers(1, 120, 400).tolist(), rng.integers(1, 5, 400).tolist()):
        found.append([16 * side, 16 * side * ratio])  # whole patches, in whole ratios: many ties
    return found


def pages() -> list[np.ndarray]:
    """Twelve pages of text, dark on light and light on dark, with small and large letters, some noisy, half blank, or tiny."""
    rng = np.random.default_rng(0)
    found = []
    for i in range(12):
        highest = 90 if i % 6 == 5 else 500
        width, height = rng.integers(30, highest, 2).tolist()
        paper, ink = (255, 20) if i % 3 else (30, 220)
        letters = int(rng.integers(6, 28)) if i % 3 < 2 else 28
        page = Image.new("RGB", (width, height), (paper, paper, paper - 20))
        draw = ImageDraw.Draw(page)
        for top in range(0, height, int(letters * rng.uniform(1.0, 2.5)) + 1):
            text = "".join(rng.choice(list("abcdefg hijklmnop qrstuv"), 60))
            draw.text((2, top), text, font=ImageFont.load_default(letters), fill=(ink, ink, ink))
        pixels = np.asarray(page).astype(int)
        if i % 4 == 0:
            pixels += rng.integers(-20, 20, pixels.shape)
        if i % 5 == 0:
            pixels[height // 2 :] = paper
        found.append(np.clip(pixels, 0, 255).astype(np.uint8))
    return found
