"""`tools/fetch-asset --no-unzip` against Azurite, through a proxy that misbehaves: the download itself.

After each fault stands the exact file, or no file under its final name and one error that says why.
"""

from __future__ import annotations

import hashlib
import json
import random
import re
import shutil
import signal
import ssl
import threading
import time
from datetime import datetime, timedelta, timezone
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ipaddress import ip_address
from typing import TYPE_CHECKING

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from datarepo.azure.download import RANGE
from dvc.repo import Repo
from dvc_objects.fs.local import localfs

from tests import proxy as faults
from tests import samples
from tests.clones import allow_any_ratio
from tests.made_archives import THREE_RANGES, boastful, noise
from tests.proxy import Proxy

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.azurite import Azurite
    from tests.clones import Clone
    from tests.proxy import Exchange

BLOB = "datasets/vqa.zip"
CONTENT = THREE_RANGES
MD5 = hashlib.md5(CONTENT, usedforsecurity=False).hexdigest()
FILE = "archives/vqa.zip"
STAGE = "archives/vqa.zip.dvc"
PART = ".dvc/tmp/fetch/vqa.part"
STATE = ".dvc/tmp/fetch/vqa.json"
WAITING = "; tried again, 8 times in a row at most"  # told when half of the attempts have brought nothing
IMPATIENT = {"DATAREPO_PATIENCE": "0.04"}  # a connection stalls in 1.2 s, and the first pause is 40 ms


def recorded(clone: Clone) -> str:
    """The text of the import stage."""
    return (clone.path / STAGE).read_text()


def cached(clone: Clone, content: bytes) -> Path:
    """Where DVC's cache keeps that content."""
    md5 = hashlib.md5(content, usedforsecurity=False).hexdigest()
    return clone.path / ".dvc/cache/files/md5" / md5[:2] / md5[2:]


def lose(clone: Clone) -> None:
    """Lose the archive in workspace and cache."""
    (clone.path / FILE).unlink(missing_ok=True)
    shutil.rmtree(clone.path / ".dvc/cache", ignore_errors=True)


def assert_complete(clone: Clone, content: bytes = CONTENT) -> None:
    """The exact file is in the workspace, a link to the cache's, recorded, and nothing is left over."""
    assert (clone.path / FILE).read_bytes() == content
    assert cached(clone, content).samefile(clone.path / FILE)
    assert f"md5: {hashlib.md5(content, usedforsecurity=False).hexdigest()}\n  size:" in recorded(clone)
    assert not (clone.path / PART).exists()
    assert not (clone.path / STATE).exists()


def assert_nothing_visible(clone: Clone) -> None:
    """No file is under its final name, in workspace or cache, and none is recorded."""
    assert not (clone.path / FILE).exists()
    assert not (clone.path / ".dvc" / "cache" / "files").exists()
    assert "\n  md5: " not in recorded(clone)


# What a download does.


def test_completes_the_import_as_dvc_does(proxied: Clone, proxy: Proxy, tmp_path: Path) -> None:
    """File, cache and .dvc file are what `dvc repro` makes of the same stage, and DVC finds nothing to do."""
    theirs = proxied.copy(tmp_path / "theirs", tmp_path / "home")
    result = proxied.tool("fetch-asset", "--no-unzip", "vqa")
    assert (result.code, result.stderr) == (0, "")
    line, following = result.stdout.splitlines()
    assert line.startswith("vqa: fetched, 10.5 MB in ")
    assert line.endswith("/s), md5 verified")
    assert following == "next: dvc repro unzip@vqa"
    assert_complete(proxied)
    assert proxy.served == len(CONTENT)

    theirs.ok("dvc", "repro", "--quiet", STAGE)
    assert recorded(proxied) == recorded(theirs)
    assert (proxied.path / "archives" / ".gitignore").read_text() == "/vqa.zip\n"
    known, _ = Repo(str(proxied.path)).state.get(str(proxied.path / FILE), localfs)
    assert known is not None, "DVC would read the whole archive to learn its md5"
    assert json.loads(proxied.ok("dvc", "status", "--json", STAGE)) == {}


