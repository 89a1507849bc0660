"""What docs/simulated-configuration.md claims and no other test shows."""

from __future__ import annotations

import re
from pathlib import Path

from tminus.simulator.config.menus import MENUS

PAGE = Path(__file__).parents[3] / "docs" / "simulated-configuration.md"


def test_the_page_lists_the_described_menus() -> None:
    section = PAGE.read_text("utf-8").split("## Menus that are described")[1].split("\n- ")[0]
    listed = re.findall(r"`(/[a-z0-9 /-]+)`", section.replace("\n", " "))
    assert listed == ["/" + " ".join(path) for path in sorted(menu.path for menu in MENUS)]


async def test_what_the_page_says_of_the_network(router) -> None:
    assert "failure: dns name does not exist" in await router.put("[:resolve example.com]")
    assert await router.put("[/interface get ether1 rx-byte]") == "0"
    assert await router.put("[/ip firewall filter get 0 packets]") == "0"
    assert await router.put("[/interface get ether1 running]") == "true"
    assert await router.run("/tool e-mail send to=a@example.com subject=hi body=x") == ""
    assert await router.put('[:len [/log find where topics~"e-mail"]]') == "1"
    assert (
        await router.run("/ip dns cache flush; /ip firewall filter reset-counters-all; /ip dhcp-client renew [find]")
        == ""
    )


async def test_what_the_page_says_is_not_there(router) -> None:
    assert "failure: /tool/torch is not simulated" in await router.run("/tool torch ether1")


async def test_certificates_are_kept_and_not_exported(router) -> None:
    before = router.body()
    assert await router.run("/certificate add name=ca common-name=ca") == ""
    assert await router.put("[/certificate get ca common-name]") == "ca"
    assert router.body() == before
