from lambda_image.comm.connecting.group_name import SECRET_DIGITS, group_name, without_secret
from rendezvous_server.protocol import MAX_RUN_ID, Join

KEY, OTHER = bytes(32), bytes(31) + b"\1"


def test_only_ranks_with_the_same_run_and_key_meet() -> None:
    names = {group_name(run, key) for run in ("run", "run-2") for key in (KEY, OTHER)}
    assert len(names) == 4
    assert group_name("run", KEY) == group_name("run", KEY)


def test_a_name_says_which_run_it_is_and_not_its_key() -> None:
    name = group_name("run", KEY)
    assert name.startswith("run:")
    assert KEY.hex() not in name


def test_every_run_id_that_a_join_takes_has_a_name_that_a_join_takes() -> None:
    for run_id in ("r", "r" * MAX_RUN_ID, "\u00e4" * (MAX_RUN_ID // 2), "\U0001f30c" * (MAX_RUN_ID // 4), "a:b"):
        Join(group_name(run_id, KEY), 0, 1)
    assert group_name("r" * 199 + "a", KEY) != group_name("r" * 199 + "b", KEY)


def test_what_the_server_says_is_shown_without_the_secret() -> None:
    name = group_name("run", KEY)
    assert without_secret(f"the group {name!r} was started with 4", name) == "the group 'run' was started with 4"
    assert name[-SECRET_DIGITS:] not in without_secret(f"{name} {name}", name)
    assert without_secret("run:run is no name of ours", "run") == "run:run is no name of ours"
