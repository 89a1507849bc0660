"""Every exception of tminus, here unless another file is named.

TminusError
├── UsageError              what a person asked for makes no sense                      exit 2
├── ConfigError             configuration, keys or credentials are wrong                exit 3
├── StoreError              the database
│   ├── StoreUnavailable    it cannot be reached, or the answer was lost; try again     exit 4
│   ├── SchemaMismatch      older or newer than this program                            exit 5
│   └── Refused             a rule of the database said no; its text is for the person  exit 1
├── EmbeddedError           the embedded PostgreSQL did not start, or ended             exit 4
├── CannotVerify            signatures cannot be verified on this host (signatures.py)  exit 3
├── OutputFailed            standard output cannot be written                           exit 74
│   └── OutputClosed        nobody reads it any more (| head)                           exit 141
├── ScriptSyntaxError       RouterOS would not read it (routeros/language/problem.py)
├── ChannelError            a letter could not be handed over now; it is tried again
│   └── LetterRefused       it never will be: who should have taken it said no
└── DeviceError             a router, before or after a script was started
    ├── Offline             no TCP, no SSH banner, or no answer in time
    ├── LoginRefused        it refused our credential; never tried again in one launch
    ├── HostKeyChanged      another key than the pinned one, or none is pinned
    ├── AnotherDevice       it has the key, and is not the router that a script was sent to
    ├── JumpHostFailed      the jump host of a site; the site behind it was not looked at
    ├── ConnectionLost      the connection ended while we used it
    ├── DeviceTimeout       a step did not end within its deadline
    └── UploadFailed        SFTP refused, or the file did not arrive whole

Exit 6 is no exception of ours: this instance was declared dead by another (lifecycle.py).

A message says what happened, to what, and what happens next. asyncssh's exceptions are mapped in
``device.problems`` alone, asyncpg's in ``store.pool`` alone.
"""

from __future__ import annotations


class TminusError(Exception):
    """Something went wrong that a person can act on; the text is one sentence."""

    exit_code = 1


class UsageError(TminusError):
    exit_code = 2


class ConfigError(TminusError):
    exit_code = 3


class StoreError(TminusError):
    exit_code = 4


class StoreUnavailable(StoreError):
    """The database cannot be reached, or it is not known whether it did what was asked."""


class SchemaMismatch(StoreError):
    exit_code = 5


class Refused(StoreError):
    """A constraint, trigger or function of the schema refused; nothing was changed."""

    exit_code = 1

    def __init__(self, sentence: str, *, sqlstate: str = "", column: str | None = None) -> None:
        """`sqlstate` says what kind of rule it was, `column` of what, where the rule is about one."""
        super().__init__(sentence)
        self.sqlstate = sqlstate
        self.column = column


class EmbeddedError(TminusError):
    exit_code = 4


class OutputFailed(TminusError):
    """What was asked for may have been done; what was printed of it is not complete."""

    exit_code = 74  # EX_IOERR of sysexits.h: those of the commands have a meaning of their own


class OutputClosed(OutputFailed):
    """A program that reads our output ended. Nothing is wrong, so nothing is said."""

    exit_code = 141  # as a shell tells of whom SIGPIPE ended


class ChannelError(TminusError):
    """A mail server or a webhook's receiver did not take a letter; it is tried again."""


class LetterRefused(ChannelError):
    """It would not take this letter later either."""


class DeviceError(TminusError):
    """A router did not do what was expected of it."""


class Offline(DeviceError):
    pass


class LoginRefused(DeviceError):
    pass


class HostKeyChanged(DeviceError):
    pass


class AnotherDevice(DeviceError):
    pass


class JumpHostFailed(DeviceError):
    pass


class ConnectionLost(DeviceError):
    pass


class DeviceTimeout(DeviceError):
    pass


class UploadFailed(DeviceError):
    pass
