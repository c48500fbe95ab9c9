"""Network namespaces that end with the process that made them, and processes that live in them.

A namespace here has no name under /run/netns: the kernel keeps it for as long as this process holds its descriptor or
a process is in it, and those processes are killed with this one. So a test that is killed leaves nothing behind.
"""

import ctypes
import fcntl
import os
import shutil
import socket
import struct
import subprocess
import sys
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
TOOLS = {"ip": "iproute2", "iptables-restore": "iptables", "nsenter": "util-linux", "setpriv": "util-linux"}
COMMAND_LIMIT_S = 60.0  # for ip and iptables, which take milliseconds
FAREWELL_S = 30.0  # for a process to end after it was killed
CLONE_NEWNET = 0x40000000  # linux/sched.h
SIOCSIFFLAGS, IFF_UP = 0x8914, 1  # linux/sockios.h, linux/if.h

_libc = ctypes.CDLL(None, use_errno=True)


class NetworkError(RuntimeError):
    """What builds the network failed; the message has its output."""


class Namespace:
    """Raises OSError where the system does not let this process make networks."""

    def __init__(self) -> None:
        self._fd = in_a_thread(_created)
        self.path = f"/proc/{os.getpid()}/fd/{self._fd}"  # as `nsenter --net=` and `ip link ... netns` take it
        self._processes: list[subprocess.Popen[str]] = []

    def run(self, *command: str, lines: Sequence[str] = ()) -> None:
        """Run to the end, with `lines` to read. Raises NetworkError."""
        done = subprocess.run(
            ["nsenter", f"--net={self.path}", *command],
            input="".join(f"{line}\n" for line in lines),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=COMMAND_LIMIT_S,
        )
        if done.returncode:
            raise NetworkError(
                f"{' '.join(command)}: status {done.returncode}: {done.stdout.strip()}; was given {lines}"
            )

    def ip(self, *lines: str) -> None:
        self.run("ip", "-batch", "-", lines=lines)

    def rules(self, *lines: str, ipv6: bool = False) -> None:
        """Append to the firewall, in the words of iptables-restore."""
        self.run("ip6tables-restore" if ipv6 else "iptables-restore", "--noflush", lines=lines)

    def route(self) -> None:
        """Forward packets from now on."""

        def inside() -> None:
            enter(self.path)
            _set("net/ipv4/ip_forward", 1)
            _set("net/ipv6/conf/all/forwarding", 1)

        in_a_thread(inside)

    def start(self, module: str, *arguments: str, **environ: str) -> "subprocess.Popen[str]":
        """`python -m module` in here, with pipes to write to and to read from. To be called from a thread that lasts:
        a process is killed when the thread that started it ends."""
        process = subprocess.Popen(
            [
                "setpriv",
                "--pdeathsig",
                "KILL",
                "nsenter",
                f"--net={self.path}",
                sys.executable,
                "-m",
                module,
                *arguments,
            ],
            cwd=ROOT,
            env=os.environ | environ,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self._processes.append(process)
        return process

    def close(self) -> None:
        """The links in here go with it."""
        for process in self._processes:
            process.kill()
        for process in self._processes:
            process.communicate(timeout=FAREWELL_S)
        os.close(self._fd)


def enter(path: str) -> None:
    """From now on sockets of the calling thread, and of threads that it starts, are in that namespace."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        _check(_libc.setns(descriptor, CLONE_NEWNET))
    finally:
        os.close(descriptor)


def unavailable() -> str | None:
    """Why networks cannot be made here, if so."""
    if sys.platform != "linux":
        return "network namespaces are Linux's"
    if missing := [f"{tool} (package {package})" for tool, package in TOOLS.items() if shutil.which(tool) is None]:
        return f"not installed: {', '.join(missing)}"
    if not Path("/proc/sys/net/ipv6").is_dir():
        return "this kernel has no IPv6"
    if os.geteuid():
        return "only root may make network namespaces"
    try:
        namespace = Namespace()
    except (OSError, NetworkError) as error:
        return f"this system lets root make no network namespaces ({error})"
    try:
        namespace.rules("*nat", "-A POSTROUTING -j MASQUERADE", "COMMIT")
    except NetworkError as error:
        return f"this kernel translates no addresses ({error})"
    finally:
        namespace.close()
    return None


def _created() -> int:
    """A namespace whose loopback is up and whose IPv6 addresses can be used at once: it searches for no duplicates."""
    _check(_libc.unshare(CLONE_NEWNET))
    for which in ("all", "default"):
        _set(f"net/ipv6/conf/{which}/accept_dad", 0)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        fcntl.ioctl(sock, SIOCSIFFLAGS, struct.pack("16sh14x", b"lo", IFF_UP))
    return os.open("/proc/thread-self/ns/net", os.O_RDONLY)


def _set(setting: str, value: int) -> None:
    Path("/proc/sys", setting).write_text(f"{value}")


def _check(status: int) -> None:
    if status:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


def in_a_thread(work: Callable[[], Any]) -> Any:
    with ThreadPoolExecutor(1) as executor:
        return executor.submit(work).result()
