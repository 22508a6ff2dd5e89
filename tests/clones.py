"""Clones of this repository in scratch folders, and commands run in them as a user types them.

A clone knows every signature that it was given: none may be in what a command says, nor in a file.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import subprocess
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import quote, unquote

from tests import fork_server
from tests.azurite import ROOT

if TYPE_CHECKING:
    from collections.abc import Iterator

_IDENTITY = {"NAME": "A Researcher", "EMAIL": "researcher@example.org"}
_SIGNATURE = re.compile(r"\bsig=([^&;\s'\"]{16,})")


class Result(NamedTuple):
    """What a command answered."""

    code: int
    stdout: str
    stderr: str

    @property
    def said(self) -> str:
        """All its output."""
        return self.stdout + self.stderr

    @property
    def error(self) -> str:
        """The one line that says what failed."""
        [line] = [line for line in self.stderr.splitlines() if line.startswith("error: ")]
        return line


@dataclass(frozen=True)
class Clone:
    """A clone of the repository, the empty home folder its commands run with, and the secrets it was given."""

    path: Path
    home: Path
    signatures: set[str] = field(default_factory=set, compare=False)

    def environment(self) -> dict[str, str]:
        """A new user's environment with the clone's `.venv` activated."""
        return {
            **fork_server.inherited(),
            "HOME": str(self.home),
            "PATH": f"{ROOT / '.venv' / 'bin'}{os.pathsep}{os.environ['PATH']}",
            "DVC_NO_ANALYTICS": "1",
            **{
                f"GIT_{who}_{what}": value
                for who in ("AUTHOR", "COMMITTER")
                for what, value in _IDENTITY.items()
            },
        }

    def run(
        self,
        *command: str | Path,
        stdin: str = "",
        cwd: Path | None = None,
        env: dict[str, str] | None = None,
    ) -> Result:
        """Run a command at the clone's root (or elsewhere), and wait for it; no signature may be in its output."""
        self._remember(stdin, *map(str, command))
        done = fork_server.run(
            [*map(str, command)], cwd or self.path, {**self.environment(), **(env or {})}, stdin
        )
        result = Result(done.returncode, done.stdout, done.stderr)
        self.assert_no_signature(result.said)
        return result

    def tool(
        self,
        name: str,
        *arguments: str,
        stdin: str = "",
        cwd: Path | None = None,
        env: dict[str, str] | None = None,
    ) -> Result:
        """Run a command of `tools/`."""
        return self.run(self.path / "tools" / name, *arguments, stdin=stdin, cwd=cwd, env=env)

    def start(self, name: str, *arguments: str, cwd: Path | None = None) -> subprocess.Popen[str]:
        """Start a command of `tools/`, to be watched or stopped while it runs."""
        return subprocess.Popen(
            [self.path / "tools" / name, *arguments],
            cwd=cwd or self.path,
            env=self.environment(),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def ok(self, *command: str) -> str:
        """Run a command that has to succeed; what it printed on stdout."""
        result = self.run(*command)
        assert result.code == 0, f"{' '.join(command)}:\n{result.said}"
        return result.stdout

    def use(self, connection_string: str) -> None:
        """Point the source at a service of this machine; the private configuration has nothing else."""
        self._remember(connection_string)
        (self.path / ".dvc" / "config.local").write_text(
            f'[\'remote "oscar"\']\n    connection_string = "{connection_string}"\n'
        )

    def colleague(self, name: str = "colleague") -> Clone:
        """A colleague's clone beside this one: what is committed, and nothing of its own yet."""
        self.ok("git", "clone", "--quiet", ".", f"../{name}")
        theirs = Clone(self.path.parent / name, self.home)
        (theirs.path / ".venv").symlink_to(ROOT / ".venv")
        return theirs

    def _remember(self, *texts: str) -> None:
        """Each signature in the texts is a secret from now on, however it is spelled."""
        for text in texts:
            self.signatures.update(_spellings(text))

    def assert_no_signature(self, text: str) -> None:
        """None that this clone was given is in a text, in any of its spellings."""
        assert not [signature for signature in self.signatures if signature in text], text

    def assert_no_signature_stored(self) -> None:
        """No file holds one but the private configuration; data are left out, and what is published anyway."""
        published = (ROOT / ".dvc" / "config").read_text()
        secrets = {signature for signature in self.signatures if signature not in published}
        for path in self.path.rglob("*"):
            data = {".venv", "archives", "cache"} & set(path.relative_to(self.path).parts)
            if path.is_file() and path.name != "config.local" and (not data or path.suffix == ".dvc"):
                text = path.read_bytes().decode("latin-1")
                assert not [signature for signature in secrets if signature in text], path

    def files(self) -> dict[str, bytes]:
        """Every file a user or git would see, by path: all but `.git`, `.venv` and DVC's own scratch."""
        hidden = (".git/", ".venv", ".dvc/tmp/", ".dvc/cache/")
        paths = (path for path in self.path.rglob("*") if path.is_file())
        named = ((path.relative_to(self.path).as_posix(), path) for path in paths)
        return {
            name: path.read_bytes()
            for name, path in named
            if not name.startswith(hidden) and "__pycache__" not in name
        }

    def tree(self, folder: str) -> dict[str, bytes]:
        """The files below a folder, by their path in it."""
        top = self.path / folder
        return {
            path.relative_to(top).as_posix(): path.read_bytes() for path in top.rglob("*") if path.is_file()
        }

    def copy(self, path: Path, home: Path) -> Clone:
        """Copy the whole clone, as it is, hard links and all, to another place with another home folder."""
        home.mkdir(exist_ok=True)
        subprocess.run(["cp", "-a", self.path, path], check=True)
        return Clone(path, home, set(self.signatures))


def _spellings(text: str) -> set[str]:
    """The signatures in a text, each as it is, raw, and percent-encoded."""
    return {
        spelling
        for found in _SIGNATURE.findall(text)
        for spelling in (found, unquote(found), quote(unquote(found), safe=""))
    }


def write_through(path: Path) -> None:
    """Edit a file in place, its mode changed as it must be for anyone but root."""
    mode = path.stat().st_mode
    path.chmod(0o644)
    with path.open("r+b") as file:
        file.write(b"EDIT")
    path.chmod(mode)


@contextlib.contextmanager
def without_sources(clone: Clone) -> Iterator[None]:
    """Neither upstream nor the team's storage can be asked, until the block ends."""
    storage, config = clone.path.parent / "oscar-team-remote", clone.path / ".dvc" / "config.local"
    aside, settings = storage.with_name("aside"), config.read_text()
    storage.rename(aside)
    clone.use("BlobEndpoint=http://127.0.0.1:9/biglmdiag;SharedAccessSignature=sp=r")
    yield
    aside.rename(storage)
    config.write_text(settings)


def allow_any_ratio(clone: Clone, name: str) -> None:
    """Let an asset of the catalogue unpack to any multiple of its size."""
    params = clone.path / "params.yaml"
    entry = f"  {name}:\n    kind: dataset\n"
    params.write_text(params.read_text().replace(entry, f"{entry}    max_ratio: 1e30\n", 1))


CHECKOUT = Clone(ROOT, Path("/nonexistent"))  # this one: for commands that are run outside of any clone


def make(path: Path, home: Path) -> Clone:
    """Clone this repository as it is on the disk, committed or not, with its environment."""
    home.mkdir(exist_ok=True)
    clone = Clone(path, home)
    subprocess.run(["git", "clone", "--quiet", ROOT, path], check=True)
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"],
        cwd=ROOT, capture_output=True, text=True, check=True,
    )  # fmt: skip
    for name in filter(None, listed.stdout.split("\0")):
        if (ROOT / name).is_file():
            (path / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, path / name)
    (path / ".venv").symlink_to(ROOT / ".venv")
    if clone.ok("git", "status", "--porcelain"):
        clone.ok("git", "add", "--all")
        clone.ok("git", "commit", "--quiet", "--message", "What is not committed yet")
    return clone
