"""OpenCLIP: its evaluation transform on PIL images of every mode, against OpenCLIP's own
results.
"""

from __future__ import annotations

import functools
import json

import numpy as np
import pytest
from goldens import inputs, store
from helpers import parity
from PIL import Image

import jaxprep
from jaxprep.formats import OpenClip
from jaxprep.resources import load_json

GOLDEN = store.Golden("open_clip")
TABLE = load_json("open_clip.json")


def config(case: dict) -> OpenClip:
    """The config of a golden case, as OpenCLIP states it."""
    return OpenClip(**case["setting"], exact=True)


def traits(case: dict) -> set:
    setting = config(case)
    mode, photo = case["input"].get("mode", "RGB"), case["input"]["photo"]
    rule = setting.resize_mode, setting.image_size[0] == setting.image_size[1]
    return {(mode, rule), setting.fill_color, (photo, rule[0]), setting.mean, setting.interpolation}


@functools.cache
def cases() -> list[dict]:
    return parity.covering(GOLDEN.cases, traits, photos=1)


def name(case: dict) -> tuple:
    return json.dumps(case["setting"]), json.dumps(case["input"])


def test_a_picture_of_any_mode_gives_the_bits_of_open_clip():
    """Resized and cropped in the mode it came in, then made RGB, then normalised; through the
    facade.
    """

    def is_exact(case: dict) -> bool:
        preprocessor = jaxprep.ImageClassifierPreprocessor(config(case))
        return parity.same_bytes(np.asarray(preprocessor(parity.picture(case))), case["output"])

    assert not parity.failing(is_exact, cases(), name)
    assert {case["input"].get("mode", "RGB") for case in cases()} == set(inputs.MODES)


def test_the_default_affine_is_within_a_few_ulp_of_open_clip():
    plain = [case for case in cases() if "mode" not in case["input"]][:4]
    for case in plain:
        preprocessor = jaxprep.ImageClassifierPreprocessor(
            config(case).overridden({"exact": False})
        )
        result = np.asarray(preprocessor(parity.picture(case)))
        assert parity.affine_error(GOLDEN, result, case["output"]) <= parity.AFFINE, name(case)


def test_every_plan_has_the_size_of_open_clip():
    for case in GOLDEN.cases:
        size = parity.picture(case).size[::-1]
        assert list(config(case).pipeline.output_size(size)) == case["output"]["shape"][:2]


def test_every_tag_loads_as_its_setting():
    tags = [name for name in jaxprep.presets.names() if name.startswith("open_clip/")]
    assert len(TABLE["presets"]) == len(tags) > 190
    for tag, name in TABLE["presets"].items():
        assert jaxprep.presets.load(f"open_clip/{tag}") == OpenClip(**TABLE["settings"][name])


def test_the_goldens_hold_every_setting_of_the_table():
    def key(setting: OpenClip) -> OpenClip:
        return setting.overridden({"exact": True})

    tables = {key(OpenClip(**row)) for row in TABLE["settings"].values()}
    assert tables <= {config(case) for case in GOLDEN.cases if case["pretrained"]}


@pytest.mark.parametrize(
    ("mode", "array_mode"),
    [
        pytest.param("RGB", "RGB"),
        pytest.param("RGBA", "RGBA", id="RGBA: colours are premultiplied for the resize"),
    ],
)
def test_an_array_is_treated_as_the_picture_of_its_channels(mode, array_mode):
    case = next(
        c
        for c in GOLDEN.cases
        if c["input"].get("mode", "RGB") == mode and c["input"]["photo"] == "coffee"
    )
    array = np.asarray(parity.picture(case))
    assert array.shape[-1] == len(array_mode)
    result = np.asarray(jaxprep.ImageClassifierPreprocessor(config(case))(array))
    assert parity.same_bytes(result, case["output"])


def test_a_picture_with_alpha_of_the_size_of_the_model_keeps_its_colours():
    """OpenCLIP resizes nothing then, and drops alpha; what is behind it is seen."""
    part = {"photo": "chelsea", "box": [40, 20, 64, 44], "mode": "RGBA"}
    picture = parity.picture({"input": part})
    setting = OpenClip(size=24, mean=(0, 0, 0), std=(1, 1, 1))
    result = np.asarray(jaxprep.ImageClassifierPreprocessor(setting)(picture))
    np.testing.assert_array_equal(np.round(result * 255), np.asarray(picture)[..., :3])


def test_alpha_changes_no_colour_where_the_nearest_pixels_are_taken():
    picture = parity.picture(
        {"input": {"photo": "chelsea", "box": [40, 20, 72, 52], "mode": "RGBA"}}
    )
    setting = OpenClip(size=24, interpolation="nearest", mean=(0, 0, 0), std=(1, 1, 1))
    result = np.asarray(jaxprep.ImageClassifierPreprocessor(setting)(picture))
    expected = picture.resize((24, 24), Image.Resampling.NEAREST).convert("RGB")
    np.testing.assert_array_equal(np.round(result * 255), np.asarray(expected))


def test_open_clip_config_json_is_read_with_the_size_of_the_model(tmp_path):
    content = {
        "model_cfg": {"embed_dim": 512, "vision_cfg": {"image_size": 240, "layers": 12}},
        "preprocess_cfg": {
            "mean": [0.5, 0.5, 0.5],
            "std": None,
            "interpolation": "bilinear",
            "unknown": 1,
        },
    }
    (tmp_path / "open_clip_config.json").write_text(json.dumps(content))
    assert jaxprep.presets.load(tmp_path) == OpenClip(
        size=240, mean=(0.5, 0.5, 0.5), interpolation="bilinear"
    )
