"""Processors with a map, or another dense input, beside each image: against Transformers, live and
by goldens.

A difference of one in the 8-bit image is at least 1e-3 in the result, so agreement to 2e-6 says
that it is exact too. Labels are equal.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from goldens import segmentation_cases, store
from helpers.huggingface import segmentation
from helpers.huggingface.common import assert_close, of_class, original
from helpers.images import photograph
from PIL import Image

from jaxprep import AutoImageProcessor, huggingface
from jaxprep.errors import InputError

CLASSES = segmentation_cases.classes()
PIL_NAMES = [name for name, row in CLASSES.items() if "pil" in row["backends"]]


@pytest.mark.filterwarnings("ignore")  # of the originals, on unusual settings
@pytest.mark.parametrize("name", PIL_NAMES)
def test_every_setting_gives_what_the_pil_backend_gives(name: str) -> None:
    cls = original(name)
    for case in of_class(segmentation.shown("pil"), name):
        images, beside = segmentation.arguments(case)
        theirs = cls(**case["settings"])(images, **beside)
        ours = segmentation.results(case, "pil")
        assert list(ours) == list(theirs)
        for key, values in ours.items():
            assert len(values) == len(theirs[key])
            for mine, other in zip(values, theirs[key], strict=True):
                assert_close(mine, np.asarray(other), (case, key))


@pytest.mark.parametrize("name", list(CLASSES))
def test_every_setting_gives_what_the_torchvision_backend_gives(name: str) -> None:
    groups = segmentation_cases.GROUPS.items()
    group = next(group for group, names in groups if name in names)
    goldens = store.golden(segmentation.GOLDENS[group])
    for case in of_class(segmentation.shown("torchvision"), name):
        ours = segmentation.results(case, "torchvision")
        for key, values in ours.items():
            records = [record for result, record in case.items() if result.startswith(f"{key}.")]
            assert len(records) == len(values)
            for mine, record in zip(values, records, strict=True):
                assert_close(
                    *compared(goldens, mine, record, key), (case["settings"], case["inputs"], key)
                )


def compared(
    goldens: store.Golden, mine: np.ndarray, record: dict, key: str
) -> tuple[np.ndarray, np.ndarray]:
    """Ours and the original's at the values that are known; labels, int64 there, are int32 here."""
    array = store.channels_last(mine) if mine.ndim == 3 and key != "labels" else mine
    assert list(array.shape) == record["shape"], key
    return array.ravel()[goldens.positions(record)], goldens.values(record)


# -- calls -----------------------------------------------------------------------------------------

SMALL = {"size": {"height": 16, "width": 24}}


PHOTO = photograph(33, 41)


