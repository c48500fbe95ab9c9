"""How one direction of a channel is encrypted: AES-128-GCM (NIST SP 800-38D), with keys from HKDF (RFC 5869).

Both ends count the records of a direction, and that number is the nonce. It is never sent. So a record that is
repeated, left out, moved or sent back does not open. A key serves RECORDS_PER_KEY records and is then replaced by one
that is derived from it, at both ends after the same record.

128 bits: keys live as long as a connection, GCM's tag of 128 bits limits forgeries either way, and a key of 256 bits
takes 14 rounds instead of 10, which costs a tenth with vector instructions (VAES) and up to two fifths without.

`cryptography` is imported late, in the connecting thread while it waits for the rendezvous: that takes milliseconds.
"""

from lambda_image.comm.channel.frames import RECORD_BYTES, FrameRefused

CIPHER_KEY_BYTES = 16
_COUNTER_BYTES = 12  # of a nonce
# What one key encrypts, 2**38 bytes at most, is 2**34 blocks. That leaves an attacker an advantage of 2**-61 over
# guessing. TLS 1.3 stops at 2**-57 (RFC 8446, 5.5), and the 2**32 records at which nonces that are drawn blindly become
# unsafe are far away, too.
RECORDS_PER_KEY = 2**38 // RECORD_BYTES


def load() -> None:
    """Import what this needs, so that it is there when it is wanted."""
    import cryptography.exceptions
    import cryptography.hazmat.primitives.ciphers.aead
    import cryptography.hazmat.primitives.hashes
    import cryptography.hazmat.primitives.kdf.hkdf  # noqa: F401


def derive_key(secret: bytes, salt: bytes, purpose: bytes) -> bytes:
    """A key for one purpose, by HKDF with SHA-256."""
    from cryptography.hazmat.primitives.hashes import SHA256
    from cryptography.hazmat.primitives.kdf.hkdf import HKDF

    return HKDF(SHA256(), CIPHER_KEY_BYTES, salt, purpose).derive(secret)


class Cipher:
    """Encrypts or decrypts the records of one direction, in order."""

    def __init__(self, key: bytes, *, records_per_key: int = RECORDS_PER_KEY) -> None:
        self._records_per_key = records_per_key
        self._number = 0  # of the next record
        self._use(key)

    def at(self, number: int) -> "Cipher":
        """Another cipher for records of this one's key, from this number on."""
        other = Cipher.__new__(Cipher)
        other.__dict__.update(self.__dict__)
        other._number = number
        return other

    def seal(self, plain: bytes, header: bytes) -> bytes:
        """The next record, with its tag at the end. The header is not in it, but only opens it unchanged."""
        nonce = self._nonce()  # first, since it may bring another key
        return self._aead.encrypt(nonce, plain, header)

    def seal_into(self, plain: memoryview, header: bytes, record: memoryview) -> None:
        """The same, into memory of exactly that length."""
        nonce = self._nonce()
        self._aead.encrypt_into(nonce, plain, header, record)

    def open(self, record: bytes, header: bytes) -> bytes:
        """What `seal` made a record of. Raises FrameRefused if this is not the direction's next record."""
        nonce = self._nonce()
        try:
            return self._aead.decrypt(nonce, record, header)
        except self._invalid as error:
            raise FrameRefused(_REFUSAL) from error

    def open_into(self, record: memoryview, header: bytes, plain: memoryview) -> None:
        """The same, into memory of exactly that length, which is cleared if the record is refused."""
        nonce = self._nonce()
        try:
            self._aead.decrypt_into(nonce, record, header, plain)
        except self._invalid as error:
            plain[:] = bytes(len(plain))  # GCM decrypts before it knows whose bytes these are
            raise FrameRefused(_REFUSAL) from error

    def _nonce(self) -> bytes:
        number = self._number
        if number >= self._renew_at:
            self._use(derive_key(self._key, b"", b"cosmicai channel: the key after this one"))
        self._number = number + 1
        return number.to_bytes(_COUNTER_BYTES, "big")

    def _use(self, key: bytes) -> None:
        from cryptography.exceptions import InvalidTag
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM

        self._key, self._invalid = key, InvalidTag
        self._aead: AESGCM = AESGCM(key)
        self._renew_at = self._number + self._records_per_key


_REFUSAL = "a record does not match its tag"
