"""cosmicai demo: a whole run on this machine, with no cloud and no Docker."""

import argparse
import json
import sys
import tempfile
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console, RenderableType

from lambda_image.errors import InvalidEvent
from lambda_image.events import MAX_BATCH_SIZE
from lambda_image.manifest import PARTITION_SUFFIXES, deal, natural_order
from lambda_image.partition import count_rows, write_partition
from lambda_image.results import message_of
from lambda_image.settings import SHIPPED_MODEL
from scripts.galaxies import Mixture, render
from scripts.local_cloud import LocalCloud, local_cloud
from scripts.progress import RunProgress
from scripts.result_folder import ResultFolder, result_folder
from scripts.tables import run_tables

HELP = "run everything on this machine: ranks find each other and predict redshifts"
EXAMPLE = "cosmicai demo --world-size 8 --data my_galaxies.pt --model my_checkpoint.pt"

TABLE_WIDTH = 110  # where the output is no terminal, which would know its own
BUCKET = "cosmicai-demo"
SAMPLE_GALAXIES, SAMPLE_PARTITIONS, SAMPLE_SEED = 4096, 8, 0


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--world-size", type=int, default=4, help="ranks")
    parser.add_argument(
        "--data",
        type=Path,
        help="a dataset file (.safetensors, or .pt as published), or a folder of such files as partitions; "
        f"without it, {SAMPLE_GALAXIES:,} sample galaxies",
    )
    parser.add_argument(
        "--model",
        type=Path,
        help="a checkpoint, in the published format (.pt) or ours (.safetensors); without it, the shipped one",
    )
    parser.add_argument("--batch-size", type=int, default=256, help="galaxies that a rank infers at a time")
    parser.add_argument(
        "--out",
        type=Path,
        default=Path("out/demo"),
        help="a folder for the result objects; those of an earlier run in it are replaced",
    )


def run(args: argparse.Namespace) -> int:
    if args.world_size < 1:
        raise InvalidEvent(f"--world-size is {args.world_size}; allowed: a whole number from 1")
    if not 1 <= args.batch_size <= MAX_BATCH_SIZE:
        raise InvalidEvent(f"--batch-size is {args.batch_size}; allowed: a whole number from 1 to {MAX_BATCH_SIZE}")
    with tempfile.TemporaryDirectory(prefix="cosmicai-") as scratch:
        model = _model(args.model, Path(scratch))
        files, ignored = partition_files(args.data) if args.data else ([], 0)
        progress = RunProgress(sys.stdout, _totals(args, files))
        environ = {"MODEL_PATH": str(model.absolute())}
        with result_folder(args.out) as out:
            with local_cloud(args.world_size, progress.show, environ) as cloud:
                progress.say(f"rendezvous server on {cloud.rendezvous_endpoint}, AWS endpoint on {cloud.endpoint_url}")
                if ignored:
                    progress.say(f"{len(files)} partitions in {args.data}; other things in it, ignored: {ignored}")
                files = files or _sample(Path(scratch) / "partitions", progress.say)  # while the workers start
                described, objects = _execute(cloud, progress, files, args, out)
            if "combined_data.json" in objects and "summary.json" in objects:
                _show(run_tables(json.loads(objects["summary.json"]), json.loads(objects["combined_data.json"])))
            if objects:
                try:
                    out.write(objects)
                except OSError as error:
                    problem = f"the results could not be written to --out {args.out}: {error.strerror}"
                    raise InvalidEvent(problem) from error
                progress.say(f"{len(objects)} result objects in {args.out}/")
    if described["status"] != "SUCCEEDED":
        cause = message_of(described.get("cause", ""))
        print(f"cosmicai: the run {described['status'].lower()}: {described.get('error')}: {cause}", file=sys.stderr)
        if objects:  # the cause tells where they were on the endpoint, which is gone
            print(f"cosmicai: what lay under results/ in that run is in {args.out}/ now", file=sys.stderr)
        return 1
    return 0


def _show(tables: RenderableType) -> None:
    if sys.stdout.isatty():
        Console().print(tables)
        return
    console = Console(width=TABLE_WIDTH, highlight=False)
    with console.capture() as captured:
        console.print(tables)
    print("\n".join(line.rstrip() for line in captured.get().splitlines()), flush=True)


