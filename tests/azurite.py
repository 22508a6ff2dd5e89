"""An Azure Blob service on this machine: the Azurite emulator, under the real account's name.

with Azurite() as service:
    service.put("datasets/vqa.zip", content)
    service.connection_string(service.sas())
"""

from __future__ import annotations

import base64
import os
import queue
import re
import secrets
import subprocess
import threading
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import TYPE_CHECKING

from azure.storage.blob import (
    AccountSasPermissions,
    BlobServiceClient,
    ContentSettings,
    ResourceTypes,
    generate_account_sas,
    generate_blob_sas,
    generate_container_sas,
)

if TYPE_CHECKING:
    from types import TracebackType

ROOT = Path(__file__).resolve().parent.parent
ACCOUNT = "biglmdiag"
CONTAINER = "oscar"
_START_SECONDS = 60
_READY = re.compile(r"successfully listens on http://127\.0\.0\.1:(\d+)")

# Azurite ends when its standard input does: also when this process is killed and cannot stop it.
_PROGRAM = "process.stdin.on('end', () => process.exit()).resume(); require(process.argv[1])"


class Azurite:
    """The emulator on a free port of 127.0.0.1, in memory, with a container and a fresh key."""

    def __init__(self) -> None:
        self.key = base64.b64encode(secrets.token_bytes(64)).decode()
        self.port = 0
        self._uploaded: dict[tuple[str, str], bytes | None] = {}  # by container and path

    def __enter__(self) -> Azurite:
        venv = ROOT / ".venv"
        # Keep-alive: after the five seconds of the default, clients would find idle connections closed.
        self._process = subprocess.Popen(
            [
                venv / "bin" / "node",
                "-e",
                _PROGRAM,
                venv / "azurite" / "node_modules" / "azurite" / "dist" / "src" / "blob" / "main.js",
                *("--blobHost", "127.0.0.1", "--blobPort", "0", "--inMemoryPersistence"),
                *("--blobKeepAliveTimeout", "600", "--skipApiVersionCheck", "--disableTelemetry", "--silent"),
            ],
            env={**os.environ, "AZURITE_ACCOUNTS": f"{ACCOUNT}:{self.key}"},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self.port = self._await_port()
        account = {"account_name": ACCOUNT, "account_key": self.key}
        self._client = BlobServiceClient(self.endpoint, credential=account)
        self._client.create_container(CONTAINER)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if hasattr(self, "_client"):
            self._client.close()
        self._process.kill()
        self._process.wait()
        for stream in (self._process.stdin, self._process.stdout):
            if stream:
                stream.close()

    def _await_port(self) -> int:
        """The port it says it listens on; its output is read on, so that it never blocks on it."""
        ports: queue.SimpleQueue[int] = queue.SimpleQueue()
        said: list[str] = []

        def read() -> None:
            assert self._process.stdout
            for line in self._process.stdout:
                said.append(line)
                if match := _READY.search(line):
                    ports.put(int(match[1]))

        threading.Thread(target=read, daemon=True).start()
        try:
            return ports.get(timeout=_START_SECONDS)
        except queue.Empty:
            self.__exit__(None, None, None)
            raise RuntimeError(f"Azurite did not start in {_START_SECONDS} s: {''.join(said)}") from None

    @property
    def endpoint(self) -> str:
        """The account's URL, in the path style of emulators."""
        return f"http://127.0.0.1:{self.port}/{ACCOUNT}"

    def put(self, path: str, content: bytes, *, container: str = CONTAINER, md5: bytes | None = None) -> None:
        """Upload a blob, replacing one that is there; `md5` is a Content-MD5 that need not be true."""
        client = self._client.get_blob_client(container, path)
        client.upload_blob(content, overwrite=True)
        if md5 is not None:  # the service checks it on upload, and believes what is set afterwards
            client.set_http_headers(ContentSettings(content_md5=bytearray(md5)))
        self._uploaded[container, path] = content if md5 is None else None

    def restore(self, path: str, content: bytes) -> None:
        """Upload a blob unless the last upload there was the same, and nobody has deleted it since."""
        if self._uploaded.get((CONTAINER, path)) != content:
            self.put(path, content)

    def delete(self, path: str, *, container: str = CONTAINER) -> None:
        """Delete a blob."""
        self._client.get_blob_client(container, path).delete_blob()
        self._uploaded.pop((container, path), None)

    def etag(self, path: str, *, container: str = CONTAINER) -> str:
        """The ETag of a blob, in its quotes."""
        return str(self._client.get_blob_client(container, path).get_blob_properties().etag)

    def create_container(self, name: str) -> None:
        """Make another container."""
        self._client.create_container(name)

    def sas(
        self,
        permissions: str = "r",
        *,
        container: str = CONTAINER,
        blob: str | None = None,
        start: datetime | None = None,
        expiry: datetime | None = None,
    ) -> str:
        """Sign a SAS for a container, or for one blob of it; valid for a day unless told otherwise."""
        expiry = expiry or datetime.now(timezone.utc) + timedelta(days=1)
        if blob:
            return str(
                generate_blob_sas(
                    ACCOUNT,
                    container,
                    blob,
                    account_key=self.key,
                    permission=permissions,
                    start=start,
                    expiry=expiry,
                )
            )
        return str(
            generate_container_sas(
                ACCOUNT, container, account_key=self.key, permission=permissions, start=start, expiry=expiry
            )
        )

    def account_sas(self) -> str:
        """Sign a SAS that reads the objects of the whole account, for a day."""
        return str(
            generate_account_sas(
                ACCOUNT,
                account_key=self.key,
                resource_types=ResourceTypes(object=True),
                permission=AccountSasPermissions(read=True),
                expiry=datetime.now(timezone.utc) + timedelta(days=1),
            )
        )

    def connection_string(self, sas: str, endpoint: str = "") -> str:
        """What a DVC remote needs to reach this service with a SAS, by another endpoint if there is one."""
        return f"BlobEndpoint={endpoint or self.endpoint};SharedAccessSignature={sas}"
