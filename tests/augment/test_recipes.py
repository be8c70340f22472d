"""Training recipes: their numbers, the pipelines that presets make of them, and what these keep."""

from __future__ import annotations

import dataclasses
import json
import math
import subprocess
import sys
from pathlib import Path
from typing import Any

import chex
import jax
import numpy as np
import pytest
from helpers.images import noise
from jax.sharding import AxisType, NamedSharding, PartitionSpec

import jaxprep
from jaxprep import Batch, Pipeline, codec, ops
from jaxprep.augment.policies import Policy
from jaxprep.augment.recipes import RECIPES, Recipe
from jaxprep.cli import main
from jaxprep.errors import ConfigError, InputError, PresetNotFoundError
from jaxprep.training import draw_grid

GOLDENS = json.loads((Path(__file__).parents[1] / "goldens" / "recipes.json").read_text())
KEY = jax.random.key(5)
PRESET = "timm/resnet50.a1_in1k"


@pytest.mark.parametrize("name", RECIPES)
def test_every_number_of_a_recipe_has_a_source(name):
    recipe = RECIPES[name]
    sourced = set()
    for fields, link in recipe.sources:
        sourced |= set(fields.split(", "))
        assert link.startswith("https://")
    own = set()
    for field in dataclasses.fields(Recipe):
        if field.default is not dataclasses.MISSING and field.default != getattr(
            recipe, field.name
        ):
            own.add(field.name)
    assert own <= sourced
    assert sourced <= {field.name for field in dataclasses.fields(Recipe)}


@pytest.mark.parametrize("mixing", [True, False])
@pytest.mark.parametrize("name", jaxprep.recipes())
def test_a_training_pipeline_is_saved_as_JSON(name, mixing):
    pipeline = jaxprep.training_pipeline(PRESET, name, mixing=mixing)
    assert Pipeline.from_json(json.loads(json.dumps(pipeline.to_json()))) == pipeline
    if not mixing:
        assert pipeline.mixing is None
    recipe = RECIPES[name]
    assert codec.from_json(Recipe, json.loads(json.dumps(codec.to_json(recipe)))) == recipe


def test_a_training_pipeline_is_read_where_nothing_of_it_was_imported(tmp_path):
    pipeline = jaxprep.training_pipeline(PRESET, "facebookresearch/deit")
    file = tmp_path / "pipeline.json"
    file.write_text(json.dumps(pipeline.to_json()))
    lines = (
        "import json, sys, jaxprep",
        "pipeline = jaxprep.Pipeline.from_json(json.load(open(sys.argv[1])))",
        "print(json.dumps(pipeline.to_json()))",
    )
    done = subprocess.run(
        [sys.executable, "-c", "\n".join(lines), str(file)],
        capture_output=True,
        text=True,
        check=True,
    )
    assert json.loads(done.stdout) == json.loads(file.read_text())


def test_a_preprocessor_is_a_preset():
    preprocessor = jaxprep.ImageClassifierPreprocessor.from_preset(PRESET)
    want = jaxprep.training_pipeline(PRESET, "timm/rsb-a2")
    assert jaxprep.training_pipeline(preprocessor, "timm/rsb-a2") == want
    assert jaxprep.training_pipeline(preprocessor.pipeline, "timm/rsb-a2") == want


def test_an_unknown_recipe_is_refused_with_the_nearest_name():
    with pytest.raises(PresetNotFoundError, match="Nearest: timm/rsb-a2"):
        jaxprep.training_pipeline(PRESET, recipe="rsb-a2")


def test_a_misspelt_argument_is_refused_with_the_nearest_name():
    with pytest.raises(ConfigError, match=r"\$\.num_class\b.*Nearest argument .*: num_classes\."):
        jaxprep.training_pipeline(PRESET, "timm/rsb-a2", num_class=10)
    with pytest.raises(ConfigError, match=r"\$\.crop_pc\b.*'test_input_size', .*\]\.$"):
        jaxprep.training_pipeline(PRESET, "timm/rsb-a2", crop_pc=1)


def test_a_preset_without_one_size_wants_an_image_size():
    name = "torchvision/FCN_ResNet50_Weights.COCO_WITH_VOC_LABELS_V1"
    with pytest.raises(ConfigError, match="image_size="):
        jaxprep.training_pipeline(name, recipe="timm/rsb-a2")
    assert jaxprep.training_pipeline(name, recipe="timm/rsb-a2", image_size=32)


