"""What a caller most likely did not mean gets an error or a warning that names it."""

from __future__ import annotations

import io
import warnings
from typing import Any

import jax
import numpy as np
import pytest
from helpers.images import noise
from PIL import Image

from jaxprep import Batch, ImageClassifierPreprocessor, ImageConverter, Pipeline, ops
from jaxprep.errors import InputError
from jaxprep.formats import Custom
from jaxprep.huggingface import ViTImageProcessor

PRE = ImageClassifierPreprocessor(ImageConverter())
FIRST = ImageClassifierPreprocessor(Pipeline((ops.ChannelsLast(), ops.ChannelsFirst())))
A, B = noise(8, 9, 3), noise(8, 9, 3, seed=1)
PIPELINE = Pipeline((ops.Flip(),), kinds=(("mask", "mask"),))


@pytest.mark.parametrize(
    "call",
    [
        lambda: PRE(A, B),
        lambda: PRE((A, B)),
        lambda: PRE(A, B, np.ones(())),
        lambda: PRE(A, noise(4, 5, 3)),
        lambda: PRE(np.float32(A), np.float32(B)),
        lambda: PRE(A, jax.device_put(B)),
        lambda: PRE(A[None], B[None]),
        lambda: PRE([A, B], [B, A]),
        lambda: PRE(Image.fromarray(A), Image.fromarray(B)),
        lambda: PRE(Image.fromarray(A), B),
        lambda: PRE(A, Image.fromarray(B).convert("L")),
        lambda: FIRST(np.moveaxis(A, -1, 0), np.moveaxis(B, -1, 0)),
        lambda: jax.jit(PRE)(A, B),
    ],
)
def test_images_as_labels_are_warned_of(call: Any):
    with pytest.warns(UserWarning, match=r"images as the labels `y`.*`preprocessor\(\[a, b\]\)`"):
        call()


def test_a_gray_image_without_channels_is_told_what_it_lacks():
    with pytest.raises(InputError, match=r"got shape \(8, 9\) - at `x`\. A gray image has an axis"):
        PRE(A[..., 0])


@pytest.mark.parametrize(
    ("x", "y"),
    [
        (A, 3),
        (A, "cat"),
        (A, np.zeros((8, 9, 1), np.uint8)),  # a map of classes
        (A, np.zeros((8, 9), np.int32)),
        (A, np.eye(3)),
        (A[None], np.eye(3)[:1]),
        (A[None], np.zeros((1, 5, 3), np.float32)),
        ([A, B], [1, 0]),
        (A, {"boxes": np.zeros((2, 4))}),
        (A, np.float32(B)),
    ],
)
def test_labels_are_not_warned_of(x: Any, y: Any):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        PRE(x, y)


@pytest.mark.parametrize("name", ["msk", "masks", "Mask", "maks"])
def test_a_mask_under_a_misspelt_name_is_refused(name: str):
    batch = Batch(image=A, extras={name: A[..., 0]})
    message = rf"the mask `mask`, as `kinds` says, got `{name}`"
    with pytest.raises(InputError, match=message):
        PIPELINE(batch)
    with pytest.raises(InputError, match=message):
        jax.jit(PIPELINE)(batch)
    many = jax.tree.map(lambda leaf: leaf[None], batch)
    with pytest.raises(InputError, match=message):
        PIPELINE(many, plan=PIPELINE.plan([(8, 9)], (8, 9)))


def test_extras_that_are_no_misspelt_mask_pass():
    extras = {"task": np.int32(3), "depth": A[..., 0], "mask_id": np.arange(3)}
    assert PIPELINE(Batch(image=A, extras=extras)).extras is not extras
    PIPELINE(Batch(image=A, extras={**extras, "mask": A[..., 0], "masks": A[..., 0]}))
    PIPELINE(Batch(image=A))


@pytest.mark.parametrize(
    ("key", "meant"),
    [
        ("segmentation_mask", "segmentation_masks"),
        ("segmentation_maps", "segmentation_masks"),
        ("bounding_box", "bounding_boxes"),
        ("Bounding_boxes", "bounding_boxes"),
    ],
)
def test_a_misspelt_key_of_a_dictionary_is_refused(key: str, meant: str):
    converter = ImageConverter.from_config(Custom())
    with pytest.raises(InputError, match=rf"the key `{meant}`, got `{key}`"):
        converter({"images": A, key: A[..., 0]})
    assert converter({"images": A, "labels": 3, "boxes_seen": 2})["boxes_seen"] == 2