def labels() -> np.ndarray:
    """Tiles of 30 labels, 0 to 232."""
    return ((np.arange(33)[:, None] // 7 * 6 + np.arange(41) // 7) * 8).astype(np.uint8)


def made(name: str, **settings: Any) -> Any:
    return getattr(huggingface, f"{name}ImageProcessor")(**{**SMALL, **settings})


def test_maps_come_by_position_and_by_name_and_are_not_written_to() -> None:
    processor, given = made("Segformer", do_reduce_labels=True, backend="pil"), labels()
    by_position, by_name = (
        processor(PHOTO, given),
        processor(images=PHOTO, segmentation_maps=[given]),
    )
    np.testing.assert_array_equal(by_position["labels"], by_name["labels"])
    np.testing.assert_array_equal(given, labels())
    assert by_position["labels"].shape == (1, 16, 24) and by_position["labels"].dtype == np.int32
    assert processor(PHOTO, given, return_tensors="np")["labels"].dtype == np.int64


def test_the_labels_of_any_input_form_are_the_same() -> None:
    processor = made("Segformer")
    expected = processor(PHOTO, labels())["labels"]
    for form in (
        jnp.asarray(labels()),
        labels()[None],
        labels().astype(np.int64),
        Image.fromarray(labels()),
    ):
        np.testing.assert_array_equal(processor(PHOTO, form)["labels"], expected)


@pytest.mark.parametrize(("name", "backend"), [("Beit", "torchvision"), ("DPT", "pil")])
def test_map_resample_invents_no_labels(name: str, backend: str) -> None:
    processor, known = made(name, backend=backend), set(np.unique(labels()))
    assert not set(np.unique(processor(PHOTO, labels())["labels"])) <= known  # as Transformers
    exact = processor(PHOTO, labels(), map_resample=0)["labels"]
    assert set(np.unique(exact)) <= known
    np.testing.assert_array_equal(
        exact, made("Segformer", backend=backend)(PHOTO, labels())["labels"]
    )


def test_labels_above_255_go_through_pillow_s_nearest_and_through_no_mixing() -> None:
    many = labels().astype(np.int32) * 10
    found = made("Segformer", backend="pil")(PHOTO, many)["labels"]
    np.testing.assert_array_equal(
        found, made("Segformer", backend="pil")(PHOTO, labels())["labels"] * 10
    )
    with pytest.raises(InputError, match="whole numbers from 0 to 255"):
        made("Beit", backend="pil")(PHOTO, many)


def test_old_names_of_settings_count() -> None:
    old = huggingface.BaseImageProcessor.from_dict(
        {"feature_extractor_type": "SegformerFeatureExtractor", "reduce_labels": True, "size": 16}
    )
    new = huggingface.SegformerImageProcessor(size=16, do_reduce_labels=True)
    np.testing.assert_array_equal(old(PHOTO, labels())["labels"], new(PHOTO, labels())["labels"])
    assert old(PHOTO, labels())["labels"].max() == 255
    matte = huggingface.VitMatteImageProcessor.from_dict({"size_divisibility": 16})
    assert matte(PHOTO, labels())["pixel_values"].shape == (1, 4, 48, 48)


def test_what_is_saved_is_read_back(tmp_path: Path) -> None:
    processor = made("Beit", map_resample=0, do_reduce_labels=True)
    processor.save_pretrained(tmp_path)
    again = AutoImageProcessor.from_pretrained(tmp_path)
    assert again.to_dict() == processor.to_dict() and again.map_resample == 0
    np.testing.assert_array_equal(
        again(PHOTO, labels())["labels"], processor(PHOTO, labels())["labels"]
    )


@pytest.mark.parametrize("name", ["Segformer", "MobileViT", "Sam2", "Sapiens2", "CHMv2"])
def test_calls_inside_jit_give_what_calls_outside_give(name: str) -> None:
    processor = made(name, do_center_crop=False, **({"mask_size": 12} if name == "Sam2" else {}))
    outside = processor(PHOTO, labels())
    inside = jax.jit(
        lambda image, given: processor(image, given, input_data_format="channels_last")
    )(PHOTO, labels())
    assert sorted(inside) == sorted(outside)
    for key, value in outside.items():
        np.testing.assert_allclose(
            np.asarray(inside[key]), np.asarray(value), atol=2e-6, err_msg=key
        )


def test_paired_inputs_inside_jit_are_those_outside() -> None:
    depth = segmentation_cases.dense({"photo": "coffee", "box": [0, 0, 41, 33], "dense": "depth"})
    few = labels() % 11
    processors = [
        huggingface.VitMatteImageProcessor(),
        huggingface.VitMatteImageProcessor(),
        made("PromptDepthAnything"),
        made("SegGpt", num_labels=10),
        made("SegGpt"),
    ]
    inputs = [
        {"trimaps": labels()},
        {"trimaps": labels() / np.float32(255)},
        {"prompt_depth": depth},
        {"prompt_images": PHOTO, "prompt_masks": few},
        {"prompt_masks": few},
    ]

    def call(image: Any, inputs: list[dict]) -> list[dict]:
        pairs = zip(processors, inputs, strict=True)
        return [dict(processor(image, **beside)) for processor, beside in pairs]

    for inside, outside in zip(jax.jit(call)(PHOTO, inputs), call(PHOTO, inputs), strict=True):
        assert sorted(inside) == sorted(outside)
        for key, value in outside.items():
            np.testing.assert_allclose(
                np.asarray(inside[key]), np.asarray(value), atol=2e-6, err_msg=key
            )


def test_a_trimap_of_wider_integers_is_one_of_8_bits() -> None:
    matte = huggingface.VitMatteImageProcessor(exact=True)
    want = matte(PHOTO, labels())["pixel_values"]
    np.testing.assert_array_equal(matte(PHOTO, labels().astype(np.int32))["pixel_values"], want)


@pytest.mark.parametrize("backend", ["torchvision", "pil"])
@pytest.mark.parametrize(
    ("image_type", "trimap_type", "wanted"),
    [
        (np.int32, np.uint8, np.int32),
        (np.uint8, np.int32, np.int32),
        (np.int64, np.int64, np.int32),  # JAX's integer
        (np.uint8, np.float32, np.float32),
    ],
)
def test_a_matte_of_which_nothing_is_computed_has_the_promoted_type(
    backend: str, image_type: type, trimap_type: type, wanted: type
) -> None:
    settings = {"do_rescale": False, "do_normalize": False}
    image, trimap = PHOTO.astype(image_type), labels().astype(trimap_type)
    ours = huggingface.VitMatteImageProcessor(backend=backend, **settings)
    found = ours(image, trimap, return_tensors="np")["pixel_values"]
    theirs = original("VitMatteImageProcessor")(**settings)(image, trimap, return_tensors="np")
    np.testing.assert_array_equal(found, theirs["pixel_values"])
    assert found.dtype == wanted


def test_the_images_of_a_batch_are_those_of_single_calls() -> None:
    processor = made(
        "Sam",
        size={"longest_edge": 40},
        pad_size=40,
        mask_size={"longest_edge": 20},
        mask_pad_size=20,
    )
    tall = np.swapaxes(PHOTO, 0, 1)
    both = processor([PHOTO, tall], [labels(), labels().T])
    assert both["reshaped_input_sizes"].tolist() == [[32, 40], [40, 32]]
    for i, (image, given) in enumerate(((PHOTO, labels()), (tall, labels().T))):
        for key, value in processor(image, given).items():
            np.testing.assert_array_equal(both[key][i], value[0], key)


def test_channels_last_puts_every_image_s_channels_last() -> None:
    matte = huggingface.VitMatteImageProcessor(data_format="channels_last")
    assert matte(PHOTO, labels())["pixel_values"].shape == (1, 64, 64, 4)
    depth = made("PromptDepthAnything", data_format="channels_last")(PHOTO, labels())
    assert depth["prompt_depth"].shape == (1, 33, 41, 1)
    assert made("Segformer", data_format="channels_last")(PHOTO, labels())["labels"].shape == (
        1,
        16,
        24,
    )


def test_prompts_may_come_without_images() -> None:
    found = made("SegGpt", num_labels=30)(prompt_images=PHOTO, prompt_masks=labels() % 31)
    assert sorted(found) == ["prompt_masks", "prompt_pixel_values"]


def test_crops_of_maps_have_the_labels_of_the_map() -> None:
    box = [[12.0, 12.0, 8.0, 6.0]]  # with its margin still inside the photograph
    found = made("Sapiens2")(PHOTO, labels(), [box])["labels"]
    assert found.shape == (1, 16, 24) and set(np.unique(found)) <= {0, *np.unique(labels())}
    whole = made("Sapiens2")(PHOTO, np.full_like(labels(), 5), [box])["labels"]
    np.testing.assert_array_equal(whole, 5)


def test_boxes_inside_jit_are_known_outside_of_it() -> None:
    processor, boxes = made("Sapiens2"), [[[2.0, 3.0, 20.5, 18.25], [-5.0, 0.0, 9.0, 30.0]]]
    points = [[[[4.0, 5.0, 1.0]], [[0.0, 0.0, 1.0]]]]
    outside = processor(PHOTO, boxes=boxes, keypoints=points)
    inside = jax.jit(lambda image: processor(image, boxes=boxes, keypoints=points))(PHOTO)
    for key, value in outside.items():
        np.testing.assert_allclose(
            np.asarray(inside[key]), np.asarray(value), atol=2e-6, err_msg=key
        )


def posed(keypoints: Any) -> Any:
    return made("Sapiens2")(PHOTO, boxes=[[[1, 2, 9, 9]]], keypoints=keypoints)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda: made("Segformer")(PHOTO, [labels(), labels()]),
            "a map for each of 1 images, got 2",
        ),
        (lambda: made("Segformer")(PHOTO, PHOTO), "for each of 1 images, got 33"),
        (
            lambda: made("Segformer")(PHOTO, Image.fromarray(PHOTO)),
            r"got shape \(33, 41, 3\) - at `segm",
        ),
        (lambda: made("Segformer")(PHOTO, "map.png"), "got `str` - at `segmentation_maps`"),
        (lambda: made("Segformer")(), "got `NoneType` - at `images`"),
        (lambda: huggingface.VitMatteImageProcessor()(PHOTO), "Expected `trimaps`"),
        (
            lambda: huggingface.VitMatteImageProcessor()(PHOTO, labels()[:9]),
            r"a trimap of \(33, 41\)",
        ),
        (lambda: made("SegGpt")(), "at least one of `images`"),
        (
            lambda: made("SegGpt", num_labels=3)(prompt_masks=labels()),
            "classes from 0 to `num_labels`, 3",
        ),
        (
            lambda: made("Sapiens2")(PHOTO, boxes=[[[1, 2, 3]]]),
            r"got \[\[1, 2, 3\]\] - at `boxes\[0\]`",
        ),
        (lambda: made("Sapiens2")(PHOTO, boxes=[]), "boxes for each of 1 images, got 0"),
        (
            lambda: made("Sapiens2")(PHOTO, boxes=4),
            "boxes for each of 1 images, got `int` - at `boxes`",
        ),
        (
            lambda: made("Sapiens2")(PHOTO, boxes=[[[1, 2, 3, 4], [5]]]),
            r"\[5\]\] - at `boxes\[0\]`",
        ),
        (lambda: posed([]), "keypoints for each of 1 images, got 0"),
        (lambda: posed([3]), r"keypoints for 1 boxes, got `int` - at `keypoints\[0\]`"),
        (lambda: posed([[[[1, 2], [3]]]]), r"\[x, y\] .* at `keypoints\[0\]\[0\]`"),
        (lambda: made("Sapiens2")(PHOTO, keypoints=[[]]), "Expected `boxes` beside `keypoints`"),
        (lambda: made("Sapiens2")(PHOTO, labels(), keypoints=[[]]), "both become `labels`"),
    ],
)
def test_bad_input_is_told_in_one_sentence(call: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        call()


# -- after the model -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name", ["Segformer", "Beit", "DPT", "MobileNetV2", "MobileViT", "CHMv2", "Sapiens2"]
)
def test_logits_of_the_labels_are_segmented_into_the_labels(name: str) -> None:
    processor = made(name, map_resample=0, do_resize=True, do_center_crop=False)
    wanted = np.asarray(processor(PHOTO, labels() // 40)["labels"])
    logits = jax.nn.one_hot(wanted, 8, axis=1)
    (found,) = processor.post_process_semantic_segmentation({"logits": logits})
    np.testing.assert_array_equal(found, wanted[0])
    (large,) = processor.post_process_semantic_segmentation(
        {"logits": logits}, target_sizes=[(33, 41)]
    )
    assert large.shape == (33, 41)


@pytest.mark.parametrize("name", ["Sam", "Sam2", "Sam3"])
def test_sizes_of_a_call_lead_masks_back_to_the_photograph(name: str) -> None:
    own = {"size": {"longest_edge": 64}, "pad_size": 64} if name == "Sam" else {"size": 64}
    processor = made(name, **own)
    given = processor([PHOTO, PHOTO[:20]])
    masks = jnp.ones((2, 1, 3, 16, 16))
    args = [given[key] for key in ("original_sizes", "reshaped_input_sizes") if key in given]
    found = processor.post_process_masks(masks, *args)
    assert [mask.shape for mask in found] == [(1, 3, 33, 41), (1, 3, 20, 41)]


@pytest.mark.parametrize("name", ["DPT", "PromptDepthAnything", "CHMv2"])
def test_depth_is_brought_to_the_size_of_the_photograph(name: str) -> None:
    (found,) = made(name).post_process_depth_estimation(
        {"predicted_depth": jnp.ones((1, 16, 24))}, [(33, 41)]
    )
    assert found["predicted_depth"].shape == (33, 41)


def test_painted_masks_are_read_as_their_classes() -> None:
    processor, few = made("SegGpt", num_labels=10), labels() % 11
    painted = processor(prompt_masks=few)["prompt_masks"]
    outputs = {"pred_masks": jnp.concatenate([painted, painted], axis=2)}
    (found,) = processor.post_process_semantic_segmentation(outputs, [(16, 24)], num_labels=10)
    np.testing.assert_array_equal(found, made("Segformer")(PHOTO, few)["labels"][0])


def test_heatmaps_peak_where_the_keypoints_are() -> None:
    processor = made(
        "Sapiens2", size={"height": 64, "width": 48}, keypoint_heatmap_downscale_factor=1
    )
    box, points = [2.0, 3.0, 20.5, 18.25], [[7.0, 9.0, 1.0], [12.0, 16.0, 1.0]]
    found = processor(PHOTO, boxes=[[box]], keypoints=[[points]])
    poses = processor.post_process_pose_estimation({"heatmaps": found["labels"]}, boxes=[[box]])
    np.testing.assert_allclose(
        np.asarray(poses[0][0]["keypoints"]), np.asarray(points)[:, :2], atol=0.5
    )


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_map_of_no_finite_numbers_is_refused(value: float) -> None:
    maps = np.full((8, 9), value, np.float32)
    with pytest.raises(
        InputError, match=r"finite numbers of classes.* - at `segmentation_maps\[0\]`"
    ):
        huggingface.SegformerImageProcessor(size=8)(np.zeros((8, 9, 3), np.uint8), maps)
