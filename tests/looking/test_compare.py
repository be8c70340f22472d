"""`jaxprep.compare`: the settings that differ, and none besides; numbers and a picture."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import jaxprep
from jaxprep import Pipeline, augment, data, huggingface, ops
from jaxprep.cli import main
from jaxprep.errors import InputError, JaxprepError
from jaxprep.looking.panels import FRAME, SECOND_FRAME
from jaxprep.looking.settings import SETTINGS, settings_of

SIDE = 24
BASE: dict[str, Any] = {
    "resize": ops.Resize((30, 40), method="bicubic", reference="pillow"),
    "crop": ops.CenterCrop(SIDE),
    "flip": ops.Flip(horizontal=False),
    "channels": ops.Cast("uint8"),
    "scale": ops.Rescale(),
    "normalize": ops.Normalize((0.4, 0.5, 0.6), (0.2, 0.3, 0.4)),
    "layout": ops.ChannelsFirst(),
}


def pipeline(**changes: Any) -> Pipeline:
    steps = {**BASE, **changes}
    return Pipeline(tuple(step for step in steps.values() if step is not None))


def resize(size: Any = (30, 40), **changes: Any) -> dict[str, Any]:
    return {"resize": ops.Resize(size, **{"method": "bicubic", "reference": "pillow", **changes})}


OTHERS: dict[str, tuple[dict[str, Any], set[str]]] = {
    "nothing": ({}, set()),
    "method": (resize(method="bilinear"), {"method"}),
    "antialias": (resize(antialias=False, reference="torch"), {"antialias", "reference"}),
    "resize": (resize(None, shortest_edge=32), {"resize", "size"}),
    "crop": ({"crop": ops.Crop(0, 0, SIDE, SIDE)}, {"crop", "order"}),
    "flip": ({"flip": ops.Flip()}, {"crop", "flip"}),
    "channels": ({"channels": ops.ReverseChannels()}, {"channels"}),
    "layout": ({"layout": None}, {"layout"}),
    "mean": ({"normalize": ops.Normalize((0.5, 0.5, 0.5), (0.2, 0.3, 0.4))}, {"mean", "range"}),
    "std": ({"normalize": ops.Normalize((0.4, 0.5, 0.6), (0.2, 0.3, 0.5))}, {"std"}),
    "levels": ({"scale": None, "normalize": None}, {"mean", "std", "range", "dtype"}),
}


@pytest.mark.parametrize("name", OTHERS)
def test_the_settings_that_differ_are_told_and_no_others(name: str) -> None:
    changes, expected = OTHERS[name]
    first, second = (settings_of(one, (300, 451)) for one in (pipeline(), pipeline(**changes)))
    assert {setting for setting in SETTINGS if first[setting] != second[setting]} == expected
    assert set(SETTINGS) == set(first)


def test_numbers_are_those_of_pillow() -> None:
    photo = data.photo("chelsea")
    bilinear = Pipeline((ops.Resize((30, 40), reference="pillow"),))
    bicubic = Pipeline((ops.Resize((30, 40), method="bicubic", reference="pillow"), ops.Rescale()))
    found = jaxprep.compare(bilinear, bicubic, photo)
    first, second = (
        np.asarray(Image.fromarray(photo).resize((40, 30), method)).astype(int)
        for method in (Image.Resampling.BILINEAR, Image.Resampling.BICUBIC)
    )
    assert found.max_difference == np.abs(first - second).max()
    assert found.mean_difference == pytest.approx(np.abs(first - second).mean())
    assert found.seen == (1, 1)
    assert [one.setting for one in found.differences] == ["method", "range", "dtype"]


def test_the_share_that_is_seen_is_that_of_the_crop() -> None:
    photo = data.photo("chelsea")  # 300 x 451
    half, more = Pipeline((ops.Crop(0, 0, 150, 451),)), Pipeline((ops.CenterCrop((400, 451)),))
    found = jaxprep.compare(half, more, photo)
    assert found.seen == (0.5, 1.0)
    assert (found.max_difference, found.mean_difference) == (None, None)
    assert found.output_sizes == ((150, 451), (400, 451))


def test_mean_and_std_are_those_of_the_papers_whatever_the_library_writes() -> None:
    """timm divides by 255 and normalises; KerasHub multiplies and adds; Hugging Face does both at
    once.
    """
    keras = ops.Rescale(
        tuple(1 / 255 / std for std in (0.229, 0.224, 0.225)),
        tuple(-m / s for m, s in zip((0.485, 0.456, 0.406), (0.229, 0.224, 0.225), strict=True)),
    )
    timm = [ops.Rescale(), ops.Normalize((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))]
    processor = huggingface.ViTImageProcessor(
        size={"height": SIDE, "width": SIDE},
        image_mean=[0.485, 0.456, 0.406],
        image_std=[0.229, 0.224, 0.225],
    )
    pipelines = (Pipeline(timm), Pipeline((keras,)), processor.pipeline)
    found = [settings_of(pipeline, (30, 40)) for pipeline in pipelines]
    for name in ("mean", "std", "range"):
        assert found[0][name] == found[1][name] == found[2][name]
    assert found[0]["mean"] == [0.485, 0.456, 0.406]


def test_the_command_prints_and_draws_what_the_function_returns(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    names = ["timm/resnet50.a1_in1k", "timm/resnet50.tv_in1k"]
    path = data.photo_path("chelsea")
    expected = jaxprep.compare(*names, path)
    output = tmp_path / "picture.png"
    assert main(["compare", *names, str(path), "--output", str(output)]) == 0
    assert capsys.readouterr().out == f"{expected}\n"
    drawn = np.asarray(Image.open(output))
    np.testing.assert_array_equal(drawn, np.asarray(expected.picture.image))
    for color in (FRAME, SECOND_FRAME):
        assert (drawn == color).all(-1).any()
    assert main(["compare", *names, str(path), "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == json.loads(json.dumps(expected.to_json()))
    assert main(["compare", *names, str(path), "--output", str(tmp_path / "a.jpg")]) == 1
    assert "PNG" in capsys.readouterr().err


def test_what_cannot_be_compared_is_one_error() -> None:
    photo = data.photo("chelsea")
    with pytest.raises(InputError, match="random"):
        jaxprep.compare(Pipeline(), Pipeline((augment.RandomFlip(),)), photo)
    with pytest.raises(JaxprepError, match="Expected"):
        jaxprep.compare(Pipeline(), "no preset", photo)


@pytest.mark.parametrize("titles", ["ab", ("a", "b", "c"), ("a", 1)])
def test_titles_are_two_texts(titles: Any) -> None:
    with pytest.raises(InputError, match=r"Expected two texts, got .* - at `titles`"):
        jaxprep.compare(Pipeline(), Pipeline(), np.zeros((8, 9, 3), np.uint8), titles=titles)
