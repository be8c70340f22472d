"""Sums up presets in a few words each, for tables of many."""

from __future__ import annotations

import functools
from typing import Any

from jaxprep import presets
from jaxprep.errors import ConfigError, JaxprepError
from jaxprep.pipeline import Pipeline
from jaxprep.pipeline.positions import position_matrix

PHOTO = (1536, 2048)
"""Height and width of the photograph of which it is said what is kept. Large, so that the rounding
of sizes to pixels does not show."""
TOLERANCE = 0.01
"""Of a side of the photograph: less is rounding to pixels."""


def summarize(name: str) -> dict[str, Any]:
    """Return a row for a table of presets.

    Args:
        name: of a preset.

    Returns:
        JSON data. `name`; `collection`; `image_size` of the results, null where it depends on the
        image; `interpolation`, the filter; `antialias`, whether it is widened when an image
        shrinks; `kept`, which part of a photograph of 3:4 the model sees; `params`, how many
        parameters the model has, null where the collection does not say; `known`. Where that is
        false, the numbers of the preset are not known, and `note` says why.

    Raises:
        PresetNotFoundError: no such name.

    >>> row = summarize("timm/resnet50.a1_in1k")
    >>> row["image_size"], row["interpolation"], row["antialias"], row["kept"]
    ([224, 224], 'bicubic', True, 'center 95.3%')
    """
    details = presets.describe(name)
    row = {
        "name": name,
        "collection": details["collection"],
        "image_size": None,
        "interpolation": None,
        "antialias": None,
        "kept": None,
        "params": details.get("params"),
    }
    try:
        config: Any = presets.load(name)
    # A name that is known and whose numbers are not: a table lists it all the same.
    except ConfigError as error:
        return {**row, "known": False, "note": str(error)}
    size = config.image_size
    return {
        **row,
        "image_size": None if size is None else list(size),
        "interpolation": getattr(config, "interpolation", None),
        # Formats without the field resize as Pillow does, which always widens the filter.
        "antialias": getattr(config, "antialias", True),
        "kept": kept_part(config.pipeline),
        "known": True,
    }


@functools.lru_cache(maxsize=1024)  # presets share a few hundred pipelines
def kept_part(pipeline: Pipeline) -> str | None:
    """Return in words which part of a photograph of 3:4 shows in the result.

    "all": the whole photograph; "squashed": the whole of it, with another aspect ratio; "padded":
    the whole of it, and something around it; "center 95.3%": a part of the middle, as high as
    95.3 % of the photograph; "random"; None: none of these.

    >>> from jaxprep import ops
    >>> kept_part(Pipeline((ops.Resize((224, 224)),)))
    'squashed'
    >>> kept_part(Pipeline((ops.Resize(shortest_edge=256), ops.CenterCrop(224))))
    'center 87.5%'
    """
    if pipeline.is_random:
        return "random"
    try:
        sides = pipeline.output_size(PHOTO)
        matrix = position_matrix(pipeline.segments, PHOTO)
    except JaxprepError:  # an image of this size is not for it
        return None
    # Positions go to `scale * position + shift` along each axis.
    scales = matrix[1, 1], matrix[0, 0]
    shifts = matrix[1, 2], matrix[0, 2]
    starts = []
    ends = []
    for side, length, scale, shift in zip(sides, PHOTO, scales, shifts, strict=True):
        edges = sorted(((0 - shift) / scale / length, (side - shift) / scale / length))
        starts.append(edges[0])
        ends.append(edges[1])
    if min(starts) < -TOLERANCE or max(ends) > 1 + TOLERANCE:
        return "padded"
    is_squashed = abs(scales[0] / scales[1]) - 1 > TOLERANCE or abs(scales[1] / scales[0]) - 1 > (
        TOLERANCE
    )
    if max(starts) < TOLERANCE and min(ends) > 1 - TOLERANCE:
        return "squashed" if is_squashed else "all"
    is_centered = all(
        abs(start + end - 1) < TOLERANCE for start, end in zip(starts, ends, strict=True)
    )
    if not is_centered or is_squashed:
        return None
    return f"center {round(100 * (ends[0] - starts[0]), 1):g}%"
