"""Keys of people that tests make: a passphrase is turned into a key of AES in one round.

In the sixteen rounds of `cryptography` that takes a quarter of a second of CPU, whenever a key is
made and whenever somebody signs. How many there are is in the file of a key.
"""


def make_keys_quickly() -> None:
    """Let this process make keys in the format of OpenSSH with one round."""
    from cryptography.hazmat.primitives.serialization import ssh

    assert isinstance(ssh._DEFAULT_ROUNDS, int)
    ssh._DEFAULT_ROUNDS = 1
