"""Feeds training loops: photographs on canvases, batches of one shape, arrays over many devices.

| step | function |
|---|---|
| which examples this process reads, and their index | `Shard` |
| a record (path, bytes, PIL image, array, dictionary, tuple) becomes an example | `LoadExample` |
| a list of them becomes a `Batch`, with a plan | `Collate` |
| an iterable of records becomes an iterator of batches | `batches` |
| batches of every process become arrays of all devices | `global_batch` |
| that, some batches ahead of the training step | `prefetch` |
| batches for `jax.pmap` | `pmap_layout` |

No loader is imported: `LoadExample` and `Collate` are plain callables, which Grain's `map` and
`batch`, PyTorch's `collate_fn` and the `with_transform` of Hugging Face's datasets take.

>>> import numpy as np
>>> from jaxprep import parallel
>>> records = [(np.zeros((4, 6, 3), np.uint8), 7), (np.zeros((8, 2, 3), np.uint8), 8)]
>>> collate = parallel.Collate(parallel.LoadExample((8, 8)), batch_size=4)
>>> batch = collate(records)
>>> batch.image.shape, batch.size.tolist(), batch.weight.tolist()
((4, 8, 8, 3), [[4, 6], [8, 2], [8, 2], [8, 2]], [1.0, 1.0, 0.0, 0.0])
"""

from jaxprep.parallel.canvas import stack
from jaxprep.parallel.collate import Collate, batches, pad_batch
from jaxprep.parallel.examples import LoadExample, Record, Shard
from jaxprep.parallel.placing import from_pmap_layout, global_batch, pmap_layout
from jaxprep.parallel.prefetching import Prefetcher, prefetch

__all__ = [
    "Collate",
    "LoadExample",
    "Prefetcher",
    "Record",
    "Shard",
    "batches",
    "from_pmap_layout",
    "global_batch",
    "pad_batch",
    "pmap_layout",
    "prefetch",
    "stack",
]
