"""Write doctor.npz and doctor/: arrays that the real libraries make with one or two settings wrong, for `jaxprep.diagnose`.

Nothing here calls jaxprep. A case (`doctor_table.py`) is a preset that a user believes in, a photograph, and four stages of the
user's code (`doctor_recipes.py`): how the photograph is read, resized and cropped, made floats, and stored. Each stage says which
settings it gets wrong, in the words of `doctor_cases.py`; together they are the expected `changes`. What has no mistake is
computed by the library's own evaluation transform. A case is written only if leaving out any of its mistakes changes the array
by more than a level, on one value in a thousand. (For `reference` half a level, on one in a hundred, and where it is the only
mistake on one in two thousand: Pillow and torchvision differ by one level on 0.1 to 0.3 % of all values, and by no more.)

Two environments, since TensorFlow does not stand well beside PyTorch:

    pip install torch torchvision timm transformers pillow opencv-python-headless simplejpeg ftfy
    pip install --no-deps open_clip_torch
    python tests/goldens/write_doctor.py torch --output FULL

    pip install tensorflow-cpu keras keras-hub jax pillow opencv-python-headless
    KERAS_BACKEND=jax python tests/goldens/write_doctor.py tensorflow --output FULL

    python tests/goldens/write_doctor.py pack --output FULL     # the committed selection; in either environment

Written with torch 2.13.0 (CPU), torchvision 0.28.0, timm 1.0.31, transformers 5.24.0, open_clip_torch 3.3.0, Pillow 13.0.0,
OpenCV 5.0.0, simplejpeg 1.9.0, NumPy 2.4.6; TensorFlow 2.21.0, Keras 3.15.1, keras-hub 0.32.0, jax 0.10.2.
FULL gets `cases.json`, `arrays/NAME.npy`, `photos/` and `presets/`.
"""

import argparse
import importlib.metadata
import json
import pathlib
import platform
import sys

import doctor_cases
import numpy as np

HERE = pathlib.Path(__file__).resolve().parent
PACKAGES = {
    "torch": (
        "torch",
        "torchvision",
        "timm",
        "transformers",
        "open_clip_torch",
        "pillow",
        "opencv-python-headless",
        "simplejpeg",
    ),
    "tensorflow": (
        "tensorflow_cpu",
        "keras",
        "keras-hub",
        "jax",
        "pillow",
        "opencv-python-headless",
    ),
}


def versions(environment: str) -> dict[str, str]:
    """The installed versions that a case may depend on."""
    found = {name: importlib.metadata.version(name) for name in (*PACKAGES[environment], "numpy")}
    return {**found, "python": platform.python_version()}


def make(environment: str, output: pathlib.Path) -> None:
    """Make the cases of one environment; those of the other stay."""
    import _torch_env  # noqa: F401
    import doctor_originals
    import doctor_recipes

    for name in ("arrays", "photos", "presets"):
        (output / name).mkdir(parents=True, exist_ok=True)
    if not list((output / "photos").iterdir()):
        doctor_recipes.make_photos(HERE.parents[1] / "examples" / "photos", output / "photos")
    for name, config in doctor_recipes.FOLDERS.items():
        folder = output / "presets" / name
        folder.mkdir(exist_ok=True)
        (folder / "preprocessor_config.json").write_text(json.dumps(config, indent=2) + "\n")

    path = output / "cases.json"
    before = json.loads(path.read_text()) if path.exists() else {"versions": {}, "cases": []}
    cases = [case for case in before["cases"] if case["environment"] != environment]
    made = [
        *doctor_originals.controls(environment, output),
        *doctor_originals.specials(environment, output),
    ]
    others = len(made)
    recipes = [recipe for recipe in doctor_recipes.recipes() if recipe.environment == environment]
    for recipe in recipes:
        try:
            case, array = one(recipe, output)
        except AssertionError as error:
            print("LEFT OUT", recipe.name(), error, file=sys.stderr)
            continue
        made.append((case, array))
    for case, array in made:
        np.save(output / "arrays" / f"{case['name']}.npy", array)
        cases.append({**case, "environment": environment})
    before["versions"][environment] = versions(environment)
    path.write_text(json.dumps({"versions": before["versions"], "cases": cases}, indent=1))
    print(
        f"{environment}: {len(made) - others} of {len(recipes)} recipes, {others} others",
        file=sys.stderr,
    )


