"""Exported folders: the bits without jaxprep, what a check finds, and what is refused."""

from __future__ import annotations

import copy
import json
import pickle
import shutil
import subprocess
import sys
from pathlib import Path

import jax
import numpy as np
import pytest
from jax import export as jax_export
from jax.sharding import AxisType
from PIL import Image

import jaxprep
from jaxprep import Pipeline, ops
from jaxprep.errors import ConfigError, InputError, PresetNotFoundError
from jaxprep.huggingface import DetrImageProcessor, ViTImageProcessor

pytest.importorskip("flatbuffers")

NAMES = ("chelsea", "coffee", "rocket")
SIZE, CANVAS = (40, 60), (80, 96)
SMALL = {"image_size": 24}
ALONE = """
import sys
sys.modules["jaxprep"] = None  # `import jaxprep` raises
import numpy as np
from jax import export
for folder in sys.argv[1:]:
    with open(f"{folder}/program.stablehlo", "rb") as file:
        program = export.deserialize(bytearray(file.read()))
    inputs = np.load(f"{folder}.npz")
    tables = tuple(inputs[name] for name in sorted(inputs.files) if name.startswith("table"))
    result = program.call(inputs["images"], *([tables] if tables else []))
    np.savez(f"{folder}.result.npz", **(result if isinstance(result, dict) else {"x": result}))
"""


