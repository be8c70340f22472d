"""The cases of post-processing goldens: model outputs from recipes, rebuilt by script and tests alike; calls on them.

A case is `{"name", "class", "method", "outputs", "args", "settings"}`. `outputs` maps fields to recipes; an argument or
a setting that is a recipe (a dict with "recipe") is rebuilt too. Recipes are integer hashes and exact or singly rounded
float32 operations, so they mean the same bytes everywhere.
"""

from types import SimpleNamespace

import numpy as np

Recipe = dict
TARGETS = [[40, 31], [23, 64]]
"""Non-square, of two images."""
FRACTIONAL = {"recipe": "values", "value": [[40.5, 31.25], [23.75, 64.5]]}
"""A tensor of floats, as of images that were enlarged."""


def hashed(count: int, seed: int) -> np.ndarray:
    """Integers in [0, 2**24)."""
    n = np.arange(count, dtype=np.uint64) + np.uint64(seed * 1_000_003 + 12345)
    mixed = n * np.uint64(2654435761) % np.uint64(2**32)
    mixed = (mixed ^ (mixed >> np.uint64(15))) * np.uint64(2246822519) % np.uint64(2**32)
    mixed = (mixed ^ (mixed >> np.uint64(13))) * np.uint64(3266489917) % np.uint64(2**32)
    return ((mixed ^ (mixed >> np.uint64(16))) >> np.uint64(8)).astype(np.int64)


def noise(shape: list, seed: int, low: float = -4, high: float = 4) -> np.ndarray:
    """Float32 between two numbers."""
    unit = hashed(int(np.prod(shape)), seed).astype(np.float32) * np.float32(2**-24)
    return (unit * np.float32(high - low) + np.float32(low)).reshape(shape)


def blobs(shape: list, seed: int, height: float = 6, rough: float = 1) -> np.ndarray:
    """Smooth hills `(b, q, h, w)` with some noise: masks as models make them."""
    b, q, h, w = shape
    draw = noise([4, b, q, 1, 1], seed, 0, 1)
    y, x = (np.arange(n, dtype=np.float32) / np.float32(n) for n in (h, w))
    radius = draw[2:] * np.float32(0.3) + np.float32(0.15)
    far_y, far_x = (y[:, None] - draw[0]) / radius[0], (x - draw[1]) / radius[1]
    hill = (np.float32(1) - far_y * far_y - far_x * far_x) * np.float32(height)
    return np.maximum(hill, np.float32(-height)) + noise(shape, seed + 1, -rough, rough)


def classes(shape: list, seed: int, peak: float = 8, null: int = 3) -> np.ndarray:
    """Class logits `(b, q, c)` with one clear class per query; every `null`-th query is "no object" (0: none)."""
    b, q, c = shape
    logits = noise(shape, seed, -1, 1)
    best = hashed(b * q, seed + 7).reshape(b, q) % max(c - 1, 1)
    if null:
        best[:, ::null] = c - 1
    np.put_along_axis(logits, best[..., None], np.float32(peak) + noise([b, q, 1], seed + 9, -3, 1), 2)
    return logits


def boxes(shape: list, seed: int) -> np.ndarray:
    """Relative boxes (centre x, centre y, width, height)."""
    return np.concatenate([noise([*shape, 2], seed, 0.2, 0.8), noise([*shape, 2], seed + 1, 0.05, 0.4)], -1)


def integers(shape: list, seed: int, high: int, low: int = 0, dtype: str = "int64") -> np.ndarray:
    return (hashed(int(np.prod(shape)), seed) % (high - low) + low).reshape(shape).astype(dtype)


def constant(shape: list, value: float) -> np.ndarray:
    return np.full(shape, value, np.float32)


def values(value: list, dtype: str = "float32") -> np.ndarray:
    return np.asarray(value, dtype)


def mirrored(part: Recipe) -> np.ndarray:
    """A recipe `(b, 1, ...)`, twice along the second axis."""
    return np.repeat(build(part), 2, 1)


def mesh(shape: list, seed: int) -> np.ndarray:
    """Where the points of a grid `(b, 2, h, w)` are in a photograph, from -1 to 1, some of them outside."""
    *_, h, w = shape
    y, x = (np.arange(n, dtype=np.float32) / np.float32(n - 1) * np.float32(2.1) - np.float32(1.05) for n in (h, w))
    straight = np.stack([np.broadcast_to(x, (h, w)), np.broadcast_to(y[:, None], (h, w))])
    return straight + noise(shape, seed, -0.04, 0.04)


