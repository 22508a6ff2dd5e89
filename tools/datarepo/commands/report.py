"""What a command did, in the one shape that all of them answer in."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any


class Report:
    """The result of a run: lines for people, a document for programs, an exit code for scripts."""

    @property
    def exit_code(self) -> int:
        """0 unless the command's own documentation says otherwise."""
        return 0

    def lines(self) -> Iterable[str]:
        """The result for people, on stdout."""
        raise NotImplementedError

    def document(self) -> Any:  # noqa: ANN401  # whatever JSON can hold
        """The same facts for programs; sizes in bytes, times in seconds."""
        raise NotImplementedError

    def notes(self) -> Iterable[str]:
        """What else people should know, on stderr."""
        return ()