def test_what_is_here_is_not_downloaded_again(proxied: Clone, proxy: Proxy) -> None:
    """A complete archive takes no request, and one that only the cache has is linked."""
    proxied.tool("fetch-asset", "--no-unzip", "vqa")
    stage = recorded(proxied)
    proxy.forget()
    again = proxied.tool("fetch-asset", "--no-unzip", "--all")
    assert (again.code, again.stdout) == (0, "vqa: complete already, 10.5 MB\nnext: dvc repro unzip@vqa\n")
    (proxied.path / FILE).unlink()
    linked = proxied.tool("fetch-asset", "--no-unzip", "vqa")
    assert (
        linked.stdout == "vqa: complete already, linked from the cache, 10.5 MB\nnext: dvc repro unzip@vqa\n"
    )
    assert_complete(proxied)
    lose(proxied)
    (proxied.path / FILE).write_bytes(CONTENT)
    assert proxied.tool("fetch-asset", "--no-unzip", "vqa").stdout.startswith("vqa: complete already")
    assert_complete(proxied)
    assert (proxy.requests, recorded(proxied)) == (0, stage)


def test_a_lost_pinned_archive_comes_back(proxied: Clone) -> None:
    """A proxied without a team remote gets its data, and the .dvc file stays byte for byte."""
    proxied.tool("fetch-asset", "--no-unzip", "vqa")
    text = "# pinned by a colleague\n" + recorded(proxied)
    (proxied.path / STAGE).write_text(text)
    lose(proxied)
    assert proxied.tool("fetch-asset", "--no-unzip", "vqa").stdout.startswith("vqa: fetched")
    assert_complete(proxied)
    assert recorded(proxied) == text


def test_a_pinned_archive_must_match_its_md5(proxied: Clone) -> None:
    """The md5 in the import stage decides, also against the publisher's."""
    proxied.tool("fetch-asset", "--no-unzip", "vqa")
    pinned = recorded(proxied).replace(f"  md5: {MD5}", f"  md5: {'0f' * 16}")
    (proxied.path / STAGE).write_text(pinned)
    lose(proxied)
    result = proxied.tool("fetch-asset", "--no-unzip", "vqa")
    assert result.code == 1
    assert f"its md5 is {MD5}, and archives/vqa.zip.dvc says {'0f' * 16}" in result.error
    assert ((proxied.path / FILE).exists(), (proxied.path / PART).exists(), recorded(proxied)) == (
        False,
        False,
        pinned,
    )


def test_facts_as_json_and_quiet(proxied: Clone) -> None:
    """The JSON document has each fact of the line, and -q leaves stderr empty."""
    result = proxied.tool(
        "fetch-asset", "--no-unzip", "vqa", "--json", "-q", "-j", "2", "--limit-rate", "100M"
    )
    document = json.loads(result.stdout)
    [facts] = document["assets"]
    assert facts.pop("seconds") > 0
    assert facts == {
        "name": "vqa",
        "action": "fetched",
        "file": "archives/vqa.zip",
        "size": len(CONTENT),
        "md5": MD5,
        "verified": True,
        "downloaded": len(CONTENT),
        "why": "",
        "dir": "data/vqa",
        "files": None,
        "contents_size": None,
        "remark": "",
    }
    assert (document["next"], result.stderr) == ("dvc repro unzip@vqa", "")


@pytest.mark.parametrize(
    ("arguments", "message", "hint"),
    [
        (["vqb"], "there is no asset named 'vqb'", "did you mean vqa?"),
        (["GQA"], "not in use: GQA", "tools/add-asset GQA"),
        (["-q"], "no asset is named", "name some of vqa, or use --all"),
        (["vqa", "--limit-rate", "fast"], "'fast' is no rate", "like 500k or 20M"),
        (["vqa", "--from", "nowhere.zip"], "there is no file nowhere.zip", "the path of an archive"),
        (["vqa", "-j", "0"], "Invalid value for '--jobs'", "--help"),
    ],
)
def test_wrong_use_is_told(
    proxied: Clone, proxy: Proxy, arguments: list[str], message: str, hint: str
) -> None:
    """Wrong use ends with exit code 2 before any request."""
    result = proxied.tool("fetch-asset", "--no-unzip", *arguments)
    assert (result.code, proxy.requests) == (2, 0)
    assert message in result.error
    assert hint in result.stderr.splitlines()[-1]


