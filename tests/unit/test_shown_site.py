"""What an approver is shown of a site."""

from __future__ import annotations

from tminus.domain.digest import SitePart
from tminus.domain.review import ShownSite


def line(return_address: str | None) -> str:
    part = SitePart(
        id="r1",
        jump_host=None,
        address="192.0.2.1",
        port=22,
        username=None,
        credential=None,
        host_key="ssh-ed25519 AAAA",
        return_address=return_address,
    )
    shown = ShownSite(
        part=part,
        variables={},
        name="r1",
        zone="UTC",
        local_time=None,
        enabled=True,
        version=None,
        last_seen=None,
        since_last=None,
    )
    return shown.line()


def test_where_a_router_may_return_is_shown() -> None:
    assert line(None) == "r1  192.0.2.1  never seen"
    assert line("192.0.2.99") == "r1  192.0.2.1  never seen, may return at 192.0.2.99"
