"""Write `docs/conformance.md`: how close every image processor of Hugging Face is to the original, on both of its backends.

Run with the `test` extra and Transformers, whose PIL backend needs no PyTorch; its torchvision backend is read from the
golden files:

    python tests/goldens/conformance.py [CLASS...] [--table TITLE]...

It fails where anything is beyond the tolerance of the tests. With names of classes, it only prints their lines; with titles of
tables, it writes these tables and leaves the others as they are.
"""

import argparse
import functools
import multiprocessing
import os
import pathlib
import re
import sys
import warnings
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple

os.environ.setdefault("JAX_PLATFORMS", "cpu")
ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

import numpy as np  # noqa: E402
from goldens import store  # noqa: E402
from goldens.conformance_families import GROUPS, IMAGES, cases_of, pairs_of  # noqa: E402
from helpers.huggingface.common import TOLERANCE  # noqa: E402
from helpers.parity import EVERYTHING  # noqa: E402

from jaxprep.formats.huggingface import classes  # noqa: E402

CASES = 9
"""Of each class and backend, about so many; all with `JAXPREP_ALL_GOLDENS=1`."""


class Measure(NamedTuple):
    """How many values were compared, how many of them are equal, and the largest relative difference."""

    equal: int = 0
    count: int = 0
    largest: float = 0.0

    def __add__(self, other: "Measure") -> "Measure":  # type: ignore[override]
        return Measure(self.equal + other.equal, self.count + other.count, max(self.largest, other.largest))

    @property
    def share(self) -> str:
        if self.equal == self.count:
            return "all"
        return f"{min(self.equal / self.count, 0.9999):.2%}"


def measured(mine: Any, theirs: Any) -> Measure:
    if isinstance(theirs, (str, list)):
        return Measure(int(mine == theirs), 1, 0.0 if mine == theirs else np.inf)
    mine, theirs = np.asarray(mine), np.asarray(theirs)
    if mine.shape != theirs.shape:
        raise AssertionError(f"Expected the shape {theirs.shape}, got {mine.shape}")
    if not mine.size:
        return Measure()
    gap = np.abs(mine.astype(np.float64) - theirs) / np.maximum(1, np.abs(theirs))
    equal = mine == (theirs.astype(mine.dtype) if theirs.dtype == np.float64 else theirs)
    return Measure(int(equal.sum()), mine.size, float(np.nan_to_num(gap, nan=np.inf, posinf=np.inf).max()))


class Line(NamedTuple):
    """What is known of a class on a backend.

    Attributes:
        cases: how many calls were compared.
        found: of every result by its name, and the same with `exact=True`.
        loose: names of results and cases that are not equal with `exact=True`.
        wrong: what is beyond the tolerance.
    """

    name: str
    backend: str
    cases: int
    found: dict[str, Measure]
    exact: dict[str, Measure]
    loose: list[tuple[str, dict]]
    wrong: list[str]


def compared(what: tuple[str, str, str]) -> Line:
    """What is known of a family's class on a backend."""
    title, name, backend = what
    warnings.simplefilter("ignore")
    cases = cases_of(title, name, backend, CASES)
    limit = getattr(GROUPS[title][0], "limits", {}).get(name, TOLERANCE)
    found, loose, wrong = {False: {}, True: {}}, [], []
    for case in cases:
        try:
            for exact, key, mine, theirs in pairs_of(title, case, backend):
                measure = measured(mine, theirs)
                found[exact][key] = found[exact].get(key, Measure()) + measure
                if exact and measure.equal < measure.count:
                    loose.append((key, case))
                if measure.largest > limit:
                    wrong.append(f"{key} {measure} exact={exact}: {case}")
        except Exception as error:
            wrong.append(f"{type(error).__name__} {error}: {case}")
    return Line(name, backend, len(cases), found[False], found[True], loose, wrong)


# -- the page ----------------------------------------------------------------------------------------------------------

HEAD = """# Conformance: Hugging Face image and video processors

Written by `tests/goldens/conformance.py`: all {classes} classes that are read, on each backend that they have, against
Transformers {transformers}. Its PIL backend runs live, with Pillow {pillow}; of its torchvision backend, with torchvision
{torchvision} on CPU ({cpu}), golden files hold 96 to 256 values of each image, and as many of other results, or their hash.

Each call has settings of its own. They are the defaults, and of all others (every switch the other way, every meaning of
a size, every filter, other statistics, annotations, maps) {selection}
Images are photographs, larger and smaller than the result, of odd sides, tiny, gray, palettes, RGBA, alone and in batches
of several sizes.

`equal` is the share of `pixel_values` with the same bits, `largest` the largest difference, relative to max(1, |x|).
With `exact=True`, the arithmetic after the last 8-bit image is in the original's order, by a table. Where the original
leaves float64 behind, it is rounded to float32. Of OneFormer's texts, the first image's are compared.

A difference of one level in an 8-bit image would be at least 1e-3: up to there, everything is equal.

| family | backend | classes | calls | values | largest | the same, of all other results |
|---|---|---|---|---|---|---|
{totals}
"""
TABLE = """
## {title}

| class | backend | calls | equal | largest | equal with `exact=True` | other results, equal | why not all |
|---|---|---|---|---|---|---|---|
{lines}
"""
SELECTION = """a fixed selection,
about {cases} calls a line, and 3 of the classes that make patches, tiles, pages, pairs, clips; `JAXPREP_ALL_GOLDENS=1` takes every one, here and in the tests."""
AFFINE = "after the last 8-bit image, one multiply-add"