@pytest.mark.usefixtures("quick_compilation_of_a_test")
def test_a_grid_shows_what_the_pipeline_draws_for_each_index():
    pipeline = jaxprep.training_pipeline(PRESET, "torchvision/v1", image_size=12)
    image = noise(20, 26, 3)
    grid = draw_grid(pipeline, image, key=KEY, count=3, columns=2, border=2)
    assert grid.shape == (30, 30, 3)
    batch = Batch(image=np.stack([image] * 3), index=np.arange(3))
    # the levels before they were normalised, from the same draws
    levels = Pipeline(pipeline.steps[:3])(batch, draws=pipeline.draw(KEY, batch)[:3]).image
    np.testing.assert_array_equal(grid[2:14, 16:28], levels[1])
    np.testing.assert_array_equal(grid[16:28, 2:14], levels[2])
    assert (grid[16:28, 16:28] == 255).all()
    with pytest.raises(InputError, match="random steps"):
        draw_grid(Pipeline(), image, key=KEY)


# -- the numbers, as timm and torchvision build their transforms (goldens/write_recipes.py) --------

TIMM_OPERATIONS = {
    "Color": "saturation",
    "TranslateXRel": "translate_x",
    "TranslateYRel": "translate_y",
    "AutoContrast": "autocontrast",
    "SolarizeAdd": "solarize_add",
    "ShearX": "shear_x",
    "ShearY": "shear_y",
}


def assert_randaugment(step: Any, theirs: dict[str, Any]) -> None:
    names = []
    for name in theirs["ops"]:
        plain = name.removesuffix("Increasing")
        names.append(TIMM_OPERATIONS.get(plain, plain.lower()))
    assert [row.name for row in step.rows] == names
    assert theirs["prob"] == [step.operation_probability]
    assert theirs["magnitude"] == [pytest.approx(10 * step.strength)]
    assert theirs["magnitude_std"] == [pytest.approx(10 * step.strength_std)]
    assert not theirs["weighted"] and step.num_ops == theirs["num_layers"]
    assert list(step.fill) == theirs["fill"]
    assert step.method == {2: "bilinear", 3: "bicubic"}[theirs["resample"]]


def assert_erasing(step: Any, theirs: dict[str, Any]) -> None:
    assert step.probability == theirs["p"]
    assert list(step.scale) == theirs["scale"]
    if "ratio" in theirs:  # torchvision's
        assert list(step.ratio) == theirs["ratio"]
        assert (step.mode, step.value) == ("constant", theirs["value"])
        return
    np.testing.assert_allclose(np.log(step.ratio), theirs["log_ratio"], rtol=1e-6)
    assert step.mode == theirs["mode"] and theirs["per_pixel"] and not theirs["rand_color"]
    assert list(step.count) == theirs["count"]


@pytest.mark.parametrize("name", GOLDENS["recipes"])
def test_the_numbers_are_those_of_the_transforms_that_the_libraries_build(name):
    preset = "torchvision/ResNet50_Weights.IMAGENET1K_V1" if "torchvision" in name else PRESET
    pipeline = jaxprep.training_pipeline(preset, name)
    theirs = dict(GOLDENS["recipes"][name]["steps"])
    steps = {type(step).__name__: step for step in pipeline.steps}
    crop = steps.pop("RandomResizedCrop")
    wanted = theirs.pop("RandomResizedCropAndInterpolation", None) or theirs.pop(
        "RandomResizedCrop"
    )
    assert (list(crop.size), list(crop.scale), list(crop.ratio)) == (
        wanted["size"],
        wanted["scale"],
        wanted["ratio"],
    )
    assert crop.method == wanted["interpolation"].lower() and crop.reference == "pillow12"
    assert steps.pop("RandomFlip").horizontal == theirs.pop("RandomHorizontalFlip")["p"]
    if "RandAugment" in theirs:
        assert_randaugment(steps.pop("RandAugment"), theirs.pop("RandAugment"))
    if "TrivialAugmentWide" in theirs:
        policy, wanted = steps.pop("TrivialAugmentWide"), theirs.pop("TrivialAugmentWide")
        assert (policy.bins, policy.method) == (wanted["bins"], wanted["interpolation"].lower())
        assert policy.fill == 0.0 and wanted["fill"] is None
    if "AutoAugment" in theirs:  # 3-Augment; solarize at half of 256, see `_solarize_level_to_arg`
        names = [sub[0][:2] for sub in theirs.pop("AutoAugment")["policy"]]
        assert names == [["Solarize", 1.0], ["Desaturate", 1.0], ["GaussianBlurRand", 1.0]]
        assert steps.pop("ThreeAugment") == jaxprep.augment.ThreeAugment(128.0, (0.1, 2.0))
        jitter, wanted = steps.pop("ColorJitter"), theirs.pop("ColorJitter")
        for field in ("brightness", "contrast", "saturation"):
            np.testing.assert_allclose(jitter._range(field), wanted[field])
        assert jitter.hue == 0.0 and wanted["hue"] is None
    if "RandomErasing" in theirs:
        assert_erasing(steps.pop("RandomErasing"), theirs.pop("RandomErasing"))
    # what is left makes a tensor and normalises it
    assert set(steps) == {"ToRGB", "Rescale", "Normalize"}
    assert set(theirs) <= {"MaybeToTensor", "Normalize"}
    mixing = GOLDENS["recipes"][name].get("mixing")
    if mixing is not None:
        assert dataclasses.asdict(pipeline.mixing) == {
            "num_classes": mixing["num_classes"],
            "mixup": mixing["mixup_alpha"],
            "cutmix": mixing["cutmix_alpha"],
            "probability": mixing["mix_prob"],
            "switch": mixing["switch_prob"],
            "mode": mixing["mode"],
            "scope": "global",
            "smoothing": mixing["label_smoothing"],
        }


