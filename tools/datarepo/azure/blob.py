"""A blob: what the service says of it, and why it may refuse to.

ask          one HEAD request a blob, side by side, within a deadline
BlobReader   the bytes of a blob by position, in a few ranged requests
refusal      the service's refusal in words
unreachable  a failure of the network in words
"""

from __future__ import annotations

import base64
import binascii
import contextlib
import os
import re
import socket
import ssl
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from email.utils import parsedate_to_datetime
from functools import cache, partial
from typing import TYPE_CHECKING

from datarepo.azure.sas import sign_url
from datarepo.deadline import ask_all
from datarepo.errors import BlobChangedError, BlobError, BlobNotFoundError, RepositoryError

if TYPE_CHECKING:
    from obstore.store import AzureStore, ClientConfig

    from datarepo.azure.source import Source

_AHEAD = 64 * 1024  # bytes read at least, as the next read is often a neighbour

DEADLINE = 15.0  # seconds, for all requests of a command; looking up a host alone may take longer


@dataclass(frozen=True)
class Address:
    """Where a blob is: its source, its path in the container, and the command that stores a SAS for it."""

    source: Source
    path: str
    storing: str

    def check(self) -> None:
        """Raise SasError when the SAS cannot work now; no request is made."""
        self.source.check(self.storing)

    def __str__(self) -> str:
        return self.source.url(self.path)


@dataclass(frozen=True)
class Blob:
    """What the service says of a blob.

    `etag` stands in its quotes, as in HTTP and in DVC's files; `size` is in bytes; `md5` is the
    publisher's Content-MD5 in hexadecimal, None where the blob carries none.
    """

    etag: str
    size: int
    modified: datetime
    md5: str | None = None


def ask(addresses: Mapping[str, Address], deadline: float = DEADLINE) -> dict[str, Blob]:
    """Ask the service for each blob, side by side; the answers by the same names.

    Raises BlobError for the first one (in the order given) that is refused or cannot be reached
    within the deadline, in seconds.
    """
    return none_refused(try_ask(addresses, deadline))


def none_refused(answers: Mapping[str, Blob | BlobError]) -> dict[str, Blob]:
    """The blobs among the answers; BlobError, the first one, when there is any."""
    blobs = {}
    for name, answer in answers.items():
        if isinstance(answer, BlobError):
            raise answer
        blobs[name] = answer
    return blobs


def try_ask(addresses: Mapping[str, Address], deadline: float = DEADLINE) -> dict[str, Blob | BlobError]:
    """Ask as `ask` does, with the failures among the answers."""
    import urllib.request  # noqa: F401  # here: two threads that import it at once may each find half of it

    for address in addresses.values():
        address.check()
    questions = {name: partial(_head, address, deadline) for name, address in addresses.items()}
    answers: dict[str, Blob | BlobError] = {}
    for name, answer in ask_all(questions, deadline, "the service").items():
        told = silent(addresses[name], deadline) if isinstance(answer, TimeoutError) else answer
        if isinstance(told, BaseException) and not isinstance(told, BlobError):
            raise told
        answers[name] = told
    return answers


def _head(address: Address, deadline: float) -> Blob:
    import http.client
    import urllib.error
    import urllib.request

    request = urllib.request.Request(sign_url(str(address), address.source.sas), method="HEAD")  # noqa: S310  # http for emulators
    try:
        with urllib.request.urlopen(request, timeout=deadline) as response:  # noqa: S310  # as above
            return from_headers(response.headers)
    except urllib.error.HTTPError as error:
        raise refusal(address, error.code, error.headers.get("x-ms-error-code", "")) from None
    except (OSError, http.client.HTTPException, ValueError) as error:
        reason = error.reason if isinstance(error, urllib.error.URLError) else error
        raise unreachable(address, reason, deadline) from None


def from_headers(headers: Mapping[str, str]) -> Blob:
    """Read the answer to a HEAD request; ValueError when it is not a blob's.

    A page to log in to a network has the usual headers too, but none of Azure's own, which each of its
    answers has (https://learn.microsoft.com/rest/api/storageservices/common-rest-api-response-headers).
    On a ranged answer the MD5 of the whole blob stands in `x-ms-blob-content-md5` instead.
    """
    etag, length, modified = (headers.get(name) for name in ("etag", "content-length", "last-modified"))
    is_azure = any(name.lower().startswith("x-ms-") for name in headers)
    if not is_azure or not etag or not length or not modified:
        raise ValueError("what answers is no Blob service; a page to log in to the network, or a proxy?")
    try:
        md5 = base64.b64decode(headers.get("content-md5", "") or "", validate=True).hex() or None
    except binascii.Error:
        md5 = None
    return Blob(etag, int(length), parsedate_to_datetime(modified).astimezone(timezone.utc), md5)


