"""Every failure a user can cause or meet: one message, its exit code, and no file changed."""

from __future__ import annotations

import shutil
import socket
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests import samples
from tests.azurite import ROOT
from tests.clones import allow_any_ratio
from tests.made_archives import boastful

if TYPE_CHECKING:
    from tests.azurite import Azurite
    from tests.clones import Clone, Result

CUT_OFF_HINT = (
    "hint: without quotes the shell drops everything after the first '&'; copy the whole SAS from where it"
    " was published, and pass it in single quotes or on stdin"
)
STORE_HINT = "tools/add-asset vqa --sas-stdin stores the SAS you give it"
PUBLISHED = samples.SAS


def refused(result: Result, code: int, *lines: str) -> None:
    """Check that a command ended in just these lines on stderr."""
    assert (result.code, result.stdout, result.stderr.splitlines()) == (code, "", list(lines))


def test_an_unknown_asset_is_met_with_the_closest_names(untouched: Clone) -> None:
    """A typing mistake is wrong usage, exit code 2."""
    refused(
        untouched.tool("add-asset", "base-vg-label"),
        2,
        "error: there is no asset named 'base-vg-label' in the catalogue of params.yaml",
        "hint: did you mean base-vg-labels or base-no-labels or large-vg-labels?",
    )


def test_a_name_like_none_is_met_with_all_names(untouched: Clone) -> None:
    """Where nothing is close, the catalogue is told."""
    refused(
        untouched.tool("add-asset", "imagenet"),
        2,
        "error: there is no asset named 'imagenet' in the catalogue of params.yaml",
        f"hint: known: {', '.join(samples.NAMES)}",
    )


def test_no_name_at_all_is_wrong_usage(untouched: Clone) -> None:
    """Without names and without --all there is nothing to do."""
    refused(
        untouched.tool("add-asset"),
        2,
        "error: no asset is named",
        f"hint: name some of {', '.join(samples.NAMES)}, or use --all",
    )


@pytest.mark.parametrize("command", ["add-asset", "list-assets"])
def test_an_unknown_option_is_wrong_usage(untouched: Clone, command: str) -> None:
    """In the form of all errors, and without a page of help."""
    refused(
        untouched.tool(command, "--xyz"),
        2,
        "error: No such option: --xyz",
        f"hint: 'tools/{command} --help' lists arguments and options",
    )


def test_a_name_already_used_differently_is_refused(clone: Clone) -> None:
    """An asset in use with another folder than the catalogue's."""
    params = clone.path / "params.yaml"
    mine = "assets:\n  vqa:\n    archive: archives/vqa.zip\n    dir: elsewhere/vqa"
    params.write_text(params.read_text().replace("assets:\n  {}", mine))

    refused(
        clone.tool("add-asset", "vqa"),
        1,
        "error: params.yaml, line 56, key 'assets.vqa.dir': 'vqa' is already used differently:"
        " 'elsewhere/vqa' where the catalogue says 'data/vqa'",
        "hint: git diff params.yaml shows what changed since the last commit",
    )


def test_an_archive_that_no_stage_knows_is_not_overwritten(clone: Clone) -> None:
    """DVC would delete a file at the place of a new import."""
    (clone.path / "archives").mkdir()
    (clone.path / "archives/vqa.zip").write_bytes(b"fetched by hand")
    before = clone.files()

    refused(
        clone.tool("add-asset", "vqa"),
        1,
        "error: archives/vqa.zip is already there, and no import stage knows where it comes from",
        "hint: move it away, then run tools/add-asset vqa again",
    )
    assert clone.files() == before


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("3023-08-28T09:12:41Z", "2023-09-28T09:12:41Z"), "the SAS expired on 2023-09-28 09:12 UTC ("),
        (
            ("2023-08-28T01:12:41Z", "2999-01-01T00:00:00Z"),
            "the SAS is not valid before 2999-01-01 00:00 UTC",
        ),
        (("sp=r", "sp=wl"), "the SAS does not allow reading: its permissions are sp='wl', without 'r'"),
        ((PUBLISHED[4:], ""), "the SAS is cut off: it lacks sv, sig, sr, se (its last part is sp=r)"),
        ((PUBLISHED[-20:], ""), "the SAS is cut off or mistyped: its sig is not a whole signature"),
        ((PUBLISHED, "hello"), "this is not a SAS: none of its parts is NAME=VALUE of a SAS"),
    ],
    ids=["expired", "not-yet-valid", "without-r", "cut-at-ampersand", "cut-in-signature", "no-sas"],
)
def test_a_bad_sas_is_refused_before_any_request(
    untouched: Clone, change: tuple[str, str], message: str
) -> None:
    """Given on stdin or standing in the configuration: judged here, with the network out of reach."""
    bad = PUBLISHED.replace(*change)
    before = untouched.files()
    given = untouched.tool("add-asset", "vqa", "--sas-stdin", stdin=bad)
    assert untouched.files() == before
    untouched.use(f"BlobEndpoint=http://127.0.0.1:9/biglmdiag;SharedAccessSignature={bad}")
    configured = untouched.tool("add-asset", "vqa")

    for result in (given, configured):
        first, second = result.stderr.splitlines()
        assert result.code == 1
        assert message in first
        assert second.startswith("hint: ")
        assert PUBLISHED[-30:] not in result.said


