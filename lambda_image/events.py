"""The execution input: the keys that a user may give, and what each of them means. No I/O.

`parse` turns the JSON that starts an execution into a RunRequest. Numbers may come as strings. A wrong value is refused
with the key, the value and what is allowed. A key that means nothing here is accepted with a warning that names it.
"""

import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, TypeVar, cast, get_args

from lambda_image.address import Address
from lambda_image.data.quality import OnBadRow
from lambda_image.errors import InvalidEvent
from lambda_image.partition_names import printable

BUCKET_ROOT = "the bucket's root"
PLACEHOLDER = ".../"  # what the documents of earlier systems write for the place of the data
DATA_SIZES = ("small", "medium", "large")
MAX_WORLD_SIZE = 10_000  # concurrent children of a Distributed Map
MAX_BATCH_SIZE = 16_384  # 335 MB of images: a larger batch is a mistake, not a wish
MAX_WARNINGS, MAX_WARNING_LENGTH = 10, 10_000  # the states hand them on, and a state holds 256 KiB at most
MAX_PATH_BYTES = 256  # of a result path in JSON: each item of the Map has it, beside other names
MAX_LIMIT = 10**12  # of galaxies and bytes: more than any run has
MAX_GATHER_TIMEOUT_S = 840.0  # leaves a rank a minute of Lambda's 900 s to load and infer
COMBINE_LIMIT = 20_000_000  # galaxies; a file of 1 GB, which a laptop still opens
# Bytes of tables, about 350,000 galaxies, which rank 0 puts together in a third of a second while it is billed. What is
# more is left to Summarize, which takes as long for it, while no rank waits.
GATHER_LIMIT = 16 << 20
ALIASES = {"bucket_name": "bucket", "dataset_path": "data_path"}
KNOWN_BUT_UNUSED = {
    "script": "the code is in the image",
    "inference_script": "the code is in the image",
    "S3_object_name": "the code is in the image",
    "object_type": "partitions are recognised by their names' endings",
    "data_map": "partitions are dealt to the ranks by listing them",
    "unique_id": "each execution has an id of its own",
}


T = TypeVar("T")
DealBy = Literal["files", "bytes"]


@dataclass(frozen=True)
class RunRequest:
    """The meaning of an execution input. Exactly one of `data_prefix` and `data_path` is set."""

    execution: str  # the execution's ARN: what tells this run from all others
    bucket: str
    data_bucket: str
    data_prefix: str | None  # empty for the bucket's root
    data_path: str | None
    model_path: str | None  # key of the run's own weights; None for those in the image
    model_bucket: str
    result_path: str
    world_size: int | None
    file_limit: int | None
    batch_size: int
    fmi_enabled: bool
    rendezvous_endpoint: Address | None
    tolerated_failures: int
    gather_timeout_s: float
    max_concurrency: int | None  # ranks at a time; None for all
    on_bad_row: OnBadRow  # what is done about a row that cannot be judged
    deal: DealBy | None  # what the ranks' shares have alike; None for what makes the largest one smaller
    warnings: tuple[str, ...]  # that the input brings, and those about keys that have no effect
    combine_limit: int = COMBINE_LIMIT  # galaxies up to which all predictions are put into one table
    gather_limit: int = GATHER_LIMIT  # bytes of all tables up to which these travel by sockets
    gather_width: int | None = None  # ranks that an inner rank of the gather speaks for; None for what suits the run

    @property
    def run_id(self) -> str:
        """The run's name, which people use; `execution` is what is unique."""
        return run_id_of(self.execution)


def run_id_of(execution: str) -> str:
    """Takes the execution's name out of its ARN.

    The name is the last part of the ARN. Another state machine may have an execution of the same name.
    """
    return execution.rpartition(":")[2]


