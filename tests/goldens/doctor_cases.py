"""doctor.npz: arrays with known mistakes, what `jaxprep.diagnose` should say of each, and who is right (`judge`).

Written by `write_doctor.py`, whose full set (`FULL/cases.json`, `FULL/arrays`) `read(FULL)` reads too. A case expects `changes`:
the set of settings must be equal, and `found` must agree where the diagnosis uses a word of this table (another word is not
compared). Where `found` is a list, each of its words is right. `also` are other sets that are accepted, because they describe
the same numbers. `changes` is None for the controls, which no setting explains: there `exact` must be False.

| setting | words | |
|---|---|---|
| method | nearest box bilinear hamming bicubic lanczos3 area | area is OpenCV's INTER_AREA; a = -0.75 and -0.5 are both bicubic |
| antialias | True False | |
| reference | pillow torchvision torch jax float opencv tensorflow | whose arithmetic |
| resize | shortest_edge squash pad long_edge | pad: letterbox, of any colour |
| size | the shortest edge before the crop, or (height, width) | also of the result, where nothing is cropped |
| crop | (top, left, height, width) | of the resized image; of the photograph where it is cropped first |
| order | resize_then_crop crop_then_resize | |
| flip | none horizontal vertical | |
| channels | RGB BGR | |
| layout | HWC CHW WHC CWH reshaped | |
| range | "[0, 1]" "[0, 255]" "[-1, 1]" "[0, 1/255]" | of the values that mean and std are applied to |
| mean, std | three numbers for values in [0, 1]; missing (0 and 1), twice | |
| gray | color luma mean one_channel | |
| alpha | drop white black premultiplied | premultiplied: resized as RGBA by Pillow, then converted |
| orientation | upright ignored 90 180 270 | upright: EXIF is applied |
| decoder | pillow fast_dct fast_upsampling draft tensorflow opencv | draft: decoded at half the size |

Where two descriptions are possible:

* If antialiasing differs from the preset's, that names another library already: no `reference`. Pillow always antialiases, so
  `cv2.resize(INTER_LINEAR)` for a bilinear preset of Pillow is {antialias}, for a bicubic one {method, antialias}. If antialiasing
  agrees and the arithmetic is another's, it is {reference}. With nearest and area neither is named.
* Squashed or letterboxed straight to the model's size: {resize} alone. Shortest edge straight to the model's size: {size} alone.
* timm, torchvision and OpenCLIP: channels first (as they return them) and channels last (as JAX models take them) are both
  right. KerasHub expects HWC, a folder of Hugging Face CHW. A batch axis of one and other float types are never a mistake.
* Normalize forgotten: {mean, std}; the rescale forgotten: {range}; both: {range, mean, std}. With mean = std = 0.5 the last and the
  first may be called {range} as well. x / 127.5 - 1 instead of an ImageNet normalisation is {mean, std}, both 0.5.
* A picture with a palette that Pillow resized before `convert("RGB")` was resized by nearest: {method}.
"""

from __future__ import annotations

import io
import json
import lzma
import pathlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np

FOLDER = pathlib.Path(__file__).resolve().parent / "doctor"
EXAMPLES = FOLDER.parents[2] / "examples" / "photos"

WORDS: dict[str, tuple] = {
    "method": ("nearest", "box", "bilinear", "hamming", "bicubic", "lanczos3", "area"),
    "antialias": (True, False),
    "reference": (
        "pillow",
        "pillow12",
        "torchvision",
        "torch",
        "jax",
        "float",
        "opencv",
        "tensorflow",
    ),
    "resize": ("shortest_edge", "squash", "pad", "long_edge"),
    "order": ("resize_then_crop", "crop_then_resize"),
    "flip": ("none", "horizontal", "vertical"),
    "channels": ("RGB", "BGR"),
    "layout": ("HWC", "CHW", "WHC", "CWH", "reshaped"),
    "range": ("[0, 1]", "[0, 255]", "[-1, 1]", "[0, 1/255]"),
    "gray": ("color", "luma", "mean", "one_channel"),
    "alpha": ("drop", "white", "black", "premultiplied"),
    "orientation": ("upright", "ignored", "90", "180", "270"),
    "decoder": ("pillow", "fast_dct", "fast_upsampling", "draft", "tensorflow", "opencv"),
}
SETTINGS = (*WORDS, "size", "crop", "mean", "std")
COMMITTED = 64
"""So many cases are in doctor.npz."""


