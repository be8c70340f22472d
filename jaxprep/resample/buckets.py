"""The few sizes that arrays of any size are padded to, so that a handful of compiled programs serve
them all.
"""

from __future__ import annotations


def bucket(n: int) -> int:
    """The smallest of 1, 2, 3, 4, 6, 8, 12, 16, 24, ... (2^k and 3 * 2^k) that is at least `n`.

    At most a third of a bucket is padding.
    """
    power = 1 << max(n - 1, 0).bit_length()
    three_quarters = power // 4 * 3
    return three_quarters if n <= three_quarters else power


def canvas(size: tuple[int, int], smallest: int = 64) -> tuple[int, int]:
    """Height and width of the canvas for an image of `size`.

    The longer side is a bucket of at least `smallest`. The shorter side is as long, or a quarter, a
    sixteenth, ... of it that still holds the image: photographs share square canvases, panoramas do
        not waste memory.
    """
    long = bucket(max(*size, smallest))
    height, width = (_quartered(long, n, smallest // 4) for n in size)
    return height, width


def _quartered(side: int, n: int, smallest: int) -> int:
    while side % 4 == 0 and side // 4 >= max(n, smallest):
        side //= 4
    return side