def photos(height: int, width: int) -> list[np.ndarray]:
    """Pieces of photographs of about that size, the first exactly."""
    shapes = [(height, width), (height - 7, width - 20), (height // 2, width)]
    return [
        jaxprep.data.photo(name)[100 : 100 + h, 50 : 50 + w] for name, (h, w) in zip(NAMES, shapes)
    ]


PREPROCESSORS = {
    "timm/resnet50.a1_in1k": "size",
    "open_clip/ViT-B-32/openai": "canvas",
    "resnet_50_imagenet": "canvas",
    "ViTImageProcessor": "size",
}


def load(name: str):
    if name == "ViTImageProcessor":
        return ViTImageProcessor(size={"height": 32, "width": 30})
    return jaxprep.ImageClassifierPreprocessor.from_preset(name, **SMALL)


@pytest.fixture(scope="module")
def folders(tmp_path_factory) -> dict[str, Path]:
    """An exported folder of each."""
    made = {}
    for i, (name, kind) in enumerate(PREPROCESSORS.items()):
        made[name] = tmp_path_factory.mktemp("exported") / str(i)
        where = {"size": SIZE} if kind == "size" else {"canvas": CANVAS}
        platforms = ("cpu", "cuda", "tpu") if "resnet50" in name else ("cpu",)
        jaxprep.export(load(name), made[name], platforms=platforms, **where)
    return made


def test_a_process_without_jaxprep_computes_the_same_bits(folders):
    want = {}
    for name, folder in folders.items():
        if PREPROCESSORS[name] == "size":
            images, tables = np.stack([photos(*SIZE)[0], photos(*SIZE)[0][:, ::-1]]), ()
            result = load(name)(images)
        else:
            given = photos(70, 90)
            images, sizes = jaxprep.stack(given, canvas=CANVAS)
            tables = jaxprep.load_exported(folder, check=False).tables(sizes)
            result = load(name)(given)
        want[name] = result if isinstance(result, dict) else {"x": result}
        named = {f"table{i:02}": table for i, table in enumerate(tables)}
        np.savez(f"{folder}.npz", images=images, **named)
    subprocess.run([sys.executable, "-c", ALONE, *map(str, folders.values())], check=True)
    for name, folder in folders.items():
        found = np.load(f"{folder}.result.npz")
        assert set(found.files) == set(want[name])
        for key, value in want[name].items():
            assert found[key].dtype == value.dtype
            np.testing.assert_array_equal(found[key], value)


def test_a_loaded_program_gives_what_the_preprocessor_gives(folders):
    program = jaxprep.load_exported(folders["open_clip/ViT-B-32/openai"])
    pre = load("open_clip/ViT-B-32/openai")
    given = photos(80, 96)
    images, sizes = jaxprep.stack(given, canvas=program.canvas)
    np.testing.assert_array_equal(program(images, sizes), pre(given))
    assert program.preprocessor == pre and program.platforms == ("cpu",)
    with pytest.raises(InputError, match="Expected `sizes`"):
        program(images)
    with pytest.raises(InputError, match="3 sizes, as many as images, got 2"):
        program(images, sizes[:2])
    with pytest.raises(InputError, match=r"uint8 images \(b, 80, 96, 3\), got float32"):
        program(images.astype(np.float32), sizes)


def test_a_program_for_results_of_different_sizes_returns_the_sizes(tmp_path):
    pipeline = Pipeline((ops.Resize(shortest_edge=20, reference="pillow"),))
    jaxprep.export(pipeline, tmp_path / "a", canvas=(64, 64), platforms=("cpu",))
    given = photos(50, 60)
    images, sizes = jaxprep.stack(given, canvas=(64, 64))
    results, result_sizes = jaxprep.load_exported(tmp_path / "a")(images, sizes)
    for result, (height, width), photo in zip(results, result_sizes.tolist(), given):
        want = pipeline(jaxprep.Batch(image=photo)).image
        np.testing.assert_array_equal(result[:height, :width], want)


def test_a_mesh_that_is_set_is_no_part_of_the_program(folders, tmp_path):
    images = np.stack([photos(*SIZE)[0]] * 4)
    with jax.set_mesh(jax.make_mesh((4,), ("data",), (AxisType.Explicit,))):
        jaxprep.export(load("ViTImageProcessor"), tmp_path / "vit", size=SIZE, platforms=("cpu",))
        results = jaxprep.load_exported(tmp_path / "vit")(images)
    expected = jaxprep.load_exported(folders["ViTImageProcessor"])(images)
    jax.tree.map(np.testing.assert_array_equal, results, expected)


def test_a_program_for_other_machines_alone_is_written_here_and_refused(tmp_path):
    pipeline = Pipeline((ops.CenterCrop(8),))
    jaxprep.export(pipeline, tmp_path / "a", size=(10, 12), platforms=("tpu",))
    with pytest.raises(InputError, match=r"platforms \['tpu'\].*got 'cpu'"):
        jaxprep.load_exported(tmp_path / "a")


def edit_config(folder: Path) -> None:
    file = folder / "preprocessor.json"
    file.write_text(file.read_text().replace("0.485", "0.486"))


def flip_bit(name: str):
    def flip(folder: Path) -> None:
        content = bytearray((folder / name).read_bytes())
        content[len(content) // 2] ^= 1
        (folder / name).write_bytes(content)

    return flip


def truncate(name: str):
    def cut(folder: Path) -> None:
        content = (folder / name).read_bytes()
        (folder / name).write_bytes(content[: len(content) // 2])

    return cut


def signed(edit):
    """A manifest that was edited and is whole: by hand, or by another program."""
    from jaxprep import exported

    def write(folder: Path) -> None:
        manifest = json.loads((folder / "manifest.json").read_text())
        del manifest["sha256"]
        for file in folder.glob("p*"):
            manifest["files"][file.name] = exported._digest(file.read_bytes())
        edit(manifest)
        (folder / "manifest.json").write_text(json.dumps(exported._signed(manifest)))

    return write


def other_photo(size: tuple[int, int]):
    def write(folder: Path) -> None:
        Image.new("RGB", size).save(folder / "photo.png")
        signed(lambda manifest: None)(folder)

    return write


def with_custom_call(folder: Path) -> None:
    """A program that calls code of the process that runs it."""
    call = jax.ffi.ffi_call("some_code", jax.ShapeDtypeStruct((3,), np.float32))
    allowed = [jax_export.DisabledSafetyCheck.custom_call("some_code")]
    program = jax_export.export(jax.jit(call), disabled_checks=allowed)(np.ones(3, np.float32))
    (folder / "program.stablehlo").write_bytes(program.serialize())
    signed(lambda manifest: None)(folder)


@pytest.mark.parametrize(
    "damage, message",
    [
        (edit_config, "content that was exported.*preprocessor.json"),
        (flip_bit("program.stablehlo"), "content that was exported.*program.stablehlo"),
        (flip_bit("photo.png"), "content that was exported.*photo.png"),
        (truncate("program.stablehlo"), r"Expected \d+ bytes.*program.stablehlo"),
        (truncate("manifest.json"), "manifest.json"),
        (
            signed(lambda manifest: manifest["photo"][0].update(sha256="0" * 64)),
            "make of `photo.png` what it made",
        ),
        (signed(lambda manifest: manifest.pop("photo")), r"got no \['photo'\].*manifest.json"),
        (signed(lambda manifest: manifest.update(size="ab")), r"got no \['size'\].*manifest.json"),
        (signed(lambda manifest: manifest["photo"].clear()), "facts of 1 results, got .* and 0"),
        (other_photo((5, 7)), r"got \(7, 5\)"),
        (with_custom_call, "custom calls of .*some_code"),
        (lambda folder: (folder / "photo.png").unlink(), "a file of an export.*photo.png"),
        (lambda folder: (folder / "manifest.json").write_text("{}"), "manifest of an export"),
    ],
)
def test_a_damaged_folder_is_one_clear_error(damage, message, folders, tmp_path):
    folder = tmp_path / "copy"
    shutil.copytree(folders["timm/resnet50.a1_in1k"], folder)
    damage(folder)
    with pytest.raises((ConfigError, PresetNotFoundError), match=message) as error:
        jaxprep.load_exported(folder)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    "settings, message",
    [
        ({}, "got neither"),
        ({"size": (4, 4), "canvas": (4, 4)}, "got both"),
        ({"size": (0, 4)}, "at least 1"),
        ({"size": (4, 4), "platforms": ("gpu",)}, "`platforms`"),
        ({"size": (4, 4), "platforms": ()}, "`platforms`"),
        ({"size": (4, 4), "platforms": None}, "`platforms`"),
        ({"size": (4, 4), "dtype": "levels"}, "`dtype`"),
        ({"size": (4, 4), "dtype": np.float32}, "uint8"),
    ],
)
def test_what_cannot_be_exported_is_refused_before_anything_is_written(settings, message, tmp_path):
    pipeline = Pipeline((ops.Resize((3, 3), reference="pillow"),))
    with pytest.raises(InputError, match=message):
        jaxprep.export(pipeline, tmp_path / "a", **settings)
    assert list(tmp_path.iterdir()) == []


def test_other_things_are_refused(tmp_path):
    (tmp_path / "there").write_text("")
    with pytest.raises(InputError, match="where nothing is yet"):
        jaxprep.export(Pipeline(), tmp_path / "there", size=(4, 4))
    with pytest.raises(InputError, match=r"one array of each image.*DetrImageProcessor"):
        jaxprep.export(DetrImageProcessor(), tmp_path / "a", size=(4, 4))
    with pytest.raises(InputError, match="`preprocessor`"):
        jaxprep.export("resnet", tmp_path / "a", size=(4, 4))
    with pytest.raises(PresetNotFoundError, match="Expected a folder"):
        jaxprep.load_exported(tmp_path / "nothing")


def test_a_loaded_program_refuses_no_images(folders):
    program = jaxprep.load_exported(folders["timm/resnet50.a1_in1k"])
    with pytest.raises(InputError, match="at least one image"):
        program(np.zeros((0, *SIZE, 3), np.uint8))
    with pytest.raises(InputError, match=r"images \(b, 40, 60, 3\), got `list` of shape \(1,"):
        program([np.zeros((*SIZE, 3), np.uint8)])
    with pytest.raises(InputError, match="masked"):
        program(np.ma.masked_equal(np.zeros((1, *SIZE, 3), np.uint8), 0))


def test_a_loaded_program_is_pickled_and_copied(folders):
    program = jaxprep.load_exported(folders["timm/resnet50.a1_in1k"])
    images = photos(*SIZE)[0][None]
    for other in (pickle.loads(pickle.dumps(program)), copy.deepcopy(program)):
        assert other.preprocessor == program.preprocessor and other.manifest == program.manifest
        np.testing.assert_array_equal(other(images), program(images))
    assert "cpu" in program.program.platforms
