"""`jaxprep.show` and `describe`: what is drawn is what the model sees, and what is said is what
happens.
"""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers.images import noise
from PIL import Image

import jaxprep
from jaxprep import Batch, Pipeline, augment, data, huggingface, ops
from jaxprep.errors import InputError, JaxprepError
from jaxprep.looking.panels import BORDER, Picture
from jaxprep.looking.show import kept_box

PRESET = "timm/resnet50.a1_in1k"
SIDE = 24


def preprocessor() -> jaxprep.ImageClassifierPreprocessor:
    return jaxprep.ImageClassifierPreprocessor.from_preset(PRESET, image_size=SIDE)


def without_caption(picture: Picture) -> np.ndarray:
    return np.asarray(picture.image)[: -BORDER - 17]


def right_panel(picture: Picture, size: tuple[int, int]) -> np.ndarray:
    """What the model sees, its pixels taken out of the squares they are drawn as."""
    factor = max(1, round(448 / size[0]))
    height, width = size[0] * factor, size[1] * factor
    panel = np.asarray(picture.image)[:, -BORDER - width : -BORDER]
    bottom = panel.shape[0] - 2 * BORDER - 17
    top = BORDER + (bottom - BORDER - height) // 2
    return panel[top : top + height][factor // 2 :: factor, factor // 2 :: factor]


def test_names_configs_converters_preprocessors_and_pipelines_draw_the_same() -> None:
    photo = data.photo("chelsea")
    pre = preprocessor()
    drawn = [
        jaxprep.show(PRESET, photo, image_size=SIDE),
        jaxprep.show(pre, photo),
        jaxprep.show(pre.image_converter, photo),
        jaxprep.show(pre.config, photo),
        jaxprep.show(pre.pipeline, photo),
    ]
    for other in drawn[1:]:
        np.testing.assert_array_equal(without_caption(other), without_caption(drawn[0]))


def test_paths_arrays_pil_images_and_videos_of_a_photo_draw_the_same() -> None:
    path = data.photo_path("chelsea")
    pixels = data.photo("chelsea")
    first = without_caption(jaxprep.show(preprocessor(), path))
    video = np.stack([pixels, 255 - pixels])
    for photo in (str(path), pixels, Image.fromarray(pixels), video):
        again = without_caption(jaxprep.show(preprocessor(), photo))
        np.testing.assert_array_equal(again, first)


def test_the_right_panel_holds_the_pixels_that_pillow_computes() -> None:
    pixels = data.photo("chelsea")  # 300 x 451
    picture = jaxprep.show(preprocessor(), pixels)
    # `crop_pct` 0.95 of `timm/resnet50.a1_in1k`: 24 / 0.95 = 25
    wide = Image.fromarray(pixels).resize((37, 25), Image.Resampling.BICUBIC)
    plain = np.asarray(wide.crop((6, 0, 30, 24)))
    np.testing.assert_array_equal(right_panel(picture, (SIDE, SIDE)), plain)


PROCESSORS = {
    "patches": huggingface.Qwen2VLImageProcessor(min_pixels=28 * 28, max_pixels=28 * 28 * 12),
    "tiles": huggingface.LlavaNextImageProcessor(
        size={"shortest_edge": 12}, crop_size=12, image_grid_pinpoints=[[12, 24], [24, 12]]
    ),
    "channels first": huggingface.ViTImageProcessor(size={"height": 12, "width": 20}),
    "frames": huggingface.VideoMAEVideoProcessor(size=12, crop_size=12),
}


@pytest.mark.parametrize("processor", PROCESSORS.values(), ids=PROCESSORS.keys())
def test_patches_and_tiles_are_put_together(processor: huggingface.BaseImageProcessor) -> None:
    photo = data.photo("coffee")
    pipeline = processor.pipeline
    kept = [step for step in pipeline.steps if isinstance(step, ops.Geometry | ops.ToRGB)]
    levels = np.asarray(Pipeline(tuple(kept))(Batch(image=photo)).image)
    found = right_panel(jaxprep.show(processor, photo), levels.shape[:2])
    np.testing.assert_array_equal(found, levels)


def test_a_picture_is_displayed_and_saved_with_the_same_pixels(tmp_path: Path) -> None:
    picture = jaxprep.show(preprocessor(), noise(30, 40, 3))
    picture.save(tmp_path / "picture.png")
    shown = np.asarray(Image.open(io.BytesIO(picture._repr_png_())))
    np.testing.assert_array_equal(shown, np.asarray(picture.image))
    np.testing.assert_array_equal(np.asarray(Image.open(tmp_path / "picture.png")), shown)
    for name, words in (("a.jpg", "PNG"), ("nowhere/a.png", "folder that exists")):
        with pytest.raises(InputError, match=words):
            picture.save(tmp_path / name)
    assert [path.name for path in tmp_path.iterdir()] == ["picture.png"]


def test_the_region_of_an_image_that_is_turned_is_all_of_it() -> None:
    turned = Pipeline((ops.AlignLongAxis((4, 3)), ops.Resize((8, 6))))
    np.testing.assert_allclose(kept_box(turned, (30, 40)), (0, 0, 40, 30), atol=1e-9)


@pytest.mark.parametrize("photo", ["no file.jpg", np.zeros((4, 4)), "text", None, [["a"]]])
def test_what_is_no_photo_is_one_error(photo: object) -> None:
    with pytest.raises(JaxprepError, match="Expected"):
        jaxprep.show(preprocessor(), photo)


def test_a_pipeline_with_random_steps_is_drawn_as_a_grid() -> None:
    photo = noise(8, 16, 3)
    picture = jaxprep.show(Pipeline((augment.RandomFlip(),)), photo, draws=2)
    # one row of two cells with borders of 4, enlarged 28 times
    grid = without_caption(picture)[BORDER:-BORDER, BORDER:-BORDER][::28, ::28]
    cells = grid[4:-4].reshape(8, 44, 3)[:, 4:40].reshape(8, 36, 3)
    for cell in (cells[:, :16], cells[:, 20:]):
        assert any(np.array_equal(cell, side) for side in (photo, photo[:, ::-1]))


# describe


@pytest.mark.parametrize("size", [(480, 640), (31, 200)])
def test_the_sizes_that_are_told_are_those_of_the_steps(size: tuple[int, int]) -> None:
    pipeline = Pipeline(
        (
            ops.Resize(shortest_edge=20),
            ops.AlignLongAxis((40, 30)),
            ops.PadToSquare(),
            ops.CenterCrop(18),
            ops.Rescale(),
        )
    )
    image = np.zeros((*size, 3), np.uint8)
    described = pipeline.describe(size)
    for step, told in zip(pipeline.steps, described.steps, strict=True):
        before = image.shape[:2]
        image = np.asarray(step(Batch(image=image)).image)
        if told.before is None:
            assert image.shape[:2] == before
        else:
            assert (told.before, told.after) == (before, image.shape[:2])
    assert described.result == image.shape[:2]
    assert described.to_json()["steps"][0]["after"] == list(described.steps[0].after or ())


def test_converters_preprocessors_and_processors_describe_their_pipeline(
    capsys: pytest.CaptureFixture[str],
) -> None:
    from jaxprep.cli import main

    pre = preprocessor()
    for one in (pre, pre.image_converter, huggingface.ViTImageProcessor()):
        assert one.describe((30, 40)) == one.pipeline.describe((30, 40))
    assert main(["inspect", PRESET, "--override", f"image_size={SIDE}", "--size", "30x40"]) == 0
    assert str(pre.describe((30, 40))) in capsys.readouterr().out
    with pytest.raises(InputError):
        pre.describe((0, 40))


@pytest.mark.parametrize("size", [(300, 451), (300, 900), (448, 640), (90, 90)])
def test_a_canvas_smaller_than_the_image_is_told_to_hold_a_part_of_it(
    size: tuple[int, int],
) -> None:
    described = preprocessor().describe(size)
    assert described.canvas is not None
    fits = all(side <= canvas for side, canvas in zip(size, described.canvas))
    assert ("only the part that is read" in str(described)) is not fits


def test_options_of_another_type_are_one_error(tmp_path: Path) -> None:
    pipeline, photo = Pipeline((augment.RandomFlip(),)), noise(8, 9, 3)
    options: list[dict[str, Any]] = [
        {"draws": "x"},
        {"draws": 1.5},
        {"seed": "x"},
        {"seed": 2**70},
        {"title": 3},
    ]
    for option in options:
        (name,) = option
        with pytest.raises(InputError, match=f"at `{name}`"):
            jaxprep.show(pipeline, photo, **option)
    for path in (None, io.BytesIO()):
        with pytest.raises(InputError, match=r"name of a PNG file, got `\w+` - at `path`"):
            Picture(Image.new("RGB", (4, 2))).save(path)  # pyright: ignore[reportArgumentType]
