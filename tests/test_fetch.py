"""`tools/fetch-asset` against Azurite, through a proxy that misbehaves.

After each fault stands the exact file, or no file under its final name and one error that says why.
"""

from __future__ import annotations

import hashlib
import io
import json
import random
import re
import shutil
import signal
import ssl
import subprocess
import threading
import zipfile
from datetime import datetime, timedelta, timezone
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
from tests.azurite import ROOT, Azurite
from tests.fetching import ENVIRONMENT, IMPATIENT, Clone, archive, make_clone
from tests.proxy import Proxy

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.proxy import Exchange

BLOB = "datasets/vqa.zip"
CONTENT = archive(5 * RANGE // 2)  # three ranges
MD5 = hashlib.md5(CONTENT, usedforsecurity=False).hexdigest()


@pytest.fixture(scope="session")
def service() -> Iterator[Azurite]:
    """The emulator with one archive, whose Content-MD5 is true."""
    with Azurite() as service:
        service.put(BLOB, CONTENT, md5=bytes.fromhex(MD5))
        yield service


@pytest.fixture(scope="session")
def template(service: Azurite, tmp_path_factory: pytest.TempPathFactory) -> Clone:
    """A clone in which the asset is in use and not downloaded."""
    with Proxy(service.port) as proxy:
        clone = make_clone(tmp_path_factory.mktemp("template") / "clone", proxy, service.sas())
        assert clone.run("add-asset", "vqa").code == 0
        return clone


@pytest.fixture
def proxy(service: Azurite) -> Iterator[Proxy]:
    """A proxy that is honest so far."""
    with Proxy(service.port) as proxy:
        yield proxy


@pytest.fixture
def clone(template: Clone, proxy: Proxy, tmp_path: Path) -> Iterator[Clone]:
    """A copy of the template whose source leads through the proxy; no signature is left in it."""
    shutil.copytree(template.root, tmp_path / "clone", symlinks=True)
    clone = Clone(tmp_path / "clone", proxy, template.sas)
    clone.point(proxy.endpoint, template.sas)
    yield clone
    clone.assert_no_signature_stored()


def assert_complete(clone: Clone, content: bytes = CONTENT) -> None:
    """The exact file is in the workspace, a link to the cache's, recorded, and nothing is left over."""
    assert clone.file.read_bytes() == content
    assert clone.cached(content).samefile(clone.file)
    assert f"md5: {hashlib.md5(content, usedforsecurity=False).hexdigest()}\n  size:" in clone.stage
    assert not clone.part.exists()
    assert not clone.state.exists()


def assert_nothing_visible(clone: Clone) -> None:
    """No file is under its final name, in workspace or cache, and none is recorded."""
    assert not clone.file.exists()
    assert not (clone.root / ".dvc" / "cache" / "files").exists()
    assert "\n  md5: " not in clone.stage


# What a download does.


def test_completes_the_import_as_dvc_does(clone: Clone, template: Clone, tmp_path: Path) -> None:
    """File, cache and .dvc file are what `dvc repro` makes of the same stage, and DVC finds nothing to do."""
    result = clone.fetch()
    assert (result.code, result.err) == (0, "")
    line, following = result.out.splitlines()
    assert line.startswith("vqa: fetched, 21.0 MB in ")
    assert line.endswith("/s), md5 verified")
    assert following == "next: dvc repro"
    assert_complete(clone)
    assert clone.proxy.served == len(CONTENT)

    theirs = shutil.copytree(template.root, tmp_path / "theirs", symlinks=True)
    Clone(theirs, clone.proxy, clone.sas).point(clone.proxy.endpoint, clone.sas)
    dvc = [str(ROOT / ".venv" / "bin" / "dvc")]
    subprocess.run(
        [*dvc, "repro", "--quiet", "archives/vqa.zip.dvc"], cwd=theirs, env=ENVIRONMENT, check=True
    )
    assert clone.stage == (theirs / "archives" / "vqa.zip.dvc").read_text()
    assert (clone.root / "archives" / ".gitignore").read_text() == "/vqa.zip\n"
    known, _ = Repo(str(clone.root)).state.get(str(clone.file), localfs)
    assert known is not None, "DVC would read the whole archive to learn its md5"
    status = [*dvc, "status", "--json", "archives/vqa.zip.dvc"]
    found = subprocess.run(status, cwd=clone.root, env=ENVIRONMENT, check=True, capture_output=True)
    assert json.loads(found.stdout) == {}


def test_what_is_here_is_not_downloaded_again(clone: Clone) -> None:
    """A complete archive takes no request, and one that only the cache has is linked."""
    clone.fetch()
    recorded = clone.stage
    clone.proxy.forget()
    again = clone.fetch("--all")
    assert (again.code, again.out) == (0, "vqa: complete already, 21.0 MB\nnext: dvc repro\n")
    clone.file.unlink()
    linked = clone.fetch()
    assert linked.out == "vqa: complete already, linked from the cache, 21.0 MB\nnext: dvc repro\n"
    assert_complete(clone)
    clone.lose()
    clone.file.write_bytes(CONTENT)
    assert clone.fetch().out.startswith("vqa: complete already")
    assert_complete(clone)
    assert (clone.proxy.requests, clone.stage) == (0, recorded)


def test_a_lost_pinned_archive_comes_back(clone: Clone) -> None:
    """A clone without a team remote gets its data, and the .dvc file stays byte for byte."""
    clone.fetch()
    text = "# pinned by a colleague\n" + clone.stage
    (clone.root / "archives" / "vqa.zip.dvc").write_text(text)
    clone.lose()
    assert clone.fetch().out.startswith("vqa: fetched")
    assert_complete(clone)
    assert clone.stage == text


def test_a_pinned_archive_must_match_its_md5(clone: Clone) -> None:
    """The md5 in the import stage decides, also against the publisher's."""
    clone.fetch()
    pinned = clone.stage.replace(f"  md5: {MD5}", f"  md5: {'0f' * 16}")
    (clone.root / "archives" / "vqa.zip.dvc").write_text(pinned)
    clone.lose()
    result = clone.fetch()
    assert result.code == 1
    assert f"its md5 is {MD5}, and archives/vqa.zip.dvc says {'0f' * 16}" in result.error
    assert (clone.file.exists(), clone.part.exists(), clone.stage) == (False, False, pinned)


def test_facts_as_json_and_quiet(clone: Clone) -> None:
    """The JSON document has each fact of the line, and -q leaves stderr empty."""
    result = clone.fetch("vqa", "--json", "-q", "-j", "2", "--limit-rate", "100M")
    document = json.loads(result.out)
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
    }
    assert (document["next"], result.err) == ("dvc repro", "")


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
def test_wrong_use_is_told(clone: Clone, arguments: list[str], message: str, hint: str) -> None:
    """Wrong use ends with exit code 2 before any request."""
    result = clone.fetch(*arguments)
    assert (result.code, clone.proxy.requests) == (2, 0)
    assert message in result.error
    assert hint in result.err.splitlines()[-1]