@dataclass(frozen=True, eq=False)
class Case:
    """One array; see the module's docstring.

    Attributes:
        preset: a preset's name, or the path of a folder.
        photo: the path of the file that the array came from.
        how: the user's code, in words.
        mistakes: how many were made: each is one thing that the user did otherwise. None for a control.
        changes: (setting, expected, found) for each.
        also: other lists of changes that are right.
    """

    name: str
    preset: str
    photo: pathlib.Path
    how: str
    mistakes: int | None
    changes: list | None
    also: list
    environment: str
    array: np.ndarray = field(repr=False)


def read(full: pathlib.Path | None = None) -> Iterator[Case]:
    """The committed cases, or those of a folder that `write_doctor.py` wrote."""
    if full is not None:
        for case in json.loads((full / "cases.json").read_text())["cases"]:
            yield _case(case, full, np.load(full / "arrays" / f"{case['name']}.npy"))
        return
    with np.load(FOLDER.parent / "doctor.npz") as file:
        for index, case in enumerate(json.loads(file["cases"].item())):
            yield _case(case, FOLDER, decode(file[f"array_{index}"].tobytes()))


def _case(case: dict, folder: pathlib.Path, array: np.ndarray) -> Case:
    preset, photo = case["preset"], folder / "photos" / case["photo"]
    if preset.startswith("presets/"):
        preset = str(folder / preset)
    if not photo.exists():
        photo = EXAMPLES / case["photo"]
    return Case(**{**case, "preset": preset, "photo": photo}, array=array)


# ---------------------------------------------------------------- who is right


def judge(case: Case, changes: Any, exact: bool) -> str:
    """Say what is wrong with a diagnosis; "" if it is right.

    Args:
        changes: triples (setting, expected, found).
        exact: whether the diagnosis claims to explain the array.
    """
    if case.changes is None:
        return f"claims to explain a control by {changes}" if exact else ""
    complaints = [_complaint(wanted, changes) for wanted in (case.changes, *case.also)]
    return "" if "" in complaints else complaints[0]


def _complaint(wanted: list, changes: Any) -> str:
    settings = sorted(setting for setting, _, _ in wanted)
    if sorted(setting for setting, _, _ in changes) != settings:
        return f"expected {wanted}, got {list(changes)}"
    found = {setting: value for setting, _, value in changes}
    for setting, before, value in wanted:
        if not agrees(setting, before, value, found[setting]):
            return f"{setting}: expected {value!r}, got {found[setting]!r}"
    return ""


def agrees(setting: str, before: Any, wanted: Any, found: Any) -> bool:
    """Whether two values of a setting mean the same, as far as both are in the words of this module."""
    if setting in WORDS:
        right = wanted if isinstance(wanted, list) else [wanted]
        return found not in WORDS[setting] or found in right
    if setting == "size":
        return not _sizes(found) or bool(_sizes(found) & _sizes(wanted))
    if not _is_numbers(found):
        return True
    if setting == "crop":
        moved = max(abs(a - b) for a, b in zip(before, wanted, strict=True))
        slack = 0 if moved <= 1 else 1
        return (
            len(found) != 4 or max(abs(a - b) for a, b in zip(found, wanted, strict=True)) <= slack
        )
    numbers = (
        {"missing": (0, 0, 0) if setting == "mean" else (1, 1, 1)}.get(wanted, wanted)
        if isinstance(wanted, str)
        else wanted
    )
    if isinstance(numbers, str):  # "twice"
        return True
    return bool(np.allclose(found, numbers, rtol=0, atol=5e-3))


def _is_numbers(value: Any) -> bool:
    return isinstance(value, list | tuple) and all(
        isinstance(number, int | float) for number in value
    )


def _sizes(value: Any) -> set[tuple]:
    """The sizes that a value names: 256 and (256, 256) are one."""
    if isinstance(value, int):
        return {(value, value)}
    if _is_numbers(value) and len(value) == 2:
        return {tuple(value)}
    if isinstance(value, list):
        return set().union(*(_sizes(one) for one in value))
    return set()


# ---------------------------------------------------------------- storing


def encode(array: np.ndarray, effort: int = 9 | lzma.PRESET_EXTREME) -> bytes:
    """Bytes of an array, exactly. Where each channel has at most 256 values, they are numbered and the differences of
    neighbours packed; otherwise the bytes of the floats are sorted by their place."""
    axis = next(
        (axis for axis in (array.ndim - 1, array.ndim - 3) if axis >= 0 and array.shape[axis] == 3),
        None,
    )
    head: dict[str, Any] = {"shape": array.shape, "dtype": str(array.dtype), "axis": axis}
    parts = [array] if axis is None else list(np.moveaxis(array, axis, 0))
    numbered = [np.unique(part, return_inverse=True) for part in parts]
    if all(len(values) <= 256 for values, _ in numbered):
        head["tables"] = [len(values) for values, _ in numbered]
        codes = np.stack([code.reshape(parts[0].shape).astype(np.uint8) for _, code in numbered])
        body = b"".join(values.tobytes() for values, _ in numbered)
        body += np.diff(codes, axis=-1, prepend=np.uint8(0)).tobytes()
    else:
        body = np.ascontiguousarray(array).view(np.uint8).reshape(-1, array.itemsize).T.tobytes()
    text = json.dumps(head).encode()
    return len(text).to_bytes(4, "big") + text + lzma.compress(body, preset=effort)


