"""A password file keeps hashes that only the password opens, and the server starts with none that others could read."""

from __future__ import annotations

import getpass
import io
import os
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from torchglass import passwords
from torchglass.cli import main
from torchglass.dashboard import serve
from torchglass.dashboard.serving.login import admission as admitting
from torchglass.dashboard.serving.login.admission import (
    Admission,
    admission,
    admission_of_environment,
    require_admission,
)
from torchglass.errors import OptionError
from torchglass.passwords import COST, line_for, read_passwords

SECRET = "correct horse battery"


@pytest.fixture(scope="module")
def line() -> str:
    return line_for("ada", SECRET)


@pytest.fixture
def file(tmp_path: Path, line: str) -> Path:
    """A password file as it should be."""
    path = tmp_path / "passwords"
    path.write_text(f"# who may come in\n\n{line}\n")
    path.chmod(0o600)
    return path


def test_a_line_opens_by_its_password_alone_and_does_not_hold_it(file: Path, line: str) -> None:
    known = read_passwords(file)
    tried = (("ada", SECRET), ("ada", SECRET.upper()), ("ada", ""), ("eve", SECRET), ("", ""))
    assert [known.admit(*each) for each in tried] == [True, False, False, False, False]
    assert SECRET not in line
    assert line.startswith(f"ada:scrypt${COST}$8$1$")


def test_equal_passwords_have_unequal_lines(line: str) -> None:
    assert line_for("ada", SECRET) != line


def test_a_letter_is_one_letter_however_a_keyboard_composes_it(tmp_path: Path) -> None:
    path = tmp_path / "passwords"
    path.write_text(line_for("ada", "pa\u0308sswort"))
    path.chmod(0o600)
    assert read_passwords(path).admit("ada", "p\u00e4sswort")


def test_the_last_line_of_a_name_counts(tmp_path: Path, line: str) -> None:
    path = tmp_path / "passwords"
    path.write_text(f"{line}\n{line_for('ada', 'another password')}\n")
    path.chmod(0o600)
    known = read_passwords(path)
    assert (known.admit("ada", SECRET), known.admit("ada", "another password")) == (False, True)


@pytest.mark.parametrize("mode", [0o644, 0o640, 0o602, 0o666])
def test_a_file_that_others_may_read_or_write_is_refused(file: Path, mode: int) -> None:
    if os.name == "nt":
        pytest.skip("permissions are told otherwise there")
    file.chmod(mode)
    with pytest.raises(OptionError, match=rf"permissions {mode:o}.*chmod 600"):
        read_passwords(file)


@pytest.mark.parametrize(
    "text",
    [
        *("", "# nobody\n", "ada\n", "ada:plain password\n", ":scrypt$32768$8$1$c2FsdHNhbHQ=$aGFzaA==\n"),
        *("ada:md5$32768$8$1$c2FsdHNhbHQ=$aGFzaA==\n", "ada:scrypt$32768$8$1$%%%$aGFzaA==\n"),
        "ada:scrypt$1073741824$8$1$c2FsdHNhbHQ=$aGFzaA==\n",  # a terabyte for each guess
        "ada:scrypt$2$8$1$c2FsdHNhbHQ=$aGFzaA==\n",  # next to nothing
        "ada:scrypt$32767$8$1$c2FsdHNhbHQ=$aGFzaA==\n",
        "ada:scrypt$32768$8$0$c2FsdHNhbHQ=$aGFzaA==\n",
        "ada:scrypt$32768$8$1$$aGFzaA==\n",
        "ada:scrypt$nan$8$1$c2FsdHNhbHQ=$aGFzaA==\n",
    ],
)
def test_a_file_without_usable_lines_is_refused_and_never_quoted(tmp_path: Path, text: str) -> None:
    path = tmp_path / "passwords"
    path.write_text(text)
    path.chmod(0o600)
    with pytest.raises(OptionError, match="password file") as refused:
        read_passwords(path)
    assert not [word for word in ("plain password", "aGFzaA", "c2Fsd") if word in str(refused.value)]


def test_a_file_that_is_not_there_says_how_to_make_one(tmp_path: Path) -> None:
    with pytest.raises(OptionError, match="torchglass password NAME >> FILE"):
        read_passwords(tmp_path / "none")


@settings(max_examples=100, deadline=None, derandomize=True)
@given(st.text(max_size=80))
def test_a_name_is_refused_or_stands_alone_before_its_hash(name: str) -> None:
    with pytest.MonkeyPatch.context() as cheap:
        cheap.setattr(passwords, "COST", 2**11)
        try:
            made = line_for(name, SECRET)
        except OptionError:
            return
    assert made.splitlines() == [made]
    assert made.partition(":scrypt$")[0] == name


@pytest.mark.parametrize("name", ["", "a b", "a:b", "a\nb", "\u202ea", "x" * 65])
def test_names_with_spaces_colons_or_nothing_to_see_are_refused(name: str) -> None:
    with pytest.raises(OptionError, match="cannot be used"):
        line_for(name, SECRET)


