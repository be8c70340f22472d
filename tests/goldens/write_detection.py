"""Write `detection.npz`: what Transformers' torchvision backend makes of `detection_cases`, and pycocotools of outlines.

Run where torch, torchvision (0.27 or newer), transformers and pycocotools are installed:

    python tests/goldens/write_detection.py
"""

import logging
import pathlib
import sys
import tempfile
import warnings

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))

import numpy as np
import torch
import transformers
from PIL import Image
from pycocotools import mask as coco

from goldens import _torch_env, detection_cases, inputs, store


def decoded(path: str) -> torch.Tensor:
    """`(3, h, w)` of an RGB file."""
    with Image.open(path) as image:
        return torch.from_numpy(np.array(image)).permute(2, 0, 1)


def results(case: dict, photos: pathlib.Path, folder: pathlib.Path) -> dict:
    """What the original returns for a case."""
    processor = getattr(transformers, case["class"])(**case["settings"])
    read = inputs.array if case.get("arrays") else inputs.image
    images = [read(recipe, photos) for recipe in case["inputs"]]
    kwargs = {}
    if case["labels"]:
        sizes = [image.size[::-1] for image in images]
        detection_cases.write_segments(folder, sizes)
        kwargs = {"annotations": detection_cases.annotations(case["labels"], sizes), "masks_path": folder}
        kwargs |= detection_cases.KINDS[case["labels"]]
        sys.modules[
            type(processor).__module__
        ].load_image_as_tensor = decoded  # what it does needs torchvision's codecs
    return processor(images, return_tensors="pt", **kwargs)


def main() -> None:
    photos = inputs.photos_argument(__doc__)
    store.require("transformers", 5)
    logging.disable(logging.WARNING)
    warnings.simplefilter("ignore")
    packages = ["numpy", "pillow", "torch", "torchvision", "transformers", "pycocotools"]
    writer = store.Writer(packages, cpu_capability=_torch_env.CPU_CAPABILITY)
    with tempfile.TemporaryDirectory() as folder:
        wanted = detection_cases.cases("torchvision")
        for case, found in store.attempts(wanted, lambda case: results(case, photos, pathlib.Path(folder))):
            digests, samples = detection_cases.summary({**found})
            writer.add({**case, "digests": digests}, **({"samples": samples} if samples is not None else {}))
    drawn = []
    for polygons, (height, width) in detection_cases.polygons():
        mask = coco.decode(coco.frPyObjects(polygons, height, width)).any(axis=2)
        drawn.append(int(store.digest(mask)[:8], 16))
    writer.add({"outlines": True}, whole=True, drawn=np.asarray(drawn, np.uint32))
    writer.save("detection")


if __name__ == "__main__":
    with torch.no_grad():
        main()
