"""A source: a container of blobs, and the SAS that opens it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from datarepo.azure.sas import quoted
from datarepo.errors import SasError

if TYPE_CHECKING:
    from datarepo.azure.sas import Sas


@dataclass(frozen=True)
class Source:
    """A container of blobs, by the name the repository has for it, and the SAS that opens it.

    `endpoint` is the account's URL without a final slash (`https://ACCOUNT.blob.core.windows.net`, or
    `http://127.0.0.1:PORT/ACCOUNT` for an emulator).
    """

    name: str
    container: str
    endpoint: str
    sas: Sas | None = None

    def url(self, path: str) -> str:
        """The URL of a blob, without signature."""
        return f"{self.endpoint}/{self.container}/{quoted(path)}"

    def check(self, storing: str) -> None:
        """Raise SasError when its SAS cannot work now; the command `storing` stores another."""
        if self.sas:
            try:
                self.sas.check(storing)
            except SasError as error:
                raise SasError(f"source '{self.name}': {error.message}", error.hint) from None

    @property
    def connection_string(self) -> str:
        """Endpoint and SAS in one line, as Azure's libraries take them; holds the signature."""
        parts = [f"BlobEndpoint={self.endpoint}"]
        if self.sas:
            parts.append(f"SharedAccessSignature={self.sas.text}")
        return ";".join(parts)
