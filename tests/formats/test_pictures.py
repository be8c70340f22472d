"""PIL images of every mode: one file gives one answer, whichever way it comes, in every format."""

from __future__ import annotations

import io

import numpy as np
import pytest
from goldens import inputs
from helpers.images import photograph
from PIL import Image

import jaxprep
from jaxprep import ImageClassifierPreprocessor
from jaxprep.errors import InputError, JaxprepError
from jaxprep.formats import HuggingFace, KerasHub, OpenClip, Timm, Torchvision
from jaxprep.huggingface import (
    CLIPImageProcessor,
    CLIPImageProcessorPil,
    SegformerImageProcessor,
    VideoMAEVideoProcessor,
    ViTImageProcessor,
)

PHOTO = Image.fromarray(photograph(40, 30))
GRAY_16 = (np.arange(30 * 40, dtype=np.uint16) * 54).reshape(40, 30)  # up to 64746
CONFIGS = {
    "KerasHub": KerasHub(image_size=(16, 16), scale=1 / 255),
    "timm": Timm(input_size=(3, 16, 16)),
    "torchvision": Torchvision(crop_size=16, resize_size=18),
    "OpenCLIP": OpenClip(size=16),
    "Hugging Face": HuggingFace("ViTImageProcessor", {"size": 16}),
}
MODES = [mode for mode in inputs.MODES if mode != "RGB"]


def png(samples: np.ndarray) -> bytes:
    file = io.BytesIO()
    Image.fromarray(samples).save(file, "PNG")
    return file.getvalue()


def run(name: str, image: object) -> np.ndarray:
    return np.asarray(ImageClassifierPreprocessor(CONFIGS[name])(image))


def sixteen_bits() -> dict[str, Image.Image]:
    """The same gray picture in each mode that holds 16 bits."""
    opened = Image.open(io.BytesIO(png(GRAY_16)))
    return {
        "I;16, of a file": opened,
        "I;16": opened.copy(),
        "I": opened.convert("I"),
        "I;16B": opened.convert("I").convert("I;16B"),
    }


@pytest.mark.parametrize("name", CONFIGS)
def test_a_gray_file_of_16_bits_gives_one_answer_whichever_way_it_comes(name):
    array = jaxprep.read_image(png(GRAY_16))
    expected = run(name, array)
    assert np.ptp(expected) > 0.5  # and no white everywhere
    for mode, picture in sixteen_bits().items():
        np.testing.assert_array_equal(run(name, picture), expected, err_msg=mode)
    listed = run(name, [PHOTO, *sixteen_bits().values()])
    np.testing.assert_array_equal(listed[1:], np.stack([expected] * 4))


@pytest.mark.parametrize("cls", [ViTImageProcessor, CLIPImageProcessor, CLIPImageProcessorPil])
def test_a_gray_file_of_16_bits_gives_one_answer_to_an_image_processor(cls, tmp_path):
    processor = cls(size={"height": 16, "width": 16}, do_center_crop=False)
    path = tmp_path / "gray.png"
    path.write_bytes(png(GRAY_16))
    expected = np.asarray(processor(str(path)).pixel_values)
    assert np.ptp(expected) > 0.5
    for image in [path.read_bytes(), jaxprep.read_image(path), *sixteen_bits().values()]:
        np.testing.assert_array_equal(processor(image).pixel_values, expected)


WITHOUT_RULE = {
    "floats in [0, 1]": lambda: Image.fromarray((GRAY_16 / 65535).astype(np.float32)),
    "floats up to 65535": lambda: Image.fromarray(GRAY_16.astype(np.float32)),
    "negative floats": lambda: Image.fromarray(np.full((4, 4), -1, np.float32)),
    "NaN": lambda: Image.fromarray(np.full((4, 4), np.nan, np.float32)),
    "integers beyond 16 bits": lambda: Image.fromarray(GRAY_16.astype(np.int32) * 2),
    "negative integers": lambda: Image.fromarray(np.full((4, 4), -1, np.int32)),
}


@pytest.mark.parametrize("name", [*CONFIGS, "ViTImageProcessor", "CLIPImageProcessor"])
@pytest.mark.parametrize("kind", WITHOUT_RULE)
def test_samples_whose_range_has_no_rule_are_refused_with_their_range_and_place(name, kind):
    picture = WITHOUT_RULE[kind]()
    processor = getattr(jaxprep.huggingface, name, None)
    call = processor() if processor else ImageClassifierPreprocessor(CONFIGS[name])
    where = r"images\[1\]" if processor else r"x\[1\]"
    with pytest.raises(InputError, match=rf"8 or 16 bits, got 32-bit .* to .*{where}"):
        call([PHOTO, picture])


@pytest.mark.parametrize("name", CONFIGS)
@pytest.mark.parametrize("mode", ["I", "I;16", "F", "1"])
def test_a_picture_in_memory_that_holds_levels_is_the_picture_of_those_levels(name, mode):
    levels = inputs.MODES[mode](PHOTO)
    as_read = levels.convert("RGB")
    if name == "OpenCLIP" and mode != "1":
        # Resized in its own mode it differs by rounding alone; its bits: test_open_clip.py.
        np.testing.assert_allclose(run(name, levels), run(name, as_read), atol=2.01 / 255 / 0.26)
    elif name != "OpenCLIP":
        np.testing.assert_array_equal(run(name, levels), run(name, as_read))


