"""Clones of this repository in scratch folders, and commands run in them as a user types them."""

from __future__ import annotations

import os
import shutil
import subprocess
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tests.azurite import ROOT

if TYPE_CHECKING:
    from pathlib import Path

_IDENTITY = {"NAME": "A Researcher", "EMAIL": "researcher@example.org"}


@dataclass(frozen=True)
class Result:
    """What a command answered."""

    code: int
    stdout: str
    stderr: str

    @property
    def said(self) -> str:
        """All its output."""
        return self.stdout + self.stderr


@dataclass(frozen=True)
class Clone:
    """A clone of the repository, and the empty home folder its commands run with."""

    path: Path
    home: Path

    def environment(self) -> dict[str, str]:
        """A new user's environment with the clone's `.venv` activated."""
        inherited = {
            name: os.environ[name] for name in ("LANG", "TMPDIR", "SSL_CERT_FILE") if name in os.environ
        }
        return {
            **inherited,
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
        """Run a command at the clone's root (or elsewhere), and wait for it."""
        done = subprocess.run(
            command,
            cwd=cwd or self.path,
            env={**self.environment(), **(env or {})},
            input=stdin,
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
        return Result(done.returncode, done.stdout, done.stderr)

    def tool(self, name: str, *arguments: str, stdin: str = "", env: dict[str, str] | None = None) -> Result:
        """Run a command of `tools/`."""
        return self.run(self.path / "tools" / name, *arguments, stdin=stdin, env=env)

    def ok(self, *command: str) -> str:
        """Run a command that has to succeed; what it printed on stdout."""
        result = self.run(*command)
        assert result.code == 0, f"{' '.join(command)}:\n{result.said}"
        return result.stdout

    def use(self, connection_string: str) -> None:
        """Point the source at a service of this machine."""
        self.ok("dvc", "remote", "modify", "--local", "oscar", "connection_string", connection_string)

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
