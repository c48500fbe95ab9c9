from typing import Any

import pytest

from lambda_image.address import Address
from lambda_image.comm.communicator import Communicator
from lambda_image.comm.connecting.mappings import Sighting
from lambda_image.errors import InvalidEvent
from lambda_image.handlers.connection_check import ALLOWED, ConnectionCheck, answer
from lambda_image.results import Phases
from lambda_image.settings import HandlerSettings
from tests.unit.lambda_image.comm.local_group import LocalGroup

CHECK = {
    "run_id": "doctor-1",
    "run_key": "ab" * 32,
    "rank": 0,
    "servers": ["h:10000", "h:10001", "i:10000"],
    "megabytes": 1,
    "timeout_s": 30,
}
SETTINGS = HandlerSettings.from_environ({"AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "3008"})


def see(servers: Any, timeout_s: float) -> list[Sighting]:
    assert timeout_s <= 5
    return [Sighting(str(server), "10.0.0.5:4000", f"x:{4000 + (server.host == 'i')}", 1.0) for server in servers]


def answers(group: LocalGroup, ranks: tuple[int, ...] = (0, 1), **changes: Any) -> list[dict[str, Any]]:
    def join(endpoint: str, *, rank: int, world_size: int, run_key: bytes, **_: Any) -> Communicator:
        assert (endpoint, world_size, len(run_key)) == ("h:10000", 2, 32)
        return Communicator(group.ranks[rank], None)

    def work(rank: Any) -> dict[str, Any]:
        check = {**CHECK, "rank": rank.rank, **changes}
        return answer(check, SETTINGS, "fast", Phases(cold_start_s=1.25), join, see)

    return group.run(work, ranks)


def test_two_invocations_tell_how_they_reach_each_other():
    group = LocalGroup(2)
    first, second = answers(group)
    group.close()
    for own in (first, second):
        assert own["link"]["error"] is None
        assert own["link"]["transport"] == "direct"
        assert own["link"]["received_mb_s"] > 0
        assert own["link"]["round_trip_ms"] > 0
        assert own["mapping"] == "address-dependent"
        assert (own["memory_mb"], own["engine"]) == (3008, "fast")
        assert own["cold_start"]["cold"]
        assert own["cold_start"]["cold_start_s"] == 1.25
        assert own["servers"][0]["observed"] == "x:4000"
        assert own["processor"]["architecture"]
    assert (first["rank"], second["rank"]) == (0, 1)


def test_a_peer_that_does_not_come_is_an_answer_and_no_failure():
    group = LocalGroup(2, absent=[1])
    [alone] = answers(group, (0,), timeout_s=1)
    group.close()
    assert "PeerTimeout" in alone["link"]["error"] or "Rendezvous" in alone["link"]["error"]
    assert alone["link"]["transport"] is None
    assert alone["processor"]


def test_nobody_joins_where_no_server_answers():
    def never(*_: Any, **__: Any) -> Communicator:
        raise AssertionError

    for servers, seen in (([], []), (["h:1"], [Sighting("h:1", error="Connection refused")])):
        told = answer({**CHECK, "servers": servers}, SETTINGS, "fast", Phases(), never, lambda *_, s=seen: s)  # type: ignore[misc]
        assert told["link"]["error"] == "no rendezvous server answers this function"
        assert told["cold_start"]["cold"] is False


def test_a_check_is_read():
    check = ConnectionCheck.from_json(CHECK)
    assert check.servers[0] == Address("h", 10000)
    assert ALLOWED.keys() == CHECK.keys()


@pytest.mark.parametrize(
    "content", [None, 1, [], "check", {}, {**CHECK, "more": 1}, {k: CHECK[k] for k in list(CHECK)[1:]}]
)
def test_what_is_no_check_is_refused(content: object):
    with pytest.raises(InvalidEvent, match="check must be an object with the keys megabytes, rank"):
        ConnectionCheck.from_json(content)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("run_id", ""),
        ("run_id", "a" * 81),
        ("run_id", "a\nb"),
        ("run_id", 1),
        ("run_key", "ab"),
        ("run_key", "AB" * 32),
        ("run_key", None),
        ("rank", 2),
        ("rank", -1),
        ("rank", True),
        ("rank", "0"),
        ("servers", "h:1"),
        ("servers", ["h"]),
        ("servers", ["h:1"] * 5),
        ("servers", [1]),
        ("megabytes", 0),
        ("megabytes", 65),
        ("megabytes", 1.5),
        ("timeout_s", 0),
        ("timeout_s", 121),
        ("timeout_s", float("nan")),
        ("timeout_s", True),
    ],
)
def test_each_value_is_held_to_what_is_allowed(key: str, value: object):
    with pytest.raises(InvalidEvent, match=f"check: {key} is .*allowed: "):
        ConnectionCheck.from_json({**CHECK, key: value})
