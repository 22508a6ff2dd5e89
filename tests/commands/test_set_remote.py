"""`tools/set-remote`: the team's storage, tried before it is configured; secrets stay with their owners."""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from secrets import token_urlsafe
from typing import TYPE_CHECKING

import pytest

from tests import samples
from tests.azurite import ACCOUNT, ROOT

if TYPE_CHECKING:
    from pathlib import Path

    from tests.azurite import Azurite
    from tests.clones import Clone, Result
    from tests.team_storage import S3, Sftp

CONTAINER = "team"
WROTE = "a probe was written, read back and deleted"


@dataclass
class Way:
    """How two people get into one storage, each with what is their own, typed or given on stdin."""

    url: str
    options: tuple[str, ...]
    mine: tuple[tuple[str, ...], str]  # what I type as well, what I give on stdin
    theirs: tuple[tuple[str, ...], str]
    secrets: tuple[str, ...]

    def set(self, clone: Clone) -> Result:
        """Set the remote as the first of a team does."""
        arguments, stdin = self.mine
        return clone.tool("set-remote", self.url, *self.options, *arguments, stdin=stdin)


def account_key(service: Azurite) -> str:
    """The connection string with the account's key, as Azure's portal shows it."""
    return f"BlobEndpoint={service.endpoint};AccountName={ACCOUNT};AccountKey={service.key}"


def container_sas(service: Azurite, permissions: str) -> str:
    """A connection string with a SAS of the team's container."""
    return service.connection_string(service.sas(permissions, container=CONTAINER))


@pytest.fixture(scope="module")
def team(azurite: Azurite) -> Azurite:
    """The emulator with a container of the team's."""
    azurite.create_container(CONTAINER)
    return azurite


@pytest.fixture
def azure(team: Azurite) -> Way:
    """The account's key for one, a SAS of the container for the other."""
    key, sas = account_key(team), container_sas(team, "rwl")
    return Way("azure://team/oscar", (), (("--secret-stdin",), key), (("--secret-stdin",), sas), (team.key,))


@pytest.fixture
def amazon(s3: S3, tmp_path: Path) -> Way:
    """An access key for one, a profile with another for the other."""
    mine, theirs = s3.access_key("s3:*"), s3.access_key("s3:GetObject", "s3:PutObject", "s3:ListBucket")
    (key_id, secret), aws = theirs.split(), tmp_path / "home" / ".aws"
    aws.mkdir(parents=True)
    (aws / "credentials").write_text(f"[oscar]\naws_access_key_id={key_id}\naws_secret_access_key={secret}\n")
    return Way(
        "s3://team/oscar",
        ("--endpoint", s3.endpoint),
        (("--secret-stdin",), mine),
        (("--profile", "oscar"), ""),
        (mine.split()[1], secret),
    )


@pytest.fixture
def ssh(sftp: Sftp, tmp_path: Path) -> Way:
    """A password for one, a key with a passphrase for the other."""
    sesame = token_urlsafe()
    key = sftp.write_key(tmp_path / "key", passphrase=sesame)
    url = f"ssh://{sftp.user}@{sftp.host}/srv/oscar"
    mine, theirs = (
        (("--secret-stdin",), sftp.password),
        ((url, "--keyfile", str(key), "--secret-stdin"), sesame),
    )
    return Way(url, (), mine, theirs, (sftp.password, sesame))


@pytest.fixture
def folder(tmp_path: Path) -> Way:
    """A folder that both may write to."""
    return Way(str(tmp_path / "share"), (), ((), ""), ((), ""), ())


