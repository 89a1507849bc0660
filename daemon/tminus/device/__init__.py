"""Routers over SSH: connections, host keys, credentials. The only code of the daemon that imports asyncssh."""

from tminus.device.connection import LONGEST_COMMAND, Connection, Execution
from tminus.device.connector import Connector
from tminus.device.credentials import Credential, check_username, load_credential
from tminus.device.hostkeys import HostKey, HostKeyPolicy
from tminus.device.jump_hosts import Gate, JumpHost
from tminus.device.output import Ended, ExecResult
from tminus.device.profiles import SshProfile
from tminus.device.target import Limits, Target

__all__ = [
    "LONGEST_COMMAND",
    "Connection",
    "Connector",
    "Credential",
    "Ended",
    "ExecResult",
    "Execution",
    "Gate",
    "HostKey",
    "HostKeyPolicy",
    "JumpHost",
    "Limits",
    "SshProfile",
    "Target",
    "check_username",
    "load_credential",
]
