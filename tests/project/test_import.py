"""`import jaxprep` is light: nothing heavy is loaded, and no backend is started, before something
needs it.
"""

from __future__ import annotations

import subprocess
import sys

import pytest

HEAVY = (
    "orbax",
    "huggingface_hub",
    "PIL",
    "grain",
    "ray",
    "kagglehub",
    "simplejpeg",
    "chex",
    "transformers",
    "torch",
    "torchvision",
    "tensorflow",
    "keras",
    "tqdm",
)
LIGHT = {
    "the package": "import jaxprep",
    "Batch": "import jaxprep; jaxprep.Batch(image=None)",
    "a preset": "from jaxprep import ImageClassifierPreprocessor; "
    "ImageClassifierPreprocessor.from_preset('timm/resnet50.a1_in1k').pipeline",
    "every public name": "import jaxprep; [getattr(jaxprep, name) for name in jaxprep.__all__]",
}


def output(statements: str) -> str:
    command = [sys.executable, "-W", "error", "-c", statements]
    return subprocess.run(
        command, capture_output=True, text=True, check=True, timeout=120
    ).stdout.strip()


@pytest.mark.parametrize("statements", LIGHT.values(), ids=LIGHT.keys())
def test_this_loads_no_heavy_package_and_starts_no_backend(statements):
    check = (
        f"; import sys; print([name for name in {HEAVY} if name in sys.modules])"
        "; from jax._src import xla_bridge; print(xla_bridge.backends_are_initialized())"
    )
    assert output(statements + check).splitlines() == ["[]", "False"]


def test_the_package_lists_its_public_names_and_no_others():
    statements = "import jaxprep; print(dir(jaxprep) == sorted([*jaxprep.__all__, '__version__']))"
    assert output(statements) == "True"


def test_import_jaxprep_loads_no_module_of_it():
    """The layers come with the first name that is asked for."""
    loaded = output(
        "import jaxprep, sys; "
        "print(sorted(name for name in sys.modules if name.startswith('jaxprep.')))"
    )
    assert loaded == "[]"


RULES = "patch_sizes", "sequence_sizes", "slice_sizes", "tile_sizes"
"""Modules of rules of vision-language models, in `jaxprep.ops`."""


def test_rules_of_vision_language_models_are_imported_where_they_are_asked_for():
    loaded = f"[name for name in {RULES} if 'jaxprep.ops.' + name in sys.modules]"
    rule = {"rule": "MostPatches", "patch_size": 16, "max_patches": 256}
    printed = output(
        "import sys, jaxprep; jaxprep.ImageClassifierPreprocessor; "
        f"from jaxprep import Pipeline, ops; print({loaded}); "
        f"print(Pipeline.from_json({{'steps': [{{'step': 'Resize', 'rule': {rule}}}]}}).to_json()"
        "['steps'][0]['rule']); "
        f"print(all(hasattr(ops, name) for name in {RULES}))"
    )
    assert printed.splitlines() == ["[]", str(rule), "True"]
