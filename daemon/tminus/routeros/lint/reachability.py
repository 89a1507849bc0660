"""What may cut the way by which we reach the router: firewall, addresses, interfaces, routes, tunnels."""

from __future__ import annotations

from collections.abc import Iterator

from .finding import Finding, Severity
from .selection import CHANGES, CUTS, Which
from .steps import EXPECTED, FOR_PEOPLE, Step, say

_DROPS = frozenset({"drop", "reject", "tarpit"})
_OWN_CHAINS = {
    "filter": ("input", "output"),
    "raw": ("prerouting", "output"),
}
_BUILT_IN = frozenset({"input", "output", "forward", "prerouting", "postrouting", "srcnat", "dstnat"})
# Parameters of a rule that say nothing of which packets it is for; every other one narrows it.
_NO_MATCHERS = frozenset(
    [
        "action",
        "address-list",
        "address-list-timeout",
        "chain",
        "comment",
        "disabled",
        "jump-target",
        "log",
        "log-prefix",
        "place-before",
        "reject-with",
    ]
)
_HARMLESS_OF_INTERFACES = frozenset(
    ["reset-counters", "monitor", "monitor-traffic", "comment", "cable-test", "blink", "scan", "enable", "add", "torch"]
)
_ROUTES = (("ip", "route"), ("ipv6", "route"))
_DEFAULTS = frozenset({"0.0.0.0/0", "::/0"})


def cuts(step: Step) -> Iterator[Finding]:
    """What a command may do to the way by which we reach the router."""
    match step.menu:
        case ("ip" | "ipv6", "firewall", "filter" | "raw" as table) | ("interface", "bridge", "filter" as table):
            yield from _firewall(step, table)
        case ("ip" | "ipv6", "firewall", "nat") if step.verb in ("add", "set"):
            yield from _redirect(step)
        case ("ip" | "ipv6", "firewall", "mangle") if step.verb in ("add", "set"):
            if step.value("action") == "mark-routing" and step.value("chain") in ("output", "prerouting", None):
                yield say(step, "route-changed", Severity.WARNING, _ROUTING)
        case ("ip" | "ipv6", "address") | ("ip", "dhcp-client") | ("ipv6", "dhcp-client"):
            yield from _addresses(step)
        case ("interface", *_):
            yield from _interfaces(step)
        case ("ip" | "ipv6", "route", *_) | ("routing", *_) | ("ip", "vrf"):
            yield from _routes(step)
        case ("ip", "ipsec", *_) | ("ppp", *_):
            if step.verb in CUTS and not step.only(FOR_PEOPLE):
                yield say(
                    step,
                    "vpn-changed",
                    Severity.WARNING,
                    "Tunnels or who may open them are changed; if we reach the router through one, the way may be cut.",
                )
        case ("ip", "hotspot") if step.verb in ("add", "set", "enable"):
            yield say(
                step,
                "hotspot-changed",
                Severity.WARNING,
                "A hotspot asks everybody behind its interface to log in first, us too if we come from there; exempt the daemon's host.",
            )
        case ("ip" | "ipv6", "settings") if step.verb == "set" and step.has("rp-filter", "ip-forward", "disable-ipv6"):
            yield say(step, "route-changed", Severity.WARNING, _ROUTING)
        case _:
            pass


def _firewall(step: Step, table: str) -> Iterator[Finding]:
    if step.verb == "add":
        yield from _new_rule(step, table)
    elif step.verb in CHANGES and not step.only(FOR_PEOPLE):
        selection = step.selection
        if not any(selection.could_be({"chain": chain}) for chain in _OWN_CHAINS[table]):
            return
        surely = selection.which in (Which.ALL, Which.NUMBERED, Which.NAMED, Which.COMPUTED)
        severity = Severity.DANGER if surely or step.verb in ("move", "set") else Severity.WARNING
        yield say(
            step,
            "firewall-rule-changed",
            severity,
            f"Firewall rules that may be of the way to this router are changed ({step.verb}), which can lock everybody out;"
            f" choose them by chain and comment, and {EXPECTED}.",
        )


def _new_rule(step: Step, table: str) -> Iterator[Finding]:
    if step.value("disabled") == "yes":
        return
    chain = step.value("chain", "")
    action = step.value("action", "accept")
    own = chain is None or chain in _OWN_CHAINS[table]
    narrow = _is_narrow(step, {"new"} if action == "accept" else {"new", "established"})
    if action is None or action in _DROPS:
        if own and not narrow:
            yield say(
                step,
                "firewall-input-drop",
                Severity.DANGER,
                "A rule drops all packets of a chain that our own session passes, and cuts everybody off unless a rule before it"
                f" accepts; put that rule first, and {EXPECTED}.",
            )
        elif own:
            yield say(
                step,
                "firewall-input-drop",
                Severity.WARNING,
                "A rule drops packets to or from the router itself, and cuts us off if the daemon's host is among what it matches;"
                " see that the host is excepted.",
            )
        elif chain not in _BUILT_IN:
            yield say(
                step,
                "firewall-custom-chain-drop",
                Severity.NOTE,
                "A rule drops packets in a chain of its own, which concerns us only if the input chain jumps there.",
            )
        elif chain == "forward" and not narrow:
            yield say(
                step,
                "firewall-forward-drop",
                Severity.WARNING,
                "A rule drops everything that passes through the router and that no rule before it accepts, and with it people's internet;"
                " see that those rules are there.",
            )
    elif own and action == "accept" and chain == "input" and not narrow:
        yield say(
            step,
            "firewall-input-open",
            Severity.WARNING,
            "A rule accepts every packet to the router itself, whatever the rules after it say; name the addresses or interfaces that"
            " may get in.",
        )
    elif own and action == "jump":
        yield say(
            step,
            "firewall-input-jump",
            Severity.WARNING,
            "Packets to or from the router itself are sent through another chain, whose drops then concern our session; look at what"
            " that chain has.",
        )