@pytest.mark.parametrize("name", ["KerasHub", "timm", "torchvision"])
def test_a_picture_of_any_mode_is_first_made_rgb_as_the_data_loaders_do(name):
    """`pil_loader` of torchvision and timm's `ImageDataset` call `convert("RGB")`."""
    config = ImageClassifierPreprocessor(CONFIGS[name])
    pictures = [inputs.MODES[mode](PHOTO) for mode in MODES]
    expected = config([np.asarray(picture.convert("RGB")) for picture in pictures])
    np.testing.assert_array_equal(config(pictures), expected)


def test_a_model_of_gray_images_gets_the_luma_of_a_picture_of_any_mode():
    config = ImageClassifierPreprocessor(Timm(input_size=(1, 16, 16), mean=0.5, std=0.5))
    for mode in MODES:
        picture = inputs.MODES[mode](PHOTO)
        between = picture.convert("RGB") if mode == "LAB" else picture
        gray = np.asarray(between.convert("L"))[..., None]
        np.testing.assert_array_equal(config(picture), config(gray), err_msg=mode)


def test_premultiplied_gray_is_the_gray_it_was_made_of():
    """Pillow cannot convert La to RGB, so every library fails."""
    premultiplied = inputs.MODES["LA"](PHOTO).convert("La")
    for name in CONFIGS:
        expected = run(name, premultiplied.convert("LA"))
        np.testing.assert_array_equal(run(name, premultiplied), expected, err_msg=name)


@pytest.mark.parametrize("mode", MODES)
def test_a_picture_of_any_mode_gives_the_numbers_of_transformers(mode):
    # here, not above: it takes seconds that processes of other tests need not spend
    import transformers.models.clip.image_processing_pil_clip as clip_reference

    settings = {"size": {"height": 16, "width": 16}, "do_center_crop": False}
    picture = inputs.MODES[mode](PHOTO)
    expected = clip_reference.CLIPImageProcessorPil(**settings)(picture, return_tensors="np")
    result = CLIPImageProcessorPil(**settings)(picture, return_tensors="np")
    np.testing.assert_allclose(result.pixel_values, expected.pixel_values, rtol=0, atol=1e-6)


def test_black_and_white_is_black_and_white_to_a_class_that_does_not_convert():
    """Transformers fails to normalise one channel; without a conversion white was level 1."""
    bilevel = inputs.MODES["1"](PHOTO)
    processor = ViTImageProcessor(size={"height": 16, "width": 16})
    expected = processor(bilevel.convert("RGB")).pixel_values
    np.testing.assert_array_equal(processor(bilevel).pixel_values, expected)


def test_a_transparent_colour_is_laid_over_white_where_transformers_does_so():
    picture = PHOTO.convert("RGB")
    colour = picture.getpixel((3, 4))
    picture.info["transparency"] = colour
    config = HuggingFace("CLIPImageProcessor", {"size": 40, "do_center_crop": False})
    result = ImageClassifierPreprocessor(config)(picture)
    opaque = ImageClassifierPreprocessor(config)(PHOTO)
    assert not np.array_equal(result, opaque)


def test_boxes_move_with_a_picture_of_another_mode():
    """It is converted first, since Pillow's own resize moves no boxes."""
    boxes = {"boxes": np.array([[0.0, 0.0, 30.0, 40.0]]), "labels": np.array([1])}
    converter = jaxprep.ImageConverter.from_config(OpenClip(size=16, resize_mode="squash"))
    for mode in ("CMYK", "P", "I;16"):
        picture = inputs.MODES[mode](PHOTO)
        result = converter({"images": picture, "bounding_boxes": boxes})
        expected = converter(np.asarray(picture.convert("RGB")))
        np.testing.assert_array_equal(result["images"], expected)
        assert result["bounding_boxes"]["boxes"].tolist() == [[0.0, 0.0, 16.0, 16.0]]


# -- pictures that Pillow cannot decode any more -------------------------------------------------


def truncated() -> Image.Image:
    return Image.open(io.BytesIO(png(photograph(40, 30))[:500]))


def closed() -> Image.Image:
    picture = PHOTO.copy()
    picture.close()
    return picture


def of_a_closed_file() -> Image.Image:
    file = io.BytesIO(png(photograph(40, 30)))
    picture = Image.open(file)
    file.close()
    return picture


TAKERS = {
    "a converter": lambda picture: run("timm", picture),
    "a list": lambda picture: run("OpenCLIP", [PHOTO, picture]),
    "a mask": lambda picture: run("KerasHub", {"images": PHOTO, "segmentation_masks": picture}),
    "a processor": lambda picture: ViTImageProcessor()(picture),
    "a single operation": lambda picture: ViTImageProcessor().resize(picture, 8),
    "a map": lambda picture: SegformerImageProcessor(size=8)(PHOTO, segmentation_maps=picture),
    "a frame": lambda picture: VideoMAEVideoProcessor()([[PHOTO, picture]]),
    "stack": lambda picture: jaxprep.stack([picture]),
    "show": lambda picture: jaxprep.show(CONFIGS["timm"].pipeline, picture),
    "diagnose": lambda picture: jaxprep.diagnose(np.zeros((8, 8, 3)), picture),
}


@pytest.mark.parametrize("broken", [truncated, closed, of_a_closed_file])
@pytest.mark.parametrize("take", TAKERS.values(), ids=TAKERS)
def test_a_picture_that_is_damaged_or_closed_is_one_error(take, broken):
    with pytest.raises(JaxprepError, match=r"^Expected .* - at `"):
        take(broken())
