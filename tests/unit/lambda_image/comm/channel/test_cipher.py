"""Against published vectors, and against a conversation of our own whose every byte is fixed."""

import hashlib
import hmac
import subprocess
import sys
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from lambda_image.comm.channel.cipher import RECORDS_PER_KEY, Cipher, derive_key
from lambda_image.comm.channel.frame_writer import FrameWriter
from lambda_image.comm.channel.frames import HEADER, RECORD_BYTES, FrameRefused
from lambda_image.comm.channel.handshake import KEY_BYTES, NONCE_BYTES, Handshake, Member, Session
from lambda_image.comm.channel.transport import Transport
from tests.unit.lambda_image.comm.local_group import converse
from tests.unit.lambda_image.comm.wire import KEY, write

ROOT = Path(__file__).parents[5]
# McGrew and Viega, "The Galois/Counter Mode of Operation (GCM)", appendix B: test cases 1, 2 and 4.
GCM = [
    ("00" * 16, "00" * 12, "", "", "58e2fccefa7e3061367f1d57a4e7455a"),
    ("00" * 16, "00" * 12, "", "00" * 16, "0388dace60b6a392f328c2b971b2fe78ab6e47d42cec13bdf53a67b21257bddf"),
    (
        "feffe9928665731c6d6a8f9467308308",
        "cafebabefacedbaddecaf888",
        "feedfacedeadbeeffeedfacedeadbeefabaddad2",
        "d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a72"
        "1c3c0c95956809532fcf0e2449a6b525b16aedf5aa0de657ba637b39",
        "42831ec2217774244b7221b784d0d49ce3aa212f2c02a4e035c17e2329aca12e"
        "21d514b25466931c7d8f6a5aac84aa051ba30b396a0aac973d58e0915bc94fbc3221a5db94fae95ae7121a47",
    ),
]
# RFC 5869, appendix A.1 to A.3: secret, salt, purpose, and as many bytes of the key as ours have.
HKDF = [
    ("0b" * 22, bytes(range(13)).hex(), bytes(range(0xF0, 0xFA)).hex(), "3cb25f25faacd57a90434f64d0362f2a"),
    (
        bytes(range(0x50)).hex(),
        bytes(range(0x60, 0xB0)).hex(),
        bytes(range(0xB0, 0x100)).hex(),
        "b11e398dc80327a1c8e7f78c596a4934",
    ),
    ("0b" * 22, "", "", "8da4e775a563c18f715f802a063c5a31"),
]


class Numbered(Cipher):
    """Begins with another record than number 0."""

    def __init__(self, key: bytes, nonce: bytes) -> None:
        super().__init__(key)
        self._number = int.from_bytes(nonce, "big")
        self._renew_at = self._number + 1


@pytest.mark.parametrize(("key", "nonce", "header", "plain", "record"), GCM)
def test_published_vectors_of_gcm(key: str, nonce: str, header: str, plain: str, record: str) -> None:
    secret, count, head, content, sealed = map(bytes.fromhex, (key, nonce, header, plain, record))
    assert Numbered(secret, count).seal(content, head) == sealed
    assert Numbered(secret, count).open(sealed, head) == content
    out, back = bytearray(len(sealed)), bytearray(len(content))
    Numbered(secret, count).seal_into(memoryview(content), head, memoryview(out))
    Numbered(secret, count).open_into(memoryview(sealed), head, memoryview(back))
    assert (out, back) == (sealed, content)


@pytest.mark.parametrize(("secret", "salt", "purpose", "key"), HKDF)
def test_published_vectors_of_hkdf(secret: str, salt: str, purpose: str, key: str) -> None:
    assert derive_key(*map(bytes.fromhex, (secret, salt, purpose))).hex() == key


def pinned_sessions() -> tuple[Session, Session]:
    """Of ranks 2 and 0, whose run key and nonces are known."""
    run_key, lower = bytes(range(KEY_BYTES)), Member(0, 0)
    way = Transport.DIRECT, lower
    one = Handshake(
        run_key, Member(2, 1), way=way, encrypted=True, probe=False, nonce=b"h" * NONCE_BYTES, process=b"higher.."
    )
    other = Handshake(
        run_key, lower, way=None, encrypted=True, probe=False, nonce=b"l" * NONCE_BYTES, process=b"lower..."
    )
    converse(one, other)
    assert one.session is not None
    assert other.session is not None
    return one.session, other.session


