"""What classes of Transformers have beside a call: methods of single classes, single operations on
batches, class attributes, plain numbers, tensors of torch; live against the PIL backend.
"""

from __future__ import annotations

import dataclasses
import json
import sys
import types
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest
from goldens import universal_cases
from helpers.huggingface import common, universal
from helpers.huggingface.common import assert_close
from helpers.images import photograph
from PIL import Image

import jaxprep
from jaxprep import huggingface
from jaxprep.errors import InputError
from jaxprep.formats.huggingface import classes

pytestmark = pytest.mark.filterwarnings("ignore")

PIXELS = photograph(20, 30)
FIRST = np.ascontiguousarray(np.moveaxis(PIXELS, -1, 0))
BATCH = np.stack([FIRST, FIRST[:, ::-1]])
FLOATS = FIRST.astype(np.float32) / 255
LABELS = (np.arange(600, dtype=np.uint8) % 5).reshape(20, 30)
PIL_NAMES = [name for name, row in classes.rows().items() if "pil" in row.backends]
NOT_TAKEN = {
    # Steps inside of a call of Transformers, and code of a repository: see docs/conformance.md.
    *("fetch_images", "process_image", "register_for_auto_class", "patchify"),
    *(
        "aspect_ratio_preserving_resize",
        "extract_flattened_patches",
        "find_best_resize",
        "get_refine_size",
        "get_sliced_grid",
        "pan_and_scan",
        "reshape_by_patch",
        "split_images",
    ),
    "convert_to_rgb_pil",
    "spatial_patch_size",  # of HunYuan-VL, which nothing reads
    *("crop_image_to_patches", "get_image_patches", "resize_for_vision_encoder"),
}


def original(name: str) -> Any:
    reader = universal if name in universal_cases.CLASSES else common
    return reader.original(name)


def ours(name: str, **settings: Any) -> Any:
    return getattr(huggingface, f"{name}ImageProcessorPil")(**settings)


def theirs(name: str, **settings: Any) -> Any:
    return original(f"{name}ImageProcessor")(**settings)


# -- the surface


@pytest.mark.parametrize("name", PIL_NAMES)
def test_every_public_name_of_a_class_is_here_or_in_the_table_of_what_is_not(name: str) -> None:
    cls, processor = original(name), getattr(huggingface, name)(backend="pil")
    for attribute in dir(cls):
        # Transformers declares this one to raise `AttributeError`.
        is_refused = name.startswith("DeepseekVL") and attribute == "postprocess"
        if attribute.startswith("_") or attribute in NOT_TAKEN or is_refused:
            continue
        assert hasattr(processor, attribute), attribute


@pytest.mark.parametrize("name", PIL_NAMES)
def test_class_attributes_are_those_of_transformers(name: str) -> None:
    cls, here = original(name), getattr(huggingface, name)
    if name in ("VideoLlavaImageProcessor", "VivitImageProcessor"):
        return  # of release 4, whose defaults are those of `__init__`
    for key in cls.valid_kwargs.__annotations__:
        # A table that `__init__` fills in, and a switch that no config has.
        if hasattr(cls, key) and key not in ("split_resolutions", "return_row_col_info"):
            assert getattr(here, key) == getattr(cls, key), key
    names = set(cls.valid_kwargs.__annotations__) - {"is_nested"}
    assert names <= set(here.valid_kwargs.__annotations__)
    assert here.model_input_names == cls.model_input_names
    assert here().valid_kwargs is here.valid_kwargs
    with pytest.raises(AttributeError):
        _ = here.no_such_thing