KINDS = {f.__name__: f for f in (noise, blobs, classes, boxes, integers, constant, values, mirrored, mesh)}


def build(value):
    """The array of a recipe; lists and dicts of them; anything else as it is."""
    if isinstance(value, dict) and "recipe" in value:
        options = {name: option for name, option in value.items() if name != "recipe"}
        return KINDS[value["recipe"]](**options)
    if isinstance(value, list):
        return [build(item) for item in value]
    return value


def outputs_of(case: dict, convert=lambda array: array) -> SimpleNamespace:
    """The model outputs of a case; fields without a recipe are None or as given."""
    built = {name: build(recipe) for name, recipe in case["outputs"].items()}
    return SimpleNamespace(**{n: convert(a) if isinstance(a, np.ndarray) else a for n, a in built.items()})


def flatten(result, path: str = "") -> dict:
    """The leaves of lists, tuples and dicts by path; a list of plain numbers or strings is a leaf."""
    if hasattr(result, "items"):
        items = list(result.items())
    elif isinstance(result, tuple) or (isinstance(result, list) and any(_is_part(item) for item in result)):
        items = list(enumerate(result))
    else:
        return {path: result}
    leaves: dict = {}
    for name, item in items:
        leaves |= flatten(item, f"{path}/{name}")
    return leaves


def places(array: np.ndarray) -> np.ndarray:
    """Flat indices of the values that are kept: all of them, or 256 of a large array of real numbers."""
    if array.dtype != np.float32 or array.size <= 1500:
        return np.arange(array.size)
    return hashed(256, array.size) % array.size


def _is_part(item) -> bool:
    return isinstance(item, (list, tuple)) or hasattr(item, "items") or getattr(item, "shape", ()) != ()


def R(kind, *shape, **options) -> Recipe:
    return {"recipe": kind, "shape": list(shape), **options}


SEMANTIC = "post_process_semantic_segmentation"
INSTANCE = "post_process_instance_segmentation"
PANOPTIC = "post_process_panoptic_segmentation"
DETECTION = "post_process_object_detection"
GROUNDED = "post_process_grounded_object_detection"
GUIDED = "post_process_image_guided_detection"
DEPTH = "post_process_depth_estimation"
NORMALS = "post_process_normal_estimation"

MAPS = R("blobs", 2, 7, 12, 17, seed=1)
ROUGH = R("noise", 2, 7, 12, 17, seed=2)
TIED = R("constant", 2, 7, 12, 17, value=0.25)
MASKS = R("blobs", 2, 6, 12, 17, seed=3)


def _dense():
    for name in ("Beit", "Segformer", "MobileNetV2", "MobileViT", "DPT", "CHMv2", "Sapiens2"):
        yield {"name": f"{name} dense", "class": name, "method": SEMANTIC, "outputs": {"logits": MAPS}, "args": {"target_sizes": TARGETS}}
    for name, maps in (("smooth", MAPS), ("rough", ROUGH), ("tied", TIED), ("one class", R("noise", 2, 1, 12, 17, seed=4))):
        for sizes in (TARGETS, None, [[12, 17], [5, 3]]):
            for scores in (False, True):
                args = {"target_sizes": sizes, "return_segmentation_scores": scores}
                yield {"name": f"dense {name} {sizes} {scores}", "class": "Beit", "method": SEMANTIC, "outputs": {"logits": maps}, "args": args}
    large = {"logits": R("blobs", 1, 19, 64, 64, seed=5)}
    yield {"name": "dense large", "class": "Segformer", "method": SEMANTIC, "outputs": large, "args": {"target_sizes": [[150, 211]]}}
    for field in ("segmentation_logits", "logits"):
        yield {"name": f"Tipsv2Dpt {field}", "class": "Tipsv2Dpt", "method": SEMANTIC, "outputs": {field: MAPS}, "args": {"target_sizes": TARGETS}}


def _queries(detr: bool, **options):
    names = ("logits", "pred_masks") if detr else ("class_queries_logits", "masks_queries_logits")
    return dict(zip(names, (R("classes", 2, 6, 9, seed=options.pop("seed", 6), **options), MASKS)))


def _empty(detr: bool):
    return _queries(detr, null=1)


EOMT_SQUARE = {"size": {"shortest_edge": 32, "longest_edge": 32}}
EOMT_SPLIT = {"size": {"shortest_edge": 32, "longest_edge": None}}


