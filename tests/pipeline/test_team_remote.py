"""The team remote: what was typed, in the options that DVC has for it, and what cannot be."""

from __future__ import annotations

import base64
from pathlib import Path

import pytest
from datarepo.errors import SasError, UsageError
from datarepo.pipeline.team_remote import KINDS, applied, parse

HERE = Path.cwd()
KEY = base64.b64encode(b"k" * 64).decode()
SAS = (
    f"sp=rwl&se=3023-08-28&sv=2022-11-02&sr=c&sig={base64.b64encode(b's' * 32).decode().replace('=', '%3D')}"
)
STRING = f"DefaultEndpointsProtocol=https;AccountName=oscars;AccountKey={KEY};EndpointSuffix=core.windows.net"


@pytest.mark.parametrize(
    ("url", "options", "secret", "public", "private"),
    [
        ("azure://team/oscar/", {"account": "oscars"}, None,
            {"url": "azure://team/oscar", "account_name": "oscars"}, {}),
        ("azure://team", {}, f"{STRING}\n",
            {"url": "azure://team", "account_name": "oscars"}, {"connection_string": STRING}),
        ("azure://team", {}, f"BlobEndpoint=https://oscars.blob.core.windows.net/;SharedAccessSignature={SAS}",
            {"url": "azure://team", "account_name": "oscars"},
            {"connection_string": f"BlobEndpoint=https://oscars.blob.core.windows.net/;SharedAccessSignature={SAS}"}),
        ("azure://team", {}, f"BlobEndpoint=https://data.example.org/;SharedAccessSignature={SAS}",
            {"url": "azure://team"},
            {"connection_string": f"BlobEndpoint=https://data.example.org/;SharedAccessSignature={SAS}"}),
        ("azure://team", {"account": "oscars"}, KEY,
            {"url": "azure://team", "account_name": "oscars"}, {"connection_string": STRING}),
        ("azure://team", {"account": "oscars"}, f"?{SAS}",
            {"url": "azure://team", "account_name": "oscars"},
            {"connection_string": f"BlobEndpoint=https://oscars.blob.core.windows.net;SharedAccessSignature={SAS}"}),
        ("s3://team/oscar", {"endpoint": "https://s3.example.org"}, "AKIA\nwJalr",
            {"url": "s3://team/oscar", "endpointurl": "https://s3.example.org"},
            {"access_key_id": "AKIA", "secret_access_key": "wJalr"}),
        ("s3://team/oscar", {"profile": "oscar"}, None, {"url": "s3://team/oscar"}, {"profile": "oscar"}),
        ("ssh://ada@example.org:2222/srv/oscar", {}, "open sesame",
            {"url": "ssh://example.org:2222/srv/oscar"}, {"user": "ada", "password": "open sesame"}),
        ("ssh://example.org/srv", {"keyfile": "~/.ssh/oscar"}, "open sesame",
            {"url": "ssh://example.org/srv"},
            {"keyfile": str(Path("~/.ssh/oscar").expanduser()), "passphrase": "open sesame"}),
        (str(HERE / "remote"), {}, None, {"url": str(HERE / "remote")}, {"shared": "group"}),
        ("remote", {}, None, {"url": "../../remote"}, {"shared": "group"}),
    ],
)  # fmt: skip
def test_what_is_for_everybody_and_what_is_ones_own(
    url: str,
    options: dict[str, str | None],
    secret: str | None,
    public: dict[str, str],
    private: dict[str, str],
) -> None:
    """The URL is committed without a user; a relative folder is as seen from `.dvc`."""
    remote = parse(url, HERE / "clone", options, secret)

    assert (remote.public, remote.private) == (public, private)


def test_a_place_is_told_as_anybody_would_type_it() -> None:
    """Not as `.dvc/config` has it, from a folder where nobody stands."""
    assert parse("remote", HERE / "clone", {}).place == str(HERE / "remote")
    assert parse("ssh://ada@example.org/srv/", HERE, {}).place == "ssh://example.org/srv"


def test_azures_account_is_asked_for_where_none_is_named() -> None:
    """A connection string names it; nothing else does."""
    azure, s3 = KINDS["azure"], KINDS["s3"]

    assert azure.needed({}) == f"{azure.needs}; all but a connection string with --account NAME"
    assert azure.needed({"account_name": "oscars"}) == azure.needs
    assert s3.needed({}) == s3.needs


