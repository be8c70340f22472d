"""Builders of classes whose results are padded: patches to a sequence, images to a batch.

Where a docstring names a model, the rule is that of `transformers/models/<model>/
image_processing_<model>.py`, Transformers 5.24.
"""

from __future__ import annotations

from jaxprep import codec, ops
from jaxprep.bounds import MAX_PARTS
from jaxprep.formats.huggingface.builders.build import Build, builder
from jaxprep.formats.huggingface.settings import BOTH, EXACT, LONGEST, Settings
from jaxprep.ops.sequence_sizes import (
    BoundedSides,
    FeasiblePatches,
    MergedGrid,
    MostPatches,
    PatchesInBox,
    PooledPatches,
    ShrunkIntoBox,
    TokenArea,
    check_budget,
)
from jaxprep.ops.tile_sizes import ClosestRatio, check_tiles
from jaxprep.types import Size

MAX_PATCHES = 2**26
"""Of one pixel; `check_budget` allows fewer of larger ones."""


def patch_budget(settings: Settings) -> int:
    """Return how many patches results are padded to.

    >>> patch_budget(Settings("Siglip2ImageProcessor", {}))
    256
    """
    budget = settings.integer("max_num_patches", highest=MAX_PATCHES)
    check_budget(budget, settings.integer("patch_size") ** 2, "$.max_num_patches")
    return budget


@builder("resize")
def resize_patch_budget(build: Build) -> None:
    """SigLIP 2: as many whole patches as `max_num_patches` allows.

    >>> from jaxprep.formats import HuggingFace
    >>> HuggingFace("Siglip2ImageProcessor").pipeline.output_size((427, 640))
    (208, 304)
    """
    settings = build.settings
    budget = patch_budget(settings)
    if settings.flag("do_resize"):
        build.resize(rule=MostPatches(settings.integer("patch_size"), budget))


@builder()
def patches_row_by_row(build: Build) -> None:
    """SigLIP 2: patches of `(h, w, c)`, row by row.

    >>> from jaxprep.formats import HuggingFace
    >>> HuggingFace("Siglip2ImageProcessor").pipeline.layout.shape((32, 48), 3)
    (2, 3, 1, 1, 16, 16, 3)
    """
    build.layout = ops.Patches(build.settings.integer("patch_size"))


@builder("resize")
def resize_in_box(build: Build) -> None:
    """Pixtral: shrunk into `size`, then both sides up to whole patches.

    >>> from jaxprep.formats import HuggingFace
    >>> HuggingFace("PixtralImageProcessor").pipeline.output_size((1500, 2000))
    (768, 1024)
    """
    settings = build.settings
    # One number is the side of a square.
    patch = settings.pair("patch_size")
    if not settings.flag("do_resize"):
        return
    edges = settings.needed_edges("size", LONGEST, BOTH, EXACT)
    # A longest edge bounds both sides, whatever is said of the shorter one: `if size.longest_edge`
    # in `resize` of transformers/models/pixtral/image_processing_pixtral.py.
    height, width = edges.pair or (edges.side("longest_edge"),) * 2
    build.resize(rule=PatchesInBox(height, width, *patch))


# -- Gemma 4 -------------------------------------------------------------------------------------

SOFT_TOKENS = (70, 140, 280, 560, 1120)
"""`_SUPPORTED_SOFT_TOKENS` of `gemma4/image_processing_gemma4.py`."""
MAX_POOLING = 64


def soft_tokens(settings: Settings) -> int:
    """Return how many tokens a sequence of Gemma 4 has at most.

    >>> soft_tokens(Settings("Gemma4ImageProcessor", {}))
    280
    """
    tokens = settings.integer("max_soft_tokens")
    if tokens not in SOFT_TOKENS:
        raise codec.expected(f"one of {list(SOFT_TOKENS)}", tokens, "$.max_soft_tokens")
    return tokens


def token_side(settings: Settings) -> int:
    """Return the side of the square that becomes one token, in pixels.

    >>> token_side(Settings("Gemma4ImageProcessor", {}))
    48
    """
    pooling = settings.integer("pooling_kernel_size", highest=MAX_POOLING)
    return settings.integer("patch_size") * pooling


@builder("resize")
def resize_pooled_patches(build: Build) -> None:
    """Gemma 4: as many patches as `max_soft_tokens` holds, in whole squares that become one token.

    >>> from jaxprep.formats import HuggingFace
    >>> HuggingFace("Gemma4ImageProcessor").pipeline.output_size((427, 640))
    (624, 960)
    """
    settings = build.settings
    tokens = soft_tokens(settings)
    check_budget(tokens, token_side(settings) ** 2, "$.max_soft_tokens")
    if settings.flag("do_resize"):
        pooling = settings.integer("pooling_kernel_size", highest=MAX_POOLING)
        budget = tokens * pooling**2
        build.resize(rule=PooledPatches(settings.integer("patch_size"), pooling, budget))