def _semantic_queries():
    for name in ("Detr", "ConditionalDetr", "MaskFormer", "Mask2Former", "OneFormer"):
        outputs = _queries("Detr" in name)
        sizes = [TARGETS] if name in ("MaskFormer", "ConditionalDetr") else [None] if name == "Mask2Former" else [TARGETS, None]
        for size in sizes:
            args = {"target_sizes": size, "return_segmentation_scores": name in ("Detr", "OneFormer") and size is not None}
            yield {"name": f"{name} semantic {size}", "class": name, "method": SEMANTIC, "outputs": outputs, "args": args}
    args = {"target_sizes": TARGETS}
    yield {"name": "Mask2Former semantic", "class": "Mask2Former", "method": SEMANTIC, "outputs": _queries(False), "args": args}
    down = {"target_sizes": [[7, 9], [6, 16]], "return_segmentation_scores": True}
    yield {"name": "OneFormer semantic down", "class": "OneFormer", "method": SEMANTIC, "outputs": _queries(False), "args": down}
    yield {"name": "OneFormer semantic down, PIL backend", "class": "OneFormerImageProcessorPil", "method": SEMANTIC, "outputs": _queries(False), "args": down}
    outputs = {**_queries(False), "patch_offsets": None}
    yield {"name": "Eomt semantic", "class": "Eomt", "method": SEMANTIC, "outputs": outputs, "args": args, "settings": EOMT_SQUARE}
    parts = {
        "class_queries_logits": R("classes", 5, 6, 9, seed=8),
        "masks_queries_logits": R("blobs", 5, 6, 8, 8, seed=9),
        "patch_offsets": [[0, 0, 32], [0, 9, 41], [1, 0, 32], [1, 28, 60], [1, 57, 89]],
    }
    for scores in (False, True):
        split = {"target_sizes": TARGETS, "return_segmentation_scores": scores}
        yield {"name": f"Eomt windows {scores}", "class": "Eomt", "method": SEMANTIC, "outputs": parts, "args": split, "settings": EOMT_SPLIT}
    for sizes in (TARGETS, None):
        for scores in (False, True):
            outputs = {"semantic_seg": R("blobs", 2, 1, 12, 17, seed=10)}
            args = {"target_sizes": sizes, "return_segmentation_scores": scores, "threshold": 0.4}
            yield {"name": f"Sam3 semantic {sizes} {scores}", "class": "Sam3", "method": SEMANTIC, "outputs": outputs, "args": args}
    painted = {"pred_masks": R("noise", 2, 3, 24, 17, seed=11, low=-2, high=2.5)}
    for sizes, labels, scores in ((TARGETS, 10, False), (None, 10, True), (TARGETS, None, False), ([[5, 9], [12, 17]], 3, True)):
        args = {"target_sizes": sizes, "num_labels": labels, "return_segmentation_scores": scores}
        yield {"name": f"SegGpt {sizes} {labels}", "class": "SegGpt", "method": SEMANTIC, "outputs": painted, "args": args}


