"""Write `video.npz`, `video_tokens.npz`, `video_grids.json` and `video_samplings.json`: what Transformers' video processors make of the
cases of `video_cases` and `video_tokens_cases`, how many patches of videos, and which frames they choose of the clips of
`video_samplings`.

Run where torch, torchvision (0.27 or newer) and transformers are installed, from the root of the repository:

    python tests/goldens/write_video.py
"""

import json
import logging
import types
import warnings

import _torch_env
import torch
import transformers
from transformers.video_utils import VideoMetadata

import inputs
import store
import video_cases
import video_samplings
import video_tokens_cases
import vlm_results

NEEDED = {
    "NemotronH_Omni_Reasoning_V3VideoProcessor": {"norm_mean": [0.5] * 3, "norm_std": [0.5] * 3},
    "Ernie4_5_VLMoeVideoProcessor": {"draw_on_frames": False},
}
"""Settings without which a class cannot be made."""


def results(case: dict, photos) -> dict:
    """Every array that the original returns for a case, by name."""
    processor = video_tokens_cases.made(getattr(transformers, case["class"]), case["settings"])
    found = processor(video_cases.passed(case, photos), **case["call"])
    return video_cases.named(found, vlm_results.leaves)


def processed(name: str, method: str, options: dict) -> dict:
    """Every array that a method makes of `video_cases.outputs`."""
    tensors = {key: torch.from_numpy(array) for key, array in video_cases.outputs().items()}
    processor = getattr(transformers, name)(size={"height": 48, "width": 40})
    if method == "post_process_masks":
        masks = list(tensors["masks_queries_logits"][:, None])
        found = processor.post_process_masks(masks, video_cases.TARGETS, [[30, 36], [40, 20]], **options)
    else:
        found = getattr(processor, method)(types.SimpleNamespace(**tensors), video_cases.TARGETS, **options)
    return vlm_results.leaves({str(i): dict(one) if hasattr(one, "keys") else one for i, one in enumerate(found)})


def chosen(name: str) -> list:
    """For every request the indices that the original chooses; the name of its error where it fails."""
    processor = getattr(transformers, name)(**NEEDED.get(name, {}))
    answers = []
    for clip, said in video_samplings.requests(name):
        # What `BaseVideoProcessor.preprocess` passes to `sample_frames`.
        settings = {key: getattr(processor, key, None) for key in processor.valid_kwargs.__annotations__} | said
        for key in ("input_data_format", "do_convert_rgb", "do_sample_frames", "device", "video_metadata"):
            settings.pop(key, None)
        try:
            indices = processor.sample_frames(metadata=VideoMetadata(**clip), **settings)
            answers.append([int(index) for index in indices])
        except Exception as error:
            answers.append(type(error).__name__)
    return answers


def write_samplings() -> None:
    found = {}
    for name in video_samplings.SETTINGS:
        answers = chosen(name)
        found[name] = video_samplings.summary(name, answers)
    path = store.FOLDER / "video_samplings.json"
    path.write_text(json.dumps(found, separators=(",", ":")).replace('"},', '"},\n') + "\n")
    print(f"{path.name}: {len(found)} classes, {path.stat().st_size / 1e3:.0f} kB")


def new_writer() -> store.Writer:
    return store.Writer(
        ["numpy", "pillow", "torch", "torchvision", "transformers"], cpu_capability=_torch_env.CPU_CAPABILITY
    )


def write_tokens(photos) -> None:
    writer = new_writer()
    for case, arrays in store.attempts(video_tokens_cases.cases(), lambda case: results(case, photos)):
        writer.add({**case, "names": list(arrays)}, **arrays)
    writer.save("video_tokens")


def write_grids() -> None:
    found = []
    for stem, variations in video_tokens_cases.GRIDS.items():
        for settings in variations:
            processor = getattr(transformers, f"{stem}VideoProcessor")(**settings)
            answers = video_tokens_cases.digests(video_tokens_cases.number_of_patches(processor), range(8))
            found.append({"class": f"{stem}VideoProcessor", "settings": settings, "sha256": answers})
    path = store.FOLDER / "video_grids.json"
    path.write_text(json.dumps(found, indent=1) + "\n")
    print(f"{path.name}: {len(found)} records")


def main() -> None:
    photos = inputs.photos_argument(__doc__)
    store.require("transformers", 5)
    logging.disable(logging.WARNING)
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)  # float resizes change in the last bit with more
    write_tokens(photos)
    write_grids()
    write_samplings()
    writer = new_writer()
    for case, arrays in store.attempts(video_cases.cases(), lambda case: results(case, photos)):
        writer.add({**case, "names": list(arrays)}, **arrays)
    for name, method, options in video_cases.POST:
        arrays = processed(name, method, options)
        writer.add({"post": name, "method": method, "options": options, "names": list(arrays)}, **arrays)
    writer.save("video")


if __name__ == "__main__":
    with torch.no_grad():
        main()
