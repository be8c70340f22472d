"""Where other frameworks call a preprocessor: `tf.data`, Grain, Keras, and forks.

TensorFlow and Keras are not needed: stand-ins have the few names that are used.
`tests/goldens/check_tensorflow.py` checks the same with TensorFlow, Keras and KerasHub themselves.
"""

from __future__ import annotations

import os
import subprocess
import sys
from importlib.machinery import ModuleSpec
from types import ModuleType, SimpleNamespace

import jax
import numpy as np
import pytest
from helpers.images import noise

import jaxprep
from jaxprep import Batch, ImageClassifierPreprocessor, ImageConverter, Pipeline, frameworks, ops
from jaxprep.errors import InputError
from jaxprep.huggingface import BaseImageProcessor, SegformerImageProcessor, ViTImageProcessor
from jaxprep.pipeline import cores

SMALL = ImageClassifierPreprocessor(
    ImageConverter(image_size=(8, 9), scale=1 / 255, bounding_box_format="xyxy")
)
IMAGES = noise(2, 20, 30, 3)


# the graphs of TensorFlow


class Shape(list):
    """A static shape, which TensorFlow's own is too: a list with None where a size is not known."""

    def __init__(self, sizes):
        self.rank = None if sizes is None else len(sizes)
        super().__init__(sizes or ())

    def as_list(self):
        return list(self)


class Tensor:
    """A tensor of a graph; `value` is what it will be when the graph runs."""

    __module__ = "tensorflow.python.framework.ops"

    def __init__(self, value, shape="known"):
        self.value = np.asarray(value)
        self.shape = Shape(self.value.shape if shape == "known" else shape)
        kind = self.value.dtype.kind
        self.dtype = SimpleNamespace(
            name=self.value.dtype.name,
            as_numpy_dtype=self.value.dtype.type,
            is_floating=kind == "f",
            is_integer=kind in "iu",
            is_bool=kind == "b",
        )

    def set_shape(self, shape):
        self.shape = Shape(shape)


class Symbol(Tensor):
    """A tensor whose numbers are asked for while the graph is traced."""

    def __array__(self, *args, **kwargs):
        raise NotImplementedError("Cannot convert a symbolic tf.Tensor to a numpy array.")


class Eager(Tensor):
    """A tensor that has its numbers."""

    ndim = 4

    def __array__(self, *args, **kwargs):
        return self.value


def numpy_function(function, tensors, dtypes, stateful):
    """Run the graph at once, and forget the shapes, as TensorFlow's operation does."""
    assert not stateful
    values = function(*[tensor.value for tensor in tensors])
    for value, dtype in zip(values, dtypes, strict=True):
        assert isinstance(value, np.ndarray) and value.dtype == dtype
    return [Tensor(value, None) for value in values]


@pytest.fixture(autouse=True)
def tensorflow(monkeypatch):
    module = ModuleType("tensorflow")
    module.__spec__ = ModuleSpec("tensorflow", None)  # JAX looks for it
    module.numpy_function = numpy_function
    module.autograph = SimpleNamespace(
        experimental=SimpleNamespace(do_not_convert=lambda function: function)
    )
    monkeypatch.setitem(sys.modules, "tensorflow", module)


def check(tensor, expected, shape):
    np.testing.assert_array_equal(tensor.value, np.asarray(expected))
    assert tensor.value.dtype == np.asarray(expected).dtype
    assert tensor.shape.as_list() == shape


@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
def test_a_pipeline_in_a_graph_is_refused_with_what_to_call(dtype):
    batch = Batch(image=Symbol(IMAGES.astype(dtype)))
    with pytest.raises(InputError, match=r"without numbers.*`batch\.image`.*the preprocessor"):
        Pipeline((ops.Flip(),))(batch)


def test_a_pipeline_takes_eager_tensors():
    result = Pipeline((ops.Flip(),))(Batch(image=Eager(IMAGES), label=3))
    np.testing.assert_array_equal(result.image, IMAGES[:, :, ::-1])