@pytest.mark.parametrize("name", PIL_NAMES)
def test_a_size_in_the_keywords_of_from_dict_means_what_it_means_there(name: str) -> None:
    cls, here = original(name), getattr(huggingface, name)
    for key, value in (("size", 42), ("crop_size", 84), ("size", {"height": 9, "width": 7})):
        try:
            expected = getattr(cls.from_dict({}, **{key: value}), key)
        except ValueError:
            continue  # a lone number that today's class refuses: docs/differences.md
        if isinstance(expected, int):
            continue  # as it came, until a call
        if name == "SamImageProcessor" and value == 42:
            continue  # the longer edge, as in release 4
        is_lone = isinstance(value, int) and classes.rows()[name].legacy_size is not None
        if is_lone and key == "size":
            continue  # bounded, as in release 4
        if isinstance(expected, int):
            continue  # kept as it is by Emu3, of release 4, which never reads it
        try:
            processor = here.from_dict({}, **{key: value})
        except jaxprep.errors.ConfigError:
            continue  # accepted there until the first call
        assert getattr(processor, key) == dict(expected), key


# -- single operations


def test_single_operations_take_a_batch_and_give_its_images_one_by_one() -> None:
    mine, other = ours("ViT"), theirs("ViT")
    size = sys.modules["transformers"].image_utils.SizeDict(height=9, width=7)
    mean, std = [0.1, 0.2, 0.3], [0.4, 0.5, 0.6]
    pairs = [
        (mine.resize(BATCH, size), [other.resize(one, size) for one in BATCH]),
        (mine.center_crop(BATCH, size), [other.center_crop(one, size) for one in BATCH]),
        (mine.rescale(BATCH, 1 / 255), [other.rescale(one, 1 / 255) for one in BATCH]),
        (mine.normalize(BATCH, mean, std), [other.normalize(one, mean, std) for one in BATCH]),
    ]
    for result, wanted in pairs:
        assert_close(np.asarray(result), np.stack(wanted), "batch")
    last = np.moveaxis(BATCH, 1, -1)
    np.testing.assert_array_equal(mine.resize(last, size), np.moveaxis(pairs[0][0], 1, -1))
    changed = mine.resize(last, size, data_format="channels_first")
    np.testing.assert_array_equal(changed, pairs[0][0])
    np.testing.assert_array_equal(jax.jit(lambda batch: mine.resize(batch, size))(BATCH), changed)


def test_single_operations_refuse_a_list_of_images() -> None:
    for operation in ("resize", "center_crop"):
        with pytest.raises(InputError, match="one image, or a batch"):
            getattr(ours("ViT"), operation)([FIRST, FIRST], (4, 4))


def test_rescale_and_normalize_is_what_a_call_does() -> None:
    processor = huggingface.ViTImageProcessor(do_resize=False)
    settings = (True, 1 / 255, True, [0.5] * 3, [0.5] * 3)
    wanted = np.asarray(processor(FIRST).pixel_values)[0]
    np.testing.assert_array_equal(processor.rescale_and_normalize(FIRST, *settings), wanted)
    batch = processor.rescale_and_normalize(np.stack([FIRST, FIRST]), *settings)
    np.testing.assert_array_equal(batch[1], wanted)
    efficient = huggingface.EfficientNetImageProcessor()
    for offset in (False, True):
        result = efficient.rescale_and_normalize_efficientnet(FIRST, *settings, offset)
        wanted = (FIRST / 255 - offset - 0.5) / 0.5
        np.testing.assert_allclose(result, wanted, atol=2e-6)


def test_images_are_made_rgb_as_in_a_call() -> None:
    mine, other = ours("CLIP"), theirs("CLIP")
    rgba = np.concatenate([PIXELS, PIXELS[::-1, :, :1]], -1)
    for image in (PIXELS, PIXELS[..., :1], rgba):
        wanted = other.convert_to_rgb(image, input_data_format="channels_last")
        result = mine.convert_to_rgb(image, input_data_format="channels_last")
        np.testing.assert_array_equal(result, wanted)


@pytest.mark.parametrize(
    ("name", "builder"),
    [("PoolFormer", {"shortest_edge": 9}), ("MaskFormer", {"height": 9, "width": 7})],
)
def test_resize_alone_takes_what_its_method_takes_there(name: str, builder: dict) -> None:
    size = pytest.importorskip("transformers").image_utils.SizeDict(**builder)
    wanted = theirs(name).resize(FIRST, size, resample=2)
    np.testing.assert_array_equal(ours(name).resize(FIRST, size, resample=2), wanted)


