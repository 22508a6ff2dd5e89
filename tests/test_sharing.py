"""What `docs/sharing.md` tells: halves of the data, a cache for several users, two branches, other projects."""

from __future__ import annotations

import json
import os
import re
import shutil
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import yaml

from tests import samples
from tests.azurite import ACCOUNT, ROOT
from tests.clones import Clone

if TYPE_CHECKING:
    from tests.azurite import Azurite

MEMORY = Path("/dev/shm")  # noqa: S108  # a disk that most machines have beside that of the tests


def objects(clone: Clone) -> int:
    """How many objects the team remote has, the folder beside the clone."""
    return sum(path.is_file() for path in (clone.path.parent / "oscar-team-remote").rglob("*"))


def add(clone: Clone, *names: str) -> None:
    """Add assets, and commit them."""
    assert clone.tool("add-asset", *names).code == 0
    clone.ok("dvc", "repro")
    clone.ok("git", "add", "--all")
    clone.ok("git", "commit", "--quiet", "--message", f"Add {' '.join(names)}")


# Halves of the data.


def test_contents_alone_are_pushed_and_pulled_by_the_name_of_the_stage(shared: Clone) -> None:
    """The archive stays where it is: not on the remote, and not with colleagues."""
    shared.ok("dvc", "push", "unzip")
    theirs = shared.colleague()

    theirs.ok("dvc", "pull", "unzip")

    assert objects(shared) == len(samples.tree("vqa")) + 1  # and the folder's list
    assert theirs.tree("data/vqa") == samples.tree("vqa")
    assert not (theirs.path / "archives/vqa.zip").exists()
    assert theirs.ok("git", "status", "--porcelain") == ""


@pytest.mark.parametrize("target", ["unzip@vqa", "data/vqa"])
def test_contents_of_one_asset_are_pulled_by_stage_or_folder(target: str, shared: Clone) -> None:
    """Its stage, or where it lands."""
    shared.ok("dvc", "push", "unzip")
    theirs = shared.colleague()

    theirs.ok("dvc", "pull", target)

    assert theirs.tree("data/vqa") == samples.tree("vqa")


def test_without_archives_plain_pull_and_repro_fail_and_allow_missing_helps(shared: Clone) -> None:
    """Although all the data is here by then, of which the tools see that: the errors are about the archives alone."""
    shared.ok("dvc", "push", "unzip")
    theirs = shared.colleague()

    pull, repro = theirs.run("dvc", "pull"), theirs.run("dvc", "repro")

    assert (pull.code, repro.code) == (1, 255)
    assert "Checkout failed for following targets:\narchives/vqa.zip\n" in pull.stderr
    assert (
        "failed to reproduce 'archives/vqa.zip.dvc': missing data 'source': archives/vqa.zip" in repro.stderr
    )
    assert theirs.tree("data/vqa") == samples.tree("vqa")
    assert "missing data 'source'" in theirs.run("dvc", "repro", "unzip@vqa").stderr
    assert "data/vqa is ready" in theirs.tool("fetch-asset", "vqa").stdout
    assert not (theirs.path / "archives/vqa.zip").exists()
    theirs.ok("dvc", "pull", "--allow-missing")
    assert "up to date" in theirs.ok("dvc", "repro", "--allow-missing")
    assert theirs.ok("git", "status", "--porcelain") == ""


def test_archives_alone_are_pulled_and_unzipped_with_one_command(shared: Clone) -> None:
    """Whatever an archive holds, it is one object; each member of a folder is one more."""
    shared.ok("dvc", "push", "archives/vqa.zip.dvc")
    theirs = shared.colleague()

    theirs.ok("dvc", "repro", "--pull")

    assert objects(shared) == 1
    assert theirs.tree("data/vqa") == samples.tree("vqa")
    assert theirs.ok("git", "status", "--porcelain") == ""
    assert "up to date" in theirs.ok("dvc", "repro")


def test_the_archive_of_one_asset_is_pulled_and_unzipped_by_name(shared: Clone) -> None:
    """Others may be in use, and need not be here."""
    shared.ok("dvc", "push", "archives/vqa.zip.dvc")
    theirs = shared.colleague()

    theirs.ok("dvc", "pull", "archives/vqa.zip.dvc")
    theirs.ok("dvc", "repro", "unzip@vqa")

    assert theirs.tree("data/vqa") == samples.tree("vqa")
    assert theirs.ok("git", "status", "--porcelain") == ""