def test_what_is_configured_already_need_not_be_typed_again() -> None:
    """The account, for a key; the key file, whose passphrase the secret is then; but of the same place only."""
    azure = {"url": "azure://team", "account_name": "oscars"}
    ssh = {"url": "ssh://example.org/srv", "keyfile": "/home/ada/key", "user": "ada"}

    assert parse("azure://team", HERE, {}, KEY, (azure, {})).private == {"connection_string": STRING}
    assert parse("ssh://example.org/srv", HERE, {}, "sesame", ({}, ssh)).private == {"passphrase": "sesame"}
    assert parse("ssh://example.com/srv", HERE, {}, "sesame", ({}, ssh)).private == {"password": "sesame"}


@pytest.mark.parametrize(
    ("url", "options", "secret", "message"),
    [
        ("gs://team/oscar", {}, None, "this command knows no storage of the kind gs://"),
        ("https://oscars.blob.core.windows.net/team", {}, None, "this command knows no storage of the kind https://"),
        ("ssh://ada:sesame@example.org/srv", {}, None, "the URL holds more than a place, perhaps a secret"),
        (f"azure://team/oscar?{SAS}", {}, None, "the URL holds more than a place, perhaps a secret"),
        ("azure:///oscar", {}, None, "'azure:///oscar' is no place for a team remote"),
        ("s3://ada@team/oscar", {}, None, "'s3://ada@team/oscar' is no place for a team remote"),
        ("azure://team", {"profile": "oscar"}, None, "--profile does not go with azure://CONTAINER/PATH"),
        ("remote", {"account": "oscars"}, None, "--account does not go with a folder"),
        ("remote", {}, "sesame", "a folder needs no secret"),
        ("clone/remote", {}, None, f"{HERE}/clone/remote lies inside of this clone, where no colleague looks"),
        ("no/such/folder", {}, None, f"there is no folder {HERE}/no/such"),
        ("azure://team", {}, " \n", "no secret was given"),
        ("azure://team", {}, KEY, "a key or a SAS does not tell whose it is"),
        ("azure://team", {"account": "oscars"}, KEY[:-4], "this is neither a connection string, nor a SAS, nor an account key"),
        ("azure://team", {"account": "oscars"}, "ö" + KEY, "this is neither a connection string, nor a SAS, nor an account key"),
        ("s3://team", {}, "AKIA", "an access key is two words, ID and secret, and 1 came"),
    ],
)  # fmt: skip
def test_what_cannot_be(url: str, options: dict[str, str | None], secret: str | None, message: str) -> None:
    """Before anything is tried; the secret is not in what is said."""
    with pytest.raises(UsageError) as caught:
        parse(url, HERE / "clone", options, secret)

    assert caught.value.message == message
    assert caught.value.hint
    assert not secret or secret.strip() == "" or secret not in message + caught.value.hint


def test_a_sas_that_is_cut_off_is_told() -> None:
    """As for a source."""
    with pytest.raises(SasError, match="the SAS is cut off: it lacks sv, sr"):
        parse("azure://team", HERE, {"account": "oscars"}, "sp=rwl&se=3023-08-28&" + SAS.rpartition("&")[2])


@pytest.mark.parametrize(
    ("before", "options", "secrets", "after"),
    [
        ({}, {"url": "s3://a"}, (), {"url": "s3://a"}),
        ({"url": "s3://a", "jobs": "2"}, {"url": "s3://a", "profile": "me"}, (), {"url": "s3://a", "jobs": "2", "profile": "me"}),
        ({"profile": "me"}, {"url": "s3://a", "access_key_id": "AKIA"}, ("profile",), {"url": "s3://a", "access_key_id": "AKIA"}),
        ({"url": "s3://a", "profile": "me"}, {"url": "azure://a"}, (), {"url": "azure://a"}),
    ],
)  # fmt: skip
def test_options_stay_if_they_are_of_the_same_place_and_no_secret_that_is_replaced(
    before: dict[str, str], options: dict[str, str], secrets: tuple[str, ...], after: dict[str, str]
) -> None:
    """A file without a url is about the place that the others name."""
    assert applied(before, options, secrets) == after
