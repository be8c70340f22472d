"""What users do to a photograph, rightly and wrongly: the stages and the table of cases of `write_doctor.py`.

A stage variant is real code of a real library and says which settings it gets wrong for a preset (`changes`). The rules for
what counts as one mistake are those of `doctor_cases.py`.
"""

from __future__ import annotations

import os
import pathlib
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np
from PIL import Image, ImageOps

os.environ.setdefault("KERAS_BACKEND", "jax")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

Change = tuple[str, Any, Any]

IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
CLIP = ((0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711))
CIFAR = ((0.4914, 0.4822, 0.4465), (0.247, 0.2435, 0.2616))
HALF = ((0.5, 0.5, 0.5), (0.5, 0.5, 0.5))

FLOAT = ("float", "torch", "jax", "tensorflow")
"""Antialiased float arithmetic without rounding: all agree to 1e-3 of a level, so any of the words is right."""


class Preset(NamedTuple):
    """A preset and what its user has to do. `kind`: "crop" (shortest edge to `short`, crop `out`), "squash" (both sides to
    `short`, crop `out`), or "keras" (crop to the aspect ratio, then resize to `out`)."""

    handle: str
    kind: str
    short: int
    out: int
    method: str
    normal: tuple = IMAGENET
    reference: str = "pillow"
    antialias: bool = True
    layout: str = "either"


PRESETS = {
    "resnet50_a1": Preset("timm/resnet50.a1_in1k", "crop", 235, 224, "bicubic"),
    "resnet50_a3": Preset("timm/resnet50.a3_in1k", "crop", 168, 160, "bicubic"),
    "resnet50_tv2": Preset("timm/resnet50.tv2_in1k", "crop", 201, 176, "bilinear"),
    "test_resnet": Preset("timm/test_resnet.r160_in1k", "crop", 168, 160, "bilinear", HALF),
    "tinynet": Preset("timm/tinynet_d.in1k", "crop", 173, 152, "bicubic"),
    "vit": Preset(
        "timm/vit_base_patch16_224.augreg_in21k_ft_in1k", "crop", 248, 224, "bicubic", HALF
    ),
    "convnext": Preset("timm/convnext_tiny.fb_in1k", "crop", 256, 224, "bicubic"),
    "efficientnet": Preset("timm/efficientnet_b0.ra_in1k", "crop", 256, 224, "bicubic"),
    "deit": Preset("timm/deit_base_patch16_224.fb_in1k", "crop", 248, 224, "bicubic"),
    "beit": Preset(
        "timm/beit_base_patch16_224.in22k_ft_in22k_in1k", "crop", 248, 224, "bicubic", HALF
    ),
    "nfnet": Preset("timm/dm_nfnet_f0.dm_in1k", "squash", 213, 192, "bicubic"),
    "torchvision_v1": Preset(
        "torchvision/ResNet50_Weights.IMAGENET1K_V1", "crop", 256, 224, "bilinear"
    ),
    "torchvision_v2": Preset(
        "torchvision/ResNet50_Weights.IMAGENET1K_V2", "crop", 232, 224, "bilinear"
    ),
    "openai": Preset("open_clip/ViT-B-32/openai", "crop", 224, 224, "bicubic", CLIP),
    "webli": Preset("open_clip/ViT-B-16-SigLIP/webli", "squash", 224, 224, "bicubic", HALF),
    "hf_clip": Preset(
        "presets/clip_128", "crop", 128, 128, "bicubic", CLIP, "torchvision", True, "CHW"
    ),
    "hf_vit": Preset(
        "presets/vit_128", "squash", 128, 128, "bilinear", HALF, "torchvision", True, "CHW"
    ),
    "hf_siglip": Preset(
        "presets/siglip_160", "squash", 160, 160, "bicubic", HALF, "torchvision", True, "CHW"
    ),
    "hf_deit": Preset(
        "presets/deit_128", "squash", 144, 128, "bicubic", IMAGENET, "torchvision", True, "CHW"
    ),
    "keras_resnet": Preset(
        "resnet_50_imagenet", "keras", 224, 224, "bicubic", IMAGENET, "jax", False, "HWC"
    ),
    "keras_vd": Preset(
        "resnet_vd_18_imagenet", "keras", 224, 224, "bilinear", IMAGENET, "jax", False, "HWC"
    ),
    "keras_siglip": Preset(
        "siglip_base_patch16_224", "squash", 224, 224, "bicubic", HALF, "jax", True, "HWC"
    ),
}


