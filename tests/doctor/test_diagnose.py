"""`jaxprep.diagnose` names what was done to arrays that Pillow and NumPy made by hand."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image

import jaxprep
from jaxprep import Pipeline, ops
from jaxprep.errors import ConfigError, InputError, JaxprepError

PRESET = "torchvision/ResNet50_Weights.IMAGENET1K_V1"  # shorter side to 256, bilinear, crop 224
MEAN, STD = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])
HALF_SIZE = Pipeline(
    (
        ops.Resize(shortest_edge=128, reference="pillow"),
        ops.CenterCrop(112),
        ops.Rescale(arithmetic="division"),
        ops.Normalize(tuple(MEAN), tuple(STD)),
    )
)
"""The preset at half its size: a search takes as long as its pixels are many."""


def photo(name: str = "coffee") -> Path:
    return jaxprep.data.photo_path(name)


def levels(
    name: str = "coffee",
    *,
    short: int = 256,
    method: int = Image.Resampling.BILINEAR,
    move: tuple[int, int] = (0, 0),
    stretch: bool = False,
) -> np.ndarray:
    """What a user's code makes of a photograph with Pillow, `(224, 224, 3)`."""
    image = Image.open(photo(name)).convert("RGB")
    width, height = image.size
    if stretch:
        return np.asarray(image.resize((224, 224), method))
    side = min(height, width)
    image = image.resize((width * short // side, height * short // side), method)
    top, left = round((image.height - 224) / 2) + move[0], round((image.width - 224) / 2) + move[1]
    return np.asarray(image.crop((left, top, left + 224, top + 224)))


def normal(pixels: np.ndarray, mean: Any = MEAN, std: Any = STD) -> np.ndarray:
    return ((pixels / 255 - mean) / std).astype(np.float32)


def settings(array: np.ndarray, name: str = "coffee", preset: Any = PRESET) -> dict[str, Any]:
    diagnosis = jaxprep.diagnose(array, photo(name), preset)
    assert diagnosis.exact and diagnosis.changes is not None, diagnosis
    return {setting: found for setting, _, found in diagnosis.changes}


RIGHT = [
    lambda: normal(levels()),
    lambda: normal(levels()).transpose(2, 0, 1),
    lambda: normal(levels())[None].astype(np.float64),
    lambda: normal(levels()).astype(np.float16),
]


@pytest.mark.parametrize("made", RIGHT)
def test_an_array_as_it_should_be_needs_no_change(made: Callable[[], np.ndarray]) -> None:
    assert settings(made()) == {}


MISTAKES: dict[str, tuple[Callable[[], np.ndarray], dict[str, Any]]] = {
    "method": (lambda: normal(levels(method=3)), {"method": "bicubic"}),
    "size": (lambda: normal(levels(short=235)), {"size": 235}),
    "squash": (lambda: normal(levels(stretch=True)), {"resize": "squash"}),
    "crop": (lambda: normal(levels(move=(1, 0))), {"crop": (17, 80, 224, 224)}),
    "flip": (lambda: normal(levels())[:, ::-1], {"flip": "horizontal"}),
    "channels": (lambda: normal(levels()[..., ::-1]), {"channels": "BGR"}),
    "layout": (lambda: normal(levels()).reshape(3, 224, 224), {"layout": "reshaped"}),
    "range": (lambda: normal(levels() / 255), {"range": "[0, 1/255]"}),
    "missing": (lambda: levels() / 255, {"mean": "missing", "std": "missing"}),
    "twice": (
        lambda: normal(255 * normal(levels()).astype(np.float64)),
        {"mean": "twice", "std": "twice"},
    ),
    "bytes": (levels, {"range": "[0, 255]", "mean": "missing", "std": "missing"}),
    "two": (
        lambda: normal(levels(method=0)[..., ::-1], 0.5, 0.5),
        {
            "method": "nearest",
            "channels": "BGR",
            "mean": (0.5, 0.5, 0.5),
            "std": (0.5, 0.5, 0.5),
        },
    ),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_is_named_and_nothing_else(mistake: str) -> None:
    made, expected = MISTAKES[mistake]
    assert settings(made()) == expected


def test_a_crop_of_any_place_is_found() -> None:
    image = Image.open(photo("rocket")).convert("RGB").crop((101, 57, 101 + 300, 57 + 290))
    array = normal(np.asarray(image.resize((224, 224), Image.Resampling.BILINEAR)))
    assert settings(array, "rocket")["crop"] == (57, 101, 290, 300)


def half_size(image: Image.Image) -> np.ndarray:
    """What `HALF_SIZE` makes of a photograph of about 3 : 2, in levels."""
    image = image.resize((128 * image.width // image.height, 128), Image.Resampling.BILINEAR)
    left = round((image.width - 112) / 2)
    return np.asarray(image.crop((left, 8, left + 112, 120)))


def test_gray_and_alpha_are_named(tmp_path: Path) -> None:
    gray = Image.open(photo()).convert("L").convert("RGB")
    assert settings(normal(half_size(gray)), preset=HALF_SIZE) == {"gray": "luma"}
    image = Image.open(photo("chelsea")).convert("RGB")
    image.putalpha(Image.linear_gradient("L").resize(image.size))
    image.save(tmp_path / "alpha.png")
    white = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image).convert("RGB")
    diagnosis = jaxprep.diagnose(normal(half_size(white)), tmp_path / "alpha.png", HALF_SIZE)
    assert diagnosis.changes == (("alpha", "drop", "white"),)


def test_a_photograph_with_alpha_that_is_not_resized_is_what_open_clip_sees(tmp_path: Path) -> None:
    image = Image.open(photo("chelsea")).convert("RGB").crop((40, 20, 104, 84))
    image.putalpha(Image.linear_gradient("L").resize(image.size))
    image.save(tmp_path / "alpha.png")
    config = jaxprep.formats.OpenClip(size=64)
    array = jaxprep.ImageClassifierPreprocessor(config)(image)
    assert jaxprep.diagnose(array, tmp_path / "alpha.png", config).changes == ()


def test_alpha_is_named_where_transparent_parts_are_large(tmp_path: Path) -> None:
    image = Image.open(photo("rocket")).convert("RGB").crop((10, 10, 531, 401))
    rows, columns = np.mgrid[:391, :521]
    alpha = 255 - 0.9 * np.abs(columns - 250) - 0.1 * rows
    image.putalpha(Image.fromarray(np.clip(alpha, 0, 255).astype(np.uint8)))
    image.save(tmp_path / "alpha.png")
    white = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image).convert("RGB")
    diagnosis = jaxprep.diagnose(normal(half_size(white)), tmp_path / "alpha.png", HALF_SIZE)
    assert diagnosis.changes == (("alpha", "drop", "white"),)


def test_nearest_of_torch_is_found_in_a_stretched_photograph() -> None:
    pixels = jaxprep.read_image(photo("rocket"))[20:377, 30:567]
    rows, columns = (np.arange(224) * n // 224 for n in pixels.shape[:2])
    diagnosis = jaxprep.diagnose(normal(pixels[rows][:, columns]), pixels, PRESET)
    found = {setting: value for setting, _, value in diagnosis.changes or ()}
    assert found == {"method": "nearest", "resize": "squash"}


def test_a_missing_resize_is_a_size() -> None:
    height, width = jaxprep.read_image(photo("rocket")).shape[:2]
    top, left = round((height - 224) / 2), round((width - 224) / 2)
    pixels = jaxprep.read_image(photo("rocket"))[top : top + 224, left : left + 224]
    assert settings(normal(pixels), "rocket") == {"size": height}


def test_a_photograph_that_is_turned_and_reshaped_is_found(tmp_path: Path) -> None:
    image = Image.open(photo("chelsea")).convert("RGB")
    exif = Image.Exif()
    exif[0x0112] = 6
    image.save(tmp_path / "turned.png", exif=exif)
    array = normal(half_size(image)).reshape(3, 112, 112)
    diagnosis = jaxprep.diagnose(array, tmp_path / "turned.png", HALF_SIZE)
    found = {setting: value for setting, _, value in diagnosis.changes or ()}
    assert found == {"orientation": "ignored", "layout": "reshaped"}


def test_the_orientation_of_exif_is_named(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    image = Image.open(photo("chelsea")).convert("RGB")
    image.save(tmp_path / "turned.png", exif=exif)
    diagnosis = jaxprep.diagnose(normal(half_size(image)), tmp_path / "turned.png", HALF_SIZE)
    assert diagnosis.changes == (("orientation", "upright", "ignored"),)


@pytest.mark.parametrize("kind", ["noise", "blurred"])
def test_what_nothing_explains_is_said_to_be_so(kind: str) -> None:
    pixels = jaxprep.data.photo("coffee")
    if kind == "noise":
        array = np.random.default_rng(0).normal(size=(64, 64, 3))
        pixels = pixels[::3, ::3]  # filters of all kinds are tried, of fewer taps
    else:
        small = half_size(Image.open(photo()).convert("RGB")).astype(float)
        image = np.pad(small, ((1, 1), (1, 1), (0, 0)), "edge")
        array = normal(
            (image[2:, 1:-1] + image[:-2, 1:-1] + image[1:-1, 2:] + image[1:-1, :-2]) / 4
        )
    diagnosis = jaxprep.diagnose(array, pixels, HALF_SIZE)
    assert diagnosis.changes is None and not diagnosis.exact and not diagnosis.explained
    assert "Nothing that the doctor knows explains" in str(diagnosis)


def test_what_jaxprep_makes_needs_no_change() -> None:
    for preset in ("timm/vit_base_patch16_224.augreg_in21k_ft_in1k", "resnet_50_imagenet"):
        pre = jaxprep.ImageClassifierPreprocessor.from_preset(preset)
        array = pre(jaxprep.data.photo("chelsea"))
        diagnosis = jaxprep.diagnose(array, jaxprep.data.photo("chelsea"), preset)
        assert diagnosis.exact and diagnosis.changes == ()
        assert jaxprep.diagnose(array, jaxprep.data.photo("chelsea"), pre).changes == ()


def test_the_preset_is_found() -> None:
    diagnosis = jaxprep.diagnose(normal(levels(short=232)), photo())
    assert diagnosis.exact and diagnosis.changes == ()
    assert "torchvision/ResNet50_Weights.IMAGENET1K_V2" in diagnosis.presets


def test_a_batch_is_one_diagnosis_and_says_where_images_differ() -> None:
    names = ["coffee", "rocket"]
    batch = np.stack([normal(levels(name, method=3)) for name in names])
    photos = [photo(name) for name in names]
    diagnosis = jaxprep.diagnose(batch, photos, PRESET)
    assert diagnosis.changes == (("method", "bilinear", "bicubic"),) and diagnosis.exact
    batch[1] = normal(levels("rocket"))
    assert "differ" in jaxprep.diagnose(batch, photos, PRESET).note


def test_it_is_words_json_and_a_picture(tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", normal(levels(method=3)))
    np.savez(tmp_path / "x.npz", images=normal(levels(method=3)), paths=np.array(["a"]))
    for name in ("x.npy", "x.npz"):
        diagnosis = jaxprep.diagnose(tmp_path / name, photo(), PRESET)
        assert str(diagnosis).startswith(f"Equals {PRESET} except:\n  method: bicubic instead of")
    data = json.loads(json.dumps(diagnosis.to_json()))
    assert data["changes"] == [{"setting": "method", "expected": "bilinear", "found": "bicubic"}]
    pixels = np.asarray(diagnosis.picture.image)
    assert pixels.shape[1] == 3 * 448 + 4 * 16


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (np.zeros((5, 5, 7)), "1 or 3 channels"),
        (np.zeros(4), "one image or a batch"),
        (np.full((8, 8, 3), np.nan), "finite"),
        ("missing.npy", "no file"),
        (np.array(["a"]), "numbers"),
    ],
)
def test_a_bad_array_is_refused(array: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        jaxprep.diagnose(array, photo(), PRESET)


def test_a_preset_with_more_than_one_resize_is_refused() -> None:
    pipeline = jaxprep.Pipeline((jaxprep.ops.Resize((8, 8)), jaxprep.ops.Resize((4, 4))))
    with pytest.raises(ConfigError, match="one resize"):
        jaxprep.diagnose(np.zeros((4, 4, 3)), photo(), pipeline)


def test_bfloat16_as_numpy_stores_it_is_read(tmp_path: Path) -> None:
    array = normal(levels()).astype(jnp.bfloat16)
    np.save(tmp_path / "x.npy", array)  # as bytes without a type
    assert jaxprep.diagnose(tmp_path / "x.npy", photo(), PRESET).changes == ()


def damaged(path: Path, kind: str) -> Path:
    """A file that is no array, or not the one that it says."""
    if kind == "pickle":
        np.savez(path, x=np.array([{}], object))
    elif kind == "huge":
        header = io.BytesIO()
        shape = {"descr": "<f4", "fortran_order": False, "shape": (10**5, 10**5, 3)}
        np.lib.format.write_array_header_1_0(header, shape)
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("x.npy", header.getvalue())
    elif kind == "bomb":
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("x.npy", b"")
            archive.getinfo("x.npy").file_size = 2**31
    else:
        np.savez(path, x=normal(levels()))
        content = bytearray(path.read_bytes())
        content[5000] ^= 255
        path.write_bytes(content[:9000] if kind == "cut" else content)
    return path


@pytest.mark.parametrize("kind", ["pickle", "huge", "bomb", "cut", "changed"])
def test_a_damaged_file_is_refused(kind: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"x\.npz"):
        jaxprep.diagnose(damaged(tmp_path / "x.npz", kind), photo(), PRESET)


@pytest.mark.parametrize("value", [0.0, 3.5])
def test_an_array_without_a_photograph_is_like_no_preset(value: float) -> None:
    diagnosis = jaxprep.diagnose(np.full((224, 224, 3), value), photo(), PRESET)
    assert diagnosis.preset is None and diagnosis.changes is None
    assert "not found" in str(diagnosis) and "Nearest" not in str(diagnosis)


def test_what_is_no_photograph_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_bytes(b"text")
    for path in (tmp_path / "a.jpg", tmp_path / "b.jpg", tmp_path):
        with pytest.raises(JaxprepError, match=path.name):
            jaxprep.diagnose(normal(levels()), path, PRESET)


def test_the_bytes_of_a_photograph_are_read() -> None:
    content = photo().read_bytes()
    assert jaxprep.diagnose(normal(levels()), content, PRESET).changes == ()


@pytest.mark.parametrize("factor", [-1, 1000])
def test_values_that_nothing_explains_are_told_from_another_photograph(factor: float) -> None:
    diagnosis = jaxprep.diagnose(normal(levels()) * factor, photo(), PRESET)
    assert diagnosis.changes is None and "values" in diagnosis.note
