"""Names and the scrypt hashes of their passwords, a line each, for pages that other machines can reach.

A line is `name:scrypt$N$r$p$salt$hash`, salt and hash in base64: Percival and Josefsson, RFC 7914. Costs are those of
the line, so they may rise for new lines while old ones stay good.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import os
import re
import secrets
import stat
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from torchglass.errors import OptionError

SCHEME: Final = "scrypt"
COST: Final = 2**15  # with 8 and 1: 32 MiB and about 80 ms for each guess
BLOCK, LANES = 8, 1
SALT_BYTES, HASH_BYTES = 16, 32
LEAST_CHARACTERS: Final = 8
MOST_CHARACTERS: Final = 1024
_COSTLIEST_BYTES: Final = 256 * 2**20  # a line must not make the server allocate what it has not
_NAME = re.compile(r"[^\s:]{1,64}")


@dataclass(frozen=True)
class Hash:
    """A password's hash, with all that it takes to compute it again."""

    cost: int
    block: int
    lanes: int
    salt: bytes
    digest: bytes

    def is_of(self, password: str) -> bool:
        """Whether this is the hash of a password; takes the same time whatever the password."""
        return secrets.compare_digest(_digest(password, self.cost, self.block, self.lanes, self.salt), self.digest)

    def __str__(self) -> str:
        salt, digest = (base64.b64encode(part).decode() for part in (self.salt, self.digest))
        return f"{SCHEME}${self.cost}${self.block}${self.lanes}${salt}${digest}"


@dataclass(frozen=True)
class Passwords:
    """Who may come in."""

    hashes: Mapping[str, Hash]

    def admit(self, name: str, password: str) -> bool:
        """Whether this is the password of that name; an unknown name costs what a known one does."""
        known = self.hashes.get(name)
        compared = known if known is not None else next(iter(self.hashes.values()))
        return compared.is_of(password) and known is not None


def line_for(name: str, password: str) -> str:
    """The line of a password file, with a salt of its own.

    Raises:
        OptionError: a name that a line cannot hold, or a password that is too short or too long.
    """
    if not _NAME.fullmatch(name) or not name.isprintable():
        raise OptionError(f"name {name!r} cannot be used: give 1 to 64 visible characters without spaces and colons")
    if not LEAST_CHARACTERS <= len(password) <= MOST_CHARACTERS:
        raise OptionError(
            f"a password of {len(password)} characters was given: take {LEAST_CHARACTERS} to {MOST_CHARACTERS}"
        )
    salt = secrets.token_bytes(SALT_BYTES)
    return f"{name}:{Hash(COST, BLOCK, LANES, salt, _digest(password, COST, BLOCK, LANES, salt))}"


def read_passwords(path: str | os.PathLike[str]) -> Passwords:
    """Read a password file; empty lines and lines that begin with `#` are skipped, and the last line of a name counts.

    Raises:
        OptionError: no such file, one that other users of the machine may read, no name in it, or a line that is none
            of ours. Nothing of a line is quoted but its number.
    """
    place = Path(path)
    try:
        text = place.read_text(encoding="utf-8")
        mode = place.stat().st_mode
    except (OSError, UnicodeDecodeError) as error:
        raise OptionError(f"password file {place} cannot be read ({_reason(error)}): make one, {_HOW}") from error
    if os.name != "nt" and mode & (stat.S_IRWXG | stat.S_IRWXO):
        raise OptionError(
            f"password file {place} has permissions {stat.S_IMODE(mode):o}, so other users of this machine can read "
            f"or change it: run `chmod 600 {place}`"
        )
    hashes = dict(
        _entry(place, number, line)
        for number, line in enumerate(text.splitlines(), start=1)
        if line.strip() and not line.startswith("#")
    )
    if not hashes:
        raise OptionError(f"password file {place} holds no name: add one, {_HOW}")
    return Passwords(hashes)


_HOW: Final = "with `torchglass password NAME >> FILE`"


def _entry(place: Path, number: int, line: str) -> tuple[str, Hash]:
    name, _, told = line.strip().partition(":")
    parts = told.split("$")
    try:
        scheme, cost, block, lanes, salt, digest = parts
        found = Hash(int(cost), int(block), int(lanes), _bytes(salt), _bytes(digest))
    except (ValueError, binascii.Error):
        scheme, found = "", None
    if scheme != SCHEME or found is None or not _NAME.fullmatch(name) or not _is_affordable(found):
        raise OptionError(f"line {number} of password file {place} is no name:hash of ours: replace it, {_HOW}")
    return name, found


def _is_affordable(found: Hash) -> bool:
    """Whether scrypt takes these costs, and a guess is neither too cheap nor more than the server can bear."""
    is_power = found.cost > 1 and found.cost & (found.cost - 1) == 0
    positive = found.block > 0 and 0 < found.lanes <= 16
    return (
        is_power and positive and 2**14 <= found.cost * found.block <= _COSTLIEST_BYTES // 128 and len(found.salt) >= 8
    )


def _digest(password: str, cost: int, block: int, lanes: int, salt: bytes) -> bytes:
    # One spelling of a character, whichever keyboard composed it.
    told = unicodedata.normalize("NFKC", password).encode("utf-8", "surrogatepass")
    memory = 128 * block * (cost + lanes + 2) + 2**20
    return hashlib.scrypt(told, salt=salt, n=cost, r=block, p=lanes, maxmem=memory, dklen=HASH_BYTES)


def _bytes(text: str) -> bytes:
    return base64.b64decode(text, validate=True)


def _reason(error: OSError | UnicodeDecodeError) -> str:
    return error.strerror or type(error).__name__ if isinstance(error, OSError) else "not UTF-8"
