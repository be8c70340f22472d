"""`jaxprep.denormalize`: the uint8 image before it was rescaled, in every pixel."""

from __future__ import annotations

from typing import Any

import jax
import numpy as np
import pytest
from PIL import Image

import jaxprep
from jaxprep import Batch, Pipeline, data, huggingface, ops
from jaxprep.errors import ConfigError, InputError

SIZE = (24, 36)


def by_pillow(photo: np.ndarray) -> np.ndarray:
    return np.asarray(Image.fromarray(photo).resize(SIZE[::-1], Image.Resampling.BILINEAR))


LEVELS: dict[str, tuple[Any, ...]] = {
    "levels": (),
    "shares": (ops.Rescale(),),
    "both signs": (ops.Rescale(1 / 127.5, -1.0),),
    "normalised": (ops.Rescale(), ops.Normalize((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))),
    "BGR planes": (
        ops.ReverseChannels(),
        ops.Rescale(),
        ops.Normalize((0.4, 0.5, 0.6), (0.01, 0.2, 3.0)),
        ops.ChannelsFirst(),
    ),
    "bfloat16": (ops.Rescale(1 / 127.5, -1.0), ops.Cast("bfloat16")),
    "in bfloat16": (ops.NormalizeBfloat16(1 / 255, 0.5, 0.5),),
    "patches": (ops.Rescale(), ops.Patches(6, merge_size=2, order="cthw", frames=2)),
    "tiles": (ops.Rescale(), ops.Tiles(12)),
}


@pytest.mark.parametrize("name", LEVELS)
def test_it_is_what_pillow_resized(name: str) -> None:
    pipeline = Pipeline((ops.Resize(SIZE, reference="pillow"), *LEVELS[name]))
    photos = np.stack([data.photo("chelsea"), data.photo("chelsea")[::-1]])
    results = pipeline(Batch(image=photos)).image
    expected = np.stack([by_pillow(photo) for photo in photos])
    found = jaxprep.denormalize(results, pipeline)
    assert found.dtype == np.uint8
    np.testing.assert_array_equal(found, expected)
    if name == "BGR planes":
        np.testing.assert_array_equal(jaxprep.denormalize(results[0], pipeline), expected[0])
        shares = jaxprep.denormalize(results, pipeline, dtype="float32")
        np.testing.assert_allclose(shares, expected / np.float32(255), atol=2e-6)


def test_presets_and_processors_are_named_and_it_is_jitted_and_mapped() -> None:
    photo = data.photo("chelsea")
    pre = jaxprep.ImageClassifierPreprocessor.from_preset("timm/resnet50.a1_in1k", image_size=24)
    wide = Image.fromarray(photo).resize((37, 25), Image.Resampling.BICUBIC)
    expected = np.asarray(wide.crop((6, 0, 30, 24)))
    x = pre([photo, photo])
    for preset in ("timm/resnet50.a1_in1k", pre, pre.pipeline):
        back = jax.jit(lambda x, preset=preset: jaxprep.denormalize(x, preset))
        np.testing.assert_array_equal(back(x)[1], expected)
        np.testing.assert_array_equal(jax.vmap(back)(x)[0], expected)


def test_rows_of_patches_are_put_together_by_the_size_of_their_photograph() -> None:
    processor = huggingface.Qwen2VLImageProcessor(min_pixels=28 * 28, max_pixels=28 * 28 * 12)
    photo = data.photo("chelsea")
    rows = processor(photo).pixel_values
    height, width = processor.pipeline.output_size(photo.shape[:2])
    found = jaxprep.denormalize(rows, processor, size=photo.shape[:2])
    bicubic = Image.fromarray(photo).resize((width, height), Image.Resampling.BICUBIC)
    # Transformers' torchvision backend rounds differently from Pillow
    assert np.abs(np.asarray(found).astype(int) - np.asarray(bicubic)).max() <= 1
    padded = np.pad(np.asarray(rows), ((0, 7), (0, 0)))
    np.testing.assert_array_equal(
        jaxprep.denormalize(padded, processor, size=photo.shape[:2]), found
    )
    with pytest.raises(InputError, match="size"):
        jaxprep.denormalize(rows, processor)
    with pytest.raises(InputError, match="rows of it"):
        jaxprep.denormalize(rows[:-1], processor, size=photo.shape[:2])


def test_tiles_without_their_grid_are_images() -> None:
    pipeline = Pipeline((ops.Resize(SIZE, reference="pillow"), *LEVELS["tiles"]))
    photo = data.photo("chelsea")
    tiles = pipeline(Batch(image=photo)).image.reshape(6, 3, 12, 12)
    found = jaxprep.denormalize(tiles, pipeline)
    expected = by_pillow(photo).reshape(2, 12, 3, 12, 3).transpose(0, 2, 1, 3, 4)
    np.testing.assert_array_equal(found, expected.reshape(6, 12, 12, 3))


def test_gray_is_repeated_and_values_are_clipped() -> None:
    pipeline = Pipeline((ops.Rescale(),))
    found = jaxprep.denormalize(np.float32([[[-1.0], [0.6], [2.0]]]), pipeline)
    assert found.tolist() == [[[0] * 3, [153] * 3, [255] * 3]]


def test_what_cannot_be_undone_is_refused() -> None:
    x = np.zeros((4, 4, 3), np.float32)
    with pytest.raises(ConfigError, match="Rescale"):
        jaxprep.denormalize(x, Pipeline((ops.Rescale(0.0),)))
    with pytest.raises(ConfigError, match="dtype"):
        jaxprep.denormalize(x, Pipeline(), dtype="int32")  # type: ignore[arg-type]
    with pytest.raises(InputError, match="3 axes"):
        jaxprep.denormalize(x[0], Pipeline())
    with pytest.raises(InputError, match="channels"):
        jaxprep.denormalize(np.zeros((4, 4, 2), np.float32), Pipeline())
    with pytest.raises(InputError, match=r"what the preset makes .* \(3, 224, 224\)"):
        jaxprep.denormalize(np.zeros((3, 224, 224), np.float32), "timm/resnet50.a1_in1k")
    with pytest.raises(InputError, match="the array that the preset makes"):
        jaxprep.denormalize("photo.jpg", "timm/resnet50.a1_in1k")  # type: ignore[arg-type]
