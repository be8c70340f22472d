"""Write `vlm_sequence_sizes.json`: digests of sizes, grids and numbers of 2,000 random images, by classes of Transformers that need torch.

Run where torch, torchvision, transformers and OpenCV are installed, from the root of the repository:

    python tests/goldens/write_vlm_sequence_sizes.py

For each class the numbers are those of `vlm_sequence_sizes.sizes()`, in its order, as one int32 array; and the header that Pix2Struct draws.
"""

import json
import logging
import pathlib

import _torch_env  # noqa: F401  before torch
import numpy as np
import PIL.ImageFont
import torch
import transformers
from transformers.models.fuyu.image_processing_fuyu import FuyuImageProcessor
from transformers.models.gemma4_unified.image_processing_gemma4_unified import get_aspect_ratio_preserving_size
from transformers.models.minicpm_ocr import image_processing_minicpm_ocr as minicpm_ocr
from transformers.models.nemotron_h_omni.image_processing_nemotron_h_omni import get_patch_grid_size

import store
import vlm_sequence_sizes


class Stop(Exception):
    """Raised in place of a resize, with the size that it is asked for."""


def stop(*args, **kwargs):
    size = kwargs["size"]
    raise Stop((size.height, size.width) if hasattr(size, "height") else tuple(size))


def resized_to(call) -> list[int]:
    """The size of the first resize of a call."""
    try:
        call()
    except Stop as found:
        return list(found.args[0])
    raise AssertionError("nothing was resized")


def main() -> None:
    store.require("transformers", 5)
    logging.disable(logging.WARNING)
    pix2struct, kosmos = transformers.Pix2StructImageProcessor(), transformers.Kosmos2_5ImageProcessor()
    pix2struct.resize = stop
    interpolate, torch.nn.functional.interpolate = torch.nn.functional.interpolate, stop  # which Kosmos-2.5 calls itself
    lfm, step, molmo = (getattr(transformers, f"{name}ImageProcessor")() for name in ("Lfm2Vl", "Step3p7", "Molmo2"))
    patch = transformers.image_utils.SizeDict(height=16, width=16)

    def flattened(processor, size, budget):
        image = torch.empty((1, 3, *size), device="meta")
        if processor is kosmos:
            image = image[0]
        return resized_to(lambda: processor.extract_flattened_patches(image, budget, patch))

    def lfm2(size):
        whole = lfm.smart_resize(*size, 2, 64, 256, 16)[::-1]
        if not lfm._is_image_too_large(*size, 256, 16, 2, 2.0):
            return [*whole, 1, 1, 0]
        columns, rows, *_ = lfm._get_grid_layout(*size, 2, 10, 512)
        return [*whole, rows, columns, 1]

    def windows(size):
        whole, canvas, *plan, squares = step._plan_patches(size[1], size[0], 728, 504)
        return [*whole[::-1], *canvas[::-1], *plan, squares]

    def fuyu(size):
        processor = FuyuImageProcessor()
        if size[0] <= 1080 and size[1] <= 1920:
            return list(size)
        parent = transformers.image_processing_backends.TorchvisionBackend
        original, parent.resize = parent.resize, lambda self, image, size, **kwargs: stop(size=size)
        found = resized_to(lambda: processor.resize(torch.empty((1, 3, *size), device="meta"), transformers.image_utils.SizeDict(height=1080, width=1920)))
        parent.resize = original
        return found

    def crops(size):
        grid, count = molmo.get_image_grid_and_crops(*size)
        return [*grid, count, molmo.get_number_of_image_patches(*size)]

    def pooled(size):
        try:
            return list(get_aspect_ratio_preserving_size(*size, 16, 2520, 3))
        except ValueError:
            return [0, 0]

    rules = {
        "Pix2Struct": lambda size: flattened(pix2struct, size, 2048),
        "Kosmos2_5": lambda size: flattened(kosmos, size, 4096),
        "Gemma4Unified": pooled,
        "Nemotron": lambda size: [16 * n for n in get_patch_grid_size(*size, 16, 2, 1024, 13312)],
        "Lfm2Vl": lfm2,
        "Step3p7": windows,
        "Molmo2": crops,
        "Fuyu": fuyu,
    }
    digests = {name: store.digest(np.asarray([rule(tuple(size)) for size in vlm_sequence_sizes.sizes()], np.int32)) for name, rule in rules.items()}
    font = PIL.ImageFont.load_default(36).font_bytes
    header = transformers.Pix2StructImageProcessor().render_header(torch.from_numpy(vlm_sequence_sizes.IMAGE), vlm_sequence_sizes.TEXT, font_bytes=font)
    digests["render_header"] = store.digest(header.numpy())
    # These two need OpenCV: the size that MiniCPM-OCR chooses by the letters of a page, and the sizes of all views.
    pages = vlm_sequence_sizes.pages()
    chosen = [minicpm_ocr.adaptive_upsize_resolution(page.transpose(2, 0, 1), 448) or 0 for page in pages]
    digests["size_of_text"] = store.digest(np.asarray(chosen, np.int32))
    torch.nn.functional.interpolate = interpolate
    processor = transformers.MiniCPMOcrImageProcessor(small_image_upsize="adaptive", scale_resolution=224)
    views = processor([torch.from_numpy(page.transpose(2, 0, 1).copy()) for page in pages], return_tensors="np")
    digests["adaptive"] = store.digest(np.asarray(views["target_sizes"], np.int32))
    print(chosen, views["target_sizes"].shape)
    path = pathlib.Path(__file__).with_name("vlm_sequence_sizes.json")
    path.write_text(json.dumps({"transformers": transformers.__version__, "sha256": digests}, indent=1) + "\n")


if __name__ == "__main__":
    main()
