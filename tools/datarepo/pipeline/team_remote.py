"""The team remote: the storage that `dvc push` and `dvc pull` share through.

KINDS     what there is, and who needs which credential
parse     what a user gives -> a TeamRemote, in the options that DVC has for it
applied   these options on top of those that stand in a file
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from datarepo.azure import sas
from datarepo.errors import UsageError
from datarepo.redact import keep_secret

NAME = "team"


@dataclass(frozen=True)
class Kind:
    """A kind of storage, with DVC's words for its options.

    `options` are those of the command line, `secrets` what gets one in: a new one replaces the others.
    """

    form: str
    needs: str  # who gets in with what, and how that is given
    options: Mapping[str, str] = field(default_factory=dict)
    secrets: tuple[str, ...] = ()
    extra: str = ""  # of `make setup`
    module: str = ""  # that the extra installs

    def needed(self, known: Mapping[str, str]) -> str:
        """`needs`, and Azure's account with it where no option that is known names one."""
        unnamed = "account_name" in self.options.values() and "account_name" not in known
        return self.needs + ("; all but a connection string with --account NAME" if unnamed else "")


KINDS = {
    "azure": Kind(
        "azure://CONTAINER/PATH",
        "the account's connection string, its key, or a SAS of the container that may read, write and list"
        " (sp=rwl), with --secret-stdin; or 'az login' and a role for blob data",
        {"account": "account_name"},
        ("connection_string", "account_key", "sas_token"),
    ),
    "s3": Kind(
        "s3://BUCKET/PATH",
        "an access key that may get, put and list objects, its ID and its secret with --secret-stdin; or a"
        " profile of ~/.aws with --profile",
        {"endpoint": "endpointurl", "profile": "profile"},
        ("access_key_id", "secret_access_key", "session_token", "profile"),
        "s3",
        "dvc_s3",
    ),
    "ssh": Kind(
        "ssh://USER@HOST/PATH",
        "a user name there (ssh://USER@HOST/PATH) and a key that the host accepts, from ssh-agent, ~/.ssh or"
        " --keyfile; or a password with --secret-stdin",
        {"keyfile": "keyfile"},
        ("password", "passphrase"),
        "ssh",
        "dvc_ssh",
    ),
    "": Kind(
        "a folder", "write access to the folder: be in the group that owns it, and the group may write there"
    ),
}
# `shared` is no secret, but DVC refuses it for any other kind: committed, it would keep those who have moved
# on to a cloud from older commits.
_PRIVATE = {"profile", "user", "keyfile", "shared"}.union(*(kind.secrets for kind in KINDS.values()))


@dataclass(frozen=True)
class TeamRemote:
    """A storage, by its kind and DVC's options for it: `public` ones to commit, `private` ones to keep.

    `place` is its URL as anybody here would type it: a folder in full, whatever `.dvc/config` has.
    """

    kind: Kind
    place: str
    public: Mapping[str, str]
    private: Mapping[str, str]

    @property
    def url(self) -> str:
        """Its URL as `.dvc/config` has it, without user or secret."""
        return self.public["url"]


def parse(
    url: str,
    root: Path,
    options: Mapping[str, str | None],
    secret: str | None = None,
    files: Iterable[Mapping[str, str]] = (),
) -> TeamRemote:
    """Make a team remote of what was typed, and of a secret that was not.

    `options` are those of the command line, None where they are not given; `files` are what each file of
    configuration has for the remote. Raises UsageError when these do not go together, and for a URL with
    a secret in it.
    """
    scheme, separator, _ = url.partition("://")
    scheme = scheme if separator else ""
    kind = KINDS.get(scheme)
    if kind is None:
        raise UsageError(
            f"this command knows no storage of the kind {scheme}://",
            f"it knows {', '.join(kind.form for kind in KINDS.values())}; 'dvc remote modify {NAME} url'"
            " sets any that DVC knows",
        )
    given = {name: value for name, value in options.items() if value is not None}
    for name in given:
        if name not in kind.options:
            owner = next(other.form for other in KINDS.values() if name in other.options)
            raise UsageError(f"--{name} does not go with {kind.form}", f"it goes with {owner}")
    if secret is not None and not kind.secrets:
        raise UsageError("a folder needs no secret", "leave --secret-stdin out")
    address, user = _address(url, kind) if scheme else (_folder(url, root), "")
    typed = {"url": address} | {kind.options[name]: value for name, value in given.items()}
    if user:
        typed["user"] = user
    if "keyfile" in typed:
        typed["keyfile"] = os.path.abspath(os.path.expanduser(typed["keyfile"]))  # noqa: PTH100, PTH111  # a link stays one
    if not scheme:
        typed["shared"] = "group"  # the folders that DVC makes there are the group's to write to
    if secret is not None:
        known = {name: value for before in files for name, value in applied(before, {"url": address}).items()}
        typed |= _secret(scheme, secret.strip(), {**known, **typed})
    return TeamRemote(
        kind,
        place(address, root),
        {name: value for name, value in typed.items() if name not in _PRIVATE},
        {name: value for name, value in typed.items() if name in _PRIVATE},
    )