# -- what the preset supplies --------------------------------------------------------------------


def test_a_preset_supplies_what_the_model_is_given():
    vit = jaxprep.training_pipeline("timm/vit_base_patch16_224.augreg_in1k", "timm/rsb-a1")
    steps = {type(step).__name__: step for step in vit.steps}
    assert steps["RandomResizedCrop"].method == "bicubic"
    # the mean of 0.5 as a level: `round(255 * 0.5)` of timm
    assert steps["RandAugment"].fill == (128.0, 128.0, 128.0)
    keras = jaxprep.training_pipeline("resnet_50_imagenet", "timm/rsb-a1")
    crop = next(step for step in keras.steps if hasattr(step, "ratio"))
    assert (crop.reference, crop.antialias, crop.size) == ("float", False, (224, 224))
    clip = jaxprep.training_pipeline("open_clip/ViT-B-32/openai", "torchvision/v1")
    names = [type(step).__name__ for step in clip.steps]
    assert names == [
        "Premultiply",
        "RandomResizedCrop",
        "Unpremultiply",
        "ToRGB",
        "RandomFlip",
        "Rescale",
        "Normalize",
    ]
    first = jaxprep.training_pipeline(PRESET, "facebookresearch/deit", data_format="channels_first")
    assert [type(step).__name__ for step in first.steps[-2:]] == ["RandomErasing", "ChannelsFirst"]
    assert jaxprep.training_pipeline(PRESET, "torchvision/v2").steps[1].size == (176, 176)
    assert jaxprep.training_pipeline(PRESET, "timm/rsb-a3", image_size=96).steps[1].size == (96, 96)


def test_a_training_pipeline_is_saved_as_a_preset(tmp_path, capsys):
    pipeline = jaxprep.training_pipeline(PRESET, "timm/rsb-a2", num_classes=10)
    jaxprep.ImageConverter.from_config(pipeline).save_to_preset(tmp_path)
    assert jaxprep.presets.load(tmp_path).pipeline == pipeline
    assert main(["inspect", str(tmp_path)]) == 0
    words = "Mixing  mixup 0.1, cutmix 1, 10 classes; drawn for each batch"
    assert words in capsys.readouterr().out


# -- what the pipelines keep ---------------------------------------------------------------------

SIZES = [(20, 26), (24, 18), (9, 31), (16, 16)]
CANVAS = (24, 32)


def ragged_batch(seed: int) -> Batch:
    return Batch(
        image=noise(4, *CANVAS, 3, seed=seed),
        label=np.array([1, 2, 3, 4], np.int32),
        weight=np.array([1, 1, 0.5, 0], np.float32),
        index=np.arange(4, dtype=np.int32) + 4 * seed,
    )


# ConvNeXt's is DeiT's, and those of rsb A1 to A3 are DeiT's without erasing, but for numbers; the
# steps of torchvision's v1 and of SigLIP are those of torchvision's v2 and of ViT, or fixed
DIFFERENT = [
    "torchvision/v2",
    "facebookresearch/deit",
    "facebookresearch/deit-iii",
    "big_vision/vit",
]
# Only a crop or a resize sees padding among pixels, and only mixing sees padded examples: those of
# DeiT and DeiT III are torchvision's
OF_AN_EPOCH = ["torchvision/v2", "big_vision/vit", "big_vision/siglip"]


def small_pipeline(name: str, **arguments: Any) -> Pipeline:
    """The pipeline of a recipe for small images, whose policy does one operation: others repeat its
    program."""
    pipeline = jaxprep.training_pipeline(PRESET, name, image_size=8, **arguments)
    steps = []
    for step in pipeline.steps:
        steps.append(dataclasses.replace(step, num_ops=1) if hasattr(step, "num_ops") else step)
    return pipeline.replace(steps=tuple(steps))


def without_policy(pipeline: Pipeline) -> Pipeline:
    """Return a pipeline without RandAugment or TrivialAugment, whose programs take long to compile:
    they change images of one size, each by itself."""
    kept = [step for step in pipeline.steps if not isinstance(step, Policy)]
    return pipeline.replace(steps=tuple(kept))


