"""What the tests of downloads share: an archive, a scratch clone whose source is a misbehaving proxy."""

from __future__ import annotations

import hashlib
import io
import os
import random
import shutil
import subprocess
import sys
import zipfile
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import parse_qs, unquote

from tests.azurite import ROOT

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from tests.proxy import Proxy

ENVIRONMENT = {**os.environ, "GIT_CONFIG_GLOBAL": os.devnull}
IMPATIENT = {"DATAREPO_PATIENCE": "0.04"}  # a connection stalls in 1.2 s, and the first pause is 40 ms


def archive(length: int, seed: int = 0) -> bytes:
    """A zip archive of that length in bytes: one member of noise."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as writer:
        writer.writestr("vqa/noise.bin", random.Random(seed).randbytes(length - 130))
    return buffer.getvalue()


@dataclass(frozen=True)
class Result:
    """What a command said, and its exit code."""

    code: int
    out: str
    err: str

    @property
    def error(self) -> str:
        """The one line that says what failed."""
        [line] = [line for line in self.err.splitlines() if line.startswith("error: ")]
        return line


@dataclass(frozen=True)
class Clone:
    """A scratch clone of the repository, with a signature planted in its source."""

    root: Path
    proxy: Proxy
    sas: str

    def command(self, name: str, *arguments: str) -> list[str]:
        """The command line of one of the tools."""
        return [sys.executable, str(self.root / "tools" / name), *arguments]

    def run(self, name: str, *arguments: str, env: Mapping[str, str] | None = None) -> Result:
        """Run one of the tools to its end; no signature may be in what it says."""
        done = subprocess.run(
            self.command(name, *arguments),
            cwd=self.root,
            env={**ENVIRONMENT, **(env or {})},
            capture_output=True,
            text=True,
            check=False,
        )
        self.assert_secret(done.stdout + done.stderr)
        return Result(done.returncode, done.stdout, done.stderr)

    def fetch(self, *arguments: str, env: Mapping[str, str] | None = None) -> Result:
        """Run tools/fetch-asset."""
        return self.run("fetch-asset", *(arguments or ("vqa",)), env=env)

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        """Start tools/fetch-asset."""
        return subprocess.Popen(
            self.command("fetch-asset", *(arguments or ("vqa",))),
            cwd=self.root,
            env=ENVIRONMENT,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def point(self, endpoint: str, sas: str) -> None:
        """Point the source somewhere, with that SAS."""
        access = f"BlobEndpoint={endpoint};SharedAccessSignature={sas}"
        (self.root / ".dvc" / "config.local").write_text(
            f"""['remote "oscar"']\n    connection_string = "{access}"\n"""
        )

    def assert_secret(self, text: str) -> None:
        """The signature is not in a text, in any of its spellings."""
        [signature] = parse_qs(self.sas)["sig"]
        raw = self.sas.partition("sig=")[2].partition("&")[0]
        for spelling in (signature, raw, unquote(raw)):
            assert spelling not in text

    def assert_no_signature_stored(self) -> None:
        """No file of the clone holds the signature, but the private configuration."""
        for path in self.root.rglob("*"):
            data = {".venv", "archives", "cache"} & set(path.relative_to(self.root).parts)
            if path.is_file() and not data and path.name != "config.local":
                self.assert_secret(path.read_bytes().decode("latin-1"))
        self.assert_secret(self.stage)

    @property
    def file(self) -> Path:
        """The archive under its final name."""
        return self.root / "archives" / "vqa.zip"

    @property
    def part(self) -> Path:
        """The partial file."""
        return self.root / ".dvc" / "tmp" / "fetch" / "vqa.part"

    @property
    def state(self) -> Path:
        """The state of the partial file."""
        return self.part.with_suffix(".json")

    @property
    def stage(self) -> str:
        """The text of the import stage."""
        return (self.root / "archives" / "vqa.zip.dvc").read_text()

    def cached(self, content: bytes) -> Path:
        """Where DVC's cache keeps that content."""
        md5 = hashlib.md5(content, usedforsecurity=False).hexdigest()
        return self.root / ".dvc" / "cache" / "files" / "md5" / md5[:2] / md5[2:]

    def lose(self) -> None:
        """Lose the archive in workspace and cache."""
        self.file.unlink(missing_ok=True)
        shutil.rmtree(self.root / ".dvc" / "cache", ignore_errors=True)


def make_clone(root: Path, proxy: Proxy, sas: str) -> Clone:
    """Make a scratch clone: the worktree's files under git, and a source that leads through the proxy."""
    root.mkdir()
    for name in (
        "tools",
        ".dvc/config",
        ".dvc/.gitignore",
        "params.yaml",
        "dvc.yaml",
        ".dvcignore",
        ".gitignore",
    ):
        target = root / name
        target.parent.mkdir(exist_ok=True)
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, target, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(ROOT / name, target)
    (root / ".venv").symlink_to((ROOT / ".venv").resolve())
    (root / ".git" / "info").mkdir(parents=True)
    git = ["git", "-c", "user.name=t", "-c", "user.email=t@example.org"]
    for command in (["init", "--quiet"], ["add", "--all"], ["commit", "--quiet", "--message", "start"]):
        subprocess.run([*git, *command], cwd=root, env=ENVIRONMENT, check=True)
    clone = Clone(root, proxy, sas)
    clone.point(proxy.endpoint, sas)
    return clone
