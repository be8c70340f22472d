"""torchvision: the transforms that its weights carry, against torchvision's own results on
photographs.
"""

from __future__ import annotations

import functools

import numpy as np
import pytest
from goldens import store
from helpers import parity

import jaxprep
from jaxprep.errors import ConfigError
from jaxprep.formats import Torchvision
from jaxprep.resources import load_json

GOLDEN = store.Golden("torchvision_presets")
TABLE = load_json("torchvision.json")
TIES = 2e-4
"""The share of uint8 values of a tensor's resize that may be a level off: torch's sums in float32,
in another order, fall to the other side of a half. Measured over all 87 cases: none of 22 272
samples; 48 % of the images are equal."""
READ = ("ImageClassification", "SemanticSegmentation")


def config(case: dict) -> Torchvision:
    """The config of the weights of a golden case, with the arithmetic of its path."""
    reference = "pillow" if case["path"] == "pil" else "torch"
    return jaxprep.presets.load(f"torchvision/{case['weights']}", reference=reference)


def traits(case: dict) -> set:
    """A filter, a rule on each photograph, a normalisation, a margin that is odd. (Sizes: all, in a
    test below.)
    """
    setting = case["setting"]
    margin = (setting.get("crop_size") or 0) - (setting["resize_size"] or 0)
    kind = case["preset"], setting["interpolation"]
    return {margin % 2, (*kind, case["input"]["photo"]), str(setting["std"])}


@functools.cache
def cases(path: str) -> list[dict]:
    return parity.covering(
        (c for c in GOLDEN.cases if c["path"] == path and c["preset"] in READ), traits
    )


def name(case: dict) -> tuple:
    return case["weights"], case["input"]["photo"]


def test_a_setting_is_that_of_its_weights():
    for case in GOLDEN.cases:
        if case["preset"] in READ:
            loaded = jaxprep.presets.load(f"torchvision/{case['weights']}")
            assert loaded.preset == case["preset"]
            for field, value in case["setting"].items():
                expected = tuple(value) if isinstance(value, list) else value
                assert getattr(loaded, field) == expected, case


def test_every_plan_has_the_size_of_torchvision():
    for case in GOLDEN.cases:
        if case["preset"] in READ:
            size = parity.picture(case).size[::-1]
            assert list(config(case).pipeline.output_size(size)) == case["uint8"]["shape"][:2], (
                name(case)
            )


def test_a_photograph_becomes_the_bytes_of_torchvision():
    def is_exact(case: dict) -> bool:
        return parity.same_bytes(parity.uint8(config(case).pipeline, case), case["uint8"])

    assert not parity.failing(is_exact, cases("pil"), name)


def test_an_exact_affine_gives_the_bits_of_torchvision():
    def is_exact(case: dict) -> bool:
        result = parity.affine(config(case).pipeline, case, exact=True)
        return parity.same_bytes(result, case["output"])

    assert not parity.failing(is_exact, cases("pil"), name)


def test_a_default_affine_is_within_a_few_ulp_of_torchvision():
    def error(case: dict) -> float:
        result = parity.affine(config(case).pipeline, case)
        return parity.affine_error(GOLDEN, result, case["output"])

    worst = max(parity.map_concurrently(error, cases("pil")))
    print(f"\ntorchvision: the default affine is within {worst:.2g} of max(1, |x|)")
    assert worst <= parity.AFFINE


def test_a_preset_as_a_whole_is_exact_on_a_picture():
    chosen = cases("pil") if parity.EVERYTHING else cases("pil")[:3]
    for case in chosen:
        preprocessor = jaxprep.ImageClassifierPreprocessor(config(case).overridden({"exact": True}))
        assert parity.same_bytes(np.asarray(preprocessor(parity.picture(case))), case["output"]), (
            name(case)
        )


def test_a_tensor_is_resized_as_torch_does_but_for_ties():
    """One level is 1 / (255 std); within it, but for a share of ties, the affine's rounding is all
    that differs.
    """

    def levels(case: dict) -> np.ndarray:
        setting = config(case).overridden({"exact": True})
        image = parity.uint8(setting.pipeline, case)
        result = parity.run(parity.halves(setting.pipeline)[1], image)
        ours, theirs = GOLDEN.pair(case["output"], result)
        channel = GOLDEN.positions(case["output"]) % 3
        return np.abs(ours - theirs) * 255 * np.asarray(setting.std)[channel]

    off = np.concatenate(parity.map_concurrently(levels, cases("tensor")))
    same = np.mean(
        [
            parity.same_bytes(parity.uint8(config(c).pipeline, c), c["uint8"])
            for c in cases("tensor")
        ]
    )  # whole images without any tie
    share = np.mean(off > 0.5)
    print(
        f"\ntorchvision tensors: {share:.2g} of {off.size} samples a level off, "
        f"{same:.0%} of the images equal"
    )
    assert off.max() <= 1 + 1e-3
    assert share <= TIES
    assert off[off <= 0.5].max(initial=0) <= 1e-3


def test_every_weight_loads_or_says_why_not():
    members = [name for name in jaxprep.presets.names() if name.startswith("torchvision/")]
    assert len(TABLE["presets"]) == len(members) > 160
    for weights, name in TABLE["presets"].items():
        kind = TABLE["settings"][name]["preset"]
        if kind in READ:
            assert jaxprep.presets.load(f"torchvision/{weights}").preset == kind
        else:
            with pytest.raises(ConfigError, match=kind):
                jaxprep.presets.load(f"torchvision/{weights}")


def test_a_builder_is_the_default_of_its_weights():
    loaded = jaxprep.presets.load("torchvision/resnet50")
    assert loaded == jaxprep.presets.load("torchvision/ResNet50_Weights.DEFAULT")
    assert loaded == jaxprep.presets.load("torchvision/ResNet50_Weights.IMAGENET1K_V2")


def test_a_segmentation_preset_keeps_the_aspect_ratio():
    preprocessor = jaxprep.ImageClassifierPreprocessor.from_preset(
        "torchvision/FCN_ResNet50_Weights.DEFAULT"
    )
    assert preprocessor.image_size is None
    assert preprocessor.pipeline.output_size((397, 599)) == (520, 784)


@pytest.mark.parametrize("size", [112, (112, 120), None])
def test_an_image_size_of_a_preset_that_only_resizes_names_the_field_to_set(size):
    for name in ("fcn_resnet50", "lraspp_mobilenet_v3_large"):
        with pytest.raises(ConfigError, match="set `resize_size`"):
            jaxprep.presets.load(f"torchvision/{name}").with_image_size(size)
    with pytest.raises(ConfigError, match="set `resize_size`"):
        jaxprep.ImageClassifierPreprocessor.from_preset("torchvision/fcn_resnet50", image_size=112)
