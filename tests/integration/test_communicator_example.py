"""The program in docs/communicator.md, as a reader starts it."""

import re
import socket
import subprocess
import sys
from pathlib import Path

from tests.integration.rendezvous import Server

ROOT = Path(__file__).resolve().parents[2]
PROGRAM = re.search(r"```python\n(# try\.py\n.*?)```", (ROOT / "docs" / "communicator.md").read_text(), re.DOTALL)[1]


def run(port: int, folder: Path, timeout_s: int = 30) -> list[tuple[int, str, str]]:
    """Status, output and errors of its three ranks, with a server on this port."""
    program = PROGRAM.replace("127.0.0.1:10000", f"127.0.0.1:{port}").replace("timeout_s=30", f"timeout_s={timeout_s}")
    (folder / "try.py").write_text(program)
    command = [sys.executable, str(folder / "try.py")]
    ranks = [
        subprocess.Popen(
            [*command, str(rank), "3"],
            cwd=folder,
            env={"PYTHONPATH": str(ROOT)},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in range(3)
    ]
    said = [rank.communicate(timeout=60) for rank in ranks]
    return [(rank.returncode, *words) for rank, words in zip(ranks, said, strict=True)]


def test_it_prints_what_the_document_shows(server: Server, tmp_path: Path):
    assert run(server.port, tmp_path) == [
        (0, "0 [3 3 3] [b'rank 0', bytearray(b'rank 1'), bytearray(b'rank 2')]\n", ""),
        (0, "1 [3 3 3] None\n", ""),
        (0, "2 [3 3 3] None\n", ""),
    ]


def test_without_a_server_each_rank_says_one_line(tmp_path: Path):
    with socket.socket() as taken:  # and not listening, so that nobody answers there
        taken.bind(("127.0.0.1", 0))
        ended = run(taken.getsockname()[1], tmp_path, timeout_s=1)
    for rank, (status, out, errors) in enumerate(ended):
        assert (status, out, errors.count("\n")) == (1, "", 1), errors
        assert errors.startswith(f"RendezvousUnreachable: rank {rank}, allreduce: ")
