"""Records of any loader become batches of one shape: canvases, padding, plans."""

from __future__ import annotations

import io
import pickle
from pathlib import Path
from typing import Any

import chex
import jax
import numpy as np
import pytest
from helpers.images import noise
from PIL import Image

import jaxprep
from jaxprep import Batch, Pipeline, augment, ops, parallel
from jaxprep.errors import DecodeError, InputError, JaxprepError

CANVAS = (24, 32)
LOAD = parallel.LoadExample(CANVAS)
PHOTOS = [noise(10 + i, 30 - i, 3, seed=i) for i in range(5)]
SIZES = [list(photo.shape[:2]) for photo in PHOTOS]
TRAIN = Pipeline((augment.RandomResizedCrop(8), augment.RandomFlip(), ops.Rescale()))


def png(photo: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(photo).save(buffer, format="PNG")
    return buffer.getvalue()


def assert_holds(images: np.ndarray, sizes: Any, photos: list[np.ndarray]) -> None:
    assert np.asarray(sizes).tolist() == [list(photo.shape[:2]) for photo in photos]
    for image, photo in zip(images, photos, strict=True):
        height, width = photo.shape[:2]
        np.testing.assert_array_equal(image[:height, :width], photo)
        assert not image[height:].any() and not image[:, width:].any()


# stack


def test_stack_takes_photographs_in_memory_and_in_files_of_every_kind(tmp_path: Path):
    path = tmp_path / "photo.png"
    path.write_bytes(png(PHOTOS[0]))
    given = [
        path,
        png(PHOTOS[1]),
        Image.fromarray(PHOTOS[2]),
        PHOTOS[3],
        jax.numpy.asarray(PHOTOS[4]),
    ]
    images, sizes = jaxprep.stack(given, canvas=CANVAS)
    assert images.shape == (5, *CANVAS, 3) and images.dtype == np.uint8
    assert_holds(images, sizes, PHOTOS)


def test_stack_chooses_the_canvas_of_a_plan_by_default():
    images, sizes = jaxprep.stack(PHOTOS)
    assert images.shape[1:3] == TRAIN.plan(sizes).canvas


def test_stack_refuses_what_has_no_one_shape():
    cases: list[tuple[Any, Any, str]] = [
        (
            PHOTOS,
            (12, 32),
            r"fits a canvas of \(12, 32\), got one of \(13, 27\) - at `photos\[3\]`",
        ),
        ([PHOTOS[0], PHOTOS[1][..., :1]], CANVAS, r"`photos\[1\]`, uint8 \(11, 29, 1\)"),
        ([PHOTOS[0], PHOTOS[1].astype(np.float32)], CANVAS, "float32"),
        ([], CANVAS, "at least one photograph"),
        (PHOTOS, 24, "height and width of a canvas"),
        ("cat.jpg", CANVAS, "a list of photographs, got one `str`"),
        (None, CANVAS, "a list of photographs, got one `NoneType`"),
        ({"a": 1}, CANVAS, "a list of photographs, got one `dict`"),
        ([None], CANVAS, "got `NoneType`"),
        ([np.zeros((2, 2, 2, 3))], CANVAS, r"got shape \(2, 2, 2, 3\)"),
    ]
    for photos, canvas, message in cases:
        with pytest.raises(JaxprepError, match=message):
            jaxprep.stack(photos, canvas=canvas)


# records


@pytest.mark.parametrize(
    "record",
    [
        (PHOTOS[0], 7),
        (PHOTOS[0], 7, 1.0),
        [Image.fromarray(PHOTOS[0]), np.int64(7)],
        {"image": PHOTOS[0], "label": 7, "name": "ignored"},
        {"image": {"bytes": png(PHOTOS[0]), "path": None}, "label": 7},
        Batch(image=PHOTOS[0], label=7),
        parallel.Record((png(PHOTOS[0]), 7), index=0),
        (np.array(png(PHOTOS[0]), object), np.array(7)),
    ],
    ids=["pair", "triple", "list", "dictionary", "undecoded", "batch", "record", "tensors"],
)
def test_a_record_of_any_form_becomes_the_same_example(record: Any):
    example = LOAD(record)
    assert_holds(example.image[None], [example.size], PHOTOS[:1])
    assert example.label == 7 and example.weight == np.float32(1)


def test_an_example_on_a_canvas_moves_to_another_with_its_size():
    small = parallel.LoadExample((32, 40))(LOAD(PHOTOS[0]))
    assert small.image.shape == (32, 40, 3)
    assert_holds(small.image[None], [small.size], PHOTOS[:1])


def test_masks_go_on_the_canvas_with_their_image():
    mask = noise(10, 30)
    load = parallel.LoadExample(CANVAS, masks=("mask",))
    palette = Image.fromarray(mask % 4, mode="P")
    palette.putpalette(list(range(12)))
    file = io.BytesIO()
    palette.save(file, format="PNG")
    for given, want in [(mask, mask), (file.getvalue(), mask % 4), (palette, mask % 4)]:
        record = {"image": PHOTOS[0], "mask": given}
        example = load(record)
        assert_holds(example.extras["mask"][None], [(10, 30)], [want])
        batch = parallel.Collate(load)([record])
        chex.assert_trees_all_equal(batch, jax.tree.map(lambda leaf: leaf[None], example))
    with pytest.raises(InputError, match=r"size \(10, 30\), got \(8, 30\) - at `record, mask`"):
        load({"image": PHOTOS[0], "mask": mask[:8]})
    with pytest.raises(InputError, match="the mask 'mask', got none"):
        load(PHOTOS[0])


def test_a_photograph_that_is_too_large_is_shrunk_where_that_is_asked_for():
    load = parallel.LoadExample(CANVAS, masks=("mask",), too_large="shrink")
    large, mask = noise(60, 50, 3), noise(60, 50)
    want = Image.fromarray(large)
    want.thumbnail((32, 24), Image.Resampling.BICUBIC, reducing_gap=None)
    nearest = Image.fromarray(mask).resize(want.size, Image.Resampling.NEAREST)
    example = load({"image": large, "mask": mask})
    assert_holds(example.image[None], [example.size], [np.asarray(want)])
    assert_holds(example.extras["mask"][None], [example.size], [np.asarray(nearest)])
    fits = load({"image": PHOTOS[0], "mask": noise(10, 30)})
    assert_holds(fits.image[None], [fits.size], PHOTOS[:1])
    with pytest.raises(InputError, match="of uint8 with 1, 3 or 4 channels to shrink"):
        parallel.LoadExample(CANVAS, too_large="shrink")(large.astype(np.float32))
    with pytest.raises(InputError, match="boxes or keypoints, which are not moved"):
        parallel.LoadExample(CANVAS, too_large="shrink")(Batch(image=large, boxes=np.zeros((1, 4))))
    with pytest.raises(JaxprepError, match=r"\$\.too_large"):
        parallel.LoadExample(CANVAS, too_large="draft")  # pyright: ignore[reportArgumentType]


@pytest.mark.parametrize(
    ("record", "message"),
    [
        ({"picture": PHOTOS[0]}, r"key 'image', got \['picture'\].*LoadExample\(canvas, image="),
        ((PHOTOS[0], 1, 1, 1), "4 values"),
        ((7, PHOTOS[0]), r"\(image, label\).*the number 7 in the place of the image"),
        (noise(40, 8, 3), r"got one of \(40, 8\).*changes their pixels.*too_large"),
        ({"image": [PHOTOS[0]]}, "one record, got 1 of them in lists.*`Collate`"),
        ({"image": {"url": "x"}}, r"the bytes or the path.*\['url'\]"),
        ((PHOTOS[0], 1, "heavy"), "a number, got 'heavy'.*weight"),
        ({"image": PHOTOS[0], "weight": [1.0, 0.5]}, r"a number, got \[1\.0, 0\.5\].*weight"),
    ],
)
def test_a_bad_record_is_one_clear_error(record: Any, message: str):
    with pytest.raises(InputError, match=message):
        LOAD(record)


def test_the_error_of_a_bad_file_names_it(tmp_path: Path):
    path = tmp_path / "cut.png"
    path.write_bytes(png(PHOTOS[0])[:60])
    with pytest.raises(DecodeError, match=r"cut\.png"):
        LOAD(path)
    large = tmp_path / "large.png"
    large.write_bytes(png(noise(40, 8, 3)))
    with pytest.raises(InputError, match=r"large\.png"):
        LOAD(parallel.Record(str(large), 12))


# collate


def test_the_last_batch_is_filled_up_with_weight_0():
    batch = parallel.Collate(LOAD, batch_size=8)([(photo, i) for i, photo in enumerate(PHOTOS)])
    assert batch.image.shape == (8, *CANVAS, 3)
    assert batch.weight.tolist() == [1] * 5 + [0] * 3
    assert_holds(batch.image[:5], batch.size[:5], PHOTOS)
    assert batch.label.tolist() == [0, 1, 2, 3, 4, 4, 4, 4]
    full = parallel.Collate(LOAD, batch_size=5)([(photo, i) for i, photo in enumerate(PHOTOS)])
    chex.assert_trees_all_equal_dtypes(full, batch)


def test_columns_of_a_dataset_are_rows_of_a_batch():
    columns = {"image": PHOTOS[:2], "label": [3, 4]}
    rows = [(PHOTOS[0], 3), (PHOTOS[1], 4)]
    collate = parallel.Collate(LOAD)
    chex.assert_trees_all_equal(collate(columns), collate(rows))


def test_threads_change_nothing():
    records = [png(photo) for photo in PHOTOS]
    chex.assert_trees_all_equal(
        parallel.Collate(LOAD, workers=3)(records), parallel.Collate(LOAD)(records)
    )


def test_a_collate_is_pickled_for_workers():
    collate = parallel.Collate(LOAD, batch_size=2, pipeline=TRAIN)
    assert pickle.loads(pickle.dumps(collate)) == collate
    batch, plan = pickle.loads(pickle.dumps(collate(PHOTOS[:2])))
    assert plan.steps == TRAIN.inner_steps and batch.image.shape == (2, *CANVAS, 3)


@pytest.mark.parametrize(
    ("records", "message"),
    [
        ([], "at least one record"),
        ([PHOTOS[0]] * 3, r"at most 2 records \(`batch_size`\), got 3"),
        ([(PHOTOS[0], 1), PHOTOS[1]], r"the same fields.*at `records\[1\]`"),
        ([(PHOTOS[0], 1), (PHOTOS[1], [1, 2])], "the same fields"),
        ([(PHOTOS[0], np.ones(2)), (PHOTOS[1], np.ones(3))], r"`batch\.label\[1\]`"),
        ({"image": PHOTOS[:2], "label": [1]}, "lists of one length"),
    ],
)
def test_records_that_make_no_batch_are_refused(records: Any, message: str):
    with pytest.raises(InputError, match=message):
        parallel.Collate(LOAD, batch_size=2)(records)


def test_without_a_load_only_examples_are_taken():
    with pytest.raises(InputError, match=r"got `tuple`.*Collate\(LoadExample\(canvas\)\)"):
        parallel.Collate()([(PHOTOS[0], 1)])


# plans of any sizes

PIPELINES = {
    "drawn window": TRAIN,
    "either order": Pipeline((ops.Resize(shortest_edge=9, reference="pillow"), ops.CenterCrop(8))),
    "padding": Pipeline((ops.CenterCrop(16),)),
    "results of different sizes": Pipeline((ops.Resize(longest_edge=8, reference="pillow"),)),
    "drawn crop": Pipeline((ops.Resize(shortest_edge=9), augment.RandomCrop(8))),
    "masks": Pipeline((ops.CenterCrop(16),), kinds=(("mask", "mask"),)),
}


@pytest.mark.parametrize("name", PIPELINES)
def test_plans_of_any_sizes_have_one_structure(name: str):
    pipeline = PIPELINES[name]
    rng = np.random.default_rng(0)
    structures = set()
    for _ in range(40):
        sizes = rng.integers(8, 61, (2, 2))
        plan = pipeline.plan(sizes, (60, 61), any_sizes=True)
        leaves, treedef = jax.tree.flatten(plan)
        structures.add((treedef, tuple((leaf.shape, leaf.dtype) for leaf in leaves)))
    assert len(structures) == 1


def test_a_plan_of_any_sizes_changes_no_bit():
    pipeline = PIPELINES["either order"]
    images, sizes = jaxprep.stack([noise(40, 20, 3), noise(20, 40, 3, seed=1)], (48, 48))
    results = [
        pipeline(Batch(image=images), plan=pipeline.plan(sizes, (48, 48), any_sizes=any_sizes))
        for any_sizes in (False, True)
    ]
    np.testing.assert_array_equal(results[0].image, results[1].image)
    one_by_one = [
        pipeline(Batch(image=image[:h, :w])).image for image, (h, w) in zip(images, sizes)
    ]
    np.testing.assert_array_equal(results[1].image, np.stack(one_by_one))


# Shard


@pytest.mark.parametrize("count", [1, 2, 4])
@pytest.mark.parametrize("records", [1, 7, 8, 9])
def test_the_parts_of_all_processes_are_the_stream_in_order(count: int, records: int):
    parts = [
        parallel.Shard(range(100, 100 + records), 4, process_index=p, process_count=count)
        for p in range(count)
    ]
    assert len({len(part) for part in parts}) == 1
    size = parts[0].local_batch_size
    stream = []
    for start in range(0, len(parts[0]), size):
        for part in parts:
            stream += [part[i] for i in range(start, start + size)]
    assert len(stream) % 4 == 0 and 0 <= len(stream) - records < 4
    assert [item.record for item in stream[:records]] == list(range(100, 100 + records))
    assert [item.index for item in stream[:records]] == list(range(records))
    assert all(item.weight == 1 for item in stream[:records])
    assert all(item.weight == 0 and item.index == -1 for item in stream[records:])


def test_a_record_that_a_filter_removed_has_weight_0():
    shard = parallel.Shard([1, None, 3, None], 4, process_index=0, process_count=1)
    assert [item.weight for item in shard] == [1, 0, 1, 0]
    assert [item.record for item in shard] == [1, 3, 3, 1]


def test_a_shard_refuses_what_it_cannot_divide():
    for dataset, size, message in [
        (iter([1]), 4, "Iterate it with `batches`"),
        ([], 4, "an empty one"),
        ([1], 3, "2 processes can share, got 3"),
        ([1], 0, "a number of examples, got 0"),
    ]:
        with pytest.raises(InputError, match=message):
            parallel.Shard(dataset, size, process_index=0, process_count=2)
    with pytest.raises(InputError, match="a process from 0 to 1, got 2"):
        parallel.Shard([1], 2, process_index=2, process_count=2)
    with pytest.raises(IndexError):
        parallel.Shard([1], 2, process_index=0, process_count=1)[2]


# batches


class TensorFlowDataset:
    """Iterates as `tf.data.Dataset` does: NumPy arrays only by `as_numpy_iterator`."""

    def as_numpy_iterator(self) -> Any:
        return ({"image": png(photo), "label": np.int64(i)} for i, photo in enumerate(PHOTOS))

    def __iter__(self) -> Any:
        raise AssertionError("tensors")


@pytest.mark.parametrize("count", [1, 2])
def test_batches_are_those_of_a_shard(count: int):
    records = [(png(photo), np.int64(i)) for i, photo in enumerate(PHOTOS)]
    for process in range(count):
        collate = parallel.Collate(LOAD, batch_size=4 // count)
        options = {"process_index": process, "process_count": count}
        shard = list(parallel.Shard(records, 4, **options))
        size = 4 // count
        want = [collate(shard[i : i + size]) for i in range(0, len(shard), size)]
        for given in (iter(records), TensorFlowDataset()):
            got = list(parallel.batches(given, collate, 4, **options))
            assert len(got) == len(want) == 2
            for one, other in zip(got, want):
                chex.assert_trees_all_equal(one.index, other.index)
                chex.assert_trees_all_equal(one.weight, other.weight)
                real = other.weight > 0
                chex.assert_trees_all_equal(
                    jax.tree.map(lambda leaf, real=real: leaf[real], one),
                    jax.tree.map(lambda leaf, real=real: leaf[real], other),
                )


def test_batches_number_records_from_where_an_epoch_before_ended():
    (batch,) = parallel.batches(PHOTOS, parallel.Collate(LOAD), 5, start_index=10)
    assert batch.index.tolist() == [10, 11, 12, 13, 14]
