"""What a file really is that bears the name of an archive."""

from __future__ import annotations

import re

# https://learn.microsoft.com/rest/api/storageservices/status-and-error-codes2#error-response-body
_AZURE = re.compile(rb"\s*(?:<\?xml[^>]*>\s*)?<Error>\s*<Code>(\w+)</Code>")
_HTML = re.compile(rb"\s*(?:<!--.*?-->\s*)*<(?:!doctype\s+html|html|head|body)\b", re.IGNORECASE | re.DOTALL)
_MAGIC = {
    b"\x1f\x8b": "gzip data",
    b"BZh": "bzip2 data",
    b"\xfd7zXZ\0": "xz data",
    b"\x28\xb5\x2f\xfd": "Zstandard data",
    b"7z\xbc\xaf\x27\x1c": "a 7z archive",
    b"Rar!": "a RAR archive",
}


def impostor(head: bytes) -> str:
    """What a file that begins with `head` is, when that can be told; else an empty string.

    >>> impostor(b"<?xml version='1.0'?><Error><Code>BlobNotFound</Code>")
    "Azure's error message BlobNotFound, saved under an archive's name"
    """
    if not head:
        return "an empty file"
    text = head.removeprefix(b"\xef\xbb\xbf")
    if error := _AZURE.match(text):
        return f"Azure's error message {error[1].decode()}, saved under an archive's name"
    if _HTML.match(text):
        return "an HTML page, saved under an archive's name"
    return next((kind for magic, kind in _MAGIC.items() if head.startswith(magic)), "")
