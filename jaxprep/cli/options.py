"""Parses the options of every command. Nothing here loads JAX, so that `--help` is quick."""

from __future__ import annotations

import argparse
import json
import re
from collections.abc import Callable
from typing import Any, NamedTuple

from jaxprep import __version__
from jaxprep.cli import completion

SUMMARY = "Raw images to exactly what a pretrained vision model expects."
EXIT_STATUS = """\
exit status: 0 all is well; 1 a fatal error; 2 wrong usage; 3 finished, but some files were
skipped, or pictures left out; 130 interrupted."""

RUN = """\
Decode images, preprocess them, and write the arrays.

A folder stands for all images below it: by the endings of their names, else by their first bytes.
Other files are left out, which the summary and the manifest say, and the exit status where they are
pictures of a kind that is not read. HEIC needs pillow-heif: pip install 'jaxprep[heif]'.

Files are decoded to upright 8-bit RGB by the rules of `jaxprep.read_image`. With --format npz, the
folder gets `shard-00000.npz`, ... with the arrays `images` (n, height, width, channels) and
`paths`; where the results have no common size, with `image_0`, `image_1`, ... instead of `images`.
With --format npy it gets one array per image, under the path of the image. `README.md` says how to
read what is there, with code. `manifest.json` holds the settings, `manifest.jsonl` a line for each
image: its absolute path, its size, the size, file and row of its result, and the sizes and
checksums of both files; or why it was skipped.

Run the same command again, from any folder, to go on where a run ended, however it ended. Images
that are done are not decoded again; copies of them in their place count as them. Those that changed
since are done anew, and so are those whose results are damaged or whose lines were edited; files of
results that the manifest does not list are removed. An image is the one that it was if its size,
times and inode are, or else its checksum: one that is overwritten by as many bytes in the same tick
of the file system's clock is not seen. One run at a time writes to a folder.

The first Ctrl-C lets the images at work be finished and written, the second ends at once."""


class Command(NamedTuple):
    """Says what a command is called, and how its parser is filled.

    Attributes:
        name: also that of the module in `jaxprep.cli` that executes it.
        summary: one line for `jaxprep --help`.
        add_options: adds the options to the command's parser.

    >>> Command("presets", "list presets", _add_presets_options).name
    'presets'
    """

    name: str
    summary: str
    add_options: Callable[[argparse.ArgumentParser], None]