def test_the_archive_beside_the_contents_makes_plain_repro_work_again(
    clone: Clone, upstream: Azurite
) -> None:
    """From upstream, verified against the md5 that is recorded."""
    add(clone, "vqa")
    clone.ok("dvc", "push", "unzip")
    theirs = clone.colleague()
    theirs.use(upstream.connection_string(upstream.sas()))
    theirs.ok("dvc", "pull", "unzip")

    assert theirs.tool("fetch-asset", "vqa", "--no-unzip").code == 0

    assert "up to date" in theirs.ok("dvc", "repro")
    assert theirs.ok("git", "status", "--porcelain") == ""


# Two branches, two assets.


@pytest.mark.parametrize(
    ("before", "ours", "theirs"),
    [
        ((), "vqa", "GQA"),  # where params.yaml has no asset in use
        (("coco_ir",), "vqa", "GQA"),  # on either side of what is there
        (("vqa",), "GQA", "coco_ir"),  # side by side
        (("nlvr2",), "base-vg-labels", "vqa"),  # of two kinds
    ],
)
def test_two_branches_that_add_an_asset_each_merge(
    before: tuple[str, ...], ours: str, theirs: str, clone: Clone, upstream: Azurite
) -> None:
    """Only dvc.lock is in conflict, and two commands mend that; what was in use, and what is new, is complete."""
    if before:
        add(clone, *before)
        clone.ok("dvc", "push")
    clone.ok("git", "branch", "--move", "main")
    colleague = clone.colleague()
    colleague.use(upstream.connection_string(upstream.sas()))
    colleague.ok("dvc", "pull")
    add(clone, ours)
    add(colleague, theirs)
    colleague.ok("dvc", "push")

    merge = clone.run("git", "pull", "--quiet", "--no-rebase", "--no-edit", "../colleague", "main")
    assert merge.code == 1
    assert clone.ok("git", "diff", "--name-only", "--diff-filter=U") == "dvc.lock\n"
    assert (
        clone.tool("list-assets").error
        == "error: dvc.lock is not as DVC writes it; is it in the middle of a merge?"
    )
    clone.ok("git", "checkout", "--ours", "dvc.lock")
    clone.ok("dvc", "repro", "--pull")
    clone.ok("git", "commit", "--all", "--message", "Merge")

    used = sorted([*before, ours, theirs])
    assert "Data and pipelines are up to date." in clone.ok("dvc", "status")
    assert clone.ok("git", "status", "--porcelain") == ""
    assert sorted(yaml.safe_load((clone.path / "params.yaml").read_text())["assets"]) == used
    clone.ok("dvc", "push")
    third = clone.colleague("third")
    third.ok("dvc", "pull")
    assert "up to date" in third.ok("dvc", "repro")

    clone.tool("add-asset", "large-vg-labels")
    section = yaml.safe_load((clone.path / "params.yaml").read_text())["assets"]
    assert list(section) == sorted([*used, "large-vg-labels"])


def test_two_branches_that_add_a_published_url_each_merge(clone: Clone, upstream: Azurite) -> None:
    """The end of the catalogue and the assets in use are kept apart; both assets are complete."""
    clone.ok("git", "branch", "--move", "main")
    colleague = clone.colleague()
    colleague.use(upstream.connection_string(upstream.sas()))
    for each, name, published in ((clone, "mine", "vqa"), (colleague, "other", "GQA")):
        url = f"{upstream.endpoint}/oscar/datasets/{published}.zip"
        assert each.tool("add-asset", name, "--url", url).code == 0
        each.ok("dvc", "repro", "--quiet", f"unzip@{name}")
        each.ok("git", "add", "--all")
        each.ok("git", "commit", "--quiet", "--message", f"Add {name}")
    colleague.ok("dvc", "push", "--quiet")

    clone.run("git", "pull", "--quiet", "--no-rebase", "--no-edit", "../colleague", "main")

    assert clone.ok("git", "diff", "--name-only", "--diff-filter=U") == "dvc.lock\n"
    params = yaml.safe_load((clone.path / "params.yaml").read_text())
    assert [*params["assets"]] == ["mine", "other"]
    assert [*params["catalogue"]][-2:] == ["mine", "other"]
    clone.ok("git", "checkout", "--ours", "dvc.lock")
    clone.ok("dvc", "repro", "--pull")
    assert clone.tool("list-assets").stderr == ""


