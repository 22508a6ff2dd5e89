"""What a file really is that bears the name of an archive."""

from __future__ import annotations

import re

# https://learn.microsoft.com/rest/api/storageservices/status-and-error-codes2#error-response-body
_AZURE = re.compile(rb"\s*(?:<\?xml[^>]*>\s*)?<Error>\s*<Code>(\w+)</Code>")
_HTML = re.compile(rb"\s*(?:<!--.*?-->\s*)*<(?:!doctype\s+html|html|head|body)\b", re.IGNORECASE | re.DOTALL)
_MAGIC = {
    b"PK\3\4": "a zip archive",
    b"\x1f\x8b": "gzip data",
    b"BZh": "bzip2 data",
    b"\xfd7zXZ\0": "xz data",
    b"\x28\xb5\x2f\xfd": "Zstandard data",
    b"7z\xbc\xaf\x27\x1c": "a 7z archive",
    b"Rar!": "a RAR archive",
}


def kind(head: bytes) -> str:
    """What a file that begins with `head` is, when that can be told; else an empty string.

    >>> kind(b"<?xml version='1.0'?><Error><Code>BlobNotFound</Code>")
    "Azure's error message BlobNotFound, saved under an archive's name"
    """
    if not head:
        return "an empty file"
    text = head.removeprefix(b"\xef\xbb\xbf")
    if error := _AZURE.match(text):
        return f"Azure's error message {error[1].decode()}, saved under an archive's name"
    if _HTML.match(text):
        return "an HTML page, saved under an archive's name"
    if _is_tar(head[:512]):
        return "a tar archive"
    return next((name for magic, name in _MAGIC.items() if head.startswith(magic)), "")


def _is_tar(block: bytes) -> bool:
    """Whether a block is the header of a tar archive: its sum is right (POSIX.1-2017 pax, "ustar")."""
    try:
        recorded = int(block[148:156].strip(b" \0"), 8)
    except ValueError:
        return False
    return recorded == sum(block[:148]) + 8 * ord(" ") + sum(block[156:])