def parse(
    event: object, execution: str, default_endpoint: Address | None = None, default_concurrency: int | None = None
) -> RunRequest:
    """Reads an execution input.

    Args:
        event: the input, as JSON gives it.
        execution: the ARN of the execution.
        default_endpoint: the rendezvous server of the deployment, for an input that names none.
        default_concurrency: how many ranks the deployment runs at a time, for an input that does not say.

    Raises:
        InvalidEvent: a value is wrong, or one that is needed is missing; the message names its key.
    """
    if not isinstance(event, Mapping):
        raise InvalidEvent(f"the execution input is {type(event).__name__}, but must be a JSON object of named values")
    fields = _Fields(event)
    bucket = fields.take("bucket", _text)
    if bucket is None:
        raise InvalidEvent("bucket is missing: name the S3 bucket for manifest and results")
    data_bucket = fields.take("data_bucket", _text) or bucket
    prefix = _data_prefix(fields)
    data_prefix, data_path = _dataset(fields, prefix)
    model_bucket, model_path = _model(fields, bucket, data_bucket, prefix)
    file_limit = fields.take("file_limit", _integer(1, None))
    if file_limit is not None and data_path is not None:
        fields.warn("file_limit is ignored, because data_path names one dataset")
    endpoint = fields.take("rendezvous_endpoint", Address.parse) or default_endpoint
    fmi_enabled = fields.take("fmi_enabled", _boolean)
    if fmi_enabled and endpoint is None:
        raise InvalidEvent(
            "fmi_enabled is true but no rendezvous server is known: give rendezvous_endpoint (host:port), set "
            "RENDEZVOUS_ENDPOINT where the functions run, or set fmi_enabled to false"
        )
    request = RunRequest(
        execution=execution,
        bucket=bucket,
        data_bucket=data_bucket,
        data_prefix=data_prefix,
        data_path=data_path,
        model_path=model_path,
        model_bucket=model_bucket,
        result_path=fields.take("result_path", _result_path) or f"results/{run_id_of(execution)}",
        world_size=fields.take("world_size", _integer(1, MAX_WORLD_SIZE)),
        file_limit=file_limit,
        batch_size=fields.take("batch_size", _integer(1, MAX_BATCH_SIZE)) or 512,
        fmi_enabled=endpoint is not None if fmi_enabled is None else fmi_enabled,
        rendezvous_endpoint=endpoint,
        tolerated_failures=fields.take("tolerated_failures", _integer(0, MAX_WORLD_SIZE)) or 0,
        gather_timeout_s=_or(fields.take("gather_timeout_s", _seconds), 60.0),
        max_concurrency=fields.take("max_concurrency", _integer(1, MAX_WORLD_SIZE)) or default_concurrency,
        on_bad_row=fields.take("on_bad_row", _one_of(get_args(OnBadRow))) or "flag",
        deal=fields.take("deal", _one_of(get_args(DealBy))),
        warnings=fields.take("warnings", _texts) or (),
        combine_limit=_or(fields.take("combine_limit", _integer(0, MAX_LIMIT)), COMBINE_LIMIT),
        gather_limit=_or(fields.take("gather_limit", _integer(0, MAX_LIMIT)), GATHER_LIMIT),
        gather_width=fields.take("gather_width", _integer(0, MAX_WORLD_SIZE)),
    )
    return replace(request, warnings=(*request.warnings, *fields.finish()))


class _Fields:
    """Holds the values of the input by their proper names, and collects warnings."""

    def __init__(self, event: Mapping[str, Any]) -> None:
        self._warnings: list[str] = []
        self._values: dict[str, tuple[str, Any]] = {}  # proper name -> (name as given, value)
        for given, value in event.items():
            name = ALIASES.get(given, given)
            if name in self._values and self._values[name][1] != value:
                raise InvalidEvent(
                    f"{given} = {value!r} contradicts {self._values[name][0]} = {self._values[name][1]!r}: "
                    "they mean the same, give one of them"
                )
            self._values[name] = (given, value)

    def take(self, name: str, read: Callable[[Any], T], empty: T | None = None) -> T | None:
        """The value under `name`, `empty` where it is an empty string, or None where it is absent or null."""
        given, value = self._values.pop(name, (name, None))
        if value is None:
            return None
        if value == "":
            return empty
        try:
            return read(value)
        except ValueError as allowed:
            raise InvalidEvent(f"{given} is {value!r}; allowed: {allowed}") from None

    def warn(self, warning: str) -> None:
        self._warnings.append(printable(warning))

    def finish(self) -> list[str]:
        """All warnings, with one for each value that was not taken."""
        for given, _ in self._values.values():
            reason = KNOWN_BUT_UNUSED.get(given)
            self.warn(
                f"{given} is ignored, because {reason}" if reason else f"{given} is not a known key and is ignored"
            )
        return self._warnings


def _data_prefix(fields: _Fields) -> str | None:
    """Where the partitions lie, empty for the bucket's root; None where the input does not say."""
    size = fields.take("data_size", _one_of(DATA_SIZES))
    prefix = fields.take("data_prefix", _prefix, empty="")
    if size and prefix is not None:
        fields.warn(f"data_size is ignored, because data_prefix says {prefix or BUCKET_ROOT}")
    return f"datasets/{size}" if size and prefix is None else prefix