def test_a_file_that_nothing_tells_of_is_not_overwritten(clone: Clone) -> None:
    """A file in the archive's place stays, and --from that very file settles what it is."""
    clone.file.write_bytes(CONTENT)
    result = clone.fetch()
    assert result.code == 1
    assert "archives/vqa.zip is already there" in result.error
    assert clone.proxy.requests == 0
    assert clone.fetch("vqa", "--from", "archives/vqa.zip").code == 0
    assert clone.file.read_bytes() == CONTENT
    assert f"md5: {MD5}" in clone.stage


def test_too_small_a_disk_is_told_before_the_download(clone: Clone, service: Azurite) -> None:
    """The contents count too: here an archive whose directory promises terabytes."""
    service.put("datasets/GQA.zip", boastful())
    assert clone.run("add-asset", "GQA", "--force").code == 0
    result = clone.fetch("GQA")
    assert result.code == 1
    assert "not enough disk: archives (" in result.error
    assert "and contents (12.9 TB) need" in result.error
    assert clone.proxy.served == 0
    assert clone.fetch("GQA", "--force").code == 0


def boastful() -> bytes:
    """An archive of 3000 empty members that are said to hold 4 GiB each."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as writer:
        for number in range(3000):
            writer.writestr(f"{number}.bin", b"")
    # Each header in the directory begins with its mark and has the size 24 bytes later.
    return re.sub(rb"(PK\x01\x02.{20}).{4}", b"\\1\xfe\xff\xff\xff", buffer.getvalue(), flags=re.DOTALL)


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
def test_heals(clone: Clone, scripted: list[Callable[[Exchange], None]]) -> None:
    """A fault costs at most the answer it is in: the file is exact, and nobody need run anything."""
    clone.proxy.faults = [scripted[0], None, *scripted[1:]]
    result = clone.fetch("vqa", "-j", "2", env=IMPATIENT)
    assert (result.code, result.err, clone.proxy.faults) == (0, "", [])
    assert_complete(clone)
    assert len(clone.proxy.exchanges) <= 3 + len(scripted)
    assert clone.proxy.served <= len(CONTENT) + len(scripted) * (RANGE + 7)


def test_goes_on_from_the_byte_reached(clone: Clone) -> None:
    """A range that is cut again and again is brought piece by piece, each byte once."""
    clone.proxy.faults = [faults.cut(500_000)] * 12
    assert clone.fetch("vqa", "-j", "1", env=IMPATIENT).code == 0
    assert_complete(clone)
    assert clone.proxy.served == len(CONTENT)


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
    clone: Clone, fault: Callable[[Exchange], None], words: str
) -> None:
    """What does not heal is one error; the same command then goes on with what has arrived."""
    clone.proxy.faults = [None]
    clone.proxy.always = fault
    result = clone.fetch("vqa", "-j", "1", env=IMPATIENT)
    assert (result.code, result.out) == (1, "")
    assert words in result.error
    assert result.err.count("\n") == 2, "an error and a hint"
    assert_nothing_visible(clone)
    assert clone.part.exists()
    clone.proxy.forget()
    assert clone.fetch().out.startswith("vqa: resumed at 40 %, 12.6 MB of 21.0 MB in ")
    assert_complete(clone)
    assert clone.proxy.served == len(CONTENT) - RANGE


def test_what_was_done_before_a_failure_is_told(clone: Clone, service: Azurite) -> None:
    """When the second of two assets fails, the first is complete, and a line says so."""
    service.put("datasets/GQA.zip", archive(100_000))
    assert clone.run("add-asset", "GQA").code == 0
    clone.proxy.faults = [None] * 3
    clone.proxy.always = faults.status(403, "AuthenticationFailed")
    result = clone.fetch("--all")
    assert (result.code, result.out) == (1, "")
    told, error, _ = result.err.splitlines()
    assert told.startswith("vqa: fetched, 21.0 MB")
    assert "oscar/datasets/GQA.zip: 403 AuthenticationFailed" in error
    assert_complete(clone)
    clone.proxy.forget()
    assert [line.split(",")[0] for line in clone.fetch("--all").out.splitlines()] == [
        "vqa: complete already",
        "GQA: fetched",
        "next: dvc repro",
    ]


def test_a_flipped_bit_is_found(clone: Clone) -> None:
    """Content that is not the publisher's is removed, and told with file, expected and got."""
    clone.proxy.faults = [None, faults.flipped]
    result = clone.fetch("vqa", "-j", "1")
    assert result.code == 1
    assert "archives/vqa.zip did not arrive as it was published: its md5 is " in result.error
    assert f"the publisher's Content-MD5 says {MD5}" in result.error
    assert_nothing_visible(clone)
    assert not clone.part.exists()
    assert clone.fetch().out.startswith("vqa: fetched, ")
    assert_complete(clone)


