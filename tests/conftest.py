"""The small worlds the tests run in: an Azure of this machine, and scratch clones."""

from __future__ import annotations

import shutil
import signal
from typing import TYPE_CHECKING

import pytest
from hypothesis import settings

from tests import clones, samples
from tests.azurite import Azurite

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.clones import Clone

# A run in the background may have Ctrl-C ignored, which the commands under test would inherit.
signal.signal(signal.SIGINT, signal.default_int_handler)

settings.register_profile("tests", deadline=None)  # speed is the benchmark's affair
settings.load_profile("tests")


@pytest.fixture(scope="session")
def azurite() -> Iterator[Azurite]:
    """The emulator, one for each process of the test run."""
    with Azurite() as service:
        yield service


@pytest.fixture
def upstream(azurite: Azurite) -> Azurite:
    """The emulator with the nine archives in their first edition."""
    for name in samples.NAMES:
        azurite.put(samples.blob_path(name), samples.archive(name))
    return azurite


@pytest.fixture(scope="session")
def _pristine(tmp_path_factory: pytest.TempPathFactory) -> Clone:
    folder = tmp_path_factory.mktemp("pristine")
    return clones.make(folder / "clone", folder / "home")


@pytest.fixture
def untouched(_pristine: Clone, tmp_path: Path) -> Clone:
    """A fresh clone as it comes, with an empty home folder."""
    shutil.copytree(_pristine.path, tmp_path / "clone", symlinks=True)
    (tmp_path / "home").mkdir()
    return clones.Clone(tmp_path / "clone", tmp_path / "home")


@pytest.fixture
def clone(untouched: Clone, upstream: Azurite) -> Clone:
    """A fresh clone whose source is the emulator, opened by a SAS that may read."""
    local = untouched.path / ".dvc" / "config.local"
    text = upstream.connection_string(upstream.sas())
    local.write_text(f'[\'remote "oscar"\']\n    connection_string = "{text}"\n')
    return untouched
