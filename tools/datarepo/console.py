"""What a user sees: results on stdout, all else on stderr, nothing secret on either.

say      a line of the result
show     the result as one JSON document
note     a line about the work: what is awaited, what was found odd
run      a command, from its first line to its exit code
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import signal
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import IO, NoReturn, cast

from datarepo.errors import Interruption, RepositoryError
from datarepo.redact import RedactingStream, redact

INTERRUPTED = 130  # 128 + SIGINT, as shells count


def say(text: str = "") -> None:
    """Print a line of the result."""
    print(text)


def show(document: object) -> None:
    """Print the result as one JSON document."""
    print(json.dumps(document, indent=2, ensure_ascii=False))


def note(text: str) -> None:
    """Print a line about the work on stderr."""
    print(text, file=sys.stderr, flush=True)


def first_line(error: BaseException) -> str:
    """What a library says of a failure, in a line: its kind where it says nothing."""
    return str(error).strip().partition("\n")[0] or type(error).__name__


def few(names: Sequence[str], most: int = 5) -> str:
    """Names in a message, as many as are read.

    >>> few(["a", "b", "c"], 2)
    'a, b and 1 more'
    """
    more = len(names) - most
    return ", ".join(names[:most]) + (f" and {more} more" if more > 0 else "")


def size(count: float) -> str:
    """A number of bytes for people, in powers of 1000 as disks are sold.

    >>> size(999), size(12_345), size(91_000_000_000)
    ('999 B', '12.3 kB', '91.0 GB')
    """
    for unit in ("B", "kB", "MB", "GB", "TB"):
        if abs(count) < 999.95 or unit == "TB":
            break
        count /= 1000
    return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"


def duration(seconds: float) -> str:
    """A time for people.

    >>> duration(7.4), duration(83), duration(7380)
    ('7 s', '1 min 23 s', '2 h 3 min')
    """
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"


def run(app: Callable[..., object], name: str, hinted: Callable[[str], str] = str) -> NoReturn:
    """Run a command to its exit: every failure ends in `error: …` and `hint: …`, with its code.

    `hinted` makes of a hint what is to be told in the current folder.
    """
    for standard, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, standard) is None:  # closed by the shell: `tools/list-assets >&-`
            setattr(sys, standard, Path(os.devnull).open(mode))  # noqa: SIM115  # open until exit
    sys.stdout = cast("IO[str]", RedactingStream(sys.stdout))
    sys.stderr = cast("IO[str]", RedactingStream(sys.stderr))
    quiet = logging.StreamHandler(sys.stderr)  # libraries report here; what they raise is told below
    quiet.setLevel(logging.CRITICAL)
    logging.getLogger().addHandler(quiet)
    try:
        for number in (signal.SIGINT, signal.SIGTERM):  # SIGTERM ends as Ctrl-C does: in order
            signal.signal(number, signal.default_int_handler)
        arguments = sys.argv[1:]
        sys.argv[1:] = map(redact, arguments)  # DVC writes them to its list of locks
        code = app(arguments, prog_name=name, standalone_mode=False)
        sys.stdout.flush()
        code = code if isinstance(code, int) else 0
        if code == INTERRUPTED:  # how Typer answers Ctrl-C
            raise KeyboardInterrupt
    except (KeyboardInterrupt, Interruption) as error:
        # The terminal has written ^C or a prompt on this line.
        begin = "\n" if sys.stderr.isatty() else ""
        note(
            f"{begin}interrupted: {str(error) or 'run the same command again, it continues or starts afresh'}"
        )
        code = INTERRUPTED
    except (BrokenPipeError, SystemExit):  # `… | head`: nobody reads on, for which Typer exits; no failure
        sys.stdout = sys.stderr = cast("IO[str]", Path(os.devnull).open("w"))  # noqa: SIM115  # open until exit
        code = 0
    except RepositoryError as error:
        code = _fail(error.message, hinted(error.hint), error.exit_code)
    except Exception as error:  # noqa: BLE001  # the last resort: no traceback reaches a user
        code = _unforeseen(error, name)
    with contextlib.suppress(OSError):
        sys.stdout.flush()
        sys.stderr.flush()
    # Threads may still wait for answers that never come, and obstore's for a request that was given up:
    # to take the interpreter apart under them has aborted it.
    os._exit(code)


def _unforeseen(error: Exception, name: str) -> int:
    from typer import TyperException

    if isinstance(error, TyperException):
        return _fail(
            error.format_message(), f"'tools/{name} --help' lists arguments and options", error.exit_code
        )
    if isinstance(error, OSError) and error.strerror:
        where = f": {error.filename}" if error.filename else ""
        return _fail(f"{error.strerror}{where}", "", 1)
    if type(error).__module__.split(".")[0] == "dvc":
        return _fail(f"DVC says: {error}", "", 1)
    import traceback

    if os.environ.get("DATAREPO_DEBUG"):
        traceback.print_exception(error)
    return _fail(
        f"a defect of {name}: {type(error).__name__}: {error}",
        "with DATAREPO_DEBUG=1 the same command prints a traceback to report, signatures masked",
        1,
    )


def _fail(message: str, hint: str, code: int) -> int:
    note(f"error: {message}")
    if hint:
        note(f"hint: {hint}")
    return code
