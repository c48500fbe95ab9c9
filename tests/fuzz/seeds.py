"""What each parser is given in good times, from which the search begins."""

import gzip
import io
import json
import pickle
import struct
from collections import OrderedDict
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import torch

from lambda_image.bundle import Delivered, Parts, bundle
from lambda_image.comm.channel.cipher import Cipher
from lambda_image.comm.channel.frames import HEADER
from lambda_image.comm.channel.handshake import Handshake, Member
from lambda_image.comm.channel.signals import Flag, Kind, abort_payload
from lambda_image.comm.channel.transport import Transport
from lambda_image.comm.channel.values import encode
from lambda_image.data.partition import write_partition
from lambda_image.data.predictions import Predictions
from lambda_image.data.tally import RowTally
from lambda_image.errors import PeerClosed
from lambda_image.manifest import Assignment, Run, Slice
from lambda_image.rank_table import RankTable
from lambda_image.request_times import RequestTimes
from lambda_image.results import Phases, Usage, Work, combined_data, combined_line, digest, pack, rank_record
from lambda_image.shares import withhold
from lambda_image.stretch_file import Finished
from lambda_image.stretch_file import encode as encode_stretch
from rendezvous_server.protocol import (
    COMPLETE_FRAME,
    MAGIC,
    PING_FRAME,
    ClientConnection,
    Endpoint,
    Join,
    RejectCode,
    Relay,
    RelayConnection,
    ServerConnection,
    encode_expired,
    encode_left,
    encode_peers,
    encode_row,
)
from rendezvous_server.proxy_protocol import SIGNATURE
from tests.data import networks
from tests.fuzz.objects import ASSIGNMENT, TABLE
from tests.fuzz.targets import KEY, NONCE, SEEN

REQUEST = "8f64015a-b991-4bc2-bc09-def344b36359"
CUT = b"\xff"  # the first byte of a seed for parsers of streams: in pieces of 256 bytes


def conversation(client: ClientConnection | RelayConnection, key: bytes | None) -> tuple[bytes, bytes]:
    """What the client and the server say until the request is made."""
    server = ServerConnection(key, lambda: NONCE, SEEN, 1)
    hello = client.data_to_send()
    list(server.receive_data(hello))
    challenge = server.data_to_send()
    list(client.receive_data(challenge))
    return hello + client.data_to_send(), challenge


