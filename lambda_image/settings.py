"""What the environment tells a function, read once where the function is put together."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from lambda_image import process
from lambda_image.address import Address
from lambda_image.errors import InvalidEvent
from lambda_image.model import SHIPPED_MODEL
from lambda_image.model.engine_files import DEVICES, ENGINE_NAMES, Device, EngineName
from rendezvous_server.protocol import key_from_text

MB_PER_VCPU = 1769  # Lambda gives one vCPU per so much memory,
MAX_VCPUS = 6  # six at most
SEGMENTS = range(88, 32768)  # bytes: what Linux takes for TCP_MAXSEG


@dataclass(frozen=True)
class HandlerSettings:
    """The settings of a handler. `rendezvous_key` authenticates joins, and never appears in a repr or a log."""

    rendezvous_endpoint: Address | None
    rendezvous_key: bytes | None = field(repr=False)
    model_path: Path
    memory_mb: int
    threads: int
    max_concurrency: int | None = None  # ranks at a time, where the deployment runs no more
    max_segment: int | None = None  # bytes; see comm/channel/channel.py
    engine: EngineName = "auto"
    device: Device = "cpu"

    @classmethod
    def from_environ(cls, environ: Mapping[str, str]) -> "HandlerSettings":
        """Reads the settings.

        Args:
            environ: the environment variables of the process.

        Raises:
            InvalidEvent: a variable has a value that is not allowed; the message names the variable.
        """
        memory_mb = _integer(environ, "AWS_LAMBDA_FUNCTION_MEMORY_SIZE", 3008)
        cpus = min(process.usable_cpus(), MAX_VCPUS)
        endpoint = environ.get("RENDEZVOUS_ENDPOINT")
        device = _device(environ.get("INFERENCE_DEVICE") or "cpu")
        try:
            parsed = Address.parse(endpoint) if endpoint else None
        except ValueError as allowed:
            raise InvalidEvent(f"RENDEZVOUS_ENDPOINT is {endpoint!r}; allowed: {allowed}") from None
        return cls(
            rendezvous_endpoint=parsed,
            rendezvous_key=_rendezvous_key(environ),
            model_path=Path(environ.get("MODEL_PATH") or environ.get("IMAGE_MODEL") or SHIPPED_MODEL),
            memory_mb=memory_mb,
            threads=_integer(environ, "OMP_NUM_THREADS", min(cpus, max(1, round(memory_mb / MB_PER_VCPU)))),
            max_concurrency=_integer(environ, "MAX_CONCURRENCY", 1) if environ.get("MAX_CONCURRENCY") else None,
            max_segment=_max_segment(environ),
            engine=_engine(environ.get("INFERENCE_ENGINE") or "auto", device),
            device=device,
        )


def _device(name: str) -> Device:
    for device in DEVICES:
        if name == device:
            return device
    raise InvalidEvent(f"INFERENCE_DEVICE is {name!r}; allowed: {', '.join(DEVICES)}")


def _engine(name: str, device: Device) -> EngineName:
    for engine in ENGINE_NAMES[device]:
        if name == engine:
            return engine
    raise InvalidEvent(
        f"INFERENCE_ENGINE is {name!r}; allowed on {device} (INFERENCE_DEVICE): {', '.join(ENGINE_NAMES[device])}"
    )


def _integer(environ: Mapping[str, str], name: str, default: int) -> int:
    value = environ.get(name) or str(default)
    if not value.isascii() or not value.isdigit() or int(value) < 1:
        raise InvalidEvent(f"{name} is {value!r}; allowed: a whole number from 1")
    return int(value)


def _max_segment(environ: Mapping[str, str]) -> int | None:
    if not environ.get("TCP_MAX_SEGMENT"):
        return None
    value = _integer(environ, "TCP_MAX_SEGMENT", 0)
    if value not in SEGMENTS:
        raise InvalidEvent(f"TCP_MAX_SEGMENT is {value}; allowed: {SEGMENTS.start} to {SEGMENTS.stop - 1} bytes")
    return value


def _rendezvous_key(environ: Mapping[str, str]) -> bytes | None:
    """By the rules of the server (rendezvous_server/settings.py): a key that is read differently opens nothing."""
    text, path = environ.get("RENDEZVOUS_KEY", ""), environ.get("RENDEZVOUS_KEY_FILE")
    if not path:
        return key_from_text(text)
    if text.strip():
        raise InvalidEvent("both RENDEZVOUS_KEY and RENDEZVOUS_KEY_FILE are given: which one is meant?")
    try:
        key = key_from_text(Path(path).read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidEvent(f"the key file {path} (RENDEZVOUS_KEY_FILE) cannot be read as text: {error}") from error
    if key is None:
        raise InvalidEvent(f"the key file {path} (RENDEZVOUS_KEY_FILE) is empty")
    return key
