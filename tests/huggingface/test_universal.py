"""MaskFormer, Mask2Former, OneFormer, EoMT: against Transformers' PIL backend live, its torchvision
backend by goldens.

A difference of one in the 8-bit image is at least 1e-3 in the result, so agreement to 2e-6 says
that it is exact too; masks and classes are equal in every bit.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from goldens import inputs, store
from goldens import universal_cases as cases
from helpers.huggingface import universal
from helpers.huggingface.common import assert_close, of_class, pictures
from PIL import Image

from jaxprep import huggingface, ops
from jaxprep.errors import InputError, JaxprepError
from jaxprep.huggingface import oneformer as oneformer_module

pytestmark = pytest.mark.filterwarnings("ignore")  # of the originals, on unusual settings


@pytest.mark.parametrize("name", cases.CLASSES)
def test_every_setting_gives_what_the_pil_backend_gives(name: str) -> None:
    cls = universal.original(name)
    for case in of_class(universal.shown("pil"), name):
        theirs = cls(**cases.settings_of(case))(pictures(case), **cases.arguments(case))
        ours = universal.results(case, "pil")
        assert sorted(ours) == sorted(theirs)
        for key, values in ours.items():
            same_values(values, theirs[key], (case, key))


def same_values(ours: list[Any], theirs: list[Any], where: Any) -> None:
    for mine, other in zip(*universal.comparable(ours, theirs, where[-1]), strict=True):
        if isinstance(other, (str, list)):
            assert mine == other, where
        else:
            assert_close(np.asarray(mine), np.asarray(other), where)


@pytest.mark.parametrize("name", cases.CLASSES)
def test_every_setting_gives_what_the_torchvision_backend_gives(name: str) -> None:
    goldens = store.golden("universal")
    for case in of_class(universal.shown("torchvision"), name):
        ours = universal.results(case, "torchvision")
        where = (case["settings"], case["inputs"])
        records = [record for key, record in case.items() if key.startswith("values.")]
        assert len(records) == len(ours["pixel_values"]), where
        for mine, record in zip(ours.pop("pixel_values"), records, strict=True):
            found, wanted = goldens.pair(record, store.channels_last(np.asarray(mine)))
            assert_close(found, wanted, where)
        assert sorted(ours) == sorted(case["rest"])
        for key, values in ours.items():
            same_rest(values, case["rest"][key], (*where, key))


def same_rest(ours: list[Any], theirs: list[Any], where: Any) -> None:
    for mine, record in zip(*universal.comparable(ours, theirs, where[-1]), strict=True):
        if isinstance(record, dict):
            array = np.asarray(mine)
            assert array.dtype == (np.int32 if record["dtype"] == "int64" else record["dtype"]), (
                where
            )
            assert store.summary(array.astype(record["dtype"])) == record, where
        else:
            assert mine == record, where


# -- what holds beside the originals ---------------------------------------------------------------

NAMES = [name.removesuffix("ImageProcessor") for name in cases.CLASSES]
LAND, PORT = cases.LAND, cases.PORT
PHOTOS = [np.asarray(inputs.image(recipe)) for recipe in (LAND, PORT)]
MAPS = [cases.map_of(recipe, 8) for recipe in (LAND, PORT)]


def made(name: str, **settings: Any) -> Any:
    return getattr(huggingface, f"{name}ImageProcessor")(**{**cases.EDGES, **settings})


def oneformer(**settings: Any) -> Any:
    return made("OneFormer", **{**cases.INFO, "repo_path": cases.HERE, **settings})


def same(ours: Any, theirs: Any) -> None:
    assert sorted(ours) == sorted(theirs)
    jax.tree.map(np.testing.assert_array_equal, dict(ours), dict(theirs))


def test_inputs_go_by_position_and_by_name() -> None:
    mask2former, oneformer_ = made("Mask2Former"), oneformer()
    named = {"segmentation_maps": MAPS, "instance_id_to_semantic_id": cases.IDS}
    same(mask2former(PHOTOS, MAPS, cases.IDS), mask2former(PHOTOS, **named))
    first = oneformer_(PHOTOS, ["semantic", "instance"], MAPS, cases.IDS, ignore_index=7)
    same(first, oneformer_(PHOTOS, task_inputs=["semantic", "instance"], **named, ignore_index=7))


@pytest.mark.parametrize("name", NAMES)
def test_numbers_of_labels_are_64_bits_in_NumPy_and_32_in_JAX(name: str) -> None:
    settings = {**cases.INFO, "repo_path": cases.HERE} if name == "OneFormer" else {}
    processor = made(name, do_pad=True, **settings)
    in_numpy = processor(PHOTOS[:1], segmentation_maps=MAPS[:1], return_tensors="np")
    in_jax = processor(PHOTOS[:1], segmentation_maps=MAPS[:1])
    assert {one.dtype.name for one in in_numpy["class_labels"]} == {"int64"}
    assert {one.dtype.name for one in in_jax["class_labels"]} == {"int32"}
    assert all(isinstance(one, jax.Array) for one in in_jax["mask_labels"])
    if "pixel_mask" in in_numpy:
        assert (in_numpy["pixel_mask"].dtype, in_jax["pixel_mask"].dtype) == (np.int64, np.int32)


@pytest.mark.parametrize("name", NAMES)
def test_channels_may_be_last(name: str) -> None:
    processor = made(name, do_split_image=True) if name == "Eomt" else made(name)
    first = processor(PHOTOS, return_tensors=None)["pixel_values"]
    last = processor(PHOTOS, data_format="channels_last", return_tensors=None)["pixel_values"]
    for one, other in zip(first, last, strict=True):
        np.testing.assert_array_equal(np.moveaxis(np.asarray(one), 0, -1), other)


@pytest.mark.parametrize("name", NAMES)
def test_it_is_the_same_inside_jit(name: str) -> None:
    processor = made(name, do_split_image=True) if name == "Eomt" else made(name)
    inside = jax.jit(lambda *images: dict(processor(list(images))))(*PHOTOS)
    outside = processor(PHOTOS)
    assert sorted(inside) == sorted(key for key in outside if key != "task_inputs")
    jax.tree.map(np.testing.assert_array_equal, inside, {key: outside[key] for key in inside})


def test_maps_are_refused_inside_jit() -> None:
    with pytest.raises(InputError, match=r"no maps inside `jax\.jit`"):
        jax.jit(lambda image: made("MaskFormer")(image, MAPS[0]).pixel_values)(PHOTOS[0])


@pytest.mark.parametrize("name", NAMES)
def test_saved_and_read_again_it_does_the_same(name: str, tmp_path: Path) -> None:
    settings = {
        "MaskFormer": cases.REDUCED,
        "OneFormer": {"metadata": {"thing_ids": [0], "class_names": ["a"], "0": "a"}},
    }
    processor = made(name, **settings.get(name, {"ignore_index": 3}))
    processor.save_pretrained(tmp_path)
    again = huggingface.AutoImageProcessor.from_pretrained(tmp_path)
    assert type(again) is type(processor)
    assert again.to_dict() == processor.to_dict() and again.pipeline == processor.pipeline
    assert again.ignore_index == processor.ignore_index
    assert type(processor).from_dict(processor.to_dict()) == again


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ({"size": 80, "max_size": 100}, {"size": {"shortest_edge": 80, "longest_edge": 100}}),
        ({"size": 80}, {"size": {"shortest_edge": 80, "longest_edge": 1333}}),
        ({"max_size": 900}, {"size": {"shortest_edge": 800, "longest_edge": 900}}),
        ({"size_divisibility": 16}, {"size_divisor": 16}),
        ({"size_divisibility": 0}, {"size_divisor": 0}),
    ],
)
@pytest.mark.parametrize("name", ["MaskFormer", "Mask2Former"])
def test_keys_of_old_configs_mean_what_they_meant(name: str, old: dict, new: dict) -> None:
    cls = getattr(huggingface, f"{name}ImageProcessor")
    read = cls.from_dict(old)
    assert read.pipeline == cls(**new).pipeline
    assert read.to_dict() == {**old, "image_processor_type": f"{name}ImageProcessor"}


@pytest.mark.parametrize("name", NAMES[:3])
def test_reduce_labels_is_the_old_name(name: str) -> None:
    read = getattr(huggingface, f"{name}FeatureExtractor").from_dict(
        {"reduce_labels": True, "ignore_index": 255}
    )
    assert read.do_reduce_labels is True


@pytest.mark.parametrize(
    "form",
    [
        lambda labels: Image.fromarray(labels),
        lambda labels: Image.fromarray(labels.astype(np.uint16)),
        lambda labels: labels.astype(np.float32),
        lambda labels: labels[None].astype(np.int64),
        lambda labels: [labels[None]],
        lambda labels: labels.tolist(),
        jnp.asarray,
    ],
)
def test_a_map_may_come_in_any_form(form: Any) -> None:
    processor = made("Mask2Former")
    same(processor(PHOTOS[0], form(MAPS[0])), processor(PHOTOS[0], MAPS[0]))


def test_labels_may_exceed_8_bits_on_either_backend() -> None:
    wide = MAPS[0].astype(np.int32) * 1000
    for backend in ("pil", "torchvision"):
        found = made("MaskFormer", backend=backend)(PHOTOS[0], wide, ignore_index=-1)
        np.testing.assert_array_equal(found["class_labels"][0], np.unique(wide))


def test_masks_that_are_padded_without_an_ignore_index_are_padded_with_0() -> None:
    for backend in ("pil", "torchvision"):
        found = made("MaskFormer", backend=backend)(PHOTOS, MAPS)
        for masks, inside in zip(found["mask_labels"], found["pixel_mask"], strict=True):
            np.testing.assert_array_equal(masks.sum(0), inside)


def test_windows_have_the_classes_of_their_image() -> None:
    processor = made("Eomt", size={"shortest_edge": 48}, do_split_image=True)
    found = processor(PHOTOS, MAPS, [cases.IDS, cases.OTHER_IDS])
    assert [int(offset[0]) for offset in found["patch_offsets"]] == [0, 0, 1, 1]
    for offset, classes in zip(found["patch_offsets"], found["class_labels"], strict=True):
        ids = (cases.IDS, cases.OTHER_IDS)[int(offset[0])]
        whole = [ids[label] for label in np.unique(MAPS[int(offset[0])]).tolist()]
        assert set(np.asarray(classes).tolist()) <= set(whole)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"segmentation_maps": MAPS[:1]}, "a map for each of 2 images, got 1"),
        (
            {"segmentation_maps": MAPS[::-1]},
            r"a map of the size of its image, got \(191, 101\).*segmentation_maps\[0\]",
        ),
        (
            {"segmentation_maps": [one / 7 for one in MAPS]},
            r"whole numbers.*segmentation_maps\[0\]",
        ),
        ({"segmentation_maps": MAPS, "do_reduce_labels": True}, "`ignore_index`"),
        (
            {"segmentation_maps": MAPS, "instance_id_to_semantic_id": {0: 1}},
            "a class for each label.* 1 - at",
        ),
        (
            {"segmentation_maps": MAPS, "instance_id_to_semantic_id": [{0: 1}]},
            "2 mappings, one per image, got 1",
        ),
        (
            {"segmentation_maps": MAPS, "instance_id_to_semantic_id": 5},
            "a mapping from instances to classes, got 5",
        ),
        ({"pad_size": {"height": 32, "width": 32}}, r"at most \(32, 32\)"),
        ({"size": {"shortest_edge": 80}}, "shortest_edge, longest_edge"),
        ({"size_divisor": -1}, "an integer from 0"),
    ],
)
def test_a_wrong_argument_is_one_clear_error(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(JaxprepError, match=message):
        made("MaskFormer")(PHOTOS, **arguments)


# -- OneFormer's texts and methods -----------------------------------------------------------------


def test_a_task_may_be_left_out_or_serve_all_images() -> None:
    processor = made("OneFormer")
    assert processor(PHOTOS)["task_inputs"] == ["the task is panoptic"] * 2
    assert processor(PHOTOS, "semantic")["task_inputs"] == ["the task is semantic"] * 2
    with pytest.raises(InputError, match="a task for each of 2 images"):
        processor(PHOTOS, ["semantic"] * 3)
    with pytest.raises(
        InputError,
        match=r"\['instance', 'panoptic', 'semantic'\], got 'depth' - at `task_inputs\[1\]`",
    ):
        oneformer()(PHOTOS, ["semantic", "depth"], MAPS)


def test_texts_of_an_image_do_not_depend_on_the_others() -> None:
    processor = oneformer(num_text=20)
    both = processor(PHOTOS, "panoptic", MAPS)["text_inputs"]
    each = [
        processor(photo, "panoptic", one)["text_inputs"][0]
        for photo, one in zip(PHOTOS, MAPS, strict=True)
    ]
    assert both == each


def test_names_of_classes_come_from_a_directory_only_when_they_are_needed(tmp_path: Path) -> None:
    processor = oneformer(repo_path=str(tmp_path), class_info_file="a/classes.json")
    processor(PHOTOS[0])
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "classes.json").write_text('{"0": {"name": "all", "isthing": 1}}')
    assert processor.metadata == {"0": "all", "class_names": ["all"], "thing_ids": [0]}
    found = processor(PHOTOS[0], "instance", np.zeros_like(MAPS[0]), num_text=2)
    assert found["text_inputs"] == [["a photo with a all", "an instance photo"]]


@pytest.mark.parametrize("repo", ["datasets/org/names", "org/names"])
def test_names_of_classes_come_from_the_hub(hub: Any, repo: str) -> None:
    hub.add(repo, {"classes.json": {"0": {"name": f"of {repo}", "isthing": 0}}})
    processor = oneformer(repo_path="org/names", class_info_file="classes.json")
    oneformer_module._from_file.cache_clear()
    assert processor.metadata["class_names"] == [f"of {repo}"]


@pytest.mark.parametrize("folder", ["/etc", "..", "../names", "~/names", "a/b/c"])
@pytest.mark.parametrize("nested", [False, True])
def test_a_config_from_the_hub_cannot_name_a_folder_of_this_machine(
    hub: Any, folder: str, nested: bool
) -> None:
    content = {
        "image_processor_type": "OneFormerImageProcessor",
        "repo_path": folder,
        "class_info_file": "x.json",
    }
    name = "processor_config.json" if nested else "preprocessor_config.json"
    hub.add("org/model", {name: {"image_processor": content} if nested else content})
    with pytest.raises(JaxprepError, match=r"the name of a repository.*repo_path"):
        huggingface.AutoImageProcessor.from_pretrained("org/model")


@pytest.mark.parametrize(
    ("settings", "files", "message"),
    [
        ({"class_info_file": "../classes.json"}, {}, "the path of a file inside"),
        ({"class_info_file": "/etc/passwd"}, {}, "JSON"),
        ({"class_info_file": "none.json"}, {"classes.json": {}}, "none.json"),
        ({"class_info_file": "classes.json"}, {"classes.json": " " * 2**24}, "at most"),
        ({"class_info_file": "classes.json"}, {"classes.json": []}, "an object"),
        (
            {"class_info_file": "classes.json"},
            {"classes.json": {"0": "wall"}},
            "`name` and `isthing`",
        ),
        ({"class_info_file": 5}, {}, "a text, got `5`"),
        ({"class_info_file": ["classes.json"]}, {}, "a text, got"),
        ({"class_info_file": "a\0b"}, {}, "a text, got"),
        ({"class_info_file": None}, {}, "`class_info_file`, or `metadata`"),
        ({"class_info_file": None, "metadata": {"0": "wall"}}, {}, r"\$\.metadata\.class_names"),
    ],
)
def test_wrong_names_of_classes_are_one_clear_error(
    hub: Any, settings: dict, files: dict, message: str
) -> None:
    hub.add("datasets/org/wrong", files)
    oneformer_module._from_file.cache_clear()
    processor = made("OneFormer", num_text=2, repo_path="org/wrong", **settings)
    with pytest.raises(JaxprepError, match=message):
        processor(PHOTOS[0], "panoptic", MAPS[0])


def test_another_file_of_names_replaces_those_of_the_config() -> None:
    content = {
        "class_info_file": "old.json",
        "metadata": {"0": "a", "class_names": ["a"], "thing_ids": []},
        **cases.EDGES,
    }
    read = huggingface.OneFormerImageProcessor.from_dict(content)
    assert read.metadata["class_names"] == ["a"]
    other = {"class_info_file": "oneformer_classes.json", "repo_path": cases.HERE}
    for changed in (huggingface.OneFormerImageProcessor.from_dict(content, **other), read):
        changed.repo_path, changed.class_info_file = cases.HERE, "oneformer_classes.json"
        assert changed.metadata["thing_ids"] == [1, 2, 4, 6]
        assert "metadata" not in changed.to_dict()


@pytest.mark.parametrize("name", NAMES[:3])
def test_encoding_images_as_they_are_is_a_call_without_resizing(name: str) -> None:
    processor = oneformer() if name == "OneFormer" else made(name)
    task = {"task_inputs": "semantic"} if name == "OneFormer" else {}
    settings = {"ignore_index": 255, "do_reduce_labels": True, "return_tensors": "np"}
    whole = processor(PHOTOS, **task, segmentation_maps=MAPS, do_resize=False, **settings)
    alone = processor(PHOTOS, **task, do_resize=False, return_tensors=None)["pixel_values"]
    images = [
        image[:, :h, :w]
        for image, (h, w, _) in zip(alone, (photo.shape for photo in PHOTOS), strict=True)
    ]
    same(processor.encode_inputs(images, **task, segmentation_maps=MAPS, **settings), whole)


@pytest.mark.parametrize("task", ["semantic", "instance", "panoptic"])
def test_annotations_are_those_of_a_call(task: str) -> None:
    processor = oneformer()
    found = processor(PHOTOS[0], task, MAPS[0], cases.IDS, do_resize=False)
    masks, classes = processor.convert_segmentation_map_to_binary_masks(MAPS[0], cases.IDS)
    empty = np.concatenate([masks, np.zeros_like(masks[:1])]), np.append(classes, 1)
    seen = dict.fromkeys(processor.metadata["class_names"], 0)
    get = getattr(processor, f"get_{task}_annotations")
    numbers, parts, texts = get({"masks": empty[0], "classes": empty[1]}, seen)
    np.testing.assert_array_equal(numbers, found["class_labels"][0])
    np.testing.assert_array_equal(parts, found["mask_labels"][0])
    assert texts == found["text_inputs"][0] and sum(seen.values()) == len(numbers)


def test_padding_alone() -> None:
    images = [np.ones((3, 5, 6), np.float32), np.ones((3, 7, 4), np.float32)]
    done, inside, maps = made("MaskFormer").pad(
        images, (8, 9), [np.ones((2, 5, 6)), np.ones((1, 7, 4))], ignore_index=7
    )
    assert [one.shape for one in done] == [(3, 8, 9)] * 2 and [one.shape for one in maps] == [
        (2, 8, 9),
        (1, 8, 9),
    ]
    np.testing.assert_array_equal(inside[0], done[0][0])
    assert float(maps[0].max()) == 7
    batch, masks, _ = made("MaskFormer").pad(np.stack(images[:1] * 2), (8, 9))
    np.testing.assert_array_equal(batch, np.stack([done[0]] * 2))
    np.testing.assert_array_equal(masks, np.stack([inside[0]] * 2))
    found = made("OneFormer").pad(images, return_tensors="np")
    assert found["pixel_values"].shape == (2, 3, 7, 6) and found["pixel_mask"].sum() == 58
    assert sorted(made("OneFormer").pad(images, return_pixel_mask=False)) == ["pixel_values"]
    with pytest.raises(InputError, match=r"at most \(4, 4\)"):
        made("Mask2Former").pad(images, (4, 4))


# -- back from a model's results -------------------------------------------------------------------


def outputs_of(masks: np.ndarray) -> dict[str, np.ndarray]:
    """What a model would return that is certain of query `q` being class `q` where `masks` `(b, q,
    h, w)` is 1.
    """
    count = masks.shape[1]
    certain = np.broadcast_to(
        20 * np.eye(count, count + 1, dtype=np.float32), (len(masks), count, count + 1)
    )
    return {
        "class_queries_logits": certain,
        "masks_queries_logits": (masks * 40 - 20).astype(np.float32),
    }


def halves(height: int, width: int) -> np.ndarray:
    """Two masks, left and right."""
    left = np.broadcast_to(np.arange(width) < width // 2, (height, width))
    return np.stack([left, ~left]).astype(np.float32)


@pytest.mark.parametrize("name", NAMES)
def test_results_come_back_at_the_size_of_the_images(name: str) -> None:
    names = {"metadata": {"thing_ids": [0], "class_names": ["a", "b"], "0": "a", "1": "b"}}
    processor = made(name, **names if name == "OneFormer" else {})
    outputs = outputs_of(np.stack([halves(24, 32)] * 2))
    # Goldens have images of two sizes for every method of every class.
    goals = [(60, 80), (44, 50)] if name == "MaskFormer" else [(44, 50)] * 2
    for method in ("semantic", "instance", "panoptic"):
        found = getattr(processor, f"post_process_{method}_segmentation")(
            outputs, target_sizes=goals
        )
        for one, (height, width) in zip(found, goals, strict=True):
            labels = one if method == "semantic" else one["segmentation"]
            assert labels.shape == (height, width), method
            near, far = np.asarray(labels)[:, : width // 4], np.asarray(labels)[:, -width // 4 :]
            assert len(np.unique(near)) == len(np.unique(far)) == 1 and near[0, 0] != far[0, 0], (
                method
            )


def test_windows_come_back_as_one_map() -> None:
    processor = made("Eomt", size={"shortest_edge": 48}, do_split_image=True)
    image = np.zeros((96, 240, 3), np.uint8)
    features = processor(image)
    whole = halves(48, 120)
    windows = np.stack(
        [whole[:, :, start:end] for _, start, end in np.asarray(features["patch_offsets"]).tolist()]
    )
    outputs = {**outputs_of(windows), "patch_offsets": features["patch_offsets"]}
    (found,) = processor.post_process_semantic_segmentation(outputs, target_sizes=[(96, 240)])
    np.testing.assert_array_equal(found, halves(96, 240)[1])


@pytest.mark.parametrize("shape", [(96, 240), (241, 96), (50, 50)])
def test_logits_of_windows_are_those_of_the_image(shape: tuple[int, int]) -> None:
    processor = made("Eomt", size={"shortest_edge": 48}, do_split_image=True)
    features = processor(np.zeros((*shape, 3), np.uint8), return_tensors="np")
    height, width = processor.config.overridden({"do_pad": False}).pipeline.output_size(shape)
    whole = np.random.default_rng(0).normal(size=(3, height, width)).astype(np.float32)
    places = [(start, end) for _, start, end in np.asarray(features["patch_offsets"]).tolist()]
    windows = np.stack([whole[:, a:b] if height > width else whole[:, :, a:b] for a, b in places])
    (found,) = processor.merge_image_patches(
        windows, features["patch_offsets"], [shape], processor.size
    )
    resized = ops.resize(np.moveaxis(whole, 0, -1), shape, antialias=False, reference="torch")
    np.testing.assert_allclose(np.moveaxis(np.asarray(found), 0, -1), resized, atol=1e-6)


def test_logits_come_back_without_the_padding() -> None:
    processor = made("Eomt", size={"shortest_edge": 64, "longest_edge": 64}, do_pad=True)
    height, width = 64 * 75 // 100, 64
    logits = np.full((1, 2, 64, 64), 1e9, np.float32)
    logits[0, :, :height, :width] = np.random.default_rng(0).normal(size=(2, height, width))
    (found,) = processor.unpad_image(logits, [(75, 100)])
    whole = np.moveaxis(logits[0, :, :height, :width], 0, -1)
    resized = ops.resize(whole, (75, 100), antialias=False, reference="torch")
    np.testing.assert_allclose(np.moveaxis(np.asarray(found), 0, -1), resized, atol=1e-6)
