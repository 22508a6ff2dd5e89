"""What is measured: each part makes its worlds, and lets contenders alternate in them.

Ours comes first in each comparison; the others are compared with it.
"""

from __future__ import annotations

import shlex
import sys
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING

from tests import samples
from tests.azurite import ROOT, Azurite
from tests.bench import archives, worlds
from tests.bench.measure import Contender, Figures, alternate
from tests.bench.peers import AZCOPY, BSDTAR, NGINX, SEVEN_ZIP, UNZIP, WGET
from tests.bench.server import CAP, Server

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path

    from tests.bench.archives import Archive

TOOLS = ROOT / "tools"
_ASSETS = ("vqa", "GQA", "nlvr2")  # at full, half and a quarter of the size
_TINY_FILES = (1_000, 10_000, 100_000)


@dataclass(frozen=True)
class Comparison:
    """Contenders at the same job; `notes` tell who is missing, and why."""

    title: str
    figures: Sequence[Figures]
    notes: Sequence[str] = ()


@dataclass(frozen=True)
class Growth:
    """The same job at growing amounts of `unit`, for each contender."""

    title: str
    unit: str
    amounts: Sequence[float]
    figures: Mapping[str, Sequence[Figures]]
    notes: Sequence[str] = ()


@dataclass
class Bench:
    """What the parts share: where, how large (bytes of an archive), how often, and the made data."""

    scratch: Path
    size: int
    runs: int
    tell: Callable[[str], None] = lambda _: None
    tiny_files: Sequence[int] = _TINY_FILES
    _worlds: int = field(default=0, init=False)

    @cached_property
    def archives(self) -> dict[str, Archive]:
        """An archive for each asset used, from the largest to the smallest."""
        self.tell(f"making archives of {self.size // 1_000_000} MB and less")
        return {
            name: archives.like_features(self.scratch / f"{name}.zip", self.size >> halvings)
            for halvings, name in enumerate(_ASSETS)
        }

    def folder(self) -> Path:
        """A folder that is not there yet."""
        self._worlds += 1
        return self.scratch / f"world{self._worlds}"

    def serve(self) -> Server:
        """A server of the archives."""
        folder = self.folder()
        folder.mkdir()
        return Server(folder, {samples.blob_path(name): each for name, each in self.archives.items()})

    def added(self, server: Server, *, capped: bool) -> Path:
        """A clone with the assets added, nothing downloaded yet."""
        world = worlds.clone(self.folder(), server.connection_string(capped=capped))
        worlds.do(world, f"tools/add-asset {' '.join(_ASSETS)}")
        return world

    def compare(self, title: str, contenders: Sequence[Contender], *, often: int = 1) -> Comparison:
        """Measure contenders at a job; `often` times the runs, where one is short and chance shows."""
        self.tell(title)
        figures, notes = alternate(contenders, often * self.runs, self.scratch, self.tell)
        return Comparison(title, figures, notes)


def add(bench: Bench) -> Iterator[Comparison]:
    """Nine assets added, from the emulator: the time is the clients' own, and data is not moved."""
    with Azurite() as service:
        for name in samples.NAMES:
            service.put(samples.blob_path(name), samples.archive(name))
        world = worlds.clone(bench.folder(), service.connection_string(service.sas()))
        imports = [
            f"dvc import-url --quiet --no-download remote://oscar/{samples.blob_path(name)} archives/{name}.zip"
            for name in samples.NAMES
        ]
        yield bench.compare(
            "Add nine assets",
            [
                Contender("`tools/add-asset --all`", "tools/add-asset --all", world),
                Contender(
                    "nine `dvc import-url --no-download`", " && ".join(["mkdir -p archives", *imports]), world
                ),
            ],
        )