RAMP = (np.arange(48, dtype=np.uint8) * 5).reshape(1, 6, 8)
TO_RAMP = {"size": (2, 3), "resample": 2, "input_data_format": "channels_first"}


@pytest.mark.parametrize(
    "name", ["CHMv2", "DPT", "Lfm2Vl", "RfDetr", "Siglip2", "SLANeXt", "UVDoc"]
)
def test_resize_alone_is_plain_where_a_call_has_a_rule_of_its_own(name: str) -> None:
    # The method's multiple is 1, whatever the processor's is.
    settings = {"ensure_multiple_of": 4} if name == "DPT" else {}
    result = getattr(huggingface, f"{name}ImageProcessor")(**settings).resize(RAMP, **TO_RAMP)
    # What Transformers gave for `resize(RAMP[None], SizeDict(height=2, width=3), resample=2)`.
    assert result.tolist() == [[[56, 68, 79], [156, 168, 179]]] and result.dtype == np.uint8


@pytest.mark.parametrize(("divisor", "width"), [(None, 13), (8, 8)])
def test_resize_alone_of_vilt_cuts_no_sides_unless_told(divisor: Any, width: int) -> None:
    size = {"shortest_edge": 10}
    image = np.zeros((3, 60, 80), np.uint8)
    resized = huggingface.ViltImageProcessor().resize(image, size, size_divisor=divisor)
    assert resized.shape == (3, 8 if divisor else 10, width)
    # The processor's divisor on the PIL backend.
    resized = huggingface.ViltImageProcessorPil(size_divisor=4).resize(image, size)
    assert resized.shape == (3, 8, 12)


def test_resize_alone_of_zoedepth_keeps_the_corners() -> None:
    result = huggingface.ZoeDepthImageProcessor().resize(RAMP, **TO_RAMP)
    assert result.tolist() == [[[0, 18, 35], [200, 218, 235]]]
    # No resize of Pillow, so floats in [0, 1] are no levels.
    floats = huggingface.ZoeDepthImageProcessorPil().resize(np.float32(RAMP / 255), **TO_RAMP)
    np.testing.assert_allclose(floats * 255, [[[0, 17.5, 35], [200, 217.5, 235]]], atol=1e-4)


def _sides(height: int, width: int) -> Any:
    return pytest.importorskip("transformers").image_utils.SizeDict(height=height, width=width)


@pytest.mark.parametrize(
    ("name", "operation", "arguments"),
    [
        ("Detr", "pad", ((24, 33), None, True, 7)),
        ("Idefics2", "pad", ((24, 33), 7)),
        ("Idefics3", "pad", ((20, 30),)),
        ("SmolVLM", "pad", ((24, 33), 7, False)),
        ("Mllama", "pad", ({"height": 16, "width": 12}, (2, 3))),
        ("Mllama", "resize", ({"height": 16, "width": 16}, 4, 3)),
        ("Swin2SR", "pad", (None,)),
        ("Swin2SR", "pad", (None, 10)),
        ("Perceiver", "center_crop", ((10, 9), (12, 12))),
    ],
)
def test_operations_with_a_rule_of_their_class_are_those_of_its_method(
    name: str, operation: str, arguments: tuple[Any, ...]
) -> None:
    given = arguments
    if operation == "center_crop":
        given = tuple(_sides(*pair) for pair in arguments)
    wanted = jax.tree.leaves(getattr(theirs(name), operation)(FIRST, *given))
    results = jax.tree.leaves(getattr(ours(name), operation)(FIRST, *arguments))
    for result, expected in zip(results, wanted, strict=True):
        np.testing.assert_array_equal(result, expected)
    if operation == "resize":
        return  # torch resizes otherwise
    # A batch is its images one by one, on either backend.
    processor = getattr(huggingface, f"{name}ImageProcessor")()
    batch = jax.tree.leaves(getattr(processor, operation)(BATCH, *arguments))
    for result, expected in zip(batch, wanted, strict=True):
        np.testing.assert_array_equal(result[0], expected)


