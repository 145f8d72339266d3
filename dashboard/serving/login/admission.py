"""Who is let in, as the command line or the environment says; a server that others can reach and that lets everybody in
does not start."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from torchglass.dashboard.serving.security import is_loopback
from torchglass.errors import OptionError
from torchglass.passwords import Passwords, read_passwords

# What `streamlit run app.py` reads, which takes no options of ours.
PASSWORD_FILE: Final = "TORCHGLASS_PASSWORD_FILE"
LOGIN: Final = "TORCHGLASS_LOGIN"
INSECURE: Final = "TORCHGLASS_INSECURE"
ALLOWED_HOSTS: Final = "TORCHGLASS_ALLOW_HOSTS"
OIDC: Final = "oidc"


@dataclass(frozen=True)
class Admission:
    """How visitors are told from strangers.

    With `passwords` they log in with ours, with `is_oidc` through Streamlit's OpenID Connect, and with `is_insecure`
    everybody who reaches the server is let in; with none of the three only this machine is. `hosts` are names that the
    server may be called by beside its own address.
    """

    passwords: Passwords | None = None
    is_oidc: bool = False
    is_insecure: bool = False
    hosts: frozenset[str] = frozenset()

    @property
    def is_open_to_others(self) -> bool:
        """Whether requests from other machines are answered at all."""
        return self.passwords is not None or self.is_oidc or self.is_insecure


_current = Admission()


def admit_by(chosen: Admission) -> None:
    """Let this process's pages know who is let in."""
    global _current
    _current = chosen


def current_admission() -> Admission:
    """Who is let in by this process."""
    return _current


def admission(
    password_file: str | os.PathLike[str] | None = None,
    login: str | None = None,
    insecure: bool = False,
    hosts: Iterable[str] = (),
) -> Admission:
    """Check what was asked for.

    Raises:
        OptionError: more than one kind of login, an unknown one, a password file that cannot be used, a name with a
            port or a scheme, or OpenID Connect without its package or its settings.
    """
    if sum((password_file is not None, login is not None, insecure)) > 1:
        raise OptionError("a password file, --login and --insecure exclude each other: give one of them")
    if login not in (None, OIDC):
        raise OptionError(f"--login takes {OIDC}, not {login!r}")
    if login == OIDC:
        _require_oidc()
    passwords = read_passwords(password_file) if password_file is not None else None
    return Admission(passwords, login == OIDC, insecure, frozenset(map(_host, hosts)))


def admission_of_environment(environment: Mapping[str, str] | None = None) -> Admission:
    """What `TORCHGLASS_PASSWORD_FILE`, `TORCHGLASS_LOGIN`, `TORCHGLASS_INSECURE=1` and `TORCHGLASS_ALLOW_HOSTS` say.

    Raises:
        OptionError: as `admission` does.
    """
    told = os.environ if environment is None else environment
    insecure = told.get(INSECURE, "")
    if insecure not in ("", "0", "1"):
        raise OptionError(f"{INSECURE} is {insecure!r}: set it to 1, or not at all")
    hosts = [host for host in told.get(ALLOWED_HOSTS, "").split(",") if host.strip()]
    return admission(told.get(PASSWORD_FILE) or None, told.get(LOGIN) or None, insecure == "1", hosts)


def require_admission(address: str | None, asked: Admission, port: int) -> None:
    """Refuse to listen where others can reach a page that lets everybody in.

    Raises:
        OptionError: `address` is no loopback address, or None, which is all of the machine's, and nobody logs in.
    """
    if asked.is_open_to_others or (address is not None and is_loopback(address)):
        return
    place = f"host {address!r}" if address else "without an address the server listens on all, which"
    raise OptionError(
        f"{place} can be reached from other machines, and nobody would have to log in: give --password-file FILE (or "
        f"{PASSWORD_FILE}), --login {OIDC} (or {LOGIN}), or --insecure (or {INSECURE}=1) where everybody may see, "
        f"change and train; or use 127.0.0.1 and a tunnel such as `ssh -L {port}:127.0.0.1:{port} this-machine`"
    )


def _require_oidc() -> None:
    from streamlit.auth_util import get_secrets_auth_section, is_authlib_installed

    if not is_authlib_installed():
        raise OptionError("OpenID Connect needs Authlib: pip install 'streamlit[auth]'")
    if not get_secrets_auth_section():
        raise OptionError(
            "OpenID Connect needs an [auth] section with redirect_uri, cookie_secret, client_id, client_secret and "
            "server_metadata_url: write it into .streamlit/secrets.toml"
        )


def _host(name: str) -> str:
    told = name.strip().lower().rstrip(".").removeprefix("[").removesuffix("]")
    if not told or any(sign in told for sign in "/@ ,*") or told.count(":") == 1:
        raise OptionError(f"--allow-host takes a name or address as browsers call it, no scheme, no port: not {name!r}")
    return told