def _address(url: str, kind: Kind) -> tuple[str, str]:
    """The URL without its user, and the user; nobody's secret may stand in it."""
    parts = urlsplit(url)
    if parts.password or parts.query or parts.fragment:
        raise UsageError(
            "the URL holds more than a place, perhaps a secret",
            f"it reads {kind.form}; --secret-stdin takes secrets",
        )
    user, at, host = parts.netloc.rpartition("@")
    if not host or (at and "USER" not in kind.form):
        raise UsageError(f"{url!r} is no place for a team remote", f"it reads {kind.form}")
    return f"{parts.scheme}://{host}{parts.path.rstrip('/')}", user


def _folder(typed: str, root: Path) -> str:
    """The folder as `.dvc/config` has it: absolute, or from `.dvc` where it was typed as relative."""
    folder = Path(os.path.abspath(typed))  # noqa: PTH100  # a link stays one
    if folder.is_relative_to(root):
        raise UsageError(
            f"{folder} lies inside of this clone, where no colleague looks",
            f"give a folder elsewhere, or {KINDS['azure'].form}, {KINDS['s3'].form}, {KINDS['ssh'].form}",
        )
    if not folder.parent.is_dir():
        raise UsageError(f"there is no folder {folder.parent}", f"mkdir -p {folder}, or check the spelling")
    return str(folder) if Path(typed).is_absolute() else os.path.relpath(folder, root / ".dvc")


def _secret(scheme: str, text: str, options: Mapping[str, str]) -> dict[str, str]:
    """What DVC calls the secret, and what it tells besides; masked from now on wherever it is printed."""
    if not text:
        raise UsageError("no secret was given", f"it needs {KINDS[scheme].needed(options)}")
    if scheme == "azure":
        return _connection(text, options.get("account_name"))
    if scheme == "s3":
        words = text.split()
        if len(words) != 2:
            raise UsageError(
                f"an access key is two words, ID and secret, and {len(words)} came",
                "give both on one line, or each on a line of its own",
            )
        keep_secret(words[1])
        return {"access_key_id": words[0], "secret_access_key": words[1]}
    keep_secret(text)
    return {"passphrase" if "keyfile" in options else "password": text}


def _connection(text: str, account: str | None) -> dict[str, str]:
    """A connection string of what people have: one already, a SAS, or a key.

    It wins over every AZURE_STORAGE_* variable of the environment.
    """
    fields = dict(part.partition("=")[::2] for part in text.split(";") if part)
    for name in ("AccountKey", "SharedAccessSignature"):
        if name in fields:
            keep_secret(fields[name].rpartition("sig=")[2])
            named = fields.get("AccountName") or _account(fields.get("BlobEndpoint", ""))
            return {"connection_string": text, **({"account_name": named} if named else {})}
    if "sig=" not in text:
        keep_secret(text)
        if not sas.is_base64(text, 64):  # 512 bits, as Azure makes them
            raise UsageError(
                "this is neither a connection string, nor a SAS, nor an account key",
                f"copy the whole of it; it needs {KINDS['azure'].needs}",
            )
    if not account:
        raise UsageError("a key or a SAS does not tell whose it is", "--account NAME names Azure's account")
    if "sig=" in text:
        endpoint = f"https://{account}.blob.core.windows.net"
        return {"connection_string": f"BlobEndpoint={endpoint};SharedAccessSignature={sas.parse(text).text}"}
    rest = f"AccountName={account};AccountKey={text};EndpointSuffix=core.windows.net"
    return {"connection_string": f"DefaultEndpointsProtocol=https;{rest}"}


def _account(endpoint: str) -> str:
    """The account that an endpoint is of; empty for an emulator's or a domain of one's own."""
    name, _, rest = (urlsplit(endpoint).hostname or "").partition(".")
    return name if rest == "blob.core.windows.net" else ""


def applied(
    before: Mapping[str, str], options: Mapping[str, str], secrets: tuple[str, ...] = ()
) -> dict[str, str]:
    """The options a file is to have for the remote, `url` among them; `secrets` are replaced.

    What else stands there stays if it is of the same place: DVC refuses options of another kind.
    """
    same = before.get("url", options["url"]) == options["url"]
    kept = {name: value for name, value in before.items() if same and name not in secrets}
    return {**kept, **options}


def place(url: str, root: Path) -> str:
    """The URL as DVC's clients take it: `.dvc/config` has folders as seen from `.dvc`."""
    return url if "://" in url else os.path.normpath(root / ".dvc" / url)
