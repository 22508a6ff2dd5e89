"""What the service says of a blob, and why it may refuse to."""

from __future__ import annotations

import socket
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING

import pytest
from datarepo.azure import blob, sas
from datarepo.azure.blob import Address
from datarepo.azure.source import Source
from datarepo.errors import BlobError

from tests import samples

if TYPE_CHECKING:
    from collections.abc import Iterator


class _Refusing(BaseHTTPRequestHandler):
    """Answers each HEAD with the status and code its path asks for: /account/container/403/Code."""

    def do_HEAD(self) -> None:
        _, _, _, status, code = self.path.partition("?")[0].split("/")
        self.send_response(int(status))
        self.send_header("x-ms-error-code", code)
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  # the name it has in the library
        """Keep the test's output clean."""


@pytest.fixture
def refusing() -> Iterator[str]:
    """A service that refuses as Azure does where the emulator does not; its endpoint."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Refusing)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/account"
    server.shutdown()
    server.server_close()


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        ("409/PublicAccessNotPermitted", "the service wants a SAS, and source 'oscar' has none"),
        (
            "403/AuthenticationFailed",
            "the service does not accept the SAS of source 'oscar': its signature is wrong",
        ),
        (
            "403/AuthorizationPermissionMismatch",
            "the SAS of source 'oscar' is genuine, but does not permit reading",
        ),
        ("404/ContainerNotFound", "the container does not exist"),
        ("404/BlobNotFound", "the blob does not exist"),
        ("503/ServerBusy", "the service is busy or out of order"),
        ("400/InvalidQueryParameterValue", "the service refused the request"),
    ],
)
def test_each_refusal_of_the_service_is_put_in_words(refusing: str, answer: str, message: str) -> None:
    """The error code stands in the message, and never the signature."""
    address = Address(Source("oscar", "oscar", refusing, sas.parse(samples.SAS)), answer, "store")

    with pytest.raises(BlobError) as caught:
        blob.ask({"vqa": address})

    assert caught.value.message.startswith(message)
    assert caught.value.message.endswith(f"({refusing}/oscar/{answer}: {answer.replace('/', ' ')})")
    assert "sig=" not in caught.value.message + caught.value.hint


def test_a_host_that_does_not_answer_is_given_up_at_the_deadline() -> None:
    """It accepts the connection and says nothing; the deadline of the tools is 15 seconds."""
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        host = f"127.0.0.1:{silent.getsockname()[1]}"
        address = Address(
            Source("oscar", "oscar", f"http://{host}/account", sas.parse(samples.SAS)), "vqa.zip", "store"
        )
        with pytest.raises(BlobError) as caught:
            blob.ask({"vqa": address}, deadline=0.2)

    assert caught.value.message == f"the host {host} did not answer within 0 seconds"
    assert blob.DEADLINE == 15
