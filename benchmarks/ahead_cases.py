"""Lists the programs that `compile_ahead.py` compiles; JAX is imported only where one is made."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from cases import MEAN, STD

TARGET = 224
BATCH = 64
# Eight images for each of 256 chips.
POD_BATCH = 2048
# Presets that differ in nothing but the filter, so that two rows compare.
PILLOW_BILINEAR = "torchvision/ResNet50_Weights.IMAGENET1K_V2"
PILLOW_BICUBIC = "timm/resnet50.a1_in1k"
CLIP = "open_clip/ViT-B-32/openai"
KERAS = "resnet_50_imagenet"

Made = tuple[Callable[..., Any], tuple[Any, ...]]
"""A function to jit, and its arguments: the image as a `ShapeDtypeStruct` first, then a plan."""


@dataclass(frozen=True)
class AheadCase:
    """States how a batch of images becomes `(batch, 224, 224, 3)`, normalised.

    Attributes:
        name: unique.
        make: the function and its arguments, for a case and a number of images.
        preset: whose preprocessing it is.
        overrides: fields of the preset's config that are changed.
        size: height and width of the images, or of their canvas.
        batch: how many images, where `--batch` does not decide.
        dtype: of the pixels.
        between_bytes: bytes of one value of the image between the two passes.
        kind: "uniform" (all images have one size), "plan" (each has its own, passed in as a plan),
            "peer" (`jax.image.resize`), "random" (augmented) or "pod" (sharded over 256 chips).
        targets: the chips it is compiled for; all where empty.
        has_bar: whether the project's bar for GPUs names it.
        most_bytes: the bar of a random case for GPUs, in times of the floor.
    """

    name: str
    make: Callable[[AheadCase, int], Made]
    preset: str = ""
    overrides: dict[str, Any] = field(default_factory=dict)
    size: tuple[int, int] = (512, 512)
    batch: int | None = None
    dtype: str = "uint8"
    between_bytes: int = 1
    kind: str = "uniform"
    targets: tuple[str, ...] = ()
    has_bar: bool = True
    most_bytes: float | None = None


def image_of(case: AheadCase, batch: int) -> Any:
    """Return the shape and dtype of the input, `(batch, h, w, 3)`."""
    import jax

    # No array: a compiler needs none, and a batch of 2,048 images would take 1.6 GB.
    return jax.ShapeDtypeStruct((batch, *case.size, 3), case.dtype)


def jax_image(case: AheadCase, batch: int) -> Made:
    """Return `jax.image.resize` and an affine, as people write it: float32, and no more said."""
    import jax
    import jax.numpy as jnp

    # Closed over, so constants of the program, as ours are.
    mean, std = jnp.array(MEAN), jnp.array(STD)
    method = case.overrides["method"]
    shape = (batch, TARGET, TARGET, 3)

    def run(images: Any) -> Any:
        resized = jax.image.resize(images.astype(jnp.float32) / 255, shape, method)
        return (resized - mean) / std

    return run, (image_of(case, batch),)


def from_preset(case: AheadCase, batch: int) -> Made:
    """Return the facade of a preset, as in `jax.jit(pre)`."""
    import jaxprep

    preprocessor = jaxprep.ImageClassifierPreprocessor.from_preset(case.preset, **case.overrides)
    return preprocessor, (image_of(case, batch),)


def letterbox(case: AheadCase, batch: int) -> Made:
    """Return a program that makes the longer side 224, and gray fills the rest of a square, as
    detectors have it.
    """
    import jaxprep
    from jaxprep import ops

    steps = (
        ops.Resize(longest_edge=TARGET, method="bilinear", reference="pillow"),
        # The gray of YOLO's letterbox:
        # https://github.com/ultralytics/ultralytics/blob/main/ultralytics/data/augment.py
        ops.PadTo(TARGET, fill=114.0),
        ops.Rescale(),
        ops.Normalize(MEAN, STD),
    )
    return jaxprep.ImageConverter.from_config(jaxprep.Pipeline(steps)), (image_of(case, batch),)


def with_plan(case: AheadCase, batch: int, tall: bool = False) -> Made:
    """Return a program for images of different sizes on one canvas, and the tables for them as an
    argument.

    Args:
        tall: every second image is more than twice as high as it is wide. Pillow 13 resizes those
            vertically first, the others horizontally first.
    """
    import numpy as np

    import jaxprep

    pipeline = jaxprep.ImageClassifierPreprocessor.from_preset(case.preset).pipeline
    random = np.random.default_rng(0)
    # Less than twice as high as wide, so that all are resized in one order; see `tall`.
    heights, widths = random.integers(225, 480, batch), random.integers(300, 512, batch)
    if tall:
        # `ImagingResample` of Pillow 13 compares what each order costs:
        # https://github.com/python-pillow/Pillow/blob/main/src/libImaging/Resample.c
        heights[::2], widths[::2] = 512, 240
    plan = pipeline.plan(np.stack([heights, widths], axis=1), canvas=case.size)

    def run(images: Any, plan: Any) -> Any:
        return pipeline(jaxprep.Batch(image=images), plan=plan).image

    return run, (image_of(case, batch), plan)


def with_plan_and_tall_images(case: AheadCase, batch: int) -> Made:
    return with_plan(case, batch, tall=True)


def augmented(case: AheadCase, batch: int) -> Made:
    """Return a training step's images: random resized crop, flip, maybe RandAugment, normalised."""
    import jaxprep
    from jaxprep import augment, ops

    policy = (augment.RandAugment(num_ops=2, strength=0.3),) if "Rand" in case.name else ()
    steps = (
        augment.RandomResizedCrop(TARGET),
        augment.RandomFlip(),
        *policy,
        ops.Rescale(),
        ops.Normalize(MEAN, STD),
    )
    return _with_key(jaxprep.Pipeline(steps), case, batch)