def test_a_file_that_nothing_tells_of_is_not_overwritten(proxied: Clone, proxy: Proxy) -> None:
    """A file in the archive's place stays, and --from that very file settles what it is."""
    (proxied.path / FILE).write_bytes(CONTENT)
    result = proxied.tool("fetch-asset", "--no-unzip", "vqa")
    assert result.code == 1
    assert "archives/vqa.zip is already there" in result.error
    assert proxy.requests == 0
    assert proxied.tool("fetch-asset", "--no-unzip", "vqa", "--from", "archives/vqa.zip").code == 0
    assert (proxied.path / FILE).read_bytes() == CONTENT
    assert f"md5: {MD5}" in recorded(proxied)


def test_too_small_a_disk_is_told_before_the_download(
    proxied: Clone, proxy: Proxy, publisher: Azurite
) -> None:
    """The contents count too: here an archive whose directory promises terabytes."""
    publisher.put("datasets/GQA.zip", boastful(10**15))
    allow_any_ratio(proxied, "GQA")
    assert proxied.tool("add-asset", "GQA", "--force").code == 0
    result = proxied.tool("fetch-asset", "GQA")
    assert result.code == 1
    assert "not enough disk: archives (" in result.error
    assert "and contents (1000.0 TB) need" in result.error
    assert proxy.served == 0
    assert proxied.tool("fetch-asset", "GQA", "--no-unzip").code == 0


def test_the_downloads_of_a_run_share_connections(clone: Clone, upstream: Azurite) -> None:
    """A handshake for each of hundreds of small blobs would take longer than their bytes."""
    with Proxy(upstream.port) as proxy:
        clone.use(upstream.connection_string(upstream.sas(), proxy.endpoint))
        assert clone.tool("add-asset", "--all").code == 0
        assert clone.tool("fetch-asset", "--all", "--no-unzip", "-j", "1").code == 0

        assert len(proxy.exchanges) == len(samples.NAMES)
        assert len({exchange.handler.client_address for exchange in proxy.exchanges}) == 1


# Faults that heal within a run.


@pytest.mark.parametrize(
    "scripted",
    [
        pytest.param([faults.cut(0), faults.cut(1_000_000), faults.reset], id="broken connections"),
        pytest.param(
            [faults.whole, faults.shifted, faults.other_blob], id="200 for 206, wrong range, other ETag"
        ),
        pytest.param([faults.longer, faults.shorter], id="more and fewer bytes"),
        pytest.param([faults.promising, faults.withholding], id="Content-Length too high and too low"),
        pytest.param([faults.stall(0), faults.stall(1_000_000), faults.trickle], id="stalls"),
        pytest.param(
            [
                faults.status(416, "InvalidRange"),
                faults.status(429, "TooManyRequests"),
                faults.status(500, "InternalError"),
                faults.status(503, "ServerBusy"),
                faults.status(503, "ServerBusy", Retry_After="1"),
            ],
            id="416, 429, 500, 503 with and without Retry-After",
        ),
    ],
)
def test_heals(proxied: Clone, proxy: Proxy, scripted: list[Callable[[Exchange], None]]) -> None:
    """A fault costs at most the answer it is in: the file is exact, and nobody need run anything."""
    proxy.faults = [scripted[0], None, *scripted[1:]]
    result = proxied.tool("fetch-asset", "--no-unzip", "vqa", "-j", "2", env=IMPATIENT)
    assert (result.code, proxy.faults) == (0, [])
    assert [line for line in result.stderr.splitlines() if not line.endswith(WAITING)] == []
    assert_complete(proxied)
    assert len(proxy.exchanges) <= 3 + len(scripted)
    assert proxy.served <= len(CONTENT) + len(scripted) * (RANGE + 7)


def test_goes_on_from_the_byte_reached(proxied: Clone, proxy: Proxy) -> None:
    """A range that is cut again and again is brought piece by piece, each byte once."""
    proxy.faults = [faults.cut(500_000)] * 12
    assert proxied.tool("fetch-asset", "--no-unzip", "vqa", "-j", "1", env=IMPATIENT).code == 0
    assert_complete(proxied)
    assert proxy.served == len(CONTENT)


