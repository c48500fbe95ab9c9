import pytest

from scripts.bench.rendezvous.answers import RECORD, format_address, objection

ONE, TWO = b"\x7f\0\0\1\x10\x01", b"\x7f\0\0\1\x20\x02"
PADDING, GARBAGE = b"\0\0", b"\xab\xcd"


@pytest.mark.parametrize("padding", [PADDING, GARBAGE])
def test_right_answers(padding: bytes):
    answers = (ONE + padding + TWO + padding, TWO + padding + ONE + padding)
    assert objection(answers, (ONE, TWO)) == ""
    assert objection(answers, (b"", b"")) == ""  # behind a NAT nobody knows its own address


def test_the_own_address_is_wrong():
    answers = (ONE + PADDING + TWO + PADDING, TWO + PADDING + ONE + PADDING)
    assert (
        objection(answers, (b"\x7f\0\0\1\0\1", TWO)) == "a client at 127.0.0.1:1 was told that it is at 127.0.0.1:4097"
    )


@pytest.mark.parametrize("padding", [PADDING, GARBAGE])
def test_the_partners_address_is_wrong(padding: bytes):
    other = b"\x0a\0\0\1\x20\x02"
    answers = (ONE + padding + other + padding, TWO + padding + ONE + padding)
    assert objection(answers, (b"", b"")) == (
        "a client at 127.0.0.1:8194 was introduced to its partner as 10.0.0.1:8194"
    )


def test_an_answer_is_cut_short():
    assert objection((ONE + PADDING + TWO + PADDING, TWO + PADDING), (ONE, TWO)) == "an answer of 8 bytes, not 16"


def test_an_address_is_in_network_byte_order():
    assert format_address(RECORD.pack(bytes((192, 0, 2, 1)), 10_000)[:6]) == "192.0.2.1:10000"
