"""What a letter says: pure, plain text, every value cleaned and capped, since people, tools and routers wrote them."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import assert_never

from tminus.channels.letter import Letter
from tminus.domain.canonical import moment_text
from tminus.domain.news import News, NewsKind
from tminus.routeros.text import clean, clean_line
from tminus.store.news import Taken

_LONGEST = 100_000  # characters of a text
_FEW = 10


def compose(taken: Taken, *, review_url: str | None) -> Letter:
    """Write the letter. `review_url` leads to where one reviews; `{id}` in it is the scheduled script."""
    if len(taken.news) == 1:
        subject = _headline(taken.news[0])
        text = _paragraphs(taken.news[0], review_url)
    else:
        counts = Counter(str(each.kind).replace("_", " ") for each in taken.news)
        subject = f"{len(taken.news)} messages: " + ", ".join(f"{n} {kind}" for kind, n in counts.most_common())
        text = "\n\n----\n\n".join(f"{_headline(each)}\n\n{_paragraphs(each, review_url)}" for each in taken.news)
    subject = clean_line(f"[tminus] {subject}", cap=180)
    text = clean(text, cap=_LONGEST) + "\n"
    return Letter(
        id=taken.id,
        made_at=taken.made_at,
        address=taken.address,
        subject=subject,
        text=text,
        document=_document(taken, subject),
    )


def _headline(news: News) -> str:
    return f"{_act(news)}: {clean_line(news.description, cap=100) or news.script}"


def _act(news: News) -> str:  # noqa: PLR0912 - a case for each kind
    sites = _sites(news.sites)
    by = clean_line(news.by, cap=100)
    match news.kind:
        case NewsKind.AUTHORIZATION_REQUESTED:
            return f"{by} asks you to review a launch on {sites}"
        case NewsKind.AUTHORIZED:
            return f"Authorized by {by} for {sites}"
        case NewsKind.AUTHORIZATION_WITHDRAWN:
            return f"Authorization withdrawn by {by}"
        case NewsKind.AUTHORIZATION_EXPIRED:
            return "Authorization expired"
        case NewsKind.ABOUT_TO_LAUNCH:
            return f"About to launch on {sites}"
        case NewsKind.RUN_NOW:
            return f"{by} has it run now on {sites}"
        case NewsKind.LAUNCHED:
            return f"Launched on {sites}"
        case NewsKind.LAUNCH_REFUSED:
            return "Not launched, since it is not what was authorized"
        case NewsKind.SITES_FAILED:
            return f"{_sites(news.counts.get('failed', 0) + news.counts.get('unknown', 0))} of {news.sites} went wrong so far"
        case NewsKind.WAVE_WAITING:
            return f"Wave {news.wave} waits for a person"
        case NewsKind.HALTED:
            return "Halted"
        case NewsKind.FINISHED:
            return f"{(news.launch_state or 'finished').capitalize()}, {_counts(news) or sites}"
        case NewsKind.MISSED:
            return "Missed"
        case NewsKind.CANCELLED:
            return f"Cancelled by {by}"
        case _:
            assert_never(news.kind)


def _paragraphs(news: News, review_url: str | None) -> str:
    facts = "\n".join(f"{name}: {value}" for name, value in _facts(news) if value)
    parts = [facts]
    if news.wrong and news.kind in (NewsKind.SITES_FAILED, NewsKind.FINISHED, NewsKind.HALTED):
        parts.append("\n".join(_wrong(news)))
    where = f"'tminus status {news.script}' shows more."
    if news.kind is NewsKind.AUTHORIZATION_REQUESTED:
        where = f"'tminus authorize {news.script}' shows all that is to be looked at, before it asks."
    if review_url is not None:
        where += f"\n{review_url.replace('{id}', str(news.script))}"
    if news.kind is NewsKind.AUTHORIZATION_REQUESTED:
        where += "\nOpening a link authorizes nothing."
    return "\n\n".join((*parts, where))


def _facts(news: News) -> Iterator[tuple[str, str | None]]:
    yield "description", clean_line(news.description, cap=500)
    yield "summary", clean_line(news.summary or "", cap=500)
    yield "scheduled script", str(news.script)
    yield "launch", None if news.launch is None else str(news.launch)
    yield "launch at", None if news.launch_at is None else _moment(news.launch_at)
    yield "sites", str(news.sites)
    yield "digest", clean_line(news.digest or "", cap=200)
    yield "author", clean_line(news.created_by)
    yield "authorized by", clean_line(news.authorized_by or "")
    yield "reason", clean_line(news.reason or "", cap=500)
    if news.launch is not None:
        yield "site runs", _counts(news)
    yield "when", _moment(news.at)


def _wrong(news: News) -> Iterator[str]:
    for each in news.wrong[:_FEW]:
        reason = f" ({each.reason})" if each.reason else ""
        yield f"{clean_line(each.site)}: {each.state}{reason} {clean_line(each.message or '', cap=300)}".rstrip()
    more = news.counts.get("failed", 0) + news.counts.get("unknown", 0) - len(news.wrong[:_FEW])
    if more > 0:
        yield f"and {more} more"


def _counts(news: News) -> str:
    return ", ".join(f"{count} {outcome}" for outcome, count in sorted(news.counts.items()))


def _sites(count: int) -> str:
    return f"{count} site" if count == 1 else f"{count} sites"


def _moment(at: datetime) -> str:
    return at.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def _document(taken: Taken, subject: str) -> str:
    return json.dumps(
        {
            "type": "tminus.news",
            "timestamp": moment_text(taken.made_at),
            "data": {"person": taken.person, "subject": subject, "news": _documents(taken.news)},
        }
    )


def _documents(news: Sequence[News]) -> list[dict[str, object]]:
    return [
        {
            "kind": str(each.kind),
            "at": moment_text(each.at),
            "by": clean_line(each.by),
            "script_id": str(each.script),
            "launch_id": None if each.launch is None else str(each.launch),
            "description": clean_line(each.description, cap=500),
            "created_by": clean_line(each.created_by),
            "launch_at": None if each.launch_at is None else moment_text(each.launch_at),
            "sites": each.sites,
            "digest": None if each.digest is None else clean_line(each.digest),
            "reason": None if each.reason is None else clean_line(each.reason, cap=500),
            "launch_state": each.launch_state,
            "counts": each.counts,
        }
        for each in news
    ]