@builder()
def tokens_row_by_row(build: Build) -> None:
    """Gemma 4 unified: the squares that become one token as patches of `(h, w, c)`, row by row.

    >>> from jaxprep.formats import HuggingFace
    >>> HuggingFace("Gemma4UnifiedImageProcessor").pipeline.layout.shape((96, 144), 3)
    (2, 3, 1, 1, 48, 48, 3)
    """
    # `patches_merge` of gemma4_unified/image_processing_gemma4_unified.py makes the same of small
    # patches.
    build.layout = ops.Patches(token_side(build.settings))


# -- Pix2Struct ----------------------------------------------------------------------------------


def feasible_patches(settings: Settings) -> tuple[int, int]:
    """Return the side of a patch and how many patches results are padded to.

    >>> feasible_patches(Settings("Pix2StructImageProcessor", {}))
    (16, 2048)
    """
    side = settings.square_side("patch_size")
    budget = settings.integer("max_patches", highest=MAX_PATCHES)
    check_budget(budget, side**2, "$.max_patches")
    return side, budget


@builder()
def resize_feasible_patches(build: Build) -> None:
    """Pix2Struct: floats, to as many whole patches as `max_patches` allows.

    An image is standardised before: see `jaxprep.huggingface.flattened`. Both backends resize by
    torch, so this is none of the builders that resize: nothing is converted for Pillow.

    >>> from jaxprep.formats import HuggingFace
    >>> HuggingFace("Pix2StructImageProcessor").pipeline.output_size((427, 640))
    (576, 880)
    """
    _resize_floats(build, FeasiblePatches(*feasible_patches(build.settings), "power"))


@builder()
def resize_feasible_patches_by_sqrt(build: Build) -> None:
    """Kosmos-2.5: as Pix2Struct, but for the function that takes a root.

    >>> from jaxprep.formats import HuggingFace
    >>> HuggingFace("Kosmos2_5ImageProcessor").pipeline.output_size((427, 640))
    (832, 1248)
    """
    _resize_floats(build, FeasiblePatches(*feasible_patches(build.settings), "sqrt"))


def _resize_floats(build: Build, rule: FeasiblePatches) -> None:
    build.add(ops.Resize(rule=rule, reference="torch", rounded=False))
    build.is_float = True


@builder()
def feasible_patches_row_by_row(build: Build) -> None:
    """Pix2Struct: patches of `(h, w, c)`, row by row.

    >>> from jaxprep.formats import HuggingFace
    >>> HuggingFace("Pix2StructImageProcessor").pipeline.layout.shape((32, 48), 3)
    (2, 3, 1, 1, 16, 16, 3)
    """
    build.layout = ops.Patches(feasible_patches(build.settings)[0])


# -- Idefics 2 and Fuyu --------------------------------------------------------------------------


@builder("resize")
def resize_bounded_sides(build: Build) -> None:
    """Idefics 2: the longer side at most `longest_edge`, then both at least `shortest_edge`; or
    both sides.

    >>> from jaxprep.formats import HuggingFace
    >>> HuggingFace("Idefics2ImageProcessor").pipeline.output_size((500, 2000))
    (378, 980)
    """
    settings = build.settings
    if not settings.flag("do_resize"):
        return
    edges = settings.needed_edges("size", BOTH, EXACT)
    if edges.keys == EXACT:
        build.resize(size=settings.pair("size"))
        return
    build.resize(rule=BoundedSides(edges.side("shortest_edge"), edges.side("longest_edge")))


@builder("resize")
def resize_into_canvas(build: Build) -> None:
    """Fuyu: shrunk into `size`, where the image is larger.

    >>> from jaxprep.formats import HuggingFace
    >>> HuggingFace("FuyuImageProcessor").resize_pipeline.output_size((2000, 3000))
    (1080, 1620)
    """
    settings = build.settings
    height, width = settings.pair("size")
    if settings.flag("do_resize"):
        build.resize(rule=ShrunkIntoBox(height, width))


@builder("pad")
def pad_canvas(build: Build) -> None:
    """Fuyu: below and to the right to `size`, with `padding_value` (null is 0, as it is to torch),
    before values are rescaled.

    >>> from jaxprep.formats import HuggingFace
    >>> HuggingFace("FuyuImageProcessor").pipeline.output_size((2000, 3000))
    (1080, 1920)
    """
    settings = build.settings
    if not settings.flag("do_pad"):
        return
    settings.choice("padding_mode", ("constant",))
    fill = 0.0 if settings.get("padding_value") is None else settings.number("padding_value")
    # Integers hold the number without its fraction, as torch and NumPy store it.
    build.add(ops.PadTo(settings.pair("size"), fill if build.is_float else float(int(fill))))


# -- LFM2-VL -------------------------------------------------------------------------------------


def token_area(settings: Settings) -> TokenArea:
    """Return the rule of an image of LFM2-VL that is not cut.

    >>> token_area(Settings("Lfm2VlImageProcessor", {})).factor
    32
    """
    patch = settings.integer("encoder_patch_size")
    factor = patch * settings.integer("downsample_factor", highest=MAX_POOLING)
    lowest, highest = (
        settings.integer(key, highest=MAX_PATCHES)
        for key in ("min_image_tokens", "max_image_tokens")
    )
    check_budget(highest, factor**2, "$.max_image_tokens")
    check_budget(lowest, factor**2, "$.min_image_tokens")
    return TokenArea(factor, lowest * factor**2, highest * factor**2)