BOXES = {"boxes": np.float32([[0, 0, 4, 4]]), "labels": np.int32([1])}
SMALL = ImageConverter(image_size=(4, 4))


@pytest.mark.parametrize(
    ("key", "value", "meant"),
    [
        ("msk", A[..., 0], "segmentation_masks"),
        ("Maks", A[..., :1] > 9, "segmentation_masks"),
        ("boxs", BOXES, "bounding_boxes"),
        ("bboxs", BOXES["boxes"], "bounding_boxes"),
    ],
)
def test_a_short_key_that_is_misspelt_is_refused(key: str, value: Any, meant: str):
    for call in (SMALL, ImageClassifierPreprocessor(SMALL)):
        for given in ({"images": A, key: value}, {"images": [A, A], key: [value, value]}):
            with pytest.raises(InputError, match=rf"the key `{meant}`, got `{key}`, which no step"):
                call(given)
    both = {"images": Image.fromarray(A), key: value}
    with pytest.raises(InputError, match=meant):
        SMALL(both)
    with pytest.raises(InputError, match=meant):
        jax.eval_shape(
            SMALL, {"images": A[None], key: jax.tree.map(lambda leaf: leaf[None], value)}
        )


@pytest.mark.parametrize(
    ("key", "value", "read"),
    [
        ("mask", A[..., 0], "segmentation_masks"),
        ("masks", A[..., :1], "segmentation_masks"),
        ("bbox", BOXES["boxes"], "bounding_boxes"),
        ("boxes", BOXES, "bounding_boxes"),
        ("keypoint", np.zeros((3, 2)), r"Batch\(keypoints=\.\.\.\)"),
    ],
)
def test_a_key_that_may_be_ones_own_is_warned_of(key: str, value: Any, read: str):
    with pytest.warns(
        UserWarning, match=rf"Got `{key}` in `x`, which no step moves.*{read}"
    ) as all:
        result = SMALL({"images": A, key: value})
    assert result[key] is value
    assert all[0].filename == __file__


def test_keys_of_ones_own_pass_without_a_word():
    own = {"mask_id": np.arange(3), "task": A[..., 0], "boxes_b": BOXES, "marks": A[..., 0]}
    own |= {"mask": 3, "box": "a", "keypoints": 17, "masks": np.zeros((2, 3)), 5: A[..., 0]}
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert SMALL({"images": A, **own}).keys() == {"images", *own}
        read = {"segmentation_masks": A[..., 0], "bounding_boxes": BOXES}
        SMALL({"images": A, **read, "mask": A[..., 0], "boxes": BOXES})
        # nothing moves
        ImageConverter()({"images": A, "msk": A[..., 0], "boxes": BOXES})


@pytest.mark.parametrize("name", ["msk", "boxs", "keypiont"])
def test_what_would_follow_the_image_is_refused_in_extras_under_a_misspelt_name(name: str):
    value = {"m": A[..., 0], "b": np.zeros((2, 4), np.float32), "k": np.zeros((2, 2), np.float32)}
    flipped = Pipeline((ops.Flip(),))
    with pytest.raises(InputError, match=f"got `{name}`, which no step would move"):
        flipped(Batch(image=A, extras={name: value[name[0]]}))


@pytest.mark.parametrize(("name", "size"), [("boxes", 4), ("bbox", 4), ("keypoints", 2)])
def test_a_field_of_a_batch_among_its_extras_is_warned_of(name: str, size: int):
    value = np.zeros((2, size), np.float32)
    with pytest.warns(UserWarning, match=rf"`{name}` in `batch\.extras`.*`Batch\("):
        PIPELINE(Batch(image=A, extras={name: value}))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        fields = {"boxes": np.zeros((2, 4), np.float32), "keypoints": np.zeros((2, 2), np.float32)}
        PIPELINE(Batch(image=A, extras={name: value}, **fields))
        Pipeline((ops.Rescale(0.5),))(Batch(image=A, extras={name: value}))


