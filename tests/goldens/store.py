"""Golden files: what a reference library computed, on which input, in one `.npz`.

* `versions`: a string holding a JSON object, package -> version, and the CPU features the reference used.
* `cases`: a string holding a JSON list. Each case is an object: `input` (a recipe of `inputs`), the options of the call, and one *record*
  per array that was computed.
* A record is `{"shape", "dtype", "sha256"}` of an array in (h, w, c) order (of its C-contiguous little-endian bytes) with
  either `"array": key`, where `key` holds it whole, or `"row": i`, its values at 256 positions: row `i` of
  `samples_<dtype>`, at the flat indices `positions_<h>x<w>x<c>`. A record of what came before another (`uint8` before
  `output`) has neither: only its bytes can be compared.
"""

import functools
import hashlib
import importlib.metadata
import json
import pathlib
import platform
import sys
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import numpy as np

FOLDER = pathlib.Path(__file__).resolve().parent
SAMPLES = 256


def digest(array: np.ndarray) -> str:
    """SHA-256 of the bytes of an array in C order."""
    return hashlib.sha256(np.ascontiguousarray(array).tobytes()).hexdigest()


def positions(size: int) -> np.ndarray:
    """Sorted distinct flat indices to sample an array of `size` values at."""
    draws = np.random.default_rng(size).choice(size, SAMPLES, replace=False)
    return np.sort(draws).astype(np.int32)


def summary(array: np.ndarray) -> dict:
    """The record of an array of which no values are kept."""
    return {"shape": list(array.shape), "dtype": str(array.dtype), "sha256": digest(array)}


def channels_last(array: np.ndarray) -> np.ndarray:
    """(..., c, h, w) as (..., h, w, c), in C order."""
    return np.ascontiguousarray(np.moveaxis(array, -3, -1))


def require(package: str, major: int) -> None:
    """Refuse to write goldens with a `package` older than version `major`, which computes other numbers."""
    version = importlib.metadata.version(package)
    if int(version.split(".")[0]) < major:
        raise AssertionError(f"Expected {package} {major} or newer, got {version}")


def attempts(cases: Iterable[dict], original: Callable[[dict], Any]) -> Iterator[tuple[dict, Any]]:
    """Each case with what the original makes of it; those that it cannot do are told, and counted at the end."""
    done = failed = 0
    for case in cases:
        try:
            found = original(case)
        except Exception as error:
            failed += 1
            print(case, type(error).__name__, str(error)[:150], file=sys.stderr)
            continue
        done += 1
        yield case, found
    print(f"{done} cases, {failed} that the original cannot do", file=sys.stderr)


class Writer:
    """Collects cases, then writes them. `versions` come from the installed distributions."""

    def __init__(self, packages: Iterable[str], **features: str):
        self.versions = {name: importlib.metadata.version(name) for name in packages}
        self.versions |= {"python": platform.python_version(), **features}
        self.cases: list[dict] = []
        self.whole: dict[str, np.ndarray] = {}
        self.where: dict[str, np.ndarray] = {}
        self.rows: dict[str, list[np.ndarray]] = {}

    def add(self, case: dict, *, whole: bool = False, **results: np.ndarray) -> None:
        """Append a case with one record per named result; `whole` keeps the arrays, not samples of them."""
        records = {name: self._record(result, whole) for name, result in results.items()}
        self.cases.append({**case, **records})

    def _record(self, array: np.ndarray, whole: bool) -> dict:
        record = summary(array)
        if whole or array.size <= SAMPLES:
            record["array"] = f"array_{len(self.whole):03d}"
            self.whole[record["array"]] = array
            return record
        where = self.where.setdefault(_positions_key(record), positions(array.size))
        rows = self.rows.setdefault(f"samples_{array.dtype}", [])
        record["row"] = len(rows)
        rows.append(array.ravel()[where])
        return record

    def save(self, name: str) -> None:
        """Write `<name>.npz` beside this module and say how large it is."""
        text = {"versions": np.array(json.dumps(self.versions)), "cases": np.array(json.dumps(self.cases))}
        sampled = {key: np.stack(rows) for key, rows in self.rows.items()}
        path = FOLDER / f"{name}.npz"
        np.savez_compressed(path, **text, **self.whole, **self.where, **sampled)
        print(f"{path.name}: {len(self.cases)} cases, {path.stat().st_size / 1e3:.0f} kB")


class Golden:
    """A golden file, read."""

    def __init__(self, name: str):
        with np.load(FOLDER / f"{name}.npz") as file:
            self.arrays = {key: file[key] for key in file.files}
        self.versions: dict[str, str] = json.loads(self.arrays.pop("versions").item())
        self.cases: list[dict] = json.loads(self.arrays.pop("cases").item())

    def positions(self, record: dict) -> np.ndarray:
        """Flat indices at which the values of a record are known."""
        if "array" in record:
            return np.arange(np.prod(record["shape"], dtype=int))
        return self.arrays[_positions_key(record)]

    def values(self, record: dict) -> np.ndarray:
        """The reference's values at those indices."""
        if "array" in record:
            return self.arrays[record["array"]].ravel()
        return self.arrays[f"samples_{record['dtype']}"][record["row"]]

    def pair(self, record: dict, result: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """A result and its reference at the known positions, after checking shape and dtype."""
        found = (list(result.shape), str(result.dtype))
        if found != (record["shape"], record["dtype"]):
            raise AssertionError(f"Expected {record['shape']} {record['dtype']}, got {found[0]} {found[1]}")
        return np.asarray(result).ravel()[self.positions(record)], self.values(record)


@functools.cache
def golden(name: str) -> Golden:
    """The goldens of a file, read once in a process."""
    return Golden(name)


def _positions_key(record: dict) -> str:
    return "positions_" + "x".join(map(str, record["shape"]))
