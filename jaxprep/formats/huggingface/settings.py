"""The settings of an image processor as its class understands them: with defaults, legacy keys and
forms resolved.
"""

from __future__ import annotations

import functools
import json
import math
from collections.abc import Mapping
from typing import Any, Literal, NamedTuple, get_args

from jaxprep import codec
from jaxprep.errors import ConfigError
from jaxprep.formats.huggingface import classes
from jaxprep.ops.resize import Method
from jaxprep.pipeline.step import check_size
from jaxprep.resample.filters import canonical_method

Backend = Literal["torchvision", "pil"]


class Frozen(dict[str, Any]):
    """A JSON object that is not changed any more, and so can be hashed."""

    def __hash__(self) -> int:  # type: ignore[override]
        return hash(json.dumps(self, sort_keys=True, default=str))


class Edges(NamedTuple):
    """A `size`: one of the sets of keys that Transformers knows, in pixels."""

    height: int | None = None
    width: int | None = None
    shortest_edge: int | None = None
    longest_edge: int | None = None
    max_height: int | None = None
    max_width: int | None = None
    min_pixels: int | None = None
    max_pixels: int | None = None

    @property
    def keys(self) -> tuple[str, ...]:
        return tuple(
            name for name, value in zip(self._fields, self, strict=True) if value is not None
        )

    @property
    def pair(self) -> tuple[int, int] | None:
        """Height and width, where that is what it says."""
        return None if self.height is None or self.width is None else (self.height, self.width)

    def to_dict(self) -> dict[str, int]:
        return {name: getattr(self, name) for name in self.keys}


_SETS = (
    ("height", "width"),
    ("shortest_edge",),
    ("shortest_edge", "longest_edge"),
    ("longest_edge",),
    ("max_height", "max_width"),
    ("min_pixels", "max_pixels"),
)


class Settings:
    """Typed access to what a class makes of its config; every value is checked when it is asked
    for.

    A key that is missing or null means the default of the class.

    Args:
        name: the class.
        given: the keys of the config.
    """

    def __init__(self, name: str, given: Mapping[str, Any]):
        self.name = name
        self.row = classes.rows()[name]
        self.given = _modern(name, given)

    def get(self, key: str) -> Any:
        """The value of a key as it stands there, or the class' default."""
        value = self.given.get(key)
        return self.row["defaults"].get(key) if value is None else value

    def flag(self, key: str) -> bool:
        value = self.get(key)
        if value is not None and not isinstance(value, bool):
            raise codec.expected("true, false or null", value, f"$.{key}")
        return bool(value)

    def number(self, key: str, lowest: float = -1e9, highest: float = 1e9) -> float:
        value = _number(self.get(key), f"$.{key}")
        if not lowest <= value <= highest:
            raise codec.expected(f"a number from {lowest:g} to {highest:g}", value, f"$.{key}")
        return value

    def integer(self, key: str, lowest: int = 1, highest: int = 2**20) -> int:
        value = self.get(key)
        if type(value) is not int or not lowest <= value <= highest:
            raise codec.expected(f"an integer from {lowest} to {highest}", value, f"$.{key}")
        return value

    def per_channel(self, key: str) -> float | tuple[float, ...]:
        """One number, or one per channel."""
        value = self.get(key)
        if isinstance(value, (list, tuple)):
            if not 1 <= len(value) <= 64:
                raise codec.expected("a number for each channel", value, f"$.{key}")
            return tuple(_number(item, f"$.{key}[{i}]") for i, item in enumerate(value))
        return _number(value, f"$.{key}")

    def method(self, key: str = "resample") -> Method:
        """The filter: one of PIL's integers, or a name."""
        value = self.get(key)
        try:
            method: Any = (
                canonical_method(value)
                if isinstance(value, (str, int)) and value is not True
                else None
            )
        except ConfigError:
            method = None
        if method not in get_args(Method):
            raise codec.expected(
                f"one of PIL's integers 0 to 5, or of {list(get_args(Method))}", value, f"$.{key}"
            )
        return method

    def edges(self, key: str = "size") -> Edges | None:
        """A size in any of its forms: a number, a list, or an object with one of the sets of
        keys.
        """
        value = self.get(key)
        return None if value is None else _edges(value, key, self._square(key), self._max_size(key))

    def needed_edges(self, key: str, *wanted: tuple[str, ...]) -> Edges:
        """The same, held to the sets of keys that the place takes."""
        edges = self.edges(key)
        if edges is None or edges.keys not in wanted:
            sets = " or ".join("{" + ", ".join(keys) + "}" for keys in wanted)
            raise codec.expected(
                f"{sets} in pixels", None if edges is None else edges.to_dict(), f"$.{key}"
            )
        return edges

    def pair(self, key: str) -> tuple[int, int]:
        """Height and width."""
        edges = self.needed_edges(key, ("height", "width"))
        assert edges.pair is not None
        check_size(edges.pair, f"$.{key}")
        return edges.pair

    def _square(self, key: str) -> bool:
        """Whether a lone number is the side of a square; otherwise, the shorter edge."""
        if key != "size":
            return True
        value = self.given.get("default_to_square")
        return bool(self.row["square"] if value is None else value)

    def _max_size(self, key: str) -> int | None:
        value = (
            self.given.get("max_size")
            if key == "size" and "max_size" not in self.row["kwargs"]
            else None
        )
        return value if type(value) is int else None


