"""The URL of a blob as publishers put it on their pages, with or without a SAS.

    https://ACCOUNT.blob.core.windows.net/CONTAINER/PATH?SAS     Azure, in any cloud
    http://127.0.0.1:PORT/ACCOUNT/CONTAINER/PATH?SAS             an emulator: the account is in the path
    https://data.example.org/CONTAINER/PATH?SAS                  a custom domain

Names of hosts and blobs: https://learn.microsoft.com/rest/api/storageservices/naming-and-referencing-
containers--blobs--and-metadata.
"""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

from datarepo.azure import sas
from datarepo.errors import UsageError

if TYPE_CHECKING:
    from datarepo.azure.sas import Sas

_CONTAINER = re.compile(r"[a-z0-9](?:-?[a-z0-9]){2,62}|\$web")
_EXPECTED = (
    "a blob's URL is expected, as in 'https://ACCOUNT.blob.core.windows.net/CONTAINER/PATH/FILE.zip?SAS'"
)


@dataclass(frozen=True)
class BlobUrl:
    """A blob's URL, taken apart; `endpoint` is the account's URL without a final slash."""

    endpoint: str
    container: str
    path: str
    sas: Sas | None = None

    @property
    def account(self) -> str:
        """The account's name, or what stands for it in the host's name."""
        host, _, account = self.endpoint.partition("://")[2].partition("/")
        return account or host.partition(".")[0]


def parse(text: str) -> BlobUrl:
    """Take a published URL apart; the path of the blob is decoded.

    Raises UsageError for what is no blob's URL, and SasError for a SAS that is not whole.
    """
    text = text.strip().strip("'\"")
    if not text:
        raise UsageError("no URL was given", _EXPECTED)
    try:
        url = urlsplit(text)
        host, port = url.hostname or "", url.port
    except ValueError:
        raise UsageError("this is no URL", _EXPECTED) from None
    if url.scheme.lower() not in ("https", "http") or not host:
        raise UsageError(f"this is no https URL: {_shown(text)}", _EXPECTED)
    endpoint = f"{url.scheme.lower()}://{f'[{host}]' if ':' in host else host}{f':{port}' if port else ''}"
    parts = url.path.lstrip("/").split("/")
    if _is_emulator(host):
        endpoint += f"/{unquote(parts.pop(0))}"
    container, path = unquote(parts[0]) if parts else "", unquote("/".join(parts[1:]))
    if not _CONTAINER.fullmatch(container):
        raise UsageError(f"{container!r} is no container's name: {_shown(text)}", _EXPECTED)
    if not path or path.endswith("/"):
        raise UsageError(f"the URL names no blob in the container '{container}': {_shown(text)}", _EXPECTED)
    if "#" in path or "?" in path or url.fragment or path != path.strip() or not path.isprintable():
        raise UsageError(
            f"DVC cannot name this blob: {path!r} has '#', '?' or white space that it would misread",
            "ask the publisher to rename it",
        )
    fields = dict(each.partition("=")[::2] for each in url.query.lower().split("&"))
    for unwanted in ("comp", "restype", "snapshot", "versionid"):
        if unwanted in fields:
            raise UsageError(
                f"the URL asks for a {unwanted}, not for a blob as it is: {_shown(text)}", _EXPECTED
            )
    return BlobUrl(endpoint, container, path, sas.parse(url.query) if url.query else None)


def _is_emulator(host: str) -> bool:
    # An emulator cannot have the account in its host's name: it has an address, or a name without dots.
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return "." not in host
    return True


def _shown(text: str) -> str:
    return text.partition("?")[0]