def _segments():
    for name in ("Detr", "ConditionalDetr", "MaskFormer", "Mask2Former", "OneFormer"):
        detr = "Detr" in name
        for sizes in ([TARGETS] if name == "Mask2Former" else [TARGETS, None]):
            args = {"target_sizes": sizes, "label_ids_to_fuse": [], "threshold": 0.5}
            yield {"name": f"{name} panoptic {sizes}", "class": name, "method": PANOPTIC, "outputs": _queries(detr, null=0), "args": args}
        nothing = {"target_sizes": TARGETS, "label_ids_to_fuse": []}
        yield {"name": f"{name} panoptic empty", "class": name, "method": PANOPTIC, "outputs": _empty(detr), "args": nothing}
    for sizes in (TARGETS, None):
        for overlap, mask in ((0.8, 0.5), (0.3, 0.4), (0.0, 0.7)):
            args = {"target_sizes": sizes, "label_ids_to_fuse": [], "overlap_mask_area_threshold": overlap, "mask_threshold": mask}
            yield {"name": f"panoptic {overlap} {sizes}", "class": "MaskFormer", "method": PANOPTIC, "outputs": _queries(False, null=0), "args": args}
    twins = {
        "class_queries_logits": R("classes", 2, 6, 4, seed=12, null=0),  # three labels for six queries
        "masks_queries_logits": R("blobs", 2, 6, 12, 17, seed=12, rough=0.2),
    }
    # stuff whose pieces come last: no new id follows a reused one, so that Transformers counts rightly too
    for seed in (12, 31, 33):
        last = {
            "class_queries_logits": {"recipe": "values", "value": [[[9, 0, 0, 0], [0, 9, 0, 0], [0, 0, 9, 0], [0, 0, 9, 0]]]},
            "masks_queries_logits": R("blobs", 1, 4, 12, 17, seed=seed, rough=0.2),
        }
        args = {"target_sizes": [[40, 31]], "label_ids_to_fuse": [2], "overlap_mask_area_threshold": 0.2}
        yield {"name": f"panoptic fused last {seed}", "class": "MaskFormer", "method": PANOPTIC, "outputs": last, "args": args}
    single = {"class_queries_logits": R("classes", 1, 1, 3, seed=13, null=0), "masks_queries_logits": R("blobs", 1, 1, 12, 17, seed=13)}
    yield {"name": "panoptic one query", "class": "MaskFormer", "method": PANOPTIC, "outputs": single, "args": {"target_sizes": [[40, 31]], "label_ids_to_fuse": []}}
    tie = {"class_queries_logits": R("constant", 1, 3, 1, value=0.0), "masks_queries_logits": R("constant", 1, 3, 12, 17, value=2.0)}
    tie["class_queries_logits"] = {"recipe": "values", "value": [[[9, 0, 0]] * 3]}
    yield {"name": "panoptic tied queries", "class": "MaskFormer", "method": PANOPTIC, "outputs": tie, "args": {"target_sizes": [[40, 31]], "label_ids_to_fuse": []}}
    for coco in (False, True):
        args = {"target_sizes": TARGETS, "return_coco_annotation": coco, "overlap_mask_area_threshold": 0.4}
        yield {"name": f"Detr instance {coco}", "class": "Detr", "method": INSTANCE, "outputs": _queries(True, null=0), "args": args}
    for stuff in (None, [0, 2]):
        args = {"target_sizes": TARGETS, "stuff_classes": stuff, "overlap_mask_area_threshold": 0.3, "threshold": 0.5}
        yield {"name": f"Eomt panoptic {stuff}", "class": "Eomt", "method": PANOPTIC, "outputs": twins, "args": args, "settings": EOMT_SQUARE}
    yield {"name": "Eomt panoptic empty", "class": "Eomt", "method": PANOPTIC, "outputs": _empty(False), "args": {"target_sizes": TARGETS}, "settings": EOMT_SQUARE}


def _instances():
    # 81 classes: torch.topk(sorted=False) sorts when 64 k <= n
    outputs = {"class_queries_logits": R("classes", 2, 6, 81, seed=14), "masks_queries_logits": MASKS}
    for name in ("MaskFormer", "Mask2Former"):
        for sizes in (TARGETS, None) if name == "MaskFormer" else (TARGETS,):
            for form in ({}, {"return_coco_annotation": True}, {"return_binary_maps": True}):
                args = {"target_sizes": sizes, "threshold": 0.5, **form}
                yield {"name": f"{name} instance {sizes} {form}", "class": name, "method": INSTANCE, "outputs": outputs, "args": args}
    empty = {"class_queries_logits": R("classes", 2, 6, 81, seed=14, null=1), "masks_queries_logits": MASKS}
    for form in ({}, {"return_binary_maps": True}):
        yield {"name": f"MaskFormer instance empty {form}", "class": "MaskFormer", "method": INSTANCE, "outputs": empty, "args": {"target_sizes": TARGETS, **form}}
    yield {"name": "MaskFormer instance tiny", "class": "MaskFormer", "method": INSTANCE, "outputs": outputs, "args": {"target_sizes": [[2, 3], [1, 2]], "threshold": 0.2}}
    args = {"target_sizes": TARGETS, "threshold": 0.5}
    yield {"name": "Eomt instance", "class": "Eomt", "method": INSTANCE, "outputs": outputs, "args": args, "settings": EOMT_SQUARE}
    one = {"metadata": {"thing_ids": list(range(0, 80, 2))}, "class_info_file": "coco_panoptic.json"}
    ade = {"metadata": {"thing_ids": list(range(80))[::-1]}, "class_info_file": "ade20k_panoptic.json"}
    for settings, args in (
        (one, {"task_type": "instance"}),
        (one, {"task_type": "panoptic"}),
        (ade, {"is_demo": False, "overlap_mask_area_threshold": 0.1}),
        (one, {"return_coco_annotation": True}),
    ):
        for sizes in (TARGETS, None):
            yield {"name": f"OneFormer instance {args} {sizes}", "class": "OneFormer", "method": INSTANCE, "outputs": outputs, "args": {**args, "target_sizes": sizes}, "settings": settings}
    rf = {"logits": R("classes", 2, 6, 9, seed=15, peak=3, null=0), "pred_masks": MASKS}
    for form in ({}, {"return_coco_annotation": True}, {"return_binary_maps": True}, {"top_k": 3}, {"threshold": 0.99}):
        for sizes in (TARGETS, None):
            yield {"name": f"RfDetr instance {form} {sizes}", "class": "RfDetr", "method": INSTANCE, "outputs": rf, "args": {"target_sizes": sizes, **form}}
    sam = {"pred_logits": R("noise", 2, 6, seed=16), "pred_boxes": R("boxes", 2, 6, seed=16), "pred_masks": MASKS, "presence_logits": R("noise", 2, 1, seed=17, low=0, high=3)}
    for presence in (sam["presence_logits"], None):
        for sizes in (TARGETS, None):
            for method in (DETECTION, INSTANCE):
                name = f"Sam3 {method[13:]} {presence is None} {sizes}"
                yield {"name": name, "class": "Sam3", "method": method, "outputs": {**sam, "presence_logits": presence}, "args": {"target_sizes": sizes}}