def _hf(kind: str, size: dict, resample: int, normal: tuple, crop: int | None = None) -> dict:
    """A preprocessor_config.json of a repository on the hub, with a smaller size."""
    config = {
        "image_processor_type": kind, "do_resize": True, "size": size, "resample": resample, "do_rescale": True,
        "rescale_factor": 1 / 255, "do_normalize": True, "image_mean": list(normal[0]), "image_std": list(normal[1]),
    }  # fmt: skip
    if crop:
        config |= {"do_center_crop": True, "crop_size": {"height": crop, "width": crop}}
    if kind == "CLIPImageProcessor":
        config["do_convert_rgb"] = True
    return config


def _square(side: int) -> dict:
    return {"height": side, "width": side}


FOLDERS = {
    "clip_128": _hf("CLIPImageProcessor", {"shortest_edge": 128}, 3, CLIP, 128),
    "vit_128": _hf("ViTImageProcessor", _square(128), 2, HALF),
    "siglip_160": _hf("SiglipImageProcessor", _square(160), 3, HALF),
    "deit_128": _hf("DeiTImageProcessor", _square(144), 3, IMAGENET, 128),
}


# ---------------------------------------------------------------- photographs


def make_photos(source: pathlib.Path, folder: pathlib.Path) -> None:
    """Copies of the examples' photographs, and others made of them: turned by EXIF, gray, with alpha, with a palette."""
    for path in sorted(source.glob("*.jpg")):
        (folder / path.name).write_bytes(path.read_bytes())

    def opened(name: str) -> Image.Image:
        return Image.open(source / f"{name}.jpg").convert("RGB")

    for name, orientation, turn in (("chelsea", 6, 90), ("rocket", 8, 270), ("coffee", 3, 180)):
        exif = Image.Exif()
        exif[0x0112] = orientation  # what a phone writes when it is held upright
        stored = (
            opened(name)
            .resize((403, 269) if name != "chelsea" else (451, 300))
            .rotate(turn, expand=True)
        )
        stored.save(folder / f"{name}_exif{orientation}.jpg", quality=90, exif=exif)
    opened("astronaut").crop((90, 0, 431, 487)).save(folder / "astronaut_portrait.jpg", quality=92)
    opened("coffee").crop((151, 5, 422, 396)).save(folder / "coffee_portrait.jpg", quality=92)
    opened("rocket").crop((20, 11, 597, 415)).save(folder / "rocket_odd.jpg", quality=92)
    opened("chelsea").convert("L").save(folder / "chelsea_gray.jpg", quality=90)
    small = opened("coffee").resize((299, 203), Image.Resampling.LANCZOS)
    down, across = np.mgrid[:203, :299]
    far = np.hypot((down - 101) / 101, (across - 149) / 149)
    alpha = np.clip((1.25 - far) * 400, 0, 255).astype(np.uint8)  # an oval with a soft edge
    small.putalpha(Image.fromarray(alpha))
    small.save(folder / "coffee_alpha.png", optimize=True)
    opened("chelsea").resize((351, 233), Image.Resampling.LANCZOS).quantize(96).save(
        folder / "chelsea_palette.png", optimize=True
    )


# ---------------------------------------------------------------- reading


def read_pillow(path: str) -> Image.Image:
    """`ImageOps.exif_transpose(Image.open(path)).convert("RGB")`"""
    return ImageOps.exif_transpose(Image.open(path)).convert("RGB")


def read_ignoring_exif(path: str) -> Image.Image:
    """`Image.open(path).convert("RGB")`: EXIF is not applied"""
    return Image.open(path).convert("RGB")


def read_cv2(path: str) -> Image.Image:
    """`cv2.cvtColor(cv2.imread(path), cv2.COLOR_BGR2RGB)`"""
    import cv2

    return Image.fromarray(cv2.cvtColor(cv2.imread(path), cv2.COLOR_BGR2RGB))


def read_bgr(path: str) -> Image.Image:
    """`cv2.imread(path)`: BGR"""
    import cv2

    return Image.fromarray(cv2.imread(path))


def read_gray(path: str) -> Image.Image:
    """`Image.open(path).convert("L").convert("RGB")`"""
    return ImageOps.exif_transpose(Image.open(path)).convert("L").convert("RGB")


def read_gray_cv2(path: str) -> Image.Image:
    """`cv2.imread(path, cv2.IMREAD_GRAYSCALE)`, repeated; of a JPEG this is the luma in the file"""
    import cv2

    return Image.fromarray(
        cv2.cvtColor(cv2.cvtColor(cv2.imread(path), cv2.COLOR_BGR2GRAY), cv2.COLOR_GRAY2RGB)
    )


