"""Detection classes, and those with a `pixel_mask`: against Transformers' PIL backend live,
torchvision's by goldens.

Masks, labels and 8-bit images must be equal in every bit. A difference of one in the 8-bit image is
at least 1e-3 in the result, so agreement to 2e-6 says that it is exact too.
"""

from __future__ import annotations

import pathlib
import types
from typing import Any

import jax
import numpy as np
import pytest
from goldens import detection_cases, inputs, store
from helpers.huggingface import detection
from helpers.huggingface.common import assert_close, of_class, original, pictures

import jaxprep
from jaxprep import huggingface
from jaxprep.huggingface import coco
from jaxprep.ops import sizes

ROWS = detection_cases.classes()
PIL_NAMES = [name for name, row in ROWS.items() if "pil" in row["backends"]]
TARGETS = [name for name, row in ROWS.items() if row["family"] == "detection"]
LAND, PORT, TINY = (
    inputs.image(recipe)
    for recipe in (detection_cases.LAND, detection_cases.PORT, detection_cases.TINY)
)
SMALL = detection_cases.SMALL


def same_labels(ours: dict, theirs: dict, where: Any) -> None:
    assert sorted(ours) == sorted(theirs), where
    for key, value in theirs.items():
        mine, other = np.asarray(ours[key]), np.asarray(value)
        assert (mine.shape, mine.dtype) == (other.shape, other.dtype), (
            where,
            key,
            mine.dtype,
            other.dtype,
        )
        assert (mine == other).all(), (where, key, mine, other)


# -- the originals ---------------------------------------------------------------------------------