# -- methods of single classes


def test_images_are_padded_as_the_method_of_each_class_does() -> None:
    for name, divisor in (("DPT", 16), ("PromptDepthAnything", 16), ("VitMatte", 16)):
        wanted = theirs(name).pad_image(FIRST, divisor)
        np.testing.assert_array_equal(ours(name).pad_image(FIRST, divisor), wanted, name)
        assert ours(name).pad_image(BATCH, divisor).shape == (2, *wanted.shape)
    random = np.zeros((3, 249, 491))
    assert ours("VitMatte").pad_image(random).shape == (3, 256, 512)
    for name in ("Llava", "Janus", "DeepseekVL"):
        for color in (3, (1, 2, 3)):
            wanted = theirs(name).pad_to_square(FIRST, color)
            np.testing.assert_array_equal(ours(name).pad_to_square(FIRST, color), wanted, name)
    with pytest.raises(InputError, match="for each of 3 channels"):
        ours("Llava").pad_to_square(FIRST, (1, 2))


def test_values_and_channels_change_as_the_method_of_each_class_does() -> None:
    wanted = theirs("MobileViT").flip_channel_order(FIRST)
    np.testing.assert_array_equal(ours("MobileViT").flip_channel_order(FIRST), wanted)
    mean, std = [0.1, 0.2, 0.3], [0.4, 0.5, 0.6]
    wanted = theirs("Janus").unnormalize(FLOATS, mean, std)
    result = ours("Janus").unnormalize(FLOATS, mean, std)
    assert_close(np.asarray(result), np.asarray(wanted, np.float32), "Janus")
    size = pytest.importorskip("transformers").image_utils.SizeDict(height=14, width=14)
    for keeps in (False, True):
        wanted = theirs("PromptDepthAnything").resize_with_aspect_ratio(FIRST, size, keeps, 7)
        result = ours("PromptDepthAnything").resize_with_aspect_ratio(FIRST, size, keeps, 7)
        np.testing.assert_array_equal(result, wanted)


def test_labels_are_reduced_and_the_callers_are_not_written_to() -> None:
    labels = np.array([[0, 1], [254, 255]], np.uint8)
    before = labels.copy()
    for name in ("Beit", "DPT", "Segformer", "MobileViT"):
        wanted = theirs(name).reduce_label(labels.copy())
        np.testing.assert_array_equal(ours(name).reduce_label(labels), wanted, name)
    listed = [labels.copy()]
    theirs("MaskFormer").reduce_label(listed)
    np.testing.assert_array_equal(ours("MaskFormer").reduce_label([labels])[0], listed[0])
    np.testing.assert_array_equal(labels, before)


def test_masks_are_painted_with_the_palette_of_seggpt() -> None:
    mine, other = ours("SegGpt"), theirs("SegGpt")
    palette = mine.get_palette(5)
    assert palette == other.get_palette(5)
    for mask in (LABELS, LABELS[None]):
        np.testing.assert_array_equal(mine.mask_to_rgb(mask), other.mask_to_rgb(mask))
        wanted = other.mask_to_rgb(mask, palette)
        np.testing.assert_array_equal(mine.mask_to_rgb(mask, palette), wanted)
    with pytest.raises(InputError, match="below 2"):
        mine.mask_to_rgb(LABELS, palette[:2])


def test_sizes_of_ocr_are_those_of_the_torchvision_classes() -> None:
    # What Transformers 5.24 returned.
    image = np.zeros((3, 40, 52), np.uint8)
    assert huggingface.PPLCNetImageProcessor().get_image_size(image, 256, 32) == {
        "height": 256,
        "width": 352,
    }
    size, own = huggingface.PPOCRV5ServerDetImageProcessor().get_image_size(image, 736, "max", 4000)
    assert size == {"height": 32, "width": 64} and own.tolist() == [40, 52]
    target = huggingface.PPOCRV6SmallRecImageProcessor().get_target_size([(30, 900), (20, 30)])
    assert target == {"height": 48, "width": 1440}