def recipe(case: AheadCase, batch: int) -> Made:
    """Return a published recipe, which mixes examples."""
    import jaxprep

    pipeline = jaxprep.training_pipeline(case.preset, **case.overrides)
    return _with_key(pipeline, case, batch)


def _with_key(pipeline: Any, case: AheadCase, batch: int) -> Made:
    import jax

    import jaxprep

    def run(images: Any, labels: Any, key_data: Any) -> Any:
        key = jax.random.wrap_key_data(key_data)
        batch = pipeline(jaxprep.Batch(image=images, label=labels), key=key)
        return batch.image, batch.label, batch.weight

    labels = jax.ShapeDtypeStruct((batch,), "int32")
    return run, (image_of(case, batch), labels, jax.ShapeDtypeStruct((2,), "uint32"))


# `jaxprep.recipes()`, which is not imported here.
RECIPES = (
    "torchvision/v1",
    "torchvision/v2",
    "timm/rsb-a1",
    "timm/rsb-a2",
    "timm/rsb-a3",
    "facebookresearch/deit",
    "facebookresearch/deit-iii",
    "facebookresearch/convnext",
    "big_vision/vit",
    "big_vision/siglip",
)
# Mixing within each chip: what then is left of collectives is not of mixing.
POD_RECIPE = {
    "make": recipe,
    "preset": PILLOW_BILINEAR,
    "batch": POD_BATCH,
    "kind": "pod",
    "targets": ("v5e",),
}
PLANNED = {"make": with_plan, "preset": PILLOW_BICUBIC, "kind": "plan"}
TORCHVISION = {"reference": "torchvision"}
# Peers first: what follows is read against them.
CASES = (
    AheadCase(
        "jax.image bilinear",
        jax_image,
        overrides={"method": "bilinear"},
        kind="peer",
        has_bar=False,
    ),
    AheadCase(
        "jax.image bicubic", jax_image, overrides={"method": "bicubic"}, kind="peer", has_bar=False
    ),
    AheadCase("pillow bilinear", from_preset, PILLOW_BILINEAR),
    AheadCase("pillow bicubic", from_preset, PILLOW_BICUBIC),
    AheadCase("torchvision bilinear", from_preset, PILLOW_BILINEAR, TORCHVISION),
    AheadCase("torchvision bicubic", from_preset, PILLOW_BICUBIC, TORCHVISION),
    AheadCase("keras bilinear", from_preset, KERAS, between_bytes=4),
    AheadCase(
        "keras bilinear, float32",
        from_preset,
        KERAS,
        dtype="float32",
        between_bytes=4,
        has_bar=False,
    ),
    AheadCase("clip 480x640", from_preset, CLIP, size=(480, 640)),
    AheadCase(
        "clip, channels first",
        from_preset,
        CLIP,
        {"data_format": "channels_first"},
        size=(480, 640),
        has_bar=False,
    ),
    AheadCase("letterbox 480x640", letterbox, size=(480, 640), has_bar=False),
    AheadCase("plan, pillow bicubic", **PLANNED),
    AheadCase("plan, both orders", **{**PLANNED, "make": with_plan_and_tall_images}),
    AheadCase("pillow bilinear, batch 1", from_preset, PILLOW_BILINEAR, batch=1),
    AheadCase("pillow bilinear, batch 256", from_preset, PILLOW_BILINEAR, batch=256),
    AheadCase("plan, batch 1", **PLANNED, batch=1),
    AheadCase("plan, batch 256", **PLANNED, batch=256),
    AheadCase(
        "pod, Auto mesh",
        from_preset,
        PILLOW_BILINEAR,
        batch=POD_BATCH,
        kind="pod",
        targets=("v5e",),
    ),
    AheadCase(
        "pod, Explicit mesh",
        from_preset,
        PILLOW_BILINEAR,
        batch=POD_BATCH,
        kind="pod",
        targets=("v5e",),
    ),
    AheadCase("crop, flip", augmented, kind="random", has_bar=False, most_bytes=2.5),
    AheadCase("crop, flip, RandAugment", augmented, kind="random", has_bar=False, most_bytes=8),
    *(
        AheadCase(
            f"pod, Explicit, {name}",
            overrides={"recipe": name, "scope": "device"},
            **POD_RECIPE,
        )
        for name in RECIPES
    ),
    AheadCase(
        "pod, Auto, timm/rsb-a2, unmixed",
        overrides={"recipe": "timm/rsb-a2", "mixing": False},
        **POD_RECIPE,
    ),
    AheadCase(
        "pod, Auto, timm/rsb-a2, global",
        overrides={"recipe": "timm/rsb-a2", "scope": "global"},
        has_bar=False,
        **POD_RECIPE,
    ),
)
BY_NAME = {case.name: case for case in CASES}


def cases_of(target: str, names: list[str]) -> list[AheadCase]:
    """Return the cases for a chip; those whose name holds one of `names`, where any is given."""
    # 256 chips are a TPU pod; no description of 256 GPUs is at hand.
    able = [case for case in CASES if not case.targets or target in case.targets]
    if not names:
        return able
    return [case for case in able if any(name in case.name for name in names)]
