"""What the libraries' own evaluation transforms compute, for `write_doctor.py`; and arrays that no setting explains."""

from __future__ import annotations

import pathlib

import numpy as np
from doctor_recipes import FLOAT, HALF, IMAGENET, PRESETS, READ, STORE, How, Recipe, read_pillow
from PIL import Image, ImageFilter


def array(recipe: Recipe, folder: pathlib.Path) -> np.ndarray | None:
    """What the library's own transform computes, or None where the user's own code is the case."""
    preset = PRESETS[recipe.preset]
    if recipe.values not in ("right", *PROCESSOR) or recipe.read in ("premultiplied", "palette"):
        return None
    image = READ[recipe.read][0](str(folder / "photos" / recipe.photo))
    name = recipe.preset
    if name.startswith("hf_"):
        out = _transformers(recipe, image, folder)
    elif name.startswith("keras_"):
        out = _keras(recipe, image)
    elif recipe.how == How() and recipe.values == "right" and recipe.environment == "torch":
        out = _transform(preset.handle)(image).numpy().transpose(1, 2, 0)
    else:
        return None
    if out is None:
        return None
    return np.ascontiguousarray(STORE[recipe.stored()][0](np.asarray(out)))


def _transform(handle: str):
    """The evaluation transform of timm, torchvision or OpenCLIP."""
    library, name = handle.split("/", 1)
    if library == "timm":
        import timm
        from timm.data import create_transform, resolve_data_config

        config = timm.get_pretrained_cfg(name)
        return create_transform(**resolve_data_config({}, pretrained_cfg=config.to_dict()))
    if library == "torchvision":
        from torchvision.models import get_weight

        return get_weight(name).transforms()
    import open_clip
    from open_clip.transform import image_transform_v2

    model, tag = name.split("/")
    size = open_clip.get_model_config(model)["vision_cfg"]["image_size"]
    config = open_clip.get_pretrained_cfg(model, tag)
    keys = ("mean", "std", "interpolation", "resize_mode")
    settings = {key: config[key] for key in keys if key in config}
    from open_clip.transform import PreprocessCfg

    return image_transform_v2(PreprocessCfg(size=size, **settings), is_train=False)


PROCESSOR = {
    "not_rescaled": {"do_rescale": False},
    "not_normalized": {"do_normalize": False},
    "imagenet": {"image_mean": IMAGENET[0], "image_std": IMAGENET[1]},
    "rescaled_twice": {},  # images in [0, 1] are given, and do_rescale stays on
    "half": {"image_mean": HALF[0], "image_std": HALF[1]},
}


def _transformers(recipe: Recipe, image: Image.Image, folder: pathlib.Path) -> np.ndarray | None:
    from transformers import AutoImageProcessor

    how = recipe.how
    if how._replace(library=None, method=None) != How() or how.library not in (None, "pillow"):
        return None
    if recipe.values == "rescaled_twice" or (how.method and recipe.values != "right"):
        return None
    backend = "pil" if how.library == "pillow" else "torchvision"
    name = PRESETS[recipe.preset].handle
    processor = AutoImageProcessor.from_pretrained(folder / name, backend=backend)
    kwargs = dict(PROCESSOR.get(recipe.values, {}))
    if how.method:
        kwargs["resample"] = {"bilinear": 2, "bicubic": 3, "lanczos3": 1}[how.method]
    out = processor(image, return_tensors="np", **kwargs)["pixel_values"]
    return out[0].transpose(1, 2, 0)


def _keras(recipe: Recipe, image: Image.Image) -> np.ndarray | None:
    how, preset = recipe.how, PRESETS[recipe.preset]
    if how.library or how.crop or how.order or how.size or recipe.values != "right":
        return None
    if how.rule not in (None, "squash", "pad"):
        return None
    import keras_hub

    mean, std = (np.array(numbers) for numbers in preset.normal)
    converter = keras_hub.layers.ImageConverter(
        image_size=(preset.out, preset.out),
        scale=list(1 / (255 * std)),
        offset=list(-mean / std),
        interpolation=how.method or preset.method,
        antialias=preset.antialias if how.antialias is None else how.antialias,
        crop_to_aspect_ratio=preset.kind == "keras" and how.rule is None,
        pad_to_aspect_ratio=how.rule == "pad",
    )
    return np.asarray(converter(np.asarray(image)))


