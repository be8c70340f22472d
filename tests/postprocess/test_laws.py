"""What post-processing promises besides Transformers' numbers: programs, ids, empty images, forms
of input, helpers.
"""

from __future__ import annotations

import inspect
from types import SimpleNamespace
from typing import Any

import jax
import jax.export
import jax.numpy as jnp
import numpy as np
import pytest
from goldens import postprocess_cases as cases
from goldens import store
from helpers.compilations import compilations

from jaxprep import huggingface, postprocess
from jaxprep.errors import InputError
from jaxprep.postprocess import (
    boxes,
    components,
    depth,
    detection,
    instances,
    registry,
    resize_plan,
    runs,
    segments,
    semantic,
)
from jaxprep.postprocess.registry import METHODS, methods
from jaxprep.postprocess.results import float_at_least, next_float_above

QUERIES = {
    "class_queries_logits": cases.classes([2, 6, 4], 12, null=0),
    "masks_queries_logits": cases.blobs([2, 6, 12, 17], 12),
}
SIZES = ([[40, 31], [23, 64]], [[64, 64], [9, 11]], [[1, 1], [50, 2]])


def test_every_method_takes_what_it_takes_in_transformers() -> None:
    theirs = store.Golden("postprocess").cases[-1]["rest"]
    for name, found in theirs.items():
        assert found.keys() <= METHODS.get(name, {}).keys(), name
        for method in found.keys() & METHODS.get(name, {}).keys():
            parameters = inspect.signature(METHODS[name][method].function).parameters.values()
            places = [p for p in parameters if p.kind is p.POSITIONAL_OR_KEYWORD]
            ours = [[p.name, None if p.default is p.empty else repr(p.default)] for p in places]
            assert ours == found[method], (name, method)


def test_a_class_is_found_by_each_of_its_names() -> None:
    for name in (
        "DetrImageProcessor",
        "DetrImageProcessorPil",
        "DetrImageProcessorFast",
        "DetrFeatureExtractor",
    ):
        assert methods(name).keys() >= METHODS["DetrImageProcessor"].keys()
    assert "post_process_masks" in methods("Sam3TrackerProcessor")
    assert methods("GroundingDinoProcessor").keys() >= {
        "post_process_grounded_object_detection",
        "post_process_object_detection",
    }
    assert methods("ViTImageProcessor").keys() == {"post_process_image_classification"}