def _sample(folder: Path, say: Callable[[str], None]) -> list[Path]:
    rng = np.random.default_rng(SAMPLE_SEED)
    magnitudes, redshifts = Mixture.shipped().draw(SAMPLE_GALAXIES, rng)
    images = render(magnitudes, rng)
    files = [folder / f"{number}.safetensors" for number in range(1, SAMPLE_PARTITIONS + 1)]
    for file, rows in zip(files, np.array_split(np.arange(SAMPLE_GALAXIES), SAMPLE_PARTITIONS), strict=True):
        write_partition(file, images[rows], magnitudes[rows], redshifts[rows])
    say(f"{SAMPLE_GALAXIES:,} sample galaxies in {SAMPLE_PARTITIONS} partitions")
    return files


def _model(model: Path | None, scratch: Path) -> Path:
    if model is None:
        return SHIPPED_MODEL
    from lambda_image.model import checkpoint  # here: PyTorch is wanted for a user's own checkpoint only

    if checkpoint.is_safetensors(model):
        checkpoint.load(model)  # tells what is wrong with it before every worker does
        return model
    config, tensors = checkpoint.convert(model)
    converted = scratch / "model.safetensors"
    checkpoint.save(converted, tensors, config)
    return converted


def _execute(
    cloud: LocalCloud, progress: RunProgress, files: list[Path], args: argparse.Namespace, out: ResultFolder
) -> tuple[dict[str, Any], dict[str, bytes]]:
    """The ended execution, and the run's result objects by their names under the result path."""
    s3 = cloud.client("s3")
    s3.create_bucket(Bucket=BUCKET)
    for file in files:
        s3.upload_file(str(file), BUCKET, f"data/{file.name}")
    one_dataset = args.data is not None and args.data.is_file()
    where = {"data_path": f"data/{files[0].name}"} if one_dataset else {"data_prefix": "data"}
    execution_input = {"bucket": BUCKET, "world_size": args.world_size, "batch_size": args.batch_size, **where}
    machine = cloud.create_state_machine("redshift")
    cloud.wait_until_ready()
    out.clear()
    with progress:
        execution = cloud.client("stepfunctions").start_execution(
            stateMachineArn=machine,
            name=f"demo-{datetime.now(UTC):%Y%m%d-%H%M%S}",
            input=json.dumps(execution_input),
        )["executionArn"]
        described = cloud.wait_for(execution)
    return described, _results(cloud, f"results/{execution.rpartition(':')[2]}/")


def _totals(args: argparse.Namespace, files: list[Path]) -> list[int]:
    """How many galaxies each rank will have."""
    if args.data is None:
        counts = [SAMPLE_GALAXIES // SAMPLE_PARTITIONS] * SAMPLE_PARTITIONS
    else:
        counts = [count_rows(file) for file in files]
        if args.data.is_file():
            return [len(share) for share in deal(range(counts[0]), args.world_size)]
    return [sum(share) for share in deal(counts, args.world_size)]


def partition_files(data: Path) -> tuple[list[Path], int]:
    """The partitions that `data` is or holds, in natural order, and how many other things lie beside them."""
    if data.is_file():
        return [data], 0
    found = list(data.iterdir()) if data.is_dir() else []
    files = [file for file in found if file.suffix.lower() in PARTITION_SUFFIXES and file.is_file()]
    if not files:
        raise InvalidEvent(
            f"--data {data} is neither a dataset nor a folder with files in {', '.join(PARTITION_SUFFIXES)}"
        )
    return sorted(files, key=lambda file: natural_order(file.name)), len(found) - len(files)


def _results(cloud: LocalCloud, prefix: str) -> dict[str, bytes]:
    s3 = cloud.client("s3")
    pages = s3.get_paginator("list_objects_v2").paginate(Bucket=BUCKET, Prefix=prefix)
    keys = [found["Key"] for page in pages for found in page.get("Contents", ())]
    return {key.removeprefix(prefix): s3.get_object(Bucket=BUCKET, Key=key)["Body"].read() for key in keys}
