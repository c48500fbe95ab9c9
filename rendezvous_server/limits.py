"""How much, how many and how long: every limit that an operator may set, with the reason for its default."""

from dataclasses import dataclass
from enum import StrEnum

from rendezvous_server.protocol import MAX_WORLD_SIZE


@dataclass(frozen=True, slots=True)
class Limits:
    """Holds every limit of the server. Each has a flag and a variable of its name."""

    max_connections: int = 20_000  # the largest group twice: while one run's ranks leave, the next run's come
    max_connections_per_address: int = 12_000  # the largest group behind one NAT, and some
    max_groups: int = 2_000
    max_relays: int = 1_000  # what a star of a Lambda account's usual 1,000 ranks behind symmetric NATs needs
    join_burst: int = 2 * MAX_WORLD_SIZE  # joins from one address: two of the largest groups at once,
    join_rate: float = 1_000.0  # then so many per second: a client that rejoins in a loop costs a tenth of a core
    relay_max_bytes: int = 10 * 2**30  # what the memory of a Lambda holds: no part of a gather is larger
    handshake_timeout_s: float = 10.0  # several retransmissions of a lost packet
    pairing_timeout_s: float = 900.0  # a Lambda's whole life, for which known clients wait: most cannot handle an end
    group_timeout_s: float = 300.0  # the slowest cold start, several times
    relay_timeout_s: float = 30.0  # ranks give up the direct ways within ten seconds of each other
    relay_idle_timeout_s: float = 960.0  # a rank may infer for the 900 s of a Lambda's life before its first byte
    ping_interval_s: float = 10.0  # well under the minute or more for which NATs remember a quiet connection
    ping_timeout_s: float = 35.0  # three pings unanswered
    close_timeout_s: float = 5.0
    shutdown_grace_s: float = 5.0  # under the 10 s after which `docker stop` kills, and the 30 s of ECS


class Limit(StrEnum):
    """Says which limit a client has met. The metrics know no other words for it."""

    CONNECTIONS = "connections"
    CONNECTIONS_PER_ADDRESS = "connections_per_address"
    GROUPS = "groups"
    JOINS = "joins"
    RELAYS = "relays"
    RELAY_BYTES = "relay_bytes"
