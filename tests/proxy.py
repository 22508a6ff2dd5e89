"""A reverse proxy in front of Azurite that misbehaves as it is told, on loopback.

with Proxy(service.port) as proxy:
    proxy.faults = [cut(1000), None]     for the first two range requests of a download; later ones pass
    proxy.always = status(503)           for every one that `faults` leaves
    proxy.endpoint                       what a source is pointed at

A SAS signs account and path, not host and port, so it serves through the proxy as well. The requests
of a download are those with If-Match; all others pass unharmed.
"""

from __future__ import annotations

import contextlib
import http.client
import re
import select
import socket
import struct
import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING

from tests.azurite import ACCOUNT

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable
    from types import TracebackType

_PIECE = 64 * 1024


@dataclass
class Exchange:
    """One request of a download, and the service's true answer to it."""

    handler: BaseHTTPRequestHandler
    start: int
    end: int
    status: int = 0
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""
    sent: int = 0  # bytes of a body

    def head(self) -> None:
        """Send the status and the headers."""
        self.handler.send_response_only(self.status)
        for name, value in self.headers.items():
            self.handler.send_header(name, value)
        self.handler.end_headers()

    def send(self, body: bytes) -> None:
        """Send bytes of a body, counting them."""
        for at in range(0, len(body), _PIECE):
            self.handler.wfile.write(body[at : at + _PIECE])
            self.sent += len(body[at : at + _PIECE])

    def hang_up(self) -> None:
        """Close the connection after what was sent."""
        self.handler.close_connection = True

    def gone(self, seconds: float) -> bool:
        """Whether the client hangs up within some seconds."""
        ready, _, _ = select.select([self.handler.connection], [], [], seconds)
        return bool(ready)


def honest(exchange: Exchange) -> None:
    """Answer as the service did."""
    exchange.head()
    exchange.send(exchange.body)


def cut(count: int) -> Callable[[Exchange], None]:
    """Close the connection after some bytes of the body."""

    def fault(exchange: Exchange) -> None:
        exchange.head()
        exchange.send(exchange.body[:count])
        exchange.hang_up()

    return fault


def reset(exchange: Exchange) -> None:
    """Reset the connection instead of an answer."""
    linger = struct.pack("ii", 1, 0)
    exchange.handler.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
    exchange.handler.connection.close()
    exchange.hang_up()


def stall(count: int) -> Callable[[Exchange], None]:
    """Send some bytes of the body, then nothing until the client hangs up."""

    def fault(exchange: Exchange) -> None:
        exchange.head()
        exchange.send(exchange.body[:count])
        exchange.gone(60)
        exchange.hang_up()

    return fault


def trickle(exchange: Exchange) -> None:
    """Send a byte at a time, far below any useful rate, until the client hangs up."""
    exchange.head()
    for at in range(len(exchange.body)):
        exchange.send(exchange.body[at : at + 1])
        if exchange.gone(0.05):
            break
    exchange.hang_up()


def status(code: int, name: str = "", **headers: str) -> Callable[[Exchange], None]:
    """Answer with an error of the service, `Retry_After="1"` becoming a header."""

    def fault(exchange: Exchange) -> None:
        body = f"<?xml version='1.0'?><Error><Code>{name}</Code><Message>no</Message></Error>".encode()
        exchange.status = code
        exchange.headers = {key.replace("_", "-"): value for key, value in headers.items()}
        exchange.headers |= {"x-ms-error-code": name, "content-length": str(len(body))}
        exchange.head()
        exchange.handler.wfile.write(body)

    return fault


def whole(exchange: Exchange) -> None:
    """Answer 200 to a range request, as a proxy does that knows no ranges; the bytes are wrong then."""
    exchange.status = 200
    del exchange.headers["content-range"]
    honest(exchange)


def shifted(exchange: Exchange) -> None:
    """Answer with the bytes of another range, and say so."""
    total = exchange.headers["content-range"].partition("/")[2]
    exchange.headers["content-range"] = f"bytes {exchange.start + 1}-{exchange.end}/{total}"
    exchange.body = exchange.body[1:] + b"x"
    honest(exchange)


def flipped(exchange: Exchange) -> None:
    """Answer with one bit of one byte changed."""
    middle = len(exchange.body) // 2
    changed = bytes([exchange.body[middle] ^ 1])
    exchange.body = exchange.body[:middle] + changed + exchange.body[middle + 1 :]
    honest(exchange)


def longer(exchange: Exchange) -> None:
    """Answer with more bytes than the range has, and a Content-Length that counts them."""
    exchange.body += b"surplus"
    exchange.headers["content-length"] = str(len(exchange.body))
    honest(exchange)


