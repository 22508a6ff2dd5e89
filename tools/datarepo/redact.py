"""The one place where secrets are taken out of text: every stream of the tools passes through it.

A filter at the sink also covers what third parties print: a retry warning with a signed URL, a
traceback, a message of the service that repeats the request.
"""

from __future__ import annotations

import html
import re
from typing import IO, Any
from urllib.parse import quote, quote_plus, unquote

MASK = "REDACTED"

# `sig` is the secret part of a SAS, AccountKey that of a connection string; `%3D` is `=` in a URL
# that was quoted once more (https://learn.microsoft.com/rest/api/storageservices/create-service-sas).
_SECRET = re.compile(r"((?<![a-z])(?:sig|accountkey)(?:=|%3d|%253d)\s*)[a-z0-9+/=%_.~-]+", re.IGNORECASE)
_known: set[str] = set()


def keep_secret(secret: str) -> None:
    """Mask this very value from now on, also where no `sig=` stands before it."""
    if len(secret) < 8:  # too short to be a key, and would mask ordinary words
        return
    plain = unquote(secret)
    for form in (secret, plain, quote(plain, safe=""), quote_plus(plain), html.escape(plain)):
        _known.add(form)


def redact(text: str) -> str:
    """The text with every signature and key replaced.

    >>> redact("GET /oscar/vqa.zip?sp=r&sig=c2VjcmV0&sr=c")
    'GET /oscar/vqa.zip?sp=r&sig=REDACTED&sr=c'
    """
    text = _SECRET.sub(rf"\g<1>{MASK}", text)
    for secret in sorted(_known, key=len, reverse=True):
        text = text.replace(secret, MASK)
    return text


class RedactingStream:
    """A text stream that masks secrets in whatever is written to it; all else is the stream's."""

    def __init__(self, stream: IO[str]) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        """Write the masked text; the length of what was asked for, as a stream answers."""
        self._stream.write(redact(text))
        return len(text)

    def writelines(self, lines: list[str]) -> None:
        """Write each masked line."""
        for line in lines:
            self.write(line)

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401  # whatever the stream has
        return getattr(self._stream, name)
