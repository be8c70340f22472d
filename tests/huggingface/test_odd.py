"""Image processors whose arithmetic is that of another library: against Transformers' PIL backend
live, and its torchvision backend by goldens."""

from __future__ import annotations

import importlib

import jax
import numpy as np
import pytest
from goldens import vlm_odd2_cases
from helpers.huggingface.common import assert_close, original
from helpers.huggingface.vision_language import assert_as_pil, assert_as_torchvision, cases_of
from helpers.images import noise, photograph
from PIL import Image

from jaxprep import huggingface
from jaxprep.errors import InputError, JaxprepError
from jaxprep.ops import sizes

NAMES = [*sorted(vlm_odd2_cases.SETTINGS), "ZoeDepthImageProcessorPil"]
LIVE = ["Owlv2ImageProcessor", "VitPoseImageProcessor"]


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", LIVE)
def test_results_are_those_of_the_pil_backend(name: str) -> None:
    for case in cases_of("odd2", "pil", name):
        assert_as_pil(case)


@pytest.mark.parametrize("name", NAMES)
def test_results_are_those_of_the_torchvision_backend(name: str) -> None:
    for case in cases_of("odd2", "torchvision", name):
        assert_as_torchvision("odd2", case)


def test_sizes_are_those_of_2000_random_sizes_of_zoedepth() -> None:
    module = importlib.import_module("transformers.models.zoedepth.image_processing_pil_zoedepth")
    rng = np.random.default_rng(0)
    for i, size in enumerate(rng.integers(30, 3000, (2000, 2)).tolist()):
        multiple, keeps_ratio = (1 / 32, 32, 7, 0.3)[i % 4], i % 3 > 0
        image = np.broadcast_to(np.uint8(0), (3, *size))
        wanted = module.get_resize_output_image_size(
            image, (384, 512), keeps_ratio, multiple, "channels_first"
        )
        rule = sizes.NearestMultiple(384, 512, multiple, keeps_ratio)
        if min(wanted) < 1:
            with pytest.raises(InputError, match="at least half"):
                rule.output_size(tuple(size))
            continue
        assert rule.output_size(tuple(size)) == wanted, (size, multiple, keeps_ratio)


def test_crops_of_100_random_boxes_are_those_of_vitpose_in_every_bit() -> None:
    # in float32 five levels of a crop would differ
    rng = np.random.default_rng(0)
    image = np.asarray(photograph(131, 187))
    corners, sides = rng.uniform(-30, 150, (100, 2)), rng.uniform(1, 200, (100, 2))
    boxes = np.concatenate([corners, sides], 1)
    call = {"boxes": [boxes.tolist()], "return_tensors": "np"}
    settings = {"size": {"height": 64, "width": 48}, "do_rescale": False, "do_normalize": False}
    theirs = original("VitPoseImageProcessor")(**settings)(image, **call)
    ours = huggingface.VitPoseImageProcessor(**settings)(image, **call)
    np.testing.assert_array_equal(ours["pixel_values"], theirs["pixel_values"])


@pytest.mark.parametrize("scaled", [True, False])
def test_crops_of_integers_are_rounded_as_those_of_vitpose(scaled: bool) -> None:
    image = np.asarray(photograph(61, 47)).astype(np.int32)
    call = {"boxes": [[[10.5, 5, 30, 40.25], [-5, -6, 90, 70]]], "return_tensors": "np"}
    settings = {"size": {"height": 64, "width": 48}, "do_rescale": scaled, "do_normalize": scaled}
    theirs = original("VitPoseImageProcessor")(**settings)(image, **call)["pixel_values"]
    ours = huggingface.VitPoseImageProcessorPil(**settings)(image, **call)["pixel_values"]
    assert_close(ours, theirs, "VitPose")


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("blurs", [True, False])
def test_owlv2_resizes_alone_as_its_method_does(blurs: bool) -> None:
    image = np.moveaxis(np.asarray(photograph(24, 36)), -1, 0).astype(np.float32)
    size = {"height": 12, "width": 20}
    theirs = original("Owlv2ImageProcessor")().resize(image, size, blurs)
    ours = huggingface.Owlv2ImageProcessorPil().resize(image, size, blurs)
    assert_close(np.asarray(ours) / 255, theirs / 255, "Owlv2")
    # What `Owlv2ImageProcessor().resize(image, SizeDict(height=2, width=3), blurs)` gave.
    wanted = [[48, 60, 72], [163, 176, 187]] if blurs else [[44, 58, 71], [164, 178, 191]]
    ramp = (np.arange(48, dtype=np.uint8) * 5).reshape(1, 1, 6, 8)
    resized = huggingface.Owlv2ImageProcessor().resize(ramp, (2, 3), blurs)
    assert resized.dtype == np.uint8 and resized[0, 0].tolist() == wanted
    with pytest.raises(InputError, match="anti_aliasing_sigma"):
        huggingface.Owlv2ImageProcessor().resize(ramp, (2, 3), anti_aliasing_sigma=1.0)


