"""Programs that are not ours: whether they are here, their version, how to install them."""

from __future__ import annotations

import re
import shutil
import subprocess
from dataclasses import dataclass


@dataclass(frozen=True)
class Peer:
    """A program, the arguments that make it tell its version, and where it comes from."""

    name: str
    program: str
    version: str
    install: str

    def found(self) -> bool:
        """Whether it is on the PATH."""
        return shutil.which(self.program) is not None

    def missing(self) -> str:
        """What to tell when it is not."""
        return f"{self.name} is left out, since it is not installed: `{self.install}`"

    def told(self) -> str:
        """Its name and version."""
        done = subprocess.run(
            [self.program, *self.version.split()], capture_output=True, text=True, check=False
        )
        return f"{self.name} {version(done.stdout + done.stderr)}"


def version(text: str) -> str:
    """The first version number of what a program says of itself.

    >>> version("nginx version: nginx/1.22.1")
    '1.22.1'
    >>> version("UnZip 6.00 of 20 April 2009")
    '6.00'
    """
    match = re.search(r"\d+(?:\.\d+)+", text)
    return match[0] if match else "?"


WGET = Peer("wget", "wget", "--version", "apt-get install wget")
UNZIP = Peer("unzip", "unzip", "-v", "apt-get install unzip")
SEVEN_ZIP = Peer("7z", "7z", "i", "apt-get install p7zip-full")
BSDTAR = Peer("bsdtar", "bsdtar", "--version", "apt-get install libarchive-tools")
NGINX = Peer("nginx", "nginx", "-v", "apt-get install nginx-light")
AZCOPY = Peer(
    "AzCopy",
    "azcopy",
    "--version",
    "apt-get install libsecret-1-0 && npm install @azure-tools/azcopy-linux@10.32.2, then its"
    " dist/bin/azcopy_linux_amd64 as azcopy on the PATH",
)
ALL = (WGET, UNZIP, SEVEN_ZIP, BSDTAR, NGINX, AZCOPY)
