"""`return_tensors=None` gives arrays where Transformers does, and lists where it does: against its
PIL backend live, and its torchvision backend by `listed.json`.
"""

from __future__ import annotations

import json
from typing import Any

import jax
import numpy as np
import pytest
from goldens import listed_cases, store
from helpers.huggingface.common import assert_close, original

from jaxprep import huggingface
from jaxprep.errors import InputError
from jaxprep.formats import HuggingFace
from jaxprep.formats.huggingface import classes

ON_TORCHVISION = json.loads((store.FOLDER / "listed.json").read_text())["classes"]
ON_PIL = [name for name, row in classes.rows().items() if "pil" in row.backends]
IMAGE = listed_cases.IMAGE
OTHER = IMAGE[:44, 5:75]
AS_THEY_ARE = {"do_resize": False, "do_pad": False, "do_center_crop": False}
UNCROPPED = {"do_center_crop": False, "size": {"shortest_edge": 16}}
OF_TWO_SIZES = [
    *[(name, AS_THEY_ARE, [[IMAGE, OTHER], [OTHER, OTHER]]) for name in listed_cases.PAIRS],
    ("GotOcr2ImageProcessor", AS_THEY_ARE, [IMAGE, OTHER]),
    ("Idefics2ImageProcessor", AS_THEY_ARE, [[IMAGE, OTHER], [IMAGE]]),
    ("LlavaOnevisionImageProcessor", {"do_resize": False}, [[OTHER], [IMAGE, OTHER]]),
    ("Ovis2ImageProcessor", AS_THEY_ARE, [IMAGE, OTHER]),
    ("TvpImageProcessor", AS_THEY_ARE, [[IMAGE, OTHER], [IMAGE]]),
    ("VideoMAEImageProcessor", UNCROPPED, [IMAGE, OTHER]),
    ("VivitImageProcessor", UNCROPPED, [[IMAGE, OTHER], [IMAGE]]),
]
"""Calls whose results differ in size within one entry."""


@pytest.mark.filterwarnings("ignore")  # of the originals
@pytest.mark.parametrize("name", ON_PIL)
def test_results_are_lists_or_arrays_as_on_the_pil_backend(name: str) -> None:
    cls = original(name)
    settings = listed_cases.SETTINGS.get(name, {})
    images, beside = listed_cases.images(name), listed_cases.BESIDE.get(name, {})
    theirs = cls(**settings)(images, **beside, return_tensors=None)
    if name == "IdeficsImageProcessor":  # theirs returns the images without a name
        theirs = {"pixel_values": theirs}
    results = getattr(huggingface, cls.__name__)(**settings)(images, **beside, return_tensors=None)
    assert listed_cases.structure(results) == listed_cases.structure(theirs)
    arrays = [leaf for leaf in jax.tree.leaves(results) if hasattr(leaf, "shape")]
    assert all(isinstance(array, jax.Array) for array in arrays)


@pytest.mark.filterwarnings("ignore")  # of the originals
@pytest.mark.parametrize(("name", "call", "images"), OF_TWO_SIZES)
def test_results_of_two_sizes_are_lists_as_on_the_pil_backend(
    name: str, call: dict[str, Any], images: list[Any]
) -> None:
    cls = original(name)
    theirs = cls()(images, **call, return_tensors=None)
    processor = getattr(huggingface, cls.__name__)()
    results = processor(images, **call, return_tensors=None)
    assert listed_cases.structure(results) == listed_cases.structure(theirs)
    wanted = jax.tree.leaves(theirs["pixel_values"])
    for by_default in (results, processor(images, **call)):
        arrays = jax.tree.leaves(by_default.pixel_values)
        assert all(isinstance(array, jax.Array) for array in arrays)
        for array, of_original in zip(arrays, wanted, strict=True):
            assert_close(np.asarray(array), of_original, name)
    # NumPy would make an array of objects of samples with several images and with one.
    with pytest.raises(InputError, match="expected results of one size"):
        processor(images, **call, return_tensors="np")


def test_images_of_perception_lm_that_are_not_resized_are_a_list() -> None:
    """A view of each image, as in `_preprocess` of Transformers 5.24, whose class needs torch; the
    values are those of a class with the same arithmetic."""
    images = [IMAGE, OTHER]
    values = {"image_mean": [0.5] * 3, "image_std": [0.5] * 3, "do_convert_rgb": True}
    plain = original("ViTImageProcessor")(**values)
    wanted = plain(images, do_resize=False, return_tensors=None)["pixel_values"]
    processor = huggingface.PerceptionLMImageProcessor(**values)

    def call(images: list[Any]) -> Any:
        return processor(images, do_resize=False, return_tensors=None).pixel_values

    for listed in (call(images), jax.jit(call)(images)):
        for views, of_original in zip(listed, wanted, strict=True):
            assert_close(np.asarray(views), of_original[None], "PerceptionLM")


