"""Images as tiles with a view of all of each: against Transformers' PIL backend live, and its
torchvision backend by goldens."""

from __future__ import annotations

import re
from typing import Any

import jax
import numpy as np
import pytest
from goldens import store, vlm_slices_cases, vlm_tile_sizes, vlm_tiles_cases
from helpers.huggingface.common import assert_close, original
from helpers.huggingface.vision_language import assert_as_pil, assert_as_torchvision, cases_of
from helpers.images import photograph
from jax.sharding import AxisType, NamedSharding, PartitionSpec

from jaxprep import huggingface, ops
from jaxprep.errors import ConfigError, InputError
from jaxprep.formats import HuggingFace
from jaxprep.formats.huggingface import classes
from jaxprep.formats.huggingface.builders import Source
from jaxprep.huggingface import tiles
from jaxprep.ops.tile_sizes import AnyResolution, CoveredArea, TiledCanvas, TileRule
from jaxprep.types import is_traced

NAMES = sorted(vlm_tiles_cases.SETTINGS)
COLLECTIVES = re.compile(
    r"all-gather|all-reduce|all-to-all|collective-permute|collective-broadcast|reduce-scatter"
)
PIL_NAMES = [name for name in NAMES if "pil" in classes.rows()[name].backends]


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", PIL_NAMES)
def test_tiles_are_those_of_the_pil_backend(name: str) -> None:
    for case in cases_of("tiles", "pil", name):
        assert_as_pil(case)


@pytest.mark.parametrize("name", NAMES)
def test_tiles_are_those_of_the_torchvision_backend(name: str) -> None:
    for case in cases_of("tiles", "torchvision", name):
        # Tensors of torch can be of bfloat16, arrays of NumPy need a package for that.
        is_torch = case["call"]["return_tensors"] == "pt"
        call = {"return_tensors": "np"} if is_torch else case["call"]
        assert_as_torchvision("tiles", {**case, "call": call})


def with_alpha(height: int, width: int) -> np.ndarray:
    """The part of a photograph, with another as its alpha."""
    alpha = photograph(height, width, "chelsea")[..., :1]
    return np.concatenate([photograph(height, width), alpha], axis=-1)


@pytest.mark.parametrize("size", [(48, 96), (61, 83)])
def test_tiles_with_alpha_are_those_of_the_pil_backend(size: tuple[int, int]) -> None:
    """Views that are resized to the size they have are copied there, with their colours."""
    name = "LlavaNextImageProcessor"
    settings = {
        "size": {"shortest_edge": 32},
        "crop_size": {"height": 32, "width": 32},
        # Not all are whole tiles, so that tiles are resized after they are cut.
        "image_grid_pinpoints": [[48, 96], [96, 48], [64, 64]],
        "do_convert_rgb": False,
        "image_mean": [0.4, 0.5, 0.6, 0.3],
        "image_std": [0.3, 0.2, 0.3, 0.4],
    }
    image = with_alpha(*size)
    wanted = original(name)(**settings)(image, return_tensors="np")["pixel_values"]
    ours = getattr(huggingface, f"{name}Pil")(**settings)(image)["pixel_values"]
    assert_close(np.asarray(ours), wanted, size)


@pytest.mark.parametrize(
    ("name", "settings"),
    [
        ("LlavaNextImageProcessor", vlm_tiles_cases.CUT),
        ("LlavaOnevisionImageProcessor", vlm_tiles_cases.CUT),
        (
            "Ovis2ImageProcessor",
            {"size": 16, "crop_to_patches": True, "do_center_crop": True, "crop_size": 12},
        ),
    ],
)
def test_tiles_have_their_channels_first_whatever_data_format_is(name: str, settings: dict) -> None:
    """As in Transformers, which ignores it; also where tiles are resized after they are cut."""
    cls = original(name)
    image = np.asarray(photograph(61, 83))
    wanted = cls(**settings)(image, return_tensors="np")["pixel_values"]
    processor = getattr(huggingface, cls.__name__)(**settings)
    for kind in ("channels_last", "channels_first"):
        ours = processor(image, data_format=kind, return_tensors="np")["pixel_values"]
        assert_close(ours, wanted, name)
    traced = jax.jit(lambda image: processor(image, data_format="channels_last").pixel_values)
    assert traced(image).shape == wanted.shape


# -- grids ---------------------------------------------------------------------------------------


PUBLISHED = {"size": {"longest_edge": 2048}, "max_image_size": {"longest_edge": 512}}
"""What most configs of SmolVLM say."""


