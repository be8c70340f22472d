"""Import torchvision beside a torch build that its compiled extension does not fit.

PyPI's torchvision is built against CUDA; beside the CPU build of torch its `_C.so` does not load, and the import
then fails for want of two operator schemas. Preprocessing uses no compiled torchvision operator (resizing lives in
torch itself), so declaring the schemas is enough. Import this module before torchvision, timm or open_clip.
"""

import importlib.util
import pathlib

import torch

SCHEMAS = (
    "nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
    "qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
)


def _extension_loads() -> bool:
    spec = importlib.util.find_spec("torchvision")
    if spec is None or spec.origin is None:
        raise ModuleNotFoundError("Expected torchvision to be installed: pip install --no-deps torchvision")
    try:
        torch.ops.load_library(pathlib.Path(spec.origin).parent / "_C.so")
    except OSError:
        return False
    return True


LIBRARY = None if _extension_loads() else torch.library.Library("torchvision", "DEF")
if LIBRARY is not None:
    for schema in SCHEMAS:
        LIBRARY.define(schema)

# torch picks another (equally valid) float kernel for RGB on one thread: fix the number, so that goldens are repeatable
torch.set_num_threads(2)

CPU_CAPABILITY = torch.backends.cpu.get_cpu_capability()
