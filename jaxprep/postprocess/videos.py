"""Post-processing that video processors have: that of SAM and EoMT, with the settings of videos."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import jax

from jaxprep.postprocess.instances import eomt_instance_segmentation
from jaxprep.postprocess.masks import sam_masks
from jaxprep.postprocess.registry import INSTANCE, PANOPTIC, SEMANTIC, method
from jaxprep.postprocess.segments import eomt_panoptic_segmentation
from jaxprep.postprocess.semantic import query_semantic_segmentation

VIDEOMT = "VideomtVideoProcessor"


@method("Sam2VideoVideoProcessor", "post_process_masks", settings=("size",))
def sam2_video_masks(
    masks: Any,
    original_sizes: Any,
    reshaped_input_sizes: Any,
    mask_threshold: float = 0.0,
    binarize: bool = True,
    pad_size: Any = None,
    *,
    size: Any = None,
) -> list[jax.Array]:
    """Resizes masks of SAM 2 to the frames of a video, as `sam_masks` does it.

    Reproduces `models/sam2_video/video_processing_sam2_video.py` of Transformers.

    Args:
        masks, original_sizes, reshaped_input_sizes, mask_threshold, binarize: as in `sam_masks`; so
            are the results.
        pad_size: of the network's input; by default `size`.
        size: the processor's.

    >>> import numpy as np
    >>> size = {"height": 8, "width": 8}
    >>> masks = [np.ones((1, 3, 4, 4), np.float32)]
    >>> sam2_video_masks(masks, [(10, 20)], [(8, 8)], size=size)[0].shape
    (1, 3, 10, 20)
    """
    network = size if pad_size is None else pad_size
    return sam_masks(masks, original_sizes, reshaped_input_sizes, mask_threshold, binarize, network)


@method(VIDEOMT, SEMANTIC)
def videomt_semantic_segmentation(
    outputs: Any, target_sizes: Any, return_segmentation_scores: bool = False
) -> list[Any]:
    """Returns class maps of the frames of a video, as `query_semantic_segmentation` does it.

    Reproduces `models/videomt/video_processing_videomt.py` of Transformers.

    Args:
        outputs: with `class_queries_logits` and `masks_queries_logits`, a frame for each image.
        target_sizes: (height, width) per frame; required.
        return_segmentation_scores: as in `dense_semantic_segmentation`.

    >>> import numpy as np
    >>> outputs = {
    ...     "class_queries_logits": np.float32([[[0, 9, 0]]]),
    ...     "masks_queries_logits": np.zeros((1, 1, 2, 2), np.float32),
    ... }
    >>> videomt_semantic_segmentation(outputs, [(1, 2)])[0].tolist()
    [[1, 1]]
    """
    return query_semantic_segmentation(outputs, target_sizes, return_segmentation_scores)


@method(VIDEOMT, INSTANCE)
def videomt_instance_segmentation(
    outputs: Any, target_sizes: Any, threshold: float = 0.5
) -> list[dict[str, Any]]:
    """Returns instances on the frames of a video, as `eomt_instance_segmentation` does it.

    Reproduces `models/videomt/video_processing_videomt.py` of Transformers.

    Args:
        outputs, target_sizes: as in `videomt_semantic_segmentation`.
        threshold: the least score of an instance.

    >>> import numpy as np
    >>> outputs = {
    ...     "class_queries_logits": np.float32([[[0, 99, 0]]]),
    ...     "masks_queries_logits": np.full((1, 1, 2, 2), 9, np.float32),
    ... }
    >>> videomt_instance_segmentation(outputs, [(1, 2)])[0]["segmentation"].tolist()
    [[0, 0]]
    """
    return eomt_instance_segmentation(outputs, target_sizes, threshold)


@method(VIDEOMT, PANOPTIC)
def videomt_panoptic_segmentation(
    outputs: Any,
    target_sizes: Any,
    threshold: float = 0.8,
    mask_threshold: float = 0.5,
    overlap_mask_area_threshold: float = 0.8,
    label_ids_to_fuse: Collection[int] | None = None,
) -> list[dict[str, Any]]:
    """Returns segments on the frames of a video, as `eomt_panoptic_segmentation` does it.

    Reproduces `models/videomt/video_processing_videomt.py` of Transformers.

    Args:
        outputs, target_sizes: as in `videomt_semantic_segmentation`.
        threshold, mask_threshold, overlap_mask_area_threshold: as in `panoptic_segmentation`.
        label_ids_to_fuse: labels with one segment per frame.

    >>> import numpy as np
    >>> outputs = {
    ...     "class_queries_logits": np.float32([[[0, 99, 0]]]),
    ...     "masks_queries_logits": np.full((1, 1, 2, 2), 9, np.float32),
    ... }
    >>> videomt_panoptic_segmentation(outputs, [(1, 2)])[0]["segmentation"].tolist()
    [[0, 0]]
    """
    return eomt_panoptic_segmentation(
        outputs,
        target_sizes,
        threshold,
        mask_threshold,
        overlap_mask_area_threshold,
        label_ids_to_fuse,
    )
