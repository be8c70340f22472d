"""Defines `Diagnosis`: what was done to a photograph, in words, as JSON and as a picture."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from jaxprep.doctor.values import Change
from jaxprep.errors import InputError

if TYPE_CHECKING:
    from jaxprep.doctor.pictures import Shown
    from jaxprep.looking.panels import Picture


@dataclass(frozen=True)
class Diagnosis:
    """Says which preset an array equals, and what must be changed in that preset.

    Attributes:
        preset: the preset; of several that are equal, the first; None where the photograph is not
            in the array.
        exact: whether the preset with these changes gives the array, but for the rounding of
            floats.
        changes: `(setting, expected, found)` for each mistake; None where nothing explains the
            array.
        residual: the largest difference that remains, in levels of 0 to 255.
        nearest: the changes that come nearest where nothing explains the array.
        mean_residual: the mean difference that remains, in levels.
        presets: the names of all presets that are equal to `preset`.
        shown: what `picture` draws.
        note: what else is to be said, such as images of a batch that differ.

    >>> diagnosis = Diagnosis("mine", True, (("channels", "RGB", "BGR"),), 0.0)
    >>> print(diagnosis)
    Equals mine except:
      channels: BGR instead of RGB
    In every pixel.
    """

    preset: str | None
    exact: bool
    changes: tuple[Change, ...] | None
    residual: float
    nearest: tuple[Change, ...] = ()
    mean_residual: float = 0.0
    presets: tuple[str, ...] = ()
    shown: Shown | None = field(default=None, compare=False, repr=False)
    note: str = ""

    @property
    def explained(self) -> bool:
        """Whether `changes` explain the array."""
        return self.changes is not None

    def __str__(self) -> str:
        lines = []
        changes = self.nearest if self.changes is None else self.changes
        if self.changes is None:
            lines.append("Nothing that the doctor knows explains this array.")
            if not self.preset:
                return "\n".join(lines + ([self.note] if self.note else []))
            lines.append(f"Nearest: {self.preset}" + (" with:" if changes else ""))
        else:
            lines.append(f"Equals {self.preset}" + (" except:" if changes else "."))
        lines += [f"  {in_words(change)}" for change in changes]
        if self.exact:
            lines.append("In every pixel.")
        else:
            lines.append(
                f"Remaining difference: {self.mean_residual:.3g} levels of 255 on average, "
                f"{self.residual:.3g} at most."
            )
        others = [name for name in self.presets if name != self.preset]
        if others:
            shown = ", ".join(others[:5])
            more = f" and {len(others) - 5} more" if len(others) > 5 else ""
            lines.append(f"The same preprocessing: {shown}{more}.")
        if self.note:
            lines.append(self.note)
        return "\n".join(lines)

    def to_json(self) -> dict[str, Any]:
        """Return the diagnosis as JSON data.

        >>> Diagnosis("mine", True, (), 0.0).to_json()["changes"]
        []
        """

        def rows(changes: tuple[Change, ...]) -> list[dict[str, Any]]:
            return [
                {"setting": setting, "expected": _plain(expected), "found": _plain(found)}
                for setting, expected, found in changes
            ]

        return {
            "preset": self.preset,
            "exact": self.exact,
            "explained": self.explained,
            "changes": None if self.changes is None else rows(self.changes),
            "nearest": rows(self.nearest),
            "residual": self.residual,
            "mean_residual": self.mean_residual,
            "presets": list(self.presets),
            "note": self.note,
            "words": str(self),
        }

    @property
    def picture(self) -> Picture:
        """What the preset makes of the photograph, what the model gets, and by how much they
        differ: of the first image. A notebook displays it.

        Raises:
            InputError: there is nothing to draw, as the photograph is not in the array.

        >>> import jaxprep
        >>> photo = jaxprep.data.photo("coffee")
        >>> preset = "timm/resnet50.a1_in1k"
        >>> x = jaxprep.ImageClassifierPreprocessor.from_preset(preset, crop_pct=1.0)(photo)
        >>> jaxprep.diagnose(x, photo, preset).picture.image.size
        (1408, 513)
        """
        from jaxprep.doctor.pictures import draw

        if self.shown is None:
            raise InputError("Expected an array with a photograph in it, to draw what differs.")
        words = [in_words(change) for change in self.changes or self.nearest]
        return draw(self.shown, ["left: preset", "middle: array", *words, str(self.preset)])


def _plain(value: Any) -> Any:
    if isinstance(value, (tuple, list)):
        return [_plain(one) for one in value]
    return value.item() if isinstance(value, np.generic) else value


def in_words(change: Change) -> str:
    """Return a change in plain English.

    >>> in_words(("antialias", True, False))
    'antialias: no antialiasing'
    """
    setting, expected, found = change
    if setting == "antialias":
        return "antialias: " + (
            "antialiased, where the preset is not" if found else "no antialiasing"
        )
    if setting in ("mean", "std") and found in ("missing", "twice"):
        words = {"missing": "not applied", "twice": "applied twice"}[found]
        return f"{setting}: {words} (expected {_text(expected)})"
    if setting == "crop":
        return f"crop: {_window(found)} instead of {_window(expected)}"
    return f"{setting}: {_text(found)} instead of {_text(expected)}"


def _window(value: Any) -> str:
    if isinstance(value, tuple) and len(value) == 4:
        top, left, height, width = value
        return f"{height}x{width} from row {top}, column {left}"
    return str(value)


def _text(value: Any) -> str:
    if isinstance(value, tuple):
        if len(value) == 2 and all(isinstance(n, int) for n in value):
            return f"{value[0]}x{value[1]}"
        if len(set(value)) == 1:
            return f"{value[0]:g}"
        return "(" + ", ".join(f"{n:g}" for n in value) + ")"
    words = {
        "shortest_edge": "the shorter side (shortest_edge)",
        "squash": "stretched (squash)",
        "pad": "padded (pad)",
        "resize_then_crop": "resize, then crop",
        "crop_then_resize": "crop, then resize",
    }
    return words.get(value, str(value))