def make_parser() -> argparse.ArgumentParser:
    """Return the parser of the command line; `args.command` names the module that executes it.

    >>> make_parser().parse_args(["presets", "resnet*"]).pattern
    'resnet*'
    """
    groups = _command_groups()
    parser = argparse.ArgumentParser(
        prog="jaxprep",
        usage="jaxprep COMMAND [OPTIONS]",
        description=f"{SUMMARY}\n\n{_commands_by_group(groups)}",
        epilog=f"{EXIT_STATUS}\n\n{completion.HOW_TO}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    version = f"jaxprep {__version__}"
    parser.add_argument(
        "--version", action="version", version=version, help="show the version and exit"
    )
    # Required: `jaxprep` alone would do nothing, and exit with success. The groups above list the
    # commands, which argparse would list once more.
    commands = parser.add_subparsers(
        dest="command", required=True, metavar="COMMAND", prog="jaxprep", help=argparse.SUPPRESS
    )
    for command in [command for listed in groups.values() for command in listed]:
        subparser = commands.add_parser(
            command.name,
            description=f"{command.summary.capitalize()}.",
            # The texts below are wrapped already, in paragraphs that argparse would join.
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        command.add_options(subparser)
        _add_common_options(subparser)
    return parser


def _command_groups() -> dict[str, tuple[Command, ...]]:
    """Return the commands under the headings of `jaxprep --help`."""
    return {
        "Look at presets": (
            Command("presets", "list presets in a table", _add_presets_options),
            Command("inspect", "say in words what a preset does", _add_inspect_options),
            Command("show", "draw what a model will see of a photo", _add_show_options),
            Command("doctor", "say what was done to an array's pixels", _add_doctor_options),
            Command(
                "compare", "say what two presets do differently with a photo", _add_compare_options
            ),
        ),
        "Preprocess": (
            Command("run", "preprocess files and write arrays", _add_run_options),
            Command(
                "export",
                "write a preset as a program that runs without jaxprep",
                _add_export_options,
            ),
        ),
    }


def _commands_by_group(groups: dict[str, tuple[Command, ...]]) -> str:
    lines = []
    for heading, commands in groups.items():
        lines.append(f"{heading}:")
        lines += [f"  {command.name:9} {command.summary}" for command in commands]
        lines.append("")
    return "\n".join([*lines, "`jaxprep COMMAND --help` says more about each."])


def _add_common_options(parser: argparse.ArgumentParser) -> None:
    """Add what every command takes."""
    common = parser.add_argument_group("common options")
    common.add_argument(
        "--import",
        dest="modules",
        action="append",
        default=[],
        metavar="MODULE",
        help="import a Python module first, which registers steps, presets or formats; it may be "
        "in the working folder",
    )
    common.add_argument(
        "--no-cache",
        action="store_true",
        help="compile anew, and keep no programs for the next run; otherwise they are kept in "
        "$XDG_CACHE_HOME/jaxprep (~/.cache/jaxprep), or where JAX_COMPILATION_CACHE_DIR says",
    )
    # For cron and CI, whose logs a progress bar fills.
    common.add_argument(
        "--quiet",
        action="store_true",
        help="no progress bar and no summary, only warnings and errors",
    )


def _add_json_option(parser: argparse.ArgumentParser, what: str) -> None:
    parser.add_argument("--json", action="store_true", help=f"print {what} as JSON")


def _add_run_options(parser: argparse.ArgumentParser) -> None:
    parser.description, parser.epilog = RUN, EXIT_STATUS
    parser.add_argument(
        "paths",
        nargs="+",
        metavar="PATH",
        help="a file, a folder with all below it, or a glob pattern",
    )
    _add_preset_option(parser)
    parser.add_argument(
        "--output",
        required=True,
        type=_parse_path,
        metavar="DIR",
        help="a new or empty folder, or an earlier run's",
    )
    parser.add_argument(
        "--format",
        choices=("npz", "npy", "parquet", "array_record"),
        default="npz",
        help="shards of NumPy, one file of NumPy per image, or shards of Parquet or ArrayRecord: "
        "pip install 'jaxprep[parquet]' or 'jaxprep[array_record]'; default: %(default)s",
    )
    parser.add_argument(
        "--dtype",
        choices=("uint8", "bfloat16", "float32"),
        default=None,
        help="in which results are stored; uint8 are the pixels before the steps that only change "
        "values, which the manifest then has as `then`; default: as the preset has it, but "
        "float32 instead of bfloat16",
    )
    parser.add_argument(
        "--labels",
        action="store_true",
        help="store the number of each image's class: the first folder below the one that is "
        "given; classes are numbered by their sorted names, in labels.json",
    )
    parser.add_argument(
        "--batch-size",
        type=_parse_count,
        default=16,
        metavar="N",
        help="images at a time; default: %(default)s",
    )
    parser.add_argument(
        "--shard-size",
        type=_parse_count,
        default=128,
        metavar="N",
        help="images per shard, as far as they fit into 512 MiB; default: %(default)s",
    )
    parser.add_argument(
        "--on-error",
        choices=("fail", "skip"),
        default="fail",
        help="what to do at a file that is no image or cannot be preprocessed, and a folder that "
        "cannot be read: stop, or report it and go on; default: %(default)s",
    )
    _add_alpha_option(parser)
    parser.add_argument(
        "--workers",
        type=_parse_count,
        default=None,
        metavar="N",
        help="threads that decode, or processes of Ray; default: one per CPU core",
    )
    parser.add_argument(
        "--engine",
        choices=("local", "ray"),
        default="local",
        help="this process, or the machines of a Ray cluster (that of RAY_ADDRESS, else one on "
        "this machine), which share the files and the output folder: pip install 'jaxprep[ray]'; "
        "default: %(default)s",
    )
    _add_json_option(parser, "the summary")


def _add_show_options(parser: argparse.ArgumentParser) -> None:
    parser.description = (
        "Draw a picture: on the left the photo with the region that the model gets, and what is\n"
        "added around it as padding; on the right what the model sees, with the normalisation "
        "undone.\n\n"
        "With --recipe or --draws: a grid of what a training recipe draws of the photo, a cell for "
        "each\nindex of a stream, the normalisation undone. The same seed draws the same again."
    )
    parser.add_argument("photo", type=_parse_path, metavar="PHOTO", help="an image file")
    _add_preset_option(parser)
    parser.add_argument(
        "--output",
        required=True,
        type=_parse_path,
        metavar="FILE.png",
        help="the picture to write",
    )
    parser.add_argument(
        "--recipe",
        metavar="NAME",
        help="a training recipe, such as timm/rsb-a2; `jaxprep.recipes()` lists them",
    )
    parser.add_argument(
        "--draws",
        type=_parse_count,
        default=None,
        metavar="N",
        help="how many draws to show; default: 8",
    )
    parser.add_argument(
        "--seed",
        type=_parse_seed,
        default=0,
        metavar="N",
        help="of the key that draws; default: %(default)s",
    )
    _add_alpha_option(parser)
    _add_json_option(parser, "what was drawn, and the height and width of the picture,")


def _add_doctor_options(parser: argparse.ArgumentParser) -> None:
    parser.description = (
        "Compare what a pipeline feeds a model with what a preset makes of the photo. Say which "
        "preset\nit equals, or which changes explain the difference: filter, antialiasing, "
        "arithmetic, size,\ncrop, order, flip, channels, layout, range, mean, std, gray, alpha, "
        "orientation, decoder."
    )
    parser.add_argument(
        "array", type=_parse_path, metavar="ARRAY", help="an .npy or .npz file: an image or a batch"
    )
    parser.add_argument(
        "photo", type=_parse_path, metavar="PHOTO", help="the image file that it came from"
    )
    parser.add_argument(
        "--preset",
        metavar="NAME-OR-PATH",
        help="what the array should be; default: the built-in preset that is nearest",
    )
    parser.add_argument(
        "--output",
        type=_parse_path,
        metavar="FILE.png",
        help="draw what the preset makes, what the model gets, and where they differ",
    )
    _add_json_option(parser, "the diagnosis")


def _add_compare_options(parser: argparse.ArgumentParser) -> None:
    parser.description = (
        "Say what two presets do differently with a photo: the settings that differ, how much of "
        "the\nphoto each sees, and how far apart the levels are that the models see. With "
        "--output, draw it too."
    )
    for name in ("first", "second"):
        preset = parser.add_argument(
            name,
            metavar="PRESET",
            help="a name that `jaxprep presets` lists, a file or folder, hf://... or kaggle://...",
        )
        completion.complete_presets(preset)
    parser.add_argument("photo", type=_parse_path, metavar="PHOTO", help="an image file")
    parser.add_argument(
        "--output", type=_parse_path, metavar="FILE.png", help="the picture to write, if any"
    )
    _add_alpha_option(parser)
    _add_hub_options(parser.add_argument_group("presets"))
    _add_json_option(parser, "the comparison")


def _add_export_options(parser: argparse.ArgumentParser) -> None:
    parser.description = (
        "Write a folder with a program of StableHLO for any number of images, its config, a photo\n"
        "with the checksum of its result, and a manifest. `jaxprep.load_exported` checks and\n"
        "loads it; without jaxprep `jax.export.deserialize` runs the program."
    )
    preset = parser.add_argument(
        "preset",
        metavar="PRESET-OR-PATH",
        help="a built-in name, a file or folder, hf://... or kaggle://...",
    )
    completion.complete_presets(preset)
    _add_handle_options(parser)
    parser.add_argument(
        "--output",
        required=True,
        type=_parse_path,
        metavar="DIR",
        help="a new or empty folder",
    )
    shape = parser.add_mutually_exclusive_group(required=True)
    shape.add_argument(
        "--size", nargs=2, type=_parse_count, metavar=("H", "W"), help="all images are of this size"
    )
    shape.add_argument(
        "--canvas",
        nargs=2,
        type=_parse_count,
        metavar=("H", "W"),
        help="images of any size lie on arrays of this one; their tables are an argument",
    )
    parser.add_argument(
        "--platforms",
        type=_parse_names,
        default=("cpu", "cuda", "tpu"),
        metavar="NAMES",
        help="of cpu, cuda, rocm and tpu, with commas; default: cpu,cuda,tpu",
    )
    parser.add_argument(
        "--dtype",
        choices=("uint8", "float32"),
        default="uint8",
        help="of the images; default: %(default)s",
    )
    _add_json_option(parser, "the manifest of the folder")


def _parse_names(text: str) -> tuple[str, ...]:
    return tuple(name.strip() for name in text.split(","))


def _add_presets_options(parser: argparse.ArgumentParser) -> None:
    parser.description = (
        "List presets: the size of their results, the filter that resizes, the part of the photo\n"
        "that is kept (of one of 3:4), and the parameters of the model, where the collection says."
    )
    pattern = parser.add_argument(
        "pattern",
        nargs="?",
        default="*",
        metavar="PATTERN",
        help="part of a name, or a pattern with *, ? or [...]",
    )
    completion.complete_presets(pattern)
    _add_json_option(parser, "a list of objects, empty where nothing matches,")


def _add_inspect_options(parser: argparse.ArgumentParser) -> None:
    preset = parser.add_argument(
        "preset",
        metavar="PRESET-OR-PATH",
        help="a name that `jaxprep presets` lists, a file or folder, hf://... or kaggle://...",
    )
    completion.complete_presets(preset)
    _add_handle_options(parser.add_argument_group("preset"))
    _add_json_option(parser, "the config, a file that --preset takes,")
    parser.add_argument(
        "--size", type=_parse_size, metavar="HxW", help="follow an image of this height and width"
    )


def _add_preset_option(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("preset")
    preset = group.add_argument(
        "--preset",
        required=True,
        metavar="NAME-OR-PATH",
        help="a name that `jaxprep presets` lists, a file or folder, hf://... or kaggle://...",
    )
    completion.complete_presets(preset)
    _add_handle_options(group)


def _add_handle_options(parser: argparse._ActionsContainer) -> None:
    parser.add_argument(
        "--override",
        action="append",
        default=[],
        type=_parse_override,
        metavar="FIELD=VALUE",
        help="another value for a field of the config, in JSON, else text: "
        "image_size=[384,384], interpolation=bicubic",
    )
    parser.add_argument(
        "--config-file", metavar="NAME", help="the file to read in a preset's folder"
    )
    parser.add_argument("--revision", help="branch, tag or commit on the Hugging Face hub")
    _add_hub_options(parser)


def _add_hub_options(parser: argparse._ActionsContainer) -> None:
    parser.add_argument(
        "--token", help="access token of the hub; default: that of `hf auth login` or HF_TOKEN"
    )
    parser.add_argument(
        "--cache-dir", type=_parse_path, metavar="DIR", help="where files of the hub are kept"
    )
    parser.add_argument(
        "--offline", action="store_true", help="only files of the hub that are cached already"
    )


def _add_alpha_option(parser: argparse.ArgumentParser) -> None:
    # The default is what `Image.convert("RGB")` does, and so all libraries that presets are from.
    parser.add_argument(
        "--alpha",
        choices=("drop", "white"),
        default="drop",
        help="of images with transparency, keep the stored colours, or lay them over white; "
        "default: %(default)s",
    )


def load_config(args: argparse.Namespace) -> Any:
    """Return the config that the options `PRESET`, `--override`, `--revision` and the like ask for.

    Raises:
        JaxprepError: as `jaxprep.presets.load` does.

    >>> args = make_parser().parse_args(["inspect", "resnet_50_imagenet", "--override=exact=true"])
    >>> load_config(args).exact
    True
    """
    from jaxprep import presets  # imports JAX

    config = presets.load(
        args.preset, config_file=args.config_file, revision=args.revision, **hub_options(args)
    )
    return config.overridden(dict(args.override))


def hub_options(args: argparse.Namespace) -> dict[str, Any]:
    """Return what `jaxprep.presets.load` takes of the options for hubs.

    >>> hub_options(make_parser().parse_args(["inspect", "hf://user/repo", "--offline"]))
    {'token': None, 'cache_dir': None, 'local_files_only': True}
    """
    return {
        "token": args.token,
        "cache_dir": args.cache_dir,
        "local_files_only": args.offline,
    }


def _parse_path(text: str) -> str:
    # An empty text is the working folder to Python; a user has a variable that is not set.
    if not text or "\0" in text:
        raise argparse.ArgumentTypeError(f"expected a path, got {text!r}")
    return text


def _parse_count(text: str) -> int:
    # At most nine digits, since `int` of a very long text takes seconds.
    if not re.fullmatch(r"0*[1-9]\d{0,8}", text):
        raise argparse.ArgumentTypeError(f"expected a number from 1 to 999999999, got {text!r}")
    return int(text)


def _parse_seed(text: str) -> int:
    if not re.fullmatch(r"\d{1,9}", text):
        raise argparse.ArgumentTypeError(f"expected a number from 0 to 999999999, got {text!r}")
    return int(text)


def _parse_size(text: str) -> tuple[int, int]:
    # `480×640` is copied from web pages, and `480,640` is how Python prints a size.
    match = re.fullmatch(r"(\d{1,9})[xX×,](\d{1,9})", text)
    if not match or int(match[1]) == 0 or int(match[2]) == 0:
        raise argparse.ArgumentTypeError(
            f"expected a height and a width, as in 480x640, got {text!r}"
        )
    return int(match[1]), int(match[2])


def _as_json(text: str) -> str:
    """Return what Python writes in another way than JSON, a word or a tuple, as JSON."""
    words = {"True": "true", "False": "false", "None": "null"}
    if text.startswith("(") and text.endswith(")"):
        inside = text[1:-1]
        # Only a comma makes a tuple.
        return f"[{inside.removesuffix(',')}]" if "," in inside else inside
    return words.get(text, text)


def _parse_override(text: str) -> tuple[str, Any]:
    name, equals, value = text.partition("=")
    if not equals or not name.isidentifier():
        raise argparse.ArgumentTypeError(f"expected FIELD=VALUE, got {text!r}")
    try:
        return name, json.loads(_as_json(value))
    # A word, which JSON would want in quotes that a shell takes away; brackets without end are one.
    except (ValueError, RecursionError):
        return name, value