@pytest.mark.parametrize("name", ["GraniteDoclingImageProcessor", "MiniCPMV4_6ImageProcessor"])
def test_lists_of_numbers_stay_lists_in_a_later_conversion(name: str) -> None:
    cls = original(name)
    processor = getattr(huggingface, cls.__name__)()
    for kind in (None, "np"):
        theirs = cls()(IMAGE, return_tensors=kind).convert_to_tensors("np")
        results = processor(IMAGE, return_tensors=kind).convert_to_tensors("np")
        assert listed_cases.structure(results) == listed_cases.structure(theirs)


@pytest.mark.parametrize("name", sorted(ON_TORCHVISION))
def test_the_table_says_what_the_torchvision_backend_lists(name: str) -> None:
    facts = ON_TORCHVISION[name]
    settings = listed_cases.SETTINGS.get(name, {})
    for call, key in (({}, "default"), ({"do_pad": False}, "unpadded")):
        if key not in facts:
            continue
        axes = HuggingFace(name, {**settings, **call}, backend="torchvision").listed_axes
        for result, wanted in facts[key].items():
            assert axes.get(result, 1) == wanted, (key, result)


def test_results_that_are_one_array_hold_the_patches_of_all_images() -> None:
    processor = huggingface.Qwen2VLImageProcessorPil()
    images = [IMAGE, IMAGE[:30]]
    listed = processor(images, return_tensors=None)
    stacked = processor(images, return_tensors="jax")
    for name, value in listed.items():
        assert isinstance(value, jax.Array)
        np.testing.assert_array_equal(value, stacked[name])


def test_frames_are_lists_in_lists_on_the_pil_backend_alone() -> None:
    options: Any = {"size": {"shortest_edge": 8}, "crop_size": {"height": 8, "width": 8}}
    for processor, is_nested in (
        (huggingface.VideoMAEImageProcessorPil(**options), True),
        (huggingface.VideoMAEImageProcessor(**options), False),
    ):
        (frames,) = processor([IMAGE, IMAGE], return_tensors=None).pixel_values
        assert isinstance(frames, list) == is_nested
        assert np.shape(frames) == (2, 3, 8, 8)


def test_tiles_of_llama_4_are_an_array_for_each_image() -> None:
    """As in Transformers 5.24, whose class needs torch."""
    processor = huggingface.Llama4ImageProcessor(size={"height": 8, "width": 8}, max_patches=3)
    images = [IMAGE[:20, :60], IMAGE[:20, :20]]
    features = processor(images, return_tensors=None)
    listed = features.pixel_values
    assert [tiles.shape for tiles in listed] == [(4, 3, 8, 8), (1, 3, 8, 8)]
    assert all(isinstance(tiles, jax.Array) for tiles in listed)
    assert [ratio.tolist() for ratio in features.aspect_ratios] == [[1, 3], [1, 1]]
    for kind in ("np", "jax"):
        joined = processor(images, return_tensors=kind).pixel_values
        np.testing.assert_array_equal(joined, np.concatenate(listed))


def test_samples_that_are_not_padded_are_no_array_and_the_error_tells_their_sizes() -> None:
    settings = {"size": {"shortest_edge": 8, "longest_edge": 16}, "do_pad": False}
    processor = huggingface.Idefics2ImageProcessorPil(**settings)
    for kind in ("np", "jax"):
        with pytest.raises(InputError, match=r"one size, got \(3, 12, 16\), \(3, 8, 16\)"):
            processor([[IMAGE, IMAGE[:30]]], return_tensors=kind)


def test_samples_that_are_not_padded_are_lists_of_their_images() -> None:
    processor = huggingface.Idefics2ImageProcessorPil(size={"shortest_edge": 8, "longest_edge": 16})
    samples = [[IMAGE, IMAGE], [IMAGE]]
    padded = processor(samples, return_tensors=None)
    assert padded.pixel_values.shape[:2] == (2, 2)
    listed = processor(samples, do_pad=False, return_tensors=None).pixel_values
    assert [[image.ndim for image in sample] for sample in listed] == [[3, 3], [3]]


def test_videos_in_patches_are_one_array() -> None:
    processor = huggingface.Qwen3VLVideoProcessor()
    features = processor([listed_cases.CLIP], do_sample_frames=False, return_tensors=None)
    assert isinstance(features.pixel_values_videos, jax.Array)
    assert features.video_grid_thw.shape == (1, 3)