def test_a_batch_in_a_graph_is_what_a_direct_call_gives_with_its_static_shape():
    label = object()
    x, y = SMALL(Tensor(IMAGES), label)
    check(x, SMALL(IMAGES), [2, 8, 9, 3])
    assert y is label
    x, y, weight = SMALL((Tensor(IMAGES, [None, 20, 30, 3]), label, 0.5))
    check(x, SMALL(IMAGES), [None, 8, 9, 3])
    assert weight == 0.5


@pytest.mark.parametrize(
    ("shape", "result"),
    [
        ([None, None, 3], [8, 9, 3]),
        ([None, None, None], [8, 9, None]),
        ([20, None, 1], [8, 9, 1]),
        (None, []),
    ],
)
def test_what_a_graph_does_not_know_of_an_image_it_does_not_know_of_the_result(shape, result):
    image = IMAGES[0] if shape is None or shape[-1] != 1 else IMAGES[0, ..., :1]
    converted = SMALL(Tensor(image, shape))
    check(converted, SMALL(image), result)
    assert (converted.shape.rank is None) == (shape is None)


@pytest.mark.parametrize("dtype", ["uint8", "bool", "int64", "uint16", "float16", "float64"])
def test_images_of_any_type_have_the_type_of_a_direct_call(dtype):
    for converter in (ImageConverter(image_size=(8, 9)), SMALL.image_converter):
        images = IMAGES.astype(dtype)
        check(converter(Tensor(images)), converter(images), [2, 8, 9, 3])


@pytest.mark.parametrize(
    ("preset", "shape"),
    [
        ("timm/resnet50.a1_in1k", [224, 224, 3]),
        ("torchvision/FCN_ResNet50_Weights.DEFAULT", [None, None, 3]),
    ],
)
def test_a_size_that_depends_on_the_image_stays_unknown(preset, shape):
    preprocessor = ImageClassifierPreprocessor.from_preset(preset)
    # each aspect ratio has another
    spec = frameworks.call_in_graph(
        lambda given: preprocessor(given["images"]), {"images": Tensor(IMAGES[0], [None, None, 3])}
    )
    assert spec.shape.as_list() == shape


def test_a_dictionary_in_a_graph_takes_its_masks_and_boxes_along():
    given = {
        "images": IMAGES,
        "segmentation_masks": IMAGES[..., 0],
        "bounding_boxes": {
            "boxes": np.float32([[[0, 0, 9, 9]], [[5, 5, 30, 20]]]),
            "labels": np.int32([[1], [2]]),
        },
    }
    name = object()
    result = SMALL({**jax.tree.map(Tensor, given), "name": name})
    expected = SMALL(given)
    assert result["name"] is name
    check(result["images"], expected["images"], [2, 8, 9, 3])
    check(result["segmentation_masks"], expected["segmentation_masks"], [2, 8, 9])
    for key, shape in (("boxes", [2, 1, 4]), ("labels", [2, 1])):
        check(result["bounding_boxes"][key], expected["bounding_boxes"][key], shape)


@pytest.mark.parametrize("shape", ["known", (None, None, None, 3), None])
def test_a_misspelt_key_is_refused_when_the_graph_is_made(shape):
    images = Tensor(IMAGES, shape)
    with pytest.raises(InputError, match=r"`segmentation_masks`, got `segmentation_mask`"):
        SMALL({"images": images, "segmentation_mask": Tensor(IMAGES[..., 0])})
    if shape is not None:  # else nobody knows that it is a mask
        mask = Tensor(IMAGES[..., 0], images.shape[:3])
        with pytest.raises(InputError, match=r"`segmentation_masks`, got `msk`"):
            SMALL({"images": images, "msk": mask})


def test_a_list_of_tensors_is_one_batch():
    images = [IMAGES[0], IMAGES[1, :15]]
    tensors = [Tensor(image, [None, None, 3]) for image in images]
    check(SMALL(tensors), SMALL(images), [2, 8, 9, 3])
    # a tensor that has its numbers, or an array, beside it
    check(SMALL([tensors[0], images[1]]), SMALL(images), [2, 8, 9, 3])