@pytest.mark.filterwarnings("ignore")  # of the originals, on unusual settings
@pytest.mark.parametrize("name", PIL_NAMES)
def test_every_setting_gives_what_the_pil_backend_gives(
    name: str, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cls = original(name)
    detection.replace_pycocotools(monkeypatch)
    for case in of_class(detection.shown("pil"), name):
        kwargs = detection.keywords(case, tmp_path)
        theirs = cls(**case["settings"])(pictures(case), return_tensors="np", **kwargs)
        ours = getattr(huggingface, f"{name}Pil")(**case["settings"])(
            pictures(case), return_tensors="np", **kwargs
        )
        assert sorted(ours) == sorted(theirs), case
        assert_close(ours["pixel_values"], theirs["pixel_values"], case)
        if "pixel_mask" in theirs:
            same_labels({"mask": ours["pixel_mask"]}, {"mask": theirs["pixel_mask"]}, case)
        for mine, other in zip(ours.get("labels", []), theirs.get("labels", []), strict=True):
            same_labels(mine, other, case)


@pytest.mark.parametrize("name", list(ROWS))
def test_every_setting_gives_what_the_torchvision_backend_gives(
    name: str, tmp_path: pathlib.Path
) -> None:
    goldens = store.golden("detection")
    for case in of_class(detection.shown("torchvision"), name):
        processor = getattr(huggingface, name)(**case["settings"])
        ours = processor(pictures(case), return_tensors="np", **detection.keywords(case, tmp_path))
        digests, samples = detection_cases.summary(ours)
        assert digests == case["digests"], {
            k: v for k, v in digests.items() if v != case["digests"].get(k)
        } | case
        if samples is not None:
            assert_close(*goldens.pair(case["samples"], samples), case)


def test_outlines_are_those_of_pycocotools() -> None:
    drawn = [coco.mask_of(outline, size, "here") for outline, size in detection_cases.polygons()]
    golden = next(case for case in store.golden("detection").cases if "outlines" in case)
    wanted = store.golden("detection").values(golden["drawn"])
    assert [int(store.digest(mask)[:8], 16) for mask in drawn] == wanted.tolist()


def test_size_rules_are_the_originals_for_any_size() -> None:
    transforms = pytest.importorskip("transformers.image_transforms")
    yolos = pytest.importorskip("transformers.models.yolos.image_processing_pil_yolos")
    vilt = pytest.importorskip("transformers.models.vilt.image_processing_pil_vilt")
    draws = np.random.default_rng(0)
    for height, width, edge, longest in draws.integers(40, 900, (3000, 4)).tolist():
        size, bound = (height, width), edge + longest
        wanted = transforms.get_size_with_aspect_ratio(size, edge, bound)
        assert sizes.AspectRatio(edge, bound).output_size(size) == wanted
        wanted = yolos.get_size_with_aspect_ratio_yolos(size, edge, bound)
        assert 0 in wanted or sizes.AspectRatioBelow(edge, bound, 16).output_size(size) == wanted
        image = np.broadcast_to(np.uint8(0), (3, *size))
        wanted = vilt.get_resize_output_image_size(
            image, edge, int(1333 / 800 * edge), 32, "channels_first"
        )
        assert 0 in wanted or sizes.ShortestBelow(edge, 32).output_size(size) == wanted


# -- images and masks ------------------------------------------------------------------------------


def detr(name: str = "DetrImageProcessor", **settings: Any) -> Any:
    return getattr(huggingface, name)(**{**SMALL, **settings})


ANNOTATIONS = detection_cases.annotations("boxes", [(131, 187), (191, 101)])


def test_the_mask_says_where_an_image_is_and_padding_is_zero() -> None:
    features = detr()([LAND, PORT], return_tensors="np")
    assert features.pixel_mask.sum((1, 2)).tolist() == [84 * 120, 120 * 63]
    outside = (features.pixel_mask == 0)[:, None] & np.ones((1, 3, 1, 1), bool)
    assert (features.pixel_values[outside] == 0).all() and (
        features.pixel_values[~outside] != 0
    ).mean() > 0.99


def test_a_batch_is_its_images_one_by_one() -> None:
    processor = detr()
    batch = processor([LAND, PORT, TINY], return_tensors="np")
    for i, image in enumerate((LAND, PORT, TINY)):
        (alone,) = processor(image, return_tensors="np").pixel_values
        assert (batch.pixel_values[i, :, : alone.shape[1], : alone.shape[2]] == alone).all()
        assert (batch.pixel_mask[i, : alone.shape[1], : alone.shape[2]] == 1).all()


@pytest.mark.parametrize(
    "name", ["DetrImageProcessor", "ViltImageProcessor", "RTDetrImageProcessor"]
)
@pytest.mark.parametrize("data_format", ["channels_first", "channels_last"])
def test_jit_changes_nothing(name: str, data_format: str) -> None:
    processor = detr(
        name, **({"size": {"shortest_edge": 90}} if name == "ViltImageProcessor" else {})
    )
    arrays = (np.asarray(LAND), np.asarray(PORT))

    def call(images: Any) -> Any:
        return processor(list(images), do_pad=True, data_format=data_format, return_tensors="jax")

    inside, outside = jax.jit(call)(arrays), call(arrays)
    assert inside.keys() == outside.keys() == {"pixel_values", "pixel_mask"}
    for key, value in outside.items():
        assert value.dtype == inside[key].dtype
        np.testing.assert_allclose(value, inside[key], rtol=0, atol=1e-6)


def test_the_pipeline_of_a_processor_works_inside_jit() -> None:
    processor = detr()
    alone = jax.jit(lambda image: processor.pipeline(jaxprep.Batch(image=image)).image)(
        np.asarray(LAND)
    )
    np.testing.assert_allclose(alone, processor(LAND).pixel_values[0], rtol=0, atol=1e-6)


def test_annotations_inside_jit_are_refused() -> None:
    with pytest.raises(jaxprep.errors.InputError, match="annotations are host data"):
        jax.jit(lambda image: detr()(image, ANNOTATIONS[0]))(np.asarray(LAND))


def test_channels_come_last_where_that_is_asked_for() -> None:
    first, last = (
        detr()([LAND, PORT], data_format=layout, return_tensors="np")
        for layout in (None, "channels_last")
    )
    assert (np.moveaxis(first.pixel_values, 1, -1) == last.pixel_values).all()
    assert (first.pixel_mask == last.pixel_mask).all()


def test_images_that_are_not_padded_are_a_list() -> None:
    features = detr()([LAND, PORT], do_pad=False)
    assert [value.shape for value in features.pixel_values] == [(3, 84, 120), (3, 120, 63)]
    assert "pixel_mask" not in features


def test_an_image_larger_than_its_padding_is_refused() -> None:
    with pytest.raises(jaxprep.errors.InputError, match=r"at most \(100, 100\)"):
        detr()(LAND, pad_size={"height": 100, "width": 100})


def test_images_of_different_channels_are_not_padded_to_one_array() -> None:
    with pytest.raises(
        jaxprep.errors.InputError, match=r"one number of channels.*got \[1, 3\].*do_convert_rgb"
    ):
        detr(do_normalize=False)([LAND.convert("L"), LAND])


def test_a_side_that_would_vanish_is_refused() -> None:
    with pytest.raises(jaxprep.errors.InputError, match="at least 32 pixels a side"):
        huggingface.ViltImageProcessor()(np.zeros((400, 10, 3), np.uint8))


def test_the_single_operations_are_those_of_the_class() -> None:
    image = np.asarray(LAND)
    assert detr("YolosImageProcessor").resize(image, SMALL["size"]).shape == (80, 112, 3)
    assert huggingface.BridgeTowerImageProcessor().center_crop(
        image, {"shortest_edge": 64}
    ).shape == (64, 64, 3)


# -- settings --------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", TARGETS)
def test_settings_of_a_call_are_settings_of_the_class(name: str) -> None:
    changed = {
        "size": {"height": 97, "width": 131},
        "do_pad": True,
        "do_convert_annotations": False,
    }
    ours = getattr(huggingface, name)()(LAND, ANNOTATIONS[0], **changed)
    theirs = getattr(huggingface, name)(**changed)(images=LAND, annotations=ANNOTATIONS[:1])
    jax.tree.map(np.testing.assert_array_equal, ours, theirs)


def test_boxes_are_converted_where_values_are_normalised_unless_a_call_says_otherwise() -> None:
    for name, wanted in (("DetrImageProcessor", False), ("RTDetrImageProcessor", True)):
        assert (
            getattr(huggingface, name).from_dict({"do_normalize": False}).do_convert_annotations
            is wanted
        )
    processor = huggingface.DetrImageProcessor.from_dict(SMALL)
    (label,) = processor(LAND, ANNOTATIONS[0], do_normalize=False).labels
    assert label["boxes"].max() <= 1


@pytest.mark.parametrize(
    ("config", "size"),
    [
        ({"size": 600}, {"shortest_edge": 600, "longest_edge": 1333}),
        ({"size": 600, "max_size": 900}, {"shortest_edge": 600, "longest_edge": 900}),
        ({"max_size": 900}, {"shortest_edge": 800, "longest_edge": 1333}),
        ({"size": {"longest_edge": 800}}, {"shortest_edge": 800, "longest_edge": 800}),
    ],
)
def test_old_configs_mean_what_they_meant(config: dict, size: dict) -> None:
    old = {
        "feature_extractor_type": "DetrFeatureExtractor",
        "pad_and_return_pixel_mask": False,
        **config,
    }
    made = huggingface.BaseImageProcessor.from_dict(old)
    assert (made.size, made.do_pad, made.to_dict()) == (size, False, old)


def test_old_names_replace_settings_of_a_file() -> None:
    options = {"size": 600, "max_size": 900, "pad_and_return_pixel_mask": False, "foo": 1}
    made, unused = huggingface.DetrImageProcessor.from_dict(
        {"do_pad": True}, **options, return_unused_kwargs=True
    )
    assert (made.size, made.do_pad, unused) == (
        {"shortest_edge": 600, "longest_edge": 900},
        False,
        {"foo": 1},
    )


@pytest.mark.parametrize("name", list(ROWS))
def test_a_saved_processor_reads_back_equal(name: str, tmp_path: pathlib.Path) -> None:
    made = getattr(huggingface, name)(do_normalize=False)
    made.save_pretrained(tmp_path)
    read = huggingface.AutoImageProcessor.from_pretrained(tmp_path)
    assert (type(read), read.to_dict(), read.pipeline) == (
        type(made),
        made.to_dict(),
        made.pipeline,
    )


@pytest.mark.parametrize(
    ("name", "config"),
    [
        ("DetrImageProcessor", {"size": {"shortest_edge": 90}}),
        ("DetrImageProcessor", {"format": "voc"}),
        ("ViltImageProcessor", {"size": {"height": 90, "width": 90}}),
        ("ViltImageProcessor", {"size_divisor": 0}),
        ("BridgeTowerImageProcessor", {"crop_size": {"longest_edge": 90}}),
    ],
)
def test_a_wrong_setting_is_one_clear_error(name: str, config: dict) -> None:
    with pytest.raises(jaxprep.errors.ConfigError, match=rf"at `\$\.{next(iter(config))}`"):
        getattr(huggingface, name)(**config)


# -- labels ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("return_tensors", ["jax", None])
def test_labels_are_dictionaries_of_jax_arrays(return_tensors: Any) -> None:
    labels = detr()([LAND, PORT], ANNOTATIONS, return_tensors=return_tensors).labels
    assert [label["class_labels"].tolist() for label in labels] == [[0, 3, 12], [1, 4, 13]]
    sizes = [label.pop("size") for label in labels]
    assert all(isinstance(leaf, jax.Array) for leaf in jax.tree.leaves(labels))
    # With None they are pairs of Python's numbers, as in Transformers.
    assert all(isinstance(size, tuple) == (return_tensors is None) for size in sizes)
    assert {key: str(value.dtype) for key, value in labels[0].items()} == {
        **dict.fromkeys(("image_id", "class_labels", "iscrowd", "orig_size"), "int32"),
        **dict.fromkeys(("boxes", "area"), "float32"),
    }


def test_a_number_that_jax_would_cut_is_refused() -> None:
    annotation = {**ANNOTATIONS[0], "image_id": 2**40}
    with pytest.raises(
        jaxprep.errors.InputError, match="at most 32 bits, got 1099511627776 - at `image_id`"
    ):
        detr()(LAND, annotation)
    assert detr()(LAND, annotation, return_tensors="np").labels[0]["image_id"].tolist() == [2**40]


@pytest.mark.parametrize("name", ["DetrImageProcessor", "RfDetrImageProcessor"])
def test_masks_of_crowds_are_left_out_with_them(name: str) -> None:
    """Transformers' torchvision backend fails here: it keeps the crowd among the masks and drops it
    elsewhere.
    """
    (annotation,) = detection_cases.annotations("crowds", [(131, 187)])
    rest = [item for item in annotation["annotations"] if not item.get("iscrowd")]
    found, wanted = (
        detr(name)(
            LAND, {**annotation, "annotations": items}, return_segmentation_masks=True
        ).labels[0]
        for items in (annotation["annotations"], rest)
    )
    jax.tree.map(np.testing.assert_array_equal, found, wanted)
    assert found["masks"].shape == (3, 84, 120) and found["masks"].any((1, 2)).all()


@pytest.mark.parametrize("backend", ["torchvision", "pil"])
def test_an_image_without_objects_has_no_masks(backend: str) -> None:
    """Transformers fails here, on both backends."""
    empty = {"image_id": 1, "annotations": []}
    (label,) = detr(backend=backend)(LAND, empty, return_segmentation_masks=True).labels
    assert label["masks"].shape == (0, 84, 120) and label["boxes"].shape == (0, 4)


OBJECT = {
    "category_id": 1,
    "bbox": [1, 2, 30, 40],
    "area": 5.0,
    "segmentation": [[1, 1, 9, 1, 9, 9]],
}


@pytest.mark.parametrize(
    ("annotations", "where"),
    [
        (7, "annotations"),
        ([{"image_id": 1}], r"annotations\[0\]"),
        ([{"image_id": 1, "annotations": 3}], r"annotations\[0\].annotations"),
        ([{"image_id": "x", "annotations": []}], r"annotations\[0\].image_id"),
        ([{"image_id": 1, "annotations": [OBJECT, 3]}], r"annotations\[0\].annotations\[1\]"),
        ({"category_id": 1.5}, "category_id"),
        ({"category_id": None}, "category_id"),
        ({"bbox": [1, 2, 3]}, "bbox"),
        ({"bbox": [1, 2, 3, float("nan")]}, "bbox"),
        ({"area": "large"}, "area"),
        ({"keypoints": [1, 2]}, "annotations"),
        ({"segmentation": []}, "segmentation"),
        ({"segmentation": [[1, 2, 3, 4]]}, r"segmentation\[0\]"),
        ({"segmentation": [[1, 2, 3, 4, 5, 6, 7]]}, r"segmentation\[0\]"),
        ({"segmentation": [[1, 2, 3, 4, 5, 1e9]]}, r"segmentation\[0\]"),
        ({"segmentation": {"size": [131, 187], "counts": "abc"}}, "segmentation"),
        ({"segmentation": {"size": [131, 187], "counts": [5, 7]}}, "segmentation.counts"),
        ({"segmentation": {"size": [10, 10], "counts": [50, 50]}}, "segmentation.size"),
        ({"segmentation": {"size": None, "counts": [50, 50]}}, "segmentation.size"),
    ],
)
def test_a_bad_annotation_is_one_clear_error(annotations: Any, where: str) -> None:
    if isinstance(annotations, dict):
        annotations = [{"image_id": 1, "annotations": [{**OBJECT, **annotations}]}]
    with pytest.raises(jaxprep.errors.InputError, match=rf"^Expected .* - at `.*{where}`\.$"):
        detr()(LAND, annotations, return_segmentation_masks=True)


@pytest.mark.parametrize("name", ["bbox", "category_id", "area", "segmentation"])
def test_an_object_that_lacks_something_is_one_clear_error(name: str) -> None:
    rest = {key: value for key, value in OBJECT.items() if key != name}
    with pytest.raises(jaxprep.errors.InputError, match=f"`{name}`.*annotations\\[0\\]"):
        detr()(LAND, {"image_id": 1, "annotations": [rest]}, return_segmentation_masks=True)


def test_annotations_that_are_not_one_per_image_are_refused() -> None:
    with pytest.raises(jaxprep.errors.InputError, match="each of 2 images, got 1"):
        detr()([LAND, PORT], ANNOTATIONS[:1])


def test_keypoints_of_some_objects_only_are_refused() -> None:
    objects = [OBJECT, {**OBJECT, "keypoints": [1, 2, 2]}]
    with pytest.raises(jaxprep.errors.InputError, match="`keypoints`"):
        detr()(LAND, {"image_id": 1, "annotations": objects})


def test_panoptic_annotations_need_their_files(tmp_path: pathlib.Path) -> None:
    (annotation,) = detection_cases.annotations("panoptic", [(131, 187)])
    processor = detr(format="coco_panoptic")
    with pytest.raises(jaxprep.errors.InputError, match="masks_path"):
        processor(LAND, annotation)
    with pytest.raises(FileNotFoundError):
        processor(LAND, annotation, masks_path=tmp_path)
    for name in ("../segments.png", "/segments.png", 3):
        with pytest.raises(jaxprep.errors.InputError, match="inside `masks_path`"):
            processor(LAND, {**annotation, "file_name": name}, masks_path=tmp_path)
    detection_cases.write_segments(tmp_path, [(131, 187)])
    with pytest.raises(jaxprep.errors.ConfigError, match="coco_detection"):
        detr("RTDetrImageProcessor")(LAND, annotation, masks_path=tmp_path, format="coco_panoptic")


# -- and back --------------------------------------------------------------------------------------


def perfect(label: dict, classes: int = 20) -> types.SimpleNamespace:
    """What a model would return that has learned a target by heart."""
    logits = 12.0 * jax.nn.one_hot(label["class_labels"], classes) - 6
    masks = {"pred_masks": 20.0 * label["masks"][None] - 10} if "masks" in label else {}
    return types.SimpleNamespace(logits=logits[None], pred_boxes=label["boxes"][None], **masks)


@pytest.mark.parametrize("name", TARGETS)
def test_a_perfect_model_gives_the_objects_back(name: str) -> None:
    processor = detr(name)
    (label,) = processor(LAND, ANNOTATIONS[0]).labels
    (found,) = processor.post_process_object_detection(
        perfect(label), threshold=0.9, target_sizes=[(131, 187)]
    )
    order = np.argsort(np.asarray(found["labels"]))
    assert np.asarray(found["labels"])[order].tolist() == [0, 3, 12]
    wanted = [
        [10, 12.5, 10 + 187 / 3, 78],
        [0, 65.5, 187, 131],
        [187 / 7, 131 / 9, 187 / 7 + 11.3, 131 / 9 + 8.9],
    ]
    np.testing.assert_allclose(np.asarray(found["boxes"])[order], wanted, atol=1e-4)


@pytest.mark.parametrize("name", ["DetrImageProcessor", "ConditionalDetrImageProcessor"])
def test_a_perfect_model_gives_the_segments_back(name: str, tmp_path: pathlib.Path) -> None:
    (annotation,) = detection_cases.annotations("panoptic", [(131, 187)])
    detection_cases.write_segments(tmp_path, [(131, 187)])
    annotation["segments_info"] = annotation["segments_info"][:2]
    processor = detr(name, format="coco_panoptic")
    (label,) = processor(LAND, annotation, masks_path=tmp_path).labels
    outputs = perfect(label)
    (found,) = processor.post_process_instance_segmentation(outputs, target_sizes=[(84, 120)])
    ids = {int(segment["label_id"]): int(segment["id"]) for segment in found["segments_info"]}
    assert sorted(ids) == [10, 11]
    for category, mask in zip((10, 11), label["masks"], strict=True):
        assert (np.asarray(found["segmentation"])[np.asarray(mask)] == ids[category]).mean() > 0.9
