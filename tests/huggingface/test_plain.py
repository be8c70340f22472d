"""Plain image processors: against Transformers' PIL backend live, and its torchvision backend by
goldens.

A difference of one in the 8-bit image is at least 1e-3 in the result, so agreement to 2e-6 says
that it is exact too.
"""

from __future__ import annotations

import numpy as np
import pytest
from goldens import huggingface_cases, store
from helpers.huggingface import plain
from helpers.huggingface.common import assert_close, of_class, original, pictures

from jaxprep import huggingface

ROWS = huggingface_cases.classes()
PIL_NAMES = [name for name, row in ROWS.items() if "pil" in row["backends"]]
ON_TORCHVISION = [name for name, row in ROWS.items() if "torchvision" in row["backends"]]


@pytest.mark.filterwarnings("ignore")  # of the originals, on unusual settings
@pytest.mark.parametrize("name", PIL_NAMES)
def test_every_setting_gives_what_the_pil_backend_gives(name: str) -> None:
    cls = original(name)
    for case in of_class(plain.shown("pil"), name):
        theirs = cls(**case["settings"])(pictures(case))
        if name == "IdeficsImageProcessor":  # theirs returns the images without a name
            theirs = {"pixel_values": theirs}
        ours = plain.results(case, "pil")
        assert sorted(ours) == sorted(theirs)
        for key, values in ours.items():
            assert len(values) == len(theirs[key])
            for mine, other in zip(values, theirs[key], strict=True):
                assert_close(mine, np.asarray(other), (case, key))


@pytest.mark.parametrize("name", ON_TORCHVISION)
def test_every_setting_gives_what_the_torchvision_backend_gives(name: str) -> None:
    goldens = store.golden("huggingface")
    for case in of_class(plain.shown("torchvision"), name):
        for key, values in plain.results(case, "torchvision").items():
            records = [record for result, record in case.items() if result.startswith(f"{key}.")]
            assert len(records) == len(values)
            for mine, record in zip(values, records, strict=True):
                array = store.channels_last(mine) if mine.ndim == 3 else mine
                found, wanted = goldens.pair(record, array)
                assert_close(found, wanted, (case["settings"], case["inputs"], key))


def test_wide_integers_are_clipped_to_those_of_bytes_as_by_pp_doclayout_v4() -> None:
    size = {"height": 4, "width": 9}
    settings = {"size": size, "do_rescale": False, "do_normalize": False}
    edge = np.zeros((8, 6, 3), np.int32)
    edge[:, 3:] = 255
    processor = huggingface.PPDocLayoutV4ImageProcessor(**settings)
    row = processor(edge, return_tensors="np")["pixel_values"][0, 0, 0]
    # Of Transformers 5.24 with torch 2.13, where the bicubic filter overshoots on both sides.
    assert row.tolist() == [0, 0, 0, 0, 128, 255, 255, 255, 255]
    assert row.dtype == np.float32
