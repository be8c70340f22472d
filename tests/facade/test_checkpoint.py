"""A checkpoint of orbax: a preprocessor and a train state, saved and restored in one call each."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import orbax.checkpoint as ocp
import pytest
from flax import struct

from jaxprep import ImageClassifierPreprocessor, Pipeline, checkpoint, ops
from jaxprep.errors import ConfigError, InputError, PresetNotFoundError
from jaxprep.huggingface import ViTImageProcessor

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
