"""The doorways: one Typer function a command, with typed parameters and one call.

tools/add-asset       add_asset       commands.add
tools/fetch-asset     fetch_asset     commands.fetch
tools/list-assets     list_assets     commands.list
tools/remove-asset    remove_asset    commands.remove
tools/set-remote      set_remote      commands.set_remote
tools/unzip-asset     unzip_asset     commands.unzip
tools/verify-asset    verify_asset    commands.verify
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Annotated, cast

import typer

from datarepo import console
from datarepo.errors import RepositoryError, UsageError

if TYPE_CHECKING:
    from datarepo.commands.report import Report


def main(command: str) -> None:
    """Run the command of that name, to its exit."""
    if f"_{command.replace('-', '_').upper()}_COMPLETE" in os.environ:
        # A shell that completes waits at each Tab, and needs no values: Typer passes over those that it
        # cannot convert, and we spare the import of pydantic, half of the time.
        sys.modules["typer._adapters"] = cast("ModuleType", None)
    app = typer.Typer(
        rich_markup_mode=None,  # plain text: fast to start, and the same on every terminal
        pretty_exceptions_enable=False,  # console.run words failures, and shows no local variables
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    app.command()(_COMMANDS[command])
    is_stage = command == "unzip-asset" and _is_of_a_stage(sys.argv[1:])
    console.run(_unzip_for_a_stage if is_stage else app, command, _in_place)


def _is_of_a_stage(arguments: list[str]) -> bool:
    """Whether these are what `dvc repro` gives, once for each stage: an archive and a folder."""
    return (
        len(arguments) == 2
        and not any(each.startswith("-") for each in arguments)
        and Path(arguments[0]).is_file()
    )


def _unzip_for_a_stage(arguments: list[str], **_: object) -> int:
    """What Typer would do, which takes longer to convert two paths than a small archive to unpack."""
    try:
        unzip_asset(archive=Path(arguments[0]), folder=Path(arguments[1]))
    except typer.Exit as done:
        return done.exit_code
    return 0


def _in_place(hint: str) -> str:
    from datarepo.pipeline.root import with_place

    return with_place(hint)


def _complete(incomplete: str) -> list[str]:
    """The names of the catalogue that begin like this; none when it cannot be read."""
    from datarepo.pipeline import catalogue
    from datarepo.pipeline.root import find_root

    try:
        names = catalogue.load(find_root()).assets
    except RepositoryError:
        return []
    return [name for name in names if name.lower().startswith(incomplete.lower())]


def _finish(report: Report, *, json: bool) -> None:
    """Print a report, and exit with its code."""
    if json:
        console.show(report.document())
    else:
        for line in report.lines():
            console.say(line)
    for line in report.notes():
        console.note(_in_place(line))
    raise typer.Exit(report.exit_code)


def _read_secret(what: str) -> str:
    """Read a secret at a hidden prompt, or from a pipe; empty when nothing is given, as with Ctrl-D."""
    if not sys.stdin.isatty():
        return sys.stdin.read()
    import getpass

    try:
        return getpass.getpass(f"{what} (not shown): ", sys.stderr)
    except EOFError:
        console.note("")  # the prompt's line ends
        return ""


_Catalogued = Annotated[
    list[str] | None,
    typer.Argument(metavar="NAME", help="Assets of the catalogue.", autocompletion=_complete),
]
_Used = Annotated[
    list[str] | None, typer.Argument(metavar="NAME", help="Assets in use.", autocompletion=_complete)
]
_Json = Annotated[bool, typer.Option("--json", help="Print the facts as one JSON document.")]
_Force = Annotated[
    bool,
    typer.Option(
        "--force", help="Go on even if the disk is too small, or files of yours are to be replaced."
    ),
]
_Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Show no progress.")]


def add_asset(
    names: _Catalogued = None,
    *,
    every: Annotated[bool, typer.Option("--all", help="Every asset of the catalogue.")] = False,
    url: Annotated[
        str | None,
        typer.Option(
            "--url",
            metavar="URL",
            help="A blob's published URL to make an asset of. While it runs, the machine's list of processes"
            " shows it, SAS included; - reads it from stdin instead, where nobody sees it.",
        ),
    ] = None,
    folder: Annotated[
        str | None,
        typer.Option("--dir", metavar="DIR", help="Where the one asset lands.  [with --url: data/NAME]"),
    ] = None,
    sas_stdin: Annotated[
        bool,
        typer.Option(
            "--sas-stdin", help="Read a SAS from standard input and store it for the source, privately."
        ),
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what would happen, and what it takes; write nothing.")
    ] = False,
    json: _Json = False,
    force: _Force = False,
) -> None:
    """Add assets to the pipeline, or refresh those already there.

    Writes the import stage archives/NAME.zip.dvc without downloading, and puts the asset among those in
    use (params.yaml). For an asset already there, asks whether it has changed upstream.

    Example: tools/add-asset vqa && tools/fetch-asset vqa
    """
    from datarepo.commands.add import add

    if sas_stdin and url == "-":
        raise UsageError("only one thing can be read from stdin", "the URL may hold the SAS")
    if every and (url or folder):
        raise UsageError("these options do not go together", "--url and --dir are for one asset")
    sas_text = _read_secret("SAS") if sas_stdin else None
    if url == "-":
        url = _read_secret("URL")
    report = add(
        names or [],
        every=every,
        url=url,
        folder=folder,
        sas_text=sas_text,
        dry_run=dry_run,
        force=force,
    )
    _finish(report, json=json)


def fetch_asset(
    names: _Used = None,
    *,
    every: Annotated[bool, typer.Option("--all", help="Every asset in use.")] = False,
    path: Annotated[
        Path | None,
        typer.Option("--from", metavar="PATH", help="Take the archive from a file; no network is needed."),
    ] = None,
    no_unzip: Annotated[bool, typer.Option("--no-unzip", help="Bring the archives alone.")] = False,
    jobs: Annotated[int, typer.Option("--jobs", "-j", min=1, help="Ranges at a time.")] = 16,
    limit_rate: Annotated[
        str | None,
        typer.Option("--limit-rate", metavar="RATE", help="Bytes a second in all, like 500k or 20M."),
    ] = None,
    quiet: _Quiet = False,
    json: _Json = False,
    force: _Force = False,
) -> None:
    """Bring assets in use here: archives downloaded, verified and unpacked in one pass, cached by DVC.

    Interrupted at any moment, the same command continues where it was. dvc.lock is written as dvc repro
    would have written it, which then finds nothing to do.

    Example: tools/fetch-asset vqa
    """
    from datarepo.azure.retry import parse_rate
    from datarepo.commands.fetch import fetch

    rate = parse_rate(limit_rate) if limit_rate else None
    report = fetch(
        names or [],
        every=every,
        path=path,
        unzips=not no_unzip,
        jobs=jobs,
        rate=rate,
        force=force,
        quiet=quiet,
    )
    _finish(report, json=json)


def list_assets(
    *,
    check: Annotated[
        bool,
        typer.Option(
            "--check",
            help="Ask upstream for sizes and changes; exit code 3 when an asset in use has changed there or"
            " is gone, 1 when it cannot be asked.",
        ),
    ] = False,
    json: _Json = False,
) -> None:
    """List the catalogue, and where the data of each asset is now.

    Example: tools/list-assets --check
    """
    from datarepo.commands import list as listing

    _finish(listing.list_assets(check=check), json=json)


def remove_asset(
    names: _Used,
    *,
    archive: Annotated[
        bool,
        typer.Option(
            "--archive", help="Free only the archives: workspace and cache lose them, the contents stay."
        ),
    ] = False,
    json: _Json = False,
    force: Annotated[bool, typer.Option("--force", help="Delete even what nothing else has.")] = False,
) -> None:
    """Take assets out of use again: stages, parameters and ignore entries.

    The catalogue keeps them, and so do cache and remotes: 'git checkout' and 'dvc checkout' bring them
    back. With --archive they stay in use, and only the disk that their archives take comes free.

    Example: tools/remove-asset vqa
    """
    from datarepo.commands import remove

    act = remove.free_archives if archive else remove.remove
    _finish(act(names or [], force=force), json=json)


def set_remote(
    url: Annotated[
        str | None,
        typer.Argument(
            metavar="[URL]",
            help="azure://CONTAINER/PATH, s3://BUCKET/PATH, ssh://USER@HOST/PATH or a folder; without it,"
            " the one that is set is tried.",
        ),
    ] = None,
    *,
    secret_stdin: Annotated[
        bool,
        typer.Option(
            "--secret-stdin",
            help="Read what gets you in from standard input and store it privately: for Azure a connection"
            " string, key or SAS, for S3 an access key's ID and secret, for SSH a password.",
        ),
    ] = False,
    account: Annotated[
        str | None, typer.Option("--account", metavar="NAME", help="Azure: the storage account.")
    ] = None,
    endpoint: Annotated[
        str | None, typer.Option("--endpoint", metavar="URL", help="S3: the server, if it is not Amazon's.")
    ] = None,
    profile: Annotated[
        str | None, typer.Option("--profile", metavar="NAME", help="S3: your profile in ~/.aws.")
    ] = None,
    keyfile: Annotated[
        str | None,
        typer.Option(
            "--keyfile", metavar="PATH", help="SSH: your private key; --secret-stdin is its passphrase then."
        ),
    ] = None,
    json: _Json = False,
) -> None:
    """Set the storage that the team pushes to and pulls from, once it has been tried.

    Writes a small object there, reads it back and deletes it. The URL goes to .dvc/config, which you
    commit; how you get in goes to .dvc/config.local. Colleagues run it without the URL.

    Example: tools/set-remote azure://team/oscar --account ACCOUNT --secret-stdin
    """
    from datarepo.commands import set_remote as command

    options = {"account": account, "endpoint": endpoint, "profile": profile, "keyfile": keyfile}
    secret = _read_secret("secret") if secret_stdin else None
    _finish(command.set_remote(url, options, secret), json=json)


def unzip_asset(
    *,
    archive: Annotated[
        Path, typer.Argument(metavar="ARCHIVE", help="A zip or tar archive.", exists=True, dir_okay=False)
    ],
    folder: Annotated[
        Path | None, typer.Argument(metavar="DIR", help="The folder that becomes its contents.")
    ] = None,
    members: Annotated[bool, typer.Option("--list", help="Show the members, extract nothing.")] = False,
    json: _Json = False,
    jobs: Annotated[int, typer.Option("-j", "--jobs", min=0, help="Threads; 0: one a core.")] = 0,
    replace: Annotated[bool, typer.Option("--replace", help="Lose what is in DIR.")] = False,
    max_ratio: Annotated[
        float | None,
        typer.Option(
            min=1,
            help="How many times its size the archive may unpack to.  [default: max_ratio of the asset"
            " in params.yaml, or 200]",
        ),
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Go on although the disk seems too small.")] = False,
    quiet: Annotated[bool, typer.Option("-q", "--quiet", help="Print errors only.")] = False,
) -> None:
    """Unpack ARCHIVE so that DIR becomes its contents, wholly or not at all.

    A top-level folder named like the archive or like DIR is left out if it holds everything. An archive
    that is damaged, or that would write outside DIR, is refused, and so is a DIR that is not empty.

    Example: tools/unzip-asset archives/vqa.zip data/vqa
    """
    import gc

    from datarepo.commands.unzip import show_members, unzip

    gc.disable()  # a fifth of the time for 100,000 members, none of which is part of a cycle
    if members:
        _finish(show_members(archive), json=json)
    if folder is None:
        raise UsageError("DIR is missing", "only --list goes without")
    report = unzip(archive, folder, replace=replace, jobs=jobs, max_ratio=max_ratio, force=force, quiet=quiet)
    if not quiet:
        _finish(report, json=json)


def verify_asset(
    names: _Used = None,
    *,
    every: Annotated[bool, typer.Option("--all", help="Every asset in use.")] = False,
    json: _Json = False,
    quiet: _Quiet = False,
) -> None:
    """Read the data of assets in use on all cores, and mend what is damaged.

    Archives and contents are compared with the md5 that git keeps of each, whatever DVC takes them for.
    A damaged file is brought back from the archive, the team remote or upstream; your own edits stay.
    Exit code 1 when something here is not as recorded, and stays so.

    Example: tools/verify-asset --all
    """
    from datarepo.commands.verify import verify

    _finish(verify(names or [], every=every, quiet=quiet), json=json)


_COMMANDS: dict[str, Callable[..., None]] = {
    "add-asset": add_asset,
    "fetch-asset": fetch_asset,
    "list-assets": list_assets,
    "remove-asset": remove_asset,
    "set-remote": set_remote,
    "unzip-asset": unzip_asset,
    "verify-asset": verify_asset,
}
