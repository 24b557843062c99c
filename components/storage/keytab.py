"""Whose keys a keytab has (https://web.mit.edu/kerberos/krb5-latest/doc/formats/keytab_file_format.html)."""

import struct


def principals(content: bytes) -> list[str]:
    """Such as `flink@EXAMPLE.COM`. Raises ValueError for what is no keytab of the version 2."""
    found: dict[str, None] = {}
    at = 2
    try:
        if content[:at] != b"\x05\x02":
            raise ValueError("another version")
        while at + 4 <= len(content):
            (length,) = struct.unpack_from(">i", content, at)
            at += 4
            if length == 0:
                break
            if at + abs(length) > len(content):
                raise ValueError("it ends in the middle of an entry")
            if length > 0:
                found[_principal(content[at : at + length])] = None
            # A negative one is of an entry that was removed
            at += abs(length)
    except (struct.error, UnicodeDecodeError) as error:
        raise ValueError(f"cannot be read: {error}") from None
    return list(found)


def _principal(entry: bytes) -> str:
    (parts,) = struct.unpack_from(">H", entry)
    at, texts = 2, []
    for _ in range(parts + 1):
        (length,) = struct.unpack_from(">H", entry, at)
        (text,) = struct.unpack_from(f">{length}s", entry, at + 2)
        texts.append(text.decode())
        at += 2 + length
    realm, *names = texts
    return f"{'/'.join(names)}@{realm}"