def test_the_keys_of_a_connection_follow_from_both_greetings() -> None:
    """By HKDF as RFC 5869 writes it, from the greetings as they stand on the wire."""
    higher = bytes.fromhex("4341493501000000000200000001000000000000000068") + b"igher.." + b"h" * NONCE_BYTES
    lower = bytes.fromhex("434149350100000000000000000000000002000000016c") + b"ower..." + b"l" * NONCE_BYTES
    extracted = hmac.digest(b"l" * NONCE_BYTES + b"h" * NONCE_BYTES, bytes(range(KEY_BYTES)), "sha256")
    keys = [
        hmac.digest(extracted, b"cosmicai channel, version 5: to the " + to + lower + higher + b"\1", "sha256")[:16]
        for to in (b"lower rank", b"higher rank")
    ]
    assert [key.hex() for key in keys] == ["e6c11109128b8e5ab64843a7878780b2", "67c77cb431144ffc4a9f1671df2887b5"]
    one, other = pinned_sessions()
    assert [one.send_key, one.receive_key] == [other.receive_key, other.send_key] == keys


def test_the_frames_of_a_connection_are_these_bytes() -> None:
    """Another implementation of the format would have to make the same."""
    session, _ = pinned_sessions()
    assert session.send_key is not None
    writer, gcm = FrameWriter(session.send_key), AESGCM(session.send_key)
    header = HEADER.pack(0, 7, 1, 0, 6)
    small = write(writer, b"a part")
    assert small == header + gcm.encrypt(bytes(12), b"a part", header)
    assert small.hex() == "00000000070100000000000000000006" + "9de45629a21dc9de421578978579624a68c7243b120f"
    header = HEADER.pack(0, 7, 1, 0, 1_100_000)
    large = write(writer, bytes(1_100_000))
    sizes = (0, 327_680, 327_680, 327_680, 116_960)  # the meta's, and then a quarter of the payload in steps of 64 KiB
    records = b"".join(
        gcm.encrypt(bytes(11) + bytes((number,)), bytes(size), header) for number, size in enumerate(sizes, 1)
    )
    assert large == header + records
    assert hashlib.sha256(large).hexdigest() == "dfbe2bd4b017a0d8400dd77f70f7436afdae270d305bf64d3e9da37f181e95b5"
    assert write(writer, b"").hex() == "00000000070100000000000000000000" + "2e16217db52418b702b2c0f86a143bfc"


def test_a_broken_record_leaves_nothing_behind() -> None:
    record = bytearray(Cipher(KEY).seal(b"payload!", b"header"))
    record[-1] ^= 1
    room = bytearray(b"previous")
    with pytest.raises(FrameRefused, match="a record does not match its tag"):
        Cipher(KEY).open_into(memoryview(record), b"header", memoryview(room))
    assert room == bytes(8)
    with pytest.raises(FrameRefused):
        Cipher(KEY).open(bytes(record), b"header")


def test_the_same_record_is_another_each_time() -> None:
    cipher = Cipher(KEY)
    assert len({cipher.seal(b"same", b"same") for _ in range(100)}) == 100


def test_a_key_is_replaced_at_both_ends_after_the_same_record() -> None:
    sender, receiver, first = (Cipher(KEY, records_per_key=3) for _ in range(3))
    records = [sender.seal(b"same", b"") for _ in range(10)]
    assert [receiver.open(record, b"") for record in records] == [b"same"] * 10
    for record in records[:3]:
        first.open(record, b"")
    unlimited = AESGCM(KEY)
    keeps = [unlimited.encrypt(number.to_bytes(12, "big"), b"same", b"") == records[number] for number in range(10)]
    assert keeps == [True] * 3 + [False] * 7


def test_what_one_key_encrypts_stays_within_the_limits_of_gcm() -> None:
    """An advantage of 2**-57 at most, as TLS 1.3 has it: blocks**2 / 2**129."""
    blocks = RECORDS_PER_KEY * (RECORD_BYTES // 16 + 1)
    assert blocks**2 < 2 ** (129 - 57)
    assert RECORDS_PER_KEY < 2**32 / 256


def test_a_rank_starts_without_cryptography_which_is_loaded_once_it_is_wanted() -> None:
    code = """if True:
        import sys
        import lambda_image.handlers.rank, lambda_image.comm.communicator
        from lambda_image.comm.channel import cipher
        before = "cryptography" in sys.modules
        cipher.load()
        loaded = set(sys.modules)
        cipher.Cipher(cipher.derive_key(bytes(32), b"", b"")).seal(b"", b"")
        print(before, *(name for name in set(sys.modules) - loaded if name.startswith("cryptography")))
    """
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert answer.stdout.split() == ["False"]
