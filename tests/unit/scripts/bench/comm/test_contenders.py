from scripts.bench.comm.contenders import CONTENDERS, GLOO, OURS, RAW


def test_each_contender_has_a_name_of_its_own() -> None:
    assert len({one.name for one in CONTENDERS}) == len({(one.kind, one.style) for one in CONTENDERS}) == 8


def test_ours_meets_raw_sockets_and_gloo() -> None:
    assert [one.kind for one in CONTENDERS] == [OURS] * 4 + [RAW] * 3 + [GLOO]