def _detection():
    found = {"logits": R("classes", 2, 30, 12, seed=18, peak=3), "pred_boxes": R("boxes", 2, 30, seed=18)}
    empty = {**found, "logits": R("constant", 2, 30, 12, value=-30.0)}
    single = {"logits": R("classes", 1, 1, 2, seed=19, null=0), "pred_boxes": R("boxes", 1, 1, seed=19)}
    for name in ("Detr", "Yolos", "ConditionalDetr", "DeformableDetr", "RTDetr", "GroundingDino", "OwlViT", "Owlv2", "RfDetr"):
        for sizes in (TARGETS, None):
            yield {"name": f"{name} detection {sizes}", "class": name, "method": DETECTION, "outputs": found, "args": {"target_sizes": sizes, "threshold": 0.3}}
        yield {"name": f"{name} detection empty", "class": name, "method": DETECTION, "outputs": empty, "args": {"target_sizes": TARGETS, "threshold": 0.5}}
        yield {"name": f"{name} detection single", "class": name, "method": DETECTION, "outputs": single, "args": {"target_sizes": [[40, 31]], "threshold": 0.01}}
        yield {"name": f"{name} detection default", "class": name, "method": DETECTION, "outputs": found, "args": {}}

    # boxes are multiplied by the sizes of a tensor, whole or not
    for name in ("Detr", "RTDetr", "Owlv2", "OwlViT", "GroundingDino"):
        yield {"name": f"{name} detection fractional", "class": name, "method": DETECTION, "outputs": found, "args": {"target_sizes": FRACTIONAL, "threshold": 0.3}}
    for k in (5, 1000):
        yield {"name": f"ConditionalDetr top {k}", "class": "ConditionalDetr", "method": DETECTION, "outputs": found, "args": {"top_k": k, "threshold": 0.1}}
        yield {"name": f"RfDetr top {k}", "class": "RfDetr", "method": DETECTION, "outputs": found, "args": {"top_k": k, "threshold": 0.1}}
    for name in ("PPDocLayoutV2", "PPDocLayoutV3"):
        # every query once: one that is taken twice has two equal places, which torch sorts as it likes
        order = {**found, "logits": R("classes", 2, 30, 12, seed=18, null=0), "order_logits": R("noise", 2, 30, 30, seed=20), "out_masks": R("blobs", 2, 30, 5, 5, seed=20)}
        yield {"name": f"{name}", "class": name, "method": DETECTION, "outputs": order, "args": {"target_sizes": TARGETS, "threshold": 0.3}}
    yield {"name": "PPDocLayoutV2 fractional", "class": "PPDocLayoutV2", "method": DETECTION, "outputs": order, "args": {"target_sizes": FRACTIONAL, "threshold": 0.3}}
    yield {"name": "PPDocLayoutV2 relative", "class": "PPDocLayoutV2", "method": DETECTION, "outputs": order, "args": {"threshold": 0.6}}
    for threshold in (0.3, 0.6, 0.999):
        quads = {"logits": R("classes", 2, 30, 12, seed=18, peak=3), "pred_boxes": R("noise", 2, 30, 10, seed=47, low=0, high=1), "relative_order_logits": R("noise", 2, 30, 30, seed=48), "successor_order_logits": R("noise", 2, 30, 30, seed=49, low=-9, high=1)}
        yield {"name": f"PPDocLayoutV4 {threshold}", "class": "PPDocLayoutV4", "method": DETECTION, "outputs": quads, "args": {"target_sizes": TARGETS, "threshold": threshold}}
    guided = {"logits": R("noise", 2, 30, 1, seed=21), "target_pred_boxes": R("boxes", 2, 30, seed=21)}
    for name in ("OwlViT", "Owlv2"):
        for args in ({}, {"threshold": 0.6}, {"nms_threshold": 1.0}, {"nms_threshold": 0.05, "threshold": 0.2}):
            sizes = {"target_sizes": {"recipe": "values", "value": TARGETS, "dtype": "int64"}}
            yield {"name": f"{name} guided {args}", "class": name, "method": GUIDED, "outputs": guided, "args": {**sizes, **args}}
        texts = [[f"text {n}" for n in range(12)], [f"other {n}" for n in range(12)]]
        for text in (texts, None):
            yield {"name": f"{name} grounded {text is None}", "class": name, "method": GROUNDED, "outputs": found, "args": {"target_sizes": TARGETS, "text_labels": text}}
    tokens = {**found, "input_ids": R("integers", 2, 12, seed=22, high=1000)}
    for args in ({}, {"threshold": 0.9, "text_threshold": 0.6, "target_sizes": TARGETS}):
        yield {"name": f"GroundingDino grounded {args}", "class": "GroundingDinoProcessor", "method": GROUNDED, "outputs": tokens, "args": args}
    omdet = {"decoder_class_logits": R("classes", 2, 30, 5, seed=23, peak=2), "decoder_coord_logits": R("boxes", 2, 30, seed=23), "classes_structure": {"recipe": "values", "value": [5, 3], "dtype": "int64"}}
    for args in ({}, {"text_labels": [["a", "b", "c", "d", "e"], ["x", "y", "z"]], "nms_threshold": 0.1}, {"max_num_det": 7}):
        yield {"name": f"OmDetTurbo {args}", "class": "OmDetTurboProcessor", "method": GROUNDED, "outputs": omdet, "args": {"target_sizes": TARGETS, **args}}


