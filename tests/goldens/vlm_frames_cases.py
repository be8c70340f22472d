"""VideoMAE, ViViT and TVP: what they are compared on. A case is as in `vlm_patches_cases`; lists of images are clips."""

from goldens.huggingface_cases import GRAY, LAND, LONG, PORT, RGBA, TINY

CROP = {"height": 48, "width": 56}
SMALL = {"size": {"shortest_edge": 60}, "crop_size": CROP}
VALUES = [{"do_rescale": False}, {"do_normalize": False}, {"rescale_factor": 0.01}]
STATISTICS = {"image_mean": [0.4, 0.5, 0.55], "image_std": [0.2, 0.3, 0.25]}
SHARED = [
    SMALL,
    {"size": {"height": 50, "width": 40}, "crop_size": CROP},
    {**SMALL, "do_center_crop": False},
    {**SMALL, "do_resize": False},
    {**SMALL, "resample": 3},
    {**SMALL, **STATISTICS},
    {"size": 60, "crop_size": 64},
]
PADDED = {"size": {"longest_edge": 60}, "crop_size": CROP, "pad_size": {"height": 70, "width": 64}}
NO_CROP = {**PADDED, "do_center_crop": False}
SETTINGS = {
    "VideoMAEImageProcessor": [*SHARED, *({**SMALL, **values} for values in VALUES), {**SMALL, "do_convert_rgb": True}],
    "VivitImageProcessor": [
        *SHARED,
        *({**SMALL, **values} for values in VALUES[1:]),
        {**SMALL, "offset": False},
        {**SMALL, "offset": False, "do_rescale": False},
    ],
    "TvpImageProcessor": [
        PADDED,
        NO_CROP,
        {**PADDED, "size": {"height": 50, "width": 40}},
        {**PADDED, "size": {"shortest_edge": 30}},
        {**PADDED, "do_resize": False},
        {**PADDED, "do_flip_channel_order": False},
        {**PADDED, "do_convert_rgb": True},
        {**PADDED, "resample": 3},
        {**PADDED, "do_pad": False},
        {**NO_CROP, "constant_values": 0.5},
        {**PADDED, **STATISTICS},
        *({**PADDED, **values} for values in VALUES),
    ],
}
MODES = [{**NO_CROP, "pad_mode": mode} for mode in ("reflect", "replicate", "symmetric")]


def cases(backend: str) -> list[dict]:
    """Every variation of every class, on photographs that take turns."""
    found = []
    for name, variations in SETTINGS.items():
        if name.startswith("Vivit") and backend != "pil":
            continue  # which has one backend, of NumPy
        for i, settings in enumerate([*variations, *(MODES if name.startswith("Tvp") and backend == "pil" else [])]):
            inputs = [[LAND, PORT], [[PORT, LAND], [LAND, PORT]], [LAND]][i % 3] if i else [[LAND, LONG], [PORT, TINY]]
            is_one_size = settings.get("do_center_crop", True) or name.startswith("Tvp")
            if not is_one_size or (name.startswith("Vivit") and not settings.get("do_resize", True)):
                inputs = [[LAND, LAND], [LAND, LAND]]
            if settings.get("do_convert_rgb"):
                inputs = [[RGBA, GRAY], [LAND, PORT]]
            if name.startswith("Tvp") and not settings.get("do_pad", True):
                settings = {**settings, "crop_size": {"height": 70, "width": 64}}
            found.append({"class": name, "settings": settings, "inputs": inputs, "call": {"return_tensors": "np"}})
    return found
