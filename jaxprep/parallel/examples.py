"""Says which records of a dataset a process reads, and makes an example of each.

What goes in: a dataset of records in any form. What comes out: examples, each a `Batch` without a
batch axis whose image is on a canvas. `Shard` numbers the records before it divides them among
processes, so that an example has one index, whoever reads it.
"""

from __future__ import annotations

import operator
import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import numpy as np

from jaxprep import codec
from jaxprep.errors import InputError
from jaxprep.host.decode import decode
from jaxprep.inputs import is_numbers
from jaxprep.parallel.canvas import (
    check_canvas,
    check_fits,
    put_on_canvases,
    read_photo,
    shrunk,
)
from jaxprep.parallel.devices import Target, process_part
from jaxprep.pictures import is_pil
from jaxprep.types import Batch, Size

PADDING_INDEX = -1
"""The index of an example that only fills its batch."""


class Record(NamedTuple):
    """A record of a dataset with its place in the stream; made by `Shard`.

    Attributes:
        record: as the dataset gives it.
        index: its position in the stream of all processes; -1 where it only fills a batch.
        weight: 1, or 0 where it only fills a batch.

    >>> Record("cat.jpg", 7).weight
    1.0
    """

    record: Any
    index: int
    weight: float = 1.0


class Shard:
    """The records of a dataset that one process reads: a sequence of `Record`.

    The stream of all records is cut into batches of all processes, and each of them into parts, one
    after another, for the processes: step n trains on the same examples in the same order, whatever
    the number of processes. The last batch is filled with records of weight 0, so that all
    processes have as many batches, of one size.

    Shuffle and repeat the dataset before. `grain.MapDataset.source` takes a shard, and so does
    PyTorch's `DataLoader`, without `shuffle`.

    Args:
        dataset: has a length and random access: a list, a `grain.MapDataset`, a dataset of Hugging
            Face or PyTorch, ... A record None, as of a filter of Grain, is replaced by the next
            one, with weight 0.
        batch_size: of all processes together.
        sharding: where the batches go, as in `global_batch`: processes whose devices hold the same
            rows, as along a "model" axis that spans processes, then read the same. Without it every
            process reads rows of its own.
        process_index, process_count: which part to read, and of how many, whatever `sharding` says.

    Raises:
        InputError: the dataset has no length or no records, or `batch_size` is no multiple of the
            number of processes.

    >>> shard = Shard("abcdefg", batch_size=4, process_index=1, process_count=2)
    >>> [(item.record, item.index, item.weight) for item in shard]
    [('c', 2, 1.0), ('d', 3, 1.0), ('g', 6, 1.0), ('a', -1, 0.0)]
    >>> shard.local_batch_size
    2
    """

    def __init__(
        self,
        dataset: Any,
        batch_size: int,
        *,
        sharding: Target = None,
        process_index: int | None = None,
        process_count: int | None = None,
    ):
        if not hasattr(dataset, "__len__") or not hasattr(dataset, "__getitem__"):
            raise InputError(
                "Expected a dataset with a length and random access, got "
                f"`{type(dataset).__name__}` - at `dataset`. Iterate it with `batches`."
            )
        if not len(dataset):
            raise InputError("Expected a dataset with records, got an empty one - at `dataset`.")
        self.dataset = dataset
        self.batch_size = batch_size
        part = process_part(sharding, process_index, process_count)
        self.process_index, self.process_count = part
        self.local_batch_size = local_size(batch_size, self.process_count)

    def __repr__(self) -> str:
        # Grain's `DataLoader` compares it with that of a checkpoint
        return (
            f"Shard({len(self.dataset)} records, batch_size={self.batch_size}, "
            f"process_index={self.process_index}, process_count={self.process_count})"
        )

    def __len__(self) -> int:
        count = -(-len(self.dataset) // self.batch_size) * self.local_batch_size
        # the length of an endless `repeat` is the largest integer there is
        return min(count, sys.maxsize // self.local_batch_size * self.local_batch_size)

    def __getitem__(self, i: int) -> Record:
        i = operator.index(i)
        if not -len(self) <= i < len(self):
            raise IndexError(f"Expected a position below {len(self)}, got {i}.")
        # positions below 0 count from the end
        position = i % len(self)
        batch, row = divmod(position, self.local_batch_size)
        first_row = self.process_index * self.local_batch_size
        index = batch * self.batch_size + first_row + row
        count = len(self.dataset)
        if index >= count:
            # a record that is read anyway has labels of the right kind, and a size
            filling, _ = self._record(index % count)
            return Record(filling, PADDING_INDEX, 0.0)
        record, is_own = self._record(index)
        return Record(record, index, 1.0 if is_own else 0.0)

    def _record(self, index: int) -> tuple[Any, bool]:
        """The record at an index or, where a filter has removed it, the next one; and whether it is
        the one at the index."""
        count = len(self.dataset)
        for step in range(min(count, 2**16)):
            record = self.dataset[(index + step) % count]
            if record is not None:
                return record, step == 0
        raise InputError("Expected records, got None for all of them - at `dataset`.")


def local_size(batch_size: int, process_count: int) -> int:
    """Return how many examples of a batch each of the processes has.

    Raises:
        InputError: the batch cannot be divided.

    >>> local_size(8, 2)
    4
    """
    if not isinstance(batch_size, (int, np.integer)) or batch_size < 1:
        raise InputError(
            f"Expected a number of examples, got {codec.shown(batch_size)} - at `batch_size`."
        )
    if batch_size % process_count:
        raise InputError(
            f"Expected a batch size that {process_count} processes can share, got {batch_size} - "
            "at `batch_size`."
        )
    return int(batch_size) // process_count


@dataclass(frozen=True)
class LoadExample:
    """Makes an example of a record: decodes its image, and puts it on a canvas.

    Runs on the host alone, with NumPy: in threads, in workers of Grain or PyTorch.

    Attributes:
        canvas: height and width that every image fits in. None leaves images as they are, which
            must then be of one size.
        image, label, weight: the keys of records that are dictionaries; one that is missing gives
            no label, and the weight 1.
        masks: keys of masks `(h, w)` or `(h, w, c)` that belong to the image and go on the canvas
            with it: arrays, PIL images, or files, whose numbers stay as they are. They become
            `extras`.
        too_large: what to do with an image that does not fit the canvas: "error", or "shrink", as
            `Image.thumbnail` of Pillow does (bicubic), its masks by the nearest pixel. That
            changes what the pipeline makes of it, a little.

    >>> example = LoadExample((4, 4))({"image": np.ones((2, 3, 3), np.uint8), "label": 7})
    >>> example.image.shape, example.size.tolist(), example.label, example.weight.tolist()
    ((4, 4, 3), [2, 3], 7, 1.0)
    """

    canvas: Size | None
    image: str = "image"
    label: str = "label"
    weight: str = "weight"
    masks: tuple[str, ...] = ()
    too_large: Literal["error", "shrink"] = "error"

    def __post_init__(self) -> None:
        if self.canvas is not None:
            object.__setattr__(self, "canvas", check_canvas(self.canvas, "$.canvas"))
        if isinstance(self.masks, list):
            object.__setattr__(self, "masks", tuple(self.masks))
        codec.check_fields(self)

    def __call__(self, record: Any) -> Batch:
        """Load the example of a record.

        Args:
            record: an image (a path, bytes, a binary file, a PIL image, an array), a tuple `(image,
                label)` or `(image, label, weight)`, a dictionary, a `Batch` of one image, or a
                `Record` of one of these.

        Returns:
            a `Batch` without a batch axis: `image`, its `size`, `label`, `weight`, and the `index`
            of a `Record`.

        Raises:
            InputError: another kind of record, or an image larger than the canvas.
            DecodeError: a file cannot be read.
        """
        return self.on_canvas(self.read(record))

    def read(self, record: Any) -> Batch:
        """Return the example of a record with the pixels of its image alone, without a canvas."""
        if isinstance(record, Record):
            example = self._read(record.record, f"record {record.index}")
            weight = np.float32(record.weight) * example.weight
            return example.replace(index=np.int64(record.index), weight=weight)
        return self._read(record, "record")

    def on_canvas(self, example: Batch) -> Batch:
        """Return an example that was read with its image and masks on the canvas."""
        if self.canvas is None:
            return example
        (image,) = put_on_canvases([example.image], self.canvas, "image")
        extras = dict(example.extras)
        for key in self.masks:
            (extras[key],) = put_on_canvases([extras[key]], self.canvas, key)
        return example.replace(image=image, extras=extras)

    def _read(self, record: Any, where: str) -> Batch:
        raw = self._fields(record, where)
        name = _name_of(raw.image, where)
        pixels = read_photo(raw.image, name)
        # an image that has a size is on a canvas already
        has_size = raw.size is not None
        size = np.asarray(raw.size if has_size else pixels.shape[:2], np.int32)
        height, width = size
        pixels = pixels[:height, :width]
        extras = {key: np.asarray(value) for key, value in raw.extras.items()}
        for key in self.masks:
            extras[key] = _mask_of(extras, key, size, has_size, name)
        if self.canvas is not None and self.too_large == "shrink":
            pixels = shrunk(pixels, self.canvas, name)
            new_size = pixels.shape[:2]
            if new_size != tuple(size):
                _check_has_no_positions(raw, name)
            size = np.asarray(new_size, np.int32)
            new_height, new_width = new_size
            for key in self.masks:
                extras[key] = _nearest(extras[key], new_height, new_width)
        elif self.canvas is not None:
            check_fits(pixels, self.canvas, name)
        weight = _weight_of(raw, name)
        return raw.replace(image=pixels, size=size, weight=weight, extras=extras)

    def _fields(self, record: Any, where: str) -> Batch:
        """The parts of a record, as they are."""
        if isinstance(record, Batch):
            return record
        if isinstance(record, Mapping):
            return self._fields_of_mapping(record, where)
        if isinstance(record, (tuple, list)) and len(record) in (2, 3):
            if isinstance(record[0], (int, float, np.number)):
                raise InputError(
                    "Expected (image, label) or (image, label, weight), got the number "
                    f"{record[0]} in the place of the image - at `{where}`."
                )
            return Batch(*record)
        if isinstance(record, (tuple, list)):
            raise InputError(
                "Expected (image, label) or (image, label, weight), got "
                f"{len(record)} values - at `{where}`."
            )
        return Batch(image=record)

    def _fields_of_mapping(self, record: Mapping[str, Any], where: str) -> Batch:
        if self.image not in record:
            raise InputError(
                f"Expected a record with the key {self.image!r}, got {sorted(map(str, record))} - "
                f"at `{where}`. Name the key of the image: `LoadExample(canvas, image=...)`."
            )
        image = record[self.image]
        if isinstance(image, (list, tuple)) and image and not is_numbers(image):
            raise InputError(
                f"Expected one record, got {len(image)} of them in lists - at `{where}`. A "
                "`Collate` takes the columns of a batch."
            )
        if isinstance(image, Mapping):
            image = _undecoded(image, where)
        extras = {key: _read_mask(record[key]) for key in self.masks if key in record}
        return Batch(
            image=image,
            label=record.get(self.label),
            weight=record.get(self.weight),
            index=record.get("index"),
            extras=extras,
        )


def _read_mask(mask: Any) -> np.ndarray:
    """The numbers of a mask; of a file as it stores them, indices of a palette included."""
    if isinstance(mask, Mapping):
        mask = _undecoded(mask, "mask")
    if isinstance(mask, (str, os.PathLike, bytes, bytearray, memoryview)):
        mask = decode(mask)
    return np.asarray(mask)


def _mask_of(
    extras: Mapping[str, np.ndarray], key: str, size: np.ndarray, is_on_canvas: bool, where: str
) -> np.ndarray:
    if key not in extras:
        raise InputError(f"Expected a record with the mask {key!r}, got none - at `{where}`.")
    mask = extras[key]
    if is_on_canvas:
        mask = mask[: size[0], : size[1]]
    if mask.shape[:2] != tuple(size):
        raise InputError(
            f"Expected a mask of its image's size {tuple(map(int, size))}, got {mask.shape} - at "
            f"`{where}, {key}`."
        )
    return mask


def _weight_of(example: Batch, where: str) -> np.float32:
    weight = np.asarray(1 if example.weight is None else example.weight)
    if weight.shape != () or weight.dtype.kind not in "biuf":
        raise InputError(
            f"Expected a number, got {codec.shown(example.weight)} - at `{where}, weight`."
        )
    return np.float32(weight)


def _check_has_no_positions(example: Batch, where: str) -> None:
    if example.boxes is not None or example.keypoints is not None:
        raise InputError(
            "Expected an image that fits the canvas, as it has boxes or keypoints, which are not "
            f"moved here - at `{where}`."
        )


def _nearest(mask: np.ndarray, height: int, width: int) -> np.ndarray:
    """A mask of another size: at each pixel the one at the same place, as Pillow's NEAREST takes
    it."""
    rows = (2 * np.arange(height) + 1) * mask.shape[0] // (2 * height)
    columns = (2 * np.arange(width) + 1) * mask.shape[1] // (2 * width)
    return mask[rows][:, columns]


def _undecoded(image: Mapping[str, Any], where: str) -> Any:
    """The bytes or the path of an image, as datasets of Hugging Face give those that they do not
    decode: https://huggingface.co/docs/datasets/image_load"""
    for key in ("bytes", "path"):
        if image.get(key) is not None:
            return image[key]
    raise InputError(
        f"Expected the bytes or the path of an image, got {sorted(map(str, image))} - at `{where}`."
    )


def _name_of(image: Any, where: str) -> str:
    """What messages call an image: by its path where there is one."""
    path = image if isinstance(image, (str, os.PathLike)) else None
    if is_pil(image):
        path = getattr(image, "filename", None)
    return f"{where}, {os.fspath(path)}" if path else where