def _number(value: Any, where: str) -> float:
    if type(value) not in (int, float) or not math.isfinite(value) or abs(value) > 1e12:
        raise codec.expected("a finite number", value, where)
    return float(value)


def _edges(value: Any, key: str, is_square: bool, max_size: int | None) -> Edges:
    where = f"$.{key}"
    if isinstance(value, Mapping):
        found: dict[str, Any] = {name: side for name, side in value.items() if side is not None}
    elif isinstance(value, (list, tuple)) and len(value) == 2:
        found = {"height": value[0], "width": value[1]}
    elif isinstance(value, (list, tuple)) and len(value) == 1:
        return _edges(value[0], key, is_square, max_size)
    elif is_square and max_size is None:
        found = {"height": value, "width": value}
    else:
        found = (
            {"shortest_edge": value}
            if max_size is None
            else {"shortest_edge": value, "longest_edge": max_size}
        )
    for name, side in found.items():
        if type(side) is not int or not 1 <= side <= 2**28:
            raise codec.expected(
                "a number of pixels of at least 1",
                side,
                f"{where}.{name}" if len(found) > 1 else where,
            )
    if not any(set(found) == set(names) for names in _SETS):
        sets = ", ".join("{" + ", ".join(names) + "}" for names in _SETS)
        raise codec.expected(f"one of the sets of keys {sets}", sorted(map(str, found)), where)
    return Edges(**found)


# -- what old configs say otherwise ------------------------------------------------------------------------------------

RENAMED: dict[str, dict[str, str]] = {
    "": {"reduce_labels": "do_reduce_labels", "pad_and_return_pixel_mask": "do_pad"},
    "OwlViTImageProcessor": {"rescale": "do_rescale"},
    "Owlv2ImageProcessor": {"rescale": "do_rescale"},
    "Swin2SRImageProcessor": {"pad_size": "size_divisor"},
    "IdeficsImageProcessor": {"image_size": "size"},
    "VitMatteImageProcessor": {"size_divisibility": "size_divisor"},
    "MaskFormerImageProcessor": {"size_divisibility": "size_divisor"},
    "Mask2FormerImageProcessor": {"size_divisibility": "size_divisor"},
    "PoolFormerImageProcessor": {"do_resize_crop": "do_resize"},
}
"""Keys that old configs use for one of today's, for all classes and for some; today's key wins
where both are there.
"""


def renamed(name: str) -> dict[str, str]:
    """The old keys of a class, and what they are today."""
    return {**RENAMED[""], **RENAMED.get(name, {})}


