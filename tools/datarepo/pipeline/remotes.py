"""DVC's remotes, as `.dvc/config` (committed) and `.dvc/config.local` (private) describe them.

    ['remote "oscar"']
        url = azure://oscar                                       the container
        connection_string = BlobEndpoint=https://…;SharedAccessSignature=sp=r&…

A source is such a remote, used for reading only. The connection string wins over every AZURE_STORAGE_*
variable of the environment, and serves Azure and emulators alike.
"""

from __future__ import annotations

import contextlib
import io
from dataclasses import replace
from typing import TYPE_CHECKING

from datarepo.atomic_file import replace_bytes, replace_text
from datarepo.azure import sas
from datarepo.azure.source import Source
from datarepo.errors import SasError, StageError
from datarepo.pipeline.root import scratch

if TYPE_CHECKING:
    from pathlib import Path

_SCHEME = "azure://"


class Remotes:
    """All remotes of a repository, as DVC itself merges its files of configuration.

    Raises StageError when these cannot be read.
    """

    def __init__(self, root: Path) -> None:
        from dvc.config import Config, ConfigError

        try:
            self._options: dict[str, dict[str, str]] = Config(str(root / ".dvc"), validate=False)["remote"]
        except ConfigError as error:
            raise StageError(
                f".dvc/config cannot be read: {error}", "git diff .dvc/config shows what changed"
            ) from None

    @property
    def names(self) -> list[str]:
        """The names of all remotes, sources or not."""
        return list(self._options)

    def source(self, name: str) -> Source:
        """The source of that name.

        Raises StageError when there is no such remote or it is no container of blobs, and SasError when
        what it holds is no SAS.
        """
        options = self._options.get(name)
        if options is None:
            raise StageError(
                f"there is no source '{name}': .dvc/config has no remote of that name",
                f"dvc remote add {name} azure://CONTAINER makes one",
            )
        return from_options(name, options)

    def sources_of(self, endpoint: str, container: str) -> list[Source]:
        """The sources of a container, in the order of the configuration."""
        sources = []
        for name, options in self._options.items():
            with contextlib.suppress(StageError, SasError):  # a remote of another kind, or not in order
                sources.append(from_options(name, options))
        return [source for source in sources if (source.endpoint, source.container) == (endpoint, container)]


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
        parsed = sas.parse(text) if text else None
    except SasError as error:
        raise SasError(f"source '{name}': {error.message}", error.hint) from None
    return Source(name, url[len(_SCHEME) :].strip("/"), endpoint, parsed)


def _fields(connection_string: str) -> dict[str, str]:
    pairs = (part.partition("=") for part in connection_string.split(";"))
    return {name.strip().lower(): value.strip() for name, _, value in pairs if value.strip()}


def store_privately(root: Path, source: Source) -> None:
    """Store the source's access in `.dvc/config.local`, which git ignores and only the owner reads.

    The url stands beside it: on a branch whose committed configuration lacks the remote, every dvc
    command would fail without (treeverse/dvc#10560).
    """
    from configobj import ConfigObj

    path = root / ".dvc" / "config.local"
    config = ConfigObj(str(path), interpolation=False, encoding="utf-8")
    options = {"url": _SCHEME + source.container, "connection_string": source.connection_string}
    config.setdefault(f'remote "{source.name}"', {}).update(options)
    written = io.BytesIO()
    config.write(written)
    replace_bytes(path, written.getvalue(), scratch=scratch(root), mode=0o600)


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
    replace_text(path, text + "".join(f"{line}{newline}" for line in lines), scratch=scratch(root))
