"""Where a script is likely to do something else than was meant: selections, loops, waiting, code that nobody can read."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import timedelta

from tminus.routeros.language import ast

from .finding import Finding, Place, Severity, finding
from .selection import Which
from .steps import Reading, Step, Trouble, say
from .values import constant, seconds

_BULK = {"remove": Severity.DANGER, "disable": Severity.DANGER, "set": Severity.WARNING, "unset": Severity.WARNING}
_SELECTING = frozenset({"set", "remove", "disable", "enable", "unset", "reset", "comment", "move"})
_LEAVES = frozenset({"return", "error", "quit", "exit"})
# Until Ctrl-C, unless told how long or how often.
_ENDLESS = {
    ("ping",): ("count",),
    ("tool", "ping"): ("count",),
    ("tool", "torch"): ("duration", "once"),
    ("tool", "profile"): ("duration", "once"),
    ("tool", "bandwidth-test"): ("duration", "once"),
    ("tool", "traceroute"): ("duration", "count", "once"),
    ("tool", "flood-ping"): ("count",),
    ("tool", "ping-speed"): ("duration", "once"),
    ("tool", "sniffer", "quick"): ("duration", "once"),
    ("tool", "mac-scan"): ("duration", "once"),
    ("tool", "ip-scan"): ("duration", "once"),
}
# What talks with a person at a terminal.
_ASKS = frozenset(
    [
        ("system", "ssh"),
        ("system", "telnet"),
        ("system", "serial-terminal"),
        ("tool", "mac-telnet"),
        ("tool", "romon", "ssh"),
        ("terminal", "ask"),
        ("terminal", "inkey"),
        ("setup",),
    ]
)
# First versions, by MikroTik's own lists of the console's commands.
_SINCE = {
    ("onerror",): "7.13",
    ("grep",): "7.13",
    ("exit",): "7.22",
    ("file", "read"): "7.13",
    ("terminal", "ask"): "7.12",
    ("safe-mode", "take"): "7.18",
    ("safe-mode", "release"): "7.18",
    ("safe-mode", "unroll"): "7.18",
    ("safe-mode", "toggle"): "7.18",
}


def pitfalls(step: Step) -> Iterator[Finding]:
    """What one command is likely to get wrong."""
    path = (*step.menu, step.verb or "")
    if step.menu and step.verb in _SELECTING:
        yield from _selection(step)
    yield from _waiting(step, path)
    if step.calls_stored:
        yield say(
            step,
            "runs-stored-function",
            Severity.WARNING,
            "A function is called that this script does not define, so what it does lies on the router and is not seen here; define it"
            " here.",
        )
    if not step.menu:
        yield from _language(step)
    if path in _SINCE:
        yield say(
            step,
            "needs-version",
            Severity.NOTE,
            f"'{' '.join(path)}' needs RouterOS {_SINCE[path]} or newer; an older router refuses it.",
        )


def _selection(step: Step) -> Iterator[Finding]:
    selection, verb = step.selection, step.verb or ""
    menu = "/" + "/".join(step.menu)
    match selection.which:
        case Which.ALL if verb in _BULK:
            yield say(
                step,
                "selects-everything",
                _BULK[verb],
                f"'{verb} [find]' without a condition concerns every item of {menu}; say which: [find where …].",
            )
        case Which.NUMBERED if _has_numbers(step):
            yield say(
                step,
                "selects-by-number",
                Severity.WARNING,
                "An item is chosen by its place in a list, which differs from router to router; choose it by [find where …].",
            )
        case Which.SOME if selection.where is not None and not step.around.guarded:
            yield say(
                step,
                "nothing-found-is-silent",
                Severity.NOTE,
                "Where [find …] finds nothing, the command does nothing and the script succeeds all the same; check with [:len [find …]]"
                " if it matters.",
            )
        case _:
            pass


def _has_numbers(step: Step) -> bool:
    value = step.args.get("numbers") or (step.unnamed[0] if step.unnamed else None)
    return "*" not in (constant(value, step.reading.constants) or "")


def _waiting(step: Step, path: tuple[str, ...]) -> Iterator[Finding]:
    if step.around.later:
        return
    if _goes_on(step, path):
        yield say(
            step,
            "never-ends",
            Severity.DANGER,
            f"'{' '.join(path)}' goes on until somebody presses a key, and nobody does here; the run ends as unknown when its time is"
            " over; give it once, count or duration.",
        )
    if (path in _ASKS and not step.has("timeout")) or (step.verb == "edit" and step.menu):
        yield say(
            step,
            "asks-a-person",
            Severity.DANGER,
            f"'{' '.join(path)}' talks with a person at a terminal, and there is none here; use a command that does not.",
        )


def _goes_on(step: Step, path: tuple[str, ...]) -> bool:
    if step.verb == "print":
        return step.flag("follow") or step.flag("follow-only") or step.has("interval")
    if step.verb in ("monitor", "monitor-traffic") and step.menu:
        return not (step.flag("once") or step.has("duration"))
    return path in _ENDLESS and not any(step.has(name) or step.flag(name) for name in _ENDLESS[path])


def _language(step: Step) -> Iterator[Finding]:
    match step.verb:
        case "while" if not step.around.later and _for_ever(step.args.get("condition") or _first(step)):
            if not _leaves(step.args.get("do") or step.unnamed[-1]):
                yield _endless(step)
        case "do" if (
            "while" in step.args and _for_ever(step.args["while"]) and step.unnamed and not _leaves(step.unnamed[0])
        ):
            if not step.around.later:
                yield _endless(step)
        case "for" if step.value("step") == "0":
            yield _endless(step)
        case "return" if not (step.around.function or step.around.later or step.around.place):
            yield say(
                step,
                "return-outside-of-function",
                Severity.WARNING,
                "':return' outside of a function leaves out what follows, and the run may count as completed all the same; use :if, or"
                " raise ':error' where it failed.",
            )
        case "do" | "onerror" | "retry":
            handler = step.args.get("do" if step.verb == "onerror" else "on-error")
            if _empty(handler):
                yield say(
                    step,
                    "errors-swallowed",
                    Severity.NOTE,
                    "An error here is dropped without a word, and the run counts as completed; at least :log or :put it.",
                )
        case _:
            pass


def _empty(handler: ast.Value | None) -> bool:
    match handler:
        case ast.Block():
            return not handler.statements
        case ast.Array():
            return not handler.items
        case _:
            return False


def _first(step: Step) -> ast.Value | None:
    return step.unnamed[0] if step.unnamed else None


def _endless(step: Step) -> Finding:
    return say(
        step,
        "endless-loop",
        Severity.DANGER,
        "This loop never ends, the run is cut off when its time is over, and how far it came is unknown; give the loop an end.",
    )


def _for_ever(condition: ast.Value | None) -> bool:
    """The condition is true, whatever happens."""
    while isinstance(condition, ast.Group):
        condition = condition.inner
    match condition:
        case ast.Literal(text="true" | "yes"):
            return True
        case ast.Binary(op="=", left=left, right=right):
            text = constant(left)
            return text is not None and text == constant(right)
        case ast.Unary(op="!", operand=operand):
            return constant(operand) in ("false", "no")
        case _:
            return False


def _leaves(body: ast.Value | None) -> bool:
    """Whether something in a loop's body may leave it."""
    if not isinstance(body, ast.Block):
        return False
    pending: list[tuple[ast.Statement | ast.Value, int]] = [(statement, 0) for statement in body.statements]
    while pending:
        node, loops = pending.pop()
        match node:
            case ast.Command():
                if not node.menu and (node.name in _LEAVES or (node.name == "break" and not loops)):
                    return True
                inner = loops + (not node.menu and node.name in ("for", "foreach", "while"))
                for arg in node.args:
                    stored = not node.menu and node.name in ("local", "global", "set", "execute", "parse")
                    if arg.value is not None and not stored:
                        pending.append((arg.value, inner))
            case ast.Scope():
                pending.append((node.block, loops))
            case ast.Block() | ast.Substitution():
                pending.extend((statement, loops) for statement in node.statements)
            case _:
                pass
    return False


