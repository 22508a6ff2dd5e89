"""A published URL of a blob, taken apart."""

from __future__ import annotations

import base64
import string
from urllib.parse import quote

import pytest
from datarepo.azure import blob_url, sas
from datarepo.azure.blob import Address
from datarepo.azure.blob_url import BlobUrl
from datarepo.azure.source import Source
from datarepo.errors import SasError, UsageError
from datarepo.pipeline.catalogue import Asset
from datarepo.pipeline.remotes import from_options
from hypothesis import given
from hypothesis import strategies as st

SAS = f"sp=r&se=3023-08-28&sv=2022-11-02&sr=c&sig={quote(base64.b64encode(bytes(32)), safe='')}"


@pytest.mark.parametrize(
    ("url", "endpoint", "container", "path"),
    [
        ("https://acct.blob.core.windows.net/data/a.zip", "https://acct.blob.core.windows.net", "data", "a.zip"),
        ("https://acct.blob.core.chinacloudapi.cn/data/x/a.zip", "https://acct.blob.core.chinacloudapi.cn", "data", "x/a.zip"),
        ("https://acct.z07.blob.storage.azure.net/data/a.zip", "https://acct.z07.blob.storage.azure.net", "data", "a.zip"),
        ("HTTPS://Acct.blob.core.windows.net:443/data/a.zip", "https://acct.blob.core.windows.net:443", "data", "a.zip"),
        ("http://127.0.0.1:10000/acct/data/x/a.zip", "http://127.0.0.1:10000/acct", "data", "x/a.zip"),
        ("http://[::1]:10000/acct/data/a.zip", "http://[::1]:10000/acct", "data", "a.zip"),
        ("http://azurite:10000/acct/data/a.zip", "http://azurite:10000/acct", "data", "a.zip"),
        ("https://data.example.org/data/a.zip", "https://data.example.org", "data", "a.zip"),
        ("https://acct.blob.core.windows.net/data/my%20file%20%C3%A9.zip", "https://acct.blob.core.windows.net", "data", "my file é.zip"),
        ("https://acct.blob.core.windows.net/data/my file é.zip", "https://acct.blob.core.windows.net", "data", "my file é.zip"),
        ("https://acct.blob.core.windows.net/data/a%2Fb.zip", "https://acct.blob.core.windows.net", "data", "a/b.zip"),
        ("https://acct.blob.core.windows.net/$web/a.zip", "https://acct.blob.core.windows.net", "$web", "a.zip"),
    ],
)  # fmt: skip
def test_every_published_form_is_taken_apart(url: str, endpoint: str, container: str, path: str) -> None:
    """With and without a SAS, quoted or not."""
    assert blob_url.parse(url) == BlobUrl(endpoint, container, path)
    assert blob_url.parse(f" '{url}?{SAS}'\n") == BlobUrl(endpoint, container, path, sas.parse(SAS))


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("vqa", "this is no https URL: vqa"),
        ("", "no URL was given"),
        ("s3://bucket/key", "this is no https URL: s3://bucket/key"),
        ("https://[bad", "this is no URL"),
        ("https://example.org", "'' is no container's name: https://example.org"),
        ("https://example.org/Some_Page/file.zip", "'Some_Page' is no container's name: https://example.org/Some_Page/file.zip"),
        ("https://acct.blob.core.windows.net/data", "the URL names no blob in the container 'data': https://acct.blob.core.windows.net/data"),
        ("https://acct.blob.core.windows.net/data/", "the URL names no blob in the container 'data': https://acct.blob.core.windows.net/data/"),
        ("https://acct.blob.core.windows.net/data/a%23.zip", "DVC cannot name this blob: 'a#.zip' has '#', '?' or white space that it would misread"),
        ("https://acct.blob.core.windows.net/data/a.zip?comp=list&sig=x", "the URL asks for a comp, not for a blob as it is: https://acct.blob.core.windows.net/data/a.zip"),
        ("https://acct.blob.core.windows.net/data/a.zip?snapshot=2020", "the URL asks for a snapshot, not for a blob as it is: https://acct.blob.core.windows.net/data/a.zip"),
    ],
)  # fmt: skip
def test_what_is_no_blob_url_is_refused(url: str, message: str) -> None:
    """Without its query, and with what is expected."""
    with pytest.raises(UsageError) as caught:
        blob_url.parse(url)

    assert (caught.value.message, bool(caught.value.hint)) == (message, True)


def test_a_url_cut_by_the_shell_is_explained() -> None:
    """What is left of a link after an unquoted `&`."""
    with pytest.raises(SasError) as caught:
        blob_url.parse("https://acct.blob.core.windows.net/data/a.zip?sp=r")

    assert caught.value.message.startswith("the SAS is cut off: it lacks sv, sig, sr, se")


_labels = st.from_regex(r"[a-z0-9]{3,24}", fullmatch=True)
_endpoints = st.one_of(
    _labels.map(lambda account: f"https://{account}.blob.core.windows.net"),
    st.tuples(st.integers(1, 65535), _labels).map(lambda each: f"http://127.0.0.1:{each[0]}/{each[1]}"),
    _labels.map(lambda name: f"https://{name}.example.org"),
)
_characters = string.ascii_letters + string.digits + " -_.~+%&=;,'()[]{}@!$é漢"
_segments = st.text(_characters, min_size=1, max_size=12).filter(
    lambda text: text == text.strip() and text not in (".", "..")
)
_paths = st.lists(_segments, min_size=1, max_size=3).map("/".join)


@given(_endpoints, _labels, _paths, st.booleans())
def test_asset_to_url_to_asset_is_the_same(endpoint: str, container: str, path: str, signed: bool) -> None:
    """For arbitrary accounts, containers and names, through the source's configuration and the URL."""
    source = Source("own", container, endpoint, sas.parse(SAS) if signed else None)
    asset = Asset("own", "dataset", f"remote://own/{path}", "data/own")
    options = {"url": f"azure://{container}", "connection_string": source.connection_string}
    assert from_options("own", options) == source

    url = str(Address(source, asset.path, "store")) + (f"?{SAS}" if signed else "")

    assert blob_url.parse(url) == BlobUrl(endpoint, container, path, source.sas)
