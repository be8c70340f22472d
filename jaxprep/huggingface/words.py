"""LayoutLMv2 and LayoutLMv3: pages, and the words on them that Tesseract reads."""

from __future__ import annotations

from typing import Any

from jaxprep import codec
from jaxprep.errors import InputError, MissingPackageError
from jaxprep.formats import HuggingFace
from jaxprep.huggingface.call import Call, Family, Results, image_results, read
from jaxprep.huggingface.features import PlainList
from jaxprep.huggingface.images import Image, for_pillow

Box = list[int]
"""Left, top, right and bottom, in thousandths of the image."""


def pages_with_words(call: Call) -> Results:
    """Return pages; with `apply_ocr`, their `words` and `boxes` too, which are lists of Python
    whatever `return_tensors` is.

    Raises:
        InputError: the words of a traced image are asked for.
        MissingPackageError: words are asked for, and pytesseract or Tesseract is not installed.

    >>> import numpy as np
    >>> from jaxprep.huggingface import LayoutLMv3ImageProcessor
    >>> processor = LayoutLMv3ImageProcessor(size={"height": 8, "width": 6}, apply_ocr=False)
    >>> processor(np.zeros((16, 16, 3), np.uint8)).pixel_values.shape
    (1, 3, 8, 6)
    """
    images = read(call)
    if not call.config.effective.flag("apply_ocr"):
        return image_results(call, images)
    if call.is_traced:
        raise InputError(
            "Expected `apply_ocr=False` inside a transformation of JAX: a program outside of it "
            "reads the words."
        )
    read_words = [_words_of(image, call.config) for image in images]
    return image_results(call, images) | {
        "words": PlainList(words for words, _ in read_words),
        "boxes": PlainList(boxes for _, boxes in read_words),
    }


PAGES_WITH_WORDS = Family(pages_with_words)


def _words_of(image: Image, config: HuggingFace) -> tuple[list[str], list[Box]]:
    """Return the words on an image of the host, and where they are: `apply_tesseract` of
    `transformers/models/layoutlmv3/image_processing_layoutlmv3.py`.

    Raises:
        InputError: Tesseract cannot read with these settings, as a language that it has not.
        MissingPackageError: pytesseract or Tesseract is not installed.
    """
    from PIL import Image as pil

    pytesseract = _pytesseract()
    pixels = for_pillow(image).pixels
    picture = pil.fromarray(pixels[..., 0] if pixels.shape[-1] == 1 else pixels)
    lang = _text_of(config, "ocr_lang")
    options = _text_of(config, "tesseract_config") or ""
    try:
        read_page = pytesseract.image_to_data(
            picture, lang=lang, output_type="dict", config=options
        )
    # Of `pytesseract.TesseractNotFoundError`, and of what Tesseract itself says.
    except OSError as error:
        raise MissingPackageError(
            "Expected Tesseract, which reads the words of a page, got: "
            f"{_one_line(error)}. Install it, or pass `apply_ocr=False`."
        ) from error
    except RuntimeError as error:
        raise InputError(
            f"Expected settings with which Tesseract reads a page, got: {_one_line(error)} - at "
            f"`ocr_lang={lang!r}`, `tesseract_config={options!r}`."
        ) from error
    columns = (read_page[name] for name in ("text", "left", "top", "width", "height"))
    words, boxes = [], []
    for word, left, top, width, height in zip(*columns, strict=True):
        # Blocks, paragraphs and lines are rows of the page without a word.
        if word.strip():
            words.append(word)
            boxes.append(thousandths((left, top, left + width, top + height), picture.size))
    return words, boxes


def thousandths(box: tuple[int, int, int, int], size: tuple[int, int]) -> Box:
    """Return a box in thousandths of an image, truncated.

    Args:
        box: left, top, right and bottom in pixels.
        size: width and height of the image.

    >>> thousandths((0, 5, 10, 20), (30, 40))
    [0, 125, 333, 500]
    """
    # In this order: `normalize_box` divides before it multiplies.
    return [int(1000 * (side / size[i % 2])) for i, side in enumerate(box)]


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split()).rstrip(".")


def _text_of(config: HuggingFace, key: str) -> str | None:
    value = config.effective.get(key)
    if value is not None and not isinstance(value, str):
        raise codec.expected("a string or null", value, f"$.{key}")
    return value


def _pytesseract() -> Any:
    try:
        import pytesseract
    except ImportError as error:
        raise MissingPackageError(
            "Expected the package `pytesseract`, which reads the words of a page: install "
            "`jaxprep[ocr]` and Tesseract itself, or pass `apply_ocr=False`."
        ) from error
    return pytesseract
