"""cosmicai demo: a whole run on this machine, with no cloud and no Docker."""

import argparse
import sys
import tempfile
from datetime import UTC, datetime
from pathlib import Path

from lambda_image.data.partition import count_rows
from lambda_image.data.sizes import Sizes
from lambda_image.dealing import deal, deal_partitions
from lambda_image.errors import PartitionMalformed
from lambda_image.partition_names import printable
from scripts import execution
from scripts.catalogue.run_source import ResultFolderSource
from scripts.execution import SAMPLE_GALAXIES, SAMPLE_PARTITIONS
from scripts.json_file import add_json
from scripts.local_cloud import Event, local_cloud
from scripts.runs import outcome
from scripts.runs.following import Follower
from scripts.runs.place import place_at
from scripts.runs.result_folder import result_folder
from scripts.runs.run_json import check_run_json, write_run_json
from scripts.runs.run_progress import RunProgress
from scripts.runs.uploading import upload
from scripts.user_model import advice, usable_model

HELP = "run everything on this machine: ranks find each other and predict redshifts"
EXAMPLE = "cosmicai demo --world-size 8 --data my_galaxies.pt --model my_checkpoint.pt"

BUCKET = "cosmicai-demo"
OUT = Path("out/demo")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    execution.add_arguments(parser, OUT)
    add_json(parser, "how the run ended, and its figures")
    parser.add_argument(
        "--model",
        type=Path,
        help="a checkpoint in the published format (.pt, .safetensors), one that `cosmicai convert` wrote, or any "
        "network as an ONNX file (.onnx); without it, the shipped one",
    )


def run(args: argparse.Namespace) -> int:
    execution.check_arguments(args)
    check_run_json(args.json, args.out or OUT, overwrite=args.overwrite)
    with tempfile.TemporaryDirectory(prefix="cosmicai-") as scratch:
        model = usable_model(args.model, Path(scratch))
        files, warnings = execution.partition_files(args.data) if args.data else ([], [])
        if not files:
            model.check_sample()
        progress = RunProgress(sys.stdout, _totals(args, files, model.sizes))

        def show(event: Event) -> None:
            if event.get("event") == "engine":
                event = {**event, "message": advice(args.model, model.path, event["message"])}
            progress.show(event)

        environ = {"MODEL_PATH": str(model.path.absolute())}
        with (
            result_folder(args.out or OUT, overwrite=args.overwrite, keep=args.out is None) as out,
            local_cloud(args.world_size, show, environ) as cloud,
        ):
            progress.print(f"rendezvous server on {cloud.rendezvous_endpoint}, AWS endpoint on {cloud.endpoint_url}")
            if not files:  # while the workers start
                files = execution.sample(Path(scratch) / "partitions")
                progress.print(f"{SAMPLE_GALAXIES:,} sample galaxies in {SAMPLE_PARTITIONS} partitions")
            place = place_at(cloud, BUCKET)
            upload(place.client("s3"), files, BUCKET, "data", fresh=True)
            cloud.wait_until_ready()
            execution_input = execution.input_for(args, BUCKET, files, "data", warnings)
            with progress:
                name = execution.new_name("demo", datetime.now(UTC))
                started = execution.begin(place, name, execution_input)
                out.clear(progress.print)  # now that nothing refuses the run any more
                described = Follower(place, started, progress, lookout=cloud.lookout()).follow()
            results = outcome.results_of(place, started, described, progress.print)
            count = outcome.collect(results, out, progress.print)
            write_run_json(args.json, described, ResultFolderSource(out.given), progress.print)
            cloud.stop()  # its processes end while the results are shown
            return outcome.report(described, out, count, progress.print)


def _totals(args: argparse.Namespace, files: list[Path], sizes: Sizes) -> list[int]:
    """How many galaxies each rank will have."""
    if args.data is None:
        counts = [SAMPLE_GALAXIES // SAMPLE_PARTITIONS] * SAMPLE_PARTITIONS
    else:
        # A run leaves empty files of a folder out. One that was named itself is no dataset, and says so here.
        counts = [count_rows(file, sizes=sizes) for file in files if args.data.is_file() or file.stat().st_size]
        if not sum(counts):
            raise PartitionMalformed(f"{printable(args.data)}: it holds no galaxies", object=str(args.data))
        if args.data.is_file():
            return [len(share) for share in deal(range(counts[0]), args.world_size)]
        dealt = deal_partitions([size for file in files if (size := file.stat().st_size)], args.world_size)
        return [sum(counts[stretch.start : stretch.stop]) for stretch in dealt.stretches]
    return [sum(share) for share in deal(counts, args.world_size)]
