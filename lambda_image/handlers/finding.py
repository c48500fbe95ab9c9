"""What a run works on: Init finds its partitions and weights, and deals the former to the ranks. Nothing is written.

`cosmicai invoke` does the same before it starts a run, so that a user need not wait for Init to hear of a mistake.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

from lambda_image.data.partition import count_rows
from lambda_image.dealing import deal_partitions, deal_rows
from lambda_image.errors import InvalidEvent, PartitionMalformed
from lambda_image.events import MAX_WORLD_SIZE, RunRequest
from lambda_image.manifest import ModelObject, Slice
from lambda_image.partition_list import choose_partitions
from lambda_image.storage import ObjectStore

BY_ROWS = "rows"


@dataclass(frozen=True)
class Dealt:
    """What each rank works on.

    Attributes:
        shares: The slices of each rank.
        warnings: What the user must be told of the data.
        by: What the ranks have alike: files, bytes, or rows of one dataset.
        said: The same in a sentence, where there was a choice.
        sizes: Bytes of each rank's partitions; None where rows are dealt.
    """

    shares: Sequence[Sequence[Slice]]
    warnings: list[str] = field(default_factory=list)
    by: str = BY_ROWS
    said: str = ""
    sizes: Sequence[int] | None = None


def find_data(request: RunRequest, data: ObjectStore) -> Dealt:
    """Finds the data and deals it to the ranks.

    Args:
        request: the execution input.
        data: the bucket of the partitions.

    Raises:
        InvalidEvent: the input does not fit what is in the bucket.
        PartitionMissing: there is no partition under the prefix, or no dataset under the key.
        PartitionMalformed: the dataset is none.
    """
    if request.data_path is not None:
        with data.open(request.data_path) as dataset:
            rows = count_rows(dataset, data.url(request.data_path))
            etag = dataset.etag or ""
        if not rows:
            raise PartitionMalformed(f"{data.url(request.data_path)}: it holds no galaxies", object=request.data_path)
        return Dealt(deal_rows(request.data_path, etag, rows, request.world_size or 1))
    prefix = f"{request.data_prefix}/" if request.data_prefix else ""
    partitions, warnings = choose_partitions(data.list_folder(prefix), prefix, data.url(prefix), request.file_limit)
    world_size, most = request.world_size or len(partitions), MAX_WORLD_SIZE
    if world_size > most:
        warnings.append(f"{len(partitions):,} partitions are dealt to {most:,} ranks, which are the most of a run")
        world_size = most
    sizes = partitions.sizes()
    dealt = deal_partitions(sizes, world_size, request.deal)
    return Dealt(
        [partitions[stretch.start : stretch.stop] for stretch in dealt.stretches],
        warnings,
        dealt.by,
        dealt.said() if dealt.by == "bytes" or request.deal else "",
        [sum(sizes[stretch.start : stretch.stop]) for stretch in dealt.stretches],
    )


def find_model(request: RunRequest, models: ObjectStore) -> ModelObject | None:
    """Finds the run's own weights, as they are now. Whether they are weights is for the ranks to see.

    Args:
        request: the execution input.
        models: the bucket of the weights.

    Returns:
        The object and its version, or None where the image's weights predict.

    Raises:
        InvalidEvent: there is no such object.
    """
    if request.model_path is None:
        return None
    found, url = models.head(request.model_path), models.url(request.model_path)
    if found is None:
        raise InvalidEvent(
            f"{url}, which model_path names, does not exist: upload the weights, correct model_path, or leave it "
            "out for the weights in the image",
            key="model_path",
            object=url,
        )
    return ModelObject(request.model_bucket, request.model_path, found.etag)
