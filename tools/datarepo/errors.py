"""What can go wrong, as a small family: every failure a user can cause or meet is one of these.

The exit code of a command that ends so is 1, of a UsageError 2, of an Interruption 130.
"""

from __future__ import annotations


class RepositoryError(Exception):
    """A failure told in two lines: what happened and where, then what to do next.

    `message` and `hint` are sentences without a final full stop; `hint` may be empty.
    """

    exit_code = 1

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message, hint)  # both, so that it survives being pickled
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return self.message


class UsageError(RepositoryError):
    """The command line asks for something that is not there."""

    exit_code = 2


class Interruption(RepositoryError):  # noqa: N818  # no error: the user wanted it
    """Ctrl-C or SIGTERM; the message says what is kept, and how to go on."""

    exit_code = 130


class CatalogueError(RepositoryError, ValueError):
    """`params.yaml` is missing, malformed or of the wrong shape."""


class StageError(RepositoryError):
    """An import stage, or the DVC repository around it, is not what the tools wrote."""


class SasError(RepositoryError, ValueError):
    """A shared access signature that cannot work."""


class BlobError(RepositoryError, OSError):
    """The Blob service refused a request, or cannot be reached."""


class BlobNotFoundError(BlobError):
    """There is no such blob."""


class BlobChangedError(BlobError):
    """The blob is not the one any more that the import stage records."""


class RemoteError(RepositoryError, OSError):
    """The team remote refused a request, or cannot be reached."""


class ArchiveError(RepositoryError, ValueError):
    """An archive that is broken, or not to be trusted."""


class DiskError(RepositoryError, OSError):
    """Not enough room on the disk."""
