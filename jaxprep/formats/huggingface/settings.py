"""The settings of an image processor as its class understands them: with defaults, and with the
keys and forms of former releases replaced by those of Transformers 5.
"""

from __future__ import annotations

import contextlib
import copy
import functools
from collections.abc import Callable, Container, Mapping, Sequence
from typing import Any, NamedTuple, get_args

from jaxprep import codec
from jaxprep.bounds import check_size
from jaxprep.errors import ConfigError
from jaxprep.formats.huggingface import classes
from jaxprep.formats.huggingface.classes import ProcessorRow
from jaxprep.formats.huggingface.frozen import Frozen, SizeDict
from jaxprep.ops.color import MAX_COLORS
from jaxprep.ops.resize import MAX_COUNT, Method
from jaxprep.resample.filters import canonical_method

ANNOTATION_FORMATS = ("coco_detection", "coco_panoptic")
"""`AnnotationFormat` of `transformers/image_utils.py`."""


def split_keys(
    settings: Mapping[str, Any],
    keys: Container[str],
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the settings whose keys are among `keys`, and the others.

    >>> split_keys({"size": 8, "exact": True}, ("exact",))
    ({'exact': True}, {'size': 8})
    """
    among: dict[str, Any] = {}
    others: dict[str, Any] = {}
    for key, value in settings.items():
        part = among if key in keys else others
        part[key] = value
    return among, others


def drop_none(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings without those that are None, which says nothing.

    >>> drop_none({"size": 8, "resample": None})
    {'size': 8}
    """
    return {key: value for key, value in settings.items() if value is not None}


def drop_unsaid(
    name: str, settings: Mapping[str, Any], own: Settings | None = None
) -> dict[str, Any]:
    """Return the arguments of a call without those that are None, which means "as the config says";
    but a switch of the class that is None is off, as in Transformers, and so is what takes null.

    Args:
        own: the settings of the processor.

    >>> drop_unsaid("ViTImageProcessor", {"size": None, "do_resize": None})
    {'do_resize': None}
    """
    row = classes.known_row(name)
    if row.drops_none:
        return drop_none(settings)
    said = {
        key: value for key, value in settings.items() if value is not None or row.takes_null(key)
    }
    # See `Settings.method`.
    has_no_filter = "resample" in settings and settings["resample"] is None
    if has_no_filter and own is not None and not said.get("do_resize", own.flag("do_resize")):
        said["resample"] = None
    return said


class Edges(NamedTuple):
    """A `size`: one of the sets of keys that Transformers knows, in pixels; the others are None.

    It is `SizeDict` of `transformers/image_utils.py`.

    >>> Edges(shortest_edge=8).keys, Edges(height=8, width=6).pair
    (('shortest_edge',), (8, 6))
    """

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
        """The keys that have a value."""
        return tuple(key for key in self._fields if getattr(self, key) is not None)

    @property
    def pair(self) -> tuple[int, int] | None:
        """Height and width; None where the size is given by other keys."""
        if self.height is None or self.width is None:
            return None
        return self.height, self.width

    def side(self, key: str) -> int:
        """Return the value of a key that is known to have one."""
        value = getattr(self, key)
        assert value is not None
        return value

    def to_dict(self) -> SizeDict:
        """Return the keys that have a value, as JSON has them."""
        return SizeDict({key: self.side(key) for key in self.keys})


EXACT = ("height", "width")
SHORTEST = ("shortest_edge",)
BOTH = ("shortest_edge", "longest_edge")
LONGEST = ("longest_edge",)
INSIDE = ("max_height", "max_width")
PIXELS = ("min_pixels", "max_pixels")
KEY_SETS = (EXACT, SHORTEST, BOTH, LONGEST, INSIDE, PIXELS)
"""The sets of keys that a size may have, `VALID_SIZE_DICT_KEYS`:
https://github.com/huggingface/transformers/blob/main/src/transformers/image_processing_utils.py
"""


class Settings:
    """Typed access to what a class makes of its config; a value is checked when it is read.

    A key that is missing or null means the default of the class; but a switch that is null is off,
    since Transformers keeps the null and finds it false, and so is what a row names `nullable`.

    Args:
        name: the class.
        given: the keys of the config.

    Raises:
        ConfigError: from every method, where the value is not what the method reads.

    >>> settings = Settings("ViTImageProcessor", {"size": 8})
    >>> settings.pair("size"), settings.flag("do_resize"), settings.method()
    ((8, 8), True, 'bilinear')
    """

    prefix = ""

    def __init__(self, name: str, given: Mapping[str, Any]):
        self.name = name
        self.row = classes.known_row(name)
        self.given = upgrade_legacy(name, given)

    def under(self, prefix: str) -> Settings:
        """Return the settings by other names: each key with a prefix, if the class has that.

        >>> Settings("FlavaImageProcessor", {}).under("codebook_").pair("crop_size")
        (112, 112)
        """
        other = copy.copy(self)
        other.prefix = prefix
        return other

    def key_of(self, key: str) -> str:
        """Return the name of a key in the config; see `under`."""
        other = f"{self.prefix}{key}"
        return other if other in self.row.kwargs else key

    def get(self, key: str) -> Any:
        """Return the value of a key as the config has it, or the class' default."""
        key = self.key_of(key)
        value = self.given.get(key)
        is_none = key in self.given and self.row.takes_null(key)
        if value is None and not is_none:
            return self.row.defaults.get(key)
        return value

    def flag(self, key: str) -> bool:
        """Return a switch; null is off, and 0 and 1 are false and true, as to Transformers."""
        value = self.get(key)
        # Configs have null for switches of classes that never read them. 0 and 1 equal the bools.
        if value not in (None, False, True):
            raise self._expected("true, false or null", key)
        return bool(value)

    def number(
        self,
        key: str,
        lowest: float = -1e9,
        highest: float = 1e9,
    ) -> float:
        """Return a finite number in a range."""
        value = _number(self.get(key), f"$.{self.key_of(key)}")
        if not lowest <= value <= highest:
            raise self._expected(f"a number from {lowest:g} to {highest:g}", key)
        return value

    def integer(
        self,
        key: str,
        lowest: int = 1,
        highest: int = 2**20,
    ) -> int:
        """Return an integer in a range."""
        value = self.get(key)
        # `type`, not `isinstance`: a bool is an int to Python.
        if type(value) is not int or not lowest <= value <= highest:
            raise self._expected(f"an integer from {lowest} to {highest}", key)
        return value

    def choice(self, key: str, options: Sequence[str | None]) -> Any:
        """One of several strings; None where null is one of them."""
        value = self.get(key)
        if value not in options:
            raise self._expected(f"one of {list(options)}", key)
        return value

    def per_channel(self, key: str) -> float | tuple[float, ...]:
        """One number, or one per channel."""
        value = self.get(key)
        if not isinstance(value, (list, tuple)):
            return _number(value, f"$.{self.key_of(key)}")
        if not 1 <= len(value) <= 64:
            raise self._expected("a number for each channel", key)
        return tuple(_number(item, f"$.{self.key_of(key)}[{i}]") for i, item in enumerate(value))

    def colors(self, key: str) -> tuple[tuple[float, ...], ...]:
        """Return a list of colours, each of three numbers."""
        value = self.get(key)
        if not isinstance(value, (list, tuple)) or not 1 <= len(value) <= MAX_COLORS:
            raise self._expected(f"a list of 1 to {MAX_COLORS} colours", key)
        colors = []
        for i, color in enumerate(value):
            where = f"$.{self.key_of(key)}[{i}]"
            if not isinstance(color, (list, tuple)) or len(color) != 3:
                raise codec.expected("three numbers", color, where)
            colors.append(tuple(_number(number, where) for number in color))
        return tuple(colors)

    def method(self, key: str = "resample") -> Method:
        """Return the filter: one of PIL's integers, or a name; null is bilinear where it counts, as
        it is to `resize` of image_processing_backends.py in Transformers.
        """
        value = self.get(key)
        full_key = self.key_of(key)
        is_null = full_key in self.given and self.given[full_key] is None
        # Transformers refuses it where `do_resize` is on; some classes resize without that.
        if is_null and (self.row.takes_null(full_key) or not self.flag("do_resize")):
            return "bilinear"
        methods = get_args(Method)
        method: Any = None
        if isinstance(value, (str, int)) and value is not True:
            with contextlib.suppress(ConfigError):  # the error below also names PIL's integers
                method = canonical_method(value)
        if method not in methods:
            expected = f"one of PIL's integers 0 to 5, or of {list(methods)}"
            raise self._expected(expected, key)
        return method

    def _expected(self, what: str, key: str) -> ConfigError:
        """The error for the value of a key."""
        return codec.expected(what, self.get(key), f"$.{self.key_of(key)}")

    def edges(self, key: str = "size") -> Edges | None:
        """Return a size in any of its forms: a number, a list, or an object with one of
        `KEY_SETS`."""
        value = self.get(key)
        if value is None:
            return None
        is_square = self._square(key)
        max_size = self._max_size(key)
        return _edges(value, self.key_of(key), is_square, max_size)

    def needed_edges(self, key: str, *key_sets: tuple[str, ...]) -> Edges:
        """Return a size that has one of `key_sets`, those that the caller can use."""
        edges = self.edges(key)
        if edges is not None and edges.keys in key_sets:
            return edges
        wanted = " or ".join(_braces(keys) for keys in key_sets)
        got = None if edges is None else edges.to_dict()
        raise codec.expected(f"{wanted} in pixels", got, f"$.{self.key_of(key)}")

    def pair(self, key: str) -> tuple[int, int]:
        """Return height and width, bounded so that an image of that size fits into memory."""
        pair = self.needed_edges(key, EXACT).pair
        assert pair is not None
        check_size(pair, f"$.{self.key_of(key)}")
        return pair

    def square_side(self, key: str) -> int:
        """Return the side of a size whose height and width are equal."""
        height, width = self.pair(key)
        if height != width:
            raise self._expected("a square", key)
        return height

    def _square(self, key: str) -> bool:
        """Whether a lone number is the side of a square; otherwise it is the shorter edge."""
        if key != "size":
            return True
        # Configs of 2022 carry the argument of `get_size_dict` with them.
        value = self.given.get("default_to_square")
        if value is None:
            value = self.row.square
        return bool(value)

    def _max_size(self, key: str) -> int | None:
        """`max_size`, which old configs have beside a lone `size`, where the class takes no setting
        of that name.
        """
        if key != "size" or "max_size" in self.row.kwargs:
            return None
        value = self.given.get("max_size")
        return value if type(value) is int else None


def _number(value: Any, where: str) -> float:
    is_number = type(value) in (int, float)
    # Written so that NaN is refused; `math.isfinite` raises for an integer beyond float64.
    if not is_number or not abs(value) <= 1e12:
        raise codec.expected("a finite number", value, where)
    return float(value)


def _edges(
    value: Any,
    key: str,
    is_square: bool,
    max_size: int | None,
) -> Edges:
    """`get_size_dict` of `transformers/image_processing_utils.py`."""
    where = f"$.{key}"
    if isinstance(value, (list, tuple)) and len(value) == 1:
        return _edges(value[0], key, is_square, max_size)
    # Null entries of a size are the keys that are not given.
    sides = _sides(value, is_square, max_size)
    for name, side in sides.items():
        # Some are the pixels of all frames of a video, of which Qwen3.5 recommends 469,762,048 for
        # hours. What a step makes is bounded by `jaxprep.bounds`.
        if type(side) is not int or not 1 <= side <= MAX_COUNT:
            place = f"{where}.{name}" if len(sides) > 1 else where
            raise codec.expected(f"a number of pixels from 1 to {MAX_COUNT}", side, place)
    if not any(set(sides) == set(names) for names in KEY_SETS):
        known = ", ".join(_braces(names) for names in KEY_SETS)
        got = sorted(map(str, sides))
        raise codec.expected(f"one of the sets of keys {known}", got, where)
    return Edges(**sides)


def _sides(
    value: Any,
    is_square: bool,
    max_size: int | None,
) -> dict[str, Any]:
    """The sides of a size by their keys, not checked yet."""
    if isinstance(value, Mapping):
        return drop_none(value)
    if isinstance(value, (list, tuple)) and len(value) == 2:
        height, width = value
        return {"height": height, "width": width}
    # `convert_to_size_dict` of transformers/image_processing_utils.py refuses a square with a
    # `max_size`; its configs mean the shorter edge.
    if max_size is not None:
        return {"shortest_edge": value, "longest_edge": max_size}
    if is_square:
        return {"height": value, "width": value}
    return {"shortest_edge": value}


def _braces(keys: Sequence[str]) -> str:
    return "{" + ", ".join(keys) + "}"


# -- the keys and forms of former releases -------------------------------------------------------


def upgrade_legacy(name: str, given: Mapping[str, Any]) -> dict[str, Any]:
    """Return the keys of a config in the form of Transformers 5, from that of any release.

    A key of today wins where the former name is there too.

    >>> upgrade_legacy("SamImageProcessor", {"size": 64})["size"]
    {'longest_edge': 64}
    """
    row = classes.known_row(name)
    settings = dict(given)
    for old, new in classes.renamed(name).items():
        # Null of a switch is off, by either name.
        is_missing = new not in settings if row.takes_null(new) else settings.get(new) is None
        is_given = old in settings if row.takes_null(new) else settings.get(old) is not None
        if is_given and is_missing:
            settings[new] = settings[old]
    if row.legacy_size is not None:
        upgrade_size = LEGACY_SIZES[row.legacy_size]
        settings |= upgrade_size(settings, row)
    normalizes = settings.get("do_normalize")
    if _follows_normalize(row) and normalizes is not None:
        settings.setdefault("do_convert_annotations", normalizes)
    if settings.get("use_square_size") is True:
        settings |= _use_square_size(settings, row)
    return settings


def _square(settings: Mapping[str, Any], row: ProcessorRow) -> dict[str, Any]:
    """Idefics: a lone number is the side of a square, whatever `default_to_square` is."""
    del row
    return _square_of(settings.get("size"))


def _square_of(side: Any) -> dict[str, Any]:
    """The `size` of a square; nothing where its side is no integer."""
    if type(side) is not int:
        return {}
    return {"size": {"height": side, "width": side}}


def _longest_edge(settings: Mapping[str, Any], row: ProcessorRow) -> dict[str, Any]:
    """SAM: a lone number is the longer edge, of images and of masks."""
    del row
    changed = {}
    for key in ("size", "mask_size"):
        edge = settings.get(key)
        if type(edge) is int:
            changed[key] = {"longest_edge": edge}
    return changed


def _bounded(settings: Mapping[str, Any], row: ProcessorRow) -> dict[str, Any]:
    """DETR: a lone number is the shorter edge, and the longer one is bounded by `max_size`.

    A `longest_edge` alone, with which Table Transformer was published and which Transformers 5
    refuses, bounds both edges.
    """
    size = settings.get("size")
    if type(size) is int:
        # What `DetrImageProcessor` of former releases did by `max_size`.
        longest = settings.get("max_size") or row.max_size
        return {"size": {"shortest_edge": size, "longest_edge": longest}}
    if isinstance(size, Mapping) and list(size) == ["longest_edge"]:
        edge = size["longest_edge"]
        return {"size": {"shortest_edge": edge, "longest_edge": edge}}
    return {}


def _bounded_by_default(settings: Mapping[str, Any], row: ProcessorRow) -> dict[str, Any]:
    """MaskFormer: `size` may be the shorter edge alone and `max_size` the longer one; what is not
    given is the default's (`MaskFormerImageProcessor.__init__`).
    """
    shortest = settings.get("size")
    longest = settings.get("max_size")
    if shortest is not None and type(shortest) is not int:
        return {}
    if shortest is None and type(longest) is not int:
        return {}
    # `max_size` alone replaces the longer edge of the default.
    size = dict(row.defaults["size"])
    if shortest is not None:
        size["shortest_edge"] = shortest
    if longest is not None:
        size["longest_edge"] = longest
    return {"size": size}


def _pixels(settings: Mapping[str, Any], row: ProcessorRow) -> dict[str, Any]:
    """Qwen2-VL: `min_pixels` and `max_pixels` are the numbers of pixels that `size` holds now, and
    win over it (`_standardize_kwargs` of `qwen2_vl/image_processing_qwen2_vl.py`).
    """
    size = settings.get("size")
    # `size` itself may have the former names, as in the files of Qwen2-VL's checkpoints.
    is_former = isinstance(size, Mapping) and not PIXEL_EDGES.keys().isdisjoint(drop_none(size))
    given = drop_none({key: settings.get(key) for key in PIXEL_EDGES})
    if not given and not is_former:
        return {}
    size = dict(size if isinstance(size, Mapping) else row.defaults["size"])
    for key, edge in PIXEL_EDGES.items():
        former = size.pop(key, None)
        pixels = given.get(key, former)
        if pixels is not None:
            size[edge] = pixels
    return {"size": size}


def _pixels_or_default(settings: Mapping[str, Any], row: ProcessorRow) -> dict[str, Any]:
    """MiniMax-M3: a `size` of 672 x 672, which its checkpoints hold and never used, is the class'
    default (`MiniMaxM3VLImageProcessor.__init__`).
    """
    size = settings.get("size")
    if not isinstance(size, (list, tuple)) or list(size) != [672, 672]:
        return _pixels(settings, row)
    unsized = {**settings, "size": dict(row.defaults["size"])}
    return {"size": unsized["size"], **_pixels(unsized, row)}


def _of_pixels(settings: Mapping[str, Any], row: ProcessorRow) -> dict[str, Any]:
    """Emu3: `size` is what the settings `min_pixels` and `max_pixels` say, whatever is given
    (`Emu3ImageProcessor.__init__`).
    """
    given = {key: settings.get(key) for key in PIXELS}
    return {"size": {**row.defaults["size"], **drop_none(given)}}


PIXEL_EDGES = {"min_pixels": "shortest_edge", "max_pixels": "longest_edge"}
"""Former names of numbers of pixels, and the keys of `size` that hold them now."""


def _width_first(settings: Mapping[str, Any], row: ProcessorRow) -> dict[str, Any]:
    """Donut: a list is width and height (`DonutImageProcessor.__init__`)."""
    del row
    size = settings.get("size")
    if not isinstance(size, (list, tuple)) or len(size) != 2:
        return {}
    width, height = size
    return {"size": {"height": height, "width": width}}


LEGACY_SIZES: dict[str, Callable[[Mapping[str, Any], ProcessorRow], dict[str, Any]]] = {
    "square": _square,
    "longest_edge": _longest_edge,
    "bounded": _bounded,
    "bounded_by_default": _bounded_by_default,
    "pixels": _pixels,
    "pixels_or_default": _pixels_or_default,
    "of_pixels": _of_pixels,
    "width_first": _width_first,
}
"""What a lone number as `size` was in former releases: the changed settings, by the row's
`legacy_size`.
"""


def _use_square_size(settings: Mapping[str, Any], row: ProcessorRow) -> dict[str, Any]:
    """CLIP checkpoints of 2022 say `use_square_size`: the shorter edge is the side of a square."""
    side = settings.get("size")
    if isinstance(side, Mapping):
        side = side.get("shortest_edge")
    if side is None:
        # transformers/models/clip/image_processing_clip.py takes the edge of the default then.
        default_size = row.defaults.get("size", {})
        side = default_size.get("shortest_edge")
    return _square_of(side)


def constructed(name: str, settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings with those that the class derives of others where a processor is made,
    whatever the config says of them; a call may replace them.

    >>> constructed("VJEPA2VideoProcessor", {"crop_size": 224, "size": 8})["size"]
    {'shortest_edge': 256}
    """
    row = classes.known_row(name)
    derive = CONSTRUCTIONS.get(getattr(row, "construction", None))
    return dict(settings) if derive is None else {**settings, **derive(settings, row)}


def _size_from_crop(settings: Mapping[str, Any], row: ProcessorRow) -> dict[str, Any]:
    """V-JEPA 2: `__init__` of `transformers/models/vjepa2/video_processing_vjepa2.py`."""
    crop = settings.get("crop_size")
    if crop is None:
        crop = row.defaults["crop_size"]
    side = crop.get("height") if isinstance(crop, Mapping) else crop
    if type(side) is not int:
        raise codec.expected("an integer, or an object with `height`", crop, "$.crop_size")
    return {"size": {"shortest_edge": int(side * 256 / 224)}}


def _video_sampling(settings: Mapping[str, Any], row: ProcessorRow) -> dict[str, Any]:
    """SmolVLM: `__init__` of `transformers/models/smolvlm/video_processing_smolvlm.py`; its
    checkpoints say there how many frames are taken, and how large."""
    del row
    sampling = settings.get("video_sampling")
    if not isinstance(sampling, Mapping):
        return {}
    keys = {"max_frames": "num_frames", "fps": "fps", "video_size": "size"}
    found = {}
    for old, new in keys.items():
        if sampling.get(old) is not None:
            found[new] = sampling[old]
    # A `size` beside it wins.
    if settings.get("size") is not None:
        found.pop("size", None)
    return found


CONSTRUCTIONS: dict[Any, Callable[[Mapping[str, Any], ProcessorRow], dict[str, Any]]] = {
    "size_from_crop": _size_from_crop,
    "video_sampling": _video_sampling,
}
"""What is derived of the settings where a processor is made, by the row's `construction`."""


def _follows_normalize(row: ProcessorRow) -> bool:
    return row.annotations is not None and row.annotations.follow_normalize


def keep_implied(settings: Settings, changed: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings that a config implies, written out where a change would imply others.

    DETR converts boxes where values are normalised, unless `do_convert_annotations` is given. A
    call that changes `do_normalize` alone does not change what is done to boxes, since
    Transformers derives the one from the other only when the processor is made
    (`DetrImageProcessor.__init__`).

    >>> keep_implied(Settings("DetrImageProcessor", {}), {"do_normalize": False})
    {'do_convert_annotations': True}
    """
    if "do_normalize" not in changed or not _follows_normalize(settings.row):
        return {}
    return {"do_convert_annotations": settings.get("do_convert_annotations")}


DERIVED_FROM = {"metadata": ("class_info_file", "repo_path")}
"""Settings that hold what was read from a file, and the settings that name the file."""


def merged(
    given: Mapping[str, Any], changed: Mapping[str, Any], row: ProcessorRow | None = None
) -> dict[str, Any]:
    """Return the settings with some of them replaced; what was read from a file goes when another
    is named.

    Args:
        row: of the class, where a new `size` also replaces the numbers of pixels that a config has
            beside it.

    >>> merged({"size": 8}, {"size": 6})
    {'size': 6}
    """
    replaced = {key for key, value in changed.items() if value != given.get(key)}
    stale = []
    for key, sources in DERIVED_FROM.items():
        if not replaced.isdisjoint(sources):
            stale.append(key)
    # Qwen2-VL keeps them in `size` alone, once it is made: a call's `size` is all of it.
    has_pixels = row is not None and row.legacy_size in ("pixels", "pixels_or_default")
    if has_pixels and changed.get("size") is not None:
        stale += PIXEL_EDGES
    _, kept = split_keys(given, stale)
    return {**kept, **changed}


@functools.lru_cache(maxsize=1024)
def settings_of(name: str, given: Frozen) -> Settings:
    """Return the settings of a config; made once for each.

    >>> settings_of("ViTImageProcessor", Frozen()).pair("size")
    (224, 224)
    """
    return Settings(name, given)