def specials(environment: str, folder: pathlib.Path) -> list[tuple[dict, np.ndarray]]:
    """Cases that the four stages cannot say: floats given to processors that expect bytes, and gray arrays of one channel."""
    make = _torch_specials if environment == "torch" else _keras_specials
    made = []
    for name, preset, photo, how, changes, also, array in make(folder):
        case = {
            "name": f"{preset}-{photo.split('.')[0]}-{name}", "preset": PRESETS[preset].handle, "photo": photo, "how": how,
            "mistakes": 1 if len(changes) == 1 else 2, "changes": changes, "also": also,
        }  # fmt: skip
        made.append((case, array))
    return made


def _torch_specials(folder: pathlib.Path):
    import torchvision.transforms as T
    from transformers import AutoImageProcessor

    def unit(photo: str) -> np.ndarray:
        return np.asarray(read_pillow(str(folder / "photos" / photo))).astype(np.float32) / 255

    reference = ("reference", "torchvision", list(FLOAT))
    for preset, photo in (
        ("hf_vit", "coffee.jpg"),
        ("hf_clip", "astronaut.jpg"),
        ("hf_siglip", "chelsea.jpg"),
    ):
        processor = AutoImageProcessor.from_pretrained(
            folder / PRESETS[preset].handle, backend="torchvision"
        )
        given = unit(photo).transpose(2, 0, 1)
        twice = processor(given, input_data_format="channels_first", return_tensors="np")[
            "pixel_values"
        ][0]
        once = processor(
            given, input_data_format="channels_first", do_rescale=False, return_tensors="np"
        )["pixel_values"][0]
        yield (
            "floats_rescaled", preset, photo, "`processor(image / 255)`: rescaled again, and resized as floats",
            [("range", "[0, 1]", "[0, 1/255]"), reference], [], twice,
        )  # fmt: skip
        yield (
            "floats", preset, photo, "`processor(image / 255, do_rescale=False)`: resized as floats", [reference], [], once,
        )  # fmt: skip
    for preset, photo, channels in (
        ("vit", "chelsea_gray.jpg", 1),
        ("test_resnet", "chelsea_gray.jpg", 0),
    ):
        numbers = PRESETS[preset]
        bicubic = T.InterpolationMode(numbers.method)
        steps = [
            T.Resize(numbers.short, bicubic),
            T.CenterCrop(numbers.out),
            T.ToTensor(),
            T.Normalize([0.5], [0.5]),
        ]
        array = T.Compose(steps)(Image.open(folder / "photos" / photo).convert("L")).numpy()
        yield (
            f"channels_{channels}", preset, photo, "a gray photograph, never made RGB",
            [("gray", ["color", "repeated"], "one_channel")], [], array if channels else array[0],
        )  # fmt: skip
    for preset, photo in (("resnet50_a3", "coffee.jpg"), ("test_resnet", "rocket.jpg")):
        numbers = PRESETS[preset]
        gray = T.Grayscale(3)
        steps = _transform(numbers.handle).transforms
        array = T.Compose([*steps[:-2], gray, T.RandomHorizontalFlip(1.0), *steps[-2:]])(
            read_pillow(str(folder / "photos" / photo))
        )
        yield (
            "gray_flipped", preset, photo, "`Grayscale(3)` and a flip after the resize, as in a training transform",
            [("gray", "color", "luma"), ("flip", "none", "horizontal")], [], array.numpy(),
        )  # fmt: skip


