"""How the key is read by which ranks prove to the server that they may join, at both ends alike."""


def key_from_text(text: str) -> bytes | None:
    """Reads the key that RENDEZVOUS_KEY or a key file holds.

    Args:
        text: The variable's value or the file's content. White space around the key does not count.

    Returns:
        The key in UTF-8, or None if there is nothing but white space.
    """
    return text.strip().encode() or None
