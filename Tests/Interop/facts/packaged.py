# Elkeid Agent in Swift
# SPDX-License-Identifier: Apache-2.0
"""A PackagedData message as protoc decodes it.

usage: packaged.py MESSAGE    a file of bytes; prints {"header": {…}, "records": [{data_type, timestamp, fields}]}
"""

import json
import os
import re
import subprocess
import sys

FOLDER = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
LISTS = ("intranet_ipv4", "extranet_ipv4", "intranet_ipv6", "extranet_ipv6")
SCALAR = re.compile(r'(\w+): (?:"((?:[^"\\]|\\.)*)"|(-?\d+))')


def decoded(message, content):
    """protoc's text format, as a list of (name, value); a value is bytes, a number or such a list."""
    command = ["protoc", f"--decode=grpc.{message}", f"--proto_path={FOLDER}", "grpc.proto"]
    printed = subprocess.run(command, input=content, stdout=subprocess.PIPE, check=True).stdout.decode("ascii")
    stack = [[]]
    for line in printed.splitlines():
        line = line.strip()
        scalar = SCALAR.fullmatch(line)
        if line.endswith("{"):
            inner = []
            stack[-1].append((line[:-1].strip(), inner))
            stack.append(inner)
        elif line == "}":
            stack.pop()
        elif scalar and scalar.group(3) is not None:
            stack[-1].append((scalar.group(1), int(scalar.group(3))))
        elif scalar:
            # Escapes are those of C, with octal digits for what is not ASCII.
            content = scalar.group(2).encode("ascii").decode("unicode_escape").encode("latin-1")
            stack[-1].append((scalar.group(1), content))
        else:
            # An unknown field has a number for its name.
            raise ValueError(f"not of {message}: {line}")
    return stack[0]


def fields(payload):
    found = {}
    for name, entry in decoded("Payload", payload):
        assert name == "fields", name
        entry = dict(entry)
        key = entry.get("key", b"").decode("utf-8")
        assert key not in found, f"{key} is there twice"
        found[key] = entry.get("value", b"").decode("utf-8")
    return found


def main():
    with open(sys.argv[1], "rb") as file:
        message = decoded("PackagedData", file.read())
    header = {name: [] for name in LISTS}
    records = []
    for name, value in message:
        if name == "records":
            record = dict(value)
            assert len(record) == len(value), "a field of a record is there twice"
            assert set(record) <= {"data_type", "timestamp", "data"}, record
            records.append({
                "data_type": record.get("data_type", 0), "timestamp": record.get("timestamp", 0),
                "fields": fields(record.get("data", b"")),
            })
        elif name in LISTS:
            header[name].append(value.decode("utf-8"))
        else:
            assert name not in header, f"{name} is there twice"
            header[name] = value.decode("utf-8")
    json.dump({"header": header, "records": records}, sys.stdout)


if __name__ == "__main__":
    main()
