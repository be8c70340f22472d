"""Which functions stand behind the methods of each Transformers processor: a table, by class and by
method.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from jaxprep.postprocess import (
    classification,
    depth,
    detection,
    documents,
    images,
    instances,
    keypoints,
    mask_generation,
    masks,
    pose,
    segments,
    semantic,
    surfaces,
    text,
    text_boxes,
    windows,
)
from jaxprep.postprocess.results import value_of


@dataclass(frozen=True)
class Method:
    """A function as a processor's method.

    Attributes:
        function: takes what the method takes, in the same order.
        settings: the parameters that the processor's settings fill where the caller does not.
        fixed: the parameters in which the class differs from others that share the function.
    """

    function: Callable[..., Any]
    settings: tuple[str, ...] = ()
    fixed: Mapping[str, Any] = field(default_factory=dict)

    def __call__(self, processor: Any, *args: Any, **kwargs: Any) -> Any:
        """Calls the function with the settings of `processor`, an object with attributes or a
        mapping.
        """
        given = inspect.signature(self.function).bind_partial(*args, **kwargs).arguments
        for name in self.settings:
            value = value_of(processor, name)
            if name not in given and value is not None:
                kwargs[name] = value
        return self.function(*args, **kwargs, **self.fixed)


def _method(function: Callable[..., Any], *settings: str, **fixed: Any) -> Method:
    return Method(function, settings, fixed)


SEMANTIC = "post_process_semantic_segmentation"
INSTANCE = "post_process_instance_segmentation"
PANOPTIC = "post_process_panoptic_segmentation"
DETECTION = "post_process_object_detection"
GROUNDED = "post_process_grounded_object_detection"
GUIDED = "post_process_image_guided_detection"
DEPTH = "post_process_depth_estimation"
NORMALS = "post_process_normal_estimation"
MATCHING = "post_process_keypoint_matching"

_DENSE = {SEMANTIC: _method(semantic.dense_semantic_segmentation)}
_DEPTH = {DEPTH: _method(depth.depth_estimation)}
_DETR = {
    DETECTION: _method(detection.softmax_detection),
    SEMANTIC: _method(semantic.query_semantic_segmentation),
    INSTANCE: _method(segments.detr_instance_segmentation),
    PANOPTIC: _method(segments.panoptic_segmentation),
}
_MASKFORMER = {
    SEMANTIC: _method(semantic.query_semantic_segmentation),
    INSTANCE: _method(instances.top_instance_segmentation),
    PANOPTIC: _method(segments.panoptic_segmentation),
}
_GENERATION = {
    "generate_crop_boxes": _method(mask_generation.generate_crop_boxes),
    "filter_masks": _method(mask_generation.filter_masks),
    "post_process_for_mask_generation": _method(mask_generation.unique_masks),
}
_SAM2 = {"post_process_masks": _method(masks.sam2_masks), **_GENERATION}
_MATCHING = {MATCHING: _method(keypoints.keypoint_matching)}
_OWL = {
    DETECTION: _method(detection.text_detection),
    GUIDED: _method(detection.image_guided_detection),
    GROUNDED: _method(detection.labelled_detection),
}
_TEXT = {"post_process_text_recognition": _method(text.text_recognition, "character_list")}

METHODS: dict[str, dict[str, Method]] = {
    "BeitImageProcessor": _DENSE,
    "CHMv2ImageProcessor": {**_DENSE, DEPTH: _method(depth.depth_estimation, rule="align_corners")},
    "ConditionalDetrImageProcessor": {
        **_DETR,
        DETECTION: _method(detection.top_100_detection),
        SEMANTIC: _method(semantic.query_semantic_segmentation, null=False),
    },
    "DPTImageProcessor": {**_DENSE, **_DEPTH},
    "DeformableDetrImageProcessor": {DETECTION: _method(detection.top_100_detection)},
    "DepthProImageProcessor": {DEPTH: _method(depth.depth_pro_estimation, "resample")},
    "DetrImageProcessor": _DETR,
    "EfficientLoFTRImageProcessor": {MATCHING: _method(keypoints.dense_matching)},
    "EomtImageProcessor": {
        SEMANTIC: _method(semantic.eomt_semantic_segmentation, "size"),
        INSTANCE: _method(instances.eomt_instance_segmentation, "size"),
        PANOPTIC: _method(segments.eomt_panoptic_segmentation, "size"),
        "merge_image_patches": _method(windows.merge_image_patches, "size"),
        "unpad_image": _method(windows.unpad_image, "size"),
    },
    "GLPNImageProcessor": _DEPTH,
    "GroundingDinoImageProcessor": {DETECTION: _method(detection.text_detection)},
    "GroundingDinoProcessor": {GROUNDED: _method(detection.grounded_detection, "batch_decode")},
    "LightGlueImageProcessor": _MATCHING,
    "Mask2FormerImageProcessor": {
        name: Method(method.function, method.settings, {"first_size": semantic.MASK2FORMER_SIZE})
        for name, method in _MASKFORMER.items()
    },
    "MaskFormerImageProcessor": _MASKFORMER,
    "MobileNetV2ImageProcessor": _DENSE,
    "MobileViTImageProcessor": _DENSE,
    "OmDetTurboProcessor": {GROUNDED: _method(detection.omdet_detection, "size")},
    "OneFormerImageProcessor": {
        SEMANTIC: _method(semantic.query_semantic_segmentation, rule="antialias"),
        INSTANCE: _method(instances.oneformer_instance_segmentation, "metadata", "class_info_file"),
        PANOPTIC: _method(
            segments.panoptic_segmentation, variant=segments.DETR._replace(rule="antialias")
        ),
    },
    "OneFormerImageProcessorPil": {SEMANTIC: _method(semantic.query_semantic_segmentation)},
    "OwlViTImageProcessor": _OWL,
    "Owlv2ImageProcessor": {
        name: Method(method.function, (), {"square": True}) for name, method in _OWL.items()
    },
    "PPOCRV5ServerDetImageProcessor": {DETECTION: _method(text_boxes.text_detection)},
    "PPDocLayoutV2ImageProcessor": {DETECTION: _method(documents.layout_detection)},
    "PPDocLayoutV3ImageProcessor": {DETECTION: _method(documents.layout_detection)},
    "PPDocLayoutV4ImageProcessor": {DETECTION: _method(documents.quad_layout_detection)},
    "PPOCRV5ServerRecImageProcessor": _TEXT,
    "PPOCRV6SmallRecImageProcessor": _TEXT,
    "PromptDepthAnythingImageProcessor": _DEPTH,
    "RTDetrImageProcessor": {DETECTION: _method(detection.focal_detection)},
    "RfDetrImageProcessor": {
        DETECTION: _method(detection.top_detection),
        INSTANCE: _method(instances.rfdetr_instance_segmentation),
    },
    "Sam2ImageProcessor": _SAM2,
    "Sam3ImageProcessor": {
        **_SAM2,
        SEMANTIC: _method(semantic.sam3_semantic_segmentation),
        DETECTION: _method(detection.sam3_detection),
        INSTANCE: _method(detection.sam3_instance_segmentation),
    },
    "SamImageProcessor": {
        "post_process_masks": _method(masks.sam_masks, "pad_size"),
        **_GENERATION,
    },
    "Sapiens2ImageProcessor": {
        **_DENSE,
        NORMALS: _method(surfaces.sapiens_normal_estimation, "size"),
        "post_process_pose_estimation": _method(pose.pose_estimation, "size"),
        "post_process_pointmap_estimation": _method(surfaces.pointmap_estimation, "size"),
        "post_process_image_matting": _method(surfaces.image_matting),
    },
    "SegGptImageProcessor": {
        SEMANTIC: _method(semantic.seggpt_semantic_segmentation, "image_mean", "image_std")
    },
    "SegformerImageProcessor": _DENSE,
    "SuperGlueImageProcessor": _MATCHING,
    "SuperPointImageProcessor": {
        "post_process_keypoint_detection": _method(keypoints.keypoint_detection)
    },
    "Swin2SRImageProcessor": {
        "post_process_super_resolution": _method(images.super_resolution, "do_pad", "size_divisor")
    },
    "Tipsv2DptImageProcessor": {
        DEPTH: _method(depth.depth_estimation, rule="bilinear"),
        NORMALS: _method(surfaces.normal_estimation),
        SEMANTIC: _method(
            semantic.dense_semantic_segmentation, names=("segmentation_logits", "logits")
        ),
    },
    "YolosImageProcessor": {DETECTION: _method(detection.softmax_detection)},
    "ZoeDepthImageProcessor": {DEPTH: _method(depth.zoe_depth_estimation, "do_pad")},
}
"""Functions by class and method; `methods` also knows the names that classes had or have besides.

A class of the PIL backend has a row only for what it does in another way.
"""

SHARED = {"post_process_image_classification": _method(classification.image_classification)}
"""What every processor has: Transformers has no such method."""


_SAME = {"SamHQ": "Sam", "Sam3Tracker": "Sam3", "Sam3LiteText": "Sam3", "EdgeTam": "Sam2"}


def methods(class_name: str) -> dict[str, Method]:
    """The methods of a processor class, by any of its names.

    `DetrImageProcessor`, `DetrImageProcessorPil`, `DetrImageProcessorFast` and
    `DetrFeatureExtractor` are one; a `…Processor` with a tokenizer has those of its image processor
    and its own.
    """
    name = class_name.removesuffix("Pil").removesuffix("Fast")
    own = METHODS.get(name, {})
    for suffix in ("ImageProcessor", "FeatureExtractor", "Processor"):
        if name.endswith(suffix):
            family = name.removesuffix(suffix)
            own = {**METHODS.get(f"{_SAME.get(family, family)}ImageProcessor", {}), **own}
            break
    return {**own, **METHODS.get(class_name, {}), **SHARED}