@pytest.mark.parametrize(
    ("x", "message"),
    [
        (np.ma.masked_greater(A, 9), r"got `MaskedArray`, of which some values are masked: fill"),
        ([A, np.ma.masked_greater(A, 9)], r"masked: fill them first - at `x\[1\]`"),
        (io.BytesIO(b""), "the file `BytesIO`: `jaxprep.read_image` reads"),
        (jax.random.key(0), "got `PRNGKeyArray`"),
    ],
)
def test_what_has_no_pixels_is_told_so(x: Any, message: str):
    for take in (PRE, ViTImageProcessor()):
        with pytest.raises(InputError, match=message.replace("`x", "`(x|images)")):
            take(x)
        with pytest.raises(InputError, match=r"got shape \(\)"):
            take(3.5)
    assert np.array_equal(PRE(np.ma.masked_array(A)), A)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"image": np.ma.masked_greater(A, 9)}, "masked: fill them, with `filled` - at `batch.im"),
        ({"extras": {"mask": np.ma.masked_greater(A[..., 0], 9)}}, r"`batch.extras\['mask'\]`"),
        ({"boxes": np.zeros((1, 4), complex)}, "got dtype complex128 - at `batch.boxes`"),
    ],
)
def test_a_batch_without_numbers_is_refused(fields: Any, message: str):
    with pytest.raises(InputError, match=message):
        PIPELINE(Batch(**{"image": A, **fields}))
    extras = {3: A, ("a", "b"): B}  # names are anything
    assert PIPELINE(Batch(image=A, extras=extras)).extras.keys() == extras.keys()


TWO = np.zeros((2, 4), np.float32)


@pytest.mark.parametrize(
    ("boxes", "message"),
    [
        ({"boxes": TWO, "labels": [7]}, r"one label for each box, \(2,\), got shape \(1,\)"),
        ({"boxes": TWO[:1], "labels": [7, 8]}, r"one label for each box"),
        ({"boxes": TWO, "labels": np.eye(2)}, r"one label for each box"),
        ({"boxes": TWO, "labels": ["a", "b"]}, r"got \['a', 'b'\] - at `bounding_boxes.labels`"),
        ({"boxes": TWO, "labels": np.array(["a", "b"], object)}, "got an array of object"),
        ({"boxes": TWO, "labels": [2**40, 1]}, "integers that int32 holds"),
        ({"boxes": [[0, 0, 4, 4], [1]], "labels": [7, 8]}, r"got \[\[0, 0, 4, 4\], \[1\]\]: "),
        ({"boxes": [None], "labels": [7]}, r"got \[None\] - at `bounding_boxes.boxes`"),
        ({"boxes": np.ma.masked_equal(TWO, 0), "labels": [7, 8]}, "masked: fill them"),
        ({"boxes": TWO * 1j, "labels": [7, 8]}, "got an array of complex64"),
    ],
)
def test_boxes_and_labels_that_do_not_fit_are_refused(boxes: Any, message: str):
    with pytest.raises(InputError, match=message):
        SMALL({"images": A, "bounding_boxes": boxes})


def test_an_image_may_have_no_boxes_and_labels_of_every_integer_type_have_minus_one():
    none = SMALL({"images": A, "bounding_boxes": {"boxes": [], "labels": []}})["bounding_boxes"]
    assert none["boxes"].shape == (0, 4) and none["labels"].shape == (0,)
    for dtype in (np.uint8, bool, np.uint32, np.int8):
        boxes = {"boxes": TWO[:1], "labels": np.ones(1, dtype)}
        labels = SMALL({"images": A, "bounding_boxes": boxes})["bounding_boxes"]["labels"]
        assert labels.tolist() == [-1]


@pytest.mark.parametrize(
    ("key", "value", "where"),
    [
        ("segmentation_masks", [A[..., 0]] * 3, "got 3 - at `segmentation_masks`"),
        ("segmentation_masks", [A[..., 0]], "got 1 - at `segmentation_masks`"),
        ("segmentation_masks", iter([A[..., 0]] * 2), "got `list_iterator` - at"),
        ("segmentation_masks", [A[..., 0], None], "got None - at `segmentation_masks`"),
        ("bounding_boxes", {"boxes": [TWO] * 3, "labels": [[1, 2]] * 3}, r"got 3 - at .*\.boxes`"),
        ("bounding_boxes", {"boxes": [TWO] * 2, "labels": [[1, 2]]}, r"got 1 - at .*\.labels`"),
        ("bounding_boxes", [BOXES, BOXES], "each is a list with an entry for each image"),
        ("bounding_boxes", None, "a dictionary with `boxes` and `labels`, got None"),
    ],
)
def test_a_list_of_images_takes_one_of_each_for_every_image(key: str, value: Any, where: str):
    with pytest.raises(InputError, match=where):
        SMALL({"images": [A, B], key: value})


def test_what_else_boxes_of_a_list_have_comes_back_as_it_is():
    names = [["cat"], ["dog", "a bird"]]
    boxes = {"boxes": [TWO[:1], TWO], "labels": [[1], [2, 3]], "names": names}
    result = SMALL({"images": [A, B], "bounding_boxes": boxes})
    assert result["bounding_boxes"]["names"] is names