@pytest.mark.parametrize("kind", ["azure", "amazon", "ssh", "folder"])
def test_one_pushes_and_another_pulls_each_with_a_credential_of_their_own(
    kind: str, shared: Clone, request: pytest.FixtureRequest
) -> None:
    """Both do what the command prints; no secret is in git, in what is said, or readable by others."""
    way: Way = request.getfixturevalue(kind)

    mine = way.set(shared)
    assert mine.code == 0, mine.said
    [line] = [line for line in mine.stdout.splitlines() if line.startswith("next: ")]
    shared.ok("sh", "-c", line.removeprefix("next: "))
    theirs = shared.colleague()
    arguments, stdin = way.theirs
    tried = theirs.tool("set-remote", *arguments, stdin=stdin)
    theirs.ok("dvc", "pull")

    place = way.url.replace("ada@", "")
    assert (tried.code, tried.stdout.splitlines()[0].partition(": ")[0]) == (0, place)
    assert tried.stdout.splitlines()[-1] == "next: dvc push"
    assert theirs.tree("data/vqa") == samples.tree("vqa")
    assert theirs.ok("git", "status", "--porcelain") == ""
    for clone, result in ((shared, mine), (theirs, tried)):
        text = result.said + clone.ok("git", "log", "--patch")
        assert not [secret for secret in way.secrets if secret in text]
        assert (clone.path / ".dvc/config.local").stat().st_mode & 0o777 == 0o600


def test_the_url_is_for_everybody_and_the_secret_beside_it_for_its_owner(
    untouched: Clone, azure: Way
) -> None:
    """All other lines of the committed configuration stay as they are, comments too."""
    path = untouched.path / ".dvc/config"
    before = path.read_text()

    result = azure.set(untouched)

    assert result.code == 0
    assert result.stdout.splitlines() == [
        f"azure://team/oscar: {WROTE}",
        ".dvc/config names it, for everybody",
        ".dvc/config.local keeps what is yours of it: git ignores it, and only you can read it",
        'next: git add .dvc/config && git commit -m "Share through azure://team/oscar" && dvc push',
    ]
    assert path.read_text() == before.replace(
        "    url = ../../oscar-team-remote\n", f"    url = azure://team/oscar\n    account_name = {ACCOUNT}\n"
    )
    assert (untouched.path / ".dvc/config.local").read_text().splitlines() == [
        "['remote \"team\"']",
        "url = azure://team/oscar",
        f"connection_string = {azure.mine[1]}",
    ]


def test_a_folder_is_stored_as_it_was_typed_and_nothing_is_left_in_it(untouched: Clone) -> None:
    """Relative to where one stands; in the configuration, to `.dvc`; told in full. A second run changes nothing."""
    share = untouched.path.parent / "share"

    result = untouched.tool("set-remote", "../../share", cwd=untouched.path / "tools")

    assert (result.code, result.stdout) == (
        0,
        f"""{share}: {WROTE}
.dvc/config names it, for everybody
.dvc/config.local keeps what is yours of it: git ignores it, and only you can read it
next: cd .. && git add .dvc/config && git commit -m "Share through {share}" && dvc push
""",
    )
    assert "    url = ../../share\n" in (untouched.path / ".dvc/config").read_text()
    assert list(share.iterdir()) == []

    files = untouched.files()
    again = untouched.tool("set-remote", "--json")
    assert (again.code, again.stderr) == (0, "")
    assert json.loads(again.stdout) == {
        "url": str(share),
        "new": False,
        "write": True,
        "delete": True,
        "next": f'git add .dvc/config && git commit -m "Share through {share}" && dvc push',
    }
    assert untouched.files() == files


def test_commits_from_before_go_on_working(shared: Clone, azure: Way) -> None:
    """The url stands beside the secret, so what a commit names does not matter."""
    azure.set(shared)
    shared.ok("git", "commit", "--all", "--message", "Share through Azure")
    shared.ok("dvc", "push")
    shared.ok("git", "checkout", "--quiet", "HEAD~1")
    shared.ok("rm", "-rf", ".dvc/cache", "data", "archives/vqa.zip")

    shared.ok("dvc", "pull")

    assert shared.tree("data/vqa") == samples.tree("vqa")


