"""Compares what was measured with the bars of the project. Nothing fails: a reader judges."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from cases import BARS, EAGER
from report import Run, fastest, rows

MAIN, CLIP, RAGGED, SAME_PIXELS = (case.id for case in BARS[:4])
# Times faster than each peer in the main case and CLIP's, on every number of cores.
SPEED_UPS = {
    "transformers-torchvision": 3.5,
    "timm": 8.0,
    "pillow": 8.0,
    "transformers-pil": 8.0,
    "keras-hub": 50.0,
    "jax-image": 20.0,
}
OURS = {"transformers-torchvision": "jaxprep-torchvision"}
"""Which of ours a peer is compared with: the one of its reference, where that is not Pillow."""
# Times as long as torchvision's native kernel, at most. Large images are where it is ahead.
TO_TORCHVISION = {
    MAIN: 1.0,
    "512x512-to-224-bicubic-b16": 1.0,
    "1080x1920-to-224-bilinear-b16": 1.5,
    "1080x1920-to-224-bicubic-b16": 1.5,
}
ON_AVX2 = (
    (MAIN, None, 2.6),
    ("512x512-to-224-bicubic-b16", None, 2.6),
    (CLIP, None, 2.6),
    (RAGGED, "facade, list of arrays", 2.3),
)
"""On one core with AVX2: a case, the form of ours (None: its fastest), and how many times faster
than Transformers' torchvision backend it should be.
"""
TWELVE_MEGAPIXELS = ("3000x4000-to-224-bilinear-b1", "3000x4000-to-224-bicubic-b1")


class Bar(NamedTuple):
    """States that `value` must be at least or at most `wanted`."""

    number: str
    words: str
    cores: int
    value: float
    wanted: float
    at_least: bool

    @property
    def is_met(self) -> bool:
        return self.value >= self.wanted if self.at_least else self.value <= self.wanted


def table(runs: list[Run], on_avx2: bool) -> str:
    """Return every bar for which both sides were measured.

    Args:
        on_avx2: the processes were kept to AVX2; the bars of `ON_AVX2` hold only there.
    """
    measured = [
        bar
        for cores in sorted({run["cores"] for run in runs})
        for bar in _bars(runs, cores, on_avx2)
    ]
    heading = f"{'bar':105}{'cores':>6}{'measured':>10}{'wanted':>9}"
    lines = ["", heading]
    for bar in sorted(measured, key=lambda bar: (bar.number, bar.words, bar.cores)):
        sign = "≥" if bar.at_least else "≤"
        met = "met" if bar.is_met else "not met"
        words = f"{bar.number:5}{bar.words:100}{bar.cores:6}"
        lines.append(f"{words}{bar.value:10.2f}{sign:>3}{bar.wanted:6.1f}  {met}")
    return "\n".join(lines) + "\n" if measured else ""


def _bars(runs: list[Run], cores: int, on_avx2: bool) -> Iterator[Bar]:
    def time_of(case: str, peer: str, form: str | None = None) -> float | None:
        # A user takes the fastest form of a peer, so that is what ours has to beat.
        row = fastest((row for row in rows(runs, case, cores) if form in (None, row.form)), peer)
        return row.minimum if row else None

    def ratio(
        number: str, words: str, above: float | None, below: float | None, wanted: float
    ) -> Iterator[Bar]:
        """Yield a bar that is a ratio of two times; bars of a speed-up (`words` says so) are met
        from below.
        """
        if above is not None and below is not None:
            yield Bar(number, words, cores, above / below, wanted, "times faster" in words)

    def on_one_avx2_core() -> Iterator[Bar]:
        theirs = "transformers-torchvision"
        for case, form, wanted in ON_AVX2:
            ours = time_of(case, OURS[theirs], form)
            words = f"{case} ({form or 'its fastest form'}), AVX2: times faster than {theirs}"
            yield from ratio("7", words, time_of(case, theirs), ours, wanted)

    # on more cores the two differ by how XLA shares out its loops, not by what an eager call costs
    for case in EAGER if cores == 1 else ():
        for peer in ("jaxprep", "jaxprep-torchvision"):
            eager = time_of(case.id, peer, "facade, NumPy array")
            jitted = time_of(case.id, peer, "jit(facade), NumPy")
            words = f"{case.id}: {peer} called eagerly to jax.jit on the same NumPy array"
            yield from ratio("7", words, eager, jitted, 1.3)
    if cores == 1 and on_avx2:
        yield from on_one_avx2_core()
    for case in (MAIN, CLIP):
        for peer, times in SPEED_UPS.items():
            ours = time_of(case, OURS.get(peer, "jaxprep"))
            yield from ratio(
                "1", f"{case}: times faster than {peer}", time_of(case, peer), ours, times
            )
    # Photographs of many sizes: first as Transformers takes them, then on a canvas with a plan.
    for form in ("facade, list of arrays", "jit", "jit, a device per core"):
        ours, same = (time_of(case, "jaxprep-torchvision", form) for case in (RAGGED, SAME_PIXELS))
        theirs = time_of(RAGGED, "transformers-torchvision")
        yield from ratio(
            "2", f"{RAGGED} ({form}): times faster than transformers-torchvision", theirs, ours, 3.0
        )
        yield from ratio(
            "2", f"{RAGGED} ({form}): to the uniform batch of as many pixels", ours, same, 1.5
        )
    if cores == 1:
        for case, times in TO_TORCHVISION.items():
            for peer in ("jaxprep", "jaxprep-torchvision"):
                ours, theirs = time_of(case, peer), time_of(case, "torchvision")
                yield from ratio("3", f"{case}: {peer} to torchvision", ours, theirs, times)
        yield from ratio(
            "5",
            f"{MAIN}: jaxprep to the floor",
            time_of(MAIN, "jaxprep"),
            time_of(MAIN, "floor"),
            5.0,
        )
    # A phone's photograph: the arithmetic of the first pass is all of the time.
    for case in TWELVE_MEGAPIXELS:
        ours, theirs = time_of(case, "jaxprep"), time_of(case, "pillow")
        yield from ratio("4", f"{case}: times faster than pillow", theirs, ours, 4.0)