def seeds() -> Iterator[tuple[str, bytes]]:
    """Names of targets, and their inputs."""
    join = Join("run", 1, 4, local=(Endpoint("10.0.0.1", 4000), Endpoint("2001:db8::1", 4001)))
    for name, key in (("rendezvous_server", None), ("rendezvous_server_with_key", KEY)):
        for client in (ClientConnection(join, key), RelayConnection(Relay("run", 1, 0, 2, 0), key)):
            yield name, CUT + conversation(client, key)[0]
        yield name, CUT + MAGIC + b"\x01"
    yield "pairing", CUT + b"-of-a-pair"
    _, challenge = conversation(ClientConnection(join, KEY), KEY)
    rows = encode_peers([encode_row(Join("run", 0, 4, local=join.local), SEEN)])
    news = rows + COMPLETE_FRAME + PING_FRAME + encode_left([(0, 0)]) + encode_expired([2], "late")
    accepted = ServerConnection(None, lambda: NONCE, SEEN)
    list(accepted.receive_data(conversation(ClientConnection(join), None)[0]))
    accepted.data_to_send()
    accepted.accept(60.0, 5.0)
    yield "rendezvous_client", CUT + challenge + accepted.data_to_send() + news
    refused = ServerConnection(None, lambda: NONCE, SEEN)
    list(refused.receive_data(MAGIC + b"\x01"))
    refused.reject(RejectCode.LIMIT, "full")
    yield "rendezvous_client", CUT + refused.data_to_send()
    yield "proxy_protocol", CUT + SIGNATURE + b"\x21\x11\x00\x0c" + bytes(12) + b"rest"
    yield "proxy_protocol", CUT + SIGNATURE + b"\x21\x21\x00\x24" + bytes(36)
    for value in (b"", b"some bytes", np.arange(6, dtype=np.float32).reshape(2, 3)):
        meta, buffers = encode(value)
        payload = b"".join(buffers)
        header = HEADER.pack(1, int(Kind.GATHER), int(Flag.NONE), len(meta), len(payload))
        yield "frames", CUT + header + meta + payload
        yield "sealed_frames", CUT + header + meta + payload
        yield "encrypted_frames", CUT + header + Cipher(bytes(15) + b"\1").seal(meta + payload, header)
        yield "values", len(payload).to_bytes(2, "big") + meta
    meta, buffers = encode(np.zeros(1200, "f4"))
    seal = struct.pack("!II32sI", 0, 0, bytes(32), 5)
    for kind, sealed_meta in (
        (Kind.BCAST, seal + meta),
        (Kind.ALLGATHER, seal),
        (Kind.GATHER, seal),
        (Kind.BCAST, seal[1:]),
    ):
        header = HEADER.pack(1, int(kind), int(Flag.SEALED), len(sealed_meta), 4800)
        yield "values_for_all", CUT + header + sealed_meta + buffers[0]
    yield "aborts", abort_payload(PeerClosed("gone", peer=3, reason="it left"))
    higher = Handshake(
        KEY, Member(2, 0), way=(Transport.DIRECT, Member(1, 0)), encrypted=True, probe=False, nonce=NONCE
    )
    yield "handshake", higher.greet()
    yield from files()
    assignment = Assignment(
        "arn:e:x", "00" * 32, 0, 2, "b", "r", "d", (Slice("k", (0, 4), "e"),), 512, True, "h:1", 60.0, 1.5
    )
    yield "manifest", json.dumps(assignment.to_json()).encode()
    run = Run("arn:e:x", "b", "r/manifest.json", "r", 2, 0, 1.5, ("w",))
    yield "manifest", json.dumps(run.to_json()).encode()
    given = {"bucket": "b", "data_prefix": "p", "world_size": "4", "fmi_enabled": "yes", "rendezvous_endpoint": "h:1"}
    yield "events", json.dumps(given).encode()
    yield "events", b'{"bucket_name": "b", "data_path": "/tmp/x", "file_limit": 3.0, "gather_timeout_s": 1e400}'
    yield from objects()
    yield from files_of_users()
    yield "causes", b'{"errorMessage": "no", "errorType": "E", "stackTrace": []}'


def objects() -> Iterator[tuple[str, bytes]]:
    """What a run of one rank leaves on S3, and what the local endpoint is asked."""
    usage = Usage(1.0, 1.0, 512, "eager", "cpu", 1, 1, 1, RequestTimes())
    work = Work(1, 1, 8, quality=RowTally(1, 1, flags={"image_bad": 1}, first={"image_bad": ("k", 0)}))
    table = RankTable.of([Predictions.from_parquet(TABLE)])
    named, statistics = table.facts("r/predictions/0.parquet"), table.statistics.to_json()
    record = rank_record(ASSIGNMENT, 0, work, Phases(), usage, named, "storage", statistics=statistics)
    claim = {"execution": ASSIGNMENT.execution, "rank": 0, "attempt": 1, "tries": 1, "token": "t", "gather_error": None}
    for name in ("records", "registers"):
        yield name, json.dumps(record).encode()
        yield name, json.dumps(claim).encode()
    yield "combined_results", b"".join(combined_data([combined_line(record)]))
    lines = io.BytesIO()
    items = withhold([ASSIGNMENT], "shares/0.jsonl", lines)
    yield "manifests", json.dumps(items).encode()
    yield "shares", lines.getvalue()
    finished = {0: Finished(Predictions.from_parquet(TABLE), work)}
    yield "stretches", encode_stretch(finished, ASSIGNMENT.execution, {"attempt": 0})
    yield "worker_lines", CUT + b'{"event": "phase", "rank": 0}\nplain\r\n'
    yield "endpoint_requests", b'{"stateMachineArn": "arn:aws:states", "input": "{}"}'
    yield "endpoint_requests", b'[{"rank": 0}, {"rank": 1}]'
    yield "endpoint_requests", b"W3sibWFwUnVuQXJuIjogImEifSwgMSwgMl0="