def _maps():
    depth = {"predicted_depth": R("noise", 2, 12, 17, seed=24, low=0.1, high=9)}
    for name in ("DPT", "GLPN", "PromptDepthAnything", "CHMv2", "Tipsv2Dpt"):
        for sizes in (TARGETS, None, [[5, 9], [1, 1]] if name == "GLPN" else [[5, 9], [3, 2]]):  # others squeeze 1 away
            yield {"name": f"{name} depth {sizes}", "class": name, "method": DEPTH, "outputs": depth, "args": {"target_sizes": sizes}}
    far = R("noise", 2, 12, 17, seed=24, low=3, high=9)  # 1 / x magnifies the rounding of an x near 0
    for fov in ({"recipe": "values", "value": [45.0, 71.5]}, None):
        for sizes in (TARGETS, None):
            for resample in (2, 3):
                yield {"name": f"DepthPro {fov is None} {sizes} {resample}", "class": "DepthPro", "method": DEPTH, "outputs": {"predicted_depth": far, "field_of_view": fov}, "args": {"target_sizes": sizes}, "settings": {"resample": resample}}
    sources = [[30, 21], [11, 25]]
    for args in ({"source_sizes": sources}, {"source_sizes": sources, "target_sizes": TARGETS}, {"do_remove_padding": False, "target_sizes": TARGETS}):
        yield {"name": f"ZoeDepth {args}", "class": "ZoeDepth", "method": DEPTH, "outputs": depth, "args": args, "settings": {"do_pad": True}}
    normals = {"normals": R("noise", 2, 3, 16, 12, seed=25)}
    points = {"pointmaps": R("noise", 2, 3, 16, 12, seed=26), "scales": R("noise", 2, 1, seed=27, low=0.5, high=2)}
    settings = {"size": {"height": 16, "width": 12}}
    for args in ({}, {"source_sizes": TARGETS}, {"source_sizes": [[31, 20], [31, 20]]}, {"source_sizes": TARGETS, "target_sizes": [[7, 9], [20, 33]]}, {"target_sizes": TARGETS}, {"source_sizes": TARGETS, "do_remove_padding": False}):
        yield {"name": f"Sapiens2 normals {args}", "class": "Sapiens2", "method": NORMALS, "outputs": normals, "args": args, "settings": settings}
        yield {"name": f"Sapiens2 points {args}", "class": "Sapiens2", "method": "post_process_pointmap_estimation", "outputs": points, "args": args, "settings": settings}
    yield {"name": "Sapiens2 points unscaled", "class": "Sapiens2", "method": "post_process_pointmap_estimation", "outputs": {**points, "scales": None}, "args": {}, "settings": settings}
    for sizes in (TARGETS, None):
        yield {"name": f"Tipsv2Dpt normals {sizes}", "class": "Tipsv2Dpt", "method": NORMALS, "outputs": normals, "args": {"target_sizes": sizes}}
    matte = {"foregrounds": R("noise", 2, 3, 16, 12, seed=28, low=0, high=1), "alphas": R("noise", 2, 1, 16, 12, seed=29, low=-0.1, high=1.1)}
    behind = [R("noise", 3, 9, 11, seed=30, low=0, high=1), R("noise", 3, 16, 12, seed=31, low=0, high=1)]
    for sizes in (TARGETS, None, [[20, 14], [20, 14]]):
        for backgrounds in (None, behind, [behind[0]]):
            yield {"name": f"Sapiens2 matting {sizes} {backgrounds and len(backgrounds)}", "class": "Sapiens2", "method": "post_process_image_matting", "outputs": matte, "args": {"target_sizes": sizes, "backgrounds": backgrounds}}


