"""One rank of one contender, behind the same four operations for all."""

import socket
import time
from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np

from scripts.bench.comm.contenders import GLOO, OURS
from scripts.bench.comm.star import PATIENCE_S, RawMember, Star


class Member(Protocol):
    """Rank 0 is the root. Values are arrays of one shape at all ranks; a bcast's is, elsewhere, only its like."""

    def barrier(self) -> None: ...
    def gather(self, part: np.ndarray) -> Sequence[np.ndarray] | None: ...
    def bcast(self, value: np.ndarray) -> np.ndarray: ...
    def allreduce(self, value: np.ndarray) -> np.ndarray: ...
    def close(self) -> None: ...


def make_member(spec: dict[str, Any], star: Star) -> Member:
    """`spec`: rank, world_size, kind and style of the contender; for ours also endpoint, key and run_id."""
    if spec["kind"] == OURS:
        return OurMember(spec)
    if spec["kind"] == GLOO:
        return GlooMember(star, spec["rank"], spec["world_size"])
    return RawMember(star, spec["rank"], spec["style"])


class OurMember:
    """`style`: "into" with buffers that are used again, "bare" without tags and receipts, as raw sockets and Gloo are,
    "star" with channels to rank 0 only.
    """

    def __init__(self, spec: dict[str, Any]) -> None:
        # Here: what a contender does not use should not slow its start.
        from lambda_image.comm.channel.channel import ChannelSettings
        from lambda_image.comm.communicator import Communicator
        from rendezvous_server.protocol import Topology

        styles = spec["style"].split()
        self._rank, self._world_size = spec["rank"], spec["world_size"]
        self._into, self._confirm = "into" in styles, "bare" not in styles
        self._rooms: dict[int, list[np.ndarray]] = {}
        self._communicator = Communicator.join(
            spec["endpoint"],
            run_id=spec["run_id"],
            run_key=bytes(32),
            rank=spec["rank"],
            world_size=spec["world_size"],
            rendezvous_key=bytes.fromhex(spec["key"]),
            deadline=_deadline(),
            topology=Topology.STAR if "star" in styles else Topology.FULL,
            settings=ChannelSettings(tags="bare" not in styles),
        )
        self.barrier()

    def barrier(self) -> None:
        self._communicator.barrier(deadline=_deadline())

    def gather(self, part: np.ndarray) -> Sequence[np.ndarray] | None:
        out = self._rooms_like(part, self._world_size) if self._rank == 0 else None
        gathered = self._communicator.gather(part, out=out, confirm=self._confirm, deadline=_deadline())
        return None if gathered is None else gathered.parts

    def bcast(self, value: np.ndarray) -> np.ndarray:
        array: np.ndarray = self._communicator.bcast(value, out=self._room_like(value), deadline=_deadline())
        return array

    def allreduce(self, value: np.ndarray) -> np.ndarray:
        array: np.ndarray = self._communicator.allreduce(value, out=self._room_like(value), deadline=_deadline())
        return array

    def close(self) -> None:
        self._communicator.close()

    def _room_like(self, value: np.ndarray) -> np.ndarray | None:
        rooms = self._rooms_like(value, 1)
        return None if rooms is None else rooms[0]

    def _rooms_like(self, value: np.ndarray, count: int) -> list[np.ndarray] | None:
        if not self._into:
            return None
        if len(self._rooms.get(value.nbytes, ())) != count:
            self._rooms = {value.nbytes: [np.empty_like(value) for _ in range(count)]}
        return self._rooms[value.nbytes]


class GlooMember:
    """PyTorch's own backend for processors, into buffers that are used again."""

    def __init__(self, star: Star, rank: int, world_size: int) -> None:
        import torch  # here: it takes seconds, and the other contenders do without
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
        self._rooms: dict[int, list[Any]] = {}

    def barrier(self) -> None:
        self._dist.barrier()

    def gather(self, part: np.ndarray) -> Sequence[np.ndarray] | None:
        tensor = self._torch.from_numpy(part)
        rooms = self._rooms_like(tensor, self._world_size) if self._rank == 0 else None
        self._dist.gather(tensor, rooms, dst=0)
        return None if rooms is None else [room.numpy() for room in rooms]

    def bcast(self, value: np.ndarray) -> np.ndarray:
        room = self._torch.from_numpy(value)
        if self._rank != 0:
            room = self._rooms_like(room, 1)[0]
        self._dist.broadcast(room, src=0)
        array: np.ndarray = room.numpy()
        return array

    def allreduce(self, value: np.ndarray) -> np.ndarray:
        room = self._rooms_like(self._torch.from_numpy(value), 1)[0]
        room.copy_(self._torch.from_numpy(value))  # Gloo overwrites its argument; the others leave it alone
        self._dist.all_reduce(room)
        array: np.ndarray = room.numpy()
        return array

    def close(self) -> None:
        self._dist.destroy_process_group()

    def _rooms_like(self, tensor: Any, count: int) -> list[Any]:
        key = tensor.numel()
        if len(self._rooms.get(key, ())) != count:
            self._rooms = {key: [self._torch.empty_like(tensor) for _ in range(count)]}
        return self._rooms[key]


def _deadline() -> float:
    return time.monotonic() + PATIENCE_S
