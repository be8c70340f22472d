"""The contract cases of keras_hub.npz: what calling a converter or preprocessor gives back for labels, weights and dicts.

A case is a Python expression over

    np             NumPy
    x, xs          a uint8 image (4, 6, 3) and a batch of two
    ragged         a list of two images of different sizes
    converter      ImageConverter(image_size=(2, 3), scale=1 / 255)
    chw_number     ImageConverter(scale=1 / 255, data_format="channels_first")
    chw_list       ImageConverter(scale=[1 / 255] * 3, data_format="channels_first")
    pre            ImageClassifierPreprocessor(image_converter=converter)
    bare           ImageClassifierPreprocessor()
    segmenter      ImageSegmenterPreprocessor(image_converter=converter)

and a description of the value: images only by dtype and shape, labels with their values.
"""

import re

import numpy as np

EXPRESSIONS = (
    "pre(x)",
    "pre(xs)",
    "pre([x, x])",
    "pre(ragged)",
    "pre((x,))",
    "pre((x, 1))",
    "pre((x, 1, 0.5))",
    "pre([x, 1])",
    "pre(x, 1)",
    "pre(x, True)",
    "pre(x, 0.5)",
    "pre(x, y=1)",
    "pre(x, y=None)",
    "pre(x, 1, 0.5)",
    "pre(x, sample_weight=0.5)",
    "pre(x, None, 0.5)",
    "pre([x, x], None, [0.5, 1.0])",
    "pre(ragged, [1, 0])",
    "pre(ragged, [1, 0], [0.5, 1.0])",
    "pre(xs, [1, 0])",
    "pre(xs, (1, 0))",
    "pre(xs, [1, 0], [0.5, 1.0])",
    "pre(xs, np.array([1, 2**40]))",
    "pre(xs, np.array([1.0, 0.1]))",
    "pre(xs, np.array([1, 0], np.uint8), np.array([0.5, 1.0], np.float16))",
    "pre(xs, np.eye(2))",
    "pre(x, 'cat')",
    "pre(xs, ['cat', 'dog'])",
    "pre(xs, np.array(['cat', 'dog']))",
    "pre(xs, {'a': [1, 0], 'b': np.array([0.5, 1.0])})",
    "pre(xs, [[1, 2], [3]])",
    "pre({'images': xs}, [1, 0])",
    "bare(x)",
    "bare(xs, [1, 0])",
    "bare([x, x])",
    "bare(ragged)",
    "segmenter(x, x[..., :1])",
    "converter(x)",
    "converter([x, x])",
    "converter((x, x))",
    "converter(ragged)",
    "converter(tuple(ragged))",
    "converter(x.tolist())",
    "converter({'images': x, 'labels': 3, 'name': 'cat'})",
    "converter({'images': xs, 'labels': np.array([1, 0]), 'extra': np.array([1.0, 2.0])})",
    "chw_number(x.transpose(2, 0, 1))",
    "chw_list(x.transpose(2, 0, 1))",
    "converter(x[..., 0])",
    "converter(x[..., :1])",
)


def names() -> dict:
    """What the expressions may name. (KerasHub is imported here, so that the tests can import `describe`.)"""
    import keras_hub

    x = np.arange(72, dtype=np.uint8).reshape(4, 6, 3)
    converter = keras_hub.layers.ImageConverter(image_size=(2, 3), scale=1 / 255)
    chw_number = keras_hub.layers.ImageConverter(scale=1 / 255, data_format="channels_first")
    chw_list = keras_hub.layers.ImageConverter(scale=[1 / 255] * 3, data_format="channels_first")
    models = keras_hub.models
    return {
        "np": np,
        "x": x,
        "xs": np.stack([x, x + 100]),
        "ragged": [x, x[:, :5]],
        "converter": converter,
        "chw_number": chw_number,
        "chw_list": chw_list,
        "pre": models.ImageClassifierPreprocessor(image_converter=converter),
        "bare": models.ImageClassifierPreprocessor(),
        "segmenter": models.ImageSegmenterPreprocessor(image_converter=converter),
    }


def describe(value) -> object:
    """`value` as JSON: containers as they are, arrays by kind, dtype, shape and, where they are small, values."""
    if isinstance(value, dict):
        return {"dict": {key: describe(item) for key, item in value.items()}}
    if isinstance(value, (list, tuple)):
        return {type(value).__name__: [describe(item) for item in value]}
    if value is None or isinstance(value, (bool, int, float, str)):
        return {type(value).__name__: value}
    array = np.asarray(value)
    kind = "numpy" if isinstance(value, (np.ndarray, np.generic)) else "jax"
    result = {"array": kind, "dtype": array.dtype.name, "shape": list(array.shape)}
    return result | ({"values": array.tolist()} if array.ndim < 3 else {})


def case(expression: str, scope: dict, tensorflow: bool) -> dict:
    """Evaluate `expression`; an error is described by its type and the first line that tells what is wrong."""
    result = {"group": "contract", "call": expression, "tensorflow": tensorflow}
    try:
        return result | {"returns": describe(eval(expression, scope))}
    except Exception as error:
        return result | {"raises": type(error).__name__, "message": message(error)[:160]}


def message(error: Exception) -> str:
    """The first line below Keras' "Exception encountered when calling", without terminal colours."""
    lines = re.sub(r"\x1b\[\d+m", "", str(error)).splitlines()
    return next((line for line in lines if line.strip() and not line.startswith("Exception encountered")), "")


def cases(tensorflow: bool) -> list[dict]:
    """All expressions, in a process where TensorFlow can be imported or cannot."""
    scope = names()
    return [case(expression, scope, tensorflow) for expression in EXPRESSIONS]
