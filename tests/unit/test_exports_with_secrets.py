"""The second export, with secrets: what is laid beside the first, what is not, and what the difference does not show."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any, cast

import pytest

from tests.unit.test_export import V7
from tminus.errors import ConnectionLost, DeviceTimeout
from tminus.routeros.export import Export, read_export, read_export_file
from tminus.services import exports
from tminus.services.aftermath import difference, hidden_change
from tminus.services.exports import Taken, with_secrets
from tminus.services.preparation import Preparation
from tminus.services.run import Run

PLAIN = V7 + "/ppp secret\nadd name=anna\n"
OPEN = V7 + "/ppp secret\nadd name=anna password=hush-hush\n"


def export_of(text: str, *, redacted: bool = True) -> Export:
    content = text.encode()
    read = read_export_file(content, len(content), redacted=redacted)
    assert isinstance(read, Export)
    return read


def with_text(text: str, plain: str = PLAIN) -> Export:
    return replace(export_of(plain), sensitive=export_of(text, redacted=False).text)


async def ask(monkeypatch: pytest.MonkeyPatch, second: Taken | Exception, *, wrote: bool = False) -> Taken:
    async def take(*_: Any, sensitive: bool, writing: Any) -> Taken:
        assert sensitive
        if wrote:
            writing()
        if isinstance(second, Exception):
            raise second
        return second

    monkeypatch.setattr(exports, "take_export", take)
    nothing: Any = None
    return await with_secrets(nothing, nothing, nothing, nothing, Taken(export=export_of(PLAIN)))


async def test_it_is_laid_beside_the_one_without_which_stays_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    taken = await ask(monkeypatch, Taken(export=export_of(OPEN, redacted=False)))
    assert taken.export is not None
    assert taken.export.sensitive is not None
    assert "password=hush-hush" in taken.export.sensitive
    assert (taken.export.text, taken.export.sha256) == (export_of(PLAIN).text, export_of(PLAIN).sha256)
    assert (taken.note, taken.left) == ("", False)
    assert "hush" not in repr(taken)


@pytest.mark.parametrize(
    ("second", "said"),
    [
        (Taken(why="it ended before its end marker: not enough permissions (9)"), "not enough permissions (9)"),
        (Taken(why="it is larger than 1 bytes (export_cap)"), "export_cap"),
        (Taken(export=export_of(V7, redacted=False)), "it has"),  # its middle was lost
        (ConnectionLost("r1 was lost during a command"), "r1 was lost"),
        (DeviceTimeout("r1 did not finish"), "did not finish"),
    ],
)
async def test_where_it_fails_the_backup_is_the_one_without_and_says_why(
    monkeypatch: pytest.MonkeyPatch, second: Taken | Exception, said: str
) -> None:
    taken = await ask(monkeypatch, second)
    assert taken.export == export_of(PLAIN)
    assert said in taken.note
    assert "stored without its secrets" in taken.note


async def test_one_that_tells_no_more_is_kept_and_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """RouterOS leaves secrets out of it where the policy is missing, and says nothing."""
    taken = await ask(monkeypatch, Taken(export=export_of(PLAIN, redacted=False)))
    assert taken.export is not None
    assert taken.export.sensitive == export_of(PLAIN).text
    assert "tells no more" in taken.note
    assert "policy sensitive" in taken.note


async def test_a_file_that_may_lie_there_since_is_owed(monkeypatch: pytest.MonkeyPatch) -> None:
    assert (await ask(monkeypatch, ConnectionLost("gone"), wrote=True)).left
    assert not (await ask(monkeypatch, ConnectionLost("gone"))).left
    assert (await ask(monkeypatch, Taken(export=export_of(OPEN), left=True))).left


async def test_without_a_backup_none_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    async def take(*_: Any, **__: Any) -> Taken:
        raise AssertionError("it was asked")

    monkeypatch.setattr(exports, "take_export", take)
    nothing: Any = None
    nothing_taken = Taken(why="it is cut")
    assert await with_secrets(nothing, nothing, nothing, nothing, nothing_taken) is nothing_taken


def test_known_secrets_stay_in_a_text_only_where_it_is_not_redacted() -> None:
    output = (OPEN + "TMINUS-END-1\n").encode()
    hidden, shown = read_export(output, "TMINUS-END-1"), read_export(output, "TMINUS-END-1", redacted=False)
    assert isinstance(hidden, Export)
    assert isinstance(shown, Export)
    assert "password=*****" in hidden.text
    assert "password=hush-hush" in shown.text
    assert hidden.sha256 != shown.sha256


CHANGED = OPEN.replace("hush-hush", "tell-tale")
MORE = "/ip dns\nset servers=192.0.2.53\n"


@pytest.mark.parametrize(
    ("before", "after", "diff", "said"),
    [
        (with_text(OPEN), with_text(CHANGED), "", "Only secrets were changed"),
        (with_text(OPEN), with_text(OPEN), "", None),
        (with_text(OPEN), with_text(CHANGED + MORE, PLAIN + MORE), None, "as well"),
        # All that was changed is to be seen, if without its secret.
        (with_text(OPEN), with_text(OPEN + MORE, PLAIN + MORE), None, None),
        (
            with_text(OPEN),
            with_text(OPEN + "add name=bea password=b\n", PLAIN + "add name=bea\n"),
            None,
            None,
        ),
        (with_text(OPEN), export_of(PLAIN), "", None),
        (None, with_text(OPEN), None, None),
    ],
)
async def test_a_change_of_secrets_is_told_where_the_difference_does_not_show_it(
    before: Export | None, after: Export | None, diff: str | None, said: str | None
) -> None:
    if diff is None:
        diff = await difference(before, after)
    found = await hidden_change(before, after, diff)
    assert (found is None) if said is None else (found is not None and said in found)
    assert "hush" not in f"{found}{diff}"


@pytest.mark.parametrize(
    ("asked", "allowed", "signed", "rehearsal", "taken"),
    [
        (False, True, False, False, False),
        (True, False, False, False, False),
        (True, True, False, False, True),
        (True, True, False, True, True),
        (True, True, True, False, True),
        (True, True, True, True, False),  # who owns the database could ask for it, and nobody has signed that
    ],
)
def test_site_and_host_have_to_agree_and_where_signatures_count_a_rehearsal_takes_none(
    asked: bool, allowed: bool, signed: bool, rehearsal: bool, taken: bool
) -> None:
    settings = SimpleNamespace(allow_sensitive_exports=allowed)
    preparation = cast(Preparation, SimpleNamespace(_settings=settings, _authority=object() if signed else None))
    run = cast(
        Run,
        SimpleNamespace(
            site_part=SimpleNamespace(sensitive_export=asked),
            content=SimpleNamespace(rehearsal=rehearsal),
            warnings=[],
        ),
    )
    assert Preparation._wants_secrets(preparation, run) is taken
    assert [w for w in run.warnings if "allow_sensitive_exports" in w] == run.warnings
    assert len(run.warnings) == (asked and not allowed)
