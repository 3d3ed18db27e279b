# Elkeid Agent in Swift
# SPDX-License-Identifier: Apache-2.0
"""The agent's id by the original agent's rules, in words of the contract: version 5 of the UUID of what
instance-id, product_uuid and eth0's address hold.

As a program: each line of standard input is the root of a file tree; each line of output is what its id must be,
"random" where nothing in the tree makes one.
"""

import hashlib
import sys
import uuid

SAMPLE_BOARDS = ("03000200-0400-0500-0006-000700080009", "02000100-0300-0400-0005-000600070008")
# What Go's unicode.IsSpace knows.
SPACES = "\t\n\v\f\r \x85\xa0\u1680\u2028\u2029\u202f\u205f\u3000" + "".join(map(chr, range(0x2000, 0x200B)))
SAMPLE_NAMES = ("--", "unknown", "To be filled by O.E.M.", "OEM not specify")


def version5(name):
    """Of bytes, which need not be UTF-8: uuid5 takes only text before Python 3.12."""
    computed = uuid.UUID(bytes=hashlib.sha1(uuid.NAMESPACE_OID.bytes + name).digest()[:16], version=5)
    try:
        assert computed == uuid.uuid5(uuid.NAMESPACE_OID, name.decode("utf-8")), name
    except UnicodeDecodeError:
        pass
    return str(computed)


def trimmed(content):
    """Without white space at the ends; bytes that are no UTF-8 are none."""
    return content.decode("utf-8", "surrogateescape").strip(SPACES).encode("utf-8", "surrogateescape")


def source(path):
    """A file of at least 6 bytes, trimmed; else None."""
    try:
        with open(path, "rb") as file:
            content = file.read()
    except OSError:
        return None
    return trimmed(content) if len(content) >= 6 else None


def as_uuid(content):
    """The id that 32 hexadecimal digits or the form with dashes say; None for anything else.

    Raises ValueError for a text of such a length that is no UUID.
    """
    text = content.decode("latin-1")
    if len(text) == 38:
        text = text[1:-1]
    elif len(text) == 45:
        if text[:9].lower() != "urn:uuid:":
            return None
        text = text[9:]
    if len(text) == 36:
        if [text[i] for i in (8, 13, 18, 23)] != ["-"] * 4:
            raise ValueError(text)
        text = text[:8] + text[9:13] + text[14:18] + text[19:23] + text[24:]
    elif len(text) != 32:
        return None
    if any(c not in "0123456789abcdefABCDEF" for c in text):
        raise ValueError(text)
    return str(uuid.UUID(text))


def names_a_product(content):
    if content is None:
        return False
    text = content.decode("utf-8", "replace")
    return text != "" and text not in SAMPLE_NAMES and text.lower() != "t.b.d"


def identity(root=""):
    """The id, or None when only chance can make one."""
    instance = source(root + "/var/lib/cloud/data/instance-id") or b""
    board = source(root + "/sys/class/dmi/id/product_uuid") or b""
    address = source(root + "/sys/class/net/eth0/address") or b""
    if len(instance + board + address) > 8 and board.decode("latin-1") not in SAMPLE_BOARDS:
        if names_a_product(source(root + "/sys/class/dmi/id/product_name")):
            return version5(instance + board + address)
        found = without_product_name(root, instance + board, address)
        if found is not None:
            return found
    return of_machine_id(root)


def without_product_name(root, name, address):
    """The original's id is empty here, and hosts collide. Ours: the same sources, an address only if it outlives a
    boot, and the installation's machine-id."""
    try:
        with open(root + "/sys/class/net/eth0/addr_assign_type", "rb") as file:
            is_random = trimmed(file.read()) == b"1"
    except OSError:
        is_random = False
    if not is_random and address != b"00:00:00:00:00:00":
        name += address
    if len(name) <= 8:
        return None
    machine = source(root + "/etc/machine-id")
    try:
        if machine is not None and as_uuid(machine) is not None:
            name += machine
    except ValueError:
        pass
    return version5(name)


def of_machine_id(root):
    try:
        with open(root + "/etc/machine-id", "rb") as file:
            content = file.read()
    except OSError:
        return None
    try:
        return as_uuid(trimmed(content))
    except ValueError:
        return version5(trimmed(content))


def main():
    for line in sys.stdin:
        print(identity(line.rstrip("\n")) or "random")


if __name__ == "__main__":
    main()
