"""Write `vlm_tile_sizes.npz`: how classes of Transformers cut images of 2,000 random sizes, where only their torchvision backend can say.

Run where torch, torchvision and transformers are installed, from the root of the repository:

    python tests/goldens/write_vlm_tile_sizes.py

By class and settings, an array `(2000, numbers)` int16: rows and columns of tiles and, of the classes that pad, height and width of the
image on its canvas.
"""

import json
import types

import _torch_env  # noqa: F401
import numpy as np
import torch
import transformers
from transformers.image_utils import SizeDict

import store
import vlm_tile_sizes


def module(processor):
    """The module of a class."""
    return __import__(type(processor).__module__, fromlist=["x"])


def cohere(processor, size):
    tile = processor.size
    found = module(processor).get_optimal_tiled_canvas(size, (tile.height, tile.width), 1, processor.max_patches)
    return found[::-1]


def covering(processor, size):
    return module(processor).get_min_tile_covering_grid(size, processor.size.height, processor.max_patches)[::-1]


def local(processor, size):
    tile = processor.tile_size, processor.tile_size
    return module(processor).get_optimal_tiled_canvas(size, tile, processor.min_patches, processor.max_patches)[::-1]


def perception(processor, size):
    where = {"img_height": size[0], "img_width": size[1], "tile_size": processor.tile_size}
    found = processor._fit_image_to_canvas(**where) or processor._find_closest_aspect_ratio(**where)
    return found[::-1]


def phi(processor, size):
    """By its own function, of which the resize and the padding are replaced by what tells their sizes."""
    seen = {}

    def resize(image, new_size):
        seen["content"] = new_size
        return image

    source = module(processor)
    source.tvF, kept = types.SimpleNamespace(resize=resize, pad=lambda image, *_, **__: image), source.tvF
    side = processor.size.height
    try:
        image = types.SimpleNamespace(shape=(3, *size), device="cpu")
        _, mask = processor.dynamic_preprocess(image, side, processor.patch_size, 32, max_num=processor.dynamic_hd)
    except ValueError:  # too long
        return 0, 0, 0, 0
    finally:
        source.tvF = kept
    return *(n // 32 for n in mask.shape), *seen["content"]


def llama(processor, size):
    """What `_preprocess` computes before it resizes."""
    source, tile = module(processor), processor.size.height
    found = source.find_supported_resolutions(processor.max_patches, SizeDict(height=tile, width=tile))
    canvas = source.get_best_fit(size, torch.tensor(found), processor.resize_to_max_canvas)
    target = canvas
    if not processor.resize_to_max_canvas:
        target = tuple(min(max(n, tile), m) for n, m in zip(size, canvas, strict=True))
    content = source.get_max_res_without_distortion(size, target)
    return *(int(n) // tile for n in canvas), *(max(int(n), 1) for n in content)


def ultra(processor, size):
    _, rows, columns = processor.get_number_of_image_patches(*size)
    return rows, columns


FUNCTIONS = {
    "Cohere2VisionImageProcessor": cohere,
    "Ovis2ImageProcessor": covering,
    "DeepseekOcr2ImageProcessor": local,
    "UnlimitedOcrImageProcessor": local,
    "PerceptionLMImageProcessor": perception,
    "Phi4MultimodalImageProcessor": phi,
    "Llama4ImageProcessor": llama,
    "UltraVBertImageProcessor": ultra,
}


def main() -> None:
    store.require("transformers", 5)
    found = {}
    for name, settings in vlm_tile_sizes.CASES:
        processor = getattr(transformers, name)(**settings)
        sizes = vlm_tile_sizes.sizes()
        rows = [FUNCTIONS[name](processor, size) for size in sizes]
        found[vlm_tile_sizes.key(name, settings)] = np.asarray(rows, np.int16)
        print(name, settings)
    versions = {package: store.importlib.metadata.version(package) for package in ("torch", "transformers")}
    np.savez_compressed(store.FOLDER / "vlm_tile_sizes.npz", versions=np.array(json.dumps(versions)), **found)


if __name__ == "__main__":
    main()
