"""Calls of every kind, run in a process of its own under one setting.

`python laws.py SETTING all FILE` writes a JSON object: for each call what identifies its result
(types, shapes and a hash of the bits), or its error. `test_settings.py` compares it with that of
the setting "none".
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import sys
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax
import numpy as np
from jax.sharding import AxisType, NamedSharding, PartitionSpec

Context = contextlib.AbstractContextManager[Any]

# -- settings --------------------------------------------------------------------------------------


def _update(*names_and_values: Any) -> Callable[[], Context]:
    """Settings of the whole process, as `jax.config.update` or an environment variable makes."""

    def enter() -> Context:
        for name, value in zip(names_and_values[::2], names_and_values[1::2], strict=True):
            jax.config.update(name, value)
        return contextlib.nullcontext()

    return enter


def _default_device() -> Context:
    jax.config.update("jax_default_device", jax.devices()[2])
    return contextlib.nullcontext()


def _mesh(axis_type: AxisType, *more: Any) -> Callable[[], Context]:
    def enter() -> Context:
        _update(*more)()
        return jax.set_mesh(jax.make_mesh((4,), ("data",), (axis_type,)))

    return enter


def _errors_of_numpy_and_warnings() -> Context:
    np.seterr(all="raise")
    warnings.simplefilter("error")
    return contextlib.nullcontext()


@contextlib.contextmanager
def _contexts() -> Any:
    """Many at once, for the calling thread alone."""
    with contextlib.ExitStack() as stack:
        for context in (
            jax.enable_x64(True),
            jax.disable_jit(),
            jax.numpy_rank_promotion("raise"),
            jax.numpy_dtype_promotion("strict"),
            jax.transfer_guard("disallow"),
            jax.debug_nans(True),
            jax.default_device(jax.devices()[2]),
            np.errstate(all="raise"),
        ):
            stack.enter_context(context)
        yield


SETTINGS: dict[str, Callable[[], Context]] = {
    "none": contextlib.nullcontext,
    "x64": _update("jax_enable_x64", True),
    "promotion": _update(
        "jax_numpy_rank_promotion", "raise", "jax_numpy_dtype_promotion", "strict"
    ),
    "disable_jit": _update("jax_disable_jit", True),
    "transfer guard": _update("jax_transfer_guard", "disallow"),
    # each raises for itself: none hides what another finds
    "checks": _update(
        "jax_debug_nans",
        True,
        "jax_debug_infs",
        True,
        "jax_check_tracer_leaks",
        True,
        "jax_enable_checks",
        True,
    ),
    "default device": _default_device,
    # its programs are those of no other setting, so nothing is lost that the cache would save
    "Auto mesh": _mesh(AxisType.Auto, "jax_enable_compilation_cache", False),
    "Explicit mesh": _mesh(AxisType.Explicit),
    "errors": _errors_of_numpy_and_warnings,
    "contexts": _contexts,
    # what else people set, together, as none of them changes how a number is computed
    "others": _update(
        "jax_debug_key_reuse",
        True,
        "jax_legacy_prng_key",
        "error",
        "jax_default_matmul_precision",
        "bfloat16",
        "jax_traceback_filtering",
        "off",
        "jax_cpu_enable_async_dispatch",
        False,
    ),
}
"""By name, what enters the setting, or several that do not disturb each other. It holds from before
`jaxprep` is imported.
"""

# -- calls -----------------------------------------------------------------------------------------

_rng = np.random.default_rng(0)
SMALL = _rng.integers(0, 256, (20, 30, 3), np.uint8)
TALL = _rng.integers(0, 256, (33, 17, 3), np.uint8)
LARGE = _rng.integers(0, 256, (150, 170, 3), np.uint8)
"""Runs alone, on a thread of its own in a list."""
NEAR = LARGE[:22, :33]
"""Of another size than SMALL, and computed by the same programs."""
BATCH = _rng.integers(0, 256, (4, 20, 30, 3), np.uint8)
MAP = _rng.integers(0, 4, (4, 20, 30), np.int32)
BOXES = np.float32([[[1, 2, 10, 12], [-1, -1, -1, -1]]] * 4)
SIZES = [(20, 30), (33, 17)]

Calls = dict[str, Callable[[], Any]]


def calls() -> Calls:
    """All calls, by name."""
    return {
        **of_presets(),
        **_of_pipelines(),
        **_of_ops(),
        **_of_augmentations(),
        **_of_labels(),
        **_of_processors(),
        **_of_views(),
        **_of_videos(),
        **_of_undoing(),
    }


def of_presets() -> Calls:
    """Of every family of presets, eagerly and jitted; every kind of argument, with plans and
    without, of one of them at least."""
    from jaxprep import ImageClassifierPreprocessor

    def load(name: str) -> Any:
        return ImageClassifierPreprocessor.from_preset(name, image_size=(16, 16))

    timm, torchvision = load("timm/resnet50.a1_in1k"), load("torchvision/ResNet18_Weights.DEFAULT")
    keras, clip = load("resnet_50_imagenet"), load("clip_vit_base_patch16")
    open_clip = load("open_clip/ViT-B-32/openai")
    labels = np.int32([1, 2, 3, 4])
    return {
        "timm: photo": lambda: timm(SMALL),
        "timm: large photo": lambda: timm(LARGE),
        "timm: list with labels": lambda: timm([SMALL, TALL], ["cat", 2**40]),
        "timm: list of large images": lambda: timm([LARGE, LARGE[:140], LARGE]),
        "timm: batch": lambda: timm(BATCH),
        "timm: array on the device": lambda: timm(_put(SMALL)),
        "timm: jit": lambda: jax.jit(timm)(_put(BATCH), _put(labels)),
        "timm: vmap": lambda: jax.vmap(timm)(_put(BATCH)),
        "timm: plan": lambda: _planned(timm.pipeline, is_jitted=False),
        "KerasHub: photo": lambda: keras(SMALL),
        "KerasHub: float64": lambda: keras(SMALL.astype(np.float64)),
        "KerasHub: nested numbers": lambda: keras(SMALL[:4, :4].tolist()),
        "KerasHub: dictionary": lambda: keras({"images": SMALL, "label": 2**40}),
        "KerasHub: jit": lambda: jax.jit(keras)(_put(BATCH), _put(labels)),
        "KerasHub crop: batch": lambda: clip(BATCH, np.arange(4), np.ones(4)),
        "torchvision: photo": lambda: torchvision(LARGE),
        "torchvision: jit": lambda: jax.jit(torchvision)(_put(SMALL)),
        "OpenCLIP: photo": lambda: open_clip(SMALL),
        "OpenCLIP: plan, jit": lambda: _planned(open_clip.pipeline, is_jitted=True),
    }


def _put(array: Any) -> Any:
    # arguments of the caller's own program are the caller's: moved where a guard forbids it
    with jax.transfer_guard("allow"):
        return jax.device_put(array)


def _planned(pipeline: Any, is_jitted: bool) -> Any:
    from jaxprep import Batch

    canvases = np.zeros((2, 64, 64, 3), np.uint8)
    canvases[0, :20, :30] = SMALL
    canvases[1, :33, :17] = TALL
    plan = pipeline.plan(SIZES, canvas=(64, 64))
    if not is_jitted:
        return pipeline(Batch(image=canvases), plan=plan)
    run = jax.jit(lambda batch, plan: pipeline(batch, plan=plan))
    return run(*_put((Batch(image=canvases), plan)))


def _of_pipelines() -> Calls:
    import jax.numpy as jnp

    from jaxprep import Batch, Pipeline, ops

    @dataclass(frozen=True)
    class RandomGain(ops.Pointwise):
        """Written as its author would without any setting: for float32."""

        @property
        def is_random(self) -> bool:
            return True

        def draw(self, key: Any, size: Any) -> Any:
            return jax.random.uniform(key, (3,), minval=0.5)

        def apply(self, image: Any, draw: Any = None) -> Any:
            return image * draw + jnp.arange(3) / 7

    full = Pipeline(
        (
            ops.Resize(shortest_edge=16, method="bicubic", reference="pillow"),
            ops.Flip(),
            ops.PadToSquare(),
            ops.Rescale(1 / 255),
            ops.Normalize((0.5,) * 3, (0.25,) * 3),
            ops.ChannelsFirst(),
        ),
        kinds=(("mask", "mask"),),
    )
    random = Pipeline((ops.Resize((11, 13)), RandomGain()))
    exact = Pipeline((ops.Resize((11, 13), reference="pillow"), ops.Rescale(1 / 255)), exact=True)
    color = Pipeline((ops.ToGray(), ops.ToRGB(), ops.ReverseChannels(), ops.Clip(9, 200)))
    batch = Batch(
        image=BATCH,
        label=["cat", None, 2**40, 1.5],
        weight=np.ones(4),
        boxes=BOXES,
        keypoints=BOXES[..., :2],
        extras={"mask": MAP, "other": np.arange(4, dtype=np.int32)},
    )
    arrays = batch.replace(label=None, weight=None)
    sizes = np.int32([[20, 30], [10, 12], [7, 9], [20, 20]])
    mesh = jax.make_mesh((4,), ("data",), (AxisType.Explicit,))
    on_mesh = NamedSharding(mesh, PartitionSpec("data"))
    plan = full.plan(sizes, (20, 30))
    with jax.transfer_guard("allow"):
        key = jax.random.key(7)
    return {
        "pipeline: batch": lambda: full(batch),
        "pipeline: sizes": lambda: full(batch.replace(size=sizes)),
        "pipeline: plan with masks": lambda: full(batch, plan=plan),
        "pipeline: jit": lambda: jax.jit(full)(_put(arrays)),
        # "timm: vmap" is one without `jit`
        "pipeline: jit of vmap": lambda: jax.jit(jax.vmap(full))(_put(arrays)),
        "pipeline: on a mesh": lambda: full(batch.replace(image=jax.device_put(BATCH, on_mesh))),
        "pipeline: draws": lambda: random.draw(key, Batch(image=BATCH)),
        "pipeline: key": lambda: random(Batch(image=BATCH), key=key),
        "pipeline: key, jit": lambda: jax.jit(lambda b, k: random(b, key=k))(
            _put(Batch(image=BATCH)), key
        ),
        "pipeline: exact, jit": lambda: jax.jit(exact)(_put(Batch(image=BATCH))),
        "pipeline: colours": lambda: color(Batch(image=SMALL)),
    }


def _of_ops() -> Calls:
    from jaxprep import ops

    made: Calls = {
        f"resize as {reference}": lambda reference=reference: ops.resize(
            SMALL, (11, 13), reference=reference
        )
        for reference in ("pillow12", "torchvision", "torch", "jax", "float")
    }
    slope = jax.jit(jax.grad(lambda image: ops.resize(image, (5, 5)).sum()))

    def gradient() -> Any:
        # the sum and its cotangent are the caller's own, outside of any program under `disable_jit`
        with jax.transfer_guard("allow"):
            return slope(np.float32(SMALL))

    return made | {
        "gradient of resize": gradient,
        "normalize": lambda: ops.normalize(ops.rescale(_put(SMALL)), (0.5,) * 3, (0.2,) * 3),
        "to_gray": lambda: ops.to_gray(_put(SMALL)),
        "over_white": lambda: ops.over_white(SMALL, SMALL[..., :1]),
        "to_corners": lambda: ops.to_corners(_put(BOXES[0]), "rel_xywh", (20, 30)),
    }


def _of_augmentations() -> Calls:
    from jaxprep import Pipeline, augment, ops, show

    image = _put(SMALL)
    matrix = np.float32([1, 0.1, 2, 0, 1, 1])
    mirrored = Pipeline((augment.RandomFlip(), ops.Rescale()))
    return {
        "adjust_sharpness": lambda: augment.adjust_sharpness(image, 1.5),
        "posterize": lambda: augment.posterize(image, 3),
        "warp": lambda: augment.warp(image, matrix),
        # each compiles 45 programs operation by operation, as it still does where `jit` is disabled
        "adjust_hue: jit": lambda: jax.jit(augment.adjust_hue)(image, _put(np.float32(0.1))),
        "autocontrast: jit": lambda: jax.jit(augment.autocontrast)(image),
        "equalize: jit": lambda: jax.jit(augment.equalize)(image),
        "box_blur: jit": lambda: jax.jit(augment.box_blur)(image, _put(np.float32(1.5))),
        "show: draws": lambda: np.asarray(show(mirrored, SMALL, draws=1).image),
    }


def _of_labels() -> Calls:
    from jaxprep import ImageConverter

    converter = ImageConverter(image_size=(16, 16), scale=1 / 255, bounding_box_format="xyxy")
    boxes = {"boxes": BOXES, "labels": np.int32([[1, -1]] * 4)}
    batch = {"images": BATCH, "segmentation_masks": MAP, "bounding_boxes": boxes}
    listed = {
        "images": [SMALL, TALL],
        "segmentation_masks": [SMALL[..., 0], TALL[..., 0]],
        "bounding_boxes": {"boxes": list(BOXES[:2]), "labels": [np.int32([1, -1])] * 2},
    }
    return {"boxes and masks": lambda: converter(batch), "of a list": lambda: converter(listed)}


def _of_processors() -> Calls:
    from jaxprep import huggingface

    size = {"shortest_edge": 20, "longest_edge": 40}
    clip = huggingface.CLIPImageProcessor(size={"shortest_edge": 16}, crop_size=16)
    detr = huggingface.DetrImageProcessor(size=size)
    segformer = huggingface.SegformerImageProcessor(size=16, do_reduce_labels=True)
    mask2former = huggingface.Mask2FormerImageProcessor(size=size, size_divisor=8)
    box = {"bbox": [1, 2, 10, 12], "category_id": 3, "area": 120.0, "iscrowd": 0}
    annotations = [{"image_id": 7, "annotations": [box]}] * 2
    scores = _rng.normal(size=(2, 5, 4)).astype(np.float32)
    maps = _rng.normal(size=(2, 5, 8, 8)).astype(np.float32)
    detected = {"logits": scores, "pred_boxes": np.abs(scores) / 4}
    queries = {"class_queries_logits": scores, "masks_queries_logits": maps}

    def after(processor: Any, name: str, outputs: Any, **kwargs: Any) -> Callable[[], Any]:
        return lambda: getattr(processor, f"post_process_{name}")(
            outputs, target_sizes=SIZES, **kwargs
        )

    return {
        "CLIP: list": lambda: dict(clip([SMALL, TALL], return_tensors="jax")),
        "CLIP: jit": lambda: jax.jit(lambda image: clip(image)["pixel_values"])(_put(SMALL)),
        "CLIP: resize": lambda: clip.resize(SMALL, {"height": 8, "width": 9}),
        "CLIP: normalize": lambda: clip.normalize(np.float32(SMALL), [0.5] * 3, [0.2] * 3),
        "DETR: annotations": lambda: dict(detr([SMALL, TALL], annotations=annotations)),
        "DETR: detection": after(detr, "object_detection", detected, threshold=0.1),
        "Segformer: maps": lambda: dict(segformer([SMALL, TALL], [SMALL[..., 0], TALL[..., 0]])),
        "Segformer: segmentation": after(segformer, "semantic_segmentation", {"logits": maps}),
        "Mask2Former: maps": lambda: dict(mask2former([SMALL, TALL], [MAP[0], TALL[..., 0] % 3])),
        "Mask2Former: instances": after(mask2former, "instance_segmentation", queries),
        "Mask2Former: panoptic": after(mask2former, "panoptic_segmentation", queries),
    }


def _of_views() -> Calls:
    """Classes of vision-language models: patches, tiles with a thumbnail, sequences, slices, and
    those that pad views."""
    from jaxprep import huggingface as hf

    pinpoints = [[16, 32], [32, 16], [32, 32]]
    square = {"height": 16, "width": 16}
    edges = {"shortest_edge": 56 * 56, "longest_edge": 112 * 112}
    processors = {
        "Qwen2-VL": hf.Qwen2VLImageProcessor(size=edges),
        "LLaVA-NeXT": hf.LlavaNextImageProcessor(
            size=16, crop_size=16, image_grid_pinpoints=pinpoints
        ),
        "GOT-OCR 2": hf.GotOcr2ImageProcessor(size=square, crop_to_patches=True, max_patches=3),
        "SigLIP 2": hf.Siglip2ImageProcessor(patch_size=4, max_num_patches=16),
        "MiniCPM-V": hf.MiniCPMV4_6ImageProcessor(scale_resolution=56),
        "Idefics 3": hf.Idefics3ImageProcessor(
            size={"longest_edge": 32}, max_image_size={"longest_edge": 16}
        ),
        "Pixtral": hf.PixtralImageProcessor(size={"longest_edge": 32}, patch_size=8),
        "Gemma 3": hf.Gemma3ImageProcessor(size=square),
        "Mllama": hf.MllamaImageProcessor(size=square, max_image_tiles=4),
        "Donut": hf.DonutImageProcessor(size=square),
        "Pix2Struct": hf.Pix2StructImageProcessor(max_patches=9, is_vqa=False),
        "SuperGlue": hf.SuperGlueImageProcessor(size=square),
        "BridgeTower": hf.BridgeTowerImageProcessor(size={"shortest_edge": 32}, size_divisor=8),
    }
    made: Calls = {}
    for name, processor in processors.items():
        # these would have another program for the second image, and it is the slowest
        other = NEAR if name in ("GOT-OCR 2", "SigLIP 2", "Donut") else TALL
        made[f"{name}: list"] = lambda processor=processor, other=other: dict(
            processor([SMALL, other], return_tensors="np")
        )
    jitted = jax.jit(lambda image: processors["Qwen2-VL"](image)["pixel_values"])
    return made | {
        "Qwen2-VL: jit": lambda: jitted(_put(SMALL)),
        "Qwen2-VL: patches": lambda: processors["Qwen2-VL"].get_number_of_image_patches(480, 640),
    }


def _of_videos() -> Calls:
    from jaxprep import huggingface as hf

    processors = {
        "VideoMAE": hf.VideoMAEVideoProcessor(size=16, crop_size=16),
        "Qwen3-VL": hf.Qwen3VLVideoProcessor(
            size={"shortest_edge": 64 * 64, "longest_edge": 128 * 128}
        ),
        "SmolVLM": hf.SmolVLMVideoProcessor(
            size={"longest_edge": 32}, max_image_size={"longest_edge": 16}
        ),
    }
    clip = _rng.integers(0, 256, (6, 40, 48, 3), np.uint8)
    known = {"fps": 2.0, "total_num_frames": 6, "duration": 3.0, "frames_indices": [*range(6)]}
    made: Calls = {}
    for name, processor in processors.items():
        made[f"{name}: clip"] = lambda processor=processor: dict(
            processor(clip, do_sample_frames=False, video_metadata=known, return_tensors="np")
        )
    sampled = jax.jit(
        lambda clip: processors["VideoMAE"](clip, do_sample_frames=True, num_frames=3)[
            "pixel_values"
        ]
    )
    return made | {"VideoMAE: jit": lambda: sampled(_put(clip))}


def _of_undoing() -> Calls:
    import jaxprep

    pre = jaxprep.ImageClassifierPreprocessor.from_preset(
        "timm/resnet50.a1_in1k", image_size=(16, 16)
    )

    def undone() -> Any:
        geometry = jaxprep.undo(pre, (20, 30))
        return geometry.matrix, geometry.boxes(BOXES[0]), geometry.masks(MAP[0])

    return {"undo": undone, "denormalize": lambda: jaxprep.denormalize(pre(SMALL), pre)}


# -- results ---------------------------------------------------------------------------------------


def identity(tree: Any) -> str:
    """What identifies a result: the types, shapes and bits of its leaves."""
    leaves, structure = jax.tree.flatten(tree)
    bits = hashlib.sha256(str(structure).encode())
    kinds = []
    for leaf in leaves:
        if not hasattr(leaf, "dtype"):
            kinds.append(repr(leaf))
            continue
        with jax.transfer_guard("allow"):
            is_key = jax.numpy.issubdtype(leaf.dtype, jax.dtypes.prng_key)
            array = np.asarray(jax.random.key_data(leaf) if is_key else leaf)
        bits.update(np.ascontiguousarray(array).tobytes())
        kinds.append(f"{type(leaf).__name__} {array.dtype}{array.shape}")
    return f"{', '.join(kinds)}: {bits.hexdigest()}"


def main() -> None:
    setting, which, file = sys.argv[1:]
    made = {"all": calls, "presets": of_presets}[which]
    results = {}
    with SETTINGS[setting]():
        for name, call in made().items():
            try:
                results[name] = identity(call())
            except Exception as error:
                results[name] = f"{type(error).__name__}: {error}"
    Path(file).write_text(json.dumps(results, indent=1))


if __name__ == "__main__":
    main()