BOX = {"bbox": [4, 4, 12, 10], "category_id": 2, "area": 120, "iscrowd": 0}
ANNOTATION = {"image_id": 1, "annotations": [BOX, {**BOX, "bbox": [0, 0, 5, 9], "id": 3}]}


@pytest.mark.parametrize("name", ["Detr", "ConditionalDetr", "RTDetr", "Yolos"])
def test_annotations_change_as_the_methods_of_detection_do(name: str) -> None:
    mine, other = ours(name), theirs(name)
    wanted = other.prepare_annotation(FIRST, ANNOTATION, input_data_format="channels_first")
    target = mine.prepare_annotation(FIRST, ANNOTATION, input_data_format="channels_first")
    masks = {"masks": np.stack([LABELS > 1, LABELS == 0])}
    steps = (
        lambda processor, one: one,
        lambda processor, one: processor.resize_annotation({**one, **masks}, (20, 30), (10, 20)),
        lambda processor, one: processor.normalize_annotation(one, (20, 30)),
        lambda processor, one: processor.pad(FIRST, (24, 33), {**one, **masks}, False)[2],
        lambda processor, one: processor.pad(FIRST, (20, 30), one)[2],
        # The last, since Transformers writes into the boxes that it is given.
        lambda processor, one: processor.pad(FIRST, (24, 33), one)[2],
    )
    for step in steps:
        result, expected = step(mine, target), step(other, wanted)
        assert result.keys() == expected.keys()
        for key, value in expected.items():
            np.testing.assert_allclose(result[key], value, rtol=1e-6, err_msg=key)


def test_segments_of_another_size_than_the_image_are_taken_as_there(tmp_path: Path) -> None:
    colors = np.zeros((16, 16, 3), np.uint8)
    colors[4:12, 2:9, 0], colors[12:, :, 0] = 7, 9
    Image.fromarray(colors).save(tmp_path / "segments.png")
    segments = [
        {"id": number, "category_id": number, "iscrowd": 0, "area": 56} for number in (7, 9)
    ]
    annotation = {"image_id": 1, "file_name": "segments.png", "segments_info": segments}
    for settings in ({"size": {"height": 24, "width": 12}}, {"do_resize": False}):
        given = {"annotations": annotation, "masks_path": tmp_path, "return_tensors": "np"}
        settings = {"format": "coco_panoptic", "do_pad": False, **settings}
        wanted = theirs("Detr", **settings)(PIXELS, **given).labels[0]
        labels = ours("Detr", **settings)(PIXELS, **given).labels[0]
        assert labels.keys() == wanted.keys()
        for key, value in wanted.items():
            np.testing.assert_allclose(labels[key], value, rtol=1e-6, err_msg=key)


# -- inputs


@pytest.mark.parametrize(
    ("name", "settings"),
    [
        ("ViT", {"size": {"height": 9, "width": 7}}),
        ("Beit", {"size": 9, "do_center_crop": False}),
        ("Swin2SR", {"size_divisor": 8, "do_normalize": True}),
        ("Detr", {"size": {"height": 9, "width": 7}}),
        ("Segformer", {"size": 9}),
    ],
)
@pytest.mark.parametrize("layout", ["channels_last", "channels_first"])
def test_four_channels_with_four_means_in_the_call(name: str, settings: dict, layout: str) -> None:
    image = np.concatenate([PIXELS, PIXELS[::-1, :, :1]], -1)
    if layout == "channels_first":
        image = np.moveaxis(image, -1, 0)
    given = {"image_mean": [0.1, 0.2, 0.3, 0.4], "image_std": [1.0, 0.9, 0.8, 0.7]}
    given["input_data_format"] = layout
    wanted = theirs(name, **settings)(image, return_tensors="np", **given).pixel_values
    result = ours(name, **settings)(image, **given).pixel_values
    assert_close(np.asarray(result), wanted, name)


