"""The requests by which samplings of frames are compared: for every video processor 500 random clips with what is asked of
them, and the rule of `jaxprep.videos.sampling` that shall give the same. Used by `write_video.py` and by the tests; only
NumPy is needed.
"""

import hashlib
import json

import numpy as np

COUNT = 500
"""Requests for each class."""
KEPT = 12
"""Of them, the answers that are kept whole; of all there is a digest."""

_COMMON = {"num_frames": None, "fps": None}
_QWEN2 = {"temporal_patch_size": 2, "min_frames": 4, "max_frames": 768}
_QWEN3 = {"fps": 2, "min_frames": 4, "max_frames": 768}

SETTINGS: dict[str, tuple[str, dict]] = {
    **{
        f"{name}VideoProcessor": ("uniform", {})
        for name in (
            "InstructBlipVideo", "LlavaNextVideo", "LlavaOnevision", "PerceptionLM", "Timesformer", "VideoMAE", "VideoLlava",
            "Videomt", "Vivit", "VJEPA2", "Sam2Video", "NemotronH_Omni_Reasoning_V3",
        )
    },
    "Kimi_K25VideoProcessor": ("uniform", {"fps": 2}),
    "MiniMaxM3VLVideoProcessor": ("uniform", {"fps": 1.0}),
    "Gemma4VideoProcessor": ("uniform", {"num_frames": 32}),
    "Gemma4UnifiedVideoProcessor": ("uniform", {"num_frames": 32}),
    "Qwen2VLVideoProcessor": ("stepped", _QWEN2),
    "VideoLlama3VideoProcessor": ("stepped", {"temporal_patch_size": 1, "min_frames": 4, "max_frames": 180}),
    "Ernie4_5_VLMoeVideoProcessor": ("stepped_within", {"min_frames": 16, "max_frames": 180}),
    "InternVLVideoProcessor": ("shifted", {"initial_shift": True}),
    "Qwen3VLVideoProcessor": ("spread", _QWEN3),
    "CohereCompassVideoProcessor": ("spread", _QWEN3),
    "Cosmos3EdgeVideoProcessor": ("spread", _QWEN3),
    "HYV4VLVideoProcessor": ("spread", {"fps": 2, "min_frames": 2, "max_frames": 1024}),
    "Glm4vVideoProcessor": ("by_second", {"fps": 2, "max_duration": 300}),
    "Glm46VVideoProcessor": ("by_dynamic_rate", {"temporal_patch_size": 2}),
    "Glm5NextVideoProcessor": ("by_rate", {"fps": 2, "max_frames": 2048}),
    "GlmgaVideoProcessor": ("by_rate_before_end", {"fps": 2, "max_frames": 640}),
    "MuseGlimmerVideoProcessor": ("even", {"fps": 2.0, "num_frames": 96, "temporal_patch_size": 2}),
    "SmolVLMVideoProcessor": ("inner", {}),
    "EmbeddingGemma2VideoProcessor": ("by_budget", {"fps": 1, "max_frames": 32, "overflow_strategy": "uniform"}),
    "MiniCPMV4_6VideoProcessor": ("every_second", {"max_num_frames": 128, "stack_frames": 1}),
    "MiniCPMOcrVideoProcessor": ("every_second", {"max_num_frames": 128, "stack_frames": 1}),
    "Molmo2VideoProcessor": ("capped", {"num_frames": 64, "max_fps": 2}),
    "PeVideoVideoProcessor": ("ends_included", {}),
}
"""By class: the rule, and the settings of the class that the rule reads."""

_RATES = [24, 25, 30, 60, 15, 10, 29.97, 23.976, 59.94, 12.5, 8, 1]
_OTHERS = {  # other settings, with values that a call may give
    "InternVLVideoProcessor": {"initial_shift": [True, False, 0, 1, 2.5]},
    "EmbeddingGemma2VideoProcessor": {"max_frames": [4, 32, 100], "overflow_strategy": ["uniform", "truncate"]},
    "MiniCPMV4_6VideoProcessor": {"stack_frames": [1, 2, 3, 5], "max_num_frames": [8, 128]},
    "MiniCPMOcrVideoProcessor": {"stack_frames": [1, 2, 3, 5], "max_num_frames": [8, 128]},
    "Molmo2VideoProcessor": {"max_fps": [1, 2, 4.5]},
    "Qwen2VLVideoProcessor": {"min_frames": [2, 4, 16], "max_frames": [8, 64, 768], "temporal_patch_size": [1, 2, 4]},
    "VideoLlama3VideoProcessor": {"min_frames": [1, 4, 16], "max_frames": [8, 64, 180]},
    "Ernie4_5_VLMoeVideoProcessor": {"min_frames": [2, 16], "max_frames": [32, 180]},
}


def requests(name: str) -> list[tuple[dict, dict]]:
    """Clips (total_num_frames, fps, duration), each with the settings that a call gives besides those of the class."""
    seed = int(hashlib.sha256(name.encode()).hexdigest()[:8], 16)
    random = np.random.default_rng(seed)
    found = []
    for _ in range(COUNT):
        total = int(np.exp(random.uniform(0, np.log(4000))))
        rate = _RATES[random.integers(len(_RATES))]
        duration = [total / rate, round(total / rate, 2), (total - 1) / rate, None][random.integers(4)]
        clip = {"total_num_frames": total, "fps": rate, "duration": duration}
        if random.random() < 0.1:
            clip = {"total_num_frames": total, "fps": None, "duration": None}
        said = {}
        kind = random.integers(4)
        if kind in (0, 1):
            said = {"num_frames": int(random.integers(1, max(total, 2) + 2)), "fps": None}
        if kind == 2:
            said = {"fps": [0.5, 1, 2, 3, 4.5, 10][random.integers(6)], "num_frames": None}
        if name == "SmolVLMVideoProcessor":  # needs both
            said = {"num_frames": int(random.integers(1, 65)), "fps": [0.5, 1, 2][random.integers(3)]}
        for key, values in _OTHERS.get(name, {}).items():
            if random.random() < 0.5:
                said[key] = values[random.integers(len(values))]
        found.append((clip, said))
    return found


def is_fault(answer: list | str, clip: dict) -> bool:
    """Whether the original fails where a clip can well be sampled: an index beyond the end, no frame at all, or another error than the
    `ValueError` that says what is wrong with a request."""
    if isinstance(answer, str):
        return answer != "ValueError"
    return not answer or max(answer) >= clip["total_num_frames"]


def summary(name: str, answers: list) -> dict:
    """What is kept of the answers to all requests: which are faults, a digest of the others, and some short ones whole, by number."""
    clips = [clip for clip, _ in requests(name)]
    faults = [i for i, (answer, clip) in enumerate(zip(answers, clips, strict=True)) if is_fault(answer, clip)]
    short = [i for i, answer in enumerate(answers) if len(answer) <= 40 and i not in faults]
    return {"faults": faults, "digest": digest(answers, faults), "some": {str(i): answers[i] for i in short[:KEPT]}}


def digest(answers: list, faults: list[int]) -> str:
    """SHA-256 of the answers that are no faults."""
    kept = [None if i in faults else answer for i, answer in enumerate(answers)]
    return hashlib.sha256(json.dumps(kept).encode()).hexdigest()
