"""timm: the evaluation transform of every pretrained model, against timm's own results on
photographs.
"""

from __future__ import annotations

import collections
import dataclasses
import functools
import json

import numpy as np
import pytest
from goldens import store
from helpers import parity

import jaxprep
from jaxprep.formats import Timm
from jaxprep.resources import load_json

GOLDEN = store.Golden("timm")
TABLE = load_json("timm.json")
FIELDS = tuple(next(iter(TABLE["settings"].values())))
MOST_USED = 3  # settings that are run as a whole, three photographs each


def config(case: dict) -> Timm:
    """The config of a golden case, as timm states it."""
    return Timm(
        **dict(zip(FIELDS, case["tuple"], strict=True)), use_test_size=case["use_test_size"]
    )


def traits(case: dict) -> set:
    """What may go wrong by itself: a rule, a filter, a share, a normalisation. (Sizes: all, in a
    test below.)
    """
    setting = config(case)
    share = (
        setting.test_crop_pct
        if setting.use_test_size and setting.test_crop_pct
        else setting.crop_pct
    )
    rules = {
        (setting.crop_mode, setting.interpolation),
        (setting.crop_mode, case["input"]["photo"]),
    }
    return {share, (setting.mean, setting.std), setting.use_test_size, *rules}


@functools.cache
def preset(tag: str) -> Timm:
    return jaxprep.presets.load(f"timm/{tag}")


@functools.cache
def setting(name: str) -> Timm:
    return Timm(**TABLE["settings"][name])


@functools.cache
def cases() -> list[dict]:
    return parity.covering(GOLDEN.cases, traits)


def name(case: dict) -> tuple:
    return case["tag"], case["use_test_size"], case["input"]["photo"]


@pytest.mark.parametrize(
    ("names", "fields"),
    [
        ({"img_size": 160}, {"image_size": 160}),
        ({"img_size": (160, 192)}, {"image_size": (160, 192)}),
        (
            {"in_chans": 1, "mean": (0.5,), "std": (0.5,)},
            {"input_size": (1, 224, 224), "mean": (0.5,), "std": (0.5,)},
        ),
        ({"img_size": 160, "image_size": 96}, {"image_size": 96}),
        (
            {"in_chans": 1, "img_size": 96, "mean": (0.5,), "std": (0.5,)},
            {"input_size": (1, 96, 96), "mean": (0.5,), "std": (0.5,)},
        ),
        ({"in_chans": 1, "input_size": (3, 96, 96)}, {"input_size": (3, 96, 96)}),
    ],
)
def test_the_names_of_timms_model_arguments_are_taken(names, fields):
    assert Timm().overridden(names) == Timm().overridden(fields)


def test_the_goldens_hold_every_setting_of_the_table():
    settings = {json.dumps(list(setting.values())) for setting in TABLE["settings"].values()}
    assert len(settings) == len(TABLE["settings"]) > 200
    assert {json.dumps(case["tuple"]) for case in GOLDEN.cases} == settings


def test_the_plan_of_every_setting_has_timms_size_on_every_photo():
    for case in GOLDEN.cases:
        size = parity.picture(case).size[::-1]
        assert (
            list(parity.halves(config(case).pipeline)[0].output_size(size))
            == case["uint8"]["shape"][:2]
        )


def test_every_rule_share_and_filter_crops_to_the_bytes_of_timm():
    """Pillow's arithmetic and timm's rule for sizes: no pixel differs."""

    def is_exact(case: dict) -> bool:
        return parity.same_bytes(parity.uint8(config(case).pipeline, case), case["uint8"])

    assert not parity.failing(is_exact, cases(), name)


def test_an_exact_affine_gives_the_bits_of_timm():
    def is_exact(case: dict) -> bool:
        result = parity.affine(config(case).pipeline, case, exact=True)
        return parity.same_bytes(result, case["output"])

    assert not parity.failing(is_exact, cases(), name)


def test_a_default_affine_is_within_a_few_ulp_of_timm():
    def error(case: dict) -> float:
        result = parity.affine(config(case).pipeline, case)
        return parity.affine_error(GOLDEN, result, case["output"])

    worst = max(parity.map_concurrently(error, cases()))
    print(f"\ntimm: the default affine is within {worst:.2g} of max(1, |x|)")
    assert worst <= parity.AFFINE