def test_a_merge_of_contents_without_archives_is_mended_by_committing_ones_own(
    clone: Clone, upstream: Azurite
) -> None:
    """Nobody has the other archive, so nothing could unpack it again."""
    add(clone, "coco_ir")
    clone.ok("git", "branch", "--move", "main")
    colleague = clone.colleague()
    colleague.use(upstream.connection_string(upstream.sas()))
    colleague.ok("dvc", "repro", "--allow-missing")
    add(clone, "vqa")
    colleague.tool("add-asset", "GQA")
    colleague.ok("dvc", "repro", "unzip@GQA")
    colleague.ok("git", "add", "--all")
    colleague.ok("git", "commit", "--quiet", "--message", "Add GQA")
    colleague.ok("dvc", "push", "unzip@GQA")
    clone.run("git", "pull", "--quiet", "--no-rebase", "--no-edit", "../colleague", "main")

    clone.ok("git", "checkout", "--theirs", "dvc.lock")
    clone.ok("dvc", "commit", "--force", "unzip@vqa")
    clone.ok("git", "commit", "--all", "--message", "Merge")
    clone.ok("dvc", "pull", "--allow-missing")

    stages = yaml.safe_load((clone.path / "dvc.lock").read_text())["stages"]
    assert sorted(stages) == ["unzip@GQA", "unzip@coco_ir", "unzip@vqa"]
    assert clone.tree("data/GQA") == samples.tree("GQA")
    assert "up to date" in clone.ok("dvc", "repro", "--allow-missing")


# A cache for several users, and one on another disk.


def recipe(start: str, places: dict[str, str]) -> str:
    """The block of `docs/sharing.md` with a line that begins like this, its places replaced by those of a test."""
    text = (ROOT / "docs/sharing.md").read_text(encoding="utf-8")
    blocks = re.findall(r"^```(\n.*?)^```", text, re.DOTALL | re.MULTILINE)
    [block] = [str(block) for block in blocks if f"\n{start}" in block]
    for place, here in places.items():
        block = block.replace(place, here)
    return block


@dataclass(frozen=True)
class User:
    """A user of this machine with a clone; may read everything, as this Python need not be for everybody."""

    clone: Clone
    uid: int
    group: int

    def run(self, *command: str | Path) -> str:
        """Run a command as this user with the usual umask; it has to succeed."""
        may_read = ("--inh-caps", "+dac_read_search", "--ambient-caps", "+dac_read_search")
        ids = ("--reuid", str(self.uid), "--regid", str(self.uid), "--groups", str(self.group))
        result = self.clone.run(
            *("setpriv", *ids, *may_read, "--", "sh", "-c", 'umask 022; exec "$@"', "sh"),
            *command,
            env={"USER": f"user{self.uid}"},
        )
        assert result.code == 0, f"{command}:\n{result.said}"
        return result.stdout


def user(clone: Clone, home: Path, uid: int, group: int) -> User:
    """Hand a clone over to a user with a home of their own."""
    home.mkdir()
    for top in (clone.path, home):
        for path in (top, *top.rglob("*")):
            os.chown(path, uid, uid, follow_symlinks=False)
    return User(Clone(clone.path, home, clone.signatures), uid, group)


@pytest.mark.skipif(
    os.getuid() != 0 or not shutil.which("setpriv"), reason="needs root, and setpriv, to be two users"
)
def test_two_users_share_a_cache_and_a_folder_to_push_to(
    shared: Clone, upstream: Azurite, tmp_path: Path
) -> None:
    """By the recipe, with caches full already: neither needs more than the group, nor holds data twice."""
    group = 34567
    common = tmp_path / "common"
    common.mkdir()
    os.chown(common, 0, group)
    common.chmod(0o2775)
    shared.ok("dvc", "push")
    theirs = shared.colleague()
    theirs.use(upstream.connection_string(upstream.sas()))
    theirs.ok("dvc", "pull")  # what the other has, and one that is new
    add(theirs, "GQA")
    ada = user(shared, tmp_path / "ada", 34501, group)
    bob = user(theirs, tmp_path / "bob", 34502, group)

    ada.run("tools/set-remote", str(common / "remote"))
    for each in (ada, bob):
        each.run("tools/set-remote", str(common / "remote"))
        each.run("dvc", "cache", "dir", "--local", str(common / "cache"))
        each.run("dvc", "config", "--local", "cache.shared", "group")
        each.run("sh", "-c", recipe("cp -Rn ", {"/shared/oscar": str(common)}))
    ada.run("dvc", "push")
    bob.run("tools/add-asset", "coco_ir")
    bob.run("tools/fetch-asset", "coco_ir")
    bob.run("dvc", "repro")
    bob.run("dvc", "push")

    assert ada.clone.tree("data/vqa") == bob.clone.tree("data/vqa") == samples.tree("vqa")
    assert bob.clone.tree("data/GQA") == samples.tree("GQA")
    assert bob.clone.tree("data/coco_ir") == samples.tree("coco_ir")
    for each in (ada, bob):
        assert "up to date" in each.run("dvc", "status")
        assert "damaged" not in each.run("tools/verify-asset", "--all")
        assert not (each.clone.path / ".dvc/cache").exists()
    archive = bob.clone.path / "archives/vqa.zip"
    assert archive.resolve().is_relative_to(common / "cache")
    for folder in filter(Path.is_dir, common.rglob("*")):
        assert (stat.S_IMODE(folder.stat().st_mode), folder.stat().st_gid) == (0o2775, group), folder


