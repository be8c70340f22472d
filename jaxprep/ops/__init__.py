"""Functions on one image, and the frozen steps of the same names that call them on one element of a
`Batch`.

For steps of other packages there are the four kinds (`Geometry`, `Pointwise`, `Opaque`, `Layout`),
the axis steps that a geometry returns (`Window`, `Reverse`, `Take`, `Resample`), and `Resampling`.
The page `docs/extending.md` shows each of them.

>>> import numpy as np
>>> resize(np.zeros((8, 6, 3), np.uint8), (4, 4)).shape
(4, 4, 3)
>>> from jaxprep import Batch
>>> Resize((4, 4))(Batch(image=np.zeros((8, 6, 3), np.uint8))).image.shape
(4, 4, 3)
"""

import importlib
from typing import TYPE_CHECKING, Any

from jaxprep.ops import affine, blur, fixed_point, sizes
from jaxprep.ops.boxes import from_corners, to_corners
from jaxprep.ops.color import (
    NearestColor,
    OverCheckerboard,
    Premultiply,
    ReverseChannels,
    ToGray,
    Unpremultiply,
    nearest_color,
    over_checkerboard,
    reverse_channels,
    to_gray,
)
from jaxprep.ops.crop import (
    CenterCrop,
    CenterCropShare,
    Crop,
    CropToAspect,
    Flip,
    Pad,
    PadTo,
    PadToAspect,
    PadToAtLeast,
    PadToMultiple,
    PadToSquare,
    center_crop,
    center_crop_share,
    crop,
    crop_to_aspect,
    flip,
    pad,
    pad_to,
    pad_to_aspect,
    pad_to_at_least,
    pad_to_multiple,
    pad_to_square,
)
from jaxprep.ops.crop_or_resize import CropOrResize, crop_or_resize
from jaxprep.ops.fit import Fit, FitRule, Fitted, Letterbox
from jaxprep.ops.layout import ChannelsFirst, ChannelsLast, channels_first, channels_last
from jaxprep.ops.mirror import MirrorTo, PadToNextMultiple, mirror_to, pad_to_next_multiple
from jaxprep.ops.patches import Patches, Tiles
from jaxprep.ops.pixels import (
    Cast,
    Clip,
    Normalize,
    NormalizeBfloat16,
    Rescale,
    ToRGB,
    clip,
    normalize,
    over_white,
    rescale,
    to_rgb,
)
from jaxprep.ops.reduce import ReducingResize, reduce
from jaxprep.ops.resize import Resize, SizeRule, resize
from jaxprep.ops.turn import AlignLongAxis, align_long_axis
from jaxprep.ops.window import resize_window
from jaxprep.pipeline.step import (
    Geometry,
    Layout,
    Opaque,
    Pointwise,
    Resampling,
    Sometimes,
    Step,
)
from jaxprep.resample.tables import OUTSIDE, Resample, Reverse, Take, Window

if TYPE_CHECKING:
    from jaxprep.ops import patch_sizes, sequence_sizes, slice_sizes, tile_sizes

__all__ = [
    "OUTSIDE",
    "AlignLongAxis",
    "Cast",
    "CenterCrop",
    "CenterCropShare",
    "ChannelsFirst",
    "ChannelsLast",
    "Clip",
    "Crop",
    "CropOrResize",
    "CropToAspect",
    "Fit",
    "FitRule",
    "Fitted",
    "Flip",
    "Geometry",
    "Layout",
    "Letterbox",
    "MirrorTo",
    "NearestColor",
    "Normalize",
    "NormalizeBfloat16",
    "Opaque",
    "OverCheckerboard",
    "Pad",
    "PadTo",
    "PadToAspect",
    "PadToAtLeast",
    "PadToMultiple",
    "PadToNextMultiple",
    "PadToSquare",
    "Patches",
    "Pointwise",
    "Premultiply",
    "ReducingResize",
    "Resample",
    "Resampling",
    "Rescale",
    "Resize",
    "Reverse",
    "ReverseChannels",
    "SizeRule",
    "Sometimes",
    "Step",
    "Take",
    "Tiles",
    "ToGray",
    "ToRGB",
    "Unpremultiply",
    "Window",
    "affine",
    "align_long_axis",
    "blur",
    "center_crop",
    "center_crop_share",
    "channels_first",
    "channels_last",
    "clip",
    "crop",
    "crop_or_resize",
    "crop_to_aspect",
    "fixed_point",
    "flip",
    "from_corners",
    "mirror_to",
    "nearest_color",
    "normalize",
    "over_checkerboard",
    "over_white",
    "pad",
    "pad_to",
    "pad_to_aspect",
    "pad_to_at_least",
    "pad_to_multiple",
    "pad_to_next_multiple",
    "pad_to_square",
    "patch_sizes",
    "reduce",
    "rescale",
    "resize",
    "resize_window",
    "reverse_channels",
    "sequence_sizes",
    "sizes",
    "slice_sizes",
    "tile_sizes",
    "to_corners",
    "to_gray",
    "to_rgb",
]

# A tenth of a second to import, and most programs need none of their rules.
_LAZY = ("patch_sizes", "sequence_sizes", "slice_sizes", "tile_sizes")


def __getattr__(name: str) -> Any:
    """A module of rules of vision-language models, imported when it is asked for."""
    if name in _LAZY:
        return importlib.import_module(f"{__name__}.{name}")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
