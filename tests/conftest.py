"""The small worlds the tests run in: an Azure of this machine, and scratch clones."""

from __future__ import annotations

import compileall
import hashlib
import signal
from typing import TYPE_CHECKING

import pytest
from hypothesis import settings

from tests import clones, fork_server, samples
from tests.azurite import Azurite
from tests.made_archives import THREE_RANGES
from tests.proxy import Proxy
from tests.team_storage import S3, Sftp

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.clones import Clone

collect_ignore = ["killed"]  # a program of its own, which test_kills.py has other processes run

# A run in the background may have Ctrl-C ignored, which the commands under test would inherit.
signal.signal(signal.SIGINT, signal.default_int_handler)

settings.register_profile("tests", deadline=None)  # speed is the benchmark's affair
settings.load_profile("tests")


@pytest.fixture(scope="session", autouse=True)
def _site_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """DVC's own databases, for all users of a test: else they would stay in /var/tmp/dvc for ever."""
    folder = tmp_path_factory.mktemp("dvc")
    folder.chmod(0o777)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DVC_SITE_CACHE_DIR", str(folder))
        yield
        fork_server.end()


@pytest.fixture(scope="session")
def azurite() -> Iterator[Azurite]:
    """The emulator, one for each process of the test run."""
    with Azurite() as service:
        yield service


@pytest.fixture
def upstream(azurite: Azurite) -> Azurite:
    """The emulator with the nine archives in their first edition."""
    for name in samples.NAMES:
        azurite.restore(samples.blob_path(name), samples.archive(name))
    return azurite


@pytest.fixture(scope="session")
def _pristine(tmp_path_factory: pytest.TempPathFactory) -> Clone:
    folder = tmp_path_factory.mktemp("pristine")
    clone = clones.make(folder / "clone", folder / "home")
    assert compileall.compile_dir(clone.path / "tools", quiet=1)  # once, and not in each of its copies
    return clone


@pytest.fixture
def untouched(_pristine: Clone, tmp_path: Path) -> Iterator[Clone]:
    """A fresh clone as it comes, with an empty home folder; no signature it was given may be left in it."""
    clone = _pristine.copy(tmp_path / "clone", tmp_path / "home")
    yield clone
    clone.assert_no_signature_stored()


@pytest.fixture
def clone(untouched: Clone, upstream: Azurite) -> Clone:
    """A fresh clone whose source is the emulator, opened by a SAS that may read."""
    untouched.use(upstream.connection_string(upstream.sas()))
    return untouched


@pytest.fixture(scope="session")
def _with_data(_pristine: Clone, azurite: Azurite, tmp_path_factory: pytest.TempPathFactory) -> Clone:
    folder = tmp_path_factory.mktemp("with_data")
    clone = _pristine.copy(folder / "clone", folder / "home")
    azurite.put(samples.blob_path("vqa"), samples.archive("vqa"))
    clone.use(azurite.connection_string(azurite.sas()))
    assert clone.tool("add-asset", "vqa").code == 0
    clone.ok("dvc", "repro")
    clone.ok("git", "add", "--all")
    clone.ok("git", "commit", "--message", "Add vqa")
    return clone


@pytest.fixture
def shared(_with_data: Clone, upstream: Azurite, tmp_path: Path) -> Iterator[Clone]:  # noqa: ARG001  # upstream is there
    """A clone with vqa in use, downloaded, unzipped, committed, and not yet pushed."""
    clone = _with_data.copy(tmp_path / "clone", tmp_path / "home")
    yield clone
    clone.assert_no_signature_stored()


@pytest.fixture(scope="session")
def s3() -> Iterator[S3]:
    """An S3 server, which checks who may do what."""
    with S3() as server:
        yield server


@pytest.fixture
def sftp(tmp_path: Path) -> Iterator[Sftp]:
    """A machine behind SSH, with an empty disk."""
    (tmp_path / "sftp").mkdir()
    with Sftp(tmp_path / "sftp") as server:
        yield server


@pytest.fixture(scope="session")
def publisher() -> Iterator[Azurite]:
    """Another emulator, whose vqa is larger, with a true Content-MD5, and never replaced."""
    with Azurite() as service:
        md5 = hashlib.md5(THREE_RANGES, usedforsecurity=False).digest()
        service.put(samples.blob_path("vqa"), THREE_RANGES, md5=md5)
        yield service


@pytest.fixture
def proxy(publisher: Azurite) -> Iterator[Proxy]:
    """A proxy in front of the publisher, honest until told otherwise."""
    with Proxy(publisher.port) as proxy:
        yield proxy


@pytest.fixture(scope="session")
def _with_vqa(_pristine: Clone, publisher: Azurite, tmp_path_factory: pytest.TempPathFactory) -> Clone:
    folder = tmp_path_factory.mktemp("with_vqa")
    clone = _pristine.copy(folder / "clone", folder / "home")
    clone.use(publisher.connection_string(publisher.sas()))
    assert clone.tool("add-asset", "vqa").code == 0
    return clone


@pytest.fixture
def proxied(_with_vqa: Clone, publisher: Azurite, proxy: Proxy, tmp_path: Path) -> Iterator[Clone]:
    """A clone with vqa in use and not downloaded, whose source leads through the proxy."""
    clone = _with_vqa.copy(tmp_path / "clone", tmp_path / "home")
    clone.use(publisher.connection_string(publisher.sas(), proxy.endpoint))
    yield clone
    clone.assert_no_signature_stored()