def _modern(name: str, given: Mapping[str, Any]) -> dict[str, Any]:
    """The keys of today's class, from those of any release."""
    found = dict(given)
    for old, new in renamed(name).items():
        if found.get(old) is not None and found.get(new) is None:
            found[new] = found[old]
    if name == "IdeficsImageProcessor" and type(found.get("size")) is int:
        found["size"] = {"height": found["size"], "width": found["size"]}
    if name == "SamImageProcessor":
        found |= {
            key: {"longest_edge": found[key]}
            for key in ("size", "mask_size")
            if type(found.get(key)) is int
        }
    if name in ("MaskFormerImageProcessor", "Mask2FormerImageProcessor"):
        found |= _bounded(found, classes.rows()[name]["defaults"]["size"])
    found |= _detection(found, classes.rows()[name])
    if found.get("use_square_size") is True:
        edge = found.get("size")
        edge = edge.get("shortest_edge") if isinstance(edge, Mapping) else edge
        edge = (
            classes.rows()[name]["defaults"].get("size", {}).get("shortest_edge")
            if edge is None
            else edge
        )
        if type(edge) is int:
            found["size"] = {"height": edge, "width": edge}
    return found


def _bounded(found: Mapping[str, Any], default: Mapping[str, int]) -> dict[str, Any]:
    """`size`, where an old config gives only the shorter side, as a number, or only `max_size`, the
    longer one.
    """
    shortest, longest = found.get("size"), found.get("max_size")
    if (type(shortest) is not int and shortest is not None) or (
        shortest is None and type(longest) is not int
    ):
        return {}
    sides = {"shortest_edge": shortest, "longest_edge": longest}
    return {"size": {key: default[key] if side is None else side for key, side in sides.items()}}


def _detection(found: Mapping[str, Any], row: Mapping[str, Any]) -> dict[str, Any]:
    """DETR: a lone number is bounded by the row's `max_size`; boxes are converted where values are
    normalised.

    A lone longest edge, with which Table Transformer was published and which Transformers refuses,
    bounds both sides.
    """
    changed: dict[str, Any] = {}
    size, longest = found.get("size"), found.get("max_size")
    if type(size) is int and "max_size" in row:
        changed["size"] = {"shortest_edge": size, "longest_edge": longest or row["max_size"]}
    elif isinstance(size, Mapping) and list(size) == ["longest_edge"] and "max_size" in row:
        changed["size"] = {"shortest_edge": size["longest_edge"], **size}
    if _follows_normalize(row) and found.get("do_convert_annotations") is None:
        changed["do_convert_annotations"] = found.get("do_normalize")
    return changed


def _follows_normalize(row: Mapping[str, Any]) -> bool:
    return row.get("annotations", {}).get("follow_normalize", False)


def settled(name: str, given: Mapping[str, Any], changed: Mapping[str, Any]) -> dict[str, Any]:
    """What a config said by leaving it out, and still says when a call changes the setting that it
    followed.
    """
    if "do_normalize" not in changed or not _follows_normalize(classes.rows()[name]):
        return {}
    kept = given.get("do_convert_annotations")
    follows = given.get("do_normalize")
    return {
        "do_convert_annotations": (True if follows is None else follows) if kept is None else kept
    }


_MADE_OF = {"metadata": ("class_info_file", "repo_path")}
"""Keys that hold what was read from the file that others name."""


def merged(given: Mapping[str, Any], changed: Mapping[str, Any]) -> dict[str, Any]:
    """Keys with some replaced; what was read from a file goes when another is named."""
    stale = [
        key
        for key, names in _MADE_OF.items()
        if any(name in changed and changed[name] != given.get(name) for name in names)
    ]
    return {**{key: value for key, value in given.items() if key not in stale}, **changed}


@functools.lru_cache(maxsize=1024)
def settings_of(name: str, given: Frozen) -> Settings:
    """The settings of a config; made once."""
    return Settings(name, given)
