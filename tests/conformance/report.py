"""What came of a replay, as a table or as JSON."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence

from tests.conformance.player import Result

_MARKS = {"agrees": "agrees", "differs": "DIFFERS", "not applicable": "-"}


def table(results: Mapping[str, Sequence[Result]]) -> str:
    """A row for each transcript and a column for each router, the differences below, and the totals."""
    columns = list(results)
    rows = [
        (first.transcript.id, first.transcript.tag, [_MARKS[results[name][place].verdict] for name in columns])
        for place, first in enumerate(results[columns[0]])
    ]
    widest = max(len(name) for name, _, _ in rows)
    lines = [f"{'transcript':{widest}}  tag  {'  '.join(f'{name:<9}' for name in columns)}".rstrip()]
    lines += [
        f"{name:{widest}}  {tag:3}  {'  '.join(f'{mark:<9}' for mark in marks)}".rstrip() for name, tag, marks in rows
    ]
    for name, played in results.items():
        lines += ["", *_differences(name, played)] if any(result.verdict == "differs" for result in played) else []
    lines += ["", *(f"{name}: {_totals(played)}" for name, played in results.items())]
    return "\n".join(lines)


def _differences(name: str, played: Sequence[Result]) -> list[str]:
    lines = [f"Differences on {name}:"]
    for result in played:
        if result.verdict == "differs":
            transcript = result.transcript
            lines.append(f"  {transcript.id} [{transcript.tag}; {transcript.record}]")
            lines += [f"    sent: {line}" for line in transcript.command.split("\n") if line]
            lines.append(f"    {result.detail}")
    return lines


def _totals(played: Sequence[Result]) -> str:
    count = Counter(result.verdict for result in played)
    return (
        f"{count['agrees']} agree, {count['differs']} differ, {count['not applicable']} not applicable, "
        f"of {len(played)} transcripts"
    )


def as_json(results: Mapping[str, Sequence[Result]]) -> str:
    rows = [
        {
            "router": name,
            "id": result.transcript.id,
            "tag": result.transcript.tag,
            "record": result.transcript.record,
            "verdict": result.verdict,
            "detail": result.detail,
        }
        for name, played in results.items()
        for result in played
    ]
    return json.dumps(rows, indent=2)


def differences(results: Mapping[str, Sequence[Result]]) -> int:
    return sum(result.verdict == "differs" for played in results.values() for result in played)
