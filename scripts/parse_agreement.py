"""Compare the parser's verdicts with those that a router gave; scripts/parse-agreement says in what form they come."""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from pathlib import Path

from tminus.routeros.language import ScriptSyntaxError, parse


@dataclass(frozen=True, slots=True, kw_only=True)
class Opinion:
    """What a router, or our parser, says of a script."""

    error: str | None  # None of a valid script
    unknown: tuple[str, ...]  # of a valid script: the names that it read without knowing them


def theirs(verdict: dict[str, object]) -> Opinion:
    if not verdict["valid"]:
        return Opinion(error=_placed(verdict), unknown=())
    names = verdict.get("unknown_names") or ()
    assert isinstance(names, list | tuple)
    return Opinion(error=None, unknown=tuple(f"{name['name']} ({name['line']}:{name['column']})" for name in names))


def _placed(error: dict[str, object]) -> str:
    return f"{error['message']} ({error['line']}:{error['column']})"


def ours(script: str) -> Opinion:
    try:
        program = parse(script.encode("utf-8", "surrogateescape"))
    except ScriptSyntaxError as error:
        return Opinion(error=f"{error.message} ({error.line}:{error.column})", unknown=())
    unknown = tuple(f"{name.name} ({name.at.line}:{name.at.column})" for name in program.unknown)
    return Opinion(error=None, unknown=unknown)


def main(path: Path) -> None:
    rows = [json.loads(line) for line in path.read_text("utf-8").splitlines() if line]
    if not rows:
        sys.exit(f"{path} holds no verdicts")
    validity = place = names = 0
    for row in rows:
        router, parser = theirs(row["verdict"]), ours(row["script"])
        validity += (router.error is None) == (parser.error is None)
        place += router.error == parser.error
        names += router == parser
        if router.error != parser.error:
            print(f"{row['id']}: router says {router.error or 'valid'}, we say {parser.error or 'valid'}")
        elif router != parser:
            print(
                f"{row['id']}: router does not know {', '.join(router.unknown) or '-'}; we {', '.join(parser.unknown) or '-'}"
            )
    for label, count in (("valid or not", validity), ("message and place too", place), ("unknown names too", names)):
        print(f"{label}: {count} of {len(rows)} ({count / len(rows):.1%})")


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: scripts/parse-agreement FILE.jsonl")
    main(Path(sys.argv[1]))