def row(*cells: Any) -> str:
    return "| " + " | ".join(map(str, cells)) + " |"


def total(measures: Iterable[Measure]) -> Measure:
    return functools.reduce(Measure.__add__, measures, Measure())


def size(largest: float) -> str:
    return f"{largest:.1e}" if largest else "0"


def others(found: Mapping[str, Measure]) -> str:
    """Every result beside the images."""
    rest = {key: measure for key, measure in found.items() if key != IMAGES}
    told = (f"`{key}`: {m.share}{f' ({size(m.largest)})' if m.largest else ''}" for key, m in rest.items())
    return ", ".join(told)


def printed(found: Line) -> str:
    images, exact = found.found.get(IMAGES, Measure()), found.exact.get(IMAGES, Measure())
    cells = found.name, found.backend, found.cases, images.share, size(images.largest), exact.share
    return row(*cells, others(found.found), why(found))


def why(found: Line) -> str:
    """Where the last bits go."""
    images, exact = found.found.get(IMAGES, Measure()), found.exact.get(IMAGES, Measure())
    affine = [AFFINE] if exact.equal > images.equal else []
    return "; ".join(dict.fromkeys([*affine, *(reason(*loose) for loose in found.loose)]))


def reason(key: str, case: dict) -> str:
    """Why a result is not equal even with `exact=True`."""
    beside = case.get("beside", {})
    if key != IMAGES:
        return f"`{key}` is computed in floats"
    if "trimaps" in beside:
        return "beside a trimap that is not 8-bit, colours are floats"
    if "boxes" in beside:
        return "crops of boxes are interpolated in floats: the order of sums"
    return f"{'arrays that are not 8-bit are ' if case.get('arrays') else ''}resized as floats: the order of sums"


def totals(title: str, lines: list[Line]) -> Iterator[str]:
    """The sums of a family."""
    for backend in ("torchvision", "pil"):
        mine = [line for line in lines if line.backend == backend]
        if not mine:
            continue
        images = total(line.found.get(IMAGES, Measure()) for line in mine)
        rest = total(measure for line in mine for key, measure in line.found.items() if key != IMAGES)
        counts = len(mine), sum(line.cases for line in mine), images.count
        yield row(title, backend, *counts, size(images.largest), size(rest.largest) if rest.count else "")


def page(found: dict[str, list[Line]], before: str) -> str:
    """The whole page, of the lines of each family; a family without lines keeps its part of the page as it was."""
    import PIL

    versions = store.golden("vlm_patches").versions
    sums, tables = [], []
    for title, mine in found.items():
        if mine:
            sums += totals(title, mine)
            tables.append(TABLE.format(title=title, lines="\n".join(map(printed, mine))))
        else:
            sums += [line for line in before.splitlines() if line.startswith(f"| {title} |")]
            _, heading, rest = before.partition(f"\n## {title}\n")
            tables.append(heading + rest.partition("\n## ")[0] if heading else "")
    body = "".join(tables)
    head = HEAD.format(
        classes=len(set(re.findall(r"^\| (\w+Processor) \|", body, re.MULTILINE))),
        transformers=versions["transformers"],
        pillow=PIL.__version__,
        torchvision=versions["torchvision"],
        cpu=versions["cpu_capability"],
        selection="every one." if EVERYTHING else SELECTION.format(cases=CASES),
        totals="\n".join(sums),
    )
    return head + body


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", metavar="CLASS")
    parser.add_argument("--table", action="append", choices=list(GROUPS))
    args = parser.parse_args()
    wanted = [
        (title, name, backend)
        for title, (_, members) in GROUPS.items()
        if not args.table or title in args.table
        for name in members
        if name in (args.names or members)
        for backend in classes.known_row(name).backends
    ]
    found: dict[str, list[Line]] = {title: [] for title in GROUPS}
    with multiprocessing.get_context("spawn").Pool(min(4, os.cpu_count() or 1)) as pool:
        for (title, *_), made in zip(wanted, pool.imap(compared, wanted)):
            found[title].append(made)
            print(printed(made), *made.wrong, sep="\n", flush=True)
    if not args.names:
        file = ROOT / "docs" / "conformance.md"
        # what follows is written by hand
        before, _, by_hand = file.read_text("utf-8").partition("\n# KerasHub's own tests")
        file.write_text(page(found, before) + "\n# KerasHub's own tests" + by_hand, "utf-8")
    sys.exit(any(made.wrong for lines in found.values() for made in lines))


if __name__ == "__main__":
    main()
