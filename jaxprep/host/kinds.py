"""Tell kinds of image files apart, by their first bytes and by the endings of their names."""

from __future__ import annotations

import re

HEAD = 256
"""So many bytes of a file are enough to tell its kind."""
HEIF = "HEIF"

FORMATS: dict[str, tuple[str, ...]] = {
    "AVIF": (".avif", ".avifs"),
    "BMP": (".bmp",),
    "GIF": (".gif",),
    HEIF: (".heic", ".heics", ".heif", ".heifs", ".hif"),
    "JPEG": (".jpg", ".jpeg", ".jpe", ".jfif", ".mpo"),
    "JPEG2000": (".jp2", ".j2k", ".jpc", ".jpf", ".jpx", ".j2c"),
    "PNG": (".png", ".apng"),
    "PPM": (".ppm", ".pgm", ".pbm", ".pnm"),
    "QOI": (".qoi",),
    "TIFF": (".tif", ".tiff"),
    "WEBP": (".webp",),
}
"""What is decoded, by Pillow's names, with the endings of such files. pillow-heif decodes HEIF."""
SUFFIXES = frozenset(suffix for suffixes in FORMATS.values() for suffix in suffixes)

OTHER_PICTURES: dict[str, tuple[str, ...]] = {
    "DirectDraw": (".dds",),
    "GIMP": (".xcf",),
    "JPEG XL": (".jxl",),
    "OpenEXR": (".exr",),
    "PCX": (".pcx",),
    "Photoshop": (".psb", ".psd"),
    "PostScript": (".eps", ".ps"),
    "Radiance": (".hdr",),
    "SVG": (".svg", ".svgz"),
    "Targa": (".tga",),
    "camera raw": (
        *(".3fr", ".arw", ".cr2", ".cr3", ".crw", ".dng", ".erf", ".iiq", ".kdc", ".mef", ".mrw"),
        *(".nef", ".nrw", ".orf", ".pef", ".raf", ".raw", ".rw2", ".sr2", ".srw", ".x3f"),
    ),
    "float PPM": (".pfm",),
    "icon": (".icns", ".ico"),
}
"""Pictures that are not decoded, with the endings of such files."""

# The first bytes, by the specifications of the formats; `.` stands for any byte.
_SIGNATURES = {
    "BMP": rb"BM.{12}(?:\x0c|\x10|\x28|\x34|\x38|\x40|\x6c|\x7c)\0\0\0",
    "GIF": rb"GIF8[79]a",
    "JPEG": rb"\xff\xd8\xff",
    "JPEG2000": rb"\xff\x4f\xff\x51|\0\0\0\x0cjP  \r\n\x87\n",
    "PNG": rb"\x89PNG\r\n\x1a\n",
    # With its size, since two letters begin many a text.
    "PPM": rb"P[1-6]\s+(?:#[^\n]*\n\s*)*\d+\s",
    "QOI": rb"qoif.{8}[\x03\x04][\0\x01]",
    "WEBP": rb"RIFF.{4}WEBP",
    "JPEG XL": rb"\xff\x0a|\0\0\0\x0cJXL \r\n\x87\n",
    "OpenEXR": rb"v/1\x01",
    "Photoshop": rb"8BPS\0[\x01\x02]",
    "PostScript": rb"%!PS-Adobe|\xc5\xd0\xd3\xc6",
    "Radiance": rb"#\?RADIANCE|#\?RGBE",
    "SVG": rb"\s*(?:<\?xml[^>]*>\s*)?(?:<!--.*?-->\s*)?(?:<!DOCTYPE svg[^>]*>\s*)?<svg[\s>]",
    # Canon's, Fujifilm's, Olympus's and Panasonic's; others are TIFF by their first bytes.
    "camera raw": rb"II\*\0.{4}CR\x02|FUJIFILMCCD-RAW|II(?:RO|RS|U\0)|MMOR|.{4}ftypcrx ",
    "TIFF": rb"II[*+]\0|MM\0[*+]",
}
_PATTERNS = {kind: re.compile(pattern, re.DOTALL) for kind, pattern in _SIGNATURES.items()}
_HEIF_BRANDS = frozenset(b"heic heix heim heis hevc hevx hevm hevs mif1 mif2 msf1".split())
_AVIF_BRANDS = frozenset((b"avif", b"avis"))


def kind_of_content(head: bytes) -> str | None:
    """Return which kind of picture begins with some bytes: a key of `FORMATS` or `OTHER_PICTURES`.

    None for anything else, and for pictures without a signature.

    Args:
        head: the first `HEAD` bytes of a file, or all of it.

    >>> kind_of_content(b"GIF89a..."), kind_of_content(b"BMW is a car"), kind_of_content(b"")
    ('GIF', None, None)
    """
    if head[4:8] == b"ftyp":
        brands = _brands(head)
        # Both kinds may call themselves `mif1` first, and then list what they are.
        if brands & _AVIF_BRANDS:
            return "AVIF"
        if brands & _HEIF_BRANDS:
            return HEIF
    for kind, pattern in _PATTERNS.items():
        if pattern.match(head):
            return kind
    return None


def kind_of_name(suffix: str) -> str | None:
    """Return which kind of picture has names that end so: a key of `FORMATS` or `OTHER_PICTURES`.

    >>> kind_of_name(".JPG"), kind_of_name(".nef"), kind_of_name(".txt")
    ('JPEG', 'camera raw', None)
    """
    return _BY_SUFFIX.get(suffix.lower())


_BY_SUFFIX = {
    suffix: kind for kind, suffixes in {**FORMATS, **OTHER_PICTURES}.items() for suffix in suffixes
}


def _brands(head: bytes) -> set[bytes]:
    """Return the major and the compatible brands of a file type box (ISO 14496-12, 4.3)."""
    end = min(int.from_bytes(head[:4], "big"), len(head))
    return {head[8:12], *(head[i : i + 4] for i in range(16, end - 3, 4))}
