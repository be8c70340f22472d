"""The facts of Transformers' own test suite for image processors, in words of our own.

They are in `tests/test_image_processing_common.py`, `tests/test_preprocessing_common.py` and
`tests/models/*/test_image_processing_*.py` there. `docs/conformance.md` has the table of what
holds, where it is tested, and what is different on purpose.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers.huggingface.common import assert_close, original
from helpers.images import photograph

from jaxprep import AutoImageProcessor, huggingface
from jaxprep.formats.huggingface import classes
from jaxprep.postprocess import SEMANTIC, methods

NAMES = sorted(classes.rows())
PIXELS = photograph(20, 30)
LABELS = np.asarray(np.arange(600).reshape(20, 30) // 40, np.int64)


def backends(name: str) -> tuple[str, ...]:
    return classes.rows()[name].backends


def made(name: str, backend: str, **settings: Any) -> Any:
    has_ending = backend == "pil" and len(backends(name)) > 1
    return getattr(huggingface, f"{name}Pil" if has_ending else name)(**settings)


# -- files


@pytest.mark.parametrize("name", NAMES)
def test_settings_survive_json_files_folders_and_the_auto_class(name: str, tmp_path: Path) -> None:
    settings = {"do_normalize": False, "image_mean": [0.25, 0.5, 0.75], "rescale_factor": 0.5}
    for backend in backends(name):
        first = made(name, backend, **settings)
        content = json.loads(first.to_json_string())
        assert all(content[key] == value for key, value in settings.items())
        first.to_json_file(tmp_path / "own.json")
        (saved,) = first.save_pretrained(tmp_path / backend)
        text = Path(saved).read_text()
        assert text == json.dumps(json.loads(text), indent=2, sort_keys=True) + "\n"
        others = [
            type(first).from_json_file(tmp_path / "own.json"),
            type(first).from_pretrained(tmp_path / backend),
            AutoImageProcessor.from_pretrained(tmp_path / backend, backend=backend),
        ]
        for other in others:
            assert other == first and other.to_dict() == first.to_dict()
            assert type(other) is type(first) and other.backend == backend


@pytest.mark.parametrize("name", [name for name in NAMES if len(backends(name)) > 1])
def test_what_one_backend_saved_the_other_reads(name: str, tmp_path: Path) -> None:
    for one, other in (("pil", "torchvision"), ("torchvision", "pil")):
        first = made(name, one)
        first.save_pretrained(tmp_path)
        for again in (
            type(made(name, other)).from_pretrained(tmp_path),
            AutoImageProcessor.from_pretrained(tmp_path, backend=other),
        ):
            assert again.backend == other and again.to_dict() == first.to_dict()


@pytest.mark.parametrize("name", NAMES)
def test_none_at_the_start_is_kept_and_saved(name: str, tmp_path: Path) -> None:
    defaults = classes.rows()[name].defaults
    switch = next(key for key in ("do_rescale", "do_normalize", "do_resize") if key in defaults)
    processor = getattr(huggingface, name)(**{switch: None})
    assert processor.to_dict()[switch] is None
    processor.save_pretrained(tmp_path)
    assert getattr(type(processor).from_pretrained(tmp_path), switch) is None


def test_instances_do_not_share_their_settings() -> None:
    first, second = huggingface.ViTImageProcessor(), huggingface.ViTImageProcessor()
    first.size, first.image_mean = {"height": 1, "width": 1}, [0.0] * 3
    assert second.size == huggingface.ViTImageProcessor.size == {"height": 224, "width": 224}
    assert second.image_mean == huggingface.ViTImageProcessor.image_mean == [0.5] * 3


@pytest.mark.parametrize("name", [name for name in NAMES if classes.rows()[name].annotations])
def test_the_format_of_annotations_may_be_an_enumeration_and_is_saved(
    name: str, tmp_path: Path
) -> None:
    formats = pytest.importorskip("transformers").image_utils.AnnotationFormat
    for given in ("coco_detection", formats.COCO_DETECTION):
        processor = getattr(huggingface, name)(format=given)
        assert processor.to_dict()["format"] == "coco_detection"
        processor.save_pretrained(tmp_path)
        assert type(processor).from_pretrained(tmp_path).to_dict() == processor.to_dict()


# -- calls


@pytest.mark.parametrize("name", NAMES)
def test_a_keyword_that_no_class_knows_is_an_error(name: str) -> None:
    processor = getattr(huggingface, name)()
    with pytest.raises(TypeError, match="extra_argument"):
        processor._with_call_settings({"extra_argument": True})


@pytest.mark.parametrize("name", ["ViTImageProcessor", "DetrImageProcessor"])
def test_transformers_refuses_a_keyword_that_it_does_not_know_too(name: str) -> None:
    with pytest.raises((TypeError, ValueError)):
        original(name)()(PIXELS, extra_argument=True)


@pytest.mark.parametrize("name", ["Beit", "Segformer", "MobileViT", "MobileNetV2"])
def test_maps_are_labels_of_the_size_of_the_result_one_less_where_reduced(name: str) -> None:
    settings = {"size": {"height": 12, "width": 12}, "do_center_crop": False}
    if name == "MobileViT":
        settings["size"] = {"shortest_edge": 12}
    processor = made(f"{name}ImageProcessor", "pil", **settings)
    other = original(f"{name}ImageProcessor")(**settings)
    images, maps = [PIXELS, PIXELS[:, ::-1]], [LABELS, LABELS[::-1]]
    found = {}
    for reduces in (False, True):
        processor.do_reduce_labels = other.do_reduce_labels = reduces
        feature = processor(images, maps, return_tensors="np")
        wanted = other(images, [one.astype(np.uint8) for one in maps], return_tensors="np")
        assert feature.labels.dtype == np.int64 and len(feature.labels) == 2
        assert feature.labels.shape[1:] == feature.pixel_values.shape[2:]
        assert feature.labels.min() >= 0 and feature.labels.max() <= 255
        np.testing.assert_array_equal(feature.labels, wanted.labels)
        found[reduces] = feature.labels
    if name == "Beit":
        return  # its maps are resized by interpolation, which mixes labels with 255
    is_object = found[False] > 0
    np.testing.assert_array_equal(found[True][is_object], found[False][is_object] - 1)
    assert (found[True][~is_object] == 255).all()


def test_sizes_of_depth_models_keep_the_ratio_or_are_padded_to_multiples() -> None:
    size = {"height": 512, "width": 512}
    for backend in ("pil", "torchvision"):
        processor = made(
            "DPTImageProcessor", backend, size=size, keep_aspect_ratio=True, ensure_multiple_of=32
        )
        assert processor.pipeline.output_size((489, 640)) == (512, 672)
        switches = {"do_resize": False, "do_rescale": False, "do_pad": True, "size_divisor": 4}
        assert made("DPTImageProcessor", backend, **switches).pipeline.output_size((249, 491)) == (
            252,
            492,
        )
        assert made("GLPNImageProcessor", backend).pipeline.output_size((249, 491)) == (224, 480)
        assert made("Swin2SRImageProcessor", backend).pipeline.output_size((249, 491)) == (256, 496)


def test_an_offset_of_rescale_is_what_efficientnet_has() -> None:
    image = np.arange(0, 256, 1, np.uint8).reshape(1, 8, 32)
    for backend in ("pil", "torchvision"):
        processor = made("EfficientNetImageProcessor", backend)
        half = processor.rescale(image, 1 / 127.5, offset=True, input_data_format="channels_first")
        np.testing.assert_allclose(half, image / 127.5 - 1, atol=1e-6)
        whole = processor.rescale(image, 1 / 255, input_data_format="channels_first")
        np.testing.assert_allclose(whole, image / 255, atol=1e-6)


# -- results


@pytest.mark.parametrize(
    "name", [name for name in NAMES if SEMANTIC in methods(name) and name.startswith(("B", "Seg"))]
)
def test_semantic_maps_have_the_sizes_asked_for_one_for_each_image(name: str) -> None:
    logits = np.random.default_rng(0).normal(size=(2, 5, 8, 8)).astype(np.float32)
    outputs = {"logits": logits, "pred_masks": logits.reshape(2, 5, 8, 8)[:, :3]}
    if name == "SegGptImageProcessor":
        return  # its models paint: tests/postprocess
    segment = getattr(getattr(huggingface, name)(), SEMANTIC)
    maps = segment(outputs)
    assert [one.shape for one in maps] == [(8, 8), (8, 8)]
    sizes = [(1, 4), (6, 5)]
    resized = segment(outputs, target_sizes=sizes)
    assert [one.shape for one in resized] == sizes
    scored = segment(outputs, target_sizes=sizes, return_segmentation_scores=True)
    np.testing.assert_array_equal(scored[0].segmentation, resized[0])
    assert scored[0].segmentation_scores.shape == (5, 1, 4)
    with pytest.raises(ValueError, match="target_sizes"):
        segment(outputs, target_sizes=[*sizes, (1, 4)])


def test_both_backends_are_near_each_other() -> None:
    for name in ("ViTImageProcessor", "CLIPImageProcessor"):
        settings = {"size": {"height": 12, "width": 10}, "do_center_crop": False}
        values = [
            np.asarray(made(name, backend, **settings)(PIXELS).pixel_values)
            for backend in ("pil", "torchvision")
        ]
        np.testing.assert_allclose(*values, atol=1e-1, rtol=1e-3)
        assert np.abs(values[0] - values[1]).mean() < 5e-3
        wanted = original(name)(**settings)(PIXELS, return_tensors="np").pixel_values
        assert_close(values[0], wanted, name)
