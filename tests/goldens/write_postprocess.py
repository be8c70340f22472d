"""Write postprocess.npz: what Transformers' post-processing methods make of the cases of postprocess_cases.py.

Written with transformers 5.24.0 (torchvision backend), torch 2.13.0 (CPU, AVX2). Only results are stored. Each case
holds its `name`; `arrays`, one record per array leaf of the result (named by its path, see `flatten`); and `rest`, the
other leaves as JSON. The last case, `signatures`, has the parameters of all such methods in its `rest`. Values lie one after another in one array per dtype. 64-bit integers are stored as int32, and maps of ids, which are float32 in some methods, too.

Three things are not Transformers': `batched_nms` (torchvision's extension does not load beside a CPU build of torch) is
a plain greedy one; `batch_decode` joins token ids with spaces; PP-DocLayoutV3's polygons, which need OpenCV, are left
out.

    python tests/goldens/write_postprocess.py
"""

import inspect
import json
import sys

import _torch_env
import numpy as np
import postprocess_cases as cases
import store
import torch
import transformers


def batched_nms(boxes, scores, idxs, iou_threshold):
    """Greedy, class by class, by falling score."""
    keep = []
    for i in torch.argsort(scores, descending=True, stable=True).tolist():
        if all(idxs[i] != idxs[j] or iou(boxes[i], boxes[j]) <= iou_threshold for j in keep):
            keep.append(i)
    return torch.tensor(keep, dtype=torch.long)


def iou(a, b):
    size = (torch.minimum(a[2:], b[2:]) - torch.maximum(a[:2], b[:2])).clamp(min=0)
    area = [(box[2] - box[0]) * (box[3] - box[1]) for box in (a, b)]
    return size.prod() / (sum(area) - size.prod())


def processor(case: dict):
    """The object whose method is called, with the settings of the case and the class's defaults."""
    name = case["class"]
    owl = name.startswith("Owl") and case["method"] == cases.GROUNDED
    made = getattr(transformers, name if name.endswith(("Processor", "ProcessorPil")) else f"{name}{'Processor' if owl else 'ImageProcessor'}")
    self = made.__new__(made)
    for key, value in case.get("settings", {}).items():
        object.__setattr__(self, key, value)
    if owl:
        self.image_processor = processor({**case, "method": cases.DETECTION})
    if hasattr(self, "init_decoder"):
        self.init_decoder()
    self.batch_decode = lambda lists: [" ".join(str(int(n)) for n in row) for row in lists]
    module = sys.modules[made.__module__]
    if hasattr(module, "batched_nms"):
        module.batched_nms = batched_nms
    return self


def tensors(value):
    if isinstance(value, np.ndarray):
        return torch.from_numpy(value.copy())
    return [tensors(item) for item in value] if isinstance(value, list) else value


def call(case: dict):
    self = processor(case)
    as_theirs = (lambda value: value) if case.get("numpy") else tensors
    args = {name: as_theirs(cases.build(value)) for name, value in case["args"].items()}
    method = getattr(self, case["method"])
    if case["class"] == "PPDocLayoutV3":
        self._extract_polygon_points_by_masks = lambda *_: []
        method = getattr(method, "__wrapped__", method)
        method = method.__get__(self) if not hasattr(method, "__self__") else method
    if "masks" in case:
        return method(tensors(cases.build(case["masks"])), **args)
    if "outputs" in case:
        return method(cases.outputs_of(case, tensors), **args)
    return method(**args)


def stored(path: str, value) -> np.ndarray:
    array = value.numpy() if isinstance(value, torch.Tensor) else np.asarray(value)
    ids = path.endswith("/segmentation") and array.ndim == 2 and array.dtype == np.float32
    return array.astype(np.int32) if array.dtype == np.int64 or ids else array


def main() -> None:
    writer = store.Writer(("transformers", "torch", "torchvision", "numpy"), cpu_capability=_torch_env.CPU_CAPABILITY)
    for case in cases.CASES:
        leaves = {path: leaf for path, leaf in cases.flatten(call(case)).items() if not (case["class"].endswith("V3") and "polygon" in path)}
        arrays = {path: stored(path, leaf) for path, leaf in leaves.items() if hasattr(leaf, "shape")}
        rest = {path: leaf for path, leaf in leaves.items() if not hasattr(leaf, "shape")}
        records = {path: record(writer, array) for path, array in arrays.items()}
        writer.add({"name": case["name"], "rest": json.loads(json.dumps(rest, default=float)), "arrays": records})
    writer.add({"name": "signatures", "rest": signatures(), "arrays": {}})
    writer.whole = {f"all_{name}": np.concatenate(parts) for name, parts in writer.rows.items()}
    writer.rows.clear()
    writer.save("postprocess")


def signatures() -> dict:
    """Parameters and defaults of every post-processing method, by class: `[name, repr of the default or None]`."""
    found: dict = {}
    for name in sorted(dir(transformers)):
        if not name.endswith("ImageProcessor") and name not in ("GroundingDinoProcessor", "OmDetTurboProcessor"):
            continue
        made = getattr(transformers, name)
        for method in dir(made) if isinstance(made, type) else ():
            if method.endswith(("image_text_to_text", "multimodal_output")):  # every processor inherits these
                continue
            if method.startswith("post_process") or method in ("generate_crop_boxes", "filter_masks"):
                function = inspect.unwrap(getattr(made, method))
                rows = [
                    [p.name, None if p.default is p.empty else repr(p.default)]
                    for p in list(inspect.signature(function).parameters.values())[1:]
                    if p.kind in (p.POSITIONAL_OR_KEYWORD, p.POSITIONAL_ONLY)
                ]
                found.setdefault(name, {})[method] = rows
    return found


def record(writer: store.Writer, array: np.ndarray) -> dict:
    """Where the values are: from `offset` on in the array `all_<dtype>`, at `postprocess_cases.places` of the result."""
    parts = writer.rows.setdefault(str(array.dtype), [])
    offset = sum(len(part) for part in parts)
    parts.append(array.ravel()[cases.places(array)])
    return {**store.summary(array), "offset": offset}


if __name__ == "__main__":
    main()
