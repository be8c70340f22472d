"""Write pillow12.npz: `Image.resize` of Pillow 12, always horizontal pass first (`reference="pillow12"`).

    python -m venv /tmp/pillow12 && /tmp/pillow12/bin/pip install "pillow<13" numpy
    /tmp/pillow12/bin/python tests/goldens/write_pillow12.py [--photos examples/photos]

Each case: `input` (see keras_inputs.py) and its `input_sha256`, `size` (height, width), `method`, the output as the array
`out` names or, where it is large, as `sha256` only, and whether Pillow 13 starts with the vertical pass instead.
"""

import argparse
import platform
from pathlib import Path

import numpy as np
import PIL
from keras_inputs import PHOTOS, build, digest, save
from PIL import Image, features

METHODS = {
    "nearest": Image.Resampling.NEAREST,
    "box": Image.Resampling.BOX,
    "bilinear": Image.Resampling.BILINEAR,
    "hamming": Image.Resampling.HAMMING,
    "bicubic": Image.Resampling.BICUBIC,
    "lanczos3": Image.Resampling.LANCZOS,
}
LARGEST_STORED = 12_000

# photo, top, left, height, width, channels -> output height, width
GEOMETRIES = [
    ("astronaut", 90, 150, 331, 97, 3, 24, 31),  # portrait: Pillow 13 goes vertical first
    ("coffee", 0, 200, 399, 101, 3, 49, 53),
    ("chelsea", 20, 130, 257, 33, 3, 19, 65),  # shrinks in height, grows in width
    ("rocket", 0, 250, 427, 209, 3, 37, 205),
    ("hubble_deep_field", 300, 401, 199, 89, 3, 63, 45),
    ("coffee", 101, 77, 62, 41, 3, 21, 21),  # H - h = 2 (W - w) + 1: just vertical first
    ("coffee", 101, 77, 61, 41, 3, 21, 21),  # H - h = 2 (W - w): just not
    ("retina", 300, 500, 801, 333, 3, 224, 224),
    ("chelsea", 60, 160, 143, 1, 3, 17, 3),
    ("rocket", 200, 300, 1, 57, 3, 5, 13),
    ("astronaut", 100, 200, 2, 3, 3, 7, 5),
    ("astronaut", 100, 200, 3, 2, 3, 1, 1),
    ("chelsea", 11, 7, 101, 203, 3, 31, 45),  # landscape: horizontal first in both
    ("hubble_deep_field", 40, 40, 37, 23, 3, 61, 53),
    ("retina", 650, 650, 97, 29, 1, 23, 17),
]


def is_vertical_first(height: int, width: int, out_height: int, out_width: int) -> bool:
    """Whether Pillow 13 runs the vertical pass first; Pillow 12 never does."""
    return height > out_height and height - out_height > 2 * (width - out_width)


def resize(image: np.ndarray, size: tuple[int, int], method: str) -> np.ndarray:
    """Pillow's resize of one uint8 `(height, width, 1 or 3)` image to `size` (height, width)."""
    height, width = size
    source = Image.fromarray(image[..., 0] if image.shape[-1] == 1 else image)
    output = np.asarray(source.resize((width, height), METHODS[method]))
    return output.reshape(height, width, image.shape[-1])


def write_case(geometry: tuple, method: str, photos: Path, arrays: dict) -> dict:
    """Resize one geometry by one method; store its output in `arrays` and return the case."""
    name, top, left, height, width, channels, out_height, out_width = geometry
    spec = dict(photo=name, top=top, left=left, height=height, width=width, channels=channels)
    image = build(spec, photos)
    output = resize(image, (out_height, out_width), method)
    case = {
        "input": spec,
        "input_sha256": digest(image),
        "size": [out_height, out_width],
        "method": method,
        "vertical_first_in_13": is_vertical_first(height, width, out_height, out_width),
        "sha256": digest(output),
    }
    if output.size <= LARGEST_STORED:
        case["out"] = f"out_{len(arrays):03d}"
        arrays[case["out"]] = output
    return case


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--photos", type=Path, default=PHOTOS)
    parser.add_argument("--output", type=Path, default=Path(__file__).with_name("pillow12.npz"))
    options = parser.parse_args()
    if not PIL.__version__.startswith("12."):
        raise SystemExit(f"Expected Pillow 12, got Pillow {PIL.__version__}.")
    arrays: dict[str, np.ndarray] = {}
    cases = [write_case(geometry, method, options.photos, arrays) for geometry in GEOMETRIES for method in METHODS]
    versions = {
        "pillow": PIL.__version__,
        "libjpeg_turbo": features.version("libjpeg_turbo"),
        "numpy": np.__version__,
        "python": platform.python_version(),
    }
    save(options.output, cases, arrays, versions)
    print(f"{len(cases)} cases, {len(arrays)} stored whole, {options.output.stat().st_size} bytes")


if __name__ == "__main__":
    main()
