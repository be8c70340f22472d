"""A checkpoint of orbax: a preprocessor and a train state, saved and restored in one call each."""

from __future__ import annotations

import dataclasses
import functools
import json
import os
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import orbax.checkpoint as ocp
import pytest
from flax import struct

from jaxprep import ImageClassifierPreprocessor, Pipeline, checkpoint, ops
from jaxprep.errors import ConfigError, InputError, PresetNotFoundError
from jaxprep.huggingface import VideoMAEVideoProcessor, ViTImageProcessor

PRE = ImageClassifierPreprocessor.from_preset("timm/resnet50.a1_in1k", image_size=(20, 30))


@struct.dataclass
class State:
    params: dict
    step: int


STATE = State({"w": jnp.arange(3.0), "b": jnp.ones(2, jnp.bfloat16)}, 7)


def test_a_checkpoint_gives_back_the_preprocessor_and_the_state(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    checkpoint.save("a", PRE, STATE)  # a relative path
    preprocessor, state = checkpoint.restore("a", STATE)
    assert preprocessor == PRE and isinstance(state, State) and state.step == 7
    for name, array in STATE.params.items():
        assert state.params[name].dtype == array.dtype
        np.testing.assert_array_equal(state.params[name], array)
    # without a state to fill: dictionaries
    assert int(checkpoint.restore(tmp_path / "a").state["step"]) == 7
    # types and shapes say enough
    abstract = jax.eval_shape(lambda: STATE)
    assert checkpoint.restore("a", abstract).state.params["b"].dtype == jnp.bfloat16


PREPROCESSORS = {
    "of a pipeline": Pipeline((ops.Resize((4, 6)), ops.Rescale())),
    "a converter": PRE.image_converter,
    "of Hugging Face": ViTImageProcessor(size=8, image_mean=[0.1, 0.2, 0.3]),
    "of Hugging Face, on its PIL backend": ViTImageProcessor(size=8, backend="pil", exact=True),
}


def test_a_video_processor_is_kept_too(tmp_path):
    processor = VideoMAEVideoProcessor(size=8, crop_size=8)
    checkpoint.save(tmp_path / "a", processor)
    restored = checkpoint.restore(tmp_path / "a").preprocessor
    assert type(restored) is VideoMAEVideoProcessor and restored == processor


@pytest.mark.parametrize("preprocessor", PREPROCESSORS.values(), ids=PREPROCESSORS)
def test_a_preprocessor_of_any_kind_is_kept_alone_too(preprocessor, tmp_path):
    checkpoint.save(tmp_path / "a", preprocessor)
    restored, state = checkpoint.restore(tmp_path / "a")
    if not isinstance(preprocessor, ViTImageProcessor):
        preprocessor = ImageClassifierPreprocessor(preprocessor)
    assert restored == preprocessor and state is None
    image = np.zeros((9, 9, 3), np.uint8)
    for value, expected in zip(
        jax.tree.leaves(restored(image)), jax.tree.leaves(preprocessor(image))
    ):
        np.testing.assert_array_equal(value, expected)


def test_a_checkpoint_is_only_replaced_where_the_caller_says_so(tmp_path):
    checkpoint.save(tmp_path / "a", PRE)
    with pytest.raises(InputError, match="overwrite=True"):
        checkpoint.save(tmp_path / "a", PRE, STATE)
    assert checkpoint.restore(tmp_path / "a").state is None
    checkpoint.save(tmp_path / "a", PRE, STATE, overwrite=True)
    assert int(checkpoint.restore(tmp_path / "a").state["step"]) == 7


def test_what_is_no_checkpoint_of_a_preprocessor_is_one_error(tmp_path):
    with pytest.raises(PresetNotFoundError, match="nothing"):
        checkpoint.restore(tmp_path / "nothing")
    with pytest.raises(ConfigError, match="`preprocessor`"):
        checkpoint.restore(tmp_path)
    checkpoint.save(tmp_path / "a", PRE)
    with pytest.raises(ConfigError, match="`state`"):
        checkpoint.restore(tmp_path / "a", STATE)
    checkpoint.save(tmp_path / "with", PRE, {"w": np.ones(3), "step": 7})
    with pytest.raises(ConfigError, match=r"without \['step'\] and with \['v'\] more"):
        checkpoint.restore(tmp_path / "with", {"w": np.ones(3), "v": np.ones(3)})
    with pytest.raises(ConfigError, match="name that of a step"):
        checkpoint.restore(tmp_path)
    for wrong in (3, "resnet", None.__class__):
        with pytest.raises(ConfigError):
            checkpoint.save(tmp_path / "b", wrong)
    assert not (tmp_path / "b").exists()


def test_a_manager_of_orbax_keeps_steps_with_a_preprocessor(tmp_path):
    with ocp.CheckpointManager(tmp_path / "run") as manager:
        manager.save(3, args=checkpoint.save_args(PRE, STATE))
        manager.wait_until_finished()
        items = manager.restore(3, args=checkpoint.restore_args(STATE))
    assert checkpoint.preprocessor_of(items.preprocessor) == PRE and items.state.step == 7
    assert checkpoint.restore(tmp_path / "run" / "3", STATE).preprocessor == PRE


# What is damaged, newer, or of another process


@pytest.fixture(scope="module")
def saved(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("saved") / "a"
    checkpoint.save(folder, PRE, {"w": np.ones(3), "step": 7})
    return folder


CONTENT = "preprocessor/metadata"


def _newer(folder: Path) -> None:
    content = json.loads((folder / CONTENT).read_text())
    (folder / CONTENT).write_text(json.dumps({**content, "jaxprep": 99}))


def _cut_state(folder: Path) -> None:
    for path in (folder / "state").rglob("*"):
        if path.is_file():
            path.write_bytes(path.read_bytes()[:10])


DAMAGES: dict[str, tuple[Any, str]] = {
    "cut": (lambda at: os.truncate(at / CONTENT, 100), r"item `preprocessor`.*preprocessor`"),
    "bytes": (lambda at: (at / CONTENT).write_bytes(b"\xff\xfe" * 9), r"item `preprocessor`"),
    "gone": (lambda at: (at / CONTENT).unlink(), r"item `preprocessor`.*not found"),
    "nested": (lambda at: (at / CONTENT).write_text("[" * 10**5), r"item `preprocessor`"),
    "a list": (lambda at: (at / CONTENT).write_text("[1]"), r"an object.*In `.*preprocessor`"),
    "newer": (_newer, r"version 1, which this jaxprep reads, got `99`.*In `.*preprocessor`"),
    "state cut": (_cut_state, r"item `state` that orbax reads.*state`"),
    "state of null": (
        lambda at: (at / "state" / "_METADATA").write_text("null"),
        r"item `state` that orbax reads, got AttributeError",
    ),
    "state gone": (lambda at: shutil.rmtree(at / "state" / "d"), r"item `state` that orbax reads"),
}


@pytest.mark.parametrize("name", DAMAGES)
def test_a_damaged_or_newer_checkpoint_is_one_error_that_names_the_item(name, saved, tmp_path):
    damage, message = DAMAGES[name]
    damage(shutil.copytree(saved, tmp_path / "a"))
    with pytest.raises(ConfigError, match=message):
        checkpoint.restore(tmp_path / "a")
    with pytest.raises(ConfigError, match=message):
        checkpoint.restore(tmp_path / "a", {"w": np.ones(3), "step": 7})


@pytest.mark.parametrize(
    "leaf", [np.ones(4), jnp.ones(4), jax.ShapeDtypeStruct((3, 1), np.float32)]
)
def test_a_state_of_another_shape_is_refused_by_its_name(leaf, saved):
    with pytest.raises(ConfigError, match=r"`w` of shape \(3,\), as saved, got \(.*state`"):
        checkpoint.restore(saved, {"w": leaf, "step": 7})


@pytest.mark.parametrize(
    ("state", "place"),
    [
        ({"a": {"name": "vit"}}, r"state\['a'\]\['name'\]"),
        ({"f": abs}, r"state\['f'\]"),
        ({"f": np.array(["cat"])}, r"state\['f'\]"),
        ({}, "state"),
        (7, "state"),
        (jnp.ones(3), "state"),
        ({"f": jax.ShapeDtypeStruct((3,), np.float32)}, r"state\['f'\]"),
        ({"f": np.array(["2026-11-30"], "M8[D]")}, r"state\['f'\]"),
        ({"a": np.ones(1), 3: np.ones(1)}, "state"),
        ({"a.b": np.ones(1), "a": {"b": np.zeros(1)}}, "state"),
    ],
)
def test_what_is_no_state_is_refused_before_anything_is_overwritten(state, place, saved):
    with pytest.raises(InputError, match=rf"Expected a pytree.*at `{place}`"):
        checkpoint.save(saved, PRE, state, overwrite=True)
    assert checkpoint.restore(saved).state["step"] == 7
    assert os.listdir(saved.parent) == ["a"]


def test_what_is_overwritten_stays_until_the_new_one_is_written(tmp_path, monkeypatch):
    checkpoint.save(tmp_path / "a", PRE, {"step": 7})

    def fail(*args: Any, **kwargs: Any) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(ocp.Checkpointer, "save", fail)
        with pytest.raises(OSError, match="No space"):
            checkpoint.save(tmp_path / "a", PRE, {"step": 8}, overwrite=True)
    assert checkpoint.restore(tmp_path / "a").state["step"] == 7
    (tmp_path / "link").symlink_to("a")
    checkpoint.save(tmp_path / "link", PRE, {"step": 9}, overwrite=True)
    assert checkpoint.restore(tmp_path / "a").state["step"] == 9
    assert sorted(os.listdir(tmp_path)) == ["a", "link"]


def test_only_a_checkpoint_is_overwritten(tmp_path):
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "mine.jpg").write_text("")
    for place in (tmp_path / "photos", tmp_path / "photos" / "mine.jpg"):
        with pytest.raises(InputError, match=r"Expected a checkpoint .* to overwrite"):
            checkpoint.save(place, PRE, overwrite=True)
    assert os.listdir(tmp_path / "photos") == ["mine.jpg"]
    (tmp_path / "empty").mkdir()
    checkpoint.save(tmp_path / "empty", PRE, overwrite=True)
    assert checkpoint.restore(tmp_path / "empty").preprocessor == PRE
    # as a process leaves it that dies while it exchanges them
    os.rename(tmp_path / "empty", tmp_path / "empty.jaxprep-old")
    with pytest.raises(PresetNotFoundError, match=r"Rename `.*empty\.jaxprep-old`"):
        checkpoint.restore(tmp_path / "empty")


@pytest.mark.parametrize("path", [3, None, b"a", "a\0b", "https://example.com/a"])
def test_what_is_no_path_is_one_error(path):
    for call in (lambda: checkpoint.save(path, PRE), lambda: checkpoint.restore(path)):
        with pytest.raises(InputError, match=r"Expected a path.*at `path`"):
            call()


def test_scalars_of_numpy_and_keys_come_back(tmp_path):
    state = {
        "scale": np.float32(0.5),
        "done": np.bool_(True),
        "key": jax.random.key(3),
        "empty": (None, {}),
    }
    checkpoint.save(tmp_path / "a", PRE, state)
    for like in (state, None):
        restored = checkpoint.restore(tmp_path / "a", like).state
        assert restored["scale"] == np.float32(0.5) and restored["done"]
        assert restored["key"] == state["key"]


def test_threads_save_at_once(tmp_path):
    def save(step: int) -> int:
        checkpoint.save(tmp_path / str(step), PRE, {"step": step})
        return checkpoint.restore(tmp_path / str(step)).state["step"]

    with ThreadPoolExecutor(3) as executor:
        assert list(executor.map(save, range(3))) == [0, 1, 2]
        save_again = functools.partial(checkpoint.save, tmp_path / "0", PRE, overwrite=True)
        done = [executor.submit(save_again, state={"step": step}) for step in range(3)]
    assert [future.exception() for future in done] == [None] * 3
    assert checkpoint.restore(tmp_path / "0").state["step"] in range(3)


@dataclasses.dataclass(frozen=True)
class CheckpointGamma(ops.Pointwise):
    gamma: float = 2.2

    def apply(self, image: Any, draw: Any = None) -> Any:
        return image**self.gamma


ELSEWHERE = """
import sys, jax
from jaxprep import checkpoint
assert len(jax.devices()) == 1
print(checkpoint.restore(sys.argv[1]).state["w"])
try:
    checkpoint.restore(sys.argv[2])
except checkpoint.ConfigError as error:
    print(error)
"""


def test_a_process_with_fewer_devices_and_without_the_step_of_ones_own(tmp_path):
    mesh = jax.make_mesh((4,), ("data",))
    along = jax.NamedSharding(mesh, jax.P("data"))
    state = {"w": jax.device_put(np.arange(4), along), "on 3": jax.device_put(1, jax.devices()[3])}
    checkpoint.save(tmp_path / "a", PRE, state)
    own = Pipeline((ops.Rescale(), CheckpointGamma(1.5)))
    checkpoint.save(tmp_path / "b", own)
    assert checkpoint.restore(tmp_path / "b").preprocessor.pipeline == own
    command = [sys.executable, "-c", ELSEWHERE, str(tmp_path / "a"), str(tmp_path / "b")]
    environment = {**os.environ, "XLA_FLAGS": "--xla_force_host_platform_device_count=1"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert done.stdout.startswith("[0 1 2 3]\nExpected one of ["), done.stderr[-2000:]
    assert "import the module that defines it" in done.stdout and "CheckpointGamma" in done.stdout
