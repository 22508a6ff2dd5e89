"""A shared access signature (SAS): taken apart, and judged before any request.

    sp=r&st=2023-08-28T01:12:41Z&se=3023-08-28T09:12:41Z&sv=2022-11-02&sr=c&sig=…
    permissions  start          expiry                version       container  secret

Fields: https://learn.microsoft.com/rest/api/storageservices/create-service-sas and
https://learn.microsoft.com/rest/api/storageservices/create-account-sas.
"""

from __future__ import annotations

import base64
import html
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from urllib.parse import quote, unquote

from datarepo.errors import SasError
from datarepo.redact import keep_secret

_FIELDS = frozenset(
    {"sv", "sr", "ss", "srt", "sp", "st", "se", "sip", "spr", "si", "sig"}  # of every SAS
    | {"rscc", "rscd", "rsce", "rscl", "rsct", "sdd", "ses"}  # response headers, folders, scopes
    | {"skoid", "sktid", "skt", "ske", "sks", "skv", "saoid", "suoid", "scid"}  # user delegation
)

# Clocks of machines differ by up to a quarter of an hour, says Azure's page on SAS best practices, so
# a start this near is left to the service to judge.
_CLOCK_SKEW = timedelta(minutes=15)

_WHERE_FROM = "copy the whole SAS from where it was published, and pass it in single quotes or on stdin"


@dataclass(frozen=True)
class Sas:
    """A SAS that is whole and well-formed; whether it serves at a given time, `check` tells.

    `text` is the query string without a leading `?`, in the order and encoding it came in.
    """

    text: str

    @property
    def fields(self) -> Mapping[str, str]:
        """The fields by name, percent-decoded."""
        return {name: unquote(value) for name, value in _pairs(self.text)}

    @property
    def expires(self) -> datetime | None:
        """When it stops to serve; None when a stored access policy (`si`) says so instead."""
        return _time(self.fields["se"]) if "se" in self.fields else None

    @property
    def opens_one_blob(self) -> bool:
        """Whether it was signed for a single blob (or a version or snapshot of one)."""
        return self.fields.get("sr") in ("b", "bv", "bs")

    def check(self, storing: str, now: datetime | None = None) -> None:
        """Raise SasError when it cannot read blobs at that time: expired, not yet valid, without `r`.

        The command `storing` stores another.
        """
        now = now or datetime.now(timezone.utc)
        fields = self.fields
        start = _time(fields["st"]) if "st" in fields else now
        if self.expires and self.expires <= now:
            raise SasError(
                f"the SAS expired on {_day(self.expires)} ({_ago(now - self.expires)} ago)",
                f"ask the publisher of the data for a new one; {storing} stores it",
            )
        if start > now + _CLOCK_SKEW:
            raise SasError(
                f"the SAS is not valid before {_day(start)}",
                "wait until then, or check this machine's clock with 'date -u'",
            )
        if "sp" in fields and "r" not in fields["sp"]:
            raise SasError(
                f"the SAS does not allow reading: its permissions are sp={fields['sp']!r}, without 'r'",
                "ask the publisher of the data for a SAS with read permission (sp=r)",
            )
        if "ss" in fields and "b" not in fields["ss"]:
            raise SasError(
                f"the SAS is not for blobs: its services are ss={fields['ss']!r}, without 'b'",
                "ask the publisher of the data for a SAS of the Blob service",
            )
        if "srt" in fields and "o" not in fields["srt"]:
            raise SasError(
                f"the SAS does not open blobs: its resource types are srt={fields['srt']!r}, without 'o'",
                "ask the publisher of the data for a SAS that covers objects",
            )


