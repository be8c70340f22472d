"""Write `text_detection.npz`: maps of probabilities, and the boxes of text that Transformers finds in them with OpenCV.

Run where torch, torchvision, transformers and opencv-python-headless are installed:

    python tests/goldens/write_text_detection.py
"""

from types import SimpleNamespace

import _torch_env
import cv2
import numpy as np
import torch
import transformers

import store

KINDS = ("nothing", "pixel", "all", "noise", "rectangles", "discs", "strips", "lines", "rings")
OTHER = {"box_threshold": 0.3, "unclip_ratio": 2.0, "min_size": 2}


def drawn(kind: str, height: int, width: int, random: np.random.Generator) -> np.ndarray:
    """A map of probabilities in 255 steps."""
    room = np.zeros((height, width), np.float32)
    if kind == "pixel":
        room[height // 2, width // 2] = 0.9
    elif kind == "all":
        room[:] = 0.9
    elif kind == "noise":
        room = cv2.GaussianBlur(random.random((height, width)).astype(np.float32), (0, 0), 2) * 1.2 - 0.2
    elif kind != "nothing":
        for _ in range(random.integers(1, 12)):
            draw(room, kind, random)
        room += (room > 0) * random.normal(0, 0.05, room.shape).astype(np.float32)
    return np.round(np.clip(room, 0, 1) * 255).astype(np.uint8)


def draw(room: np.ndarray, kind: str, random: np.random.Generator) -> None:
    height, width = room.shape
    x, y, u, v = (int(random.integers(0, n)) for n in (width, height, width, height))
    value = float(0.5 + 0.5 * random.random())
    if kind == "rectangles":
        size = float(random.integers(4, width // 2)), float(random.integers(4, 20))
        corners = cv2.boxPoints(((x, y), size, float(random.random() * 90)))
        cv2.fillPoly(room, [corners.astype(np.int32)], value)
    elif kind == "discs":
        cv2.circle(room, (x, y), int(random.integers(2, 20)), value, -1)
    elif kind == "strips":
        end = x + int(random.integers(4, 60)), y + int(random.integers(3, 14))
        cv2.rectangle(room, (x, y), end, value, -1)
    elif kind == "lines":
        cv2.line(room, (x, y), (u, v), value, int(random.integers(1, 4)))
    else:
        cv2.circle(room, (x, y), int(random.integers(6, 20)), value, int(random.integers(1, 5)))


def main() -> None:
    store.require("transformers", 5)
    original = transformers.PPOCRV5ServerDetImageProcessor()
    random = np.random.default_rng(5)
    packages = ["numpy", "opencv-python-headless", "torch", "transformers"]
    writer = store.Writer(packages, cpu_capability=_torch_env.CPU_CAPABILITY)
    for i in range(72):
        kind = KINDS[i % len(KINDS)]
        height, width = (32 * int(n) for n in random.integers(1, 6, 2))
        size = [int(n) for n in random.integers(20, 900, 2)]
        settings = {} if i % 3 else OTHER
        is_float = bool(i % 2)
        levels = drawn(kind, height, width, random)
        outputs = SimpleNamespace(last_hidden_state=torch.from_numpy(levels / np.float32(255))[None, None])
        target = torch.tensor([size], dtype=torch.float32 if is_float else torch.int64)
        (found,) = original.post_process_object_detection(outputs, target_sizes=target, **settings)
        case = {"kind": kind, "size": size, "float": is_float, "settings": settings}
        boxes = found["boxes"].numpy().reshape(-1, 4, 2).astype(np.int16)
        writer.add(case, whole=True, map=levels, boxes=boxes, scores=found["scores"].numpy().astype(np.float32))
    writer.save("text_detection")


if __name__ == "__main__":
    main()
