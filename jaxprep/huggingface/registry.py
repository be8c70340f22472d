"""Every family by its name, as the rows of `presets/huggingface.json` have it.

A family is declared in its own module, next to the function that runs it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from jaxprep.huggingface import tiles
from jaxprep.huggingface.call import PLAIN, Family
from jaxprep.huggingface.canvases import CANVAS_SAMPLES, QUARTERED_SAMPLES
from jaxprep.huggingface.color_clusters import COLOR_CLUSTERS
from jaxprep.huggingface.crops import CROPPED
from jaxprep.huggingface.detection import DETECTION, PIXEL_MASK
from jaxprep.huggingface.documents import DOCUMENTS
from jaxprep.huggingface.flattened import FLATTENED_PATCHES, FLATTENED_PATCHES_WITH_SIZES
from jaxprep.huggingface.flava import FLAVA
from jaxprep.huggingface.frames import FRAMES
from jaxprep.huggingface.minicpm import SLICED
from jaxprep.huggingface.own_operations import OWN_OPERATIONS
from jaxprep.huggingface.pairs import PAIRS
from jaxprep.huggingface.patches import CODES, PATCH_GRIDS, PATCH_ROWS
from jaxprep.huggingface.prompt_depth import PROMPTED_DEPTH
from jaxprep.huggingface.sapiens import SAPIENS
from jaxprep.huggingface.seggpt import PROMPTED
from jaxprep.huggingface.segmentation import MAPS_FAMILY
from jaxprep.huggingface.sequences import (
    PATCH_POSITIONS,
    PATCH_SEQUENCES,
    PATCHES_WITH_GRIDS,
    TILED_SEQUENCES,
)
from jaxprep.huggingface.slices import PAN_AND_SCAN
from jaxprep.huggingface.two_resolutions import TWO_RESOLUTIONS
from jaxprep.huggingface.universal import EOMT
from jaxprep.huggingface.universal_methods import MASKFORMER, ONEFORMER
from jaxprep.huggingface.unwarped import UNWARPED
from jaxprep.huggingface.vitmatte import MATTE
from jaxprep.huggingface.vitpose import POSES
from jaxprep.huggingface.windows import WINDOWED
from jaxprep.huggingface.words import PAGES_WITH_WORDS

FAMILIES: dict[str, Family] = {
    "plain": PLAIN,
    "color_clusters": COLOR_CLUSTERS,
    "detection": DETECTION,
    "documents": DOCUMENTS,
    "flava": FLAVA,
    "frames": FRAMES,
    "pairs": PAIRS,
    "pixel_mask": PIXEL_MASK,
    "two_resolutions": TWO_RESOLUTIONS,
    "words": PAGES_WITH_WORDS,
    "maps": MAPS_FAMILY,
    "matte": MATTE,
    "canvas_samples": CANVAS_SAMPLES,
    "cropped": CROPPED,
    "flattened_patches": FLATTENED_PATCHES,
    "flattened_patches_with_sizes": FLATTENED_PATCHES_WITH_SIZES,
    "poses": POSES,
    "unwarped": UNWARPED,
    "pan_and_scan": PAN_AND_SCAN,
    "patch_positions": PATCH_POSITIONS,
    "patch_rows": PATCH_ROWS,
    "patch_grids": PATCH_GRIDS,
    "codes": CODES,
    "patch_sequences": PATCH_SEQUENCES,
    "patches_with_grids": PATCHES_WITH_GRIDS,
    "quartered_samples": QUARTERED_SAMPLES,
    "sliced": SLICED,
    "tiled_sequences": TILED_SEQUENCES,
    "windowed": WINDOWED,
    "people": SAPIENS,
    "prompted": PROMPTED,
    "prompted_depth": PROMPTED_DEPTH,
    "tile_rows": tiles.TILE_ROWS,
    "tile_stacks": tiles.TILE_STACKS,
    "masked_rows": tiles.MASKED_ROWS,
    "samples_of_one_tiled": tiles.SAMPLES_OF_ONE_TILED,
    "tiles_apart": tiles.TILES_APART,
    "tiles_with_tokens": tiles.TILES_WITH_TOKENS,
    "page_samples": tiles.PAGE_SAMPLES,
    "split_samples": tiles.SPLIT_SAMPLES,
    "tiled_samples": tiles.TILED_SAMPLES,
    "maskformer": MASKFORMER,
    "oneformer": ONEFORMER,
    "eomt": EOMT,
}


def methods_of(class_name: str, family: str) -> Mapping[str, Any]:
    """Return what a class has besides the methods of every processor, or instead.

    >>> sorted(methods_of("Owlv2ImageProcessor", "plain"))
    ['pad', 'resize']
    """
    return {**FAMILIES[family].methods, **OWN_OPERATIONS.get(class_name, {})}