def parse(text: str) -> Sas:
    """Read a SAS as people have it: with or without `?`, quotes, white space, or a URL before it.

    Raises SasError when it is no SAS, or not all of it. From then on its signature is masked
    wherever it would be printed.

    >>> parse("'?sp=r&sr=c&sv=2022-11-02&se=3023-08-28&sig=" + 43 * "A" + "%3D'").fields["sr"]
    'c'
    """
    text = html.unescape(text.strip().strip("'\"").strip())  # &amp; comes from a page's source
    text = text.rpartition("?")[2].strip("?&")
    pairs = _pairs(text)
    given = dict(pairs)
    for name, value in pairs:
        if name == "sig":
            keep_secret(value)
    if not pairs or not _FIELDS & given.keys() or any(not name.isalnum() for name in given):
        raise SasError(
            "this is not a SAS: "
            + ("nothing was given" if not text else "none of its parts is NAME=VALUE of a SAS"),
            "a SAS reads like sp=r&st=…&se=…&sv=…&sr=c&sig=…; " + _WHERE_FROM,
        )
    repeated = sorted({name for name in given if sum(name == other for other, _ in pairs) > 1})
    if repeated:
        raise SasError(f"the SAS has {', '.join(repeated)} more than once", _WHERE_FROM)
    missing = [name for name in ("sv", "sig") if name not in given]
    if not {"sr", "ss"} & given.keys():
        missing.append("sr")
    if "si" not in given:  # a stored access policy may hold the permissions and the expiry
        missing += [name for name in ("sp", "se") if name not in given]
    if missing:
        name, value = pairs[-1]
        last = f"{name}={value}" if name in _FIELDS - {"sig"} else name  # a signature may be misspelled
        raise SasError(
            f"the SAS is cut off: it lacks {', '.join(missing)} (its last part is {last})",
            "without quotes the shell drops everything after the first '&'; " + _WHERE_FROM,
        )
    if not is_base64(unquote(given["sig"]), 32):  # an HMAC-SHA256
        raise SasError("the SAS is cut off or mistyped: its sig is not a whole signature", _WHERE_FROM)
    for name in ("st", "se"):
        if name in given:
            _time(unquote(given[name]))
    # A raw + would reach the service as a space.
    return Sas("&".join(f"{name}={value.replace('+', '%2B')}" for name, value in pairs))


def sign_url(url: str, sas: Sas | None) -> str:
    """The URL of a blob with its SAS, for a request and nothing else."""
    return f"{url}?{sas.text}" if sas else url


def _pairs(text: str) -> list[tuple[str, str]]:
    # A trailing = belongs to the value: unescaped base64 ends in it.
    parts = [part.partition("=") for part in text.split("&") if part]
    return [(name.lower(), value) for name, _, value in parts]


def is_base64(text: str, length: int) -> bool:
    """Whether a text is so many bytes in base64.

    >>> is_base64("AAAA", 3), is_base64("AAA", 3), is_base64("ÄÄÄÄ", 3)
    (True, False, False)
    """
    try:
        return len(base64.b64decode(text, validate=True)) == length
    except ValueError:
        return False


def _time(text: str) -> datetime:
    # The forms Azure takes: a day, minutes, seconds or up to seven decimals, always UTC.
    match = re.fullmatch(r"(\d{4}-\d\d-\d\d)(?:T(\d\d:\d\d)(:\d\d)?(?:\.\d{1,7})?Z)?", text)
    try:
        if not match:
            raise ValueError
        day, minutes, seconds = match.groups()
        return datetime.fromisoformat(f"{day}T{minutes or '00:00'}{seconds or ':00'}+00:00")
    except ValueError:
        raise SasError(f"the SAS is mistyped: {text!r} is no time", _WHERE_FROM) from None


def _day(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%d %H:%M UTC")


def _ago(span: timedelta) -> str:
    for unit, seconds in (("day", 86400), ("hour", 3600), ("minute", 60)):
        count = int(span.total_seconds() // seconds)
        if count:
            return f"{count} {unit}{'s' if count > 1 else ''}"
    return "less than a minute"


def quoted(path: str) -> str:
    """The path of a blob as it stands in a URL."""
    return quote(path, safe="/~")
