"""Images go through programs of larger ones, until their own is worth compiling."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
from helpers.images import noise
from PIL import Image

from jaxprep import Batch, Pipeline, bounds, ops
from jaxprep.pipeline import eager
from jaxprep.pipeline.program import Program

pytestmark = pytest.mark.usefixtures("quick_compilation")

RESIZED = Pipeline((ops.Resize((20, 30), reference="pillow"),))
SHORT_EDGE = Pipeline((ops.Resize(shortest_edge=20, reference="torchvision"), ops.Rescale(1 / 255)))
LARGE, MEDIUM, SMALL, ICON = (390, 400), (200, 190), (150, 170), (20, 16)


@pytest.fixture(autouse=True)
def nothing_is_ready() -> Iterator[None]:
    eager.forget_ready()
    yield
    eager.forget_ready()


def chosen(size: tuple[int, int], count: int = 1) -> Program:
    return eager.program_of(RESIZED.lowered, size, 3, np.uint8, count=count)


def own(size: tuple[int, int]) -> Program:
    return eager.program_of(RESIZED.lowered, size, 3, np.uint8, may_share=False)


def test_an_image_goes_through_the_smallest_program_that_is_ready_and_serves_it() -> None:
    assert chosen(LARGE) == own(LARGE)
    assert chosen(SMALL) == own(LARGE) != own(SMALL)
    # what is too large for all of them has its own, and one that came before keeps its own
    larger = (800, 900)
    assert chosen(larger) == own(larger)
    assert chosen(SMALL) == chosen(LARGE) == own(LARGE)


def test_its_own_program_is_compiled_once_it_was_wanted_often() -> None:
    chosen(LARGE)
    for _ in range(eager.OFTEN - 1):
        assert chosen(SMALL) == own(LARGE)
    assert chosen(SMALL) == own(SMALL)
    # as many images in one call are as many
    chosen(LARGE)
    assert chosen(MEDIUM, eager.OFTEN) == own(MEDIUM)


def test_what_is_noted_of_programs_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(eager, "NOTED", 8)
    sizes = [(20 * i, 30 * j) for i in (7, 13, 26, 52) for j in (7, 13, 26, 52)]
    assert len({own(size) for size in sizes}) > 8
    eager.add_ready([own((2000, 2000))])
    for is_ahead in (True, False):
        for size in sizes:
            chosen(size)
            assert len(eager._ready.stand_ins) <= 8 and len(eager._ready.wanted) <= 9
        if is_ahead:
            eager.forget_ready()
            chosen((2000, 2000))


def test_an_icon_does_not_take_the_work_of_a_photograph() -> None:
    chosen((3000, 4000))
    assert chosen(ICON) == own(ICON)
    assert own((3000, 4000)).serves(own(ICON))


def test_the_largest_image_of_a_list_comes_first() -> None:
    images = [noise(*size, 3) for size in (SMALL, LARGE, MEDIUM)]
    results = eager.run_images(RESIZED.lowered, images, [SMALL, LARGE, MEDIUM])
    assert eager._ready.programs == {own(LARGE)}
    for image, result in zip(images, results.results, strict=True):
        want = Image.fromarray(image).resize((30, 20), Image.Resampling.BILINEAR)
        np.testing.assert_array_equal(result, want)


@pytest.mark.parametrize("size", [SMALL, (90, 100), (120, 200)])
@pytest.mark.parametrize("pipeline", [RESIZED, SHORT_EDGE], ids=["resized", "short edge"])
def test_both_programs_compute_the_same_bits(pipeline: Pipeline, size: tuple[int, int]) -> None:
    image = noise(*size, 3)
    by_own = np.asarray(pipeline(Batch(image=image)).image)
    eager.forget_ready()
    for large in (MEDIUM, MEDIUM[::-1], LARGE):
        pipeline(Batch(image=noise(*large, 3)))
    before = set(eager._ready.programs)
    by_another = np.asarray(pipeline(Batch(image=image)).image)
    assert eager._ready.programs == before
    assert by_another.shape == by_own.shape
    np.testing.assert_array_equal(by_another.view(np.uint8), by_own.view(np.uint8))


def test_what_was_noted_is_forgotten_with_the_programs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bounds.programs(), "limit", 3)
    for side in (100, 200, 400, 700, 1000):
        chosen((side, side))
        assert len(eager._ready.programs) <= 4
    assert len(eager._ready.wanted) < 5
