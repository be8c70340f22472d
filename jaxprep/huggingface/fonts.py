"""Fonts that a caller names, read for Pillow."""

from __future__ import annotations

import io
import os
from typing import Any

from jaxprep.errors import InputError
from jaxprep.resources import read_regular

MAX_FONT = 2**26
"""Bytes of a font."""


def font_source(font: Any, where: str, hint: str = "") -> Any:
    """Return a font as `PIL.ImageFont.truetype` opens it: the bytes of a file, which is read here,
    or the name of a font of the system as it is.

    Args:
        font: a path, a name, or the bytes of a file.
        where: the argument, for messages.
        hint: what to do instead, for messages.

    Raises:
        InputError: there is no such file, it is no regular one, or it is too large.

    >>> font_source("DejaVuSans.ttf", "font")
    'DejaVuSans.ttf'
    >>> font_source("/dev/null", "font")
    Traceback (most recent call last):
    jaxprep.errors.InputError: Expected a TrueType font, got '/dev/null': expected a regular file, \
got a device - at `font`.
    """
    if isinstance(font, str) and not os.path.exists(font) and os.path.basename(font) == font:
        return font
    try:
        content = font if isinstance(font, bytes) else read_regular(font, MAX_FONT)
        if len(content) > MAX_FONT:
            raise ValueError(f"expected at most {MAX_FONT} bytes, got {len(content)}")
    except (OSError, TypeError, ValueError) as error:
        shown = "bytes" if isinstance(font, bytes) else f"{font!r:.200}"
        raise InputError(
            f"Expected a TrueType font, got {shown}: {error} - at `{where}`. {hint}".rstrip()
        ) from error
    return io.BytesIO(content)
