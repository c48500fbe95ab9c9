from scripts.bench.rendezvous.pairing import PairingCase


def test_a_case_format_address():
    assert str(PairingCase(50)) == "50 in flight"
    assert str(PairingCase(2, silent=300, slow=100)) == "2 in flight beside 300 silent and 100 slow clients"
    assert not PairingCase(50).crowded
    assert PairingCase(50, slow=2).crowded