def _dataset(fields: _Fields, prefix: str | None) -> tuple[str | None, str | None]:
    """Prefix of the partitions, or the key of one dataset object."""
    path = fields.take("data_path", _text)
    if prefix == "":
        if path is not None:
            fields.warn(f"data_path is ignored, because data_prefix says {BUCKET_ROOT}")
        return prefix, None
    if path is None:
        if prefix is None:
            raise InvalidEvent(
                "no data: give data_prefix (where the partitions lie), data_size (small, medium or large) or data_path "
                "(the key of one dataset)"
            )
        return prefix, None
    if prefix is not None and not path.startswith(PLACEHOLDER):
        fields.warn("data_prefix or data_size is ignored, because data_path names the dataset")
    return None, _object(fields, "data_path", path, prefix)


def _model(fields: _Fields, bucket: str, data_bucket: str, prefix: str | None) -> tuple[str, str | None]:
    """Bucket and key of the run's own weights. They lie beside the results unless the path says otherwise."""
    path = fields.take("model_path", _text)
    if path is None:
        return bucket, None
    if path.startswith("s3://"):
        bucket, _, path = path.removeprefix("s3://").partition("/")
    elif path.startswith(PLACEHOLDER):
        bucket = data_bucket
    return bucket, _object(fields, "model_path", path, prefix)


def _object(fields: _Fields, name: str, path: str, prefix: str | None) -> str:
    """The key of an object that `name` in the input names, as earlier systems wrote it, too."""
    if path.startswith("/tmp/"):  # noqa: S108 - earlier systems copied the bucket's folder there; nothing is opened
        fields.warn(f"{name} {path} is read as a key, because /tmp/ was where the object's copy lay")
        path = path.removeprefix("/tmp/")  # noqa: S108
    if path.startswith(PLACEHOLDER):
        if prefix is None:
            raise InvalidEvent(
                f"{name} is {path!r}, where '...' stands for data_prefix or data_size, and neither is given"
            )
        placed = f"{prefix}/{path[4:]}".lstrip("/")
        fields.warn(f"{name} {path} is read as {placed}")
        path = placed
    try:
        return _key(path)
    except ValueError as allowed:
        raise InvalidEvent(f"{name} is {path!r}; allowed: {allowed}") from None


def _or(value: T | None, default: T) -> T:
    return default if value is None else value


def _text(value: object) -> str:
    if not isinstance(value, str) or not value.strip():
        raise ValueError("a text that is not empty")
    if printable(value.strip()) != value.strip():
        raise ValueError("a text of one line, without control characters")
    return value.strip()


def _texts(value: object) -> tuple[str, ...]:
    allowed = f"a list of at most {MAX_WARNINGS} texts of one line, each of at most {MAX_WARNING_LENGTH:,} characters"
    try:
        texts = tuple(_text(text) for text in value) if isinstance(value, list) else None
    except ValueError:
        texts = None
    if texts is None or len(texts) > MAX_WARNINGS or any(len(text) > MAX_WARNING_LENGTH for text in texts):
        raise ValueError(allowed)
    return texts


def _key(value: object) -> str:
    key = _text(value).strip("/")
    if not key or ".." in key.split("/"):
        raise ValueError("an S3 key or prefix, without '..' in it")
    return key


def _result_path(value: object) -> str:
    key = _key(value)
    if len(json.dumps(key, ensure_ascii=False).encode()) - len('""') > MAX_PATH_BYTES:
        raise ValueError(f"an S3 prefix of at most {MAX_PATH_BYTES} bytes, since each item of the manifest repeats it")
    return key


def _prefix(value: object) -> str:
    return _key(value) if _text(value).strip("/") else ""


def _one_of(allowed: Sequence[T]) -> Callable[[object], T]:
    def read(value: object) -> T:
        if value not in allowed:
            raise ValueError(", ".join(map(str, allowed)))
        return cast(T, value)

    return read


def _boolean(value: object) -> bool:
    if isinstance(value, bool):
        return value
    words = {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False}
    if str(value).strip().lower() not in words:
        raise ValueError("true or false")
    return words[str(value).strip().lower()]


def _number(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise ValueError("a number")
    try:
        return float(value)
    except (ValueError, OverflowError):
        raise ValueError("a number") from None


def _integer(least: int, most: int | None) -> Callable[[object], int]:
    allowed = f"a whole number from {least}" + (f" to {most}" if most is not None else "")

    def read(value: object) -> int:
        try:
            number = _number(value)
        except ValueError:
            raise ValueError(allowed) from None
        if not number.is_integer() or number < least or (most is not None and number > most):
            raise ValueError(allowed)
        return int(number)

    return read


def _seconds(value: object) -> float:
    allowed = f"seconds from 0 to {MAX_GATHER_TIMEOUT_S:g}"
    try:
        seconds = _number(value)
    except ValueError:
        raise ValueError(allowed) from None
    if not (math.isfinite(seconds) and 0 <= seconds <= MAX_GATHER_TIMEOUT_S):
        raise ValueError(allowed)
    return seconds
