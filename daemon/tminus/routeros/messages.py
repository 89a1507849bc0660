"""RouterOS's own messages, recognised at the beginning of a line only.

A script may print such words itself; so they never decide against a proof, they explain a failure or add a warning.
"""

from __future__ import annotations

import re

SUCCESS = "Script file loaded and executed successfully"
DRY_RUN_CLEAN = "No syntax errors found in the import file"
_DRY_RUN_DIRTY = re.compile(r"^(?:Script Error: )?found \d+ error\(s\) in import file(?: \([/:]import; line \d+\))?$")

_PREFIXES = (
    "bad command name",
    "syntax error",
    "expected ",
    "missing closing brace",
    "bad parameter",
    "no such item",
    "no such command",
    "failure:",
    "input does not match",
    "invalid value",
    "value of ",
    "ambiguous value",
    "missing value(s)",
    "not enough permissions",
    "cannot run",
    "Script Error:",
    "script error:",
    "Cannot open import file",
    "resolve failed",
    "action timed out",
    "runtime limit exceeded",
    "std failure",
    "interrupted",
)
# "(line 1 column 5)"; "(/ip/pool/add; line 1)", "(/ip/pool/add (range); line 1)" or "(:error; line 3)" on later 7.
_PLACE = re.compile(r"\((?:line \d+ column \d+|[/:][^()]*(?:\([^()]*\))?; line \d+)\)$", re.ASCII)
_IMPORT_SUFFIX = re.compile(r" ?\([:/]import; line \d+\)$")
# Not "expected item id": seen where a list of items turned out empty, which is while running, perhaps.
_PARSE_ERROR = re.compile(
    r"^(?:bad command name|syntax error|expected (?!item id)|bad parameter|missing closing brace).*\(line \d+ column \d+\)$"
)
_BY_PARSER = re.compile(r"\(line \d+ column \d+\)$", re.ASCII)
# Of /import itself, before it reads the file.
_NOT_IMPORTED = re.compile(r"^(?:not enough permissions|cannot run|failure: file is too big)")
_NO_FILE = re.compile(r"^Cannot open import file\b")
# By what a script may run, or quote, code that was not parsed with it: the words in full or as short as the console takes
# them (`/imp`, `:exe`, `system script ru`), functions in globals, and a text that looks like the place of an error.
_OTHER_CODE = re.compile(
    rb"(?<![A-Za-z0-9_-])(?:pa(?:r(?:se?)?)?|im(?:p(?:o(?:rt?)?)?)?|ex(?:e(?:c(?:u(?:te?)?)?)?)?|run?|g(?:l(?:o(?:b(?:al?)?)?)?)?)"
    rb"(?![A-Za-z0-9_-])|\(line "
)


def is_import_notice(line: str) -> bool:
    """Is it what /import says before it runs anything ("Opening script file x.rsc", documented for terminals)?"""
    return line.startswith("Opening script file ")


def is_error_line(line: str) -> bool:
    return line.startswith(_PREFIXES) or _PLACE.search(line) is not None


def is_refused_line(line: str) -> bool:
    """Does it say that the console did not take our own line? Such a line is parsed whole, so nothing of it was run."""
    return _PARSE_ERROR.match(line) is not None and "(line 1 column " in line


def import_error(text: str) -> str:
    """Strip what /import puts around an error of the script: "Script Error: X (:import; line 1)" -> X."""
    return _IMPORT_SUFFIX.sub("", text.strip()).removeprefix("Script Error: ").removeprefix("script error: ").strip()


def is_parse_error(error: str, script: bytes) -> bool:
    """Was nothing of the file executed? True only if `error` names a place in the text and nothing else could have.

    /import parses the whole file first, so a syntax error means that nothing ran. But a script that parses or imports
    other code can meet one after half of its own work; then the error proves nothing.
    """
    return _PARSE_ERROR.match(error) is not None and _OTHER_CODE.search(script) is None


def is_found_unrun(error: str, script: bytes) -> bool:
    """Was it met without a statement being run: by the parser, which names line and column, or by /import itself?

    True only if the script could not have said so itself.
    """
    if is_missing_file(error, script) or _NOT_IMPORTED.match(error) is not None:
        return True
    return _BY_PARSER.search(error) is not None and _OTHER_CODE.search(script) is None


def is_missing_file(error: str, script: bytes) -> bool:
    """Did /import not find our file? True only if `script` could not have met the error by an import of its own."""
    return _NO_FILE.match(error) is not None and _OTHER_CODE.search(script) is None


def dry_run_errors(said: list[str]) -> str | None:
    """Return what a dry run found, or None if it did not say that it found errors."""
    for index in range(len(said) - 1, -1, -1):
        if _DRY_RUN_DIRTY.match(said[index]):
            found = [line for line in said[:index] if _PLACE.search(line) and not line.startswith("#line")]
            return found[-1] if found else said[index]
    return None
