"""nginx as a Blob service: ranges over files on loopback, with and without a cap per connection.

It answers HEAD and GET as Azure does, ranges asked for by `x-ms-range` included, and believes every
signature. nginx itself knows `Range` only, so each request passes through it twice; all clients pay
the same for that.
"""

from __future__ import annotations

import base64
import contextlib
import http.client
import socket
import subprocess
import time
from string import Template
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path
    from types import TracebackType

    from tests.bench.archives import Archive

ACCOUNT = "biglmdiag"
CONTAINER = "oscar"
CAP = 30  # megabytes a second and connection: what a single connection to Azure brings, roughly

_START_SECONDS = 10
_ATTEMPTS = 3  # another program may take a free port before nginx does

# A SAS as the tools want it, with a signature that opens nothing anywhere.
SAS = "sp=r&st=2023-08-28T01:12:41Z&se=3023-08-28T09:12:41Z&sv=2022-11-02&sr=c&sig=" + base64.b64encode(
    b"made for the bench, opens no box"
).decode().replace("=", "%3D")

# The shell ends nginx when its standard input does: also when the bench is killed and cannot.
_PROGRAM = 'nginx -e stderr -p "$0" -c "$0/nginx.conf" </dev/null & read _; kill $!; wait $!'

# One process, so that none is left behind, and files need not be readable by another user.
_CONFIGURATION = Template("""\
daemon off;
master_process off;
pid nginx.pid;
error_log stderr warn;
events { worker_connections 1024; }
http {
  access_log off;
  sendfile on;
  keepalive_requests 1000000;
  keepalive_timeout 600s;
  default_type application/octet-stream;
  client_body_temp_path t; proxy_temp_path t; fastcgi_temp_path t; uwsgi_temp_path t; scgi_temp_path t;
  proxy_http_version 1.1;
  proxy_set_header Connection "";
  proxy_set_header Range $$wanted;
  proxy_max_temp_file_size 0;
  proxy_buffer_size 64k;
  proxy_buffers 8 512k;
  proxy_busy_buffers_size 1m;
  map $$http_x_ms_range $$wanted { default $$http_x_ms_range; "" $$http_range; }
  map "$$upstream_status $$uri" $$md5_of_all { default ""; $whole }
  map "$$upstream_status $$uri" $$md5_beside_a_range { default ""; $ranged }
  map $$server_port $$cap { default 0; $capped ${cap}m; }
  server { listen unix:files.sock; root blobs; }
  server {
    listen 127.0.0.1:$free;
    listen 127.0.0.1:$capped;
    location / { proxy_pass http://unix:files.sock; limit_rate $$cap; }
    add_header Content-MD5 $$md5_of_all;
    add_header x-ms-blob-content-md5 $$md5_beside_a_range;
    add_header x-ms-blob-type BlockBlob;
    add_header x-ms-creation-time "Mon, 28 Aug 2023 01:12:41 GMT";
    add_header x-ms-lease-state available;
    add_header x-ms-lease-status unlocked;
    add_header x-ms-request-id $$request_id;
    add_header x-ms-version 2022-11-02;
  }
}
""")


class Server:
    """The server with the archives as blobs by their paths in the container; files lie in `folder`."""

    def __init__(self, folder: Path, blobs: Mapping[str, Archive]) -> None:
        self._folder = folder
        self._blobs = blobs
        self._ports = (0, 0)

    def __enter__(self) -> Server:
        for path, archive in self._blobs.items():
            file = self._folder / "blobs" / ACCOUNT / CONTAINER / path
            file.parent.mkdir(parents=True, exist_ok=True)
            file.hardlink_to(archive.path)
        for attempt in range(_ATTEMPTS):
            self._ports = _free_ports()
            self._start()
            if self._answers():
                return self
            said = self._stop()
            if attempt == _ATTEMPTS - 1 or "in use" not in said:
                break
        raise RuntimeError(f"nginx did not start: {said.strip()}")

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stop()

    def endpoint(self, *, capped: bool) -> str:
        """The account's URL, in the path style of emulators."""
        return f"http://127.0.0.1:{self._ports[capped]}/{ACCOUNT}"

    def url(self, path: str, *, capped: bool) -> str:
        """The signed URL of a blob."""
        return f"{self.endpoint(capped=capped)}/{CONTAINER}/{path}?{SAS}"

    def connection_string(self, *, capped: bool) -> str:
        """What a DVC remote needs to reach this service."""
        return f"BlobEndpoint={self.endpoint(capped=capped)};SharedAccessSignature={SAS}"

    def _start(self) -> None:
        text = configuration(self._blobs, self._ports)
        (self._folder / "nginx.conf").write_text(text, encoding="utf-8")
        self._process = subprocess.Popen(
            ["sh", "-c", _PROGRAM, self._folder],
            stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
            start_new_session=True,  # Ctrl-C ends the bench, which ends this
        )  # fmt: skip

    def _stop(self) -> str:
        """End nginx; what it had to say."""
        return self._process.communicate()[1]  # closes its standard input

    def _answers(self) -> bool:
        end = time.monotonic() + _START_SECONDS
        while time.monotonic() < end and self._process.poll() is None:
            with contextlib.suppress(OSError, http.client.HTTPException):
                client = http.client.HTTPConnection("127.0.0.1", self._ports[0], timeout=1)
                client.request("HEAD", f"/{ACCOUNT}/{CONTAINER}/{next(iter(self._blobs))}")
                # Another program's answer would lack the header.
                return client.getresponse().getheader("x-ms-version") is not None
            time.sleep(0.02)
        return False


def configuration(blobs: Mapping[str, Archive], ports: tuple[int, int]) -> str:
    """The text of nginx's configuration; a whole blob and a range say its MD5 in different headers."""
    whole, ranged = [], []
    for path, archive in blobs.items():
        uri = f"/{ACCOUNT}/{CONTAINER}/{path}"
        md5 = base64.b64encode(bytes.fromhex(archive.md5)).decode()
        whole.append(f'"200 {uri}" "{md5}";')
        ranged.append(f'"206 {uri}" "{md5}";')
    return _CONFIGURATION.substitute(
        free=ports[0], capped=ports[1], cap=CAP, whole=" ".join(whole), ranged=" ".join(ranged)
    )


def _free_ports() -> tuple[int, int]:
    with socket.socket() as one, socket.socket() as other:
        for each in (one, other):
            each.bind(("127.0.0.1", 0))
        return one.getsockname()[1], other.getsockname()[1]
