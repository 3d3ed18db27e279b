# Elkeid Agent in Swift
# SPDX-License-Identifier: Apache-2.0
"""Makes archives of components, good and evil ones.

usage: make-archive.py KIND NAME PROGRAM OUTPUT [PATH=FILE ...]

KIND "good" holds the program as NAME and the files given; every other kind also has something that no archive may have, behind
a program that is as it should be. Prints nothing.
"""

import gzip
import io
import sys
import tarfile

kind, name, program, output = sys.argv[1:5]
extra = dict(argument.split("=", 1) for argument in sys.argv[5:])
executable = open(program, "rb").read()


def member(path, data=b"", mode=0o644, kind=tarfile.REGTYPE, link="", **fields):
    info = tarfile.TarInfo(path)
    info.size, info.mode, info.type, info.linkname = len(data), mode, kind, link
    for field, value in fields.items():
        setattr(info, field, value)
    archive.addfile(info, io.BytesIO(data))


if kind == "bomb":
    # 64 GiB of nothing in some 64 MiB would take long to make: a gibibyte is enough to be found out.
    size = 1 << 30
    info = tarfile.TarInfo("zeros")
    info.size = size
    with gzip.open(output, "wb", compresslevel=9) as stream:
        program_info = tarfile.TarInfo(name)
        program_info.size, program_info.mode = len(executable), 0o755
        stream.write(program_info.tobuf() + executable + b"\0" * (-len(executable) % 512) + info.tobuf())
        block = b"\0" * (1 << 20)
        for _ in range(size >> 20):
            stream.write(block)
        stream.write(b"\0" * 1024)
    sys.exit()

if kind == "not-gzip":
    open(output, "wb").write(executable)
    sys.exit()

with tarfile.open(output, "w:gz", format=tarfile.PAX_FORMAT, compresslevel=1) as archive:
    if kind not in ("no-program", "program-link", "program-folder"):
        # Modes are the agent's business: a program that cannot be executed is made executable.
        member(name, executable, mode=0o644 if kind == "not-executable" else 0o755)
    for path, file in extra.items():
        member(path, open(file, "rb").read())
    if kind == "absolute":
        member("/tmp/elkeid-evil", b"evil")
    elif kind == "dot-dot":
        member("../elkeid-evil", b"evil")
    elif kind == "dot-dot-inside":
        member("a/../../elkeid-evil", b"evil")
    elif kind == "symlink-out":
        member("link", kind=tarfile.SYMTYPE, link="/etc")
        member("link/elkeid-evil", b"evil")
    elif kind == "symlink-up":
        member("a/link", kind=tarfile.SYMTYPE, link="../..")
    elif kind == "symlink-through":
        member("sub/file", b"x")
        member("link", kind=tarfile.SYMTYPE, link="sub")
        member("link/elkeid-evil", b"evil")
    elif kind == "hardlink-out":
        member("link", kind=tarfile.LNKTYPE, link="/etc/passwd")
    elif kind == "hardlink-up":
        member("link", kind=tarfile.LNKTYPE, link="../../work/components.json")
    elif kind == "device":
        member("device", kind=tarfile.BLKTYPE, devmajor=7, devminor=0)
    elif kind == "character-device":
        member("device", kind=tarfile.CHRTYPE, devmajor=1, devminor=3)
    elif kind == "fifo":
        member("fifo", kind=tarfile.FIFOTYPE)
    elif kind == "manifest":
        member(".elkeid-manifest", b"{}")
    elif kind == "many":
        for index in range(100_001):
            member("f%d" % index)
    elif kind == "deep":
        member("/".join(["d"] * 200) + "/file", b"x")
    elif kind == "not-utf8":
        archive.errors = "surrogateescape"
        archive.format = tarfile.GNU_FORMAT
        member("name-\udcff", b"x")
    elif kind == "program-link":
        member("other", executable, mode=0o755)
        member(name, kind=tarfile.SYMTYPE, link="other")
    elif kind == "program-folder":
        member(name, kind=tarfile.DIRTYPE, mode=0o755)
    elif kind == "setuid":
        member("helper", executable, mode=0o6777)
        member("folder", kind=tarfile.DIRTYPE, mode=0o7777)
    elif kind == "legal-links":
        member("lib/real", b"real")
        member("lib/link", kind=tarfile.SYMTYPE, link="real")
        member("hard", kind=tarfile.LNKTYPE, link="lib/real")
        member("./dot/./file", b"dot")
        member("n\u00e4me/\u20ac", b"utf8")
        member("twice", b"first")
        member("twice", b"second")

if kind in ("truncated", "damaged"):
    data = bytearray(open(output, "rb").read())
    if kind == "truncated":
        data = data[: len(data) // 2]
    else:
        data[len(data) // 2] ^= 0xFF
    open(output, "wb").write(data)
