"""A source: the DVC remote, used for reading only, that names a container and holds its SAS.

    ['remote "oscar"']
        url = azure://oscar                                       the container
        connection_string = BlobEndpoint=https://…;SharedAccessSignature=sp=r&…

The connection string wins over every AZURE_STORAGE_* variable of the environment and serves Azure and
emulators alike; DVC merges it from `.dvc/config` (public) and `.dvc/config.local` (private).
"""

from __future__ import annotations

import contextlib
import io
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from datarepo.atomic_file import replace_bytes, replace_text
from datarepo.azure import sas as signature
from datarepo.errors import SasError, StageError

if TYPE_CHECKING:
    from pathlib import Path

    from datarepo.azure.sas import Sas

_SCHEME = "azure://"


@dataclass(frozen=True)
class Source:
    """A container of blobs, and the SAS that opens it.

    `endpoint` is the account's URL without a final slash (`https://ACCOUNT.blob.core.windows.net`, or
    `http://127.0.0.1:PORT/ACCOUNT` for an emulator).
    """

    name: str
    container: str
    endpoint: str
    sas: Sas | None = None

    def url(self, path: str) -> str:
        """The URL of a blob, without signature."""
        return f"{self.endpoint}/{self.container}/{signature.quoted(path)}"

    def check(self) -> None:
        """Raise SasError when its SAS cannot work now; no request is made."""
        if self.sas:
            try:
                self.sas.check()
            except SasError as error:
                raise SasError(f"source '{self.name}': {error.message}", error.hint) from None

    @property
    def connection_string(self) -> str:
        """What DVC needs to know of it; holds the signature."""
        parts = [f"BlobEndpoint={self.endpoint}"]
        if self.sas:
            parts.append(f"SharedAccessSignature={self.sas.text}")
        return ";".join(parts)


def load(root: Path, name: str) -> Source:
    """Read the source of that name from DVC's configuration, as DVC itself would merge it.

    Raises StageError when there is no such remote or it is no container of blobs, and SasError when
    what it holds is no SAS.
    """
    options = _remotes(root).get(name)
    if options is None:
        raise StageError(
            f"there is no source '{name}': .dvc/config has no remote of that name",
            f"dvc remote add {name} azure://CONTAINER makes one",
        )
    return from_options(name, options)


def names(root: Path) -> list[str]:
    """The names of all of DVC's remotes, sources or not."""
    return list(_remotes(root))


def at(root: Path, endpoint: str, container: str) -> list[Source]:
    """The sources of a container, in the order of the configuration."""
    found = []
    for name, options in _remotes(root).items():
        with contextlib.suppress(StageError, SasError):  # a remote of another kind, or not in order
            found.append(from_options(name, options))
    return [each for each in found if (each.endpoint, each.container) == (endpoint, container)]


def _remotes(root: Path) -> dict[str, dict[str, str]]:
    from dvc.config import Config, ConfigError

    try:
        remotes: dict[str, dict[str, str]] = Config(str(root / ".dvc"), validate=False)["remote"]
    except ConfigError as error:
        raise StageError(
            f".dvc/config cannot be read: {error}", "git diff .dvc/config shows what changed"
        ) from None
    return remotes


def from_options(name: str, options: dict[str, str]) -> Source:
    """Make a source of a DVC remote's options; errors as for `load`."""
    url = options.get("url", "")
    fields = _fields(options.get("connection_string", ""))
    endpoint = fields.get("blobendpoint", "").rstrip("/")
    if not endpoint and "accountname" in fields:
        protocol = fields.get("defaultendpointsprotocol", "https")
        endpoint = (
            f"{protocol}://{fields['accountname']}.blob.{fields.get('endpointsuffix', 'core.windows.net')}"
        )
    if not url.startswith(_SCHEME) or not endpoint:
        raise StageError(
            f"source '{name}' is no container of blobs: it needs url = azure://CONTAINER and"
            " connection_string = BlobEndpoint=…;SharedAccessSignature=…",
            "'dvc config --list --show-origin' shows where its options come from",
        )
    text = fields.get("sharedaccesssignature", "")
    try:
        sas = signature.parse(text) if text else None
    except SasError as error:
        raise SasError(f"source '{name}': {error.message}", error.hint) from None
    return Source(name, url[len(_SCHEME) :].strip("/"), endpoint, sas)


def _fields(connection_string: str) -> dict[str, str]:
    pairs = (part.partition("=") for part in connection_string.split(";"))
    return {name.strip().lower(): value.strip() for name, _, value in pairs if value.strip()}


def store_privately(root: Path, source: Source) -> None:
    """Store the source's access in `.dvc/config.local`, which git ignores and only the owner reads."""
    from configobj import ConfigObj

    path = root / ".dvc" / "config.local"
    config = ConfigObj(str(path), interpolation=False, encoding="utf-8")
    config.setdefault(f'remote "{source.name}"', {})["connection_string"] = source.connection_string
    written = io.BytesIO()
    config.write(written)
    replace_bytes(path, written.getvalue(), mode=0o600)


def publish(root: Path, source: Source) -> None:
    """Add a new source, without its SAS, at the end of the committed `.dvc/config`."""
    path = root / ".dvc" / "config"
    text = path.read_bytes().decode("utf-8")
    newline = "\r\n" if "\r\n" in text else "\n"
    lines = [
        f"['remote \"{source.name}\"']",
        f"    url = {_SCHEME}{source.container}",
        f"    connection_string = {replace(source, sas=None).connection_string}",
    ]
    text += "" if text.endswith("\n") else newline
    replace_text(path, text + "".join(f"{line}{newline}" for line in lines))