@pytest.mark.parametrize("name", ["PPLCNet", "PPOCRV5ServerDet"])
def test_reversed_channels_are_the_first_three_as_on_the_torchvision_backend(name: str) -> None:
    image = np.concatenate([PIXELS, PIXELS[::-1, :, :1]], -1)
    processor = getattr(huggingface, f"{name}ImageProcessor")()
    means, stds = [0.1, 0.2, 0.3, 0.4], [1.0, 0.9, 0.8, 0.7]
    wanted = processor(PIXELS, image_mean=means[:3], image_std=stds[:3]).pixel_values
    result = processor(image, image_mean=means, image_std=stds).pixel_values
    np.testing.assert_array_equal(result, wanted)


@pytest.mark.parametrize("mean", [[0.1, 0.2, 0.3, 0.4], 0.0])
def test_a_matte_of_four_channels_has_five(mean: Any) -> None:
    image = np.concatenate([PIXELS, PIXELS[::-1, :, :1]], -1)
    given = {"image_mean": mean, "image_std": 1.0 if mean == 0 else [0.5] * 4}
    settings = {"size_divisor": 10}
    for backend in ("pil", "torchvision"):
        processor = huggingface.VitMatteImageProcessor(backend=backend, **settings)
        result = np.asarray(processor(image, trimaps=LABELS, **given).pixel_values)
        wanted = theirs("VitMatte", **settings)(image, LABELS, return_tensors="np", **given)
        assert result.shape == (1, 5, 20, 30)
        assert_close(result, wanted.pixel_values.astype(np.float32), backend)
    with pytest.raises(InputError, match="channels"):
        ours("VitMatte", **settings)(image, trimaps=LABELS)


@pytest.mark.parametrize(
    "call",
    [
        lambda maps: huggingface.SegformerImageProcessor(size=8)(PIXELS, maps),
        lambda maps: huggingface.SegformerImageProcessor(size=8)([PIXELS, PIXELS], [maps, maps]),
        lambda maps: huggingface.SegformerImageProcessor(size=8)(PIXELS, maps[None]),
        lambda maps: huggingface.MaskFormerImageProcessor()(PIXELS, maps),
        lambda maps: huggingface.VitMatteImageProcessor()(PIXELS, trimaps=maps),
        lambda maps: huggingface.PromptDepthAnythingImageProcessor()(PIXELS, prompt_depth=maps),
        lambda maps: huggingface.SegGptImageProcessor()(prompt_masks=maps),
        lambda maps: jax.jit(huggingface.SegformerImageProcessor(size=8))(PIXELS, maps),
    ],
)
def test_a_map_with_an_axis_of_channels_is_told_to_go_without(call: Any) -> None:
    with pytest.raises(InputError, match=r"no axis of channels: pass `.*\[\.\.\., 0\]`"):
        call(LABELS[..., None])


# -- outputs


def test_sizes_are_plain_numbers_without_return_tensors() -> None:
    sides = {"size": {"longest_edge": 12}, "pad_size": {"height": 12, "width": 12}}
    wanted = theirs("Sam", **sides)(PIXELS)
    result = ours("Sam", **sides)(PIXELS, return_tensors=None)
    for key in ("original_sizes", "reshaped_input_sizes"):
        assert result[key] == wanted[key] and type(result[key][0]) is type(wanted[key][0])
    for kind, expected in (("np", np.ndarray), ("jax", jax.Array)):
        sizes = ours("Sam", **sides)(PIXELS, return_tensors=kind).original_sizes
        assert isinstance(sizes, expected) and sizes.tolist() == [[20, 30]]
    settings = {"size": {"height": 9, "width": 7}}
    labels = ours("Detr", **settings)(PIXELS, ANNOTATION, return_tensors=None).labels[0]
    assert labels["size"] == theirs("Detr", **settings)(PIXELS, ANNOTATION).labels[0]["size"]