def read_gray_mean(path: str) -> Image.Image:
    """the mean of the three channels, repeated: `image.mean(-1, keepdims=True)`"""
    mean = np.asarray(read_pillow(path)).mean(axis=-1, keepdims=True).astype(np.uint8)
    return Image.fromarray(np.repeat(mean, 3, axis=-1))


def read_fast_dct(path: str) -> Image.Image:
    """`simplejpeg.decode_jpeg(data, fastdct=True)`"""
    import simplejpeg

    with open(path, "rb") as file:
        return Image.fromarray(simplejpeg.decode_jpeg(file.read(), fastdct=True))


def read_fast_upsampling(path: str) -> Image.Image:
    """`simplejpeg.decode_jpeg(data, fastupsample=True)`"""
    import simplejpeg

    with open(path, "rb") as file:
        return Image.fromarray(simplejpeg.decode_jpeg(file.read(), fastupsample=True))


def read_tensorflow(path: str) -> Image.Image:
    """`tf.io.decode_jpeg(data, channels=3)`: TensorFlow's default is the fast DCT"""
    import tensorflow as tf

    return Image.fromarray(tf.io.decode_jpeg(tf.io.read_file(path), channels=3).numpy())


def read_draft(path: str) -> Image.Image:
    """`image.draft("RGB", half the size)`: libjpeg decodes at half the size"""
    image = Image.open(path)
    image.draft("RGB", (image.width // 2, image.height // 2))
    return image.convert("RGB")


def read_reduced(path: str) -> Image.Image:
    """`cv2.imread(path, cv2.IMREAD_REDUCED_COLOR_2)`, made RGB: libjpeg decodes at half the size"""
    import cv2

    return Image.fromarray(
        cv2.cvtColor(cv2.imread(path, cv2.IMREAD_REDUCED_COLOR_2), cv2.COLOR_BGR2RGB)
    )


def read_on_white(path: str) -> Image.Image:
    """composited on white"""
    return _composited(path, (255, 255, 255))


def read_on_black(path: str) -> Image.Image:
    """composited on black"""
    return _composited(path, (0, 0, 0))


def _composited(path: str, colour: tuple[int, int, int]) -> Image.Image:
    image = Image.open(path).convert("RGBA")
    background = Image.new("RGBA", image.size, colour)
    return Image.alpha_composite(background, image).convert("RGB")


def read_unconverted(path: str) -> Image.Image:
    """`Image.open(path)`, converted to RGB only after the resize"""
    return Image.open(path)


def read_rotated(path: str) -> Image.Image:
    """turned by a quarter: `np.rot90(image)`"""
    return Image.fromarray(np.rot90(np.asarray(read_pillow(path))).copy())


READ: dict[str, tuple[Callable[[str], Image.Image], tuple[Change, ...]]] = {
    "pillow": (read_pillow, ()),
    "cv2": (read_cv2, ()),
    "ignoring_exif": (read_ignoring_exif, (("orientation", "upright", "ignored"),)),
    "rotated": (read_rotated, (("orientation", "upright", ["90", "270"]),)),
    "bgr": (read_bgr, (("channels", "RGB", "BGR"),)),
    "gray": (read_gray, (("gray", "color", "luma"),)),
    "gray_cv2": (read_gray_cv2, (("gray", "color", "luma"),)),
    "gray_mean": (read_gray_mean, (("gray", "color", "mean"),)),
    "fast_dct": (read_fast_dct, (("decoder", "pillow", "fast_dct"),)),
    "tensorflow": (read_tensorflow, (("decoder", "pillow", ["fast_dct", "tensorflow"]),)),
    "fast_upsampling": (read_fast_upsampling, (("decoder", "pillow", "fast_upsampling"),)),
    "draft": (read_draft, (("decoder", "pillow", "draft"),)),
    "reduced": (read_reduced, (("decoder", "pillow", "draft"),)),
    "on_white": (read_on_white, (("alpha", "drop", "white"),)),
    "on_black": (read_on_black, (("alpha", "drop", "black"),)),
    "premultiplied": (read_unconverted, (("alpha", "drop", "premultiplied"),)),
    "palette": (read_unconverted, (("method", None, "nearest"),)),
}


# ---------------------------------------------------------------- geometry


class Pixels(NamedTuple):
    """An image (h, w, 3) and the value that white has in it: 255 or 1."""

    values: np.ndarray
    white: int


PILLOW = {"nearest": 0, "lanczos3": 1, "bilinear": 2, "bicubic": 3, "box": 4, "hamming": 5}


def resize(
    image: Image.Image, size: tuple[int, int], library: str, method: str, antialias: bool
) -> Pixels:
    """Resize to (height, width) as users of a library do."""
    height, width = size
    if library == "pillow":
        return Pixels(np.asarray(image.resize((width, height), PILLOW[method]).convert("RGB")), 255)
    rgb = np.asarray(image.convert("RGB"))
    if library == "opencv":
        return Pixels(_resize_opencv(rgb, size, method), 255)
    if library in ("tensorflow", "tensorflow_rounded"):
        import tensorflow as tf

        resized = tf.image.resize(rgb, size, method=method, antialias=antialias)
        if library == "tensorflow":
            return Pixels(resized.numpy(), 255)
        return Pixels(tf.cast(tf.clip_by_value(tf.round(resized), 0, 255), tf.uint8).numpy(), 255)
    if library in ("jax", "jax_rounded"):
        import jax

        out = jax.image.resize(rgb.astype(np.float32), (*size, 3), method, antialias=antialias)
        out = np.asarray(out)
        if library == "jax":
            return Pixels(out, 255)
        return Pixels(np.clip(np.round(out), 0, 255).astype(np.uint8), 255)
    return _resize_torch(rgb, size, library, method, antialias)


def _resize_opencv(rgb: np.ndarray, size: tuple[int, int], method: str) -> np.ndarray:
    import cv2

    codes = {
        "nearest": cv2.INTER_NEAREST_EXACT,
        "bilinear": cv2.INTER_LINEAR,
        "bicubic": cv2.INTER_CUBIC,
    }
    return cv2.resize(rgb, size[::-1], interpolation={**codes, "area": cv2.INTER_AREA}[method])


def _resize_torch(
    rgb: np.ndarray, size: tuple[int, int], library: str, method: str, antialias: bool
) -> Pixels:
    import torch
    from torchvision.transforms import InterpolationMode
    from torchvision.transforms.v2 import functional

    tensor = torch.from_numpy(rgb.copy()).permute(2, 0, 1)
    if library == "torchvision":
        out = functional.resize(tensor, list(size), InterpolationMode(method), antialias=antialias)
        return Pixels(out.permute(1, 2, 0).contiguous().numpy(), 255)
    unit = tensor.float().div(255)
    if library == "torch":  # ToTensor first, then Resize
        out = functional.resize(unit, list(size), InterpolationMode(method), antialias=antialias)
    elif library == "interpolate":
        out = torch.nn.functional.interpolate(
            unit[None],
            size,
            mode=method,
            align_corners=None if method == "nearest" else False,
            antialias=antialias,
        )[0]
    else:
        raise AssertionError(library)
    return Pixels(out.permute(1, 2, 0).contiguous().numpy(), 1)


REFERENCES = {
    "pillow": ["pillow"],
    "torchvision": ["torchvision", "torch"],
    "torch": list(FLOAT),
    "interpolate": list(FLOAT),
    "tensorflow": list(FLOAT),
    "jax": list(FLOAT),
    "tensorflow_rounded": [*FLOAT, "torchvision"],
    "jax_rounded": [*FLOAT, "torchvision"],
    "opencv": ["opencv", "torch", "torchvision"],
}


def shortest(image: Image.Image, side: int, rounded: bool = False) -> tuple[int, int]:
    """Height and width when the shorter side becomes `side`: the other is truncated, as torchvision does, or rounded."""
    small, large = min(image.size), max(image.size)
    other = round(side * large / small) if rounded else int(side * large / small)
    return (side, other) if image.width >= image.height else (other, side)


def middle(space: int, side: int) -> int:
    """Where torchvision's centre crop begins (round half to even)."""
    return round((space - side) / 2)


class How(NamedTuple):
    """What a user does otherwise than the preset; None: as the preset."""

    library: str | None = None
    method: str | None = None
    antialias: bool | None = None
    rule: str | None = None
    size: int | str | None = None
    crop: str | None = None
    order: str | None = None


def _crop_offset(
    preset: Preset, name: str | None, space: tuple[int, int], out: int
) -> tuple[int, int]:
    """Where the crop begins; None: as the preset has it. Transformers takes the floor, the others round half to even."""
    height, width = space
    top, left = middle(height, out), middle(width, out)
    if name == "floor" or (name is None and preset.reference == "torchvision"):
        return (height - out) // 2, (width - out) // 2
    if name in (None, "round"):
        return top, left
    if name == "off_by_one":
        return min(top + 1, height - out), min(left + 1, width - out)
    if name == "top_left":
        return 0, 0
    if name == "bottom_right":
        return height - out, width - out
    if name == "random":  # RandomCrop, the training transform
        drawn = np.random.default_rng(height * 1000 + width)
        return int(drawn.integers(height - out + 1)), int(drawn.integers(width - out + 1))
    raise AssertionError(name)


def geometry(preset: Preset, image: Image.Image, how: How) -> tuple[Pixels, list[Change]]:
    """The resized and cropped image, and what is not as the preset has it."""
    library = how.library or {"jax": "jax_rounded"}.get(preset.reference, preset.reference)
    method = how.method or preset.method
    antialias = _antialias(preset, library, how)
    changes = _arithmetic_changes(preset, library, method, antialias, how)

    def resized(picture: Image.Image, size: tuple[int, int]) -> Pixels:
        return resize(picture, size, library, method, antialias)

    out = preset.out
    short = how.size if isinstance(how.size, int) else preset.short
    kind = preset.kind
    if how.rule == "pad":
        changes.append(("resize", _rule_word(preset), ["pad", "long_edge"]))
        return _letterboxed(image, out, resized, 0), changes
    if how.rule == "pad_gray":
        changes.append(("resize", _rule_word(preset), ["pad", "long_edge"]))
        return _letterboxed(image, out, resized, 114), changes
    if how.rule == "squash":
        changes.append(("resize", _rule_word(preset), "squash"))
        return resized(image, (out, out)), changes
    if how.rule == "squash_crop":
        changes.append(("resize", _rule_word(preset), "squash"))
        pixels = resized(image, (preset.short, preset.short))
        return _cut(pixels, _crop_offset(preset, None, (preset.short,) * 2, out), out), changes
    if how.rule == "shortest_edge":
        changes.append(("resize", "squash", "shortest_edge"))
        kind = "crop"
    if how.order:
        return _other_order(preset, image, how, resized, changes)
    if kind == "keras":
        return _keras(preset, image, how, resized, changes)
    if kind == "squash":
        return _squashed(preset, image, how, short, resized, changes)
    return _shortest_edge(preset, image, how, short, resized, changes)


def _antialias(preset: Preset, library: str, how: How) -> bool:
    if library == "pillow":
        return True
    if library == "opencv":
        return False
    if how.antialias is not None:
        return how.antialias
    return preset.antialias


def _rule_word(preset: Preset) -> str:
    return "squash" if preset.kind == "squash" else "shortest_edge"


def _arithmetic_changes(
    preset: Preset, library: str, method: str, antialias: bool, how: How
) -> list[Change]:
    changes: list[Change] = []
    if method != preset.method:
        changes.append(("method", preset.method, method))
    if method in ("nearest", "area"):
        return changes
    if antialias != preset.antialias:
        changes.append(("antialias", preset.antialias, antialias))
    elif how.library and preset.reference not in REFERENCES[library]:
        changes.append(("reference", preset.reference, REFERENCES[library]))
    return changes


def _cut(pixels: Pixels, at: tuple[int, int], side: int) -> Pixels:
    top, left = at
    return Pixels(
        np.ascontiguousarray(pixels.values[top : top + side, left : left + side]), pixels.white
    )


def _letterboxed(image: Image.Image, out: int, resized: Callable, fill: int) -> Pixels:
    scale = out / max(image.size)
    height, width = round(image.height * scale), round(image.width * scale)
    pixels = resized(image, (height, width))
    values = np.full((out, out, 3), fill * pixels.white / 255, pixels.values.dtype)
    top, left = (out - height) // 2, (out - width) // 2
    values[top : top + height, left : left + width] = pixels.values
    return Pixels(values, pixels.white)


def _shortest_edge(
    preset: Preset,
    image: Image.Image,
    how: How,
    short: int,
    resized: Callable,
    changes: list[Change],
) -> tuple[Pixels, list[Change]]:
    if preset.kind == "squash":
        short = preset.out
    elif short != preset.short:
        changes.append(("size", preset.short, short))
    out = preset.out
    size = shortest(image, short, rounded=how.size == "rounded")
    if how.size == "rounded":
        changes.append(("size", shortest(image, short), size))
    if how.size == "output":  # the whole square is larger: 256 x 256 for a model of 224 x 224
        size, out = shortest(image, 256), 256
        changes.append(("size", preset.short, 256))
    at = _crop_offset(preset, how.crop, size, out)
    right = _crop_offset(preset, None, size, out)
    if at != right:
        changes.append(("crop", (*right, out, out), (*at, out, out)))
    return _cut(resized(image, size), at, out), changes


def _squashed(
    preset: Preset,
    image: Image.Image,
    how: How,
    short: int,
    resized: Callable,
    changes: list[Change],
) -> tuple[Pixels, list[Change]]:
    whole = (0, 0, image.height, image.width)
    box, out = whole, preset.out
    if how.size is not None:
        changes.append(("size", [preset.short, (preset.short,) * 2], [short, (short,) * 2]))
        if preset.short == preset.out:
            out = short
    if preset.short != preset.out:
        right = _crop_offset(preset, None, (short, short), out)
        at = _crop_offset(preset, how.crop, (short, short), out)
        if at != right:
            changes.append(("crop", (*right, out, out), (*at, out, out)))
        return _cut(resized(image, (short, short)), at, out), changes
    if how.crop == "central":  # tf.image.central_crop(image, 0.875)
        top = int((image.height - image.height * 0.875) / 2)
        left = int((image.width - image.width * 0.875) / 2)
        box = (top, left, image.height - 2 * top, image.width - 2 * left)
    elif how.crop == "square":  # the middle square first
        side = min(image.size)
        box = (middle(image.height, side), middle(image.width, side), side, side)
    elif how.crop == "random":  # RandomResizedCrop
        drawn = np.random.default_rng(image.width)
        height, width = (
            int(side * part) for side, part in zip(image.size[::-1], (0.71, 0.66), strict=True)
        )
        box = (
            int(drawn.integers(image.height - height)), int(drawn.integers(image.width - width)), height, width,
        )  # fmt: skip
    if box != whole:
        changes.append(("crop", whole, box))
    top, left, height, width = box
    picture = image.crop((left, top, left + width, top + height))
    return resized(picture, (out, out)), changes


def _keras(
    preset: Preset, image: Image.Image, how: How, resized: Callable, changes: list[Change]
) -> tuple[Pixels, list[Change]]:
    side = min(image.size)
    right = (int((image.height - side) / 2), int((image.width - side) / 2))
    at = right
    if how.crop:
        at = _crop_offset(preset, how.crop, (image.height, image.width), side)
        changes.append(("crop", (*right, side, side), (*at, side, side)))
    out = preset.out
    if isinstance(how.size, int):
        out = how.size
        changes.append(("size", [preset.out, (preset.out,) * 2], [out, (out,) * 2]))
    picture = image.crop((at[1], at[0], at[1] + side, at[0] + side))
    return resized(picture, (out, out)), changes


def _other_order(
    preset: Preset, image: Image.Image, how: How, resized: Callable, changes: list[Change]
) -> tuple[Pixels, list[Change]]:
    if preset.kind == "keras":
        changes.append(("order", "crop_then_resize", "resize_then_crop"))
        size = shortest(image, preset.out)
        return _cut(
            resized(image, size), _crop_offset(preset, None, size, preset.out), preset.out
        ), changes
    changes.append(("order", "resize_then_crop", "crop_then_resize"))
    if how.order == "swapped":  # CenterCrop(out), then Resize(short)
        side, out = preset.out, preset.short
    else:  # the part of the photograph that the preset shows
        side, out = round(min(image.size) * preset.out / preset.short), preset.out
    top, left = middle(image.height, side), middle(image.width, side)
    return resized(image.crop((left, top, left + side, top + side)), (out, out)), changes


# ---------------------------------------------------------------- values


def _levels(pixels: Pixels) -> np.ndarray:
    return pixels.values.astype(np.float32) * np.float32(255 / pixels.white)


def _unit(pixels: Pixels) -> np.ndarray:
    return pixels.values.astype(np.float32) / np.float32(pixels.white)


def _normal(values: np.ndarray, normal: tuple, dtype: type = np.float32) -> np.ndarray:
    mean, std = (np.array(numbers, dtype) for numbers in normal)
    return (values - mean) / std


RIGHT_RANGE = "[0, 1]"
VALUES: dict[str, tuple[Callable[[Pixels, Preset], np.ndarray], Callable[[Preset], tuple[Change, ...]]]] = {
    "right": (lambda x, p: _normal(_unit(x), p.normal), lambda p: ()),
    "float64": (lambda x, p: _normal(_levels(x) / 255.0, p.normal, np.float64), lambda p: ()),
    "float16": (lambda x, p: _normal(_unit(x), p.normal).astype(np.float16), lambda p: ()),
    "not_rescaled": (lambda x, p: _normal(_levels(x), p.normal), lambda p: (("range", RIGHT_RANGE, "[0, 255]"),)),
    "rescaled_twice": (lambda x, p: _normal(_unit(x) / 255, p.normal), lambda p: (("range", RIGHT_RANGE, "[0, 1/255]"),)),
    "minus_one": (lambda x, p: _normal(_unit(x) * 2 - 1, p.normal), lambda p: (("range", RIGHT_RANGE, "[-1, 1]"),)),
    "not_normalized": (lambda x, p: _unit(x), lambda p: (("mean", p.normal[0], "missing"), ("std", p.normal[1], "missing"))),
    "normalized_twice": (
        lambda x, p: _normal(_normal(_unit(x), p.normal), p.normal),
        lambda p: (("mean", p.normal[0], "twice"), ("std", p.normal[1], "twice")),
    ),
    "no_std": (lambda x, p: _unit(x) - np.array(p.normal[0], np.float32), lambda p: (("std", p.normal[1], "missing"),)),
    "no_mean": (lambda x, p: _unit(x) / np.array(p.normal[1], np.float32), lambda p: (("mean", p.normal[0], "missing"),)),
    "half": (lambda x, p: _normal(_unit(x), HALF), lambda p: (("mean", p.normal[0], HALF[0]), ("std", p.normal[1], HALF[1]))),
    "imagenet": (
        lambda x, p: _normal(_unit(x), IMAGENET),
        lambda p: (("mean", p.normal[0], IMAGENET[0]), ("std", p.normal[1], IMAGENET[1])),
    ),
    "clip": (lambda x, p: _normal(_unit(x), CLIP), lambda p: (("mean", p.normal[0], CLIP[0]), ("std", p.normal[1], CLIP[1]))),
    "cifar": (
        lambda x, p: _normal(_unit(x), CIFAR),
        lambda p: (("mean", p.normal[0], CIFAR[0]), ("std", p.normal[1], CIFAR[1])),
    ),
    "reversed": (
        lambda x, p: _normal(_unit(x), (p.normal[0][::-1], p.normal[1][::-1])),
        lambda p: (("mean", p.normal[0], p.normal[0][::-1]), ("std", p.normal[1], p.normal[1][::-1])),
    ),
    "half_mean": (lambda x, p: _normal(_unit(x), (HALF[0], p.normal[1])), lambda p: (("mean", p.normal[0], HALF[0]),)),
    "half_std": (lambda x, p: _normal(_unit(x), (p.normal[0], HALF[1])), lambda p: (("std", p.normal[1], HALF[1]),)),
    "cifar_std": (lambda x, p: _normal(_unit(x), (p.normal[0], CIFAR[1])), lambda p: (("std", p.normal[1], CIFAR[1]),)),
    "bytes": (
        lambda x, p: x.values,
        lambda p: (
            ("range", RIGHT_RANGE, "[0, 255]"), ("mean", p.normal[0], "missing"), ("std", p.normal[1], "missing"),
        ),
    ),
    "byte_floats": (
        lambda x, p: _levels(x),
        lambda p: (
            ("range", RIGHT_RANGE, "[0, 255]"), ("mean", p.normal[0], "missing"), ("std", p.normal[1], "missing"),
        ),
    ),
}  # fmt: skip


def also_accepted(preset: Preset, values: str) -> list[list[Change]]:
    """Other descriptions of the same numbers: with mean = std = 0.5 the range of the result says as much."""
    if preset.normal != HALF:
        return []
    if values == "not_normalized":
        return [[("range", "[-1, 1]", "[0, 1]")]]
    if values in ("bytes", "byte_floats"):
        return [[("range", "[-1, 1]", "[0, 255]")]]
    return []


# ---------------------------------------------------------------- storing


STORE: dict[str, tuple[Callable[[np.ndarray], np.ndarray], tuple[Change, ...]]] = {
    "HWC": (lambda x: x, ()),
    "CHW": (lambda x: x.transpose(2, 0, 1), ()),
    "NHWC": (lambda x: x[None], ()),
    "NCHW": (lambda x: x.transpose(2, 0, 1)[None], ()),
    "transposed": (lambda x: x.T, (("layout", ["HWC", "CHW"], ["CWH", "WHC"]),)),
    "WHC": (lambda x: x.transpose(1, 0, 2), (("layout", ["HWC", "CHW"], ["WHC", "CWH"]),)),
    "reshaped": (lambda x: x.reshape(3, *x.shape[:2]), (("layout", ["HWC", "CHW"], "reshaped"),)),
    "flipped": (lambda x: x[:, ::-1].transpose(2, 0, 1), (("flip", "none", "horizontal"),)),
    "flipped_HWC": (lambda x: x[:, ::-1], (("flip", "none", "horizontal"),)),
    "upside_down": (lambda x: x[::-1].transpose(2, 0, 1), (("flip", "none", "vertical"),)),
    "upside_down_HWC": (lambda x: x[::-1], (("flip", "none", "vertical"),)),
    "bgr": (lambda x: x[..., ::-1].transpose(2, 0, 1), (("channels", "RGB", "BGR"),)),
}


def store_changes(preset: Preset, store: str) -> tuple[Change, ...]:
    """The changes of a way of storing, for a preset whose layout may be fixed."""
    if store in ("HWC", "NHWC") and preset.layout == "CHW":
        return (("layout", "CHW", "HWC"),)
    if store in ("CHW", "NCHW") and preset.layout == "HWC":
        return (("layout", "HWC", "CHW"),)
    return STORE[store][1]


# ---------------------------------------------------------------- cases


class Recipe(NamedTuple):
    """One case: the four stages, by name."""

    preset: str
    photo: str
    read: str = "pillow"
    how: How = How()
    values: str = "right"
    store: str | None = None

    @property
    def environment(self) -> str:
        """Which of the two environments has what it needs."""
        names = (self.how.library or "", self.read, self.preset)
        return (
            "tensorflow"
            if any(name.startswith(("tensorflow", "keras")) for name in names)
            else "torch"
        )

    def stored(self) -> str:
        """The name in STORE; by default what the preset expects."""
        if self.store:
            return self.store
        fixed = PRESETS[self.preset].layout
        if fixed != "either":
            return fixed
        return "HWC" if self.environment == "tensorflow" else "CHW"

    def name(self) -> str:
        """preset, photograph, and the variants that are not the right ones."""
        words = [self.preset, self.photo.split(".")[0]]
        words += [] if self.read == "pillow" else [f"read_{self.read}"]
        words += [
            f"{key}_{value}" for key, value in self.how._asdict().items() if value is not None
        ]
        words += [] if self.values == "right" else [self.values]
        words += [] if self.store is None else [self.store]
        return "-".join(words)

    def describe(self) -> str:
        """The user's code in words."""
        how = ", ".join(
            f"{key} {value}" for key, value in self.how._asdict().items() if value is not None
        )
        read = READ[self.read][0].__doc__
        return f"read: {read}; resized: {how or 'as the preset'}; values: {self.values}; stored: {self.stored()}"

    def make(self, folder: Any) -> tuple[np.ndarray, np.ndarray, list[Change]]:
        """The array, the pixels that it was made from, and what is wrong with it."""
        preset = PRESETS[self.preset]
        read, changes = READ[self.read]
        changes = [
            (key, preset.method if expected is None else expected, found)
            for key, expected, found in changes
        ]
        pixels, more = geometry(preset, read(str(folder / "photos" / self.photo)), self.how)
        values, wrong_values = VALUES[self.values]
        store = STORE[self.stored()][0]
        array = np.ascontiguousarray(store(values(pixels, preset)))
        changes += [*more, *wrong_values(preset), *store_changes(preset, self.stored())]
        return array, pixels.values, changes

    def simpler(self) -> Iterator[Recipe]:
        """The same without one of its mistakes."""
        if READ[self.read][1]:
            yield self._replace(read="pillow")
        together = {"library": {"library": None, "antialias": None}}
        if self.how.method == "area":  # only OpenCV has it
            together = {"method": {"library": None, "method": None}, "library": {}}
        for key, value in self.how._asdict().items():
            fewer = together.get(key, {key: None})
            if value is not None and fewer and not (key == "antialias" and self.how.library):
                yield self._replace(how=self.how._replace(**fewer))
        if self.values not in ("right", "float64", "float16"):
            yield self._replace(values="right")
        if self.store and store_changes(PRESETS[self.preset], self.store):
            yield self._replace(store=None)


def recipes() -> list[Recipe]:
    """The table."""
    from doctor_table import TABLE

    out = list(dict.fromkeys(TABLE))
    names = [recipe.name() for recipe in out]
    if len(set(names)) < len(names):
        raise AssertionError("two cases of one name")
    return out
