"""`torchglass password NAME >> FILE`: the line that lets somebody in, made from a password that nobody sees."""

from __future__ import annotations

import argparse
import getpass
import sys
from collections.abc import Callable

from torchglass.errors import OptionError
from torchglass.passwords import MOST_CHARACTERS, line_for
from torchglass.terminal import say

EPILOG = (
    "The password is asked for without echo, or is the first line of what is piped in; it is never an argument, which "
    "everybody on the machine could read. Keep the file to yourself (chmod 600), and start the page with "
    "`torchglass ui --host 0.0.0.0 --password-file FILE`."
)


def add_password(verb: Callable[[str, object, str], argparse.ArgumentParser]) -> None:
    """Add the verb to the command line."""
    password = verb("password", _password, "Make a line of a password file, for a page that others can reach.")
    password.epilog = EPILOG
    password.add_argument("name", help="who it is for: 1 to 64 characters without spaces and colons")


def _password(options: argparse.Namespace) -> int:
    say(line_for(options.name, _typed() if sys.stdin.isatty() else _piped()))
    return 0


def _typed() -> str:
    """Ask twice; the questions go to the terminal itself, as the answer may go to a file."""
    first = getpass.getpass("Password: ")
    if getpass.getpass("Once more: ") != first:
        raise OptionError("the two passwords differ: type the same one twice")
    return first


def _piped() -> str:
    return sys.stdin.readline(MOST_CHARACTERS + 2).rstrip("\r\n")