def test_a_url_cut_by_the_shell_is_explained(untouched: Clone) -> None:
    """What is left of a link after an unquoted `&`."""
    refused(
        untouched.tool(
            "add-asset", "vqa", "--sas-stdin", stdin="https://biglmdiag.blob.core.windows.net/oscar/x?sp=r"
        ),
        1,
        "error: the SAS is cut off: it lacks sv, sig, sr, se (its last part is sp=r)",
        CUT_OFF_HINT,
    )


def test_a_missing_blob_is_told_from_a_missing_permission(clone: Clone, upstream: Azurite) -> None:
    """DVC alone would report a permission problem, since the SAS does not allow listing."""
    upstream.delete("datasets/vqa.zip")
    before = clone.files()

    refused(
        clone.tool("add-asset", "GQA", "vqa"),
        1,
        f"error: the blob does not exist ({upstream.endpoint}/oscar/datasets/vqa.zip: 404 BlobNotFound)",
        "hint: check its spelling in params.yaml, and that it has not been moved; letter case counts",
    )
    assert clone.files() == before


def test_a_sas_of_another_container_is_explained(clone: Clone, upstream: Azurite) -> None:
    """The SAS published for `vinvl`, used on `oscar`."""
    clone.use(upstream.connection_string(upstream.sas(container="vinvl")))

    refused(
        clone.tool("add-asset", "vqa"),
        1,
        "error: the service does not accept the SAS of source 'oscar': its signature is wrong, or was made"
        f" for another container or account than 'oscar' ({upstream.endpoint}/oscar/datasets/vqa.zip: 403"
        " AuthorizationFailure)",
        f"hint: copy the SAS published for this container; {STORE_HINT}",
    )


def test_a_source_without_a_sas_is_explained(clone: Clone, upstream: Azurite) -> None:
    """Upstream allows no anonymous access."""
    clone.use(f"BlobEndpoint={upstream.endpoint}")

    refused(
        clone.tool("add-asset", "vqa"),
        1,
        "error: the service wants a SAS, and source 'oscar' has none"
        f" ({upstream.endpoint}/oscar/datasets/vqa.zip: 403 AuthorizationFailure)",
        f"hint: {STORE_HINT}",
    )


def test_a_host_that_cannot_be_resolved_is_said(untouched: Clone) -> None:
    """`.invalid` never resolves (RFC 6761)."""
    untouched.use(f"BlobEndpoint=https://nowhere.invalid;SharedAccessSignature={PUBLISHED}")

    result = untouched.tool("add-asset", "vqa")

    first, second = result.stderr.splitlines()
    assert (result.code, result.stdout) == (1, "")
    assert first.startswith("error: the host nowhere.invalid cannot be resolved: ")
    assert second == (
        "hint: check the network (a proxy is taken from HTTPS_PROXY), and the endpoint of the source 'oscar'"
    )


