"""A SAS, taken apart and judged without any request."""

from __future__ import annotations

import base64
import contextlib
from datetime import datetime, timedelta, timezone
from urllib.parse import quote

import pytest
from datarepo.azure import sas
from datarepo.errors import SasError
from hypothesis import given
from hypothesis import strategies as st

SIGNATURE = quote(base64.b64encode(bytes(range(32))), safe="")
WHOLE = f"sp=r&st=2023-08-28T01:12:41Z&se=3023-08-28T09:12:41Z&sv=2022-11-02&sr=c&sig={SIGNATURE}"
NOW = datetime(2026, 11, 22, tzinfo=timezone.utc)


@pytest.mark.parametrize(
    "text",
    [
        WHOLE,
        "?" + WHOLE,
        f"  '{WHOLE}'\n",
        f'"?{WHOLE}"',
        f"https://account.blob.core.windows.net/container/a.zip?{WHOLE}",
        WHOLE.replace("&", "&amp;"),
        "&" + WHOLE,
    ],
    ids=["plain", "question-mark", "quotes-and-space", "double-quotes", "in-a-link", "html", "ampersand"],
)
def test_a_sas_is_read_as_people_have_it(text: str) -> None:
    """Whatever stands around it, its text is the same."""
    assert sas.parse(text) == sas.Sas(WHOLE)


def test_raw_and_percent_encoded_values_mean_the_same() -> None:
    """Colons, slashes and equals signs, escaped or not."""
    raw = WHOLE.replace("%3D", "=").replace("%2B", "+").replace("%2F", "/")
    encoded = WHOLE.replace(":", "%3A")

    assert sas.parse(raw).fields == sas.parse(encoded).fields == sas.parse(WHOLE).fields


def test_a_raw_plus_is_sent_so_that_it_stays_one() -> None:
    """In a query a plus means a space."""
    signature = base64.b64encode(b"\xfb" * 32).decode()
    assert "+" in signature

    parsed = sas.parse(WHOLE.replace(SIGNATURE, signature))

    assert "+" not in parsed.text
    assert parsed.fields["sig"] == signature


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "this is not a SAS: nothing was given"),
        ("hello", "this is not a SAS: none of its parts is NAME=VALUE of a SAS"),
        ("AccountName=a;AccountKey=b", "this is not a SAS: none of its parts is NAME=VALUE of a SAS"),
        ("sp=r", "the SAS is cut off: it lacks sv, sig, sr, se (its last part is sp=r)"),
        (WHOLE.partition("&sig")[0], "the SAS is cut off: it lacks sig (its last part is sr=c)"),
        (WHOLE.replace("sig=", "gis="), "the SAS is cut off: it lacks sig (its last part is gis)"),
        (WHOLE[:-9], "the SAS is cut off or mistyped: its sig is not a whole signature"),
        (WHOLE + "&sp=r", "the SAS has sp more than once"),
        (
            WHOLE.replace("3023-08-28T", "3023-13-28T"),
            "the SAS is mistyped: '3023-13-28T09:12:41Z' is no time",
        ),
    ],
)
def test_what_is_no_whole_sas_is_refused(text: str, message: str) -> None:
    """With what is wrong, and a hint."""
    with pytest.raises(SasError) as caught:
        sas.parse(text)

    assert (caught.value.message, bool(caught.value.hint)) == (message, True)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("3023", "2025"), "the SAS expired on 2025-08-28 09:12 UTC (450 days ago)"),
        (
            ("3023-08-28T09:12:41Z", "2026-11-21T23:30Z"),
            "the SAS expired on 2026-11-21 23:30 UTC (30 minutes ago)",
        ),
        (("2023-08-28T01:12:41Z", "2026-11-23"), "the SAS is not valid before 2026-11-23 00:00 UTC"),
        (("sp=r", "sp=racwl"), None),
        (("sp=r", "sp=wl"), "the SAS does not allow reading: its permissions are sp='wl', without 'r'"),
        (("sr=c", "ss=bf&srt=o"), None),
        (("sr=c", "ss=f&srt=o"), "the SAS is not for blobs: its services are ss='f', without 'b'"),
        (
            ("sr=c", "ss=b&srt=sc"),
            "the SAS does not open blobs: its resource types are srt='sc', without 'o'",
        ),
        (("sp=r&", "si=policy&"), None),
    ],
)
def test_a_sas_is_judged_by_its_fields(change: tuple[str, str], message: str | None) -> None:
    """At a given time; None means that it serves."""
    parsed = sas.parse(WHOLE.replace(*change))
    if message is None:
        parsed.check("store", NOW)
        return

    with pytest.raises(SasError) as caught:
        parsed.check("store", NOW)

    assert (caught.value.message, bool(caught.value.hint)) == (message, True)


def test_a_start_within_the_usual_clock_skew_is_left_to_the_service() -> None:
    """A SAS signed now, on a machine whose clock is a little ahead."""
    soon = (NOW + timedelta(minutes=10)).strftime("%Y-%m-%dT%H:%M:%SZ")
    sas.parse(WHOLE.replace("2023-08-28T01:12:41Z", soon)).check("store", NOW)


_values = st.text(st.sampled_from("abcXYZ0189-_.~:/, é%&=+"), min_size=1, max_size=20)


@given(
    st.dictionaries(st.sampled_from(["sip", "spr", "rscd", "rsct", "skoid"]), _values),
    st.binary(min_size=32, max_size=32),
    st.permutations(["sp", "se", "sv", "sr", "sig"]),
)
def test_text_parsed_and_written_again_is_the_same(
    extra: dict[str, str], signature: bytes, order: list[str]
) -> None:
    """For every valid set of fields, in any order, percent-encoded as Azure does."""
    fields = {"sp": "r", "se": "3023-08-28", "sv": "2022-11-02", "sr": "c"}
    fields["sig"] = base64.b64encode(signature).decode()
    fields = {name: fields[name] for name in order} | extra
    text = "&".join(f"{name}={quote(value, safe='')}" for name, value in fields.items())

    parsed = sas.parse("?" + text)

    assert (parsed.text, dict(parsed.fields)) == (text, fields)
    assert sas.parse(parsed.text) == parsed


@given(st.text())
def test_any_text_is_a_sas_or_refused(text: str) -> None:
    """Nothing else comes out of it than a whole SAS or a SasError."""
    with contextlib.suppress(SasError):
        assert sas.parse(text).fields["sig"]
