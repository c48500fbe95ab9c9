"""What carries out the operations of one rank, behind the same interface for all contenders."""

import socket
import time
from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np

from scripts.bench.comm.contenders import GLOO, OURS
from scripts.bench.comm.star import TIMEOUT_S, SocketBackend, Star


class Backend(Protocol):
    """The operations of one rank.

    Rank 0 is the root. Values are arrays of one shape at all ranks. Of the value that they give to a bcast, ranks other
    than the root use the shape and type only.
    """

    def barrier(self) -> None: ...
    def gather(self, part: np.ndarray) -> Sequence[np.ndarray] | None: ...
    def bcast(self, value: np.ndarray) -> np.ndarray: ...
    def allreduce(self, value: np.ndarray) -> np.ndarray: ...
    def close(self) -> None: ...


def make_backend(spec: dict[str, Any], star: Star) -> Backend:
    """Return the backend of a rank.

    Args:
        spec: rank, world_size, kind and style of the contender; for ours also endpoint, key and run_id.
        star: Sockets from rank 0 to all others.
    """
    if spec["kind"] == OURS:
        return CommunicatorBackend(spec)
    if spec["kind"] == GLOO:
        return GlooBackend(star, spec["rank"], spec["world_size"])
    return SocketBackend(star, spec["rank"], spec["style"])


class CommunicatorBackend:
    """Our communicator.

    Its style is some of these words: "into" with buffers that are used again, "bare" unencrypted and without receipts,
    as raw sockets and Gloo are, "receipts" with these all the same, "star" with channels to rank 0 only.
    """

    def __init__(self, spec: dict[str, Any]) -> None:
        # Here, as what a contender does not use should not slow its start.
        from lambda_image.comm.channel.channel import ChannelSettings
        from lambda_image.comm.communicator import Communicator
        from rendezvous_server.protocol import Topology

        styles = spec["style"].split()
        self._rank, self._world_size = spec["rank"], spec["world_size"]
        self._into, self._confirm = "into" in styles, "bare" not in styles or "receipts" in styles
        self._buffers: dict[int, list[np.ndarray]] = {}
        self._communicator = Communicator.join(
            spec["endpoint"],
            run_id=spec["run_id"],
            run_key=bytes(32),
            rank=spec["rank"],
            world_size=spec["world_size"],
            rendezvous_key=bytes.fromhex(spec["key"]),
            deadline=_deadline(),
            topology=Topology.STAR if "star" in styles else Topology.FULL,
            settings=ChannelSettings(encrypted="bare" not in styles),
        )
        self.barrier()

    def barrier(self) -> None:
        self._communicator.barrier(deadline=_deadline())

    def gather(self, part: np.ndarray) -> Sequence[np.ndarray] | None:
        out = self._buffers_like(part, self._world_size) if self._rank == 0 else None
        gathered = self._communicator.gather(part, out=out, confirm=self._confirm, deadline=_deadline())
        return None if gathered is None else gathered.parts

    def bcast(self, value: np.ndarray) -> np.ndarray:
        array: np.ndarray = self._communicator.bcast(value, out=self._buffer_like(value), deadline=_deadline())
        return array

    def allreduce(self, value: np.ndarray) -> np.ndarray:
        array: np.ndarray = self._communicator.allreduce(value, out=self._buffer_like(value), deadline=_deadline())
        return array

    def close(self) -> None:
        self._communicator.close()

    def _buffer_like(self, value: np.ndarray) -> np.ndarray | None:
        buffers = self._buffers_like(value, 1)
        return None if buffers is None else buffers[0]

    def _buffers_like(self, value: np.ndarray, count: int) -> list[np.ndarray] | None:
        if not self._into:
            return None
        if len(self._buffers.get(value.nbytes, ())) != count:
            self._buffers = {value.nbytes: [np.empty_like(value) for _ in range(count)]}
        return self._buffers[value.nbytes]


class GlooBackend:
    """PyTorch's own backend for processors, into buffers that are used again."""

    def __init__(self, star: Star, rank: int, world_size: int) -> None:
        import torch  # here, as it takes seconds, and the other contenders do without
        import torch.distributed as dist
        from torch.distributed import TCPStore  # type: ignore[attr-defined]  # public, though not in its __all__

        if rank == 0:
            store = TCPStore("127.0.0.1", 0, world_size, is_master=True, wait_for_workers=False)
            for sock in star.sockets:
                sock.sendall(store.port.to_bytes(4, "big"))
        else:
            port = int.from_bytes(star.sockets[0].recv(4, socket.MSG_WAITALL), "big")
            store = TCPStore("127.0.0.1", port, world_size, is_master=False)
        dist.init_process_group("gloo", store=store, rank=rank, world_size=world_size)
        self._dist, self._torch, self._rank, self._world_size = dist, torch, rank, world_size
        self._buffers: dict[int, list[Any]] = {}

    def barrier(self) -> None:
        self._dist.barrier()

    def gather(self, part: np.ndarray) -> Sequence[np.ndarray] | None:
        tensor = self._torch.from_numpy(part)
        buffers = self._buffers_like(tensor, self._world_size) if self._rank == 0 else None
        self._dist.gather(tensor, buffers, dst=0)
        return None if buffers is None else [buffer.numpy() for buffer in buffers]

    def bcast(self, value: np.ndarray) -> np.ndarray:
        buffer = self._torch.from_numpy(value)
        if self._rank != 0:
            buffer = self._buffers_like(buffer, 1)[0]
        self._dist.broadcast(buffer, src=0)
        array: np.ndarray = buffer.numpy()
        return array

    def allreduce(self, value: np.ndarray) -> np.ndarray:
        buffer = self._buffers_like(self._torch.from_numpy(value), 1)[0]
        buffer.copy_(self._torch.from_numpy(value))  # Gloo overwrites its argument; the others leave it alone
        self._dist.all_reduce(buffer)
        array: np.ndarray = buffer.numpy()
        return array

    def close(self) -> None:
        self._dist.destroy_process_group()

    def _buffers_like(self, tensor: Any, count: int) -> list[Any]:
        key = tensor.numel()
        if len(self._buffers.get(key, ())) != count:
            self._buffers = {key: [self._torch.empty_like(tensor) for _ in range(count)]}
        return self._buffers[key]


def _deadline() -> float:
    return time.monotonic() + TIMEOUT_S
