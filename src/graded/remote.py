"""The team's remote: where DVC keeps its objects, set in .dvc/config without credentials.

The shipped sample has a remote of its own, ``sample``: a tracked folder that nothing is ever pushed to. So the default
remote is another one, and never a folder inside this repository.
"""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit, urlunsplit

from graded.errors import MissingError, ParamError, flat, one_of

SAMPLE = "sample"
#: Where each kind's credentials come from, for messages; the others ask DVC's own documentation.
CREDENTIALS = {
    "s3": "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, AWS_PROFILE, or ~/.aws",
    "gs": "GOOGLE_APPLICATION_CREDENTIALS, or gcloud auth application-default login",
    "azure": "AZURE_STORAGE_CONNECTION_STRING, AZURE_STORAGE_ACCOUNT and AZURE_STORAGE_KEY, or az login",
    "ssh": "ssh-agent, or ~/.ssh/config",
}
SECRETS = {
    "access_key_id", "secret_access_key", "session_token", "password", "passphrase", "account_key", "sas_token",
    "connection_string", "client_secret", "sse_customer_key", "token", "gdrive_client_secret",
    "oss_key_secret",
}  # fmt: skip


class Remote(NamedTuple):
    """One remote as DVC's merged configuration has it; secrets are left out of ``options``."""

    name: str
    url: str
    options: dict[str, Any]

    @property
    def scheme(self) -> str:
        """``s3``, ``gs``, ``azure``, ``ssh`` ...; empty for a local folder."""
        return scheme_of(self.url)

    def __str__(self) -> str:
        return f"remote {self.name!r} ({bare(self.url)})"


def scheme_of(url: str) -> str:
    """Return the scheme of a URL; empty for a path."""
    return url.partition("://")[0].lower() if "://" in url else ""


def bare(url: str) -> str:
    """Return ``url`` without anything that may be a credential: user, password, query and fragment."""
    if "://" not in url:
        return url
    try:
        parts = urlsplit(url)
    except ValueError:
        return f"{scheme_of(url)}://..."
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2], query="", fragment=""))


def configuration(root: Path) -> Any:
    """Return DVC's configuration of the repository at ``root``, all its levels merged.

    Raises:
        MissingError: there is no .dvc folder.
        ParamError: .dvc/config breaks its form.
    """
    from dvc.config import Config, ConfigError

    if not (root / ".dvc").is_dir():
        raise MissingError(f"no .dvc in {root.resolve()}; run this inside a graded repository")
    try:
        return Config(str(root / ".dvc"))
    except ConfigError as error:
        raise ParamError(f"{root / '.dvc' / 'config'}: {flat(error)}") from None


def named(root: Path, name: str | None = None) -> Remote | None:
    """Return the remote ``name``, by default the team's: DVC's default remote. None where it is not set."""
    found = configuration(root)
    name = name or found.get("core", {}).get("remote")
    values = dict(found["remote"].get(name, {})) if name else {}
    if name is None or "url" not in values:
        return None
    url = str(values.pop("url"))
    return Remote(name, url, {key: value for key, value in values.items() if key not in SECRETS})


def cache(root: Path) -> Path:
    """Return the folder of DVC's cache."""
    return root / (configuration(root).get("cache", {}).get("dir") or Path(".dvc") / "cache")