@pytest.mark.parametrize("password", ["", "1234567", "x" * 1025])
def test_a_password_that_is_too_short_or_too_long_is_refused_without_being_told(password: str) -> None:
    with pytest.raises(OptionError, match=f"of {len(password)} characters") as refused:
        line_for("ada", password)
    assert not password or password not in str(refused.value)


def test_the_verb_takes_the_password_from_a_pipe_and_never_as_an_argument(tmp_path: Path) -> None:
    made = subprocess.run(
        [sys.executable, "-m", "torchglass", "password", "ada"], input=f"{SECRET}\n", capture_output=True, text=True
    )
    assert (made.returncode, made.stderr) == (0, "")
    path = tmp_path / "passwords"
    path.write_text(made.stdout)
    path.chmod(0o600)
    assert read_passwords(path).admit("ada", SECRET)


def test_the_verb_asks_twice_on_a_terminal(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    monkeypatch.setattr(sys, "stdin", Terminal())
    answers = iter([SECRET, "something else", SECRET, SECRET])
    monkeypatch.setattr(getpass, "getpass", lambda question: next(answers))
    assert main(["password", "ada"]) == 2
    assert main(["password", "ada"]) == 0
    told = capsys.readouterr()
    assert told.out.startswith("ada:scrypt$")
    assert told.err == "torchglass: the two passwords differ: type the same one twice\n"
    assert SECRET not in told.out + told.err


@pytest.mark.parametrize("address", ["0.0.0.0", "::", "192.0.2.1", "glass.lan", "", "127.0.0.1.evil.example", None])
def test_a_server_that_others_can_reach_needs_a_log_in(address: str | None) -> None:
    with pytest.raises(OptionError, match=r"--password-file FILE .*--login oidc .*--insecure .*ssh -L 8501"):
        require_admission(address, Admission(hosts=frozenset({"glass.lan"})), 8501)
    require_admission(address, Admission(is_insecure=True), 8501)
    require_admission(address, Admission(is_oidc=True), 8501)


@pytest.mark.parametrize("address", ["127.0.0.1", "127.8.8.8", "::1", "localhost", "::ffff:127.0.0.1"])
def test_a_server_of_this_machine_alone_needs_none(address: str) -> None:
    require_admission(address, Admission(), 8501)


def test_serving_others_without_a_log_in_is_refused_before_anything_is_bound() -> None:
    with pytest.raises(OptionError, match=r"'0.0.0.0' can be reached from other machines"):
        serve(host="0.0.0.0", port=8501, admitted=Admission())


def test_kinds_of_log_in_exclude_each_other_and_the_unknown_is_refused(file: Path) -> None:
    with pytest.raises(OptionError, match="exclude each other"):
        admission(file, insecure=True)
    with pytest.raises(OptionError, match="exclude each other"):
        admission(None, "oidc", insecure=True)
    with pytest.raises(OptionError, match="--login takes oidc"):
        admission(None, "saml")
    with pytest.raises(OptionError, match="TORCHGLASS_INSECURE is 'yes'"):
        admission_of_environment({"TORCHGLASS_INSECURE": "yes"})


def test_the_environment_says_the_same_as_the_options(file: Path) -> None:
    said = {"TORCHGLASS_PASSWORD_FILE": str(file), "TORCHGLASS_ALLOW_HOSTS": "Glass.LAN, [2001:db8::1],"}
    assert admission_of_environment(said) == admission(file, hosts=["glass.lan", "2001:db8::1"])
    assert admission_of_environment({"TORCHGLASS_INSECURE": "1"}) == admission(insecure=True)
    assert admission_of_environment({"TORCHGLASS_INSECURE": "0", "TORCHGLASS_LOGIN": ""}) == Admission()


@pytest.mark.parametrize("name", ["", "http://glass.lan", "glass.lan:8501", "*", "a b", "me@glass.lan", "*.lan"])
def test_a_name_that_is_no_name_is_refused(name: str) -> None:
    with pytest.raises(OptionError, match="--allow-host takes a name"):
        admission(hosts=[name])


def test_open_id_connect_says_what_it_lacks(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    import streamlit.auth_util as auth

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(auth, "is_authlib_installed", lambda: False)
    with pytest.raises(OptionError, match=r"pip install 'streamlit\[auth\]'"):
        admission(login="oidc")
    monkeypatch.setattr(auth, "is_authlib_installed", lambda: True)
    monkeypatch.setattr(auth, "get_secrets_auth_section", dict)
    with pytest.raises(OptionError, match=r"\[auth\] section .*secrets\.toml"):
        admission(login="oidc")
    monkeypatch.setattr(auth, "get_secrets_auth_section", lambda: {"client_id": "x"})
    assert admission(login="oidc") == Admission(is_oidc=True)
    assert admitting.OIDC == "oidc"
