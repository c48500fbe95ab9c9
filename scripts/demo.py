"""cosmicai demo: a whole run on this machine, with no cloud and no Docker."""

import argparse
import json
import shutil
import sys
import tempfile
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console

from lambda_image.errors import InvalidEvent
from lambda_image.manifest import PARTITION_SUFFIXES, deal, natural_order
from lambda_image.partition import count_rows, write_partition
from lambda_image.results import message_of
from lambda_image.settings import SHIPPED_MODEL
from scripts.galaxies import Mixture, render
from scripts.local_cloud import LocalCloud, local_cloud
from scripts.progress import RunProgress
from scripts.tables import run_tables

HELP = "run everything on this machine: ranks find each other and predict redshifts"
EXAMPLE = "cosmicai demo --world-size 8 --data my_galaxies.pt --model my_checkpoint.pt"

TABLE_WIDTH = 110  # where the output is no terminal, which would know its own
BUCKET = "cosmicai-demo"
SAMPLE_GALAXIES, SAMPLE_PARTITIONS, SAMPLE_SEED = 4096, 8, 0


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--world-size", type=int, default=4, help="ranks")
    parser.add_argument(
        "--data", type=Path, help="a dataset file, or a folder of partitions; without it, sample galaxies"
    )
    parser.add_argument(
        "--model", type=Path, help="a checkpoint, published format or ours; without it, the shipped one"
    )
    parser.add_argument("--batch-size", type=int, default=256)
    parser.add_argument("--out", type=Path, default=Path("out/demo"), help="where the result objects are put")


def run(args: argparse.Namespace) -> int:
    if args.world_size < 1:
        raise InvalidEvent(f"--world-size is {args.world_size}; allowed: a whole number from 1")
    _check_out(args.out)
    console = Console(width=None if sys.stdout.isatty() else TABLE_WIDTH)
    with tempfile.TemporaryDirectory(prefix="cosmicai-") as scratch:
        model = _model(args.model, Path(scratch))
        files = _files(args.data) if args.data else []
        progress = RunProgress(sys.stdout, _totals(args, files))
        with local_cloud(args.world_size, progress.show, {"MODEL_PATH": str(model.absolute())}) as cloud:
            console.print(f"rendezvous server on {cloud.rendezvous_endpoint}, AWS endpoint on {cloud.endpoint_url}")
            files = files or _sample(Path(scratch) / "partitions", console.print)  # while the workers start
            described, objects = _execute(cloud, progress, files, args)
    _write(objects, args.out)
    if "combined_data.json" in objects and "summary.json" in objects:
        console.print(run_tables(json.loads(objects["summary.json"]), json.loads(objects["combined_data.json"])))
    if objects:
        console.print(f"{len(objects)} result objects in {args.out}/", highlight=False)
    if described["status"] != "SUCCEEDED":
        cause = message_of(described.get("cause", ""))
        print(f"cosmicai: the run {described['status'].lower()}: {described.get('error')}: {cause}", file=sys.stderr)
        return 1
    return 0


def _check_out(out: Path) -> None:
    """An earlier run's results are replaced; anything else is the user's own."""
    if out.exists() and not (out.is_dir() and (not any(out.iterdir()) or (out / "manifest.json").exists())):
        raise InvalidEvent(f"--out {out} holds something that is not a run's results: choose another folder")


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

    if model.suffix == ".safetensors":
        checkpoint.load(model)  # tells what is wrong with it before every worker does
        return model
    config, tensors = checkpoint.convert(model)
    converted = scratch / "model.safetensors"
    checkpoint.save(converted, tensors, config)
    return converted


def _execute(
    cloud: LocalCloud, progress: RunProgress, files: list[Path], args: argparse.Namespace
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


def _files(data: Path) -> list[Path]:
    if data.is_file():
        return [data]
    files = [file for file in data.glob("*") if file.suffix in PARTITION_SUFFIXES] if data.is_dir() else []
    if not files:
        raise InvalidEvent(
            f"--data {data} is neither a dataset nor a folder with files in {', '.join(PARTITION_SUFFIXES)}"
        )
    return sorted(files, key=lambda file: natural_order(file.name))


def _results(cloud: LocalCloud, prefix: str) -> dict[str, bytes]:
    s3 = cloud.client("s3")
    pages = s3.get_paginator("list_objects_v2").paginate(Bucket=BUCKET, Prefix=prefix)
    keys = [found["Key"] for page in pages for found in page.get("Contents", ())]
    return {key.removeprefix(prefix): s3.get_object(Bucket=BUCKET, Key=key)["Body"].read() for key in keys}


def _write(objects: dict[str, bytes], out: Path) -> None:
    shutil.rmtree(out, ignore_errors=True)
    for name, content in objects.items():
        file = out / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content)
