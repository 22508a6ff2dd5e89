"""A Blob service on loopback: the files of a folder, each line of a given speed on a port of its own.

It answers as Azure does and believes every signature; bytes go from file to socket within the kernel.
nginx will not do in its place: its `limit_rate` lets the first second's worth of every request pass at
once, so that ranges of a few megabytes meet no cap at all.
"""

import base64
import contextlib
import functools
import hashlib
import math
import re
import threading
import time
from dataclasses import dataclass
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote, urlsplit

from tests.azurite import ACCOUNT, CONTAINER

# A SAS as the tools want it, with a signature that opens nothing anywhere.
SAS = f"sp=r&st=2023-08-28T01:12:41Z&se=3023-08-28T09:12:41Z&sv=2022-11-02&sr=c&sig={'c2FtcGxl' * 5}c28%3D"

_SLACK = 0.02  # seconds a line may catch up: a sleep ends late


@dataclass(frozen=True)
class Line:
    """The speed of a network, in bytes a second: of all connections together, and of each."""

    title: str
    total: float = math.inf
    each: float = math.inf


CAMPUS = Line("64 MB/s in all, 16 connections at 4 MB/s each", 64e6, 4e6)
CLOUD = Line("30 MB/s a connection", each=30e6)
FREE = Line("no cap")
SLOW = Line("16 MB/s in all", 16e6)


class Pace:
    """When bytes may go, so that no more than `rate` a second do."""

    def __init__(self, rate: float) -> None:
        self._rate, self._free, self._lock = rate, 0.0, threading.Lock()

    def reserve(self, count: int, now: float) -> float:
        """The time at which that many further bytes have passed; a line that was idle saves nothing up."""
        with self._lock:
            self._free = max(self._free, now - _SLACK) + count / self._rate
            return self._free


class Server:
    """The service, from here to `close`; `sent` counts the bytes of blobs."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.sent, self.counter = folder, 0, threading.Lock()
        self._listeners = {line: _Listener(self, line) for line in (CAMPUS, CLOUD, FREE, SLOW)}
        for listener in self._listeners.values():
            threading.Thread(target=listener.serve_forever, daemon=True).start()

    def close(self) -> None:
        """End the service."""
        for listener in self._listeners.values():
            listener.shutdown()
            listener.server_close()

    def _endpoint(self, line: Line) -> str:
        return f"http://127.0.0.1:{self._listeners[line].server_port}/{ACCOUNT}"

    def url(self, blob: str, line: Line) -> str:
        """The signed URL of a blob."""
        return f"{self._endpoint(line)}/{CONTAINER}/{blob}?{SAS}"

    def connection_string(self, line: Line) -> str:
        """What a DVC remote needs to reach this service."""
        return f"BlobEndpoint={self._endpoint(line)};SharedAccessSignature={SAS}"


class _Listener(ThreadingHTTPServer):
    request_queue_size = 128

    def __init__(self, service: Server, line: Line) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.service, self.line, self.pace = service, line, Pace(line.total)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: _Listener

    def handle(self) -> None:
        self._pace = Pace(self.server.line.each)
        with contextlib.suppress(ConnectionError):  # some clients are killed on purpose
            super().handle()

    def log_message(self, *_: object) -> None:
        """Log nothing."""

    def do_HEAD(self) -> None:
        path = unquote(urlsplit(self.path).path).removeprefix(f"/{ACCOUNT}/{CONTAINER}/")
        file = self.server.service.folder / path.removeprefix("/")
        if not file.is_file():
            self.send_error(404)
            return
        size, changed = file.stat().st_size, file.stat().st_mtime
        match = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers["x-ms-range"] or self.headers["Range"] or "")
        start, end = (int(match[1]), min(int(match[2] or size) + 1, size)) if match else (0, size)
        self.send_response(206 if match else 200)
        headers = {"Content-Length": str(end - start), "ETag": f'"{changed}"', "x-ms-blob-type": "BlockBlob"}
        headers |= {"Accept-Ranges": "bytes", "Last-Modified": formatdate(changed, usegmt=True)}
        # Beside a range, Azure tells the MD5 of the whole by another name.
        headers["x-ms-blob-content-md5" if match else "Content-MD5"] = _md5(file, changed)
        if match:
            headers["Content-Range"] = f"bytes {start}-{end - 1}/{size}"
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command == "GET":
            self._send(file, start, end)

    do_GET = do_HEAD  # noqa: N815  # the name http.server wants

    def _send(self, file: Path, start: int, end: int) -> None:
        line, service = self.server.line, self.server.service
        piece = int(min(4e6, line.total * _SLACK, line.each * _SLACK))
        with file.open("rb") as stream:
            for offset in range(start, end, piece):
                count, now = min(piece, end - offset), time.monotonic()
                passed = max(pace.reserve(count, now) for pace in (self.server.pace, self._pace))
                time.sleep(max(0, passed - now))
                self.connection.sendfile(stream, offset, count)
                with service.counter:
                    service.sent += count


@functools.cache
def _md5(file: Path, _changed: float) -> str:
    return base64.b64encode(hashlib.md5(file.read_bytes(), usedforsecurity=False).digest()).decode()
