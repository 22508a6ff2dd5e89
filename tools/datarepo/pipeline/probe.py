"""A probe of the team remote: a small object written there, read back and deleted, as DVC itself would."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from socket import gaierror
from typing import TYPE_CHECKING, Any

from datarepo.console import first_line
from datarepo.deadline import within
from datarepo.errors import RemoteError, UsageError

if TYPE_CHECKING:
    from datarepo.errors import RepositoryError
    from datarepo.pipeline.team_remote import TeamRemote

DEADLINE = 30.0  # seconds; what asks 'az login' for a token takes some of them


@dataclass(frozen=True)
class Rights:
    """What a credential may do; `words` are the service's where it refuses to write."""

    write: bool = True
    delete: bool = True
    words: str = ""


def probe(remote: TeamRemote, options: Mapping[str, str]) -> Rights:
    """Write an object, read it back and delete it, with DVC's own client and all options of the remote.

    Where writing is refused, only ask for an object that is not there. Raises RemoteError when it cannot
    be read, or not be reached, and UsageError when DVC's client for it is not installed, or Azure's account
    not named.
    """
    if remote.kind.module and not find_spec(remote.kind.module):
        raise UsageError(
            f"{remote.place} needs {remote.kind.module.replace('_', '-')}, which is not installed",
            f'make setup EXTRAS="{remote.kind.extra}"',
        )
    try:
        return within(DEADLINE, lambda: _probe(options), "the team remote")
    except Exception as error:  # noqa: BLE001  # each kind of storage fails in ways of its own
        raise _in_words(remote, options, error) from None


def _probe(options: Mapping[str, str]) -> Rights:
    from dvc.fs import get_cloud_fs
    from dvc_data.hashfile.db import get_odb

    client, config, folder = get_cloud_fs({}, **options)
    if client.protocol == "ssh":
        from asyncssh import SSHClient

        config["client_factory"] = SSHClient  # DVC's asks for passwords on the terminal
    fs = client(**config)
    path = fs.join(folder, f"probe-{uuid.uuid4()}")
    content = path.encode()
    try:
        # As DVC makes it: a folder on this machine with the permissions it needs.
        get_odb(fs, folder, **config).makedirs(folder)  # type: ignore[no-untyped-call]  # half of it has types
        fs.pipe_file(path, content)
    except Exception as error:
        if not _is_refusal(error) or not _may_read(fs, path):
            raise
        return Rights(write=False, delete=False, words=first_line(error))
    try:
        if fs.cat_file(path) != content:
            raise OSError("what was written there reads differently")
    finally:
        deleted = _delete(fs, path)
    return Rights(delete=deleted)


def _may_read(fs: Any, path: str) -> bool:  # noqa: ANN401  # DVC publishes no types
    """Whether the storage says of an object that it is not there, rather than that it would not say."""
    try:
        fs.exists(path)
    except Exception:  # noqa: BLE001  # what was refused first is what people are told
        return False
    return True


def _delete(fs: Any, path: str) -> bool:  # noqa: ANN401  # DVC publishes no types
    try:
        fs.rm_file(path)
    except Exception:  # noqa: BLE001  # the right to delete is one that most of a team need not have
        return False
    return True


def _is_refusal(error: BaseException) -> bool:
    """Whether the storage answered, and would not: 401 or 403, or what file systems say."""
    return isinstance(error, PermissionError) or getattr(error, "status_code", None) in (401, 403)


def _in_words(remote: TeamRemote, options: Mapping[str, str], error: Exception) -> RepositoryError:
    said = first_line(error)
    if "requires either account_name or connection_string" in said:  # nor has the environment, nor ~/.azure
        return UsageError(
            f"{remote.place} is in some account of Azure, and none is named",
            f"tools/set-remote {remote.place} --secret-stdin takes the account's connection string, which"
            " names it; with a key, a SAS or 'az login', --account NAME does",
        )
    if _is_missing(error):
        return RemoteError(
            f"{remote.place} is not there: {said}",
            "check the spelling; a container or bucket is made by whoever administers the storage",
        )
    if _is_unreachable(error):
        return RemoteError(
            f"{remote.place} cannot be reached: {said}",
            "check the host or account, the network, and the proxy (HTTPS_PROXY), then run it again",
        )
    return RemoteError(
        f"{remote.place} does not let you in: {said}", f"you need {remote.kind.needed(options)}"
    )


def _is_missing(error: Exception) -> bool:
    return isinstance(error, FileNotFoundError) or getattr(error, "status_code", None) == 404


def _is_unreachable(error: BaseException | None) -> bool:
    """Whether the reason of it, however deep, is that nobody answered."""
    while error is not None:
        if isinstance(error, (TimeoutError, ConnectionError, gaierror)):
            return True
        error = error.__cause__ or error.__context__
    return False