def delays(steps: Iterable[Step], site_timeout: timedelta) -> Iterator[Finding]:
    """What waits longer than a run may take: one ``:delay``, or all of those that are surely done."""
    limit = site_timeout.total_seconds()
    total, last, alone = 0.0, None, False
    for step in steps:
        if step.menu or step.verb != "delay" or step.around.later or step.around.detached:
            continue
        wait = seconds(step.value("delay-time", constant(_first(step), step.reading.constants)) or "")
        if wait is None:
            continue
        if wait >= limit:
            alone = True
            yield _too_long(step.at, f"This delay of {wait:g} s")
        elif not (step.around.guarded or step.around.function):
            total += wait
            last = step
    if last is not None and total >= limit and not alone:
        yield _too_long(last.at, f"The delays up to here, {total:g} s together,")


def _too_long(at: Place, what: str) -> Finding:
    return finding(
        "delay-too-long",
        Severity.DANGER,
        at,
        f"{what} cannot end within the site_timeout, and the run ends as unknown; raise site_timeout, or put the rest into a scheduler.",
    )


def troubles(reading: Reading) -> Iterator[Finding]:
    """Code in strings that nobody can read here."""
    for trouble in reading.troubles:
        yield _trouble(trouble)


def _trouble(trouble: Trouble) -> Finding:
    if trouble.message is None:
        return finding(
            "code-made-at-run-time",
            Severity.WARNING,
            trouble.at,
            "Code is put together when the script runs, so what it does is not seen here; write it out.",
        )
    return finding(
        "code-not-readable",
        Severity.WARNING,
        trouble.at,
        f"The code in this string would be refused by a router when it is to run: {trouble.message}; mend it.",
    )
