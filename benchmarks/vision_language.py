"""Times image and video processors of vision-language models beside Transformers' torchvision
backend, and counts what jaxprep compiles for images of many sizes.

Three cases: Qwen2-VL on 16 photographs of 16 sizes, LLaVA-NeXT on 8, VideoMAE on 4 clips of 16
frames of 240 x 320. Both get NumPy arrays and return NumPy arrays, from the same call. Each peer
runs in processes of its own, in turn; its best process counts, after the results are found to be
the same to 2e-6 of max(1, |x|).

Usage: `python benchmarks/vision_language.py [--cores 1] [--seconds 5] [--rounds 3] [--output FILE]
[--python jaxprep=PATH --python torch=PATH]`. The result is printed, and written to
`results/vision_language.txt`.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from pathlib import Path
from typing import Any

import environments
from cases import RAGGED
from measure import measure
from processes import ROOT, machine, run_json, variables
from report import header
from worker import pin, versions

GROUPS = {"jaxprep": "jaxprep", "Transformers": "torch"}
# By the name that is printed: the class, its settings, what it takes, and how many.
CASES: dict[str, tuple[str, dict[str, Any], str, int]] = {
    "Qwen2-VL, 16 photographs": ("Qwen2VLImageProcessor", {}, "images", 16),
    # of llava-v1.6, whose tiles of 336 pixels divide its canvases; those of the class do not
    "LLaVA-NeXT, 8 photographs": (
        "LlavaNextImageProcessor",
        {"size": {"shortest_edge": 336}, "crop_size": {"height": 336, "width": 336}},
        "images",
        8,
    ),
    "VideoMAE, 4 clips of 16 frames": ("VideoMAEVideoProcessor", {}, "videos", 4),
}
FRAMES, CLIP_SIZE = 16, (240, 320)
WANTED = 2.0
SIZES = 50
TOLERANCE = 2e-6


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cores", type=int, default=1)
    parser.add_argument("--seconds", type=float, default=5.0, help="of each process")
    parser.add_argument("--rounds", type=int, default=3, help="processes of each")
    parser.add_argument(
        "--output", type=Path, default=ROOT / "benchmarks/results/vision_language.txt"
    )
    parser.add_argument("--worker", help=argparse.SUPPRESS)
    environments.add_options(parser)
    args = parser.parse_args()
    if args.worker:
        print(json.dumps(work(json.loads(args.worker))))
        return
    described = header(machine())
    pythons = environments.pythons(args, set(GROUPS.values()))
    lines = [f"{args.cores} core(s); ms a call: best process, and all of them; median of the best"]
    for case in CASES:
        lines += _compared(case, args, pythons)
    for case in CASES:
        if "images" in CASES[case]:
            request = {"case": case, "peer": "compiles", "cores": args.cores}
            counted = _run(pythons["jaxprep"], request, args.cores)
            lines.append(
                f"{case}: {counted['programs']} programs for {SIZES} random sizes, one a call"
            )
    command = f"$ python benchmarks/vision_language.py --cores {args.cores}"
    text = f"{command}\n{described}\n" + "\n".join(lines) + "\n"
    print(text, end="")
    args.output.write_text(text)


def _compared(case: str, args: argparse.Namespace, pythons: dict[str, str]) -> list[str]:
    """The lines of a case."""
    best: dict[str, float] = {}
    lines = []
    with tempfile.TemporaryDirectory() as folder:
        for peer, group in GROUPS.items():
            request = {
                "case": case,
                "peer": peer,
                "cores": args.cores,
                "seconds": args.seconds,
                "result": str(Path(folder, f"{peer}.npz")),
            }
            runs = [_run(pythons[group], request, args.cores) for _ in range(args.rounds)]
            fastest = min(runs, key=lambda run: run["minimum"])
            best[peer] = fastest["minimum"]
            every = ", ".join(f"{1000 * run['minimum']:.1f}" for run in runs)
            lines.append(
                f"{case:32}{peer:14}{1000 * best[peer]:9.1f}   ({every})   "
                f"{1000 * fastest['median']:.1f}   {fastest['versions']}"
            )
            print(lines[-1], file=sys.stderr)
        request = {"case": case, "peer": "same", "cores": args.cores, "folder": folder}
        largest = _run(pythons["jaxprep"], request, args.cores)["largest"]
    ratio = best["Transformers"] / best["jaxprep"]
    met = "met" if ratio >= WANTED else "not met"
    lines.append(
        f"{case}: {ratio:.2f} times as fast as Transformers (wanted {WANTED:g}: {met}); largest "
        f"difference {largest:.1e}"
    )
    return lines


def _run(python: str, request: dict[str, Any], cores: int) -> dict[str, Any]:
    answer = run_json([python, __file__, "--worker", json.dumps(request)], variables(cores))
    if "error" in answer:
        raise SystemExit(f"{request}: {answer['error']}")
    return answer


# -- in a process of its own -----------------------------------------------------------------------


def work(request: dict[str, Any]) -> dict[str, Any]:
    """Answer one request, in this process."""
    pin(request["cores"])
    if request["peer"] == "same":
        return {"largest": largest_difference(Path(request["folder"]))}
    name, settings, kind, count = CASES[request["case"]]
    if request["peer"] == "compiles":
        return {"programs": programs(name, settings)}
    import numpy as np

    if request["peer"] == "Transformers":
        from peers.torch_ import load_torch

        torch = load_torch(request["cores"])
        torch.set_grad_enabled(False)
        import transformers as library
    else:
        import jaxprep.huggingface as library
    processor = getattr(library, name)(**settings)
    inputs = photographs(np, count) if kind == "images" else clips(np, count)

    def call() -> Any:
        return processor(inputs, return_tensors="np")

    results = {key: np.asarray(value) for key, value in call().items()}
    np.savez(request["result"], **results)
    return {**measure(call, request["seconds"], 5), "versions": _told(versions())}


def _told(installed: dict[str, str]) -> str:
    names = ("jax", "torch", "torchvision", "transformers")
    return ", ".join(f"{name} {installed[name]}" for name in names if name in installed)


def photographs(np: Any, count: int) -> list[Any]:
    """Return the example photographs in as many sizes, landscape and portrait."""
    from PIL import Image

    paths = sorted((ROOT / "examples" / "photos").glob("*.jpg"))
    images = []
    for i, (height, width) in enumerate(RAGGED[:count]):
        photo = Image.open(paths[i % len(paths)]).convert("RGB")
        images.append(np.asarray(photo.resize((width, height))))
    return images


def clips(np: Any, count: int) -> list[Any]:
    """Return clips `(t, h, w, 3)`: a window that moves over a photograph."""
    made = []
    height, width = CLIP_SIZE
    for photo in photographs(np, count):
        rows = np.arange(height)[:, None] % photo.shape[0]
        frames = []
        for t in range(FRAMES):
            columns = (np.arange(width)[None, :] + 3 * t) % photo.shape[1]
            frames.append(photo[rows, columns])
        made.append(np.stack(frames))
    return made


def programs(name: str, settings: dict[str, Any]) -> int:
    """Return how many programs are compiled for images of random sizes, one after another."""
    import jax
    import jax.monitoring
    import numpy as np

    import jaxprep.huggingface

    processor = getattr(jaxprep.huggingface, name)(**settings)
    compiled: list[str] = []

    def listen(event: str, seconds: float, **_: Any) -> None:
        if event == "/jax/core/compile/backend_compile_duration":
            compiled.append(event)

    jax.monitoring.register_event_duration_secs_listener(listen)
    for height, width in np.random.default_rng(0).integers(200, 1200, (SIZES, 2)).tolist():
        processor(np.zeros((height, width, 3), np.uint8), return_tensors="np")
    return len(compiled)


def largest_difference(folder: Path) -> float:
    """Return the largest difference of the results of both, relative to max(1, |x|).

    Raises:
        AssertionError: keys or shapes differ, or values by more than the tolerance.
    """
    import numpy as np

    ours, theirs = (np.load(folder / f"{peer}.npz") for peer in GROUPS)
    assert sorted(ours.files) == sorted(theirs.files), (ours.files, theirs.files)
    largest = 0.0
    for key in theirs.files:
        found, wanted = ours[key], theirs[key]
        assert found.shape == wanted.shape, (key, found.shape, wanted.shape)
        scale = np.maximum(1, np.abs(wanted.astype(np.float64)))
        largest = max(largest, float(np.max(np.abs(found.astype(np.float64) - wanted) / scale)))
    assert largest <= TOLERANCE, f"the results differ by {largest:.2g} of max(1, |x|)"
    return largest


if __name__ == "__main__":
    main()
