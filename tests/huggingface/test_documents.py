"""Donut, Nougat, PP-FormulaNet and LayoutLM: against Transformers' PIL backend live, and its
torchvision backend by goldens."""

from __future__ import annotations

import random
import sys
import types
from typing import Any

import jax
import numpy as np
import pytest
from goldens import inputs, vlm_documents_cases
from helpers.huggingface.common import original
from helpers.huggingface.vision_language import assert_as_pil, assert_as_torchvision, cases_of
from helpers.images import photograph
from PIL import Image

import jaxprep
from jaxprep import huggingface, ops
from jaxprep.formats.huggingface import classes
from jaxprep.ops import sizes

NAMES = sorted(vlm_documents_cases.OWN)
PIL_NAMES = [name for name in NAMES if "pil" in classes.rows()[name].backends]
PAGE = vlm_documents_cases.PAGE


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", PIL_NAMES)
def test_pages_are_those_of_the_pil_backend(name: str) -> None:
    for case in cases_of("documents", "pil", name):
        assert_as_pil(case)


@pytest.mark.parametrize("name", NAMES)
def test_pages_are_those_of_the_torchvision_backend(name: str) -> None:
    for case in cases_of("documents", "torchvision", name):
        assert_as_torchvision("documents", case)


def test_sizes_of_thumbnails_are_those_of_2000_random_sizes(monkeypatch: Any) -> None:
    theirs = original("DonutImageProcessor")()
    monkeypatch.setattr(theirs, "resize", lambda image, size, resample: (size.height, size.width))
    size_dict = sys.modules["transformers"].image_utils.SizeDict
    numbers = np.random.default_rng(0).integers(30, 3000, (2000, 4)).tolist()
    for height, width, most_rows, most_columns in numbers:
        image = np.broadcast_to(np.uint8(0), (3, height, width))
        wanted = theirs.thumbnail(image, size_dict(height=most_rows, width=most_columns))
        wanted = wanted if isinstance(wanted, tuple) else wanted.shape[1:]
        rule = sizes.Thumbnail(most_rows, most_columns)
        assert rule.output_size((height, width)) == wanted


def test_a_reducing_resize_is_that_of_pillow() -> None:
    # the second of parts of blocks at both ends; the third by one axis alone
    for height, width, rows, columns in ((96, 120, 12, 20), (151, 119, 13, 9), (90, 31, 11, 30)):
        pixels = inputs.noise(height, width, 3)
        step = ops.ReducingResize(sizes.NearestMultiple(rows, columns))
        assert max(step.factors((height, width))) > 1
        picture = Image.fromarray(pixels)
        wanted = picture.resize((columns, rows), Image.Resampling.BICUBIC, reducing_gap=2.0)
        np.testing.assert_array_equal(jax.jit(step.apply)(pixels), np.asarray(wanted))


@pytest.mark.parametrize("name", PIL_NAMES)
def test_single_methods_are_those_of_the_pil_backend(name: str) -> None:
    theirs, ours = original(name)(), getattr(huggingface, f"{name}Pil")()
    image = np.moveaxis(inputs.array(PAGE), -1, 0)
    size = sys.modules["transformers"].image_utils.SizeDict(height=60, width=70)
    large = sys.modules["transformers"].image_utils.SizeDict(height=200, width=190)
    pad = "pad_image" if name.startswith("Donut") else "pad_images"
    pairs = [("align_long_axis", size), ("thumbnail", size), (pad, large)]
    for method, argument in pairs:
        wanted = getattr(theirs, method)(image, argument)
        np.testing.assert_array_equal(getattr(ours, method)(image, argument), wanted, method)
    if name.startswith("Donut"):
        np.random.seed(3)
        wanted = theirs.pad_image(image, large, random_padding=True)
        np.random.seed(3)
        found = ours.pad_image(image, large, random_padding=True)
        np.testing.assert_array_equal(found, wanted)
        return
    for threshold in (200, 240):
        wanted = theirs.crop_margin(image, threshold)
        np.testing.assert_array_equal(ours.crop_margin(image, threshold), wanted)
    points = theirs.python_find_non_zero(image[0] < 200)
    np.testing.assert_array_equal(ours.python_find_non_zero(image[0] < 200), points)
    assert ours.python_bounding_rect(points) == theirs.python_bounding_rect(points)


def test_a_threshold_that_no_pixel_is_below_is_refused() -> None:
    for threshold in (0, -1, 256, float("nan"), None):
        with pytest.raises(jaxprep.errors.InputError, match="gray_threshold"):
            huggingface.NougatImageProcessor().crop_margin(photograph(8, 8), threshold)


def test_a_margin_inside_jit_is_refused_and_pages_without_one_are_not() -> None:
    small = {"height": 40, "width": 30}
    page = np.asarray(inputs.array(PAGE))
    for settings in ({}, {"do_align_long_axis": True}):
        processor = huggingface.NougatImageProcessor(size=small, **settings)
        with pytest.raises(jaxprep.errors.InputError, match="crop_margin"):
            jax.jit(processor)(page)
        cropped = np.asarray(processor.crop_margin(page))
        without = huggingface.NougatImageProcessor(size=small, do_crop_margin=False, **settings)
        traced = jax.jit(lambda image: dict(without(image)))(cropped)  # noqa: B023
        eager = processor(page).pixel_values
        np.testing.assert_array_equal(traced["pixel_values"], eager)


