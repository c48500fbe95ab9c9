"""cosmicai convert: a checkpoint in the published format as one of ours."""

import argparse
import shutil
from pathlib import Path

from lambda_image.atomic_file import atomic_file
from lambda_image.errors import UsageError
from lambda_image.model.engine_files import file_hash, is_onnx
from scripts.user_files import add_overwrite, check_new, check_there

HELP = "convert a checkpoint in the published format to ours, executing nothing in it, or check a network in ONNX"
EXAMPLE = "cosmicai convert Mixed_Inception_z_VITAE_Base.pt model.safetensors"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "checkpoint",
        type=Path,
        help="the whole module or a state dict, bare or wrapped (.pt, .safetensors), or an ONNX file",
    )
    parser.add_argument(
        "out", type=Path, help="the safetensors file to write; of an ONNX file a copy (.onnx) that has been checked"
    )
    parser.add_argument(
        "--float16", action="store_true", help="store matrices as float16, which halves the size and keeps 3 digits"
    )
    add_overwrite(parser, "the file to write, if it is there")


def run(args: argparse.Namespace) -> int:
    check_there("", args.checkpoint, "a checkpoint or an ONNX file")
    onnx = is_onnx(args.checkpoint)
    suffix = ".onnx" if onnx else ".safetensors"
    if args.out.suffix.lower() != suffix:
        raise UsageError(f"{args.out} must end in {suffix}, because that is what is written")
    if args.out.exists() and args.checkpoint.exists() and args.out.samefile(args.checkpoint):
        raise UsageError(f"{args.out} is the checkpoint itself: give the converted one a name of its own")
    check_new({"": args.out}, overwrite=args.overwrite)
    return _check(args) if onnx else _convert(args)


def _check(args: argparse.Namespace) -> int:
    from scripts.confined import check_confined

    if args.float16:
        raise UsageError("--float16 is for checkpoints: export the network in float16 itself")
    sizes = check_confined(args.checkpoint)
    with atomic_file(args.out) as partial:
        shutil.copyfile(args.checkpoint, partial)
    print(f"an ONNX network for {sizes} in {args.out} ({args.out.stat().st_size / 1e6:.1f} MB)")
    print(f"SHA-256 {file_hash(args.out)}")
    return 0


def _convert(args: argparse.Namespace) -> int:
    from lambda_image.model import checkpoint  # PyTorch takes seconds to import: not for other commands' --help

    config, tensors = checkpoint.convert(args.checkpoint)
    checkpoint.save(args.out, tensors, config, "float16" if args.float16 else "float32")
    weights = sum(array.size for name, array in tensors.items() if not name.endswith(("running_mean", "running_var")))
    print(f"{weights:,} parameters in {args.out} ({args.out.stat().st_size / 1e6:.1f} MB)")
    print(f"SHA-256 {file_hash(args.out)}")
    print(config)
    return 0