def test_moving_on_leaves_nothing_of_the_storage_before(
    untouched: Clone, azure: Way, amazon: Way, ssh: Way
) -> None:
    """DVC refuses options of another kind, in either file."""
    for way in (azure, amazon, ssh):
        assert way.set(untouched).code == 0
        untouched.ok("dvc", "remote", "list")

    assert ACCOUNT not in (untouched.path / ".dvc/config").read_text().partition('"team"')[2]
    assert "access_key_id" not in (untouched.path / ".dvc/config.local").read_text()


def test_a_commit_that_names_another_kind_works_with_the_configuration_of_today(
    untouched: Clone, amazon: Way, azure: Way
) -> None:
    """DVC puts both files together, and knows no endpoint of Azure's by the name that S3 has for it."""
    untouched.ok("git", "branch", "--move", "main")
    for way in (amazon, azure):
        way.set(untouched)
        untouched.ok("git", "commit", "--all", "--message", f"Share through {way.url}")
    untouched.ok("git", "checkout", "--quiet", "HEAD~1")

    refused = untouched.run("dvc", "status")
    untouched.ok("git", "checkout", "main", "--", ".dvc/config")

    assert (refused.code, "extra keys not allowed" in refused.stderr) == (251, True)
    untouched.ok("dvc", "status")


def test_a_colleague_follows_to_another_kind_of_storage(shared: Clone, azure: Way, folder: Way) -> None:
    """DVC refuses what they keep for the storage before, until they have run the one command."""
    for way in (folder, azure):
        way.set(shared)
        shared.ok("git", "commit", "--all", "--message", f"Share through {way.url}")
        shared.ok("dvc", "push")
    theirs = shared.colleague()
    theirs.ok("git", "checkout", "--quiet", "-B", "theirs", "HEAD~1")
    assert theirs.tool("set-remote").code == 0
    theirs.ok("git", "merge", "--quiet", "--ff-only", "@{-1}")

    refused = theirs.run("dvc", "pull")
    arguments, stdin = azure.theirs
    followed = theirs.tool("set-remote", *arguments, stdin=stdin)
    theirs.ok("dvc", "pull")

    assert (refused.code, "extra keys not allowed" in refused.stderr) == (251, True)
    assert followed.code == 0
    assert theirs.tree("data/vqa") == samples.tree("vqa")


def test_a_colleague_follows_when_the_remote_has_moved(untouched: Clone, amazon: Way, folder: Way) -> None:
    """What they keep for the storage before would lead DVC there."""
    amazon.set(untouched)
    config = untouched.path / ".dvc/config"
    config.write_text(config.read_text().replace("s3://team/oscar", folder.url).replace("endpointurl", "# "))

    result = untouched.tool("set-remote")

    assert (result.code, result.stdout.splitlines()[0]) == (0, f"{folder.url}: {WROTE}")
    assert folder.url in untouched.ok("dvc", "remote", "list")


def test_who_may_only_read_can_pull_from_it_and_is_told(shared: Clone, team: Azurite, azure: Way) -> None:
    """Who sets it for all has to be able to write."""
    sas = container_sas(team, "rl")
    before = shared.files()
    refused = shared.tool("set-remote", azure.url, "--secret-stdin", stdin=sas)
    assert (refused.code, refused.stdout) == (1, "")
    assert refused.error.startswith("error: azure://team/oscar lets you read, not write: This request is not")
    assert shared.files() == before

    azure.set(shared)
    shared.ok("git", "commit", "--all", "--message", "Share through Azure")
    shared.ok("dvc", "push")
    theirs = shared.colleague()
    result = theirs.tool("set-remote", "--secret-stdin", stdin=sas)
    theirs.ok("dvc", "pull")

    lines = result.stdout.splitlines()
    assert (result.code, result.stderr) == (0, "")
    assert lines[0].startswith("azure://team/oscar: can be read, not written: This request is not authorized")
    assert lines[1:] == [
        ".dvc/config.local keeps what is yours of it: git ignores it, and only you can read it",
        "next: dvc pull",
    ]
    assert theirs.tree("data/vqa") == samples.tree("vqa")


