"""What is measured: each part makes its worlds and lets contenders alternate in them, ours first."""

import shlex
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from pathlib import Path

from tests import samples
from tests.azurite import ROOT
from tests.bench import worlds
from tests.bench.measure import Contender, measure, missing
from tests.bench.server import CAMPUS, CLOUD, FREE, SLOW, Line, Server

FETCH = "tools/fetch-asset --quiet --no-unzip {}"  # brings an archive alone
WHOLE = "tools/fetch-asset --quiet {}"  # brings the data

FULL_SIZE = 300_000_000  # bytes of an archive; a smaller bench has fewer members and assets as well
_KILLS = 10
_UNZIP = "unzip -q vqa.zip -d vqa"
_ENTRY = "  {0}:\n    kind: dataset\n    blob: remote://oscar/{0}.zip\n    dir: ${{roots.dataset}}/{0}\n"


@dataclass
class Bench:
    """What the parts share: a folder, a server of `blobs` in it, bytes of an archive, and what they found."""

    scratch: Path
    server: Server
    size: int
    runs: int
    groups: dict[str, list[Contender]] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    @cached_property
    def archive(self) -> Path:
        """The archive of vqa on the server."""
        return worlds.archive(self.blob(samples.blob_path("vqa")), self.size, *self.scaled(1000))

    def url(self, line: Line) -> str:
        """The URL of that archive, quoted for the shell."""
        return f"'{self.server.url(str(self.archive.relative_to(self.scratch / 'blobs')), line)}'"

    def blob(self, path: str) -> Path:
        """Where the server takes a blob from."""
        return self.scratch / "blobs" / path

    def scaled(self, *counts: int) -> list[int]:
        """The counts in proportion to the size of this bench, at least 2 each."""
        return sorted({max(2, min(count, count * self.size // FULL_SIZE)) for count in counts})

    def clone(self, line: Line, command: str) -> Path:
        """A clone behind a line, in which a command was run."""
        return worlds.clone(self.scratch, self.server.connection_string(line), command)

    def catalogue(self, count: int) -> tuple[Path, list[str]]:
        """A clone with a catalogue of so many small assets, none of them in use; their names."""
        names = [f"shard{number:03}-of-{count}" for number in range(count)]
        for name in names:
            worlds.archive(self.blob(f"{name}.zip"), 0, 3)
        world = self.clone(FREE, "sed -i '/^catalogue:/q' params.yaml")
        with (world / "work" / "params.yaml").open("a", encoding="utf-8") as params:
            params.writelines([*map(_ENTRY.format, names), "assets:\n  {}\n"])
        return world, names

    def measure(self, part: str) -> None:
        """Run a part; one that fails becomes a note."""
        try:
            PARTS[part](self)
        except Exception as error:  # noqa: BLE001  # whatever it is: the other parts go on
            self.notes.append(f"{part} failed: {type(error).__name__}: {' '.join(str(error).split())}")

    def compare(self, group: str, *contenders: Contender, archive: int = 0, often: int = 1) -> None:
        """Run contenders in turn, A B C A B C, more `often` what is short; `archive` is what they download."""
        print(group, file=sys.stderr)
        self.notes += [note for each in contenders for note in missing(each.line)]
        alive = self.groups[group] = [each for each in contenders if not missing(each.line)]
        for _ in range(often * self.runs):
            for each in tuple(alive):
                before = self.server.sent
                try:
                    run = measure(each)
                except (RuntimeError, OSError, subprocess.SubprocessError) as error:
                    self.notes.append(f"{group}: {each.name} failed: {error}")
                    alive.remove(each)
                else:
                    served = (self.server.sent - before) / archive if archive else 0
                    each.runs.append(replace(run, served=served))
                    print(f"  {run.wall:8.2f} s  {each.name}", file=sys.stderr)


def add(bench: Bench) -> None:
    """Nine assets added: the time is the clients' own, and data is not moved."""
    clone, names = bench.catalogue(9)
    dvc = "dvc import-url --quiet --no-download remote://oscar/{0}.zip archives/{0}.zip"
    theirs = " && ".join(["mkdir -p archives", *map(dvc.format, names)])
    ours = Contender("`tools/add-asset --all`", "tools/add-asset --all", clone)
    bench.compare("Add nine assets", ours, Contender("nine `dvc import-url --no-download`", theirs, clone))


def download(bench: Bench, *, whole: bool) -> None:
    """An archive downloaded, or the `whole` way from blob to data, over each line."""
    empty, plain = worlds.empty(bench.scratch), worlds.plain(bench.scratch)
    size = bench.archive.stat().st_size
    here = ("vqa", worlds.unpacked(bench.archive)) if whole else ("vqa.zip", size)
    ours = ("data/vqa" if whole else "archives/vqa.zip", here[1])
    title, also, then = ("Blob to data", ", unzip", f" && {_UNZIP}") if whole else ("Fetch", "", "")
    for line in (CAMPUS, CLOUD, FREE):
        clone, url = bench.clone(line, "tools/add-asset vqa"), bench.url(line)
        azcopy = f"azcopy copy {url} vqa.zip --from-to BlobLocal --skip-version-check --log-level NONE"
        aria2c = f"aria2c --quiet -x16 -s16 -k1M --file-allocation=none --out vqa.zip {url}"
        wget = f"wget --quiet --output-document vqa.zip {url}"
        repro = f"dvc repro --quiet {'unzip@vqa' if whole else 'archives/vqa.zip.dvc'}"
        bench.compare(
            f"{title}, {line.title}",
            Contender("`tools/fetch-asset`", (WHOLE if whole else FETCH).format("vqa"), clone, ours),
            Contender("aria2c", aria2c, empty, ("vqa.zip", size)),  # never unzips: it is the line alone
            Contender(f"AzCopy{also}", azcopy + then, empty, here),
            Contender(f"wget{also}", wget + then, empty, here),
            Contender("`dvc repro` alone", repro, clone, ours),
            Contender(f"DVC as it comes{also}", _plain_dvc(url, whole=whole), plain, here),
            archive=size,
        )


def unzip(bench: Bench) -> None:
    """An archive extracted into a new folder."""
    _extract(bench, "Unzip", bench.archive, "unzip", "7z", "bsdtar")


def again(bench: Bench) -> None:
    """A second `dvc repro`, and all read and verified, in a repository where everything is up to date."""
    first, line = _plain_dvc(bench.url(FREE), whole=True), "dvc repro --quiet unzip@vqa"
    clone = bench.clone(FREE, f"tools/add-asset vqa && {line}")
    contenders = [Contender("ours", line, clone, as_it_is=True)]
    if not missing(first):
        plain = worlds.do(worlds.plain(bench.scratch), first)
        contenders.append(Contender("DVC as it comes", "dvc repro --quiet", plain, as_it_is=True))
    bench.compare("A second `dvc repro`, nothing to do", *contenders, often=3)
    md5sum = "find archives/vqa.zip data/vqa -type f -exec md5sum {} +"
    verify = Contender("`tools/verify-asset`", "tools/verify-asset --quiet vqa", clone, as_it_is=True)
    bench.compare("Verify", verify, Contender("one `md5sum`", md5sum, clone, as_it_is=True), often=3)


def kills(bench: Bench) -> None:
    """A download killed at random moments, then let go on to its end: `served` is what counts."""
    size, fetch = bench.archive.stat().st_size, FETCH.format("vqa")
    most = 1000 + round(size / SLOW.total * 1000 / _KILLS)  # ms; a good part is left for the last run
    killed = f"timeout -s KILL $(shuf -i 1-{most} -n 1)e-3 {fetch} && exit 1"  # it ended too early
    line = f"for _ in $(seq {_KILLS}); do {killed}; done; {fetch}"
    clone = bench.clone(SLOW, "tools/add-asset vqa")
    ours = Contender("`tools/fetch-asset`", line, clone, ("archives/vqa.zip", size))
    bench.compare(f"Fetch, killed {_KILLS} times, {SLOW.title}", ours, archive=size)


def growth(bench: Bench) -> None:
    """The same job at growing sizes, and at growing numbers of members."""
    contenders = []
    for name, size in (("nlvr2", bench.size // 4), ("GQA", bench.size // 2), ("vqa", bench.size)):
        archive = worlds.archive(bench.blob(samples.blob_path(name)), size, *bench.scaled(1000))
        clone = bench.clone(FREE, f"tools/add-asset {name}")
        leaves = (f"data/{name}", worlds.unpacked(archive))
        contenders.append(Contender(f"{size / 1e6:.0f} MB", WHOLE.format(name), clone, leaves))
    bench.compare("Blob to data by size, `tools/fetch-asset`", *contenders)
    for count in bench.scaled(1_000, 10_000, 100_000):
        tiny = worlds.archive(bench.scratch / f"tiny{count}.zip", 0, count)
        _extract(bench, f"Unzip {count:,} members", tiny, "unzip")


def many(bench: Bench) -> None:
    """Catalogues of many small assets: what each command costs as their number grows."""
    jobs: dict[str, list[Contender]] = {}
    for count in bench.scaled(25, 100, 400):
        new, names = bench.catalogue(count)
        old = bench.clone(FREE, f"cp {new / 'work' / 'params.yaml'} . && tools/add-asset --all")
        leaves = (f"archives/{names[-1]}.zip", bench.blob(f"{names[-1]}.zip").stat().st_size)
        for job, line, world in (
            ("`tools/add-asset`, new", "tools/add-asset --all", new),
            ("`tools/add-asset`, nothing changed", "tools/add-asset --all", old),
            ("`tools/list-assets`", "tools/list-assets", old),
            ("`tools/remove-asset`", f"tools/remove-asset {' '.join(names)}", old),
            ("`tools/fetch-asset --all`", WHOLE.format("--all"), old),
        ):
            contender = Contender(f"{count} assets", line, world, leaves if "fetch" in job else None)
            jobs.setdefault(job, []).append(contender)
    for job, contenders in jobs.items():
        bench.compare(f"Many assets, {job}", *contenders)


def startup(bench: Bench) -> None:
    """How long each tool takes to show its help."""
    tools = sorted(path for path in (ROOT / "tools").iterdir() if path.is_file())
    lines = {f"`tools/{tool.name} --help`": shlex.join([str(tool), "--help"]) for tool in tools}
    lines |= {"`dvc --help`": "dvc --help", "Python itself": shlex.join([sys.executable, "-c", ""])}
    world = worlds.empty(bench.scratch)
    bench.compare("Start-up", *(Contender(name, line, world) for name, line in lines.items()), often=5)


PARTS: dict[str, Callable[[Bench], None]] = {
    "add": add, "fetch": partial(download, whole=False), "unzip": unzip, "whole": partial(download, whole=True),
    "again": again, "kills": kills, "growth": growth, "many": many, "startup": startup,
}  # fmt: skip


def _extract(bench: Bench, group: str, archive: Path, *peers: str) -> None:
    lines = {
        "`tools/unzip-asset`": f"'{ROOT / 'tools' / 'unzip-asset'}' --quiet {archive} vqa",
        "unzip": f"unzip -q {archive} -d vqa",
        "7z": f"7z x -bd -ovqa {archive}",
        "bsdtar": f"mkdir vqa && bsdtar -xf {archive} -C vqa",
    }
    world, leaves = worlds.empty(bench.scratch), ("vqa", worlds.unpacked(archive))
    names = ("`tools/unzip-asset`", *peers)
    bench.compare(group, *(Contender(name, lines[name], world, leaves) for name in names))


def _plain_dvc(url: str, *, whole: bool) -> str:
    """What DVC's manual has a user type."""
    stage = f" && dvc stage add --quiet -n unzip -d vqa.zip -o vqa '{_UNZIP}' && dvc repro --quiet"
    return f"dvc import-url --quiet {url} vqa.zip{stage if whole else ''}"
