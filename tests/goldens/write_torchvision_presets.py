"""Write torchvision_presets.npz: the transforms of torchvision's weights that resize.

Written with torchvision 0.28.0, torch 2.13.0 (CPU, AVX512), Pillow 13.0.0. AVX2 gives the same bytes; without either,
torch's float resize rounds otherwise, which moves about ten of a million uint8 values of a tensor by one. The call is
`weights.transforms()(input)`:

* `path` pil: an RGB Pillow image, resized by Pillow;
* `path` tensor: a uint8 (c, h, w) tensor, resized as float32 and rounded half to even to uint8 (clamped, if bicubic);
* `path` video: a uint8 (t, c, h, w) tensor, as above but without antialiasing.

All three then crop and compute float32 `(x / 255 - mean) / std`. The script checks that contiguous and channels-last
tensors agree, so one result stands for both.

Each case: `preset` (ImageClassification, SemanticSegmentation, VideoClassification), `setting` (its arguments,
defaults included), `weights` (the first in the alphabet that have it), `path`, `input` (for a video a list, one recipe
per frame), `uint8` (after the crop; bytes only) and `output` (float32; a video's records are (t, h, w, c)).

    python tests/goldens/write_torchvision_presets.py [--photos FOLDER]
"""

import inspect
import json
import pathlib
from collections.abc import Callable, Iterator

import _torch_env
import inputs
import numpy as np
import store
import torch
from PIL import Image
from torchvision import models
from torchvision.transforms import functional as F

PHOTOS = (inputs.LANDSCAPE, inputs.PORTRAIT, inputs.SMALL)
RESIZING = ("ImageClassification", "SemanticSegmentation", "VideoClassification")


def _coffee(*box: int) -> dict:
    return {"photo": "coffee", "box": list(box)}


VIDEOS = (
    [_coffee(0, 0, 560, 370), _coffee(39, 27, 599, 397)],
    [_coffee(150, 0, 421, 390), _coffee(170, 7, 441, 397)],
    [_coffee(200, 80, 290, 151), _coffee(230, 110, 320, 181)],  # smaller than any crop
)


def arguments(transforms: Callable) -> dict:
    """The arguments with which a weight calls its preset, defaults included."""
    bound = inspect.signature(transforms).bind()
    bound.apply_defaults()
    return {name: getattr(value, "value", value) for name, value in bound.arguments.items()}


def settings() -> Iterator[tuple[dict, torch.nn.Module]]:
    """The distinct presets that resize: what a case says of them, and the transform."""
    members = {str(member): member for name in models.list_models() for member in models.get_model_weights(name)}
    seen = set()
    for weights, member in sorted(members.items()):
        preset, setting = member.transforms(), arguments(member.transforms)
        name = type(preset).__name__
        key = json.dumps([name, setting])
        if name in RESIZING and key not in seen:
            seen.add(key)
            yield {"preset": name, "setting": setting, "weights": weights}, preset


def resize_and_crop(preset: torch.nn.Module, image: Image.Image | torch.Tensor) -> Image.Image | torch.Tensor:
    """What `preset` makes of the image before it becomes float."""
    antialias = getattr(preset, "antialias", False)
    image = F.resize(image, preset.resize_size, interpolation=preset.interpolation, antialias=antialias)
    return F.center_crop(image, preset.crop_size) if hasattr(preset, "crop_size") else image


def transform(preset: torch.nn.Module, image: Image.Image | torch.Tensor) -> tuple[np.ndarray, np.ndarray]:
    """The uint8 image after the crop and the result, both (..., h, w, c)."""
    pixels, output = resize_and_crop(preset, image), preset(image)
    pixels = pixels if isinstance(pixels, torch.Tensor) else F.pil_to_tensor(pixels)
    output = output.transpose(0, 1) if output.ndim == 4 else output  # a video's result is (c, t, h, w)
    if not torch.equal(output, F.normalize(pixels / 255, preset.mean, preset.std)):
        raise AssertionError(f"The uint8 image does not lead to the result of {preset}")
    return store.channels_last(pixels.numpy()), store.channels_last(output.numpy())


def transform_array(preset: torch.nn.Module, pixels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """`transform` of (..., h, w, c) pixels as a tensor, in both memory formats."""
    strided = torch.from_numpy(pixels).movedim(-1, -3)
    arrays = transform(preset, strided.contiguous())
    for contiguous, channels_last in zip(arrays, transform(preset, strided), strict=True):
        np.testing.assert_array_equal(contiguous, channels_last, err_msg=f"The memory formats disagree for {preset}")
    return arrays


def results(case: dict, preset: torch.nn.Module, photos: pathlib.Path) -> Iterator[tuple[dict, tuple]]:
    """Every case of one preset, with its two arrays."""
    if case["preset"] == "VideoClassification":
        for frames in VIDEOS:
            video = np.stack([inputs.array(recipe, photos) for recipe in frames])
            yield {**case, "path": "video", "input": frames}, transform_array(preset, video)
        return
    for recipe in PHOTOS:
        yield {**case, "path": "pil", "input": recipe}, transform(preset, inputs.image(recipe, photos))
        yield {**case, "path": "tensor", "input": recipe}, transform_array(preset, inputs.array(recipe, photos))


def main(photos: pathlib.Path) -> None:
    store.require("pillow", 13)
    packages = ("torchvision", "torch", "pillow", "numpy")
    writer = store.Writer(packages, cpu_capability=_torch_env.CPU_CAPABILITY)
    for setting, preset in settings():
        for case, (pixels, output) in results(setting, preset, photos):
            writer.add({**case, "uint8": store.summary(pixels)}, output=output)
    writer.save("torchvision_presets")


if __name__ == "__main__":
    main(inputs.photos_argument(__doc__))