def legal(root: Path, name: str, url: str, options: Mapping[str, str]) -> None:
    """Return if this may become the team's remote.

    Raises:
        ParamError: the sample's name, a scheme or option that DVC has not, a secret, a folder inside the repository.
        MissingError: DVC's plug-in for the scheme is not installed.
    """
    from dvc.config_schema import REMOTE_SCHEMAS

    if name == SAMPLE or not name.replace("-", "").replace("_", "").isalnum():
        raise ParamError(f"--name: received {name!r}; {SAMPLE!r} is the shipped sample's own; such as: team")
    scheme = scheme_of(url)
    if scheme not in set(REMOTE_SCHEMAS) - {"remote"}:
        known = ["a folder", *(f"{one}://" for one in REMOTE_SCHEMAS if one not in ("", "remote"))]
        raise ParamError(f"remote: received {bare(url)!r}; legal: {', '.join(known)}")
    address(url, scheme, name, "remote")
    for option, value in options.items():
        if option == "endpointurl" or "://" in value:
            address(value, scheme, name, "--endpoint" if option == "endpointurl" else f"--option {option}")
        if not value.isprintable():
            raise ParamError(f"--option {option}: received {value!r}; expected one line of text")
    for option in options:
        if option in SECRETS:
            raise ParamError(
                f"--option: {option} is a secret, which .dvc/config must not hold; {where(scheme)}, or "
                f"'dvc remote modify --local {name} {option} VALUE'"
            )
        if option not in (names := sorted(str(one) for one in REMOTE_SCHEMAS[scheme] if one != "url")):
            raise ParamError(f"--option for {scheme or 'a folder'}: {one_of(option, names)}")
    if not scheme and Path(url).expanduser().resolve().is_relative_to(root.resolve()):
        raise ParamError(
            f"remote: received {url!r}, a folder inside this repository, where a push would end in the work tree; "
            "choose one outside it"
        )
    plugin(scheme)


def address(url: str, scheme: str, name: str, what: str) -> None:
    """Return if ``url``, of the remote ``name`` or ``what`` belongs to it, is whole and carries no credential.

    Raises:
        ParamError: white space, a user or a query, no host or bucket, an endpoint that is not HTTP.
    """
    if not url.isprintable() or ("://" in url and " " in url):
        raise ParamError(f"{what}: received {bare(url)!r}; expected an address without white space")
    if what == "remote" and not scheme:
        return
    try:
        parts = urlsplit(url)
        host, user, _ = parts.hostname, parts.netloc.rpartition("@")[0], parts.port
    except ValueError as error:
        raise ParamError(f"{what}: received {bare(url)!r}, no address ({flat(error)})") from None
    if ":" in user or (user and (scheme != "ssh" or what != "remote")):
        raise ParamError(f"{what}: {bare(url)!r} came with credentials, which are never written; {where(scheme)}")
    if "?" in url or "#" in url:
        raise ParamError(
            f"{what}: {bare(url)!r} came with a query (a signature, token or key), which is never written; "
            f"{where(scheme)}, or 'dvc remote modify --local {name} OPTION VALUE'"
        )
    if what == "--endpoint" and parts.scheme not in ("http", "https"):
        raise ParamError(f"{what}: received {bare(url)!r}; expected such as https://s3.example.org")
    if not host and parts.scheme != "hdfs":
        raise ParamError(f"{what}: received {bare(url)!r}, which names no bucket or host; such as s3://bucket/prefix")


def plugin(scheme: str) -> None:
    """Return if DVC's plug-in for ``scheme`` is installed.

    Raises:
        MissingError: it is not; the command that installs it.
    """
    from dvc_objects.fs import known_implementations

    module = str(known_implementations.get(scheme, {}).get("class", "")).partition(".")[0]
    if module and importlib.util.find_spec(module) is None:
        package = module.replace("_", "-")
        raise MissingError(f"{scheme}:// needs DVC's plug-in {package}, which is not installed; pip install {package}")


def write(root: Path, name: str, url: str, options: Mapping[str, str]) -> None:
    """Make ``url`` the default remote in .dvc/config, under ``name``; what stood under the name is replaced.

    DVC verifies the hash of everything that it downloads from it.

    Raises:
        ParamError: a value that DVC does not accept; .dvc/config is as it was.
    """
    from dvc.config import ConfigError

    found = configuration(root)
    place = url if scheme_of(url) else os.path.expanduser(url)
    before = Path(found.files["repo"]).read_bytes()
    try:
        with found.edit("repo") as levels:
            levels["remote"][name] = {"url": place, "verify": True, **options}
            levels["core"]["remote"] = name
    except ConfigError as error:
        Path(found.files["repo"]).write_bytes(before)
        raise ParamError(f"remote: DVC does not accept this: {flat(error)}") from None


def where(scheme: str) -> str:
    """Say where the credentials of a scheme come from."""
    return f"they come from {CREDENTIALS.get(scheme, 'the environment')}"