def test_counts_are_plain_numbers_without_return_tensors() -> None:
    """What both backends of Transformers 5.24 returned; they need torch."""
    pages = [PIXELS, PIXELS[:, :16]]
    counted = ours("Kosmos2_5", max_patches=9)(pages, return_tensors=None)
    wanted = {"rows": [2, 3], "cols": [3, 2], "height": [32, 48], "width": [48, 32]}
    for name, numbers in wanted.items():
        assert counted[name] == numbers and {type(n) for n in counted[name]} == {int}, name
    for kind, expected in (("np", np.ndarray), ("jax", jax.Array)):
        rows = ours("Kosmos2_5", max_patches=9)(pages, return_tensors=kind).rows
        assert isinstance(rows, expected) and rows.tolist() == [2, 3]


class Tensor:
    """What is used of a tensor of torch."""

    is_floating_point = lambda self: self.array.dtype.kind == "f"  # noqa: E731
    device = "cpu"

    def __init__(self, array: Any):
        self.array = np.asarray(array)
        self.shape, self.ndim = self.array.shape, self.array.ndim
        self.dtype = self.array.dtype

    def to(self, *args: Any, **kwargs: Any) -> Tensor:
        kinds = [*args, kwargs.get("dtype")]
        dtype = next((kind for kind in kinds if isinstance(kind, np.dtype)), None)
        return Tensor(self.array if dtype is None else self.array.astype(dtype))

    def detach(self) -> Tensor:
        return self

    def cpu(self) -> Tensor:
        return self

    def __dlpack__(self, **options: Any) -> Any:
        return self.array.__dlpack__(**options)

    def __dlpack_device__(self) -> Any:
        return self.array.__dlpack_device__()

    def __len__(self) -> int:
        return len(self.array)

    def __getitem__(self, index: Any) -> Any:
        return self.array[index]

    def __array__(self, *args: Any, **kwargs: Any) -> np.ndarray:
        return self.array


@pytest.fixture
def torch(monkeypatch: pytest.MonkeyPatch) -> Any:
    stub = types.SimpleNamespace(Tensor=Tensor, from_numpy=Tensor, dtype=np.dtype)
    monkeypatch.setitem(sys.modules, "torch", stub)
    return stub


@dataclasses.dataclass
class Outputs:
    logits: Any
    pred_boxes: Any = None


def test_tensors_come_back_from_post_processing_where_tensors_came_in(torch: Any) -> None:
    logits = np.random.default_rng(0).normal(size=(1, 4, 5, 6)).astype(np.float32)
    semantic = huggingface.SegformerImageProcessor().post_process_semantic_segmentation
    (wanted,) = semantic({"logits": logits}, target_sizes=[(7, 8)])
    for outputs in ({"logits": Tensor(logits)}, Outputs(Tensor(logits))):
        (result,) = semantic(outputs, target_sizes=[(7, 8)])
        assert isinstance(result, Tensor)
        np.testing.assert_array_equal(result.array, wanted)
    # Sizes alone do not decide.
    assert isinstance(semantic({"logits": logits}, Tensor([[7, 8]]))[0], jax.Array)
    boxes = np.full((1, 4, 4), 0.5, np.float32)
    detect = huggingface.DetrImageProcessor().post_process_object_detection
    (found,) = detect(Outputs(Tensor(logits[..., 0]), Tensor(boxes)), 0.0)
    assert all(isinstance(value, Tensor) for value in found.values())
    images = huggingface.JanusImageProcessor().postprocess(Tensor(FLOATS)).pixel_values
    assert isinstance(images, Tensor)
    kept = huggingface.JanusImageProcessor().postprocess(Tensor(FLOATS), return_tensors="np")
    assert isinstance(kept.pixel_values, np.ndarray)


class Bfloat16(Tensor):
    """A tensor that NumPy cannot read: of bfloat16, or with a gradient."""

    def __init__(self, array: Any):
        super().__init__(array)
        self.dtype = "torch.bfloat16"  # type: ignore[assignment]

    def float(self) -> np.ndarray:
        return self.array

    def __array__(self, *args: Any, **kwargs: Any) -> np.ndarray:
        raise TypeError("Got unsupported ScalarType BFloat16")


