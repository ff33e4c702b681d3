"""Where the server is and who we are: environment first, then the file of `login`."""

import json
import os
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit

from trivium.cli.errors import CliError, Exit

DEFAULT_URL = "http://127.0.0.1:8321"


class Config(NamedTuple):
    """A server and the token to use there."""

    url: str
    token: str


def config_file() -> Path:
    """Return where `login` saves."""
    named = os.environ.get("TRIVIUM_CONFIG")
    if named:
        return Path(named)
    base = os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config"
    return Path(base) / "trivium" / "config.json"


def checked_url(url: str) -> str:
    """Return `url` without its last slash, if it is one a server can have."""
    try:
        parts = urlsplit(url)
        is_usable = parts.scheme in {"http", "https"} and bool(parts.hostname)
    except ValueError:
        is_usable = False
    if not is_usable or not url.isprintable():
        raise CliError(f"{url!r} is not a URL like {DEFAULT_URL}")
    return url.rstrip("/")


def load(url: str = "") -> Config:
    """Return the server to talk to; `url` (a flag) wins over all else.

    A token saved for one server is never sent to another.
    """
    saved_url, saved_token = _read_saved()
    chosen = checked_url(
        url or os.environ.get("TRIVIUM_URL") or saved_url or DEFAULT_URL
    )
    token = os.environ.get("TRIVIUM_TOKEN", "")
    if not token and chosen == saved_url:
        token = saved_token
    if not token:
        raise CliError(
            f"no token for {chosen}: run `trivium login {chosen}`", Exit.DENIED
        )
    return Config(chosen, token)


def _read_saved() -> tuple[str, str]:
    file = config_file()
    try:
        saved = json.loads(file.read_text())
        return str(saved["url"]), str(saved["token"])
    except FileNotFoundError:
        return "", ""
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise CliError(f"{file} cannot be read: {error}") from error


def save(config: Config) -> Path:
    """Keep a server and its token, for the owner's eyes only."""
    file = config_file()
    file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    temporary = file.with_name(f".{file.name}.tmp")
    temporary.unlink(missing_ok=True)
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as handle:
        json.dump(config._asdict(), handle)
    temporary.replace(file)
    return file