def one(recipe, output: pathlib.Path) -> tuple[dict, np.ndarray]:
    """A case and its array, checked."""
    import doctor_originals
    import doctor_recipes

    preset = doctor_recipes.PRESETS[recipe.preset]
    array, _, changes = recipe.make(output)
    original = doctor_originals.array(recipe, output)
    if original is not None:
        pads_first = (
            recipe.preset.startswith("keras") and recipe.how.rule == "pad"
        )  # then stretches what is padded
        if not pads_first:
            check_equals_original(array, original)
        array = original
    simpler = list(recipe.simpler())
    for other in simpler:
        check_is_noticeable(recipe, other, output)
    settings = [setting for setting, _, _ in changes]
    if len(set(settings)) < len(settings):
        raise AssertionError(f"a setting twice: {settings}")
    rest = [change for change in changes if change[0] not in ("range", "mean", "std")]
    also = [[*rest, *other] for other in doctor_recipes.also_accepted(preset, recipe.values)]
    case = {
        "name": recipe.name(),
        "preset": preset.handle,
        "photo": recipe.photo,
        "how": recipe.describe(),
        "mistakes": len(simpler),
        "changes": changes,
        "also": also,
    }
    return case, array


def check_equals_original(array: np.ndarray, original: np.ndarray) -> None:
    """The stages without mistakes are what the library's own transform computes."""
    if array.shape != original.shape:
        raise AssertionError(f"not what the library computes: {array.shape}, not {original.shape}")
    difference = np.abs(array - original)
    off = difference > 2e-6 * max(1, np.abs(original).max())
    if off.mean() > 1e-4 or difference.max() * 255 > 1.1 * (
        original.max() - original.min()
    ):  # ties, in Keras' own resize
        raise AssertionError(f"not what the library computes: {difference.max()} on {off.mean()}")


def check_is_noticeable(recipe, simpler, output: pathlib.Path) -> None:
    """Without one of its mistakes, a case is another array. Both with the right numbers, if those are not the mistake."""
    if simpler.values == recipe.values:
        recipe, simpler = recipe._replace(values="right"), simpler._replace(values="right")
    array, _, changes = recipe.make(output)
    other, _, fewer = simpler.make(output)
    if len(fewer) >= len(changes):
        raise AssertionError(f"no mistake: {simpler.name()} has as many")
    if other.shape != array.shape:
        return
    difference = np.abs(array.astype(float) - other) * 255 / (array.max() - float(array.min()))
    gone = {setting for setting, _, _ in changes} - {setting for setting, _, _ in fewer}
    if gone == {"reference"}:
        if (difference > 0.5).mean() < (0.0005 if len(changes) == 1 else 0.01):
            raise AssertionError(
                f"hardly differs from {simpler.name()}: {difference.max():.2f} levels"
            )
    elif np.quantile(difference, 0.999) <= 1:
        raise AssertionError(
            f"hardly differs from {simpler.name()}: {np.quantile(difference, 0.999):.2f} levels"
        )


def main() -> None:
    """Make the cases of one environment, or pack the selection."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("stage", choices=("torch", "tensorflow", "pack"))
    parser.add_argument("--output", type=pathlib.Path, required=True, help="folder of the full set")
    args = parser.parse_args()
    if args.stage == "pack":
        doctor_cases.pack(args.output)
        return
    make(args.stage, args.output)


if __name__ == "__main__":
    main()
