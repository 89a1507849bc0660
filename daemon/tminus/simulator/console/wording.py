"""How versions word that a command has no such parameter.

7.22 says ``expected end of command`` at the parameter (verdicts of that version); 7.23 and later say ``bad parameter x`` with
the column behind it (three captures of 7.24, one of 7.23). Between these nothing was recorded, nor on RouterOS 6.
"""

from __future__ import annotations

import re

from tminus.routeros.language import ScriptSyntaxError
from tminus.simulator.versions import Version

_ARGUMENT = re.compile(rb"""([a-z][a-z0-9-]*)(?:=(?:"(?:[^"\\\\]|\\\\.)*"|[^\s;\]})"]*))?""", re.DOTALL)
_BAD = "bad parameter "
_END = "expected end of command"


def reworded(error: ScriptSyntaxError, source: bytes, version: Version) -> ScriptSyntaxError:
    """The error as this version would say it."""
    unknown = error.message.startswith(_BAD)
    if not unknown and not (error.message == _END and error.by_name):
        return error
    if version.number < (7, 23):
        return ScriptSyntaxError(_END, error.line, error.column) if unknown else error
    line = source.split(b"\n")[error.line - 1]
    found = _ARGUMENT.match(line, error.column - 1)
    if found is None:
        return error
    return ScriptSyntaxError(_BAD + found[1].decode("ascii"), error.line, error.column + len(found[0]))