def _points():
    found = {"mask": R("integers", 2, 9, seed=32, high=2), "keypoints": R("noise", 2, 9, 2, seed=33, low=0, high=1), "scores": R("noise", 2, 9, seed=34), "descriptors": R("noise", 2, 9, 4, seed=35)}
    yield {"name": "SuperPoint", "class": "SuperPoint", "method": "post_process_keypoint_detection", "outputs": found, "args": {"target_sizes": TARGETS}}
    yield {"name": "SuperPoint fractional", "class": "SuperPoint", "method": "post_process_keypoint_detection", "outputs": found, "args": {"target_sizes": FRACTIONAL}}
    yield {"name": "SuperPoint none", "class": "SuperPoint", "method": "post_process_keypoint_detection", "outputs": {**found, "mask": R("constant", 2, 9, value=0)}, "args": {"target_sizes": TARGETS}}
    # peaks well inside and clear: where the Hessian nearly vanishes, the refinement magnifies rounding without bound
    heat = {"heatmaps": R("blobs", 3, 5, 16, 12, seed=61, height=20, rough=0.1)}
    boxed = {"boxes": [[[3, 5, 20, 14]], [[10, 2, 7.5, 30], [0, 0, 12, 12]]]}
    pose = {"class": "Sapiens2", "method": "post_process_pose_estimation", "settings": {"size": {"height": 64, "width": 48}}}
    for args in ({}, {"threshold": 19.6, "kernel_size": 7}, {"source_sizes": TARGETS, "target_sizes": [[80, 60], [10, 100]]}):
        yield {"name": f"Sapiens2 pose {args}", "outputs": heat, "args": {**boxed, **args}, **pose}
    vitpose = {**pose, "class": "VitPose"}
    shares = [[[0.1, 0.2, 0.5, 0.4]], [[0.2, 0.1, 0.3, 0.6], [0, 0, 1, 1]]]
    for args in ({}, {"threshold": 19.6, "kernel_size": 7}, {"kernel_size": 3}, {"boxes": shares, "target_sizes": [[80, 60], [10, 100], [50, 40]]}):
        yield {"name": f"VitPose pose {args}", "outputs": heat, "args": {**boxed, **args}, **vitpose}
    windows = {"center": R("noise", 3, 2, seed=62, low=0, high=99), "scale": R("noise", 3, 2, seed=63, low=0.1, high=2)}
    for kernel in (11, 5):
        args = {"heatmaps": heat["heatmaps"], **windows, "kernel": kernel}
        yield {"name": f"VitPose heatmaps {kernel}", "class": "VitPose", "method": "keypoints_from_heatmaps", "args": args, "numpy": True}
    photographs = [R("noise", 3, 31, 45, seed=64, low=0, high=1), R("noise", 3, 20, 17, seed=65, low=0, high=1)]
    for args in ({}, {"scale": 200.0}):
        args = {"prediction": R("mesh", 2, 2, 9, 7, seed=66), "original_images": photographs, **args}
        yield {"name": f"UVDoc {len(args)}", "class": "UVDoc", "method": "post_process_document_rectification", "args": args}
    pairs = [[[40, 31], [23, 64]], [[10, 20], [30, 15]]]
    match = {"mask": R("integers", 2, 2, 9, seed=36, high=4), "keypoints": R("noise", 2, 2, 9, 2, seed=37, low=0, high=1), "matches": R("integers", 2, 2, 9, seed=38, low=-1, high=6), "matching_scores": R("noise", 2, 2, 9, seed=39, low=0, high=1)}
    for name in ("SuperGlue", "LightGlue"):
        yield {"name": name, "class": name, "method": "post_process_keypoint_matching", "outputs": match, "args": {"target_sizes": pairs, "threshold": 0.2}}
    both = {**match, **{n: {"recipe": "mirrored", "part": {**match[n], "shape": [2, 1, 9]}} for n in ("matches", "matching_scores")}}
    yield {"name": "EfficientLoFTR", "class": "EfficientLoFTR", "method": "post_process_keypoint_matching", "outputs": both, "args": {"target_sizes": pairs, "threshold": 0.2}}


