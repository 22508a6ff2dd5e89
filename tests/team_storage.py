"""Storage a team might share through, on this machine: an S3 server (moto's) and an SFTP server (asyncssh's).

with S3() as s3, Sftp(folder) as host:
    s3.endpoint, s3.access_key("s3:*")
    host.url, host.user, host.password, host.write_key(path)
"""

from __future__ import annotations

import asyncio
import json
import secrets
import threading
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import asyncssh
from moto import settings
from moto.backends import get_backend
from moto.server import ThreadedMotoServer

if TYPE_CHECKING:
    from collections.abc import Coroutine
    from pathlib import Path

_ACCOUNT = "123456789012"  # the one that moto has


class S3:
    """An S3 server on a free port, which checks signatures and permissions, with the bucket `team`."""

    bucket = "team"

    def __enter__(self) -> S3:
        self._server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
        self._server.start()
        host, port = self._server.get_host_and_port()
        self.endpoint = f"http://{host}:{port}"
        self._service("s3").create_bucket(self.bucket, "us-east-1")
        settings.INITIAL_NO_AUTH_ACTION_COUNT = 0  # so many requests go unchecked
        return self

    def __exit__(self, *_: object) -> None:
        self._server.stop()

    def access_key(self, *actions: str) -> str:
        """Make a user who may do these, and no other; ID and secret of an access key, on two lines."""
        iam, name = self._service("iam"), uuid4().hex
        statement = {"Effect": "Allow", "Action": actions, "Resource": "*"}
        iam.create_user("us-east-1", name)
        iam.put_user_policy(name, "p", json.dumps({"Version": "2012-10-17", "Statement": [statement]}))
        key = iam.create_access_key(name)
        return f"{key.access_key_id}\n{key.secret_access_key}\n"

    def _service(self, name: str) -> Any:  # noqa: ANN401  # moto has a class for each
        return get_backend(name)[_ACCOUNT]["aws"]  # type: ignore[call-overload]  # by a name that is no literal


class _OneUser(asyncssh.SSHServer):
    """Lets one user in, by password; keys are asyncssh's affair."""

    def begin_auth(self, username: str) -> bool:  # noqa: ARG002  # asyncssh passes it by name
        return True

    def password_auth_supported(self) -> bool:
        return True

    def validate_password(self, username: str, password: str) -> bool:
        return (username, password) == (Sftp.user, Sftp.password)


class Sftp:
    """An SFTP server on a free port, for one user, to whom a folder is the root of all files."""

    user = "ada"
    password = secrets.token_urlsafe()

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._key = asyncssh.generate_private_key("ssh-ed25519")
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)

    def __enter__(self) -> Sftp:
        self._thread.start()
        self._server = self._run(self._listen())
        self.host = f"127.0.0.1:{self._server.get_port()}"
        return self

    def __exit__(self, *_: object) -> None:
        self._server.close()
        self._run(self._server.wait_closed())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def write_key(self, path: Path, passphrase: str | None = None) -> Path:
        """Write the private key that lets the user in."""
        self._key.write_private_key(path, passphrase=passphrase)
        path.chmod(0o600)
        return path

    def _run(self, task: Coroutine[Any, Any, Any]) -> Any:  # noqa: ANN401  # what it returns
        return asyncio.run_coroutine_threadsafe(task, self._loop).result(60)

    async def _listen(self) -> asyncssh.SSHAcceptor:
        return await asyncssh.listen(
            "127.0.0.1",
            0,
            server_factory=_OneUser,
            server_host_keys=[asyncssh.generate_private_key("ssh-ed25519")],
            authorized_client_keys=asyncssh.import_authorized_keys(self._key.export_public_key().decode()),
            sftp_factory=lambda channel: asyncssh.SFTPServer(channel, chroot=str(self.folder).encode()),
        )