def test_outputs_of_bfloat16_and_with_gradients_are_processed(torch: Any) -> None:
    """`Tensor.numpy` refuses both; Transformers takes them, as models return them."""
    logits = np.random.default_rng(0).normal(size=(1, 4, 5, 6)).astype(np.float32)
    semantic = huggingface.SegformerImageProcessor().post_process_semantic_segmentation
    (wanted,) = semantic({"logits": logits}, target_sizes=[(7, 8)])
    for size in ([(7, 8)], Bfloat16([[7, 8]]), [Bfloat16([7, 8])]):
        for outputs in ({"logits": Bfloat16(logits)}, Outputs(Bfloat16(logits))):
            (result,) = semantic(outputs, target_sizes=size)
            np.testing.assert_array_equal(result.array, wanted)
    named = jaxprep.postprocess.dense_semantic_segmentation({"logits": Bfloat16(logits)}, [(7, 8)])
    np.testing.assert_array_equal(named[0], wanted)
    sizes = {"original_sizes": [[9, 8]], "reshaped_input_sizes": [[1024, 900]]}
    masks = huggingface.SamImageProcessor().post_process_masks
    (wanted,) = masks([logits], **sizes)
    (result,) = masks([Bfloat16(logits)], **sizes)
    np.testing.assert_array_equal(result.array, wanted)


def test_results_of_bfloat16_are_that_in_torch(torch: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    bfloat16 = np.dtype(jax.numpy.bfloat16)
    monkeypatch.setattr(torch, "bfloat16", bfloat16, raising=False)
    monkeypatch.setattr(
        Tensor, "view", lambda self, dtype: Tensor(self.array.view(dtype)), raising=False
    )
    processor = huggingface.Llama4ImageProcessor(size={"height": 8, "width": 8}, max_patches=1)
    wanted = processor(PIXELS, return_tensors="np").pixel_values
    values = processor(PIXELS, return_tensors="pt").pixel_values
    assert values.dtype == wanted.dtype == bfloat16
    np.testing.assert_array_equal(values.array, wanted)


def test_annotations_are_tensors_where_tensors_are_asked_for(torch: Any) -> None:
    processor = ours("Detr", size={"height": 9, "width": 7})
    feature = processor(PIXELS, ANNOTATION, return_tensors="pt")
    assert all(isinstance(value, Tensor) for value in feature.labels[0].values())
    assert feature.labels[0]["size"].array.tolist() == [9, 7]
    half = np.dtype(np.float16)
    moved = feature.to(half)
    assert moved.pixel_values.dtype == moved.labels[0]["boxes"].dtype == half
    assert moved.labels[0]["class_labels"].dtype == np.int64


# -- video processors, which only torch lets import

VIDEO_NAMES = json.loads(Path(universal_cases.__file__).with_name("video_names.json").read_text())
NOT_TAKEN_OF_VIDEOS = NOT_TAKEN | {
    "concat_frames_as_image",  # a step inside of a call: see `jaxprep.huggingface.sliced_videos`
    "resize_and_split_patches",
    "smart_resize",
    *("max_duration", "max_image_size"),  # attributes of classes that take no such setting
}
WITHOUT_DEFAULTS = {
    "NemotronH_Omni_Reasoning_V3VideoProcessor": {"norm_mean": [0.5] * 3, "norm_std": [0.5] * 3}
}


@pytest.mark.parametrize("name", sorted(classes.video_rows()))
def test_every_public_name_of_a_class_of_videos_is_here_or_in_that_table(name: str) -> None:
    processor = getattr(huggingface, name)(**WITHOUT_DEFAULTS.get(name, {}))
    wanted = {*VIDEO_NAMES["every"], *VIDEO_NAMES["classes"][name]} - NOT_TAKEN_OF_VIDEOS
    assert not [attribute for attribute in wanted if not hasattr(processor, attribute)]