def test_the_pipeline_of_a_page_turns_it() -> None:
    small = {"height": 40, "width": 30}
    processor = huggingface.DonutImageProcessor(size=small, do_align_long_axis=True)
    image = photograph(31, 50)
    result = processor.pipeline(jaxprep.Batch(image=image)).image
    np.testing.assert_array_equal(result, processor(image).pixel_values[0])


def test_a_list_as_the_size_of_donut_is_width_and_height() -> None:
    processor = huggingface.DonutImageProcessor(size=[1920, 2560])
    assert processor.size == {"height": 2560, "width": 1920}
    assert original("DonutImageProcessor")(size=[1920, 2560]).size == processor.size


# -- words


def read_page(image: Any, lang: str | None, output_type: str, config: str) -> dict[str, list]:
    """Stands for `pytesseract.image_to_data`; what it was called with is among the words."""
    assert output_type == "dict"
    width, height = image.size
    generator = random.Random(width * height)
    text = ["", f"{image.mode} {lang} {config!r}", "  ", str(np.asarray(image).sum()), "word"]
    columns: dict[str, list] = {"text": text}
    for name, side in (("left", width), ("top", height), ("width", width), ("height", height)):
        columns[name] = [generator.randrange(side // 2) for _ in text]
    return columns


@pytest.fixture
def pytesseract(monkeypatch: pytest.MonkeyPatch) -> Any:
    """A module that stands for pytesseract, for us and for Transformers."""
    module = types.ModuleType("pytesseract")
    module.image_to_data = read_page  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "pytesseract", module)
    return module


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", ["LayoutLMv2ImageProcessor", "LayoutLMv3ImageProcessor"])
def test_words_and_boxes_are_those_of_the_original(
    name: str, pytesseract: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    cls = original(name)
    module = sys.modules[cls.__module__]
    monkeypatch.setattr(module, "pytesseract", pytesseract, raising=False)
    monkeypatch.setattr(module, "requires_backends", lambda *args: None)
    pages = [np.asarray(photograph(40, 60)), np.asarray(photograph(33, 20)) / 255]
    small = {"size": {"height": 24, "width": 32}}
    for settings in ({}, {"ocr_lang": "deu", "tesseract_config": "--psm 6"}):
        theirs = cls(**small, **settings)(pages)
        ours = getattr(huggingface, f"{name}Pil")(**small, **settings)(pages)
        assert ours.words == theirs.words
        assert ours.boxes == theirs.boxes
        for found, wanted in zip(ours.pixel_values, theirs.pixel_values, strict=True):
            np.testing.assert_allclose(found, wanted, atol=2e-6)
        tensors = getattr(huggingface, name)(**small, **settings)(pages, return_tensors="np")
        assert (tensors.words, tensors.boxes) == (ours.words, ours.boxes)


def test_a_file_gives_tesseract_no_options_that_write_files(pytesseract: Any) -> None:
    del pytesseract
    cls = huggingface.LayoutLMv3ImageProcessor
    harmful = {"image_processor_type": cls.__name__, "tesseract_config": "-c debug_file=/tmp/x"}
    for content in (harmful, harmful | {"tesseract_config": "--psm 6 -c debug_file=/tmp/x"}):
        with pytest.raises(jaxprep.errors.ConfigError, match=r"`\$\.tesseract_config`"):
            cls.from_dict(content)
    for options in ("", " --psm 6", "--psm 11 --oem=1"):
        assert cls.from_dict(harmful | {"tesseract_config": options}).tesseract_config == options
    # A caller may say anything.
    processor = cls.from_dict(harmful, tesseract_config="-c tessedit_char_whitelist=012")
    assert "whitelist" in processor(photograph(8, 8)).words[0][0]
    assert "debug_file" in cls(tesseract_config="-c debug_file=x")(photograph(8, 8)).words[0][0]


def test_words_without_pytesseract_are_one_error_that_says_what_to_do(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "pytesseract", None)
    processor = huggingface.LayoutLMv3ImageProcessor()
    with pytest.raises(jaxprep.errors.MissingPackageError, match="apply_ocr=False") as caught:
        processor(photograph(8, 8))
    assert "jaxprep[ocr]" in str(caught.value)
    assert processor(photograph(8, 8), apply_ocr=False).pixel_values.shape == (1, 3, 224, 224)
    with pytest.raises(jaxprep.errors.InputError, match="apply_ocr=False"):
        jax.jit(processor)(photograph(8, 8))


@pytest.mark.parametrize(
    ("error", "expected", "said"),
    [
        # As `pytesseract.TesseractNotFoundError` and `TesseractError` are.
        (OSError("tesseract is not\ninstalled."), "MissingPackageError", "not installed. Install"),
        (RuntimeError(1, "Failed loading language 'xx'"), "InputError", "language 'xx'.*ocr_lang"),
    ],
)
def test_what_tesseract_says_is_one_error_in_one_line(
    pytesseract: Any, error: Exception, expected: str, said: str
) -> None:
    def fail(*args: Any, **kwargs: Any) -> Any:
        raise error

    pytesseract.image_to_data = fail
    with pytest.raises(getattr(jaxprep.errors, expected), match=said):
        huggingface.LayoutLMv3ImageProcessor()(photograph(8, 8))