@pytest.mark.skipif(not MEMORY.is_dir(), reason="needs a second disk")
def test_with_the_cache_on_another_disk_the_data_is_there_once(clone: Clone, tmp_path: Path) -> None:
    """The workspace holds symbolic links into it, and every command works as ever."""
    if MEMORY.stat().st_dev == tmp_path.stat().st_dev:
        pytest.skip("the tests run in memory themselves")
    disk = MEMORY / f"datarepo-tests-{os.getpid()}"
    try:
        disk.mkdir()
        add(clone, "vqa", "coco_ir")  # in the cache of the clone
        assert clone.tool("remove-asset", "vqa", "--archive").code == 0
        clone.ok("sh", "-c", recipe("mv .dvc/cache ", {"/big/disk": str(disk)}))
        clone.tool("add-asset", "GQA")
        fetched = clone.tool("fetch-asset", "GQA")
        clone.ok("dvc", "repro", "--allow-missing")

        names = {"vqa", "coco_ir", "GQA"}
        files = [
            path
            for top in ("data", "archives")
            for path in (clone.path / top).rglob("*")
            if path.suffix in (".zip", ".tsv")
        ]
        assert fetched.code == 0
        assert {path.is_symlink() and path.resolve().is_relative_to(disk) for path in files} == {True}
        assert not (clone.path / ".dvc/cache").exists()
        assert {path.stem for path in files if path.suffix == ".zip"} == names - {"vqa"}
        assert {name: clone.tree(f"data/{name}") for name in names} == {
            name: samples.tree(name) for name in names
        }
        status = json.loads(clone.ok("dvc", "status", "--json"))
        assert set(status) == {"archives/vqa.zip.dvc", "unzip@vqa"}  # of the archive that was freed
        assert "damaged" not in clone.ok("tools/verify-asset", "--all")
        clone.ok("dvc", "push", "unzip")
        theirs = clone.colleague()
        theirs.ok("dvc", "pull", "unzip@vqa", "unzip@coco_ir")
        assert theirs.tree("data/vqa") == samples.tree("vqa")
        assert clone.tool("remove-asset", "vqa").code == 0
        assert not (clone.path / "data/vqa").exists()
    finally:
        shutil.rmtree(disk, ignore_errors=True)


# Other projects.


def test_other_projects_take_their_own_credential_from_a_file(shared: Clone, azurite: Azurite) -> None:
    """`--config FILE`, or a variable of the environment: neither puts a secret into what they commit."""
    azurite.create_container("projects")
    key = f"BlobEndpoint={azurite.endpoint};AccountName={ACCOUNT};AccountKey={azurite.key}"
    assert shared.tool("set-remote", "azure://projects/oscar", "--secret-stdin", stdin=key).code == 0
    shared.ok("git", "commit", "--all", "--message", "Share through Azure")
    shared.ok("dvc", "push", "unzip")
    shared.ok("git", "clone", "--quiet", "--bare", ".", "../repository.git")
    url = f"file://{shared.path.parent}/repository.git"
    project = Clone(shared.path.parent / "project", shared.home)
    project.path.mkdir()
    project.ok("git", "init", "--quiet")
    project.ok("dvc", "init", "--quiet")
    config = shared.home / "oscar-data.conf"
    shutil.copy(shared.path / ".dvc/config.local", config)

    project.ok("dvc", "get", "--config", str(config), url, "data/vqa", "--out", "got")
    project.ok("dvc", "import", "--config", str(config), url, "data/vqa", "--out", "imported")
    by_variable = project.run(
        *("dvc", "get", url, "data/vqa", "--out", "got too"), env={"AZURE_STORAGE_CONNECTION_STRING": key}
    )

    assert by_variable.code == 0
    assert project.tree("got") == project.tree("imported") == project.tree("got too") == samples.tree("vqa")
    assert azurite.key not in (project.path / "imported.dvc").read_text()
    project.ok("rm", "-rf", ".dvc/cache", "imported")
    project.ok("dvc", "pull")
    assert project.tree("imported") == samples.tree("vqa")
