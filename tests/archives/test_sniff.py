"""What bears the name of an archive and is none."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.made_archives import member, refusal_of, tarred

if TYPE_CHECKING:
    from pathlib import Path

AZURE = (
    '\ufeff<?xml version="1.0" encoding="utf-8"?><Error><Code>AuthenticationFailed</Code>'
    "<Message>Server failed to authenticate the request.</Message></Error>"
)


@pytest.mark.parametrize(
    ("content", "diagnosis"),
    [
        (b"", "not a zip archive but an empty file"),
        (b"some text\n" * 99, "not a zip archive"),
        (bytes(100_000), "not a zip archive"),
        (
            AZURE.encode(),
            "not a zip archive but Azure's error message AuthenticationFailed, saved under an archive's name",
        ),
        (
            b"\n<!DOCTYPE html>\n<html><title>Sign in</title>",
            "not a zip archive but an HTML page, saved under an archive's name",
        ),
        (b"<html>" + bytes(99), "not a zip archive but an HTML page, saved under an archive's name"),
        (b"\x1f\x8b\x08\0", "not a zip archive but gzip data"),
        (tarred(member("a")), "not a zip archive but a tar archive"),
    ],
)
def test_what_is_no_archive_is_called_by_its_name(content: bytes, diagnosis: str, tmp_path: Path) -> None:
    """An error message saved as an archive is the usual case, and says what went wrong."""
    assert refusal_of(content, tmp_path) == f"{tmp_path / 'archive.zip'}: {diagnosis}"