def test_a_host_that_refuses_the_connection_is_said(untouched: Clone) -> None:
    """A port nobody listens on."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        host = f"127.0.0.1:{bound.getsockname()[1]}"
        untouched.use(f"BlobEndpoint=http://{host}/account;SharedAccessSignature={PUBLISHED}")
        result = untouched.tool("add-asset", "vqa")

    refused(
        result,
        1,
        f"error: the host {host} cannot be reached: Connection refused",
        "hint: check the network (a proxy is taken from HTTPS_PROXY), and try again",
    )


@pytest.mark.parametrize("command", ["add-asset", "list-assets"])
def test_outside_a_repository_is_said(untouched: Clone, tmp_path: Path, command: str) -> None:
    """Neither git nor DVC around."""
    arguments = ["vqa"] if command == "add-asset" else []
    refused(
        untouched.run(untouched.path / "tools" / command, *arguments, cwd=tmp_path),
        1,
        f"error: {tmp_path} is in no DVC repository",
        "hint: change into the clone of the repository, then run the command again",
    )


def test_a_repository_without_git_is_said(untouched: Clone) -> None:
    """As it comes out of a zip of the repository."""
    shutil.rmtree(untouched.path / ".git")

    refused(
        untouched.tool("add-asset", "vqa"),
        1,
        f"error: {untouched.path} is a DVC repository without git",
        "hint: clone the repository with git, or run 'git init' there",
    )


def test_a_missing_catalogue_is_said(untouched: Clone) -> None:
    """With the command that brings it back."""
    (untouched.path / "params.yaml").unlink()

    refused(
        untouched.tool("add-asset", "vqa"),
        1,
        f"error: there is no params.yaml in {untouched.path}",
        "hint: git checkout -- params.yaml brings the committed one back",
    )


def test_an_import_stage_edited_by_hand_is_left_alone(clone: Clone) -> None:
    """It imports something else, and may be somebody's work."""
    clone.tool("add-asset", "vqa")
    stage = clone.path / "archives/vqa.zip.dvc"
    stage.write_text(
        stage.read_text().replace("remote://oscar/datasets/vqa.zip", "https://example.org/vqa.zip")
    )
    before = clone.files()

    refused(
        clone.tool("add-asset", "vqa"),
        1,
        "error: archives/vqa.zip.dvc is not the import stage of 'vqa': deps[0].path is"
        " 'https://example.org/vqa.zip', not 'remote://oscar/datasets/vqa.zip'",
        "hint: 'git checkout -- archives/vqa.zip.dvc' brings the committed one back; or remove the file, and"
        " tools/add-asset vqa writes it anew",
    )
    assert clone.files() == before


def test_too_small_a_disk_is_said_and_force_goes_on(clone: Clone, upstream: Azurite) -> None:
    """The archive's directory promises more than any disk has."""
    upstream.put("datasets/vqa.zip", boastful(10**18))
    allow_any_ratio(clone, "vqa")
    before = clone.files()

    result = clone.tool("add-asset", "vqa")

    first, second = result.stderr.splitlines()
    assert (result.code, result.stdout, clone.files()) == (1, "", before)
    assert first.startswith("error: not enough disk: archives (")
    assert " and contents (1000000.0 TB) need 1000000.0 TB, and " in first
    assert second == "hint: make room, or clone the repository on a larger disk; --force goes on regardless"
    assert clone.tool("add-asset", "vqa", "--force").code == 0


def test_a_blob_that_is_no_archive_is_said(clone: Clone, upstream: Azurite) -> None:
    """Found out before anything is downloaded."""
    upstream.put("datasets/vqa.zip", b"<html>moved</html>")
    before = clone.files()

    refused(
        clone.tool("add-asset", "vqa"),
        1,
        f"error: vqa: {upstream.endpoint}/oscar/datasets/vqa.zip: not a zip archive but an HTML page, saved"
        " under an archive's name",
        "hint: is it the right blob? then tell its publisher",
    )
    assert clone.files() == before


def bare_python() -> Path:
    """The Python that `.venv` was made from: nothing is installed there, least of all for our tests."""
    return Path(sys.base_prefix) / "bin" / "python3"


def test_a_missing_environment_is_said_and_make_setup_named(untouched: Clone) -> None:
    """Before `make setup`, under a Python that has nothing installed."""
    (untouched.path / ".venv").unlink()

    for command in ("add-asset", "list-assets", "unzip-asset"):
        done = subprocess.run(
            [bare_python(), "-S", untouched.path / "tools" / command, "vqa"],
            cwd=untouched.path,
            capture_output=True,
            text=True,
            check=False,
        )
        assert (done.returncode, done.stdout, done.stderr.splitlines()) == (
            1,
            "",
            [
                f"error: the environment of the tools is not set up: there is no {untouched.path}/.venv",
                f"hint: run 'make setup' in {untouched.path}",
            ],
        )


def test_the_tools_find_the_environment_from_any_folder_and_any_python(clone: Clone) -> None:
    """Not activated, called by a Python without the dependencies, from a folder below."""
    bare = bare_python()
    plain = {"PATH": f"{bare.parent}:/usr/bin:/bin", "HOME": str(clone.home)}
    result = clone.run(bare, "../tools/add-asset", "vqa", cwd=clone.path / "tests", env=plain)
    repro = clone.run(ROOT / ".venv/bin/dvc", "repro", env=plain)

    assert (result.code, result.stderr) == (0, "")
    assert repro.code == 0, repro.said
    assert clone.tree("data/vqa") == samples.tree("vqa")
