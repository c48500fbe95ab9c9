"""The rendezvous wire protocol: bytes in, events out. No I/O, no clock, no randomness, standard library only.

    messages.py  constants, requests and events, as values      codec.py  the bytes of all of them
    client.py    what a rank holds                              server.py  what the server holds for each client
    key.py       how the server's key is read                   pairing.py  what clients without frames ask it for

Rules of this package
- A connection object is fed with `receive_data(bytes)`, which yields events, and drained with `data_to_send()`.
  How the bytes were cut on the way never changes the events. `receive_data` is lazy, so iterate it to its end.
- Which frames a side takes in which state is one table per kind of connection: `_SERVER_ACCEPTS` in server.py,
  `_JOIN_ACCEPTS`, `_RELAY_ACCEPTS` and `_PROBE_ACCEPTS` in client.py. Any other frame raises.
- `RemoteProtocolError` is the other side's fault, `LocalProtocolError` the caller's. Bytes raise only the former, and a
  step of the caller that raises the latter changes nothing.
- Every size is checked before the bytes that it announces are waited for.
- Version 1 of a frame only ever grows at its end, and a reader ignores bytes after the fields that it knows. Rows of
  PEERS and LEFT are excepted, because they fill their frame. A new frame type needs a version that the client offered.

Two dialects share a port, told apart by the first byte
- Pairing (TCPunch, FMI): the bytes are a name of up to 100 bytes, unframed, ended by nothing or by zeros. Answers are
  `pairing_address` records of 8 bytes. A name is text: none starts with 0x01, 0x0D (PROXY protocol) or 0x16 (TLS).
  "remove_pair_" before a name ends the wait under it that the same address began by another connection. What starts as
  an HTTP request is answered as one.
- Group: the client starts with HELLO, which is 0x01 "RDV" and one byte, the highest version it speaks. From then on
  both sides send frames: type (1 byte), length of the body (2 bytes), body. Numbers are in network byte order.

A rank's connection
    rank    HELLO                                     server  CHALLENGE version, nonce, probe port, observed endpoint
    rank    JOIN proof, what it is                    server  JOINED observed endpoint, or REJECTED
                                                      server  PEERS, LEFT, ... as they come; COMPLETE; PING
    rank    PONG, PING, LEAVE                         server  PONG, or the end: EXPIRED, REPLACED, CLOSING, REJECTED
The proof is HMAC-SHA256 under RENDEZVOUS_KEY over the server's nonce and every byte of JOIN behind the proof.

A NAT probe finds out whether the NAT before a rank shows the same endpoint to two destinations
    rank    HELLO, PROBE nonce                        server  CHALLENGE, PROBED observed endpoint; end
It goes to the probe port that CHALLENGE named (0 if there is none), from the local port of the rank's connection and
before its JOIN. `nonce` is that connection's, so that nobody else can answer for it. JOINED repeats what was observed.

A relay: two members that cannot reach each other directly connect to the server once more, each naming the other
    rank    HELLO                                     server  CHALLENGE
    rank    RELAY proof, who to whom                  server  SPLICED when the other is here, or the end as above
From then on every byte is the other rank's, and the end of one side is passed on to the other. The token that pairs
them is made of what both know: run id, both ranks, both attempts. A rank sends nothing between RELAY and SPLICED.

A row announces a rank: rank, attempt, then endpoints. The server observed the first endpoint, the rank itself announced
the others. A row of a rank that is known replaces the former one. A rank is sent its own row too, since all members of
a group are sent the same bytes, and the client side drops it. With `Topology.STAR` a rank other than 0 is sent the row
of rank 0 only.
"""

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rendezvous_server.protocol.client import (
        ClientConnection,
        ClientState,
        ProbeConnection,
        RelayConnection,
    )
    from rendezvous_server.protocol.codec import (
        COMPLETE_FRAME,
        PING_FRAME,
        encode_closing,
        encode_expired,
        encode_joined,
        encode_left,
        encode_peers,
        encode_rejected,
        encode_replaced,
        encode_row,
        pairing_address,
    )
    from rendezvous_server.protocol.key import key_from_text
    from rendezvous_server.protocol.messages import (
        JOIN_LABEL,
        MAGIC,
        MAX_ATTEMPT,
        MAX_CLIENT_FRAME,
        MAX_FRAME,
        MAX_LOCAL_ENDPOINTS,
        MAX_PAIRING_NAME,
        MAX_REASON,
        MAX_RUN_ID,
        MAX_TOKEN,
        MAX_WORLD_SIZE,
        NONCE_SIZE,
        RELAY_LABEL,
        ROOT,
        VERSION,
        ClientEvent,
        ConnectionLost,
        Endpoint,
        Expired,
        GroupComplete,
        Join,
        Joined,
        LocalProtocolError,
        Peer,
        PeerJoined,
        PeerLeft,
        PeerReplaced,
        Pong,
        Probed,
        ProbeOffered,
        ProtocolError,
        RejectCode,
        Rejected,
        Relay,
        RemoteProtocolError,
        Replaced,
        ServerClosing,
        Spliced,
        Topology,
    )
    from rendezvous_server.protocol.pairing import HttpRequested, PairingRequested, WithdrawalRequested
    from rendezvous_server.protocol.server import (
        HelloReceived,
        JoinRequested,
        LeaveReceived,
        ProbeReceived,
        Refused,
        RelayRequested,
        ServerConnection,
        ServerEvent,
        ServerState,
    )

