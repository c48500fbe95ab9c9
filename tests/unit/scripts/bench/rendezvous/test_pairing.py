from scripts.bench.rendezvous.pairing import Case


def test_a_case_in_words():
    assert str(Case(50)) == "50 in flight"
    assert str(Case(2, silent=300, slow=100)) == "2 in flight beside 300 silent and 100 slow clients"
    assert not Case(50).crowded
    assert Case(50, slow=2).crowded
