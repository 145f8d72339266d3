"""The NVIDIA driver's library, asked through its official bindings (`nvidia-ml-py`): one door for every question."""

from __future__ import annotations

import importlib.metadata
from types import ModuleType
from typing import Any

# Return codes of NVML.
UNINITIALIZED, NOT_SUPPORTED, FUNCTION_NOT_FOUND, GPU_IS_LOST = 1, 3, 13, 15
RESET_REQUIRED, VERSION_MISMATCH = 16, 25
GONE = (UNINITIALIZED, GPU_IS_LOST, RESET_REQUIRED)  # the device answers nothing else either
UNAVAILABLE = (NOT_SUPPORTED, FUNCTION_NOT_FOUND, VERSION_MISMATCH)  # another way of asking may still be answered


class RefusedError(Exception):
    """The driver did not answer a question; its words, and its code."""

    def __init__(self, reason: str, code: int) -> None:
        super().__init__(reason)
        self.code = code

    @property
    def is_gone(self) -> bool:
        """Whether the device is lost altogether."""
        return self.code in GONE


class Driver:
    """NVML as it was opened; `close` lets go of it."""

    def __init__(self, bindings: ModuleType) -> None:
        self._bindings = bindings

    def ask(self, function: str, *arguments: Any) -> Any:
        """Call a function of the bindings.

        Raises:
            RefusedError: the driver returned an error, or it or the bindings do not know the function.
        """
        call = getattr(self._bindings, function, None)
        if call is None:
            raise RefusedError(f"the installed nvidia-ml-py has no {function}: upgrade it", FUNCTION_NOT_FOUND)
        try:
            return call(*arguments)
        except self._bindings.NVMLError as error:
            raise refused(self._bindings, error, function) from error

    def ask_first(self, *questions: tuple[Any, ...]) -> Any:
        """Ask in several ways, newest first, until one is answered.

        Raises:
            RefusedError: none was; the reason is the first that is more than an unknown function.
        """
        refusals: list[RefusedError] = []
        for function, *arguments in questions:
            try:
                return self.ask(function, *arguments)
            except RefusedError as refusal:
                refusals.append(refusal)
                if refusal.code not in UNAVAILABLE:
                    break
        raise next((each for each in refusals if each.code != FUNCTION_NOT_FOUND), refusals[0])

    def constant(self, name: str) -> Any:
        """A constant or a structure of the bindings.

        Raises:
            RefusedError: the installed bindings do not have it.
        """
        try:
            return getattr(self._bindings, name)
        except AttributeError as error:
            raise RefusedError(f"the installed nvidia-ml-py has no {name}: upgrade it", FUNCTION_NOT_FOUND) from error

    def words_of(self, code: int) -> str:
        """What the driver calls a return code."""
        return str(self._bindings.NVMLError(code))

    def reopen(self) -> None:
        """Open the library again after somebody else in the process shut it.

        Raises:
            RefusedError: it does not open.
        """
        self.ask("nvmlInit")

    def close(self) -> str | None:
        """Let go of the library; the reason where it was already gone."""
        try:
            self.ask("nvmlShutdown")
        except RefusedError as refusal:
            return str(refusal)
        return None


def open_driver() -> Driver:
    """Open the driver's library.

    Raises:
        RefusedError: the bindings are not installed, or no driver answers.
    """
    try:
        import pynvml
    except ImportError as error:
        reason = f"nvidia-ml-py is not installed ({error}): pip install nvidia-ml-py"
        raise RefusedError(reason, FUNCTION_NOT_FOUND) from error
    driver = Driver(pynvml)
    try:
        driver.ask("nvmlInit")
    except RefusedError as refusal:
        raise RefusedError(f"no NVIDIA driver answers (NVML: {refusal})", refusal.code) from refusal
    return driver


def refused(bindings: ModuleType, error: Exception, function: str) -> RefusedError:
    """The driver's error in its own words, and the function where those alone would not say what is missing."""
    code = int(getattr(error, "value", 999))
    missing = isinstance(error, bindings.NVMLError_FunctionNotFound)
    return RefusedError(f"{error}: this driver has no {function}" if missing else str(error), code)


def shadowed_bindings() -> str | None:
    """Say which installed distribution stands in the place of NVIDIA's bindings, all being imported as `pynvml`.

    `nvidia-ml-py3` is an abandoned copy; `pynvml` brought a copy of its own up to version 11. Both give wrong memory
    and processes on newer drivers, or crash.
    """
    for name, last_bad in (("nvidia-ml-py3", None), ("pynvml", 11)):
        try:
            version = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
        major = version.split(".")[0]
        if last_bad is None or (major.isdecimal() and int(major) <= last_bad):
            return (
                f"{name} {version} is installed and stands in the place of NVIDIA's own bindings: GPU memory and "
                f"processes may be wrong. pip uninstall {name}, then pip install --force-reinstall nvidia-ml-py"
            )
    return None


def text(value: str | bytes) -> str:
    """A name as the bindings return it: older ones return bytes."""
    return value.decode(errors="replace") if isinstance(value, bytes) else value