# Faults that do not heal.


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        pytest.param(faults.whole, "non-partial response", id="200 instead of 206"),
        pytest.param(faults.longer, "more bytes came than asked for", id="more bytes"),
        pytest.param(faults.reset, "error sending request", id="reset"),
        pytest.param(faults.stall(0), "stalled: 0 bytes in ", id="stall"),
        pytest.param(faults.status(503, "ServerBusy"), "503 ServerBusy", id="503"),
        pytest.param(faults.status(403, "AuthenticationFailed"), "403 AuthenticationFailed", id="403"),
        pytest.param(faults.status(404, "BlobNotFound"), "the blob does not exist", id="404"),
    ],
)
def test_gives_up_and_keeps_what_has_arrived(
    proxied: Clone, proxy: Proxy, fault: Callable[[Exchange], None], words: str
) -> None:
    """What does not heal is one error; the same command then goes on with what has arrived."""
    proxy.faults = [None]
    proxy.always = fault
    result = proxied.tool("fetch-asset", "--no-unzip", "vqa", "-j", "1", env=IMPATIENT)
    assert (result.code, result.stdout) == (1, "")
    assert words in result.error
    *waiting, _, hint = result.stderr.splitlines()
    assert hint.startswith("hint: ")
    assert len(waiting) == (words not in ("403 AuthenticationFailed", "the blob does not exist"))
    assert all(line.endswith(WAITING) for line in waiting)
    assert_nothing_visible(proxied)
    assert (proxied.path / PART).exists()
    proxy.forget()
    assert proxied.tool("fetch-asset", "--no-unzip", "vqa").stdout.startswith(
        "vqa: resumed at 40 %, 6.3 MB of 10.5 MB in "
    )
    assert_complete(proxied)
    assert proxy.served == len(CONTENT) - RANGE


class _Portal(BaseHTTPRequestHandler):
    """A page to log in to a network, with the headers that a web server gives it."""

    def do_HEAD(self) -> None:
        self.send_response(200)
        for name, value in {"Content-Type": "text/html", "Content-Length": "26", "ETag": '"65f1-1a"'}.items():
            self.send_header(name, value)
        self.send_header("Last-Modified", "Wed, 25 Nov 2026 10:00:00 GMT")
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  # the name it has in the library
        """Say nothing."""


def test_a_page_to_log_in_is_no_new_version(proxied: Clone, proxy: Proxy, publisher: Azurite) -> None:
    """What has arrived stays, and nobody is told that upstream has changed."""
    proxy.faults = [None]
    proxy.always = faults.status(403, "AuthenticationFailed")
    assert proxied.tool("fetch-asset", "--no-unzip", "vqa", "-j", "1").code == 1
    arrived = (proxied.path / PART).stat().st_size
    with ThreadingHTTPServer(("127.0.0.1", 0), _Portal) as portal:
        threading.Thread(target=portal.serve_forever, daemon=True).start()
        endpoint = proxy.endpoint.replace(str(proxy.port), str(portal.server_port))
        proxied.use(publisher.connection_string(publisher.sas(), endpoint))
        results = [
            proxied.tool(*command)
            for command in (["fetch-asset", "vqa"], ["add-asset", "vqa"], ["list-assets", "--check"])
        ]
        portal.shutdown()

    told = (
        f"the host 127.0.0.1:{portal.server_port} cannot be reached: what answers is no Blob service; a page to"
        " log in to the network, or a proxy?"
    )
    assert [result.code for result in results] == [1, 1, 1]
    assert all(told in result.stderr for result in results)
    assert (proxied.path / PART).stat().st_size == arrived > 0


def test_what_was_done_before_a_failure_is_told(proxied: Clone, proxy: Proxy, publisher: Azurite) -> None:
    """When the second of two assets fails, the first is complete, and a line says so."""
    publisher.put("datasets/GQA.zip", noise(100_000))
    assert proxied.tool("add-asset", "GQA").code == 0
    proxy.faults = [None] * 3
    proxy.always = faults.status(403, "AuthenticationFailed")
    result = proxied.tool("fetch-asset", "--no-unzip", "--all")
    assert (result.code, result.stdout) == (1, "")
    told, error, _ = result.stderr.splitlines()
    assert told.startswith("vqa: fetched, 10.5 MB")
    assert "oscar/datasets/GQA.zip: 403 AuthenticationFailed" in error
    assert_complete(proxied)
    proxy.forget()
    assert [
        line.split(",")[0] for line in proxied.tool("fetch-asset", "--no-unzip", "--all").stdout.splitlines()
    ] == [
        "vqa: complete already",
        "GQA: fetched",
        "next: dvc repro unzip@vqa unzip@GQA",
    ]