def refusal(address: Address, status: int, code: str) -> BlobError:
    """Put the service's refusal in words.

    Codes: https://learn.microsoft.com/rest/api/storageservices/blob-service-error-codes. Azurite says
    AuthorizationFailure where Azure says AuthenticationFailed.
    """
    told = f"{address}: {status} {code}".rstrip()
    store = f"{address.storing} stores the SAS you give it"
    source = f"source '{address.source.name}'"
    if status == 404 and code == "ContainerNotFound":
        return BlobError(
            f"the container does not exist ({told})", f"check the url of {source} in .dvc/config"
        )
    if status == 404:
        return BlobNotFoundError(
            f"the blob does not exist ({told})",
            "check its spelling in params.yaml, and that it has not been moved; letter case counts",
        )
    if code == "PublicAccessNotPermitted" or (status in (401, 403, 409) and not address.source.sas):
        return BlobError(f"the service wants a SAS, and {source} has none ({told})", store)
    if code == "AuthorizationPermissionMismatch":
        return BlobError(
            f"the SAS of {source} is genuine, but does not permit reading blobs ({told})",
            "ask the publisher of the data for a SAS with read permission (sp=r); " + store,
        )
    if status in (401, 403) and code in ("AuthenticationFailed", "AuthorizationFailure", ""):
        return BlobError(
            f"the service does not accept the SAS of {source}: its signature is wrong, or was made for"
            f" another container or account than '{address.source.container}' ({told})",
            "copy the SAS published for this container; " + store,
        )
    if status in (429, 500, 502, 503, 504):
        return BlobError(f"the service is busy or out of order ({told})", "run the same command again later")
    return BlobError(
        f"the service refused the request ({told})", "if it stays so, tell the publisher of the data"
    )


def unreachable(address: Address, reason: object, deadline: float = DEADLINE) -> BlobError:
    """Put a failure of the network in words."""
    host = address.source.endpoint.partition("://")[2].partition("/")[0]
    if isinstance(reason, TimeoutError):
        return silent(address, deadline)
    if isinstance(reason, socket.gaierror):
        return BlobError(
            f"the host {host} cannot be resolved: {reason.strerror or reason}",
            "check the network (a proxy is taken from HTTPS_PROXY), and the endpoint of the source"
            f" '{address.source.name}'",
        )
    if isinstance(reason, ssl.SSLError):
        return BlobError(
            f"the host {host} is not trusted: {reason.reason or reason}",
            "behind a proxy with a certificate authority of its own, set SSL_CERT_FILE to its certificate",
        )
    words = getattr(reason, "strerror", None) or " ".join(str(reason).split()) or type(reason).__name__
    return BlobError(
        f"the host {host} cannot be reached: {words}",
        "check the network (a proxy is taken from HTTPS_PROXY), and try again",
    )


def silent(address: Address, deadline: float = DEADLINE) -> BlobError:
    """The error of a service that accepts a request and does not answer it."""
    host = address.source.endpoint.partition("://")[2].partition("/")[0]
    return BlobError(
        f"the host {host} did not answer within {deadline:.0f} seconds",
        "check the network (a firewall? a proxy is taken from HTTPS_PROXY), and try again",
    )


class BlobReader:
    """The bytes of a blob by position; what was read last is kept, and serves reads within it."""

    def __init__(self, address: Address, blob: Blob) -> None:
        self.name = str(address)
        self.size = blob.size
        self._address = address
        self._etag = blob.etag
        self._store = store(address.source, f"{DEADLINE:.0f}s", retries=2)
        self._start, self._bytes = 0, b""

    def read_at(self, offset: int, length: int) -> bytes:
        """Bytes of the blob, fewer than `length` at its end; BlobError when they cannot be had."""
        import obstore
        from obstore.exceptions import BaseError

        end = min(offset + length, self.size)
        if not (self._start <= offset and end <= self._start + len(self._bytes)):
            reach = min(max(end, offset + _AHEAD), self.size)
            try:
                answer = obstore.get(self._store, self._address.path, options={"range": (offset, reach)})
                if answer.meta["e_tag"] != self._etag:
                    raise BlobChangedError(f"{self._address} has changed since it was asked for", "try again")
                self._start, self._bytes = offset, bytes(answer.bytes())
            except RepositoryError:
                raise
            except (BaseError, OSError) as error:
                raise self._failure(str(error)) from None
        return self._bytes[offset - self._start : end - self._start]

    def _failure(self, text: str) -> BlobError:
        status, code = status_and_code(text)
        if status:
            return refusal(self._address, status, code)
        return BlobError(
            f"{self._address} cannot be read: {text.partition(chr(10))[0]}", "run the same command again"
        )


@cache
def store(source: Source, timeout: str, *, retries: int) -> AzureStore:
    """Open a source with obstore, once a run: all requests share its connections.

    `timeout` is that of a request, and obstore's own retries of it end at the deadline.
    """
    from obstore.store import AzureStore

    # obstore wants an account name, though the endpoint says it all.
    account = source.endpoint.partition("://")[2].partition(".")[0].partition(":")[0]
    options: ClientConfig = {
        "allow_http": True,
        "connect_timeout": f"{DEADLINE:.0f}s",
        "timeout": timeout,
    }
    opened = partial(
        AzureStore,
        source.container,
        account_name=account,
        endpoint=source.endpoint,
        client_options=options,
        retry_config={"max_retries": retries, "retry_timeout": timedelta(seconds=DEADLINE)},
    )
    with _without_azure_variables():
        return opened(sas_token=source.sas.text) if source.sas else opened(skip_signature=True)


_environment = threading.Lock()


@contextlib.contextmanager
def _without_azure_variables() -> Iterator[None]:
    """Hide AZURE_*: obstore would prefer a key found there to the source's SAS, or go elsewhere."""
    with _environment:
        hidden = {name: os.environ.pop(name) for name in list(os.environ) if name.startswith("AZURE_")}
        try:
            yield
        finally:
            os.environ.update(hidden)


_STATUS = re.compile(r"status code: (\d{3})\b")
_CODE = re.compile(r"<Code>(\w+)</Code>")


def status_and_code(text: str) -> tuple[int, str]:
    """The HTTP status and the service's error code in what obstore says; 0 and "" where it got none.

    Its exceptions have no fields; their text names the status and repeats the service's answer.
    """
    status, code = _STATUS.search(text), _CODE.search(text)
    return int(status[1]) if status else 0, code[1] if code else ""