def fetch(bench: Bench) -> Iterator[Comparison]:
    """An archive downloaded, by programs that need several connections and by those that use one."""
    if not NGINX.found():
        yield Comparison("Fetch", [], [NGINX.missing()])
        return
    archive = bench.archives["vqa"]
    in_clone, here = {"archives/vqa.zip": archive.size}, {"vqa.zip": archive.size}
    empty, plain = worlds.empty(bench.folder()), worlds.plain(bench.folder())
    with bench.serve() as server:
        for capped in (True, False):
            url = server.url(samples.blob_path("vqa"), capped=capped)
            added = bench.added(server, capped=capped)
            yield bench.compare(
                f"Fetch, {_line(capped=capped)}",
                [
                    Contender("`tools/fetch-asset`", "tools/fetch-asset vqa", added, leaves=in_clone),
                    Contender("AzCopy", _azcopy(url), empty, (AZCOPY,), here),
                    Contender("wget", _wget(url), empty, (WGET,), here),
                    Contender(
                        "DVC, `azure://`, our cache type",
                        "dvc repro --quiet archives/vqa.zip.dvc",
                        added,
                        leaves=in_clone,
                    ),
                    Contender("DVC as it comes, `http://`", _import(url), plain, leaves=here),
                ],
            )


def unzip(bench: Bench) -> Iterator[Comparison]:
    """An archive extracted into a new folder."""
    archive = bench.archives["vqa"]
    world, leaves = worlds.empty(bench.folder()), {"vqa": archive.unpacked}
    yield bench.compare(
        "Unzip",
        [
            Contender("`tools/unzip-asset`", _our_unzip(archive), world, leaves=leaves),
            Contender("unzip", f"unzip -q {archive.path} -d vqa", world, (UNZIP,), leaves),
            Contender("7z", f"7z x -bd -ovqa {archive.path}", world, (SEVEN_ZIP,), leaves),
            Contender("bsdtar", f"mkdir vqa && bsdtar -xf {archive.path} -C vqa", world, (BSDTAR,), leaves),
        ],
    )


def whole(bench: Bench) -> Iterator[Comparison]:
    """From the blob to data that is unzipped, and where DVC takes part versioned."""
    title = "Blob to data"
    if not NGINX.found():
        yield Comparison(title, [], [NGINX.missing()])
        return
    unpacked = bench.archives["vqa"].unpacked
    in_clone, here = {"data/vqa": unpacked}, {"vqa": unpacked}
    and_unzip = "&& unzip -q vqa.zip -d vqa"
    empty, plain = worlds.empty(bench.folder()), worlds.plain(bench.folder())
    with bench.serve() as server:
        for capped in (True, False):
            url = server.url(samples.blob_path("vqa"), capped=capped)
            added = bench.added(server, capped=capped)
            yield bench.compare(
                f"{title}, {_line(capped=capped)}",
                [
                    Contender("`tools/fetch-asset && dvc repro`", _ours("vqa"), added, leaves=in_clone),
                    Contender("`dvc repro` alone", "dvc repro --quiet unzip@vqa", added, leaves=in_clone),
                    Contender("AzCopy, unzip", f"{_azcopy(url)} {and_unzip}", empty, (AZCOPY, UNZIP), here),
                    Contender("wget, unzip", f"{_wget(url)} {and_unzip}", empty, (WGET, UNZIP), here),
                    Contender("DVC as it comes, unzip", _plain_dvc(url), plain, (UNZIP,), here),
                ],
            )


def again(bench: Bench) -> Iterator[Comparison]:
    """A second `dvc repro` in a repository where everything is up to date, on the smallest archive."""
    title, name = "A second `dvc repro`, nothing to do", _ASSETS[-1]
    if not NGINX.found():
        yield Comparison(title, [], [NGINX.missing()])
        return
    with bench.serve() as server:
        ours = bench.added(server, capped=False)
        worlds.do(ours, f"dvc repro unzip@{name}")
        contenders = [Contender("ours", f"dvc repro unzip@{name}", ours, as_it_is=True)]
        if UNZIP.found():
            plain = worlds.plain(bench.folder())
            worlds.do(plain, _plain_dvc(server.url(samples.blob_path(name), capped=False)))
            contenders.append(Contender("DVC as it comes", "dvc repro", plain, as_it_is=True))
        yield bench.compare(title, contenders, often=3)