@pytest.mark.usefixtures("quick_compilation_of_a_test")
@pytest.mark.parametrize("name", OF_AN_EPOCH)
def test_an_epoch_of_ragged_batches_is_traced_once_and_padding_reaches_nothing(name):
    pipeline = without_policy(small_pipeline(name, num_classes=6))
    chex.clear_trace_counter()  # which counts by a function's name

    @jax.jit
    @chex.assert_max_traces(1)
    def step(batch, key, plan):
        return pipeline(batch, key=key, plan=plan)

    on_device = jax.device_put(
        [
            (
                ragged_batch(i),
                jax.random.fold_in(KEY, i),
                pipeline.plan(SIZES[i:] + SIZES[:i], CANVAS),
            )
            for i in range(3)
        ]
    )
    with jax.transfer_guard("disallow"):
        results = [step(*args) for args in on_device]
    for result in results:
        assert np.isfinite(result.image).all() and result.image.shape == (4, 8, 8, 3)
    # another image in the padded example changes none of the others
    batch, key, plan = on_device[0]
    image = np.array(batch.image)
    image[3] = 255 - image[3]
    changed = step(batch.replace(image=image), key, plan)
    np.testing.assert_array_equal(changed.image[:3], results[0].image[:3])
    if pipeline.mixing is None:
        np.testing.assert_array_equal(changed.label, batch.label)
        return
    np.testing.assert_array_equal(changed.weight[3], 0)
    np.testing.assert_array_equal(changed.label, results[0].label)
    np.testing.assert_allclose(np.sum(changed.label, 1), 1, rtol=1e-5)
    assert math.isclose(float(np.sum(changed.weight)), 2.5, rel_tol=1e-6)


def test_an_example_has_the_same_bits_in_batches_of_1_and_7():
    pipeline = small_pipeline("timm/rsb-a1", mixing=False)
    images = noise(7, 12, 14, 3)

    def run(image, index):
        return pipeline(Batch(image=image, index=index), key=KEY).image

    want = run(images, np.arange(7))
    for i in (2, 5):
        np.testing.assert_array_equal(run(images[i : i + 1], np.arange(i, i + 1)), want[i : i + 1])


@pytest.mark.usefixtures("quick_compilation_of_a_test")
def test_a_mesh_exchanges_only_what_is_mixed_globally():
    """All steps of a recipe but the policy with the mixing of a device, and the mixing of all."""
    batch = Batch(
        image=noise(8, 12, 14, 3), label=np.zeros(8, np.int32), index=np.arange(8, dtype=np.int32)
    )
    exchanges = ("all-gather", "all-reduce", "all-to-all", "collective-permute")
    recipe = without_policy(small_pipeline("facebookresearch/deit", scope="device", num_classes=4))
    mixing = dataclasses.replace(recipe.mixing, scope="global")
    assert mixing != recipe.mixing
    mesh = jax.make_mesh((4,), ("data",), axis_types=(AxisType.Explicit,))
    sharded = jax.device_put(batch, NamedSharding(mesh, PartitionSpec("data")))
    for pipeline in (recipe, Pipeline((ops.Rescale(),), mixing=mixing)):
        run = jax.jit(lambda batch, key, p=pipeline: p(batch, key=key))
        with jax.set_mesh(mesh):
            text = run.lower(sharded, KEY).compile().as_text()
        found = {exchange for exchange in exchanges if exchange in text}
        assert bool(found) == (pipeline is not recipe), found


@pytest.mark.parametrize("name", DIFFERENT)
def test_a_recipe_keeps_a_batch_divided_over_an_explicit_mesh(name):
    """JAX says so, or refuses the recipe, before anything is compiled."""
    pipeline = small_pipeline(name, scope="device", num_classes=4)
    batch = Batch(image=noise(8, 12, 14, 3), label=np.zeros(8, np.int32))
    mesh = jax.make_mesh((4,), ("data",), axis_types=(AxisType.Explicit,))
    sharded = jax.device_put(batch, NamedSharding(mesh, PartitionSpec("data")))
    with jax.set_mesh(mesh):
        got = jax.eval_shape(lambda batch: pipeline(batch, key=KEY), sharded)
    assert got.image.sharding.spec[0] == got.label.sharding.spec[0] == "data"


def test_the_gallery_shows_every_random_step():
    page = (Path(__file__).parents[2] / "docs" / "gallery.md").read_text("utf-8")
    shown = {line.removeprefix("## ") for line in page.splitlines() if line.startswith("## ")}
    public = {name: getattr(jaxprep.augment, name) for name in jaxprep.augment.__all__}
    steps = {name for name, value in public.items() if hasattr(value, "draw")}
    assert shown == steps
    for name in shown:
        assert (Path(__file__).parents[2] / "docs" / "gallery" / f"{name}.jpg").is_file()