__all__ = [
    "COMPLETE_FRAME",
    "JOIN_LABEL",
    "MAGIC",
    "MAX_ATTEMPT",
    "MAX_CLIENT_FRAME",
    "MAX_FRAME",
    "MAX_LOCAL_ENDPOINTS",
    "MAX_PAIRING_NAME",
    "MAX_REASON",
    "MAX_RUN_ID",
    "MAX_TOKEN",
    "MAX_WORLD_SIZE",
    "NONCE_SIZE",
    "PING_FRAME",
    "RELAY_LABEL",
    "ROOT",
    "VERSION",
    "ClientConnection",
    "ClientEvent",
    "ClientState",
    "ConnectionLost",
    "Endpoint",
    "Expired",
    "GroupComplete",
    "HelloReceived",
    "HttpRequested",
    "Join",
    "JoinRequested",
    "Joined",
    "LeaveReceived",
    "LocalProtocolError",
    "PairingRequested",
    "Peer",
    "PeerJoined",
    "PeerLeft",
    "PeerReplaced",
    "Pong",
    "ProbeConnection",
    "ProbeOffered",
    "ProbeReceived",
    "Probed",
    "ProtocolError",
    "Refused",
    "RejectCode",
    "Rejected",
    "Relay",
    "RelayConnection",
    "RelayRequested",
    "RemoteProtocolError",
    "Replaced",
    "ServerClosing",
    "ServerConnection",
    "ServerEvent",
    "ServerState",
    "Spliced",
    "Topology",
    "WithdrawalRequested",
    "encode_closing",
    "encode_expired",
    "encode_joined",
    "encode_left",
    "encode_peers",
    "encode_rejected",
    "encode_replaced",
    "encode_row",
    "key_from_text",
    "pairing_address",
]


_HOMES = {
    "client": {"ClientConnection", "ClientState", "ProbeConnection", "RelayConnection"},
    "codec": {
        "COMPLETE_FRAME",
        "PING_FRAME",
        "encode_closing",
        "encode_expired",
        "encode_joined",
        "encode_left",
        "encode_peers",
        "encode_rejected",
        "encode_replaced",
        "encode_row",
        "pairing_address",
    },
    "key": {"key_from_text"},
    "server": {  # a rank's image does not contain it
        "HelloReceived",
        "HttpRequested",
        "JoinRequested",
        "LeaveReceived",
        "PairingRequested",
        "ProbeReceived",
        "Refused",
        "RelayRequested",
        "ServerConnection",
        "ServerEvent",
        "ServerState",
        "WithdrawalRequested",
    },
}


def __getattr__(name: str) -> object:
    """A name of this package, whose module is imported when somebody asks for it: a rank starts 10 ms earlier."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    home = next((module for module, names in _HOMES.items() if name in names), "messages")
    value = globals()[name] = getattr(importlib.import_module(f"{__name__}.{home}"), name)
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