def shorter(exchange: Exchange) -> None:
    """Answer with fewer bytes than the range has, and a Content-Length that counts them."""
    exchange.body = exchange.body[:-7]
    exchange.headers["content-length"] = str(len(exchange.body))
    honest(exchange)


def promising(exchange: Exchange) -> None:
    """Answer with a Content-Length beyond the body, then close the connection."""
    exchange.headers["content-length"] = str(len(exchange.body) + 7)
    honest(exchange)
    exchange.hang_up()


def withholding(exchange: Exchange) -> None:
    """Answer with a Content-Length short of the body."""
    exchange.headers["content-length"] = str(len(exchange.body) - 7)
    honest(exchange)
    exchange.hang_up()


def other_blob(exchange: Exchange) -> None:
    """Answer with another ETag than the one that was asked for."""
    exchange.headers["etag"] = '"0xOTHER"'
    honest(exchange)


def held(arrived: threading.Event, gate: threading.Event) -> Callable[[Exchange], None]:
    """Say that a request has arrived, and answer it honestly once the gate is open."""

    def fault(exchange: Exchange) -> None:
        arrived.set()
        gate.wait(60)
        honest(exchange)

    return fault


class Proxy:
    """The proxy on a free port; it counts the bytes of bodies it sent to downloads."""

    def __init__(self, upstream: int, tls: ssl.SSLContext | None = None) -> None:
        self._upstream = upstream
        self._tls = tls
        self._lock = threading.Lock()
        self.faults: list[Callable[[Exchange], None] | None] = []
        self.always: Callable[[Exchange], None] | None = None
        self.exchanges: list[Exchange] = []
        self.requests = 0

    @property
    def served(self) -> int:
        """The bytes sent to downloads."""
        return sum(exchange.sent for exchange in self.exchanges)

    def forget(self) -> None:
        """Begin anew: no faults, nothing counted."""
        with self._lock:
            self.faults, self.always, self.exchanges, self.requests = [], None, [], 0

    def __enter__(self) -> Proxy:
        proxy = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                proxy.answer(self)

            do_HEAD = do_GET  # noqa: N815  # the name that http.server looks for

            def log_message(self, *_: object) -> None:
                """Say nothing."""

        class Server(ThreadingHTTPServer):
            daemon_threads = True

            def handle_error(self, *_: object) -> None:
                """Say nothing: clients that hang up are what tests are about."""

        self._server = Server(("127.0.0.1", 0), Handler)
        if self._tls:
            self._server.socket = self._tls.wrap_socket(self._server.socket, server_side=True)
        threading.Thread(
            target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True
        ).start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._server.shutdown()
        self._server.server_close()

    @property
    def endpoint(self) -> str:
        """The account's URL through the proxy."""
        return f"{'https' if self._tls else 'http'}://127.0.0.1:{self.port}/{ACCOUNT}"

    @property
    def port(self) -> int:
        """The port it listens on."""
        return int(self._server.server_address[1])

    def answer(self, handler: BaseHTTPRequestHandler) -> None:
        """Ask the service, and pass its answer on, spoiled where it is a download's and so scripted."""
        asked = re.fullmatch(r"bytes=(\d+)-(\d+)", handler.headers.get("Range", ""))
        exchange = None
        with self._lock:
            self.requests += 1
            fault: Callable[[Exchange], None] | None = None
            if asked and "If-Match" in handler.headers:
                exchange = Exchange(handler, int(asked[1]), int(asked[2]) + 1)
                self.exchanges.append(exchange)
                fault = self.faults.pop(0) if self.faults else self.always
        exchange = exchange or Exchange(handler, 0, 0)
        with contextlib.closing(http.client.HTTPConnection("127.0.0.1", self._upstream)) as upstream:
            # As somebody's HTTP_PROXY it is given whole URLs.
            path = re.sub(r"^http://[^/]*", "", handler.path)
            headers = {name.lower(): value for name, value in handler.headers.items()}
            upstream.request(
                handler.command, path, headers={**headers, "host": f"127.0.0.1:{self._upstream}"}
            )
            response = upstream.getresponse()
            exchange.status, exchange.body = response.status, response.read()
            exchange.headers = {
                name.lower(): value
                for name, value in response.getheaders()
                if name.lower() not in ("connection", "keep-alive", "transfer-encoding")
            }
            if handler.command == "GET":  # the body of an error comes in chunks
                exchange.headers["content-length"] = str(len(exchange.body))
        if exchange.status >= 400:
            fault = None  # the service's own refusal is fault enough
        (fault or honest)(exchange)
