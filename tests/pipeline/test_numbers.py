"""No config makes infinities of a finite photograph, and no integer wraps without a word."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from typing import Any

import jax
import numpy as np
import pytest
from helpers.images import noise
from jax import export

import jaxprep
from jaxprep import Batch, Pipeline, formats, ops
from jaxprep.errors import ConfigError, InputError, JaxprepError
from jaxprep.huggingface import DetrImageProcessor, VideoMAEVideoProcessor, ViTImageProcessor
from jaxprep.pipeline.numbers import in_jax_type

TENTH = ops.Rescale(0.1)


def hugging_face(**settings: Any) -> formats.HuggingFace:
    return formats.HuggingFace("ViTImageProcessor", settings)


ABSURD = {
    "std": lambda: ops.Normalize(0.5, 1e-40),
    "one std of three": lambda: ops.Normalize(0.5, (1.0, 1.0, 1e-36)),
    "scale": lambda: ops.Rescale(1e300),
    "scale in float32": lambda: ops.Rescale(-1e30),
    "a divisor": lambda: ops.Rescale(1e-300, arithmetic="division"),
    "mean": lambda: ops.Normalize(1e39, 1.0),
    "offset": lambda: ops.Rescale(1.0, (0.0, 1e39, 0.0)),
    "fill": lambda: ops.Pad(1, fill=1e39),
    "fills": lambda: ops.CenterCrop(4, fill=(0.0, -1e39, 0.0)),
    "bound": lambda: ops.Clip(0.0, 1e39),
    "scale after scale": lambda: Pipeline((ops.Rescale(1e20), ops.Rescale(1e20))),
    "scale then std": lambda: Pipeline((ops.Rescale(1e20), ops.Normalize(0.0, 1e-20))),
    "fill then scale": lambda: Pipeline((ops.Pad(1, fill=1e30), ops.Rescale(1e20))),
    "clip upwards, then scale": lambda: Pipeline((ops.Clip(1e30, 1e31), ops.Rescale(1e20))),
    "a resize that overshoots": lambda: Pipeline(
        (ops.Rescale(7e28), ops.Resize((4, 4), method="bicubic"))
    ),
    "half precision": lambda: Pipeline((ops.Rescale(1000.0), ops.Cast("float16"))),
    "an integer beyond float64": lambda: ops.Normalize(10**400, 1.0),
    "an integer that Python does not write": lambda: ops.Rescale(10**5000),
    "KerasHub's scale": lambda: formats.KerasHub(scale=1e300),
    "KerasHub's offset": lambda: formats.KerasHub(offset=(1e39, 0.0, 0.0)),
    "KerasHub's half precision": lambda: formats.KerasHub(scale=1e4, dtype="float16"),
    "KerasHub's statistics": lambda: formats.keras_hub.from_keras_hub_json(
        {
            "class_name": "ImageConverter",
            "config": {"scale": 1.0, "mean": [10**400], "variance": [1.0]},
        }
    ),
    "timm's mean": lambda: formats.Timm(mean=(1e39,)),
    "timm's std": lambda: formats.Timm(std=(1e-40,)),
    "torchvision's std": lambda: formats.Torchvision(std=(1.0, 1.0, 1e-40)),
    "OpenCLIP's std": lambda: formats.OpenClip(std=(1e-40, 1.0, 1.0)),
    "Hugging Face's mean": lambda: hugging_face(image_mean=[10**400, 0.5, 0.5]),
    "Hugging Face's std": lambda: hugging_face(image_std=[1e-40, 0.5, 0.5]),
    "Hugging Face's factor": lambda: hugging_face(rescale_factor=1e300),
    "a custom pipeline": lambda: formats.Custom(Pipeline((ops.Normalize(0.0, 1e-38),))),
    "JSON": lambda: Pipeline.from_json(
        json.loads('{"steps": [{"step": "Rescale", "scale": 1e308}]}')
    ),
}


@pytest.mark.parametrize("make", ABSURD.values(), ids=ABSURD)
def test_a_config_that_would_make_a_photograph_infinite_is_refused_when_it_is_made(make):
    with pytest.raises(ConfigError, match=r"^Expected .* - at `\$"):
        make()


@dataclasses.dataclass(frozen=True)
class Gain(ops.Pointwise):
    """A step of a user that says how much it enlarges."""

    factor: float

    def apply(self, image, draw=None):
        return image * np.float32(self.factor)

    def largest_value(self, largest):
        return largest * self.factor


def test_a_step_of_ones_own_is_held_to_what_it_says():
    assert Gain(1e20).factor == 1e20
    with pytest.raises(ConfigError, match=r"got up to 4\.29e\+39 from `Gain\(factor=1e\+30\)`"):
        Gain(1e30)
    with pytest.raises(ConfigError, match=r"at `\$\.steps\[1\]`"):
        Pipeline((Gain(1e20), Gain(1e20)))


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "int32", "uint32", "float32"])
def test_what_is_not_refused_keeps_the_largest_values_of_every_type_finite(dtype):
    top = np.finfo(np.float32).max / 2**33
    steps = (ops.Rescale(float(top)), ops.Normalize(0.0, 1.0), ops.Clip(-1e38, 1e38))
    most = 2**32 if dtype == "float32" else np.iinfo(dtype).max
    image = np.full((4, 4, 3), most, dtype)
    assert np.isfinite(Pipeline(steps)(Batch(image=image)).image).all()


def test_integers_that_float16_does_not_hold_are_refused_by_their_type():
    pipeline = formats.KerasHub(image_size=(4, 4), scale=1.0, dtype="float16").pipeline
    assert np.isfinite(pipeline(Batch(image=noise(8, 8, 3))).image).all()
    wide = noise(8, 8, 3).astype(np.uint16)
    for call in (pipeline, jax.jit(pipeline)):
        with pytest.raises(InputError, match=r"at most 65504, .* holds, got up to 65535"):
            call(Batch(image=wide))
    scaled = formats.KerasHub(image_size=(4, 4), scale=1 / 65535, dtype="float16").pipeline
    assert np.isfinite(scaled(Batch(image=wide)).image).all()


# -- integers, byte orders ----------------------------------------------------------------------

WIDE = [
    np.full((4, 4, 3), 2**31),
    np.full((4, 4, 3), -(2**31) - 1),
    np.full((4, 4, 3), 2**32, np.uint64),
    np.full((4, 4, 3), 2**40, ">i8"),
    np.full((4, 4, 3), 1e300),
]
CALLS = {
    "a pipeline": lambda image: Pipeline((TENTH,))(Batch(image=image)),
    "a batch": lambda image: Pipeline((TENTH,))(Batch(image=image[None])),
    "a step": lambda image: TENTH(Batch(image=image)),
    "a plan": lambda image: _planned(image),
    "a mask": lambda image: Pipeline((ops.Flip(),), {"mask": "mask"})(
        Batch(image=noise(4, 4, 3), extras={"mask": image})
    ),
    "ops.flip": lambda image: ops.flip(image),
    "the facade": lambda image: jaxprep.ImageConverter(image_size=(2, 2))(image),
    "a batch of the facade": lambda image: jaxprep.ImageConverter(image_size=(2, 2))(image[None]),
    "Hugging Face": lambda image: HUGGING_FACE(image, input_data_format="channels_last"),
    "a list of the facade": lambda image: jaxprep.ImageConverter(image_size=(2, 2))([image]),
}

HUGGING_FACE = ViTImageProcessor(do_resize=False, do_normalize=False)


def _planned(image: np.ndarray) -> Batch:
    pipeline = Pipeline((TENTH,))
    return pipeline(Batch(image=image), plan=_with_size(pipeline))


def _with_size(pipeline: Pipeline) -> Any:
    plan = pipeline.plan([(4, 4)], (4, 4))
    return jax.tree.map(lambda leaf: leaf[0], plan)


@pytest.mark.parametrize(
    "image", WIDE, ids=["int64", "negative", "uint64", "big-endian", "float64"]
)
@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
def test_numbers_that_32_bits_do_not_hold_are_refused_not_wrapped(call, image):
    with pytest.raises(InputError, match=r"that (u?int32|float32) holds, got|at most 32 bits, got"):
        call(image)


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
def test_wide_types_of_small_numbers_are_what_they_were(call):
    image = noise(4, 4, 3)
    leaves = [
        np.asarray(jax.tree.leaves(call(image.astype(dtype)))[0]).astype(np.float32)
        for dtype in ("int32", "int64", ">i8", ">u2", ">f4", "<f8", "longdouble")
    ]
    for leaf in leaves[1:]:
        np.testing.assert_allclose(leaf, leaves[0], atol=0.51)


def test_types_of_jax_are_not_copied():
    for dtype in ("uint8", "int32", "float32", "bool", "float16"):
        image = noise(2, 2, 3).astype(dtype)
        assert in_jax_type(image) is image


def test_a_big_endian_image_equals_its_native_one_in_every_bit():
    image = noise(9, 7, 3, dtype="float32")
    converter = jaxprep.ImageConverter(image_size=(4, 4), scale=2.0)
    np.testing.assert_array_equal(converter(image.astype(">f4")), converter(image))


@pytest.mark.parametrize(
    ("step", "image", "wanted"),
    [
        (ops.Cast("uint8"), np.int32([-5, 44, 300]), [0, 44, 255]),
        (ops.Cast("uint8"), np.uint16([7, 255, 65535]), [7, 255, 255]),
        (ops.Cast("int32"), np.uint32([7, 2**31 - 1, 2**32 - 1]), [7, 2**31 - 1, 2**31 - 1]),
        (ops.Cast("uint8"), np.bool_([False, True, True]), [0, 1, 1]),
        (ops.Clip(-5.0, 300.0), np.uint8([0, 7, 255]), [0, 7, 255]),
        (ops.Clip(2.0, 1e30), np.int32([-5, 2, 2**31 - 1]), [2, 2, 2**31 - 1]),
    ],
)
def test_an_integer_type_saturates(step, image, wanted):
    batch = Batch(image=image.reshape(1, 3, 1))
    assert np.ravel(step(batch).image).tolist() == wanted
    assert np.ravel(jax.jit(lambda batch: step(batch).image)(batch)).tolist() == wanted


# -- what used to end in somebody else's exception ----------------------------------------------

PIPELINE = Pipeline((ops.Resize((4, 4)),))
IMAGE = noise(8, 6, 3)


def exported(
    shape: str, call: Callable[[Any], Any] = lambda image: PIPELINE(Batch(image=image)).image
) -> Any:
    image = jax.ShapeDtypeStruct(export.symbolic_shape(shape), np.uint8)
    return export.export(jax.jit(call))(image)


RAW = {
    "a symbolic height and width": lambda: exported("h, w, 3"),
    "a symbolic width of a batch": lambda: exported("b, 8, w, 3"),
    "symbolic channels": lambda: exported("8, 6, c"),
    "a symbolic number of images of a processor": lambda: exported(
        "b, 8, 6, 3", lambda images: dict(ViTImageProcessor()(images))
    ),
    "a symbolic height of a processor": lambda: exported(
        "h, 6, 3", lambda image: dict(DetrImageProcessor()(image))
    ),
    "a symbolic number of frames": lambda: exported(
        "t, 8, 6, 3", lambda frames: dict(VideoMAEVideoProcessor()(frames))
    ),
    "no mean in a single operation": lambda: ViTImageProcessor().normalize(IMAGE, None, 0.5),
    "a word among the means": lambda: ViTImageProcessor().normalize(IMAGE, [0, "x", 0], 0.5),
    "an object as deviations": lambda: ViTImageProcessor().normalize(IMAGE, 0.5, {}),
    "a step on an array": lambda: ops.Resize((4, 4))(IMAGE),
    "a layout on an array": lambda: ops.ChannelsFirst()(IMAGE),
    "a pipeline on an array": lambda: jax.jit(PIPELINE)(IMAGE),
    "ragged lists": lambda: PIPELINE(Batch(image=[[1, 2], [3]])),
    "objects": lambda: PIPELINE(Batch(image=np.array([[[None]]]))),
    "strings": lambda: PIPELINE(Batch(image=np.array([[["a"]]]))),
    "dates": lambda: PIPELINE(Batch(image=np.zeros((2, 2, 3), "datetime64[s]"))),
    "a structured array": lambda: PIPELINE(Batch(image=np.zeros((2, 2, 3), "i4, i4"))),
    "no image": lambda: PIPELINE(Batch()),
    "boxes with visibility": lambda: PIPELINE(Batch(image=IMAGE, boxes=np.ones((2, 5)))),
    "a box alone": lambda: PIPELINE(Batch(image=IMAGE, boxes=np.ones(4))),
    "boxes of two images for one": lambda: PIPELINE(Batch(image=IMAGE, boxes=np.ones((2, 1, 4)))),
    "keypoints with visibility": lambda: PIPELINE(Batch(image=IMAGE, keypoints=np.ones((2, 3)))),
    "keypoints of another batch": lambda: PIPELINE(
        Batch(image=IMAGE[None], keypoints=np.ones((2, 3, 2)))
    ),
    "a fill of three values on gray": lambda: ops.Pad(1, fill=(1.0, 2.0, 3.0))(
        Batch(image=IMAGE[..., :1])
    ),
    "the same inside of jit": lambda: jax.jit(ops.CenterCrop(9, fill=(1.0, 2.0, 3.0)))(
        Batch(image=IMAGE[..., :1])
    ),
    "the same in a list": lambda: jaxprep.ImageConverter.from_config(
        Pipeline((ops.PadToSquare((1.0, 2.0, 3.0)),))
    )([IMAGE[..., :1]]),
    "boxes of words": lambda: PIPELINE(Batch(image=IMAGE, boxes=[["a"] * 4])),
    "boxes of different lengths": lambda: PIPELINE(Batch(image=IMAGE, boxes=[[1, 2], [3]])),
    "a mask of objects": lambda: Pipeline((), {"m": "mask"})(
        Batch(image=IMAGE, extras={"m": np.full((8, 6), None)})
    ),
    "extras that are no dictionary": lambda: PIPELINE(Batch(image=IMAGE, extras=None)),
    "a plan of another type": lambda: PIPELINE(Batch(image=IMAGE), plan=[(8, 6)]),
    "sizes of different lengths": lambda: PIPELINE.plan([(8, 6), (8,)]),
    "sizes that are traced": lambda: jax.jit(lambda sizes: PIPELINE.plan(sizes).size)(
        np.array([[8, 6]])
    ),
    "a step instead of steps": lambda: Pipeline(ops.Resize((4, 4))),
    "a number instead of steps": lambda: Pipeline(5),
    "kinds of another type": lambda: Pipeline((), kinds=3),
    "an unknown kind": lambda: Pipeline((), kinds={"mask": "depth"}),
}


@pytest.mark.parametrize("call", RAW.values(), ids=RAW)
def test_a_wrong_call_gets_an_error_of_ours(call):
    with pytest.raises(JaxprepError, match=r"^(Expected|Unknown) "):
        call()


def test_kinds_may_be_a_dictionary():
    pipeline = Pipeline((ops.Flip(),), kinds={"mask": "mask"})
    assert pipeline == Pipeline((ops.Flip(),), kinds=(("mask", "mask"),))
    assert Pipeline.from_json(json.loads(json.dumps(pipeline.to_json()))) == pipeline
    mask = np.arange(48).reshape(8, 6)
    moved = pipeline(Batch(image=IMAGE, extras={"mask": mask})).extras["mask"]
    np.testing.assert_array_equal(moved, mask[:, ::-1])


def test_an_export_may_have_any_number_of_images():
    program = exported("b, 8, 6, 3")
    images = noise(3, 8, 6, 3)
    np.testing.assert_array_equal(program.call(images), PIPELINE(Batch(image=images)).image)
