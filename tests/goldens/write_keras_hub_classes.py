"""Write keras_hub_classes.json: which KerasHub classes hold the preprocessing of a family of models.

    pip install keras-hub==0.32.0 jax
    python tests/goldens/write_keras_hub_classes.py [--check keras_presets.json]

The table maps a family to

    converter      module, class_name, registered_name and default layer name of its ImageConverter
    preprocessor   the same of its ImageClassifierPreprocessor, or null
    backbone       registered_name of its backbone, which KerasHub finds both by

A family is a folder of `keras_hub.src.models`, or an alias of one. `generic` is the pair of base classes, which have no
backbone: a save of them loads beside the config.json of any family (its preprocessor then becomes the family's).
"""

import argparse
import json
import os
from collections.abc import Iterator
from pathlib import Path

os.environ["KERAS_BACKEND"] = "jax"
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import keras_hub

ALIASES = {
    "efficientnet_v2": "efficientnet",
    "mobilenet_v3": "mobilenet",
    "resnet_v2": "resnet",
    "resnet_vd": "resnet",
}
ImageConverter = keras_hub.layers.ImageConverter
ImageClassifierPreprocessor = keras_hub.models.ImageClassifierPreprocessor


def subclasses(cls: type) -> Iterator[type]:
    """All classes below `cls`."""
    for child in cls.__subclasses__():
        yield child
        yield from subclasses(child)


def names(cls: type) -> dict[str, str]:
    """What KerasHub writes of `cls` when it saves an instance made without arguments."""
    saved = keras.saving.serialize_keras_object(cls())
    return {key: saved[key] for key in ("module", "class_name", "registered_name")} | {"name": saved["config"]["name"]}


def entry(converter: type, preprocessor: type | None) -> dict:
    """The table's row of a family."""
    backbone = converter.backbone_cls
    return {
        "converter": names(converter),
        "preprocessor": names(preprocessor) if preprocessor else None,
        "backbone": keras.saving.get_registered_name(backbone) if backbone else None,
    }


def table() -> dict[str, dict]:
    """Every family, in the order of its name."""
    by_backbone = {cls.backbone_cls: cls for cls in subclasses(ImageClassifierPreprocessor)}
    rows = {"generic": entry(ImageConverter, ImageClassifierPreprocessor)}
    for cls in subclasses(ImageConverter):
        family = cls.__module__.split(".")[-2]
        if family in rows:
            raise ValueError(f"Expected one ImageConverter in each family, got a second in {family!r}: {cls.__name__}")
        rows[family] = entry(cls, by_backbone.get(cls.backbone_cls))
    rows |= {alias: rows[family] for alias, family in ALIASES.items()}
    return dict(sorted(rows.items()))


def check(rows: dict[str, dict], presets: list[dict]) -> None:
    """Each preset's family must be in the table, with the backbone that the preset names."""
    for preset in presets:
        family, cls = preset["family"], getattr(keras_hub.models, preset["backbone"])
        backbone = keras.saving.get_registered_name(getattr(cls, "backbone_cls", cls))
        if family not in rows or rows[family]["backbone"] != backbone:
            found = rows.get(family, {}).get("backbone")
            print(f"{preset['name']}: expected family {family!r} with backbone {backbone}, got {found}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, default=Path(__file__).resolve().parents[2] / "presets" / "keras_hub_classes.json")
    parser.add_argument("--check", type=Path, help="a JSON list of presets with `name`, `family` and `backbone`")
    options = parser.parse_args()
    rows = table()
    if options.check:
        check(rows, json.loads(options.check.read_text()))
    options.output.write_text(json.dumps(rows, indent=2) + "\n")
    print(f"keras_hub {keras_hub.__version__}: {len(rows)} families")


if __name__ == "__main__":
    main()
