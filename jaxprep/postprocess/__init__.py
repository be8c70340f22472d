"""Converts model outputs to masks, boxes, labels and maps: what Transformers calls
`post_process_…`, without PyTorch.

Functions take a model's outputs (any object or mapping with the same fields, whose values are JAX
or NumPy arrays or torch tensors on the CPU) and return lists of dicts with the keys that
Transformers returns, one per image. What is computed per pixel or per query is a jitted program of
fixed shape, shared by all target sizes of a bucket; filtering by a threshold, whose result has any
length, happens on the host. `methods("DetrImageProcessor")` returns the functions by the names of
the methods there; `method` declares a function to be one, in this package or in yours:

>>> import numpy as np
>>> from jaxprep import postprocess
>>> @postprocess.method("TallyImageProcessor", "post_process_tally", settings=["threshold"])
... def tally(outputs, threshold=0.5):
...     scores = postprocess.results.field(outputs, "scores")
...     return [int((row > threshold).sum()) for row in scores]
>>> outputs = {"scores": np.float32([[0.4, 0.6, 0.9]])}
>>> tally(outputs)
[2]
>>> postprocess.methods("TallyImageProcessor")["post_process_tally"]({"threshold": 0.8}, outputs)
[1]
"""

import importlib
import pkgutil

from jaxprep.postprocess.classification import image_classification
from jaxprep.postprocess.depth import depth_estimation, depth_pro_estimation, zoe_depth_estimation
from jaxprep.postprocess.detection import (
    focal_detection,
    grounded_detection,
    image_guided_detection,
    labelled_detection,
    omdet_detection,
    open_vocabulary_detection,
    sam3_detection,
    sam3_instance_segmentation,
    softmax_detection,
    top_detection,
)
from jaxprep.postprocess.documents import layout_detection, quad_layout_detection
from jaxprep.postprocess.images import super_resolution
from jaxprep.postprocess.instances import (
    eomt_instance_segmentation,
    oneformer_instance_segmentation,
    rfdetr_instance_segmentation,
    top_instance_segmentation,
)
from jaxprep.postprocess.keypoints import dense_matching, keypoint_detection, keypoint_matching
from jaxprep.postprocess.mask_generation import filter_masks, generate_crop_boxes, unique_masks
from jaxprep.postprocess.masks import sam2_masks, sam_masks
from jaxprep.postprocess.pose import keypoints_from_heatmaps, pose_estimation, vitpose_estimation
from jaxprep.postprocess.registry import (
    DEPTH,
    DETECTION,
    EVERY_CLASS,
    GROUNDED,
    GUIDED,
    INSTANCE,
    MATCHING,
    METHODS,
    NORMALS,
    PANOPTIC,
    SEMANTIC,
    Method,
    method,
    methods,
)
from jaxprep.postprocess.segments import (
    detr_instance_segmentation,
    eomt_panoptic_segmentation,
    panoptic_segmentation,
)
from jaxprep.postprocess.semantic import (
    dense_semantic_segmentation,
    eomt_semantic_segmentation,
    query_semantic_segmentation,
    sam3_semantic_segmentation,
    seggpt_semantic_segmentation,
)
from jaxprep.postprocess.surfaces import (
    image_matting,
    normal_estimation,
    pointmap_estimation,
    sapiens_normal_estimation,
)
from jaxprep.postprocess.text import table_recognition, text_recognition
from jaxprep.postprocess.text_boxes import ocr_text_detection
from jaxprep.postprocess.unwarping import document_rectification
from jaxprep.postprocess.videos import (
    sam2_video_masks,
    videomt_instance_segmentation,
    videomt_panoptic_segmentation,
    videomt_semantic_segmentation,
)
from jaxprep.postprocess.windows import merge_image_patches, unpad_image

# Functions declare their methods when their module is imported. A new module needs no line above
# for that: those are for users who call functions by their names.
for _module in pkgutil.iter_modules(__path__):
    importlib.import_module(f"{__name__}.{_module.name}")

__all__ = [
    "DEPTH",
    "DETECTION",
    "EVERY_CLASS",
    "GROUNDED",
    "GUIDED",
    "INSTANCE",
    "MATCHING",
    "METHODS",
    "NORMALS",
    "PANOPTIC",
    "SEMANTIC",
    "Method",
    "dense_matching",
    "dense_semantic_segmentation",
    "depth_estimation",
    "depth_pro_estimation",
    "detr_instance_segmentation",
    "document_rectification",
    "eomt_instance_segmentation",
    "eomt_panoptic_segmentation",
    "eomt_semantic_segmentation",
    "filter_masks",
    "focal_detection",
    "generate_crop_boxes",
    "grounded_detection",
    "image_classification",
    "image_guided_detection",
    "image_matting",
    "keypoint_detection",
    "keypoint_matching",
    "keypoints_from_heatmaps",
    "labelled_detection",
    "layout_detection",
    "merge_image_patches",
    "method",
    "methods",
    "normal_estimation",
    "ocr_text_detection",
    "omdet_detection",
    "oneformer_instance_segmentation",
    "open_vocabulary_detection",
    "panoptic_segmentation",
    "pointmap_estimation",
    "pose_estimation",
    "quad_layout_detection",
    "query_semantic_segmentation",
    "rfdetr_instance_segmentation",
    "sam2_masks",
    "sam2_video_masks",
    "sam3_detection",
    "sam3_instance_segmentation",
    "sam3_semantic_segmentation",
    "sam_masks",
    "sapiens_normal_estimation",
    "seggpt_semantic_segmentation",
    "softmax_detection",
    "super_resolution",
    "table_recognition",
    "text_recognition",
    "top_detection",
    "top_instance_segmentation",
    "unique_masks",
    "unpad_image",
    "videomt_instance_segmentation",
    "videomt_panoptic_segmentation",
    "videomt_semantic_segmentation",
    "vitpose_estimation",
    "zoe_depth_estimation",
]


def __dir__() -> list[str]:
    return sorted(__all__)