def most_used() -> list[dict]:
    """The cases of the settings that most tags have; all cases, where everything is asked for."""
    if parity.EVERYTHING:
        return GOLDEN.cases
    uses = collections.Counter(TABLE["presets"].values())
    top = [list(TABLE["settings"][name].values()) for name, _ in uses.most_common(MOST_USED)]
    return [case for case in GOLDEN.cases if case["tuple"] in top and not case["use_test_size"]]


def test_the_most_used_settings_as_a_whole_are_exact_on_every_photo():
    """One program from photograph to float32: the halves above, fused."""

    def is_exact(case: dict) -> bool:
        preprocessor = jaxprep.ImageClassifierPreprocessor(config(case).overridden({"exact": True}))
        return parity.same_bytes(np.asarray(preprocessor(parity.picture(case))), case["output"])

    assert len(most_used()) >= 3 * MOST_USED
    assert not parity.failing(is_exact, most_used(), name)


def test_the_most_used_settings_as_a_whole_are_near_by_default():
    def is_near(case: dict) -> bool:
        result = np.asarray(jaxprep.ImageClassifierPreprocessor(config(case))(parity.array(case)))
        return parity.affine_error(GOLDEN, result, case["output"]) <= parity.AFFINE

    assert not parity.failing(is_near, most_used() if parity.EVERYTHING else most_used()[::4], name)


def test_every_tag_refers_to_its_setting():
    tags = [name for name in jaxprep.presets.names() if name.startswith("timm/")]
    assert len(TABLE["presets"]) == len(tags) > 1800
    for tag, name in TABLE["presets"].items():
        found, expected = fields_of(preset(tag)), fields_of(setting(name))
        assert found == {**expected, "architecture": tag.partition(".")[0]}, tag


def fields_of(config: Timm) -> dict[str, object]:
    return {field.name: getattr(config, field.name) for field in dataclasses.fields(config)}


def test_the_tags_of_the_goldens_have_the_settings_that_timm_gave_them():
    # a tag has a case for each photograph
    by_tag = {(case["tag"], case["use_test_size"]): case for case in GOLDEN.cases}
    assert len(by_tag) == len(GOLDEN.cases) / 3
    for case in by_tag.values():
        loaded = jaxprep.presets.load(
            f"timm/{case['tag']}", use_test_size=case["use_test_size"], architecture=""
        )
        assert loaded == config(case), case["tag"]


def test_an_architecture_is_its_default_tag():
    defaults = {old: new for old, new in TABLE["aliases"].items() if new.startswith(f"{old}.")}
    assert len(defaults) > 1000
    for architecture, tag in defaults.items():
        assert jaxprep.presets.load(f"timm/{architecture}") == preset(tag)


def test_a_deprecated_name_is_the_new_one():
    deprecated = {old: new for old, new in TABLE["aliases"].items() if f"{old}." not in new}
    assert len(deprecated) > 200
    for old, new in deprecated.items():
        assert jaxprep.presets.load(f"timm/{old}") == jaxprep.presets.load(f"timm/{new}"), old


def test_a_config_file_of_the_hub_is_read_in_both_forms(tmp_path):
    fields = {
        "input_size": [3, 240, 240],
        "crop_pct": 0.95,
        "interpolation": "bilinear",
        "test_input_size": None,
    }
    new = {"architecture": "resnet50", "num_classes": 10, "pretrained_cfg": {"tag": "a1", **fields}}
    old = {"architecture": "resnet50", "num_classes": 10, **fields}
    expected = Timm(
        input_size=(3, 240, 240), crop_pct=0.95, interpolation="bilinear", architecture="resnet50"
    )
    for content in (new, old):
        (tmp_path / "config.json").write_text(json.dumps(content))
        assert jaxprep.presets.load(tmp_path) == expected


def test_what_timm_tests_for_truth_is_its_default_when_null_or_zero(tmp_path):
    (tmp_path / "config.json").write_text(
        '{"architecture": "a", "pretrained_cfg": {"crop_pct": 0, "mean": null}}'
    )
    assert jaxprep.presets.load(tmp_path) == Timm(architecture="a")
