"""A signature reaches no output, no file that git or DVC keeps, no log and no traceback."""

from __future__ import annotations

import io
import re
from typing import TYPE_CHECKING
from urllib.parse import quote, unquote

import pytest
from datarepo.redact import RedactingStream, keep_secret, redact
from hypothesis import given
from hypothesis import strategies as st

from tests import samples

if TYPE_CHECKING:
    from tests.azurite import Azurite
    from tests.clones import Clone


def test_a_planted_signature_shows_up_nowhere(clone: Clone, upstream: Azurite) -> None:
    """After the whole main job and its failures, only `.dvc/config.local` holds it."""
    signature = upstream.sas().partition("sig=")[2]
    whole = upstream.sas(start=None)
    said = ""
    for command in (
        ("add-asset", "vqa", "--sas-stdin"),
        ("add-asset", "vqa", "--json"),
        ("list-assets", "--check"),
        ("add-asset", f"https://biglmdiag.blob.core.windows.net/oscar/datasets/vqa.zip?{whole}"),
        ("add-asset", f"--{whole}"),
        ("list-assets", whole),
    ):
        said += clone.tool(*command, stdin=whole, env={"DATAREPO_DEBUG": "1"}).said
    said += clone.run("dvc", "repro", "-v").said
    upstream.delete("datasets/vqa.zip")
    said += clone.tool("add-asset", "vqa").said
    clone.ok("git", "add", "--all")
    clone.ok("git", "commit", "--message", "Add vqa")
    said += clone.ok("dvc", "push")
    said += clone.ok("git", "log", "--patch", "--all")

    secret = whole.partition("sig=")[2]
    forms = {secret, unquote(secret), signature, unquote(signature), quote(unquote(secret), safe="")}
    assert not [form for form in forms if form in said]
    for path in (path for path in clone.path.rglob("*") if path.is_file() and ".venv" not in path.parts):
        content = path.read_bytes()
        found = [form for form in forms if form.encode() in content]
        assert not found or path.name == "config.local", path
    assert clone.tree("data/vqa") == samples.tree("vqa")


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        ("?sp=r&sig=abc%3D&sr=c", "?sp=r&sig=REDACTED&sr=c"),
        ("https://a/b?sig=ab/c+d==", "https://a/b?sig=REDACTED"),
        ("quoted once more: sig%3Dabc%252B", "quoted once more: sig%3DREDACTED"),
        ("AccountName=a;AccountKey=abc==;Endpoint=x", "AccountName=a;AccountKey=REDACTED;Endpoint=x"),
        ("{'sig=abc'}", "{'sig=REDACTED'}"),
        ("design=modern, no secret", "design=modern, no secret"),
    ],
)
def test_signatures_and_keys_are_masked_and_all_else_is_kept(text: str, masked: str) -> None:
    """In whatever text they stand."""
    assert redact(text) == masked


@given(st.binary(min_size=32, max_size=32), st.text(max_size=20), st.text(max_size=20))
def test_a_known_signature_is_masked_without_its_name(raw: bytes, before: str, after: str) -> None:
    """Once it was read, each of its spellings is masked where it stands alone."""
    import base64

    secret = base64.b64encode(raw).decode()
    keep_secret(quote(secret, safe=""))

    for form in (secret, quote(secret, safe="")):
        assert form not in redact(f"{before}{form}{after}")


def test_what_third_parties_print_passes_the_same_place() -> None:
    """The stream is masked, not the call that writes to it."""
    under = io.StringIO()
    print("retrying https://a/b?sig=abc", file=RedactingStream(under))

    assert re.fullmatch(r"retrying https://a/b\?sig=REDACTED\n", under.getvalue())
