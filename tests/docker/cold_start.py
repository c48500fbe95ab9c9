"""How long a container takes from `docker run` to its first answer: `python -m tests.docker --tries 5`.

Two answers, each by a container of its own: to an event that is refused at once (the start alone), and of a rank with a
partition of 25 MB on the local endpoint's S3, which runs beside it. What is to be done waits when the container starts.
"""

import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

from testcontainers.core.network import Network

from lambda_image.data.partition import ROW_BYTES
from scripts.aws_endpoint import AwsEndpoint
from tests.docker.composition import PATIENCE_S
from tests.docker.workers import endpoint_container, worker
from tests.integration.system import BUCKET, Events, System, write_galaxies

PARTITION_BYTES = 25_000_000
IMAGES = ("cosmicai-lambda:slim", "cosmicai-lambda:full")


@dataclass(frozen=True)
class Size:
    """What the container may use."""

    cpus: float
    memory_mb: int

    @property
    def limits(self) -> dict[str, Any]:
        return {"nano_cpus": int(self.cpus * 1e9), "mem_limit": f"{self.memory_mb}m"}


SIZES = (Size(2, 3538), Size(0.58, 1024))


@dataclass(frozen=True)
class Start:
    """Seconds from `docker run` to an answer; of the rank also what it says of itself."""

    refusal_s: float
    rank_s: float
    cold_start_s: float
    download_s: float
    inference_s: float


class Bench:
    def __init__(self, network: Network, system: System, item: dict[str, Any]) -> None:
        self._network, self._system, self._item = network, system, item

    def start(self, image: str, size: Size) -> Start:
        refusal_s = self._first_answer(image, size, {"nonsense": 1})
        for name in ("0.json", "predictions/0.parquet"):  # or this start would take over the result of the last one
            self._system.s3.delete_object(Bucket=BUCKET, Key=f"{self._item['result_path']}/{name}")
        rank_s = self._first_answer(image, size, {"item": self._item, "attempt": 0})
        phases = self._system.json(f"{self._item['result_path']}/0.json")["phases"]
        return Start(refusal_s, rank_s, *(phases[name] for name in ("cold_start_s", "download_s", "inference_s")))

    def _first_answer(self, image: str, size: Size, event: dict[str, Any]) -> float:
        container = worker("rank", self._network, image).with_kwargs(init=True, read_only=True, **size.limits)
        with ThreadPoolExecutor() as pool:
            answer = pool.submit(self._system.invoke, "rank", event)
            started = time.monotonic()
            with container:
                answer.result(PATIENCE_S)
                return time.monotonic() - started


@contextmanager
def bench(folder: Path) -> Iterator[Bench]:
    with ExitStack() as stack:
        network = stack.enter_context(Network())
        aws = stack.enter_context(endpoint_container(network))
        endpoint = AwsEndpoint(f"http://127.0.0.1:{aws.get_exposed_port(4566)}")
        endpoint.wait_until_listening(PATIENCE_S)
        system = System(endpoint, Events())
        system.upload(write_galaxies(folder, 1, PARTITION_BYTES // ROW_BYTES), "data")
        stack.enter_context(worker("init", network))
        execution_input = {"bucket": BUCKET, "data_prefix": "data", "fmi_enabled": False, "result_path": "results"}
        begun = {"input": execution_input, "execution": "arn:cold-start", "started_at": "2026-01-01T00:00:00+00:00"}
        system.invoke("init", begun)
        yield Bench(network, system, system.json("results/manifest.json")[0])


def table(folder: Path, tries: int, images: Sequence[str] = IMAGES) -> Iterator[str]:
    """Lines of medians; the sizes and images take turns, so that a busy minute of the machine meets all of them."""
    cases = [(image, size) for image in images for size in SIZES]
    starts: dict[tuple[str, Size], list[Start]] = {case: [] for case in cases}
    with bench(folder) as running:
        for _ in range(tries):
            for case in cases:
                starts[case].append(running.start(*case))
    yield "| image | CPUs, memory | first answer | rank with 25 MB | its cold start | download | inference |"
    yield "| --- | --- | --- | --- | --- | --- | --- |"
    for (image, size), found in starts.items():
        fields = ("refusal_s", "rank_s", "cold_start_s", "download_s", "inference_s")
        times = " | ".join(f"{median(getattr(start, field) for start in found):.2f} s" for field in fields)
        yield f"| `{image}` | {size.cpus:g}, {size.memory_mb} MB | {times} |"
    for image in images[1:]:
        pairs = [pair for size in SIZES for pair in zip(starts[image, size], starts[images[0], size], strict=True)]
        first = median(one.refusal_s / other.refusal_s for one, other in pairs)
        rank = median(one.cold_start_s / other.cold_start_s for one, other in pairs)
        beside = f"{image} beside {images[0]}, medians of {len(pairs)} pairs"
        yield f"{beside}: first answer {first:.2f}, its cold start {rank:.2f}"