def test_a_credential_that_may_not_delete_is_enough(untouched: Clone, team: Azurite) -> None:
    """The probe stays, and that is said."""
    sas = container_sas(team, "rwl")
    result = untouched.tool("set-remote", "azure://team/nowhere", "--secret-stdin", stdin=sas)

    assert (result.code, result.stdout.splitlines()[0]) == (
        0,
        "azure://team/nowhere: a probe was written and read back",
    )
    assert result.stderr.splitlines() == [
        "deleting was refused: the probe stays there, and 'dvc gc --cloud' is for somebody else",
        f"each colleague needs {AZURE_NEEDS}{UNNAMED}",  # an emulator's SAS does not tell whose it is
        "and runs tools/set-remote once, without the URL, which git brings",
    ]


AZURE_NEEDS = (
    "the account's connection string, its key, or a SAS of the container that may read, write and list (sp=rwl),"
    " with --secret-stdin; or 'az login' and a role for blob data"
)
UNNAMED = "; all but a connection string with --account NAME"
S3_NEEDS = (
    "an access key that may get, put and list objects, its ID and its secret with --secret-stdin; or a profile of"
    " ~/.aws with --profile"
)
SSH_NEEDS = (
    "a user name there (ssh://USER@HOST/PATH) and a key that the host accepts, from ssh-agent, ~/.ssh or --keyfile;"
    " or a password with --secret-stdin"
)
MISSING = "check the spelling; a container or bucket is made by whoever administers the storage"
UNREACHABLE = "check the host or account, the network, and the proxy (HTTPS_PROXY), then run it again"


def assert_fails(
    clone: Clone,
    arguments: tuple[str, ...],
    stdin: str,
    told: tuple[int, str, str],
    env: dict[str, str] | None = None,
) -> None:
    """The command fails with that code, the beginning of that error, and that hint, and writes nothing."""
    before = clone.files()
    secret = ("--secret-stdin",) if stdin else ()
    result = clone.tool("set-remote", *arguments, *secret, stdin=stdin, env=env)
    code, error, hint = told
    lines = [line for line in result.stderr.splitlines() if not line.startswith("waiting for ")]
    assert (result.code, result.stdout) == (code, "")
    assert (lines[0][: len(f"error: {error}")], lines[1:]) == (f"error: {error}", [f"hint: {hint}"])
    assert clone.files() == before


def test_what_azure_refuses_is_told_with_who_needs_what(untouched: Clone, team: Azurite) -> None:
    """A key that is not the account's, a SAS of another container, no login, a container that is not there."""
    key, other = account_key(team), team.connection_string(team.sas("rwld"))
    needs, no_login = f"you need {AZURE_NEEDS}", {"AZURE_STORAGE_CONNECTION_STRING": ""}
    lets_nobody = "azure://team/oscar does not let you in: "
    wrong = lets_nobody + "Server failed to authenticate the request."

    assert_fails(
        untouched, ("azure://team/oscar",), key.replace(team.key, "A" * 86 + "=="), (1, wrong, needs)
    )
    assert_fails(untouched, ("azure://team/oscar",), other, (1, wrong, needs + UNNAMED))
    account = ("azure://team/oscar", "--account", ACCOUNT)
    assert_fails(untouched, account, "", (1, f"{lets_nobody}Authentication to Azure", needs), no_login)
    assert_fails(untouched, ("azure://teem/oscar",), key, (1, "azure://teem/oscar is not there: ", MISSING))