def _is_narrow(step: Step, decisive: set[str]) -> bool:
    """Whether a rule is for a part of the traffic only. One that SSH is in is none: TCP, or a `decisive` state."""
    for name in set(step.args) - _NO_MATCHERS:
        value = step.value(name)
        states = set((value or "").split(","))
        if not ((name == "protocol" and value == "tcp") or (name == "connection-state" and states & decisive)):
            return True
    return False


def _redirect(step: Step) -> Iterator[Finding]:
    chain, action = step.value("chain"), step.value("action")
    if chain not in (None, "dstnat") or action not in (None, "dst-nat", "redirect", "netmap"):
        return
    ports = step.value("dst-port", "")
    if step.verb == "set" and chain is None and action is None:
        return
    if not ports or "22" in ports.split(","):
        yield say(
            step,
            "nat-redirect",
            Severity.WARNING,
            "A NAT rule may send connections to this router's SSH somewhere else; narrow it by dst-port or dst-address.",
        )


def _addresses(step: Step) -> Iterator[Finding]:
    dynamic = step.menu[1] == "dhcp-client"
    if step.verb not in CUTS and not (dynamic and step.verb in ("release", "renew")):
        return
    if step.only(FOR_PEOPLE):
        return
    yield say(
        step,
        "address-changed",
        Severity.DANGER,
        f"Addresses of the router are changed ({step.verb}), perhaps the one at which we reach it; {EXPECTED},"
        " and say in the site's return_address where it is then.",
    )


def _interfaces(step: Step) -> Iterator[Finding]:
    if step.verb is None or step.verb in ("print", "find", "get", "export"):
        return
    match step.menu:
        case ("interface", "bridge", "port"):
            yield from _bridge_ports(step)
            return
        case ("interface", "bridge", "vlan") | ("interface", "ethernet", "switch", *_):
            if step.verb in ("add", *CHANGES):
                yield say(
                    step,
                    "vlan-changed",
                    Severity.WARNING if step.verb == "add" else Severity.DANGER,
                    "The table of VLANs is changed; where VLANs are filtered, the one by which we reach the router may lose its port;"
                    f" {EXPECTED}.",
                )
            return
        case ("interface", "list", *_):
            if step.verb in CUTS and not step.only(FOR_PEOPLE):
                yield say(
                    step,
                    "interface-list-changed",
                    Severity.DANGER,
                    "An interface list is changed; firewall rules that go by it may then lock us out, as the default ones do with LAN.",
                )
            return
        case ("interface", "bridge", "settings") if step.has("use-ip-firewall", "use-ip-firewall-for-vlan"):
            yield say(
                step,
                "firewall-rule-changed",
                Severity.WARNING,
                "Bridged traffic is sent through the IP firewall, whose rules then concern what only passed through before.",
            )
            return
        case _:
            pass
    if step.value("vlan-filtering", "no") != "no" and step.verb in ("add", "set"):
        yield say(
            step,
            "vlan-filtering-changed",
            Severity.DANGER if step.verb == "set" else Severity.WARNING,
            "VLAN filtering is turned on; if the VLAN by which we reach the router is not in the table of the bridge, the way is cut;"
            f" fill the table first, and {EXPECTED}.",
        )
    elif step.verb not in _HARMLESS_OF_INTERFACES and not step.only(FOR_PEOPLE | {"name", "queue"}):
        hard = step.verb in ("disable", "remove") or step.value("disabled", "no") != "no"
        yield say(
            step,
            "interface-changed",
            Severity.DANGER if hard else Severity.WARNING,
            f"Interfaces are changed ({step.verb} in /{'/'.join(step.menu)}), perhaps one by which we reach the router; {EXPECTED}.",
        )


def _bridge_ports(step: Step) -> Iterator[Finding]:
    if step.verb not in ("add", *CHANGES) or step.only(FOR_PEOPLE):
        return
    yield say(
        step,
        "bridge-port-changed",
        Severity.WARNING if step.verb == "add" else Severity.DANGER,
        f"Ports of a bridge are changed ({step.verb}); a port that enters or leaves a bridge loses its own addresses and VLANs, perhaps"
        f" ours; {EXPECTED}.",
    )


_ROUTING = "Routing is changed; answers to the daemon's host may take another way or none; see that its route stays."


def _routes(step: Step) -> Iterator[Finding]:
    if step.verb not in ("add", *CHANGES) or step.only(FOR_PEOPLE) or step.value("disabled") == "yes" == step.verb:
        return
    if step.menu in _ROUTES:
        target = step.value("dst-address", "0.0.0.0/0" if step.verb == "add" else "")
        if (
            target in _DEFAULTS
            and step.value("routing-table", "main") == "main"
            and step.value("routing-mark", "") == ""
        ):
            yield say(
                step,
                "default-route-changed",
                Severity.DANGER,
                "A default route is changed, by which the daemon's host may be reached; keep a route to that host of its own,"
                f" and {EXPECTED}.",
            )
            return
    if step.menu[0] == "routing" and step.menu[1:2] in (("filter",), ("table",), ("id",)) and step.verb == "add":
        return
    severity = (
        Severity.DANGER
        if step.verb in CUTS - {"set", "edit"} or (step.menu in _ROUTES and step.verb == "set")
        else Severity.WARNING
    )
    yield say(step, "route-changed", severity, _ROUTING)
