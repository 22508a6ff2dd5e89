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
import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from datarepo.azure import sas
from datarepo.azure.blob import Address
from datarepo.azure.source import Source
from datarepo.errors import SasError, StageError
from datarepo.files import replace_bytes, replace_text
from datarepo.pipeline.root import scratch

if TYPE_CHECKING:
    from configobj import ConfigObj

    from datarepo.azure.sas import Sas
    from datarepo.pipeline.catalogue import Asset

PUBLIC, PRIVATE = ".dvc/config", ".dvc/config.local"
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

    def source(self, name: str, other: Sas | None = None) -> Source:
        """The source of that name, opened by its own SAS, or by another in its place.

        Raises StageError when there is no such remote or it is no container of blobs, and SasError when
        what it holds is no SAS.
        """
        options = self._options.get(name)
        if options is None:
            raise StageError(
                f"there is no source '{name}': .dvc/config has no remote of that name",
                f"dvc remote add {name} azure://CONTAINER makes one",
            )
        return from_options(name, options, other)

    def address(self, asset: Asset) -> Address:
        """Where an asset's blob is; errors as for `source`."""
        return Address(self.source(asset.source), asset.path, storing(asset.name))

    def sources_of(self, endpoint: str, container: str) -> list[Source]:
        """The sources of a container, in the order of the configuration."""
        sources = []
        for name, options in self._options.items():
            with contextlib.suppress(StageError, SasError):  # a remote of another kind, or not in order
                sources.append(from_options(name, options))
        return [source for source in sources if (source.endpoint, source.container) == (endpoint, container)]


def storing(name: str) -> str:
    """The command that stores a SAS for the source of an asset of the catalogue, by its name."""
    return f"tools/add-asset {name} --sas-stdin"


def from_options(name: str, options: dict[str, str], other: Sas | None = None) -> Source:
    """Make a source of a DVC remote's options; `other` and errors are as for `Remotes.source`."""
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
        parsed = other or (sas.parse(text) if text else None)
    except SasError as error:
        raise SasError(f"source '{name}': {error.message}", error.hint) from None
    return Source(name, url[len(_SCHEME) :].strip("/"), endpoint, parsed)


def _fields(connection_string: str) -> dict[str, str]:
    pairs = (part.partition("=") for part in connection_string.split(";"))
    return {name.strip().lower(): value.strip() for name, _, value in pairs if value.strip()}


def store_privately(root: Path, source: Source) -> None:
    """Store the source's access in `.dvc/config.local`; whatever else stands there of it stays."""
    options = {"url": _SCHEME + source.container, "connection_string": source.connection_string}
    write_private(root, source.name, {**read_file(root, PRIVATE, source.name), **options})


def publish(root: Path, source: Source) -> None:
    """Add a new source, without its SAS, to the committed `.dvc/config`."""
    access = replace(source, sas=None).connection_string
    write_public(root, source.name, {"url": _SCHEME + source.container, "connection_string": access})


def read_file(root: Path, file: str, name: str) -> dict[str, str]:
    """The options that one file has for a remote, none where it has not; StageError if it is no such file."""
    from configobj import ConfigObjError

    try:
        return dict(_parsed(root / file).get(_section(name), {}))
    except (ConfigObjError, UnicodeDecodeError) as error:
        raise StageError(f"{file} cannot be read: {error}", "correct it by hand, or delete it") from None


def write_private(root: Path, name: str, options: Mapping[str, str]) -> None:
    """Have these options for a remote in `.dvc/config.local`, which git ignores and only the owner reads.

    The url belongs to them: on a branch whose committed configuration lacks the remote, every dvc
    command would fail without (treeverse/dvc#10560).
    """
    config = _parsed(root / PRIVATE)
    config[_section(name)] = dict(options)
    written = io.BytesIO()
    config.write(written)
    replace_bytes(root / PRIVATE, written.getvalue(), scratch=scratch(root), mode=0o600)


def write_public(root: Path, name: str, options: Mapping[str, str]) -> bool:
    """Have these options for a remote in the committed `.dvc/config`; whether it had to be written.

    Lines that are not the remote's stay as they are, comments too.
    """
    if read_file(root, PUBLIC, name) == options:
        return False
    path = root / PUBLIC
    text = path.read_bytes().decode("utf-8")
    newline = "\r\n" if "\r\n" in text else "\n"
    lines = (text if text.endswith("\n") else text + newline).splitlines(keepends=True)
    headers = [number for number, line in enumerate(lines) if line.lstrip().startswith("[")]
    is_ours = re.compile(rf"\s*\[\s*(['\"]?){re.escape(_section(name))}\1\s*\]")
    start = next((number for number in headers if is_ours.match(lines[number])), len(lines))
    end = next((number for number in headers if number > start), len(lines))
    comments = [line for line in lines[start + 1 : end] if not line.strip() or line.lstrip().startswith("#")]
    section = [f"['{_section(name)}']", *(f"    {line}" for line in _written(options))]
    lines[start:end] = [f"{line}{newline}" for line in section] + comments
    replace_text(path, "".join(lines), scratch=scratch(root))
    return True


def _section(name: str) -> str:
    return f'remote "{name}"'


def _parsed(path: Path) -> ConfigObj:
    from configobj import ConfigObj

    return ConfigObj(str(path), interpolation=False, encoding="utf-8")


def _written(options: Mapping[str, str]) -> list[str]:
    """Lines with values quoted where a comma or a # would mean something."""
    from configobj import ConfigObj

    lines: list[str] = ConfigObj(dict(options), interpolation=False).write()
    return lines
