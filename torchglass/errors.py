"""Every error that torchglass raises on purpose; each says what happened, the value received and what to do."""


class TorchglassError(Exception):
    """Base of all; the command line prints its message as one sentence and exits with 2."""


class StoreError(TorchglassError):
    """A store cannot be opened, read or written.

    `may_pass` tells a store that is locked, full or away, which may come back, from what no store would ever take.
    """

    def __init__(self, message: str, *, may_pass: bool = False) -> None:
        super().__init__(message)
        self.may_pass = may_pass


class NoStoreError(StoreError):
    """There is no store at the place given; one appears there when a training run begins to record."""


class RunNotFoundError(StoreError, LookupError):
    """No run of that name or id is in the store."""


class OptionError(TorchglassError, ValueError):
    """An option of attach, explain or a command has a value that it cannot take."""


class ExplainError(TorchglassError, ValueError):
    """A model or an input cannot be explained as asked."""


class DataError(TorchglassError, ValueError):
    """A data set is missing or does not hold what its format promises."""


class MissingExtraError(TorchglassError, ImportError):
    """A package of an optional extra is not installed."""

    def __init__(self, package: str, extra: str) -> None:
        super().__init__(f"{package} is not installed: pip install 'torchglass[{extra}]'")