def test_a_processor_of_hugging_face_runs_in_a_graph():
    vit = ViTImageProcessor(size=8)
    result = vit(Tensor(IMAGES, [None, None, None, 3]))
    check(result["pixel_values"], vit(IMAGES)["pixel_values"], [None, 3, 8, 8])
    planar = np.moveaxis(IMAGES, -1, 1)
    result = vit(Tensor(planar, [None, 3, None, None]))
    check(result["pixel_values"], vit(planar)["pixel_values"], [None, 3, 8, 8])
    segformer = SegformerImageProcessor(size=8)
    result = segformer(Tensor(IMAGES), Tensor(IMAGES[..., 0]))
    expected = segformer(list(IMAGES), list(IMAGES[..., 0]))
    check(result["labels"], expected["labels"], [2, 8, 8])


WRONG = {
    "text": (lambda: Tensor(np.array("photo.jpg")), "rank 0"),
    "a batch of texts": (lambda: Tensor(np.full((2, 2, 2), b"a")), "a tensor of bytes"),
    "rank 2": (lambda: Tensor(IMAGES[0, ..., 0]), "rank 2"),
    "rank 5": (lambda: Tensor(IMAGES[None]), "rank 5"),
    "no images": (lambda: {"image": Tensor(IMAGES)}, "images"),
    "a Batch": (lambda: jaxprep.Batch(image=Tensor(IMAGES)), "Batch"),
    "a mask of another rank": (
        lambda: {"images": Tensor(IMAGES), "segmentation_masks": Tensor(IMAGES[0, 0, 0])},
        "segmentation_masks",
    ),
}


@pytest.mark.parametrize(("make", "match"), WRONG.values(), ids=WRONG)
def test_what_is_no_image_is_refused_when_the_graph_is_made(make, match):
    with pytest.raises(InputError, match=match):
        SMALL(make())


def test_a_wrong_number_of_channels_is_refused_when_the_graph_is_made():
    converter = ImageConverter(image_size=(8, 9), scale=(1.0, 2.0, 3.0))
    with pytest.raises(InputError, match="channels"):
        converter(Tensor(np.zeros((5, 5, 4), np.uint8), [None, None, 4]))


def test_autograph_leaves_the_calls_of_all_that_may_be_mapped_as_they_are():
    for value in (SMALL, SMALL.image_converter, ViTImageProcessor()):
        assert hasattr(value, "autograph_info__")


# Grain


def test_in_a_pipeline_of_grain_results_are_numpy_arrays():
    grain = pytest.importorskip("grain")
    assert isinstance(SMALL(IMAGES[0]), jax.Array)
    label = object()
    source = grain.MapDataset.source([{"images": IMAGES[0], "label": label}])
    (result,) = source.map(SMALL)
    assert type(result["images"]) is np.ndarray and result["label"] is label
    np.testing.assert_array_equal(result["images"], SMALL(IMAGES[0]))
    timm = {"pretrained_cfg": {"input_size": [3, 8, 8]}, "architecture": "resnet18"}
    for processor in (ViTImageProcessor(size=8), BaseImageProcessor.from_dict(timm)):
        (result,) = grain.MapDataset.source([IMAGES[0]]).map(processor)
        assert type(result["pixel_values"]) is np.ndarray


def test_a_jitted_call_in_a_pipeline_of_grain_stays_one_of_jax():
    grain = pytest.importorskip("grain")
    jitted = jax.jit(SMALL)
    (result,) = grain.MapDataset.source([IMAGES[0]]).map(jitted)
    np.testing.assert_array_equal(result, SMALL(IMAGES[0]))
    vit = jax.jit(ViTImageProcessor(size=8))
    (result,) = grain.MapDataset.source([IMAGES[0]]).map(vit)
    assert isinstance(result["pixel_values"], jax.Array)


WORKERS = """
import sys
from absl import flags
import grain, numpy as np
from jaxprep import ImageClassifierPreprocessor, ImageConverter

class Platform:
    def __call__(self, element):
        import jax
        return element, jax.default_backend(), jax.config.jax_platforms

if __name__ == "__main__":
    flags.FLAGS.mark_as_parsed()
    pre = ImageClassifierPreprocessor(ImageConverter(image_size=(2, 3), scale=1 / 255))
    images = [np.full((5 + i, 6, 3), i, np.uint8) for i in range(2)]
    dataset = grain.MapDataset.source(images).map(pre).map(Platform()).to_iter_dataset()
    results = list(dataset.mp_prefetch(grain.MultiprocessingOptions(num_workers=1)))
    assert len(results) == 2
    for i, (image, backend, platforms) in enumerate(results):
        assert isinstance(image, np.ndarray) and image.shape == (2, 3, 3), type(image)
        assert np.array_equal(image, np.full((2, 3, 3), np.float32(i) * np.float32(1 / 255)))
        assert (backend, platforms) == ("cpu", "cpu")
    print("done")
"""