def decode(data: bytes) -> np.ndarray:
    """The array that `encode` was given."""
    length = int.from_bytes(data[:4], "big")
    head = json.loads(data[4 : 4 + length])
    body = lzma.decompress(data[4 + length :])
    dtype, shape, axis = np.dtype(head["dtype"]), head["shape"], head["axis"]
    if "tables" not in head:
        places = np.frombuffer(body, np.uint8).reshape(dtype.itemsize, -1)
        return np.ascontiguousarray(places.T).view(dtype).reshape(shape)
    file = io.BytesIO(body)
    tables = [np.frombuffer(file.read(size * dtype.itemsize), dtype) for size in head["tables"]]
    inner = shape if axis is None else [*shape[:axis], *shape[axis + 1 :]]
    codes = np.frombuffer(file.read(), np.uint8).reshape(len(tables), *inner)
    codes = np.cumsum(codes, axis=-1, dtype=np.uint8)
    parts = [table[code] for table, code in zip(tables, codes, strict=True)]
    return parts[0] if axis is None else np.ascontiguousarray(np.moveaxis(np.stack(parts), 0, axis))


def _features(case: Case) -> set[str]:
    """What a case shows."""
    shown = {
        f"preset {pathlib.Path(case.preset).name}",
        f"mistakes {case.mistakes}",
        f"in {case.environment}",
    }
    shown |= {
        f"dtype {case.array.dtype}",
        f"rank {case.array.ndim}",
        f"file {case.photo.suffix} {'exif' in case.photo.name}",
    }
    for setting, _, found in case.changes or ():
        shown.add(f"{setting} {found if setting in WORDS else ''}")
    return shown


def _selected(cases: list[Case], sizes: dict[str, int]) -> list[Case]:
    """The cases to commit: small ones, until each thing that a case shows was shown; then pairs of settings not shown yet."""
    chosen: list[Case] = []
    shown: set[str] = set()
    pairs: set[str] = set()

    def news(case: Case) -> float:
        """How much of a case was not shown yet, for its size."""
        if case in chosen:
            return 0
        return (3 * len(_features(case) - shown) + 2 * (_pair(case) not in pairs) + 0.1) / sizes[
            case.name
        ]

    while len(chosen) < COMMITTED:
        best = max(cases, key=news)
        chosen.append(best)
        shown |= _features(best)
        pairs.add(_pair(best))
    return [case for case in cases if case in chosen]


def _pair(case: Case) -> str:
    return "+".join(sorted(setting for setting, _, _ in case.changes or ()))


def pack(full: pathlib.Path) -> None:
    """Write doctor.npz and the photographs and presets that it needs, of the full set in a folder."""
    cases = list(read(full))
    sizes = {case.name: len(encode(case.array, effort=0)) for case in cases}
    packed = {case.name: encode(case.array) for case in _selected(cases, sizes)}
    for case in cases:
        if case.name not in packed:
            continue
        again = decode(packed[case.name])
        if again.dtype != case.array.dtype or not np.array_equal(again, case.array):
            raise AssertionError(f"{case.name}: not the same after packing")
    every = json.loads((full / "cases.json").read_text())
    texts = [case for case in every["cases"] if case["name"] in packed]
    arrays = {
        f"array_{index}": np.frombuffer(packed[case["name"]], np.uint8)
        for index, case in enumerate(texts)
    }
    np.savez(
        FOLDER.parent / "doctor.npz",
        versions=np.array(json.dumps(every["versions"])),
        cases=np.array(json.dumps(texts)),
        **arrays,
    )
    for name in sorted({case["photo"] for case in texts}):
        if not (EXAMPLES / name).exists():
            _copy(full, f"photos/{name}")
    for name in sorted({case["preset"] for case in texts if case["preset"].startswith("presets/")}):
        _copy(full, f"{name}/preprocessor_config.json")
    print(
        f"doctor.npz: {len(texts)} of {len(cases)} cases, {sum(map(len, arrays.values())) / 1e6:.1f} MB"
    )


def _copy(full: pathlib.Path, name: str) -> None:
    (FOLDER / name).parent.mkdir(parents=True, exist_ok=True)
    (FOLDER / name).write_bytes((full / name).read_bytes())