def rule_of(name: str, settings: dict) -> Any:
    """The rule by which a class chooses a canvas."""
    config = HuggingFace(name, settings)
    view = "tiles" if "tiles" in config.row.views else None
    steps = config.pipeline_of(Source(), view=view).steps
    return next(step.rule for step in reversed(steps) if isinstance(step, ops.Resize | ops.Fit))


@pytest.mark.parametrize(("name", "settings"), vlm_tile_sizes.CASES)
def test_grids_are_those_of_the_torchvision_backend_for_2000_random_sizes(
    name: str, settings: dict
) -> None:
    with np.load(store.FOLDER / "vlm_tile_sizes.npz") as file:
        wanted = file[vlm_tile_sizes.key(name, settings)].tolist()
    rule = rule_of(name, settings)
    config = HuggingFace(name, settings)
    for size, numbers in zip(vlm_tile_sizes.sizes(), wanted, strict=True):
        if numbers == [0, 0, 0, 0]:
            with pytest.raises(InputError, match="at least 10 pixels"):
                rule.fit(size)
        elif isinstance(rule, ops.FitRule):
            fitted = rule.fit(size)
            rows, columns = (n // rule.side for n in fitted.canvas)
            assert [rows, columns, *fitted.content] == numbers, size
        elif isinstance(rule, TileRule):
            assert list(rule.grid(size)) == numbers, size
        else:
            grid = tiles.grid_of(config, size)
            assert list(grid if grid != (1, 1) else (0, 0)) == numbers, size


@pytest.mark.parametrize(
    ("name", "settings"),
    [
        ("GotOcr2ImageProcessor", {"crop_to_patches": True}),
        ("GotOcr2ImageProcessor", {"crop_to_patches": True, "min_patches": 4, "max_patches": 9}),
        ("GraniteDoclingImageProcessor", {}),
        ("GraniteDoclingImageProcessor", {"dense_max_patches": 60, "dense_max_scale": 1.2}),
        ("AriaImageProcessor", {"split_image": True}),
        ("Idefics3ImageProcessor", {}),
        ("SmolVLMImageProcessor", PUBLISHED),
    ],
)
def test_numbers_of_tiles_are_those_of_the_pil_backend_for_2000_random_sizes(
    name: str, settings: dict
) -> None:
    theirs = original(name)(**settings)
    ours = getattr(huggingface, name)(**settings)
    for size in vlm_tile_sizes.sizes():
        wanted = theirs.get_number_of_image_patches(*size)
        assert ours.get_number_of_image_patches(*size) == wanted, size


def test_canvases_of_mllama_are_those_of_2000_random_sizes() -> None:
    pytest.importorskip("transformers")
    from transformers.models.mllama import image_processing_pil_mllama as theirs

    for side, highest in ((224, 4), (100, 9)):
        rule = TiledCanvas(side, highest)
        for size in vlm_tile_sizes.sizes():
            canvas = theirs.get_optimal_tiled_canvas(*size, highest, side)
            content = theirs.get_image_size_fit_to_canvas(*size, *canvas, side)
            assert rule.fit(size) == (content, canvas, 0, 0), size


def test_resolutions_are_those_of_2000_random_sizes() -> None:
    utils = pytest.importorskip("transformers").image_processing_utils
    keys = {
        "LlavaNextImageProcessor": "image_grid_pinpoints",
        "LlavaOnevisionImageProcessor": "image_grid_pinpoints",
        "AriaImageProcessor": "split_resolutions",
    }
    for name, key in keys.items():
        pairs = classes.rows()[name].defaults[key]
        rule = AnyResolution(tuple((height, width) for height, width in pairs))
        for size in vlm_tile_sizes.sizes():
            canvas = utils.select_best_resolution(size, pairs)
            image = np.broadcast_to(np.uint8(0), (3, *size))
            content = utils.get_patch_output_size(image, canvas, "channels_first")
            fitted = rule.fit(size)
            assert (fitted.canvas, fitted.content) == (tuple(canvas), tuple(content)), size


# -- calls ---------------------------------------------------------------------------------------


def test_a_call_inside_jit_gives_what_an_eager_call_gives() -> None:
    """Also where tiles are resized after they are cut; the test of a sharded batch jits others."""
    processor = huggingface.LlavaNextImageProcessor(**vlm_tiles_cases.CUT)
    image = np.asarray(photograph(131, 187))
    eager = processor([image, image], return_tensors="np")
    traced = jax.jit(lambda images: dict(processor(images)))([image, image])
    for key, array in eager.items():
        np.testing.assert_allclose(np.asarray(traced[key]), array, atol=2e-6, err_msg=key)


@pytest.mark.parametrize(
    ("name", "settings"),
    [
        ("GotOcr2", {"crop_to_patches": True, "max_patches": 10**6}),
        ("Cohere2Vision", {"max_patches": 10**6}),
        ("GraniteDocling", {"max_patches": 10**6}),
        ("GraniteDocling", {"dense_max_patches": 10**6}),
        ("Ovis2", {"crop_to_patches": True, "max_patches": 10**6}),
        ("DeepseekOcr2", {"max_patches": 10**6}),
        ("UnlimitedOcr", {"max_patches": 10**6}),
        ("PerceptionLM", {"max_num_tiles": 10**6}),
        ("Phi4Multimodal", {"dynamic_hd": 10**6}),
        ("LlavaNext", {"image_grid_pinpoints": [[336000, 336000]]}),
        ("LlavaNext", {"image_grid_pinpoints": [[8000, 8000]], "crop_size": 8}),
        ("LlavaOnevision", {"image_grid_pinpoints": [[384, 384 * 10**6]]}),
        ("Aria", {"split_image": True, "split_resolutions": [[490000, 490000]]}),
        ("GotOcr2", {"crop_to_patches": True, "max_patches": 10**6, "size": 1}),
        ("Idefics3", {"max_image_size": {"longest_edge": 1}}),
        ("Mllama", {"max_image_tiles": 10**6}),
        ("Llama4", {"max_patches": 10**6}),
    ],
)
def test_a_config_that_asks_for_a_million_tiles_is_refused(name: str, settings: dict) -> None:
    with pytest.raises(ConfigError, match="Expected at most"):
        getattr(huggingface, f"{name}ImageProcessor")(**settings)


def test_tiles_of_granite_docling_that_are_not_rescaled_are_those_of_the_pil_backend() -> None:
    name = "GraniteDoclingImageProcessor"
    call = {"do_rescale": False, "do_normalize": False, "return_tensors": "np"}
    image = np.asarray(photograph(41, 57))
    wanted = original(name)(size={"height": 28, "width": 28})(image, **call)["pixel_values"]
    processor = huggingface.GraniteDoclingImageProcessorPil(size={"height": 28, "width": 28})
    assert_close(processor(image, **call)["pixel_values"], wanted, name)


def test_samples_without_images_are_padding() -> None:
    image = np.asarray(photograph(41, 57))
    for name in ("GraniteDocling", "Mllama"):
        processor = getattr(huggingface, f"{name}ImageProcessor")
        processor = processor(**vlm_tiles_cases.SETTINGS[f"{name}ImageProcessor"][0])
        both = processor([[], [image]], return_tensors="np")
        alone = processor([[image]], return_tensors="np")
        np.testing.assert_array_equal(both["pixel_values"][1], alone["pixel_values"][0])
        assert not both["pixel_values"][0].any()


def test_uneven_samples_of_uncut_images_are_padded_inside_jit_too() -> None:
    image = np.asarray(photograph(41, 57))
    samples = [[image, image], [image]]
    size = {"height": 28, "width": 28}
    processor = huggingface.GraniteDoclingImageProcessor(size=size, crop_to_patches=False)
    eager = processor(samples, return_tensors="np")
    traced = jax.jit(lambda samples: processor(samples).pixel_values)(samples)
    assert traced.shape == (2, 2, 3, 28, 28)
    np.testing.assert_array_equal(traced, eager.pixel_values)


def test_images_of_two_types_lose_no_pixel() -> None:
    rng = np.random.default_rng(0)
    images: list[Any] = [rng.random((300, 400, 3), np.float32)]
    images += [rng.integers(0, 256, (300, 400, 3), np.uint8) for _ in range(12)]
    switches = {"do_normalize": False, "do_rescale": False}
    processor = huggingface.GotOcr2ImageProcessor(size=96, crop_to_patches=True, **switches)
    views = np.asarray(processor(images[::-1]).pixel_values)
    assert views.dtype == np.float32
    for i, image in enumerate(images[::-1]):
        (own,) = np.split(np.asarray(processor(image).pixel_values), 1)
        np.testing.assert_array_equal(views[i * len(own) : (i + 1) * len(own)], own)


GRAY_BESIDE_COLOURS = [
    ("GotOcr2", {"size": {"height": 24, "width": 24}, "crop_to_patches": True}),
    (
        "LlavaNext",
        {
            "size": {"height": 24, "width": 24},
            "crop_size": {"height": 24, "width": 24},
            "image_grid_pinpoints": [[24, 48], [48, 48]],
        },
    ),
    (
        "Idefics3",
        {
            "size": {"longest_edge": 60},
            "max_image_size": {"longest_edge": 30},
            "do_pad": False,
        },
    ),
]


@pytest.mark.parametrize(("name", "settings"), GRAY_BESIDE_COLOURS)
def test_gray_beside_colours_that_nothing_converts_is_listed_as_by_the_pil_backend(
    name: str, settings: dict
) -> None:
    colours = photograph(40, 56)
    images: Any = [colours[..., :1], colours]
    if name == "Idefics3":
        images = [[image] for image in images]
    settings = {**settings, "do_normalize": False, "do_convert_rgb": False}
    theirs = original(f"{name}ImageProcessor")(**settings)(images, return_tensors=None)
    ours = getattr(huggingface, f"{name}ImageProcessorPil")(**settings)
    wanted = jax.tree.leaves(theirs["pixel_values"])
    found = jax.tree.leaves(ours(images, return_tensors=None)["pixel_values"])
    for mine, other in zip(found, wanted, strict=True):
        assert_close(np.asarray(mine), np.asarray(other), name)
    assert {view.shape[-3] for view in found} == {1, 3}
    with pytest.raises(InputError, match="of one size"):
        ours(images, return_tensors="np")


def test_padding_of_tiles_is_bounded_before_memory_is_taken() -> None:
    pinpoints = [[384, 384], [384 * 20, 384 * 20]]
    processor = huggingface.LlavaNextImageProcessor(
        image_grid_pinpoints=pinpoints, size=384, crop_size=384
    )
    small, large = np.zeros((384, 384, 3), np.uint8), np.zeros((3000, 3000, 3), np.uint8)
    with pytest.raises(InputError, match="padded to one shape"):
        processor([large, *[small] * 3])


def test_a_patch_larger_than_a_tile_is_refused() -> None:
    with pytest.raises(ConfigError, match="patch_size"):
        huggingface.Phi4MultimodalImageProcessor(size=28, patch_size=50)


def test_a_grid_is_chosen_once_for_each_size(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []
    covered = CoveredArea.covered
    monkeypatch.setattr(
        CoveredArea, "covered", lambda *given: asked.append(given) or covered(*given)
    )
    processor = huggingface.Ovis2ImageProcessor(size=14, crop_to_patches=True, max_patches=7)
    processor(np.zeros((31, 53, 3), np.uint8))
    assert len(asked) == len(set(asked)) > 1


SHARDED = {
    "GotOcr2": {"size": 16, "crop_to_patches": True, "max_patches": 4},
    "Mllama": {"size": 16, "max_image_tiles": 4},
    "Molmo2": {**vlm_slices_cases.CROPS, "max_crops": 2},
    "Step3p7": vlm_slices_cases.WINDOWS,
}


@pytest.mark.parametrize("name", sorted(SHARDED))
def test_a_sharded_batch_inside_jit_is_not_exchanged_and_gives_what_an_eager_call_gives(
    name: str,
) -> None:
    processor = getattr(huggingface, f"{name}ImageProcessor")(**SHARDED[name])
    batch = np.stack([np.roll(photograph(41, 187), i, axis=1) for i in range(4)])
    alone = processor(list(batch), return_tensors="np")
    mesh = jax.make_mesh((4,), ("data",), axis_types=(AxisType.Auto,))
    sharded = jax.device_put(batch, NamedSharding(mesh, PartitionSpec("data")))

    def arrays(images: Any) -> dict[str, Any]:
        result = processor(images)
        assert sorted(result) == sorted(alone)
        traced = {key: value for key, value in result.items() if is_traced(value)}
        for key in result.keys() - traced.keys():
            np.testing.assert_array_equal(result[key], alone[key])
        return traced

    with jax.set_mesh(mesh):
        compiled = jax.jit(arrays).lower(sharded).compile()
        results = compiled(sharded)
    assert COLLECTIVES.search(compiled.as_text()) is None
    for key, array in results.items():
        assert len(array.sharding.device_set) == 4
        np.testing.assert_allclose(np.asarray(array), alone[key], atol=2e-6, err_msg=key)