def test_a_flipped_bit_is_found(proxied: Clone, proxy: Proxy) -> None:
    """Content that is not the publisher's is removed, and told with file, expected and got."""
    proxy.faults = [None, faults.flipped]
    result = proxied.tool("fetch-asset", "--no-unzip", "vqa", "-j", "1")
    assert result.code == 1
    assert "archives/vqa.zip did not arrive as it was published: its md5 is " in result.error
    assert f"the publisher's Content-MD5 says {MD5}" in result.error
    assert_nothing_visible(proxied)
    assert not (proxied.path / PART).exists()
    assert proxied.tool("fetch-asset", "--no-unzip", "vqa").stdout.startswith("vqa: fetched, ")
    assert_complete(proxied)


def test_a_full_disk_is_told_and_the_run_continued(proxied: Clone) -> None:
    """A write beyond what there is room for ends in one error; with room again the rest is brought."""
    limit = f"--fsize={RANGE + 1_000_000}"
    done = proxied.run("prlimit", limit, proxied.path / "tools/fetch-asset", "vqa", "-j", "1")
    assert done.code == 1
    error, hint = done.stderr.splitlines()
    assert re.fullmatch(
        r"error: the disk is full \(File too large\): .* of archives/vqa.zip are there and kept", error
    )
    assert hint == "hint: make room, then run the same command again, it continues"
    assert_nothing_visible(proxied)
    assert proxied.tool("fetch-asset", "--no-unzip", "vqa").stdout.startswith("vqa: resumed at 4")
    assert_complete(proxied)


def test_a_blob_replaced_midway_is_dropped(untouched: Clone, azurite: Azurite) -> None:
    """If-Match lets no byte of another blob in; tools/add-asset then records the new one."""
    new = noise(2 * RANGE, seed=1)
    with Proxy(azurite.port) as proxy:
        azurite.put(BLOB, CONTENT)
        untouched.use(azurite.connection_string(azurite.sas(), proxy.endpoint))
        assert untouched.tool("add-asset", "vqa").code == 0

        def replaced(exchange: Exchange) -> None:
            faults.honest(exchange)
            azurite.put(BLOB, new)

        proxy.faults = [replaced]
        result = untouched.tool("fetch-asset", "--no-unzip", "vqa", "-j", "1")
        assert result.code == 1
        assert result.error.startswith(
            "error: the blob of vqa has changed upstream since archives/vqa.zip.dvc"
        )
        assert result.stderr.splitlines()[-1] == "hint: tools/add-asset vqa records the new one"
        assert_nothing_visible(untouched)
        assert not (untouched.path / PART).exists()

        proxy.forget()
        before = untouched.tool("fetch-asset", "--no-unzip", "vqa")  # now it is found out before any download
        assert (before.code, before.error, proxy.served) == (1, result.error, 0)

        assert untouched.tool("add-asset", "vqa").code == 0
        done = untouched.tool("fetch-asset", "--no-unzip", "vqa")
        assert done.stdout.splitlines()[0].endswith("md5 verified")  # the service computed one on upload
        assert_complete(untouched, new)

        azurite.put(BLOB, CONTENT)
        lose(untouched)
        pinned = untouched.tool("fetch-asset", "--no-unzip", "vqa")
        assert pinned.code == 1
        assert "dvc pull, if a team remote has the recorded archive; or tools/add-asset" in pinned.stderr


def test_a_sas_that_expires_midway_is_renewed(proxied: Clone, proxy: Proxy, publisher: Azurite) -> None:
    """An expired SAS is named as such, and a new one goes on with what the old one brought."""
    expiry = datetime.now(timezone.utc).replace(microsecond=0) + timedelta(seconds=5)
    proxied.use(publisher.connection_string(publisher.sas(expiry=expiry), proxy.endpoint))

    def when_expired(exchange: Exchange) -> None:
        threading.Event().wait((expiry - datetime.now(timezone.utc)).total_seconds() + 0.5)
        faults.cut(0)(exchange)

    proxy.faults = [None, when_expired]
    result = proxied.tool("fetch-asset", "--no-unzip", "vqa", "-j", "1", env={"DATAREPO_PATIENCE": "0.5"})
    assert result.code == 1
    assert "source 'oscar': the SAS expired on " in result.error
    assert result.stderr.endswith(
        "\nhint: ask the publisher of the data for a new one; tools/add-asset vqa --sas-stdin stores it\n"
    )
    assert_nothing_visible(proxied)
    proxied.use(publisher.connection_string(publisher.sas(), proxy.endpoint))
    assert proxied.tool("fetch-asset", "--no-unzip", "vqa").stdout.startswith("vqa: resumed at 40 %, ")
    assert_complete(proxied)


