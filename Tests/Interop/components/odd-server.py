# Elkeid Agent in Swift
# SPDX-License-Identifier: Apache-2.0
"""A web server that serves one file in odd ways, which nginx cannot be made to do.

usage: odd-server.py FILE [SECOND-FILE]

Prints its address as the first line, then a line for each request: the path and the Range header. It ends with its input.
  /whole           as it should be
  /truncated       announces all bytes, sends half of them and closes
  /truncated-once  the same for the first request, then serves the rest when asked for a Range
  /longer          announces less than it sends
  /endless         without a length, and without an end
  /chunked         in chunks, with a trailer
  /chunk-garbage   chunks that make no sense
  /two-lengths     two different lengths
  /other-part      answers a Range request with another range
  /changes         the first half of FILE, then, by ETag, all of the SECOND-FILE
  /garbage         not HTTP
  /silent          nothing at all
  /compressed      Content-Encoding: gzip
"""

import os
import socket
import sys
import threading

content = open(sys.argv[1], "rb").read()
second = open(sys.argv[2], "rb").read() if len(sys.argv) > 2 else content
seen = {}
lock = threading.Lock()


def head(status, **fields):
    lines = [f"HTTP/1.1 {status}"] + [f"{name.replace('_', '-')}: {value}" for name, value in fields.items()]
    return ("\r\n".join(lines) + "\r\n\r\n").encode()


def serve(connection):
    try:
        answer(connection)
    except OSError:
        pass
    finally:
        connection.close()


def answer(connection):
    request = b""
    while b"\r\n\r\n" not in request:
        part = connection.recv(65536)
        if not part:
            return
        request += part
    lines = request.decode("latin-1").split("\r\n")
    path = lines[0].split(" ")[1]
    fields = dict(line.lower().split(": ", 1) for line in lines[1:] if ": " in line)
    asked = fields.get("range", "")
    with lock:
        count = seen[path] = seen.get(path, 0) + 1
        print(path, asked, flush=True)
    start = int(asked[len("bytes="):].rstrip("-")) if asked else 0
    half = len(content) // 2
    if path == "/whole":
        connection.sendall(head("200 OK", Content_Length=len(content)) + content)
    elif path == "/truncated" or (path == "/truncated-once" and count == 1):
        connection.sendall(head("200 OK", Content_Length=len(content)) + content[:half])
    elif path == "/truncated-once":
        rest = content[start:]
        span = f"bytes {start}-{len(content) - 1}/{len(content)}"
        connection.sendall(head("206 Partial Content", Content_Length=len(rest), Content_Range=span) + rest)
    elif path == "/longer":
        connection.sendall(head("200 OK", Content_Length=half) + content)
    elif path == "/endless":
        connection.sendall(head("200 OK"))
        while True:
            connection.sendall(b"\0" * 65536)
    elif path == "/chunked":
        connection.sendall(head("200 OK", Transfer_Encoding="chunked"))
        for at in range(0, len(content), 70000):
            part = content[at : at + 70000]
            connection.sendall(b"%x;name=value\r\n" % len(part) + part + b"\r\n")
        connection.sendall(b"0\r\nTrailer: 1\r\n\r\n")
    elif path == "/chunk-garbage":
        connection.sendall(head("200 OK", Transfer_Encoding="chunked") + b"5\r\nhello\r\nxyz\r\n")
    elif path == "/two-lengths":
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello")
    elif path == "/other-part":
        if count == 1:
            connection.sendall(head("200 OK", Content_Length=len(content)) + content[:half])
        elif asked:
            span = f"bytes 0-{half - 1}/{len(content)}"
            connection.sendall(head("206 Partial Content", Content_Length=half, Content_Range=span) + content[:half])
        else:
            connection.sendall(head("200 OK", Content_Length=len(content)) + content)
    elif path == "/changes":
        if count == 1:
            connection.sendall(head("200 OK", Content_Length=len(content), ETag='"first"') + content[:half])
        else:
            assert fields.get("if-range") == '"first"', fields
            connection.sendall(head("200 OK", Content_Length=len(second), ETag='"second"') + second)
    elif path == "/garbage":
        connection.sendall(os.urandom(4096))
    elif path == "/silent":
        connection.recv(1)
    elif path == "/compressed":
        connection.sendall(head("200 OK", Content_Length=len(content), Content_Encoding="gzip") + content)
    else:
        connection.sendall(head("404 Not Found", Content_Length=0))


listener = socket.create_server(("127.0.0.1", 0))
print("127.0.0.1:%d" % listener.getsockname()[1], flush=True)


def accept():
    while True:
        connection, _ = listener.accept()
        threading.Thread(target=serve, args=(connection,), daemon=True).start()


threading.Thread(target=accept, daemon=True).start()
sys.stdin.read()
