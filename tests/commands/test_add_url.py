"""`tools/add-asset NAME --url`: any SAS URL becomes an asset, as published."""

from __future__ import annotations

import re
import stat
import tarfile
from typing import TYPE_CHECKING

import pytest
import yaml

from tests import samples
from tests.clones import Clone
from tests.made_archives import COMPRESS, member, tarred

if TYPE_CHECKING:
    from tests.azurite import Azurite
    from tests.clones import Result


def url(service: Azurite, path: str, *, container: str = "oscar", sas: str | None = None) -> str:
    """A blob's URL with a SAS of its container, or the one given."""
    signature = service.sas(container=container) if sas is None else sas
    return f"{service.endpoint}/{container}/{path}{'?' if signature else ''}{signature}"


def printed(result: Result, word: str) -> str:
    """The command that add-asset prints after a word."""
    return str(dict(re.findall(r"^(next|or|then): (.*)$", result.stdout, re.MULTILINE))[word])


def test_a_published_url_becomes_an_asset_like_those_of_the_catalogue(
    untouched: Clone, upstream: Azurite
) -> None:
    """Source and blob are committed, the SAS is stored privately, and the data comes by repro."""
    sas = upstream.sas()

    result = untouched.tool("add-asset", "mine", "--url", url(upstream, "datasets/vqa.zip", sas=sas))

    local = untouched.path / ".dvc/config.local"
    assert (result.code, result.stderr) == (0, "")
    assert result.stdout.startswith("mine: added, ")
    assert (
        "\nsource 'biglmdiag-oscar': its SAS is stored in .dvc/config.local, which git ignores\n"
        in result.stdout
    )
    assert printed(result, "then").startswith(
        "git add .dvc/config archives/.gitignore archives/mine.zip.dvc "
    )
    assert (
        (untouched.path / ".dvc/config")
        .read_text()
        .endswith(
            "['remote \"biglmdiag-oscar\"']\n    url = azure://oscar\n"
            f"    connection_string = BlobEndpoint={upstream.endpoint}\n"
        )
    )
    assert yaml.safe_load((untouched.path / "params.yaml").read_text())["catalogue"]["mine"] == {
        "kind": "dataset",
        "blob": "remote://biglmdiag-oscar/datasets/vqa.zip",
        "dir": "${roots.dataset}/mine",
    }
    assert sas in local.read_text()
    assert stat.S_IMODE(local.stat().st_mode) == 0o600
    untouched.ok("dvc", "repro")
    assert untouched.tree("data/mine") == samples.tree("vqa")  # out of the folder of the blob's own name
    untouched.ok("git", "add", "--all")
    untouched.ok("git", "commit", "--message", "Add mine")
    assert sas.partition("sig=")[2] not in untouched.ok("git", "log", "--patch")


def test_a_second_blob_of_the_container_shares_its_source(clone: Clone, upstream: Azurite) -> None:
    """The account and container are those of `oscar`, so no source is added and no SAS is asked for."""
    config = (clone.path / ".dvc/config").read_text()

    result = clone.tool("add-asset", "again", "--url", url(upstream, "datasets/GQA.zip", sas=""))

    assert (result.code, result.stderr) == (0, "")
    assert (clone.path / ".dvc/config").read_text() == config
    catalogue = yaml.safe_load((clone.path / "params.yaml").read_text())["catalogue"]
    assert catalogue["again"]["blob"] == "remote://oscar/datasets/GQA.zip"


def test_a_sas_for_one_blob_gets_a_source_of_its_own(clone: Clone, upstream: Azurite) -> None:
    """It would open no other blob of the container."""
    sas = upstream.sas(blob="datasets/GQA.zip")

    first = clone.tool("add-asset", "single", "--url", url(upstream, "datasets/GQA.zip", sas=sas))
    again = clone.tool("add-asset", "single", "--url", url(upstream, "datasets/GQA.zip", sas=sas))

    assert (first.code, again.code) == (0, 0)
    assert again.stdout.startswith("single: unchanged upstream")
    catalogue = yaml.safe_load((clone.path / "params.yaml").read_text())["catalogue"]
    assert catalogue["single"]["blob"] == "remote://single/datasets/GQA.zip"
    clone.ok("dvc", "repro")
    assert clone.tree("data/single") == samples.tree("GQA")


def test_a_sas_for_one_blob_does_not_replace_that_of_its_container(clone: Clone, upstream: Azurite) -> None:
    """The other assets of the source would lose theirs: it is refused, as with --sas-stdin."""
    before = clone.files()
    sas = upstream.sas(blob="datasets/vqa.zip")

    result = clone.tool("add-asset", "vqa", "--url", url(upstream, "datasets/vqa.zip", sas=sas))

    assert (result.code, result.stderr.splitlines()) == (
        1,
        [
            "error: the SAS opens a single blob (sr=b), and source 'oscar' is a container",
            "hint: ask the publisher of the data for a SAS of the container (sr=c)",
        ],
    )
    assert clone.files() == before