def test_an_account_that_nobody_names_is_asked_for_by_a_command_that_serves(
    untouched: Clone, team: Azurite
) -> None:
    """As it stands: the connection string that it asks for names the account."""
    command = "tools/set-remote azure://team/oscar --secret-stdin"
    hint = (
        f"{command} takes the account's connection string, which names it; with a key, a SAS or 'az login',"
        " --account NAME does"
    )
    unnamed = "azure://team/oscar is in some account of Azure, and none is named"

    assert_fails(untouched, ("azure://team/oscar",), "", (2, unnamed, hint))
    assert untouched.run(*command.split(), stdin=account_key(team)).code == 0


def test_what_s3_refuses_is_told_with_who_needs_what(untouched: Clone, s3: S3) -> None:
    """An unknown key, a wrong secret, none at all, a bucket that is not there, a server that is not."""
    key = s3.access_key("s3:*")
    key_id, secret = key.split()
    at, needs = ("s3://team/oscar", "--endpoint", s3.endpoint), f"you need {S3_NEEDS}"
    lets_nobody = "s3://team/oscar does not let you in: "

    assert_fails(untouched, at, f"AKIANOBODY {secret}", (1, f"{lets_nobody}The AWS Access Key Id", needs))
    assert_fails(untouched, at, f"{key_id} nonsense", (1, f"{lets_nobody}The request signature", needs))
    assert_fails(untouched, at, "", (1, f"{lets_nobody}Unable to locate credentials", needs))
    assert_fails(untouched, ("s3://teem/oscar", *at[1:]), key, (1, "s3://teem/oscar is not there: ", MISSING))
    nobody = ("s3://team/oscar", "--endpoint", "http://127.0.0.1:1")
    assert_fails(untouched, nobody, key, (1, "s3://team/oscar cannot be reached: Could not", UNREACHABLE))


def test_what_ssh_refuses_is_told_with_who_needs_what(untouched: Clone, sftp: Sftp, tmp_path: Path) -> None:
    """A wrong password, no key at all, a key whose passphrase is missing, a host that does not answer."""
    url, needs = f"ssh://ada@{sftp.host}/srv/oscar", f"you need {SSH_NEEDS}"
    lets_nobody = f"ssh://{sftp.host}/srv/oscar does not let you in: "
    key = sftp.write_key(tmp_path / "key", passphrase="an open sesame")

    assert_fails(untouched, (url,), "nonsense", (1, f"{lets_nobody}Permission denied for user ada", needs))
    assert_fails(untouched, (url,), "", (1, f"{lets_nobody}Permission denied for user ada", needs))
    assert_fails(untouched, (url, "--keyfile", str(key)), "", (1, f"{lets_nobody}Passphrase must be", needs))
    assert_fails(
        untouched,
        ("ssh://127.0.0.1:1/srv",),
        "",
        (1, "ssh://127.0.0.1:1/srv cannot be reached: ", UNREACHABLE),
    )


def test_a_folder_that_is_not_mine_is_told(untouched: Clone, tmp_path: Path) -> None:
    """And one that would be made for a spelling mistake."""
    (tmp_path / "file").touch()
    result = untouched.tool("set-remote", str(tmp_path / "file" / "share"))
    assert (result.code, result.error) == (2, f"error: there is no folder {tmp_path / 'file'}")


def test_dvc_clients_that_are_not_installed_are_named_with_what_installs_them(untouched: Clone) -> None:
    """The environment of a user who has not asked for them yet."""
    for scheme, extra in (("s3", "s3"), ("ssh", "ssh")):
        program = f"import sys; sys.modules['dvc_{extra}'] = None; from datarepo.cli import main; main('set-remote')"
        result = untouched.run(
            sys.executable, "-c", program, f"{scheme}://team/oscar", env={"PYTHONPATH": str(ROOT / "tools")}
        )
        assert (result.code, result.stdout, result.stderr) == (
            2,
            "",
            f"""error: {scheme}://team/oscar needs dvc-{extra}, which is not installed
hint: make setup EXTRAS="{extra}"
""",
        )