def tile_rule(settings: Settings) -> ClosestRatio | None:
    """Return the rule of a large image, which is cut into tiles; None where none is.

    >>> tile_rule(Settings("Lfm2VlImageProcessor", {})).highest
    10
    """
    if not settings.flag("do_image_splitting"):
        return None
    side = settings.integer("tile_size")
    lowest, highest = (
        settings.integer(key, highest=MAX_PARTS) for key in ("min_tiles", "max_tiles")
    )
    if lowest > highest:
        raise codec.expected("a number of at most `max_tiles`", lowest, "$.min_tiles")
    if side % settings.integer("encoder_patch_size"):
        raise codec.expected("a multiple of `encoder_patch_size`", side, "$.tile_size")
    check_tiles(highest, (side, side), "$.max_tiles")
    return None if lowest == highest == 1 else ClosestRatio((side, side), lowest, highest)


def is_cut(settings: Settings, size: Size) -> bool:
    """Return whether an image of `size` is so large that LFM2-VL cuts it into tiles.

    >>> is_cut(Settings("Lfm2VlImageProcessor", {}), (480, 640))
    False
    """
    rule = token_area(settings)
    if tile_rule(settings) is None:
        return False
    patch = settings.integer("encoder_patch_size")
    # `_is_image_too_large`: a side that rounds to 0 is one patch here, not one factor.
    rows, columns = (max(patch, round(side / rule.factor) * rule.factor) for side in size)
    return rows * columns > rule.max_pixels * settings.number("max_pixels_tolerance", 0.0)


def sequence_length(settings: Settings) -> int:
    """Return how many patches each view of LFM2-VL is padded to.

    >>> sequence_length(Settings("Lfm2VlImageProcessor", {}))
    1024
    """
    patch = settings.integer("encoder_patch_size")
    of_whole = token_area(settings).max_pixels // patch**2
    if not settings.flag("do_image_splitting"):
        return of_whole
    return max(of_whole, (settings.integer("tile_size") // patch) ** 2)


@builder("resize")
def resize_token_area(build: Build) -> None:
    """LFM2-VL: a bounded number of tokens, whatever `do_resize` says.

    >>> from jaxprep.formats import HuggingFace
    >>> HuggingFace("Lfm2VlImageProcessor").pipeline.output_size((427, 640))
    (416, 608)
    """
    build.resize(rule=token_area(build.settings))


@builder("resize")
def resize_token_tiles(build: Build) -> None:
    """LFM2-VL, a large image: to whole tiles.

    >>> from jaxprep.formats import HuggingFace
    >>> from jaxprep.formats.huggingface.builders import Source
    >>> config = HuggingFace("Lfm2VlImageProcessor")
    >>> config.pipeline_of(Source(), view="tiles").output_size((1200, 1600))
    (1024, 1536)
    """
    rule = tile_rule(build.settings)
    if rule is not None:
        build.resize(rule=rule)


@builder()
def encoder_patches(build: Build) -> None:
    """LFM2-VL: patches of `(h, w, c)`, row by row.

    >>> from jaxprep.formats import HuggingFace
    >>> HuggingFace("Lfm2VlImageProcessor").pipeline.layout.patch_size
    16
    """
    build.layout = ops.Patches(build.settings.integer("encoder_patch_size"))


# -- Nemotron ------------------------------------------------------------------------------------

RESERVED = 4
"""Tokens of a context that no patch takes."""


def merged_grid(build: Build) -> MergedGrid:
    """Return the rule of Nemotron's grids, whose budget depends on the number of images of a call.

    >>> from jaxprep.formats.huggingface.builders.build import Source
    >>> settings = Settings("NemotronH_Omni_Reasoning_V3ImageProcessor", {})
    >>> merged_grid(Build(settings, "torchvision", Source())).max_patches
    13312
    """
    settings = build.settings
    merge = round(1 / settings.number("downsample_ratio", 1 / MAX_POOLING, 1.0))
    least = settings.integer("min_num_patches", highest=MAX_PATCHES)
    check_budget(least, settings.integer("patch_size") ** 2, "$.min_num_patches")
    context = settings.integer("max_model_len", lowest=RESERVED, highest=MAX_PATCHES)
    most = max((context - RESERVED) * merge**2, least * len(build.sizes or [0]))
    # 0 and null bound nothing.
    if settings.get("max_num_patches"):
        most = min(most, settings.integer("max_num_patches", highest=MAX_PATCHES))
    return MergedGrid(settings.integer("patch_size"), merge, least, max(most, least))


@builder("resize")
def resize_merged_grid(build: Build) -> None:
    """Nemotron: floats, that are not rounded, to a bounded number of patches.

    >>> from jaxprep.formats import HuggingFace
    >>> config = HuggingFace("NemotronH_Omni_Reasoning_V3ImageProcessor")
    >>> config.pipeline.output_size((427, 640))
    (448, 640)
    """
    build.resize(rule=merged_grid(build), rounded=False)