def test_an_account_sas_serves_like_one_of_the_container(clone: Clone, upstream: Azurite) -> None:
    """`ss` and `srt` instead of `sr`."""
    sas = upstream.account_sas()

    result = clone.tool("add-asset", "mine", "--url", url(upstream, "datasets/GQA.zip", sas=sas))

    assert (result.code, result.stderr) == (0, "")
    clone.ok("dvc", "repro")


def test_the_url_may_come_on_standard_input(clone: Clone, upstream: Azurite) -> None:
    """For people who keep secrets out of their shell's history; with a folder of their choice."""
    result = clone.tool(
        "add-asset",
        "mine",
        "--url",
        "-",
        "--dir",
        "corpora/mine",
        stdin=url(upstream, "datasets/GQA.zip") + "\n",
    )

    assert (result.code, result.stderr) == (0, "")
    clone.ok("dvc", "repro")
    assert clone.tree("corpora/mine") == samples.tree("GQA")


def test_blob_names_with_spaces_and_other_letters_work(clone: Clone, upstream: Azurite) -> None:
    """As they stand in a browser's address line, encoded."""
    upstream.put("my data/été +1%.zip", samples.archive("GQA"))

    result = clone.tool("add-asset", "mine", "--url", url(upstream, "my%20data/%C3%A9t%C3%A9%20+1%25.zip"))

    assert (result.code, result.stderr) == (0, "")
    clone.ok("dvc", "repro")
    assert clone.tree("data/mine") == samples.tree("GQA")


def test_a_file_that_is_no_archive_lands_as_it_is(clone: Clone, upstream: Azurite) -> None:
    """Imported into the asset's folder, without an unzip stage; beside archives, and refreshed like them."""
    upstream.put("weights/model.pt", b"weights")
    clone.tool("add-asset", "vqa")
    clone.ok("dvc", "repro")

    added = clone.tool("add-asset", "weights", "--url", url(upstream, "weights/model.pt"))
    clone.ok("bash", "-c", printed(added, "or"))
    upstream.put("weights/model.pt", b"better weights")
    changed = clone.tool("add-asset", "weights")
    listed = clone.tool("list-assets").stdout.splitlines()[-1]
    clone.ok("bash", "-c", printed(changed, "next"))

    assert (added.code, changed.code) == (0, 0)
    assert "weights: changed upstream, recorded: size 7 B -> 14 B" in changed.stdout
    assert (printed(added, "or"), printed(changed, "next")) == (
        "dvc repro data/weights/model.pt.dvc",
        "tools/fetch-asset weights",
    )
    assert listed.split() == ["weights", "14", "B", "to", "download", "data/weights"]
    assert (clone.path / "data/weights/model.pt").read_bytes() == b"better weights"
    assert clone.tree("data/vqa") == samples.tree("vqa")
    used = yaml.safe_load((clone.path / "params.yaml").read_text())["assets"]
    assert used.keys() == {"vqa"}


@pytest.mark.parametrize("suffix", [".tar.gz", ".tar.zst"])
def test_a_tar_archive_goes_through_the_same_stage(clone: Clone, upstream: Azurite, suffix: str) -> None:
    """Imported as `archives/NAME` with its suffix, and unpacked by `unzip@NAME`."""
    content = tarred(member("mine/", kind=tarfile.DIRTYPE, mode=0o755), member("mine/a.txt", b"1"))
    upstream.put(f"x/release{suffix}", COMPRESS[suffix](content))

    added = clone.tool("add-asset", "mine", "--url", url(upstream, f"x/release{suffix}"))
    clone.ok("dvc", "repro", "unzip@mine")

    assert (added.code, added.stderr) == (0, "")
    assert (clone.path / f"archives/mine{suffix}").is_file()
    assert clone.tree("data/mine") == {"a.txt": b"1"}


