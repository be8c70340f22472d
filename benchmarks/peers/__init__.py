"""Lists the libraries that are measured: a peer is a row here, and a module in this folder.

The module does the work, in a process of that peer alone.

A module has `prepare(case, images, cores, **options)`, which returns what is to be timed: for each
*form* (how users call the peer) a function without arguments that returns the finished result. A
new peer is a module, a row, and a group of packages in `environments.py`.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from cases import Case

RESIZES = frozenset({"bilinear", "bicubic", "lanczos"})
# torchvision has no Lanczos for tensors: `InterpolationMode.LANCZOS` is of PIL images only.
TENSOR_RESIZES = frozenset({"bilinear", "bicubic"})


@dataclass(frozen=True)
class Peer:
    """Describes one library, or one of its backends.

    Attributes:
        name: as in `--peers`.
        environment: the group of packages it runs in.
        module: in this folder.
        options: for the module's `prepare`.
        methods: the methods of a case that it has.
        ragged: whether it takes images of several sizes.
        reference: whose uint8 levels its result must equal: "pillow" is checked in its process,
            "torchvision" against the peer `torchvision`; None where it is not exact.
        note: what it does, and what it leaves out; printed below the tables.
    """

    name: str
    environment: str
    module: str
    options: dict[str, str] = field(default_factory=dict)
    methods: frozenset[str] = RESIZES
    ragged: bool = True
    reference: str | None = None
    note: str = ""

    def takes(self, case: Case) -> bool:
        return case.method in self.methods and (self.ragged or not case.is_ragged)


def _jaxprep(
    name: str, reference: str, exact_to: str | None, methods: frozenset[str], note: str
) -> Peer:
    options = {"reference": reference}
    return Peer(name, "jaxprep", "jaxprep_", options, methods, reference=exact_to, note=note)


PEERS = (
    Peer(
        "floor",
        "jaxprep",
        "floor",
        methods=RESIZES | {"none"},
        note="reads the input and writes the output once",
    ),
    _jaxprep("jaxprep", "pillow", "pillow", RESIZES | {"none"}, "exact to Pillow 13"),
    _jaxprep(
        "jaxprep-torchvision", "torchvision", "torchvision", TENSOR_RESIZES, "exact to torchvision"
    ),
    _jaxprep("jaxprep-float", "float", None, RESIZES, "float32, no rounding"),
    Peer(
        "pillow",
        "jaxprep",
        "pillow",
        methods=RESIZES | {"none"},
        note="Pillow, then NumPy in place",
    ),
    Peer("transformers-pil", "torch", "transformers", {"backend": "pil"}, note="its PIL backend"),
    Peer(
        "transformers-torchvision",
        "torch",
        "transformers",
        {"backend": "torchvision"},
        TENSOR_RESIZES,
        note="its torchvision backend, the default",
    ),
    Peer("timm", "torch", "timm", note="the evaluation transform, image by image, then stacked"),
    Peer(
        "torchvision",
        "torch",
        "torchvision",
        {},
        TENSOR_RESIZES,
        note="v2: resize, to_dtype, normalize",
    ),
    Peer(
        "torchvision-resize",
        "torch",
        "torchvision",
        {"part": "resize"},
        TENSOR_RESIZES,
        note="uint8 to uint8",
    ),
    Peer(
        "opencv",
        "opencv",
        "opencv",
        note="no antialiasing, except INTER_AREA, which is a box filter whatever the method",
    ),
    Peer(
        "kornia-rs",
        "kornia",
        "kornia",
        note="bilinear without antialiasing; bicubic and lanczos with it, not exact to Pillow",
    ),
    Peer(
        "libvips",
        "vips",
        "vips",
        note="Pillow's filters with positions and weights rounded coarsely, not exact to Pillow",
    ),
    Peer(
        "jax-image",
        "jaxprep",
        "jax_image",
        ragged=False,
        note="jax.image.resize + normalise, jitted",
    ),
    Peer("keras-hub", "keras", "keras_hub", note="ImageConverter on JAX, called eagerly"),
    Peer(
        "dm-pix",
        "dm_pix",
        "dm_pix",
        methods=frozenset({"none"}),
        ragged=False,
        note="has no antialiased resize",
    ),
)
BY_NAME = {peer.name: peer for peer in PEERS}
OURS = ("jaxprep", "jaxprep-torchvision", "jaxprep-float")