def files_of_users() -> Iterator[tuple[str, bytes]]:
    from astropy.io import fits

    stored = io.BytesIO()
    np.save(stored, np.ones((2, 5), np.float32))
    yield "foreign_files", stored.getvalue()
    stored = io.BytesIO()
    np.savez(stored, images=np.ones((1, 5, 4, 4), np.float32), z=np.ones(1))
    yield "foreign_files", stored.getvalue()
    stored = io.BytesIO()
    columns = [fits.Column("objid", "K", array=[1, 2]), fits.Column("u", "E", array=[20.0, 21.0])]
    hdus = fits.HDUList([fits.PrimaryHDU(np.ones((2, 2), np.float32)), fits.BinTableHDU.from_columns(columns)])
    hdus.writeto(stored)
    yield "foreign_files", stored.getvalue()
    yield "foreign_files", b"objid,u,z\n1,20.5,0.1\n2,,nan\n"
    stored = io.BytesIO()
    torch.save({"model.weight": torch.arange(4.0), "epoch": 3}, stored)
    yield "checkpoints", stored.getvalue()
    yield "onnx_files", networks.with_magnitudes().SerializeToString()
    yield "addresses", b"rendezvous.example:10000"
    yield "addresses", b"[2001:db8::1]:10000"
    lines = [f"START RequestId: {REQUEST} Version: $LATEST", '{"event": "phase", "rank": 3, "run_id": "r"}']
    lines += [f"REPORT RequestId: {REQUEST}\tDuration: 1.50 ms\tBilled Duration: 2 ms\tMemory Size: 128 MB\t"]
    yield "exported_logs", "\n".join(lines).encode()
    events = [{"timestamp": 1700000000000 + number, "message": line} for number, line in enumerate(lines)]
    yield "exported_logs", json.dumps({"events": events}).encode()
    yield "exported_logs", gzip.compress(b"timestamp,message\n1,hello\n", mtime=0)
    kinds = ("ExecutionStarted", "MapStateEntered", "MapStateExited", "ExecutionSucceeded")
    told = [{"type": kind, "timestamp": f"2026-11-28T12:00:0{n}.5+00:00"} for n, kind in enumerate(kinds)]
    yield "histories", json.dumps({"events": told}).encode()
    yield "histories", b'{"events": [{"type": "ExecutionStarted", "timestamp": 1700000000.5}]}'


def files() -> Iterator[tuple[str, bytes]]:
    images, magnitudes = np.ones((1, 5, 32, 32), np.float32), np.ones((1, 5), np.float32)
    with TemporaryDirectory() as folder:
        for kind in ("safetensors", "pt"):
            path = Path(folder) / kind
            write_partition(path, images, magnitudes, np.ones(1, np.float32), file_format=kind)  # type: ignore[arg-type]
            yield "partition", path.read_bytes()
    for legacy in (False, True):
        stored = io.BytesIO()
        torch.save(torch.arange(4.0), stored, _use_new_zipfile_serialization=not legacy)
        yield "archives", stored.getvalue()
    for protocol in (2, 4):
        yield "pickles", pickle.dumps(OrderedDict(a=[1, (2.5, "x")], b={3: {b"y", None}}), protocol)
    table = Predictions.of_partition("k", 0, magnitudes, np.ones(1), np.ones(1)).to_parquet()
    yield "tables", table
    yield "bundles", bundle(Parts({1: Delivered("direct", table)}, {2: "rank 2 is lost"}))
    yield "parts", pack({"rank": 0, "predictions": {"blake2b": digest(table)}}, table)