# Carried in by hand.


def test_takes_an_archive_without_a_network(proxied: Clone, publisher: Azurite, tmp_path: Path) -> None:
    """A file from elsewhere is verified and completes the import; the source is not asked."""
    (tmp_path / "usb.zip").write_bytes(CONTENT)
    proxied.use(publisher.connection_string(publisher.sas(), "http://127.0.0.1:9/biglmdiag"))
    result = proxied.tool("fetch-asset", "--no-unzip", "vqa", "--from", str(tmp_path / "usb.zip"))
    assert (result.code, result.stderr) == (0, "")
    assert result.stdout.splitlines()[0] == f"vqa: taken from {tmp_path / 'usb.zip'}, 10.5 MB, md5 verified"
    assert_complete(proxied)
    assert (tmp_path / "usb.zip").read_bytes() == CONTENT


@pytest.mark.parametrize(
    ("content", "words"),
    [
        pytest.param(CONTENT[:-1], f"{len(CONTENT) - 1} bytes, expected {len(CONTENT)}", id="wrong size"),
        pytest.param(
            noise(5 * RANGE // 2, seed=2), "is not the archive of vqa: its md5 is ", id="wrong bytes"
        ),
        pytest.param(bytes(len(CONTENT)), "is not the archive of vqa: its md5 is ", id="no zip"),
    ],
)
def test_takes_no_other_file(proxied: Clone, tmp_path: Path, content: bytes, words: str) -> None:
    """A file that is not the recorded archive changes nothing, and what has arrived over the network is kept."""
    (tmp_path / "usb.zip").write_bytes(content)
    (proxied.path / PART).parent.mkdir(exist_ok=True)
    (proxied.path / PART).write_bytes(CONTENT[:RANGE])
    result = proxied.tool("fetch-asset", "--no-unzip", "vqa", "--from", str(tmp_path / "usb.zip"))
    assert result.code == 1
    assert words in result.error
    assert_nothing_visible(proxied)
    assert (proxied.path / PART).read_bytes() == CONTENT[:RANGE]
    assert [path.name for path in (proxied.path / PART).parent.glob("*.carried")] == []


# Through proxies and private authorities.


def test_goes_through_the_proxy_of_the_environment(proxied: Clone, proxy: Proxy, publisher: Azurite) -> None:
    """Every request takes the way of HTTP_PROXY: only the proxy can resolve this host."""
    proxied.use(publisher.connection_string(publisher.sas(), "http://account.invalid/biglmdiag"))
    assert (
        proxied.tool(
            "fetch-asset", "--no-unzip", "vqa", env={"HTTP_PROXY": f"http://127.0.0.1:{proxy.port}"}
        ).code
        == 0
    )
    assert_complete(proxied)
    lose(proxied)
    refused = proxied.tool(
        "fetch-asset",
        "--no-unzip",
        "vqa",
        env={"HTTP_PROXY": f"http://127.0.0.1:{proxy.port}", "NO_PROXY": ".invalid"},
    )
    assert "the host account.invalid cannot be resolved" in refused.error


def test_trusts_the_authority_of_the_environment(proxied: Clone, publisher: Azurite, tmp_path: Path) -> None:
    """A certificate that a private authority signed is accepted with SSL_CERT_FILE, and only then."""
    with Proxy(publisher.port, tls=private_authority(tmp_path / "ca.pem")) as proxy:
        proxied.use(publisher.connection_string(publisher.sas(), proxy.endpoint))
        refused = proxied.tool("fetch-asset", "--no-unzip", "vqa")
        assert refused.code == 1
        assert "is not trusted" in refused.error
        assert "set SSL_CERT_FILE" in refused.stderr
        assert (
            proxied.tool(
                "fetch-asset", "--no-unzip", "vqa", env={"SSL_CERT_FILE": str(tmp_path / "ca.pem")}
            ).code
            == 0
        )
    assert_complete(proxied)


def private_authority(path: Path) -> ssl.SSLContext:
    """A server's side of TLS for 127.0.0.1, and at `path` the certificate that it is trusted by."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "loopback")])
    now = datetime.now(timezone.utc)
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False)
        .sign(key, hashes.SHA256())
    )
    path.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    both = path.with_suffix(".both")
    private = (serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    both.write_bytes(key.private_bytes(*private) + path.read_bytes())
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(both)
    return context


# Interrupted, killed, and two at once.


def test_the_second_of_two_runs_waits(proxied: Clone, proxy: Proxy) -> None:
    """Two runs at once download the archive once, and the second says what it waits for."""
    arrived, gate = threading.Event(), threading.Event()
    proxy.faults = [faults.held(arrived, gate)]
    first = proxied.start("fetch-asset", "--no-unzip", "vqa")
    assert arrived.wait(60)
    second = proxied.start("fetch-asset", "--no-unzip", "vqa")
    assert second.stderr
    assert second.stderr.readline() == "vqa: another run is at work on it; waiting until it is done\n"
    gate.set()
    assert first.communicate()[0].startswith("vqa: fetched")
    assert second.communicate()[0].startswith("vqa: complete already")
    assert (first.returncode, second.returncode) == (0, 0)
    assert_complete(proxied)
    assert proxy.served == len(CONTENT)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_interrupted_it_keeps_what_has_arrived(proxied: Clone, proxy: Proxy, number: signal.Signals) -> None:
    """Ctrl-C and SIGTERM end the run in order: two lines, no traceback, and the next run goes on."""
    arrived, gate = threading.Event(), threading.Event()
    proxy.faults = [None, faults.held(arrived, gate)]
    run = proxied.start("fetch-asset", "--no-unzip", "vqa", "-j", "1")
    assert arrived.wait(60)
    run.send_signal(number)
    out, err = run.communicate(timeout=20)
    gate.set()
    assert (run.returncode, out) == (130, "")
    assert err == "interrupted: 4.2 MB of vqa are kept, the same command goes on from there\n"
    assert_nothing_visible(proxied)
    assert proxied.tool("fetch-asset", "--no-unzip", "vqa").stdout.startswith("vqa: resumed at 40 %")
    assert_complete(proxied)


@pytest.mark.parametrize("seed", range(20))
def test_killed_at_any_moment_it_continues(proxied: Clone, proxy: Proxy, seed: int) -> None:
    """After kill -9 the next run brings what was not claimed, and claims are made by time, not by range."""
    jobs = 1 + seed % 2
    moment = random.Random(seed).randrange(len(CONTENT))
    gate = threading.Event()

    def held_at_the_moment(exchange: Exchange) -> None:
        exchange.head()
        for at in range(0, len(exchange.body), 100_000):
            if proxy.served >= moment:
                gate.wait(60)
            exchange.send(exchange.body[at : at + 100_000])

    proxy.always = held_at_the_moment
    run = proxied.start("fetch-asset", "--no-unzip", "vqa", "-j", str(jobs))
    while claimed(proxied) < moment:
        assert run.poll() is None
        time.sleep(0.01)
    run.kill()
    out, err = run.communicate()
    gate.set()
    proxied.assert_no_signature(out + err)
    before = claimed(proxied)
    proxy.forget()
    assert proxied.tool("fetch-asset", "--no-unzip", "vqa", "-j", str(jobs)).code == 0
    assert proxy.served == len(CONTENT) - before
    assert_complete(proxied)


def claimed(clone: Clone) -> int:
    """How many bytes of the part file are claimed to be there."""
    if not (clone.path / STATE).exists():
        return 0
    return sum(end - start for start, end in json.loads((clone.path / STATE).read_text())["done"])


@pytest.mark.parametrize("hundredths", range(0, 60, 6))
def test_killed_at_its_end_it_continues(proxied: Clone, proxy: Proxy, hundredths: int) -> None:
    """While the archive is verified, cached and recorded: the next run brings at most what was not claimed."""
    run = proxied.start("fetch-asset", "vqa")
    while proxy.served < len(CONTENT):
        time.sleep(0.01)
    time.sleep(hundredths / 100)  # any moment will do
    run.kill()
    run.communicate()
    before = claimed(proxied) if (proxied.path / STATE).exists() else len(CONTENT)
    proxy.forget()
    again = proxied.tool("fetch-asset", "vqa")
    assert (again.code, proxy.served) == (0, len(CONTENT) - before), again.said
    assert_complete(proxied)
    assert proxied.tree("data/vqa").keys() == {"noise.bin"}
    assert "up to date" in proxied.ok("dvc", "repro")
