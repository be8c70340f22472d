"""`BaseVideoProcessor`: the calls of a video processor, and the classes by their names."""

from __future__ import annotations

import functools
import os
from collections.abc import Iterable
from typing import Any, ClassVar

import numpy as np

from jaxprep import frameworks
from jaxprep.errors import ArgumentError
from jaxprep.formats import Format
from jaxprep.formats.huggingface import classes
from jaxprep.formats.huggingface.read import VIDEOS, Kind
from jaxprep.huggingface.configs import layout_named
from jaxprep.huggingface.features import AUTO, BatchFeature, finish
from jaxprep.huggingface.processor import BaseImageProcessor, beside_inputs, made_class
from jaxprep.huggingface.video_call import VideoCall, chooser, read_videos
from jaxprep.huggingface.video_registry import VIDEO_FAMILIES
from jaxprep.huggingface.videos import VideoReading, videos_of
from jaxprep.inputs import BYTE_SCALE, warn_of_range
from jaxprep.settings import with_default_settings
from jaxprep.types import is_traced
from jaxprep.videos.metadata import VideoMetadata


class BaseVideoProcessor(BaseImageProcessor):
    """A video processor: call it on videos.

    Settings, their files and the hub are those of `BaseImageProcessor`, whose single operations
    (`resize`, `center_crop`, ...) take the frames of a video as a batch. The contract is that of
    `BaseVideoProcessor`:
    https://github.com/huggingface/transformers/blob/main/src/transformers/video_processing_utils.py

    >>> from jaxprep.huggingface import VideoMAEVideoProcessor
    >>> processor = VideoMAEVideoProcessor(size=8, crop_size=8)
    >>> processor(np.zeros((5, 20, 30, 3), np.uint8)).pixel_values.shape
    (1, 5, 3, 8, 8)
    """

    kind: ClassVar[Kind] = VIDEOS

    @classmethod
    def _type_of(cls, config: Format) -> Any:
        if cls.class_name is not None:
            return cls
        return video_processor_class(getattr(config, "class_name", ""))

    @classmethod
    def get_video_processor_dict(
        cls, pretrained_model_name_or_path: str | os.PathLike[str], **kwargs: Any
    ) -> tuple[dict[str, Any], dict[str, Any]]:
        """Read the content of a config file, unchanged: see `get_image_processor_dict`."""
        return cls.get_image_processor_dict(pretrained_model_name_or_path, **kwargs)

    def __call__(self, videos: Any = None, *args: Any, **kwargs: Any) -> Any:
        """Preprocess videos: see `preprocess`."""
        return self.preprocess(videos, *args, **kwargs)

    @with_default_settings
    def preprocess(
        self,
        videos: Any = None,
        *args: Any,
        return_tensors: Any = AUTO,
        video_metadata: Any = None,
        input_data_format: Any = None,
        device: Any = None,
        **kwargs: Any,
    ) -> BatchFeature:
        """Preprocess a video or many.

        Args:
            videos: a video: an array `(t, h, w, c)` or `(t, c, h, w)` (NumPy, JAX, a torch tensor),
                a list of frames (PIL or arrays), a path, a URL, the bytes of a file; a batch
                `(b, t, ...)`; or a list of any of them, nested or not, of any lengths and sizes.
            args: none; settings have names.
            return_tensors: "jax", "np", "pt" or "tf" for one array; None for what the class returns
                in Transformers: a list with one array per video, or one array where the class
                stacks them itself, as Qwen2-VL does. By default a `jax.Array`, or a list of them
                where videos are of different lengths. Inside a caller's transformation always the
                default.
            video_metadata: of videos that are no files, a mapping or a `VideoMetadata` for each:
                how many frames the video has, its `fps` and `duration`; sampling needs them.
            input_data_format: "channels_first" or "channels_last", of arrays; by default told by
                the number of channels of each video.
            device: a device or a sharding to put the results on; by default that of the videos,
                where they are `jax.Array`s.
            kwargs: settings for this call alone: `do_sample_frames`, with `num_frames` or `fps` (of
                which None is "none"); `return_metadata`, which adds the list `video_metadata`; ...

        Returns:
            the results by name; `pixel_values_videos` (or `pixel_values`) is `(b, t, c, h, w)`, or
            `(b, t, h, w, c)` with `data_format="channels_last"`.

        Raises:
            InputError: a video or an argument is not what the class takes, or cannot be sampled as
                asked.
            ConfigError: a setting is wrong.
            DecodeError: a file is no video, or damaged.
            MissingPackageError: a file is passed and PyAV (`jaxprep[video]`) is not installed.

        >>> from jaxprep.huggingface import InternVLVideoProcessor
        >>> processor = InternVLVideoProcessor(size={"height": 8, "width": 8})
        >>> clip = np.zeros((90, 20, 30, 3), np.uint8)
        >>> features = processor(clip, do_sample_frames=True, num_frames=2, return_metadata=True)
        >>> features.pixel_values_videos.shape, features.video_metadata[0].frames_indices
        ((1, 2, 3, 8, 8), (22, 67))
        """
        if args:
            raise ArgumentError(f"Expected one positional argument, got {1 + len(args)}.")
        own = self._class_config()
        call = VideoCall(
            videos,
            self._with_call_settings(kwargs),
            own,
            metadata_of(video_metadata),
            layout_named(input_data_format, "input_data_format"),
            is_traced(videos),
            return_tensors,
        )
        settings = call.config.effective
        if not call.is_traced:
            frameworks.prepare_process()
            if settings.flag("do_rescale") and settings.number("rescale_factor") <= BYTE_SCALE:
                warn_of_range(self, videos)
        read = read_videos(call)
        results = VIDEO_FAMILIES[call.row.family].run(call, read)
        if settings.flag("return_metadata"):
            each = [video.metadata for video in read for _ in range(video.count)]
            results["video_metadata"] = each
        if call.is_traced:
            return finish(results, AUTO)
        features = finish(results, return_tensors, call.config.listed_axes)
        if device is not None:
            return features.to(device)
        return beside_inputs(features, videos, batch_ndim=5)

    def fetch_videos(self, video_url_or_urls: Any, sample_indices_fn: Any = None) -> Any:
        """Decode videos of files: `(frames, metadata)`, and of a list a list of both.

        Args:
            video_url_or_urls: a path, an address, the bytes of a file, or a list of them.
            sample_indices_fn: called with `metadata`, returns the indices of the wanted frames; all
                by default.

        Raises:
            DecodeError: a file is no video, or damaged.
            MissingPackageError: PyAV (`jaxprep[video]`) is not installed.
        """
        if isinstance(video_url_or_urls, (list, tuple)):
            each = [self.fetch_videos(one, sample_indices_fn) for one in video_url_or_urls]
            return list(zip(*each, strict=True))

        def choose(metadata: VideoMetadata) -> VideoMetadata:
            return metadata.sampled(sample_indices_fn(metadata=metadata))

        reading = VideoReading(None if sample_indices_fn is None else choose, to_rgb=False)
        (video,) = videos_of(video_url_or_urls, reading)
        return video.frames, video.metadata

    def sample_frames(
        self, metadata: Any, num_frames: Any = None, fps: Any = None, **kwargs: Any
    ) -> np.ndarray:
        """Return the indices of the frames that a call with `do_sample_frames=True` takes.

        Args:
            metadata: of the video, a mapping or a `VideoMetadata`.
            num_frames, fps: as in a call; by default the processor's.
            kwargs: other settings that the class samples by.

        Raises:
            InputError: the request cannot be met, or needs what the metadata does not say.

        >>> from jaxprep.huggingface import VideoMAEVideoProcessor
        >>> metadata = {"total_num_frames": 90, "fps": 30}
        >>> VideoMAEVideoProcessor().sample_frames(metadata, fps=2).tolist()
        [0, 15, 30, 45, 60, 75]
        """
        own = self._class_config()
        config = self._with_call_settings({"num_frames": num_frames, "fps": fps, **kwargs})
        return np.asarray(chooser(config, own)(VideoMetadata.of(metadata)).frames_indices)


def metadata_of(value: Any) -> tuple[VideoMetadata, ...] | None:
    """Return metadata that a caller passed, one for each video; None where there is none.

    Raises:
        InputError: something else than a mapping, or a list of them, nested or not.

    >>> len(metadata_of([[{"total_num_frames": 8}], [VideoMetadata(9)]]))
    2
    """
    return None if value is None else tuple(_flat_metadata(value))


def _flat_metadata(value: Any) -> Iterable[VideoMetadata]:
    if not isinstance(value, (list, tuple)):
        yield VideoMetadata.of(value)
        return
    for item in value:
        yield from _flat_metadata(item)


@functools.cache
def video_processor_class(name: str) -> type[BaseVideoProcessor] | None:
    """Return the class of videos of a name; None if it is none that is read.

    >>> video_processor_class("VivitVideoProcessor").__name__
    'VivitVideoProcessor'
    """
    row = classes.video_rows().get(name)
    if row is None:
        return None
    methods = VIDEO_FAMILIES[row.family].methods
    return made_class(name, row, BaseVideoProcessor, methods)