def test_workers_of_grain_return_numpy_arrays_and_leave_accelerators_alone(tmp_path):
    pytest.importorskip("grain")
    script = tmp_path / "workers.py"
    script.write_text(WORKERS)
    environment = {key: value for key, value in os.environ.items() if key != "JAX_PLATFORMS"}
    path = os.pathsep.join(sys.path)
    done = subprocess.run(
        [sys.executable, str(script)],
        capture_output=True,
        text=True,
        timeout=300,
        env={**environment, "PYTHONPATH": path},
    )
    assert done.stdout.strip() == "done", done.stderr


# forks


FORK = """
import os, sys
import numpy as np, jax
from jaxprep import ImageConverter
from jaxprep.errors import InputError
from jaxprep.huggingface import ViTImageProcessor

converter, image = ImageConverter(image_size=(2, 2)), np.zeros((9, 9, 3), np.uint8)
if sys.argv[1] == "used":
    jax.numpy.zeros(3)  # jaxprep itself was not
child = os.fork()
if child:
    sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
code = 0
for call in (converter, lambda x: converter([x, x]), ViTImageProcessor(size=8)):
    try:
        call(image)
    except InputError as error:
        code += "spawn" in str(error)
os._exit(code)
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
@pytest.mark.parametrize(("before", "errors"), [("used", 3), ("unused", 0)])
def test_a_fork_of_a_process_where_jax_was_used_is_one_clear_error_and_no_hang(before, errors):
    command = [sys.executable, "-W", "ignore", "-c", FORK, before]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    assert subprocess.run(command, timeout=120, env=environment).returncode == errors


def test_this_process_is_no_such_fork():
    assert not cores.Fork.is_broken


# Keras


class Layer:
    """A layer of Keras."""

    def __init__(self, name=None):
        self.name = name


def test_keras_loads_what_it_wrote_as_a_layer_that_is_equal(monkeypatch):
    registered = {}

    def register(package, name):
        return lambda cls: registered.update({f"{package}>{name}": cls})

    keras = SimpleNamespace(
        saving=SimpleNamespace(register_keras_serializable=register),
        layers=SimpleNamespace(Layer=Layer),
    )
    monkeypatch.setitem(sys.modules, "keras", keras)
    config = SMALL.get_config()
    assert set(registered) == {"jaxprep>ImageClassifierPreprocessor", "jaxprep>ImageConverter"}
    loaded = registered["jaxprep>ImageClassifierPreprocessor"].from_config(config)
    assert isinstance(loaded, Layer) and loaded == SMALL and loaded == SMALL
    assert hash(loaded) == hash(SMALL) and loaded.get_config() == config
    assert loaded.image_size == (8, 9) and loaded.name == SMALL.name
    np.testing.assert_array_equal(loaded(IMAGES, 1)[0], SMALL(IMAGES))
    registered.clear()
    # as when a saved task is loaded: Keras was imported after jaxprep
    assert jaxprep.ImageConverter is ImageConverter
    loaded = registered["jaxprep>ImageConverter"].from_config(SMALL.image_converter.get_config())
    assert loaded == SMALL.image_converter and loaded.scale == 1 / 255


@pytest.mark.parametrize("keras", [None, SimpleNamespace(), SimpleNamespace(saving=None)])
def test_a_keras_that_is_not_there_yet_is_no_obstacle(keras, monkeypatch):
    monkeypatch.setitem(sys.modules, "keras", keras)
    assert ImageClassifierPreprocessor.from_config(SMALL.get_config()) == SMALL


def test_a_preprocessor_has_a_name_for_the_summary_of_a_task():
    assert isinstance(SMALL.name, str) and ImageClassifierPreprocessor().name
    assert SMALL.replace(preprocessor_name="mine").name == "mine"