def test_settings_fill_what_the_caller_leaves_out() -> None:
    method = METHODS["EomtImageProcessor"]["post_process_semantic_segmentation"]
    outputs = {**QUERIES, "patch_offsets": None}
    size = {"shortest_edge": 16, "longest_edge": 16}
    ours = method({"size": size}, outputs, SIZES[0])
    given = method({"size": {"shortest_edge": 99}}, outputs, SIZES[0], size)
    for a, b in zip(ours, given, strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.fixture
def own_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a test declares is forgotten after it."""
    rows = {name: dict(row) for name, row in METHODS.items()}
    monkeypatch.setattr(registry, "METHODS", rows)


@pytest.mark.usefixtures("own_rows")
def test_a_function_from_outside_is_a_method_of_the_classes_that_it_names() -> None:
    @postprocess.method(("ToyImageProcessor", "DetrImageProcessor"), "post_process_x")
    @postprocess.method("OtherImageProcessor", "post_process_x", settings=["a"], fixed={"b": 4})
    def combine(outputs: int, a: int = 1, *, b: int = 2) -> tuple[int, int, int]:
        return outputs, a, b

    assert combine(0) == (0, 1, 2)
    assert methods("ToyImageProcessor")["post_process_x"]({"a": 3}, 0) == (0, 1, 2)
    assert methods("OtherImageProcessorFast")["post_process_x"]({"a": 3}, 0) == (0, 3, 4)
    assert methods("OtherImageProcessor")["post_process_x"]({"a": 3}, 0, 5) == (0, 5, 4)
    assert methods("OtherImageProcessor")["post_process_x"]({"a": None}, 0) == (0, 1, 4)
    assert methods("DetrImageProcessor").keys() > {"post_process_x", postprocess.DETECTION}
    assert huggingface.DetrImageProcessor().post_process_x(7) == (7, 1, 2)


@pytest.mark.usefixtures("own_rows")
def test_a_method_belongs_to_one_function() -> None:
    with pytest.raises(InputError, match="softmax_detection"):
        postprocess.method("DetrImageProcessor", postprocess.DETECTION)(print)
    postprocess.method("DetrImageProcessor", postprocess.DETECTION)(postprocess.softmax_detection)


@pytest.mark.usefixtures("own_rows")
def test_a_method_of_every_class_is_one_of_classes_without_a_row() -> None:
    postprocess.method(postprocess.EVERY_CLASS, "post_process_x")(print)
    # JAX's default settings are wrapped around it
    assert methods("UnknownProcessor")["post_process_x"].function.__wrapped__ is print


SHARED_PROGRAMS = {
    "dense": (
        lambda s: postprocess.dense_semantic_segmentation(
            {"logits": QUERIES["masks_queries_logits"]}, s
        ),
        semantic._dense,
    ),
    "queries": (lambda s: postprocess.query_semantic_segmentation(QUERIES, s), semantic._queries),
    "panoptic": (
        lambda s: postprocess.panoptic_segmentation(QUERIES, target_sizes=s),
        segments._assign_pixels,
    ),
    "instances": (
        lambda s: postprocess.top_instance_segmentation(QUERIES, target_sizes=s),
        instances._top_instances,
    ),
    "depth": (
        lambda s: postprocess.depth_estimation(
            {"predicted_depth": QUERIES["masks_queries_logits"][:, 0]}, s
        ),
        resize_plan._resize_one,
    ),
    "softmax": (
        lambda s: postprocess.softmax_detection(_found(), target_sizes=s),
        detection._softmax,
    ),
    "top": (lambda s: postprocess.top_detection(_found(), target_sizes=s), detection._top),
    "guided": (
        lambda s: postprocess.image_guided_detection(_guided(), target_sizes=s),
        detection._image_guided,
    ),
}


def _found(images: int = 2) -> dict[str, Any]:
    return {"logits": cases.classes([images, 9, 5], 3), "pred_boxes": cases.boxes([images, 9], 3)}


def _guided() -> dict[str, Any]:
    return {"logits": cases.noise([2, 9, 1], 4), "target_pred_boxes": cases.boxes([2, 9], 4)}


@pytest.mark.parametrize("name", SHARED_PROGRAMS)
def test_one_program_serves_all_target_sizes_of_a_bucket(name: str) -> None:
    call, program = SHARED_PROGRAMS[name]
    call(SIZES[0])
    compiled = program._cache_size()
    for size in SIZES[1:]:
        call(size)
    assert program._cache_size() == compiled


def test_outputs_may_be_objects_or_dicts_of_numpy_or_jax_arrays() -> None:
    found = _found()
    kinds = [
        found,
        SimpleNamespace(**found),
        {name: jnp.asarray(part) for name, part in found.items()},
    ]
    results = [
        postprocess.softmax_detection(kind, 0.3, sizes)
        for kind in kinds
        for sizes in (SIZES[0], np.asarray(SIZES[0]))
    ]
    for result in results[1:]:
        for ours, first in zip(result, results[0], strict=True):
            for name in ("scores", "labels", "boxes"):
                assert isinstance(ours[name], jax.Array)
                np.testing.assert_array_equal(ours[name], first[name])


def test_half_precision_outputs_are_computed_in_float32() -> None:
    logits = jnp.asarray(QUERIES["masks_queries_logits"], jnp.bfloat16)
    (half, _), (full, _) = (
        postprocess.dense_semantic_segmentation({"logits": part}, SIZES[0])
        for part in (logits, logits.astype(jnp.float32))
    )
    np.testing.assert_array_equal(half, full)


SIZES_THAT_DO_NOT_FIT: list[Any] = [
    [[4, 5]],
    [[4, 5, 6]] * 2,
    [[0, 5]] * 2,
    [[4, 5], None],
    [[4, 5], [4]],
    [["4", "5"]] * 2,
    [4, 5],
    4,
    np.array(4),
]


@pytest.mark.parametrize("sizes", SIZES_THAT_DO_NOT_FIT, ids=str)
def test_sizes_that_do_not_fit_are_refused(sizes: Any) -> None:
    with pytest.raises(InputError, match="target_sizes"):
        postprocess.softmax_detection(_found(), target_sizes=sizes)


def test_maps_have_whole_sizes() -> None:
    whole = postprocess.panoptic_segmentation(QUERIES, target_sizes=jnp.float32(SIZES[0]))
    assert whole[0]["segmentation"].shape == (40, 31)
    with pytest.raises(InputError, match="whole numbers"):
        postprocess.panoptic_segmentation(QUERIES, target_sizes=[(40.5, 31), (23, 64)])


@pytest.mark.parametrize("name", ["Semantic", "Instance", "Panoptic"])
def test_eomt_needs_target_sizes(name: str) -> None:
    method = methods("EomtImageProcessor")[f"post_process_{name.lower()}_segmentation"]
    with pytest.raises(InputError, match="target_sizes"):
        method({"size": {"shortest_edge": 32, "longest_edge": 32}}, QUERIES, None)


def test_sam_needs_original_sizes() -> None:
    masks = [np.zeros((1, 1, 4, 4), np.float32)]
    with pytest.raises(InputError, match="original_sizes"):
        postprocess.sam2_masks(masks, None)


@pytest.mark.parametrize("threshold", [None, "0.5", [0.5]], ids=str)
def test_a_threshold_is_a_number(threshold: Any) -> None:
    with pytest.raises(InputError, match="`threshold`"):
        postprocess.softmax_detection(_found(), threshold)
    with pytest.raises(InputError, match="`mask_threshold`"):
        postprocess.panoptic_segmentation(QUERIES, 0.0, threshold)
    with pytest.raises(InputError, match="`overlap_mask_area_threshold`"):
        postprocess.panoptic_segmentation(QUERIES, 0.0, 0.5, threshold)
    with pytest.raises(InputError, match="`nms_threshold`"):
        guided = {"logits": np.zeros((1, 1, 1)), "target_pred_boxes": np.full((1, 1, 4), 0.5)}
        postprocess.image_guided_detection(guided, 0.0, threshold)


def test_a_threshold_beyond_float32_keeps_nothing() -> None:
    for result in postprocess.panoptic_segmentation(QUERIES, 0.0, 0.5, 1e39):
        assert not result["segments_info"]
    for result in postprocess.softmax_detection(_found(), 1e39):
        assert not len(result["scores"])


def test_labels_to_fuse_may_be_an_array_or_a_set() -> None:
    ways: tuple[Any, ...] = ([1, 2], {1, 2}, np.array([1, 2]), jnp.array([1, 2]), range(1, 3))
    first, *others = (postprocess.panoptic_segmentation(QUERIES, 0, 0.5, 0.2, way) for way in ways)
    assert any(info["was_fused"] for result in first for info in result["segments_info"])
    for other in others:
        assert [r["segments_info"] for r in other] == [r["segments_info"] for r in first]
    stuff = [
        postprocess.eomt_panoptic_segmentation(QUERIES, SIZES[0], 0.5, 0.5, 0.2, way)
        for way in ways
    ]
    for other in stuff:
        assert [r["segments_info"] for r in other] == [r["segments_info"] for r in stuff[0]]
    one: Any = 1
    with pytest.raises(InputError, match="label_ids_to_fuse"):
        postprocess.panoptic_segmentation(QUERIES, label_ids_to_fuse=one)


def test_numbers_of_results_are_integers() -> None:
    counts: tuple[Any, ...] = (3.0, -1, "3")
    for count in counts:
        with pytest.raises(InputError, match="`top_k`"):
            postprocess.top_detection(_found(), top_k=count)
    three: Any = np.int64(3)
    first, _ = postprocess.top_detection(_found(), 0.0, top_k=three)
    assert len(first["scores"]) == 3


def test_outputs_without_classes_or_of_other_batches_are_refused() -> None:
    classes, masks = QUERIES.values()
    only_null = {"class_queries_logits": classes[..., :1], "masks_queries_logits": masks}
    nothing = {"class_queries_logits": classes[:, :0], "masks_queries_logits": masks[:, :0]}
    for function in (
        postprocess.query_semantic_segmentation,
        postprocess.top_instance_segmentation,
    ):
        with pytest.raises(InputError, match="queries_logits"):
            function(only_null)
    with pytest.raises(InputError, match="queries_logits"):
        postprocess.top_instance_segmentation(nothing)
    # Transformers finds nothing in these.
    for fields in (only_null, nothing):
        for result in postprocess.panoptic_segmentation(fields):
            assert (np.asarray(result["segmentation"]) == -1).all()
    for fields in (
        {"class_queries_logits": classes, "masks_queries_logits": masks[:1]},
        {"class_queries_logits": classes, "masks_queries_logits": masks[:, :3]},
    ):
        for function in (
            postprocess.query_semantic_segmentation,
            postprocess.panoptic_segmentation,
            postprocess.top_instance_segmentation,
            postprocess.oneformer_instance_segmentation,
        ):
            with pytest.raises(InputError, match="queries_logits"):
                function(fields)
    with pytest.raises(InputError, match=r"`outputs\.logits`"):
        postprocess.dense_semantic_segmentation({"logits": np.zeros((1, 0, 4, 4))})
    found = _found()
    with pytest.raises(InputError, match=r"`outputs\.pred_boxes`"):
        postprocess.softmax_detection({**found, "pred_boxes": found["pred_boxes"][:1]})
    for logits in ("x", None, found["logits"] * 1j, np.ma.masked_greater(found["logits"], 0)):
        with pytest.raises(InputError, match=r"`outputs(\.logits)?`"):
            postprocess.softmax_detection({**found, "logits": logits})
    with pytest.raises(InputError, match="no object"):
        postprocess.softmax_detection({**found, "logits": found["logits"][..., :1]})


def test_every_label_has_a_text() -> None:
    found = _found()
    texts = [["a cat"], ["a dog"]]
    with pytest.raises(InputError, match="`text_labels`"):
        postprocess.labelled_detection(found, 0.0, text_labels=texts)


def test_pairs_of_images_have_pairs_of_sizes() -> None:
    outputs = {
        "keypoints": np.full((1, 2, 1, 2), 0.5),
        "matches": np.zeros((1, 2, 1), int),
        "matching_scores": np.ones((1, 2, 1)),
    }
    for sizes in (None, [(8, 6)], [[(8, 6), (4,)]]):
        with pytest.raises(InputError, match="target_sizes"):
            postprocess.dense_matching(outputs, sizes)


def test_missing_fields_are_named() -> None:
    with pytest.raises(InputError, match="`pred_boxes`"):
        postprocess.softmax_detection({"logits": np.zeros((1, 2, 3), np.float32)})


def test_a_batch_is_its_images_one_by_one() -> None:
    together = postprocess.panoptic_segmentation(QUERIES, target_sizes=SIZES[0])
    for i, result in enumerate(together):
        (alone,) = postprocess.panoptic_segmentation(
            {n: p[i : i + 1] for n, p in QUERIES.items()}, target_sizes=[SIZES[0][i]]
        )
        np.testing.assert_array_equal(result["segmentation"], alone["segmentation"])
        assert result["segments_info"] == alone["segments_info"]


def test_pure_functions_run_under_jit_and_vmap() -> None:
    to_image = resize_plan.plan((12, 17), (40, 31))
    maps = QUERIES["masks_queries_logits"]
    found = jax.jit(jax.vmap(semantic.best_class, (0, None)))(maps, to_image)
    expected = postprocess.dense_semantic_segmentation({"logits": maps}, [[40, 31]] * 2)
    np.testing.assert_array_equal(found[:, :40, :31], np.stack(expected))


@pytest.mark.parametrize("platform", ["cuda", "tpu"])
def test_programs_lower_for_accelerators_without_computations_that_are_not_inlined(
    platform: str,
) -> None:
    to_image = resize_plan.plan((12, 17), (40, 31))
    maps, scores = QUERIES["masks_queries_logits"][0], np.ones(6, np.float32)
    flags, labels = np.ones(6, bool), np.arange(6)
    assign = jax.jit(
        lambda maps, to_image: segments.assign_pixels(
            maps, scores, labels, flags, flags, to_image, 0.5, 0.8, segments.DETR
        )
    )
    for program in (jax.jit(semantic.best_class), assign, jax.jit(resize_plan.resize)):
        exported = jax.export.export(program, platforms=[platform])(maps, to_image)
        # XLA:GPU fuses nothing inside of such a computation.
        assert "inlineable" not in exported.mlir_module()


def segments_one_by_one(exists: np.ndarray, labels: np.ndarray, fuse: set[int]) -> list[int]:
    """What `label_ids_to_fuse` means: one id per fused label, a new one for all else."""
    ids, last, shared = [], 0, {}
    for here, label in zip(exists, labels, strict=True):
        if not here:
            ids.append(0)
        elif label in shared:
            ids.append(shared[label])
        else:
            last += 1
            ids.append(last)
            if label in fuse:
                shared[label] = last
    return ids


@pytest.mark.parametrize("seed", range(20))
def test_fused_labels_share_an_id_and_no_other_segment_has_it(seed: int) -> None:
    labels = cases.integers([12], seed, 4)
    exists = cases.integers([12], seed + 100, 3) > 0
    fuse = {1, 3} if seed % 2 else {0}
    ids, leads = segments.segment_ids(
        jnp.asarray(exists), jnp.asarray(labels), jnp.isin(labels, np.asarray(list(fuse)))
    )
    assert ids.tolist() == segments_one_by_one(exists, labels, fuse)
    assert int(leads.sum()) == len(set(ids.tolist()) - {0})


def test_panoptic_ids_are_not_given_twice() -> None:
    logits = np.zeros((1, 4, 4), np.float32)
    for query, label in enumerate((2, 0, 2, 1)):  # Transformers gives 1, 2, 1, 2
        logits[0, query, label] = 9
    masks = np.full((1, 4, 8, 8), -9, np.float32)
    for query in range(4):
        masks[0, query, :, 2 * query : 2 * query + 2] = 9
    outputs = {"class_queries_logits": logits, "masks_queries_logits": masks}
    (result,) = postprocess.panoptic_segmentation(outputs, label_ids_to_fuse={2})
    assert [
        (part["id"], part["label_id"], part["was_fused"]) for part in result["segments_info"]
    ] == [
        (1, 2, True),
        (2, 0, False),
        (1, 2, True),
        (3, 1, False),
    ]
    np.testing.assert_array_equal(result["segmentation"][0], [1, 1, 2, 2, 1, 1, 3, 3])


def test_images_without_hits_keep_their_place() -> None:
    outputs = _guided()
    outputs["logits"][0] = -200  # the sigmoid of this is 0: Transformers leaves the image out
    first, second = postprocess.image_guided_detection(outputs, target_sizes=[[4, 5], [6, 7]])
    assert first["scores"].shape == (0,) and first["boxes"].shape == (0, 4)
    assert second["scores"].max() == pytest.approx(1, abs=1e-5)


def test_without_focal_loss_the_softmax_is_over_classes() -> None:
    outputs = _found()
    theirs = methods("RTDetrImageProcessor")["post_process_object_detection"](
        {}, outputs, 0.2, None, False
    )
    for ours, softmax in zip(theirs, postprocess.softmax_detection(outputs, 0.2), strict=True):
        np.testing.assert_array_equal(ours["scores"], softmax["scores"])


def test_empty_results_have_the_shapes_of_full_ones() -> None:
    nothing = {
        "logits": np.full((1, 3, 4), -9, np.float32),
        "pred_masks": np.zeros((1, 3, 5, 6), np.float32),
    }
    (binary,) = postprocess.rfdetr_instance_segmentation(
        nothing, target_sizes=[[7, 8]], return_binary_maps=True
    )
    assert binary["segmentation"].shape == (0, 7, 8) and binary["segmentation"].dtype == bool
    sam = {
        "pred_logits": np.full((1, 3), -9, np.float32),
        "pred_boxes": np.zeros((1, 3, 4), np.float32),
    }
    (masks,) = postprocess.sam3_instance_segmentation(
        {**sam, "pred_masks": nothing["pred_masks"]}, target_sizes=[[7, 8]]
    )
    assert masks["masks"].shape == (0, 7, 8)
    (column,) = postprocess.depth_estimation(
        {"predicted_depth": np.ones((1, 3, 4), np.float32)}, [[5, 1]]
    )
    assert column["predicted_depth"].shape == (5, 1)
    (runs_of_none,) = postprocess.detr_instance_segmentation(
        nothing | {"logits": np.eye(4, dtype=np.float32)[None, [3] * 3] * 9},
        return_coco_annotation=True,
    )
    assert runs_of_none["segmentation"] == [[1, 30]]


@pytest.mark.parametrize("seed", range(5))
def test_run_lengths_and_masks_are_inverses(seed: int) -> None:
    mask = cases.integers([7, 9], seed, 3) > 0
    rle = runs.mask_to_rle(mask)
    assert sum(rle["counts"]) == mask.size
    np.testing.assert_array_equal(runs.rle_to_mask(rle), mask)
    pairs = np.reshape(runs.mask_to_runs(mask), (-1, 2))
    flat = np.zeros(mask.size, bool)
    for start, length in pairs:
        flat[start - 1 : start - 1 + length] = True
    np.testing.assert_array_equal(flat.reshape(mask.shape), mask)


def test_run_lengths_of_plain_masks() -> None:
    assert runs.mask_to_rle(np.zeros((2, 3)))["counts"] == [6]
    assert runs.mask_to_rle(np.ones((2, 3)))["counts"] == [0, 6]


def flooded(mask: np.ndarray) -> np.ndarray:
    """The size of the region of each pixel, by filling."""
    sizes, seen = np.zeros(mask.shape, int), ~mask
    for start in zip(*np.nonzero(mask), strict=True):
        if seen[start]:
            continue
        region, edge = [], [start]
        seen[start] = True
        while edge:
            y, x = edge.pop()
            region.append((y, x))
            near = ((y + dy, x + dx) for dy in (-1, 0, 1) for dx in (-1, 0, 1))
            for place in near:
                if (
                    all(0 <= n < m for n, m in zip(place, mask.shape, strict=True))
                    and not seen[place]
                ):
                    seen[place] = True
                    edge.append(place)
        for place in region:
            sizes[place] = len(region)
    return sizes


@pytest.mark.parametrize("share", [1, 2, 3, 4])
def test_small_regions_are_those_that_filling_finds(share: int) -> None:
    mask = cases.integers([24, 31], share, 5) < share
    small = jax.jit(components.small_regions)(mask, 6)
    np.testing.assert_array_equal(small, mask & (flooded(mask) <= 6))


def test_a_winding_region_is_one_region() -> None:
    mask = np.ones((33, 33), bool)
    mask[1::4, :-1] = mask[3::4, 1:] = False
    assert len(np.unique(jax.jit(components.regions)(mask)[mask])) == 1


def test_small_holes_are_filled_and_small_sprinkles_removed() -> None:
    logits = np.full((1, 1, 16, 16), -5, np.float32)
    logits[0, 0, 2:12, 2:12] = 5
    logits[0, 0, 5, 5] = logits[0, 0, 8:11, 8:11] = -5  # holes of 1 and 9 pixels
    logits[0, 0, 14, 14] = 5  # a sprinkle
    same = [[16, 16]]
    plain, clean, all_ = (
        np.asarray(
            postprocess.sam2_masks([logits], same, max_hole_area=hole, max_sprinkle_area=sprinkle)[
                0
            ]
        )[0, 0]
        for hole, sprinkle in ((0, 0), (1, 1), (9, 0))
    )
    assert not plain[5, 5] and plain[14, 14]
    assert clean[5, 5] and not clean[9, 9] and not clean[14, 14] and clean[2, 2]
    assert all_[5, 5] and all_[9, 9] and all_[14, 14]


@pytest.mark.parametrize("bound", [0.1, 0.5, 0.9])
def test_suppression_keeps_what_a_plain_loop_keeps(bound: float) -> None:
    corners = np.asarray(boxes.center_to_corners(jnp.asarray(cases.boxes([40], 5))))
    scores, groups = cases.noise([40], 6), cases.integers([40], 7, 3).astype(np.int32)
    shared = np.asarray(boxes.overlap(jnp.asarray(corners), jnp.asarray(corners)))
    for group in (groups, np.zeros_like(groups)):
        keep: list[int] = []
        for i in np.argsort(-scores):
            if all(group[i] != group[j] or shared[i, j] <= bound for j in keep):
                keep.append(int(i))
        assert boxes.kept_boxes(corners, scores, bound, group).tolist() == keep


def test_equal_classes_come_in_their_order_even_where_the_sigmoid_is_one() -> None:
    logits = np.float32([[[20, 30, 30, 25]]])  # all of them have a sigmoid of 1
    (found,) = postprocess.top_detection(
        {"logits": logits, "pred_boxes": np.zeros((1, 1, 4), np.float32)}, 0.5, None, 4
    )
    assert found["labels"].tolist() == [1, 2, 3, 0]


def test_classes_have_their_names() -> None:
    outputs = {"logits": np.float32([[0, 3, 1], [2, 0, 0]])}
    names = {"0": "ant", "1": "bee", "2": "cat"}
    first, second = postprocess.image_classification(outputs, 2, names)
    assert first["labels"].tolist() == [1, 2] and first["text_labels"] == ["bee", "cat"]
    assert second["text_labels"] == ["ant", "bee"]
    np.testing.assert_allclose(first["scores"], np.exp([3, 1]) / np.exp([0, 3, 1]).sum(), rtol=1e-6)
    (sure, _) = postprocess.image_classification(
        outputs, None, list(names.values()), "sigmoid", 0.6
    )
    assert sure["text_labels"] == ["bee", "cat"]
    with pytest.raises(InputError, match="id2label"):
        postprocess.image_classification(outputs, 1, {0: "ant"})


def test_super_resolution_crops_the_padding_clips_and_rounds() -> None:
    made = cases.noise([2, 3, 32, 48], 8, -0.2, 1.2)
    results = postprocess.super_resolution(
        {"reconstruction": made}, [[15, 17], [8, 16]]
    )  # padded to 16 x 24, times 2
    for result, (height, width), pixels in zip(results, ((30, 34), (16, 32)), made, strict=True):
        expected = np.round(np.clip(np.moveaxis(pixels, 0, -1), 0, 1) * 255).astype(np.uint8)
        np.testing.assert_array_equal(result["image"], expected[:height, :width])


def test_text_without_characters_has_no_score() -> None:
    blank = np.eye(3, dtype=np.float32)[None, [0, 0, 0]]
    (result,) = postprocess.text_recognition(
        {"last_hidden_state": blank}, character_list=["", "a", "b"]
    )
    assert result["text"] == "" and np.isnan(result["score"])


def test_depth_pro_without_target_sizes_is_the_inverse() -> None:
    inverse = cases.noise([1, 4, 5], 9, 1, 2)
    (result,) = depth.depth_pro_estimation({"predicted_depth": inverse, "field_of_view": None})
    np.testing.assert_allclose(result["predicted_depth"], 1 / inverse[0], rtol=1e-6)
    assert result["focal_length"] is None


def test_a_photograph_of_a_new_size_compiles_nothing():
    """`jnp.asarray` of a map compiles a program for its shape, which is kept: 1.5 MB each."""
    depth = {"predicted_depth": np.zeros((1, 8, 8), np.float32)}
    maps = {"logits": np.zeros((1, 3, 8, 8), np.float32)}
    masks = np.zeros((1, 1, 3, 8, 8), np.float32)
    dpt, segformer = huggingface.DPTImageProcessor(), huggingface.SegformerImageProcessor()
    sam = huggingface.Sam2ImageProcessor()

    def results(size: tuple[int, int]) -> None:
        dpt.post_process_depth_estimation(depth, target_sizes=[size])
        segformer.post_process_semantic_segmentation(maps, target_sizes=[size])
        sam.post_process_masks(masks, original_sizes=[size])

    results((60, 50))
    with compilations() as names:
        for size in ((59, 51), (61, 53), (58, 52)):
            results(size)
    assert names == []


@pytest.mark.parametrize("bound", [0.0, 0.5, 0.8, 1.0])
def test_the_number_above_a_bound_is_found_where_numpy_raises_all_errors(bound):
    with np.errstate(all="raise"):
        above = next_float_above(bound)
        assert float(float_at_least(bound)) >= bound
    assert float(above) > bound
    assert float(np.nextafter(above, np.float32(-1))) <= bound


POINTS = {
    "mask": np.array([[1, 0, -1], [0, 2, 0]]),
    "keypoints": np.full((2, 3, 2), 0.5, np.float32),
    "scores": np.arange(6, dtype=np.float32).reshape(2, 3),
    "descriptors": np.zeros((2, 3, 4), np.float32),
}
PAIRS = {
    "mask": np.ones((1, 2, 3)),
    "keypoints": np.full((1, 2, 3, 2), 0.5, np.float32),
    "matches": np.zeros((1, 2, 3), int),
    "matching_scores": np.ones((1, 2, 3), np.float32),
}
SEGMENTS = {
    "pred_logits": np.full((2, 3), 9, np.int32),
    "pred_boxes": np.full((2, 3, 4), 0.5, np.float32),
    "presence_logits": np.zeros((1, 1), np.float32),
    "pred_masks": np.ones((2, 3, 4, 5), np.float32),
}
LAYOUT = {
    "logits": np.zeros((2, 3, 5), np.float32),
    "pred_boxes": np.zeros((2, 3, 4), np.float32),
    "order_logits": np.zeros((2, 3, 3), np.float32),
}


def test_keypoints_are_where_the_mask_is_not_0_as_torch_finds_them() -> None:
    first, second = postprocess.keypoint_detection(POINTS, [(8, 6), (8, 6)])
    assert first["scores"].tolist() == [0, 2] and second["scores"].tolist() == [4]


@pytest.mark.parametrize(
    ("call", "name"),
    [
        (lambda: postprocess.keypoint_detection({**POINTS, "mask": [[1, 0]]}, [(8, 6)]), "mask"),
        (
            lambda: postprocess.keypoint_detection(
                {**POINTS, "scores": np.zeros((2, 2))}, [(8, 6), (8, 6)]
            ),
            "scores",
        ),
        (
            lambda: postprocess.keypoint_matching(
                {**PAIRS, "matches": np.zeros((1, 2, 2), int)}, [[(8, 6), (8, 6)]]
            ),
            "matches",
        ),
        (
            lambda: postprocess.keypoint_matching(
                {**PAIRS, "matches": np.zeros((1, 2, 3), np.float32)}, [[(8, 6), (8, 6)]]
            ),
            "matches",
        ),
        (
            lambda: postprocess.dense_matching(
                {**PAIRS, "keypoints": np.zeros((1, 2, 3, 3))}, [[(8, 6), (8, 6)]]
            ),
            "keypoints",
        ),
        (lambda: postprocess.dense_matching(PAIRS, [[(8, 6), (float("nan"), 6)]]), "target_sizes"),
        (
            lambda: postprocess.sam3_detection({**SEGMENTS, "pred_logits": np.zeros((2, 3, 1))}),
            "pred_logits",
        ),
        (
            lambda: postprocess.sam3_instance_segmentation(
                {**SEGMENTS, "pred_masks": np.zeros((2, 4, 5))}
            ),
            "pred_masks",
        ),
        (
            lambda: postprocess.sam3_semantic_segmentation({"semantic_seg": np.zeros((2, 4, 5))}),
            "semantic_seg",
        ),
        (
            lambda: postprocess.sam2_masks([np.zeros((3, 4, 5), np.float32)], [(8, 6)]),
            r"masks\[0\]",
        ),
        (lambda: postprocess.sam2_masks(None, [(8, 6)]), "masks"),
        (
            lambda: postprocess.sam2_masks(
                [np.zeros((1, 1, 4, 5), np.float32)], [(8, 6)], max_hole_area=float("nan")
            ),
            "max_hole_area",
        ),
        (
            lambda: postprocess.depth_estimation(
                {"predicted_depth": np.zeros((1, 0, 4))}, [(8, 6)]
            ),
            "predicted_depth",
        ),
        (
            lambda: postprocess.depth_pro_estimation(
                {"predicted_depth": np.ones((2, 4, 4)), "field_of_view": [90.0]}
            ),
            "field_of_view",
        ),
        (
            lambda: postprocess.layout_detection({**LAYOUT, "order_logits": np.zeros((2, 2, 2))}),
            "order_logits",
        ),
        (
            lambda: postprocess.ocr_text_detection(
                {"last_hidden_state": np.zeros((1, 8, 8))}, target_sizes=[(8, 8)]
            ),
            "last_hidden_state",
        ),
        (
            lambda: postprocess.text_recognition({"last_hidden_state": np.zeros((2, 8))}),
            "last_hidden_state",
        ),
    ],
)
def test_fields_that_disagree_are_named_in_one_error(call: Any, name: str) -> None:
    with pytest.raises(InputError, match=f"{name}`"):
        call()


@pytest.mark.parametrize(
    "setting", ["threshold", "box_threshold", "max_candidates", "min_size", "unclip_ratio"]
)
def test_settings_of_text_detection_are_numbers(setting: str) -> None:
    bad: Any = None
    outputs = {"last_hidden_state": np.zeros((1, 1, 8, 8), np.float32)}
    with pytest.raises(InputError, match=f"`{setting}`"):
        postprocess.ocr_text_detection(outputs, target_sizes=[(8, 8)], **{setting: bad})


def test_text_that_would_grow_without_end_has_no_box_as_by_opencv() -> None:
    probability = np.zeros((1, 1, 32, 64), np.float32)
    probability[0, 0, 8:20, 10:50] = 0.9
    for ratio in (1e39, float("nan")):
        (result,) = postprocess.ocr_text_detection(
            {"last_hidden_state": probability}, target_sizes=[(32, 64)], unclip_ratio=ratio
        )
        assert result["boxes"].shape == (0, 4, 2)


def test_one_presence_serves_all_images_and_logits_may_be_integers() -> None:
    first, second = postprocess.sam3_detection(SEGMENTS)
    np.testing.assert_allclose(first["scores"], [0.5 / (1 + np.exp(-9))] * 3, rtol=1e-6)
    np.testing.assert_array_equal(first["scores"], second["scores"])


def test_no_object_has_no_mask_of_the_size_of_the_image() -> None:
    (result,) = postprocess.sam2_masks([np.zeros((0, 3, 4, 4), np.float32)], [(10, 20)])
    assert result.shape == (0, 3, 10, 20) and result.dtype == bool


def test_holes_of_any_area_are_filled() -> None:
    masks = np.ones((1, 1, 4, 4), np.float32)
    masks[0, 0, 1:3, 1:3] = -1
    for area in (1e39, float("inf"), 4.5):
        (filled,) = postprocess.sam2_masks([masks], [(4, 4)], max_hole_area=area)
        assert filled.all()


def test_logits_that_are_masked_by_the_least_float64_have_no_probability():
    masked = np.finfo(np.float64).min
    logits = [[[5.0, 0.0, masked], [0.0, 4.0, masked]]]
    outputs = {"logits": np.array(logits), "pred_boxes": np.full((1, 2, 4), 0.5)}
    processor = huggingface.DetrImageProcessor()
    (result,) = processor.post_process_object_detection(outputs, threshold=0.1)
    np.testing.assert_allclose(result["scores"], [0.9933, 0.9820], atol=1e-4)