def growth(bench: Bench) -> Iterator[Growth]:
    """The same job at growing sizes, and at growing numbers of members."""
    title = "Blob to data, by size"
    if NGINX.found():
        with bench.serve() as server:
            added = bench.added(server, capped=False)
            contenders = [
                Contender(name, _ours(name), added, leaves={f"data/{name}": archive.unpacked})
                for name, archive in reversed(bench.archives.items())
            ]
            # Side by side, so that a load that comes and goes meets every size.
            compared = bench.compare(title, contenders)
        amounts = [archive.size / 100e6 for archive in reversed(bench.archives.values())]
        yield _grown(
            title, "100 MB", amounts, [("`tools/fetch-asset && dvc repro`", compared.figures)], compared.notes
        )
    else:
        yield Growth(title, "100 MB", [], {}, [NGINX.missing()])

    title = "Unzip, by members"
    world = worlds.empty(bench.folder())
    ours, theirs = [], []
    for members in bench.tiny_files:
        archive = archives.of_tiny_files(bench.scratch / f"tiny{members}.zip", members)
        leaves, line = {"vqa": archive.unpacked}, f"unzip -q {archive.path} -d vqa"
        ours.append(Contender(f"ours, {members}", _our_unzip(archive), world, leaves=leaves))
        theirs.append(Contender(f"unzip, {members}", line, world, (UNZIP,), leaves))
    compared = bench.compare(title, [*ours, *theirs])
    amounts = [members / 1000 for members in bench.tiny_files]
    rows = [
        (name, [each for each in compared.figures if each.name.startswith(start)])
        for name, start in (("`tools/unzip-asset`", "ours, "), ("unzip", "unzip, "))
    ]
    yield _grown(title, "1,000 members", amounts, rows, compared.notes)


def startup(bench: Bench) -> Iterator[Comparison]:
    """How long each tool takes to show its help."""
    world = worlds.empty(bench.folder())
    tools = sorted(path.name for path in TOOLS.iterdir() if path.is_file())
    contenders = [
        Contender(f"`tools/{name} --help`", shlex.join([str(TOOLS / name), "--help"]), world, as_it_is=True)
        for name in tools
    ]
    contenders.append(Contender("`dvc --help`", "dvc --help", world, as_it_is=True))
    contenders.append(
        Contender("Python itself", shlex.join([sys.executable, "-c", ""]), world, as_it_is=True)
    )
    yield bench.compare("Start-up", contenders, often=5)


PARTS: Mapping[str, Callable[[Bench], Iterator[Comparison | Growth]]] = {
    each.__name__: each for each in (add, fetch, unzip, whole, again, growth, startup)
}


def _grown(
    title: str,
    unit: str,
    amounts: Sequence[float],
    rows: Sequence[tuple[str, Sequence[Figures]]],
    notes: Sequence[str],
) -> Growth:
    """What has figures at each amount; one that failed at some has no line to draw."""
    return Growth(
        title, unit, amounts, {name: each for name, each in rows if len(each) == len(amounts)}, notes
    )


def _line(*, capped: bool) -> str:
    return f"{CAP} MB/s a connection" if capped else "no cap"


def _ours(name: str) -> str:
    return f"tools/fetch-asset --quiet {name} && dvc repro --quiet unzip@{name}"


def _our_unzip(archive: Archive) -> str:
    return f"{shlex.quote(str(TOOLS / 'unzip-asset'))} --quiet {archive.path} vqa"


def _azcopy(url: str) -> str:
    options = "--from-to BlobLocal --skip-version-check --log-level NONE --output-level quiet"
    return f"azcopy copy {shlex.quote(url)} vqa.zip {options}"


def _wget(url: str) -> str:
    return f"wget --quiet --output-document vqa.zip {shlex.quote(url)}"


def _import(url: str) -> str:
    return f"dvc import-url --quiet {shlex.quote(url)} vqa.zip"


def _plain_dvc(url: str) -> str:
    """What DVC's manual has a user type."""
    return (
        f"{_import(url)} && dvc stage add --quiet -n unzip -d vqa.zip -o vqa"
        " 'unzip -q vqa.zip -d vqa' && dvc repro --quiet"
    )