def _sam():
    masks = [R("blobs", 3, 2, 8, 8, seed=40), R("blobs", 3, 2, 8, 8, seed=41)]
    sizes = {"original_sizes": TARGETS}
    sam = {**sizes, "reshaped_input_sizes": [[32, 25], [12, 32]]}
    settings = {"pad_size": {"height": 32, "width": 32}}
    for form in ({}, {"binarize": False}, {"mask_threshold": 1.5}):
        yield {"name": f"Sam masks {form}", "class": "Sam", "method": "post_process_masks", "masks": masks, "args": {**sam, **form}, "settings": settings}
        yield {"name": f"Sam2 masks {form}", "class": "Sam2", "method": "post_process_masks", "masks": masks, "args": {**sizes, **form}}
        apart = {"apply_non_overlapping_constraints": True, **form}
        yield {"name": f"Sam3 masks apart {form}", "class": "Sam3", "method": "post_process_masks", "masks": masks, "args": {**sizes, **apart}}
    for layers, points in ((0, 5), (1, 4), (2, 32)):
        args = {"image": R("integers", 3, 45, 60, seed=42, high=256, dtype="uint8"), "target_size": 64, "crop_n_layers": layers, "points_per_crop": points}
        yield {"name": f"crops {layers}", "class": "Sam", "method": "generate_crop_boxes", "args": args}
    for crop in ([0, 0, 60, 45], [20, 5, 60, 45]):
        width, height = crop[2] - crop[0], crop[3] - crop[1]
        args = {"masks": R("blobs", 4, 3, height, width, seed=43, height=40, rough=0.1), "iou_scores": R("noise", 4, 3, seed=44, low=0.8, high=1), "original_size": [45, 60], "cropped_box_image": crop}
        for form in ({}, {"pred_iou_thresh": 0.0, "stability_score_thresh": 0.5}, {"mask_threshold": 2.0, "stability_score_offset": 3.0, "stability_score_thresh": 0.8}):
            yield {"name": f"filter {crop} {form}", "class": "Sam", "method": "filter_masks", "args": {**args, **form}}
    rle = [{"size": [4, 5], "counts": [n, 3, 17 - n]} for n in range(12)]
    args = {"all_masks": rle, "all_scores": R("noise", 12, seed=45, low=0, high=1), "all_boxes": {"recipe": "values", "value": [[n % 5, n % 3, 20 + n, 30 - n] for n in range(12)]}, "crops_nms_thresh": 0.7}
    yield {"name": "unique masks", "class": "Sam", "method": "post_process_for_mask_generation", "args": args}


def _text():
    steps = {"last_hidden_state": R("noise", 3, 14, 5, seed=46, low=0, high=1)}
    settings = {"character_list": ["", "a", "b", "c", "d"]}
    for seed in (67, 68):
        table = {"last_hidden_state": R("noise", 2, 40, 50, seed=seed, low=0, high=1)}
        yield {"name": f"SLANeXt {seed}", "class": "SLANeXt", "method": "post_process_table_recognition", "outputs": table, "args": {}}
    for name in ("PPOCRV5ServerRec", "PPOCRV6SmallRec"):
        yield {"name": name, "class": name, "method": "post_process_text_recognition", "outputs": steps, "args": {}, "settings": settings}


CASES = [case for group in (_dense, _semantic_queries, _segments, _instances, _detection, _maps, _points, _sam, _text) for case in group()]