def _keras_specials(folder: pathlib.Path):
    import keras
    import keras_hub

    for preset, photo in (
        ("keras_resnet", "coffee.jpg"),
        ("keras_siglip", "astronaut_portrait.jpg"),
    ):
        numbers = PRESETS[preset]
        mean, std = (np.array(part) for part in numbers.normal)
        converter = keras_hub.layers.ImageConverter(
            image_size=(numbers.out, numbers.out), scale=list(1 / (255 * std)), offset=list(-mean / std),
            interpolation=numbers.method, antialias=numbers.antialias, crop_to_aspect_ratio=numbers.kind == "keras",
        )  # fmt: skip
        image = np.asarray(read_pillow(str(folder / "photos" / photo))).astype(np.float32)
        rescaled = ("range", "[0, 1]", "[0, 1/255]")
        yield (
            "floats_rescaled", preset, photo, "`converter(image / 255)`: rescaled again, and resized as floats",
            [rescaled], [[rescaled, ("reference", "jax", [*FLOAT])]], np.asarray(converter(image / 255)),
        )  # fmt: skip
    image = np.asarray(read_pillow(str(folder / "photos" / "rocket.jpg")))
    resized = np.asarray(
        keras.ops.image.resize(image.astype(np.float32), (224, 224), "bicubic", antialias=True)
    )
    half = ("mean", IMAGENET[0], HALF[0]), ("std", IMAGENET[1], HALF[1])
    converter = keras_hub.layers.ImageConverter(
        image_size=(224, 224), scale=1 / 127.5, offset=-1.0, interpolation="bicubic", antialias=False, crop_to_aspect_ratio=True,
    )  # fmt: skip
    yield (
        "inception_numbers", "keras_resnet", "rocket.jpg", "the converter of another preset: scale 1 / 127.5, offset -1",
        list(half), [], np.asarray(converter(image)),
    )  # fmt: skip
    tf_mode = keras.applications.imagenet_utils.preprocess_input(resized.copy(), mode="torch")
    yield (
        "applications_torch", "keras_siglip", "rocket.jpg", "`imagenet_utils.preprocess_input(x, mode='torch')`",
        [("mean", HALF[0], IMAGENET[0]), ("std", HALF[1], IMAGENET[1])], [], np.asarray(tf_mode),
    )  # fmt: skip


def controls(environment: str, folder: pathlib.Path) -> list[tuple[dict, np.ndarray]]:
    """Arrays that no setting explains: blurred, saved again as JPEG, of another photograph, noisy, with the contrast raised."""
    if environment != "torch":
        return []
    import io

    from PIL import ImageEnhance

    def saved_again(image: Image.Image) -> Image.Image:
        file = io.BytesIO()
        image.save(file, "JPEG", quality=60)
        return Image.open(file).convert("RGB")

    def noisy(image: Image.Image) -> Image.Image:
        noise = np.random.default_rng(0).normal(0, 6, (image.height, image.width, 3))
        return Image.fromarray(np.clip(np.asarray(image) + noise, 0, 255).astype(np.uint8))

    made = []
    for name, preset, photo, change in (
        (
            "blurred",
            "resnet50_a1",
            "coffee.jpg",
            lambda image: image.filter(ImageFilter.GaussianBlur(1.5)),
        ),
        ("saved_again", "torchvision_v1", "rocket.jpg", saved_again),
        (
            "another_photo",
            "openai",
            "coffee.jpg",
            lambda image: read_pillow(str(folder / "photos" / "rocket.jpg")),
        ),
        ("noisy", "vit", "chelsea.jpg", noisy),
        (
            "contrast",
            "convnext",
            "coffee.jpg",
            lambda image: ImageEnhance.Contrast(image).enhance(1.3),
        ),
        (
            "sharpened",
            "torchvision_v2",
            "chelsea.jpg",
            lambda image: image.filter(ImageFilter.UnsharpMask()),
        ),
    ):
        image = change(read_pillow(str(folder / "photos" / photo)))
        handle = PRESETS[preset].handle
        out = _transform(handle)(image).numpy()
        case = {"name": f"control-{name}", "preset": handle, "photo": photo, "how": f"the photograph was {name}",
                "mistakes": None, "changes": None, "also": []}  # fmt: skip
        made.append((case, out))
    return made