def test_a_colleague_without_the_sas_pulls_and_is_told_how_to_store_one(
    clone: Clone, upstream: Azurite
) -> None:
    """list-assets names the source and the command; storing a SAS touches the local configuration alone."""
    upstream_sas = upstream.sas(blob="datasets/GQA.zip")
    clone.tool("add-asset", "mine", "--url", url(upstream, "datasets/GQA.zip", sas=upstream_sas))
    clone.ok("dvc", "repro")
    clone.ok("git", "add", "--all")
    clone.ok("git", "commit", "--message", "Add mine")
    clone.ok("dvc", "push")
    clone.ok("git", "clone", "--quiet", ".", "../colleague")
    theirs = Clone(clone.path.parent / "colleague", clone.home)
    (theirs.path / ".venv").symlink_to(clone.path / ".venv")

    theirs.ok("dvc", "pull")
    listed = theirs.tool("list-assets")
    refused = theirs.tool("add-asset", "mine")
    before = theirs.files()
    stored = theirs.tool("add-asset", "mine", "--sas-stdin", stdin=upstream_sas)

    advice = "source 'mine' has no SAS here; if it needs one: tools/add-asset mine --sas-stdin"
    assert theirs.tree("data/mine") == samples.tree("GQA")
    assert (listed.code, listed.stdout.splitlines()[-1]) == (0, advice)
    assert refused.stderr.startswith("error: the service wants a SAS, and source 'mine' has none")
    assert (stored.code, stored.stdout.splitlines()[0]) == (0, "mine: unchanged upstream")
    after = theirs.files()
    assert {name for name in after if after[name] != before.get(name)} == {".dvc/config.local"}


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        (["vqa", "--url", "URL"], "the name 'vqa' is already used differently: remote://oscar/datasets/vqa.zip, which lands in data/vqa"),
        (["a", "b", "--url", "URL"], "a URL becomes one asset, and needs one name for it"),
        (["--url", "URL"], "a URL becomes one asset, and needs one name for it"),
        (["b/c", "--url", "URL"], "'b/c' cannot be an asset's name"),
        (["mine", "--url", "URL", "--dir", "../mine"], "'../mine' is no folder below the repository's root"),
        (["mine", "--url", "ftp://x/y"], "this is no https URL: ftp://x/y"),
        (["mine", "--url", "URL", "--dir", "data/a b"], "'data/a b' has a space in it, which a folder must not"),
        (["mine", "--url", "URL", "--dir", "${roots.dataset}/x"], "'${roots.dataset}/x' has '$' in it, which a folder must not"),
        (["mine", "--url", "URL", "--dir", "data/GQA/inner"], "data/GQA/inner is not apart from data/GQA, where 'GQA' lands"),
        (["mine", "--url", "URL", "--dir", "data"], "data is not apart from data/coco_caption, where 'coco_caption' lands"),
        (["mine", "--dir", "data/x"], "there is no asset named 'mine' in the catalogue of params.yaml"),
        (["vqa", "--dir", "data/a;b"], "'data/a;b' has ';' in it, which a folder must not"),
        (["vqa", "--dir", "data/GQA"], "data/GQA is where 'GQA' lands"),
        (["vqa", "GQA", "--dir", "x"], "--dir is the folder of one asset, and 2 are named"),
        (["--all", "--dir", "x"], "these options do not go together"),
        (["--all", "--url", "URL"], "these options do not go together"),
    ],
)  # fmt: skip
def test_wrong_usage_is_told_and_changes_no_file(
    clone: Clone, upstream: Azurite, arguments: list[str], error: str
) -> None:
    """Exit code 2, and the signature of the URL in no message."""
    link = url(upstream, "datasets/GQA.zip")
    before = clone.files()

    result = clone.tool("add-asset", *(link if each == "URL" else each for each in arguments))

    assert (result.code, result.stdout, result.stderr.splitlines()[0]) == (2, "", f"error: {error}")
    assert clone.files() == before
    assert link.partition("sig=")[2] not in result.said


def test_a_url_of_a_missing_blob_changes_no_file(clone: Clone, upstream: Azurite) -> None:
    """Neither source nor catalogue keeps anything of it."""
    before = clone.files()

    result = clone.tool("add-asset", "mine", "--url", url(upstream, "nothing.zip"))

    assert (result.code, result.stdout) == (1, "")
    assert result.stderr.splitlines() == [
        f"error: the blob does not exist ({upstream.endpoint}/oscar/nothing.zip: 404 BlobNotFound)",
        "hint: check the spelling of the URL, and that the blob has not been moved; letter case counts",
    ]
    assert clone.files() == before


def test_a_source_added_on_a_branch_leaves_the_others_working(untouched: Clone, upstream: Azurite) -> None:
    """`.dvc/config.local` has its SAS on every branch, and the committed configuration of this one alone has it."""
    branch = untouched.ok("git", "branch", "--show-current").strip()
    untouched.ok("git", "checkout", "--quiet", "-b", "another")
    untouched.tool("add-asset", "mine", "--url", url(upstream, "datasets/GQA.zip"))
    untouched.ok("git", "add", "--all")
    untouched.ok("git", "commit", "--message", "Add mine")

    untouched.ok("git", "checkout", "--quiet", branch)
    status, listed = untouched.run("dvc", "status"), untouched.tool("list-assets")

    assert (status.code, listed.code, listed.stderr) == (0, 0, "")
    assert "biglmdiag-oscar" not in (untouched.path / ".dvc/config").read_text()
    untouched.ok("git", "checkout", "--quiet", "another")
    untouched.ok("dvc", "repro")
    assert untouched.tree("data/mine") == samples.tree("GQA")
