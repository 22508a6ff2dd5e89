"""The survey of archives upstream, before anything is downloaded."""

from __future__ import annotations

import socket
from datetime import datetime, timezone
from typing import TYPE_CHECKING

import pytest
from datarepo.azure import sas
from datarepo.azure.blob import DEADLINE, Address, Blob
from datarepo.azure.source import Source
from datarepo.commands.survey import survey_blobs
from datarepo.errors import BlobError
from datarepo.pipeline.catalogue import Asset

from tests import samples

if TYPE_CHECKING:
    from pathlib import Path


def test_a_service_that_stalls_is_given_up_at_the_deadline(tmp_path: Path) -> None:
    """It has told what the blob is, and then sends none of its bytes; told in the words of all such failures."""
    asset = Asset("vqa", "dataset", "remote://oscar/datasets/vqa.zip", "data/vqa")
    blob = Blob('"0x1"', 91_000_000_000, datetime(2023, 8, 28, tzinfo=timezone.utc))
    with socket.create_server(("127.0.0.1", 0)) as silent:
        host = f"127.0.0.1:{silent.getsockname()[1]}"
        source = Source("oscar", "oscar", f"http://{host}/account", sas.parse(samples.SAS))
        with pytest.raises(BlobError) as caught:
            survey_blobs(tmp_path, {asset: Address(source, asset.path)}, {asset: blob}, deadline=0.2)

    assert caught.value.message == f"the host {host} did not answer within 0 seconds"
    assert DEADLINE == 15