@pytest.mark.filterwarnings("ignore")
def test_owlv2_pads_alone_to_squares() -> None:
    wide = np.moveaxis(np.asarray(photograph(4, 6)), -1, 0)
    theirs = original("Owlv2ImageProcessor")().pad(wide, 3)
    np.testing.assert_array_equal(huggingface.Owlv2ImageProcessorPil().pad(wide, 3), theirs)
    high = wide.transpose(0, 2, 1)
    first, second = huggingface.Owlv2ImageProcessor().pad([wide, high], None, constant_value=3)
    np.testing.assert_array_equal(first, theirs)
    np.testing.assert_array_equal(second, theirs.transpose(0, 2, 1))


@pytest.mark.parametrize("name", [name for name in NAMES if not name.endswith("Pil")])
def test_a_call_inside_jit_gives_what_an_eager_call_gives(name: str) -> None:
    processor = getattr(huggingface, name)(size={"height": 48, "width": 40}, pad_size=48)
    call = {"boxes": [[[10, 5, 60, 100]]] * 2} if name.startswith("VitPose") else {}
    images = np.stack([np.asarray(photograph(61, 47))] * 2)
    eager = processor(list(images), return_tensors="np", **call)
    traced = jax.jit(lambda images: dict(processor(images, **call)))(images)
    assert eager.keys() == traced.keys()
    for key, arrays in eager.items():
        for ours, theirs in zip(traced[key], arrays, strict=True):
            np.testing.assert_allclose(ours, theirs, rtol=0, atol=2e-6)


@pytest.mark.parametrize(
    "name, settings, message",
    [
        ("ZoeDepth", {"resample": 0}, "bilinear or bicubic"),
        ("ZoeDepth", {"ensure_multiple_of": 0}, "ensure_multiple_of"),
        ("Owlv2", {"size": {"height": 10**6, "width": 10**6}}, "pixels"),
        ("SLANeXt", {"size": {"height": 10**9, "width": 9}}, "size"),
        ("UVDoc", {"size": {"height": 0, "width": 9}}, "size"),
        ("VitPose", {"normalize_factor": 0}, "normalize_factor"),
    ],
)
def test_a_setting_that_means_nothing_is_refused(name: str, settings: dict, message: str) -> None:
    with pytest.raises(JaxprepError, match=message):
        getattr(huggingface, f"{name}ImageProcessor")(**settings)


@pytest.mark.parametrize("boxes", [[[]], [[[1, 2, 3]]], [[[1, 2, 0, 0]]], [], [[["a"] * 4]]])
def test_boxes_that_are_none_are_refused(boxes: list) -> None:
    image = np.zeros((20, 30, 3), np.uint8)
    with pytest.raises(InputError, match="boxes"):
        huggingface.VitPoseImageProcessor()(image, boxes=boxes)


@pytest.mark.parametrize(
    "name", ["ViT", "Nougat", "Pix2Struct", "LlavaNext", "Idefics3", "Mllama", "Fuyu", "Donut"]
)
def test_an_image_without_pixels_is_one_error(name: str) -> None:
    processor = getattr(huggingface, f"{name}ImageProcessor")()
    for empty in (np.zeros((0, 9, 3), np.uint8), Image.new("RGB", (9, 0))):
        for images, place in ((empty, 0), ([noise(8, 9, 3), empty], 1)):
            with pytest.raises(InputError, match=rf"with pixels, got .* of image {place} - at"):
                processor(images)


def test_a_page_of_nan_has_no_margin() -> None:
    page = np.full((12, 9, 3), np.nan, np.float32)
    assert huggingface.NougatImageProcessor(size=(16, 16))(page).pixel_values.shape[2:] == (16, 16)