def test_a_full_disk_is_told_and_the_run_continued(clone: Clone) -> None:
    """A write beyond what there is room for ends in one error; with room again the rest is brought."""
    limited = ["prlimit", f"--fsize={RANGE + 1_000_000}", *clone.command("fetch-asset", "vqa", "-j", "1")]
    done = subprocess.run(
        limited, cwd=clone.root, env=ENVIRONMENT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    error, hint = done.stderr.splitlines()
    assert re.fullmatch(
        r"error: the disk is full \(File too large\): .* of archives/vqa.zip are there and kept", error
    )
    assert hint == "hint: make room, then run the same command again, it continues"
    assert_nothing_visible(clone)
    assert clone.fetch().out.startswith("vqa: resumed at 4")
    assert_complete(clone)


def test_a_blob_replaced_midway_is_dropped(tmp_path: Path) -> None:
    """If-Match lets no byte of another blob in; tools/add-asset then records the new one."""
    new = archive(2 * RANGE, seed=1)
    with Azurite() as service, Proxy(service.port) as proxy:
        service.put(BLOB, CONTENT)
        clone = make_clone(tmp_path / "clone", proxy, service.sas())
        assert clone.run("add-asset", "vqa").code == 0

        def replaced(exchange: Exchange) -> None:
            faults.honest(exchange)
            service.put(BLOB, new)

        proxy.faults = [replaced]
        result = clone.fetch("vqa", "-j", "1")
        assert result.code == 1
        assert result.error.startswith(
            "error: the blob of vqa has changed upstream since archives/vqa.zip.dvc"
        )
        assert result.err.splitlines()[-1] == "hint: tools/add-asset vqa records the new one"
        assert_nothing_visible(clone)
        assert not clone.part.exists()

        proxy.forget()
        before = clone.fetch()  # now it is found out before any download
        assert (before.code, before.error, proxy.served) == (1, result.error, 0)

        assert clone.run("add-asset", "vqa").code == 0
        done = clone.fetch()
        assert done.out.splitlines()[0].endswith("md5 verified")  # the service computed one on upload
        assert_complete(clone, new)

        service.put(BLOB, CONTENT)
        clone.lose()
        pinned = clone.fetch()
        assert pinned.code == 1
        assert "dvc pull, if a team remote has the recorded archive; or tools/add-asset" in pinned.err


def test_a_sas_that_expires_midway_is_renewed(clone: Clone, service: Azurite) -> None:
    """An expired SAS is named as such, and a new one goes on with what the old one brought."""
    expiry = datetime.now(timezone.utc).replace(microsecond=0) + timedelta(seconds=5)
    clone.point(clone.proxy.endpoint, service.sas(expiry=expiry))

    def when_expired(exchange: Exchange) -> None:
        threading.Event().wait((expiry - datetime.now(timezone.utc)).total_seconds() + 0.5)
        faults.cut(0)(exchange)

    clone.proxy.faults = [None, when_expired]
    result = clone.fetch("vqa", "-j", "1", env={"DATAREPO_PATIENCE": "0.5"})
    assert result.code == 1
    assert "source 'oscar': the SAS expired on " in result.error
    assert "--sas-stdin" in result.err
    assert_nothing_visible(clone)
    clone.point(clone.proxy.endpoint, clone.sas)
    assert clone.fetch().out.startswith("vqa: resumed at 40 %, ")
    assert_complete(clone)


# Carried in by hand.


def test_takes_an_archive_without_a_network(clone: Clone, tmp_path: Path) -> None:
    """A file from elsewhere is verified and completes the import; the source is not asked."""
    (tmp_path / "usb.zip").write_bytes(CONTENT)
    clone.point("http://127.0.0.1:9/biglmdiag", clone.sas)
    result = clone.fetch("vqa", "--from", str(tmp_path / "usb.zip"))
    assert (result.code, result.err) == (0, "")
    assert result.out.splitlines()[0] == f"vqa: taken from {tmp_path / 'usb.zip'}, 21.0 MB, md5 verified"
    assert_complete(clone)
    assert (tmp_path / "usb.zip").read_bytes() == CONTENT


@pytest.mark.parametrize(
    ("content", "words"),
    [
        pytest.param(CONTENT[:-1], f"{len(CONTENT) - 1} bytes, expected {len(CONTENT)}", id="wrong size"),
        pytest.param(
            archive(5 * RANGE // 2, seed=2), "is not the archive of vqa: its md5 is ", id="wrong bytes"
        ),
        pytest.param(bytes(len(CONTENT)), "is no zip archive", id="no zip"),
    ],
)
def test_takes_no_other_file(clone: Clone, tmp_path: Path, content: bytes, words: str) -> None:
    """A file that is not the recorded archive changes nothing."""
    (tmp_path / "usb.zip").write_bytes(content)
    result = clone.fetch("vqa", "--from", str(tmp_path / "usb.zip"))
    assert result.code == 1
    assert words in result.error
    assert_nothing_visible(clone)
    assert [path.name for path in clone.part.parent.glob("*.carried")] == []


# Through proxies and private authorities.


def test_goes_through_the_proxy_of_the_environment(clone: Clone) -> None:
    """Every request takes the way of HTTP_PROXY: only the proxy can resolve this host."""
    clone.point("http://account.invalid/biglmdiag", clone.sas)
    assert clone.fetch("vqa", env={"HTTP_PROXY": f"http://127.0.0.1:{clone.proxy.port}"}).code == 0
    assert_complete(clone)
    clone.lose()
    refused = clone.fetch(
        "vqa", env={"HTTP_PROXY": f"http://127.0.0.1:{clone.proxy.port}", "NO_PROXY": ".invalid"}
    )
    assert "the host account.invalid cannot be resolved" in refused.error


def test_trusts_the_authority_of_the_environment(clone: Clone, service: Azurite, tmp_path: Path) -> None:
    """A certificate that a private authority signed is accepted with SSL_CERT_FILE, and only then."""
    with Proxy(service.port, tls=private_authority(tmp_path / "ca.pem")) as proxy:
        clone.point(proxy.endpoint, clone.sas)
        refused = clone.fetch()
        assert refused.code == 1
        assert "is not trusted" in refused.error
        assert "set SSL_CERT_FILE" in refused.err
        assert clone.fetch("vqa", env={"SSL_CERT_FILE": str(tmp_path / "ca.pem")}).code == 0
    assert_complete(clone)


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


def test_the_second_of_two_runs_waits(clone: Clone) -> None:
    """Two runs at once download the archive once, and the second says what it waits for."""
    arrived, gate = threading.Event(), threading.Event()
    clone.proxy.faults = [faults.held(arrived, gate)]
    first = clone.start()
    assert arrived.wait(60)
    second = clone.start()
    assert second.stderr
    assert second.stderr.readline() == "vqa: another run is at work on it; waiting until it is done\n"
    gate.set()
    assert first.communicate()[0].startswith("vqa: fetched")
    assert second.communicate()[0].startswith("vqa: complete already")
    assert (first.returncode, second.returncode) == (0, 0)
    assert_complete(clone)
    assert clone.proxy.served == len(CONTENT)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_interrupted_it_keeps_what_has_arrived(clone: Clone, number: signal.Signals) -> None:
    """Ctrl-C and SIGTERM end the run in order: two lines, no traceback, and the next run goes on."""
    arrived, gate = threading.Event(), threading.Event()
    clone.proxy.faults = [None, faults.held(arrived, gate)]
    run = clone.start("vqa", "-j", "1")
    assert arrived.wait(60)
    run.send_signal(number)
    out, err = run.communicate(timeout=20)
    gate.set()
    assert (run.returncode, out) == (130, "")
    assert err.splitlines() == [
        "error: interrupted",
        "hint: run the same command again, it continues or starts afresh",
    ]
    assert_nothing_visible(clone)
    assert clone.fetch().out.startswith("vqa: resumed at 40 %")
    assert_complete(clone)


@pytest.mark.parametrize("seed", range(20))
def test_killed_at_any_moment_it_continues(clone: Clone, seed: int) -> None:
    """After kill -9 the next run brings what was not claimed: at most the ranges that were in flight."""
    jobs = 1 + seed % 2
    moment = random.Random(seed).randrange(len(CONTENT)) if seed else len(CONTENT)
    reached = threading.Event()

    def watched(exchange: Exchange) -> None:
        exchange.head()
        for at in range(0, len(exchange.body), 100_000):
            exchange.send(exchange.body[at : at + 100_000])
            if clone.proxy.served >= moment:
                reached.set()

    clone.proxy.always = watched
    run = clone.start("vqa", "-j", str(jobs))
    assert reached.wait(60)
    run.kill()
    out, err = run.communicate()
    clone.assert_secret(out + err)
    state = json.loads(clone.state.read_text()) if clone.state.exists() else {"done": [[0, len(CONTENT)]]}
    claimed = sum(end - start for start, end in state["done"])
    assert clone.proxy.served - claimed <= jobs * RANGE
    clone.proxy.forget()
    assert clone.fetch("vqa", "-j", str(jobs)).code == 0
    assert clone.proxy.served == len(CONTENT) - claimed
    assert_complete(clone)
