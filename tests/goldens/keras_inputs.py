"""Input images of the Pillow 12 and KerasHub goldens: crops of the example photographs, described as JSON.

Needs NumPy and Pillow only, so that the scripts that write the goldens and the tests that read them share it.
A spec is a dict of

    photo, top, left, height, width   the crop; height and width are those of the input image
    stride                            take every stride-th pixel of the photograph (default 1)
    channels                          1 (red), 3 (default) or 4 (RGB and the green channel upside down)
    dtype, range                      any NumPy dtype; values in [0, range], 255 (default) or 1; bool: above the median
    batch                             images in the batch, each 5 pixels right of the last; absent: one image
    layout                            "hwc" (default) or "chw"
"""

import functools
import hashlib
import json
from pathlib import Path

import numpy as np
from PIL import Image

PHOTOS = Path(__file__).resolve().parents[2] / "examples" / "photos"
BATCH_SHIFT = 5


@functools.lru_cache(maxsize=8)
def photo(name: str, photos: Path = PHOTOS) -> np.ndarray:
    """The whole photograph `name` as uint8 `(height, width, 3)`."""
    with Image.open(Path(photos) / f"{name}.jpg") as image:
        return np.asarray(image.convert("RGB"))


def build(spec: dict, photos: Path = PHOTOS) -> np.ndarray:
    """The input image, or batch, that `spec` describes."""
    count = spec.get("batch", 1)
    images = np.stack([_crop(spec, photo(spec["photo"], photos), i * BATCH_SHIFT) for i in range(count)])
    images = _convert(images, spec.get("dtype", "uint8"), spec.get("range", 255))
    if spec.get("layout", "hwc") == "chw":
        images = images.transpose(0, 3, 1, 2)
    return np.ascontiguousarray(images if "batch" in spec else images[0])


def digest(array: np.ndarray) -> str:
    """SHA-256 of dtype, shape and bytes: tells a JPEG decoder's difference from a difference in resizing."""
    header = f"{array.dtype.name}{array.shape}".encode()
    return hashlib.sha256(header + np.ascontiguousarray(array).tobytes()).hexdigest()


def load(path: Path) -> tuple[list[dict], dict[str, np.ndarray], dict]:
    """The cases, the arrays they name, and the versions that wrote them, of a golden `.npz`."""
    with np.load(path) as archive:
        arrays = {name: archive[name] for name in archive.files}
    cases = json.loads(str(arrays.pop("cases")))
    versions = json.loads(str(arrays.pop("versions")))
    return cases, arrays, versions


def save(path: Path, cases: list[dict], arrays: dict[str, np.ndarray], versions: dict) -> None:
    """Write what `load` reads."""
    text = {"cases": np.array(json.dumps(cases)), "versions": np.array(json.dumps(versions))}
    np.savez_compressed(path, **text, **arrays)


def _crop(spec: dict, image: np.ndarray, shift: int) -> np.ndarray:
    stride = spec.get("stride", 1)
    top, left = spec["top"], spec["left"] + shift
    image = image[top::stride, left::stride][: spec["height"], : spec["width"]]
    if image.shape[:2] != (spec["height"], spec["width"]):
        raise ValueError(f"Expected a crop inside the photograph, got {spec}")
    channels = spec.get("channels", 3)
    if channels == 1:
        return image[..., :1]
    return np.concatenate([image, image[::-1, :, 1:2]], axis=-1) if channels == 4 else image


def _convert(images: np.ndarray, dtype: str, value_range: float) -> np.ndarray:
    if dtype == "bool":
        return images > np.median(images)
    if value_range == 255:
        return images.astype(dtype)
    return (images / np.float32(255) * np.float32(value_range)).astype(dtype)
