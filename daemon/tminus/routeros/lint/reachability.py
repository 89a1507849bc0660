"""What may cut the way by which we reach the router: firewall, addresses, interfaces, routes, the SSH service."""

from __future__ import annotations

from collections.abc import Iterator

from .finding import Finding, Severity, finding
from .selection import Which
from .steps import Step

_DROPS = frozenset({"drop", "reject", "tarpit"})
_OWN_CHAINS = {
    "filter": ("input", "output"),
    "raw": ("prerouting", "output"),
}
_BUILT_IN = frozenset({"input", "output", "forward", "prerouting", "postrouting", "srcnat", "dstnat"})
# What narrows a rule to a part of the traffic.
_MATCHERS = (
    "connection-mark",
    "connection-state",
    "connection-type",
    "content",
    "dscp",
    "dst-address",
    "dst-address-list",
    "dst-address-type",
    "dst-port",
    "fragment",
    "icmp-options",
    "in-bridge-port",
    "in-interface",
    "in-interface-list",
    "ip-protocol",
    "ipsec-policy",
    "layer7-protocol",
    "limit",
    "mac-protocol",
    "out-interface",
    "out-interface-list",
    "packet-mark",
    "port",
    "protocol",
    "psd",
    "src-address",
    "src-address-list",
    "src-address-type",
    "src-mac-address",
    "src-port",
    "tcp-flags",
    "time",
)
_ONLY_FOR_PEOPLE = frozenset({"comment", "log", "log-prefix", "numbers"})
_CHANGES = frozenset({"set", "remove", "disable", "enable", "move", "unset", "reset", "edit"})
_CUTS = frozenset({"set", "remove", "disable", "unset", "reset", "edit"})
_EXPECTED = "if it is meant to cut its own session, set expects_disconnect"
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
                yield _say(step, "route-changed", Severity.WARNING, _ROUTING)
        case ("ip" | "ipv6", "address") | ("ip", "dhcp-client") | ("ipv6", "dhcp-client"):
            yield from _addresses(step)
        case ("interface", *_):
            yield from _interfaces(step)
        case ("ip" | "ipv6", "route", *_) | ("routing", *_) | ("ip", "vrf"):
            yield from _routes(step)
        case ("ip", "service"):
            yield from _services(step)
        case ("ip", "ssh"):
            yield from _ssh(step)
        case ("ip" | "ipv6", "settings") if step.verb == "set" and step.has("rp-filter", "ip-forward", "disable-ipv6"):
            yield _say(step, "route-changed", Severity.WARNING, _ROUTING)
        case _:
            pass


def _say(step: Step, code: str, severity: Severity, message: str) -> Finding:
    return finding(code, severity, step.at, message)


def _only(step: Step, harmless: frozenset[str]) -> bool:
    return bool(step.args) and set(step.args) <= harmless


def _firewall(step: Step, table: str) -> Iterator[Finding]:
    if step.verb == "add":
        yield from _new_rule(step, table)
    elif step.verb in _CHANGES and not _only(step, _ONLY_FOR_PEOPLE):
        selection = step.selection
        if not any(selection.could_be({"chain": chain}) for chain in _OWN_CHAINS[table]):
            return
        surely = selection.which in (Which.ALL, Which.NUMBERED, Which.NAMED, Which.COMPUTED)
        severity = Severity.DANGER if surely or step.verb in ("move", "set") else Severity.WARNING
        yield _say(
            step,
            "firewall-rule-changed",
            severity,
            f"Firewall rules that may be of the way to this router are changed ({step.verb}), which can lock everybody out;"
            f" choose them by chain and comment, and {_EXPECTED}.",
        )


def _new_rule(step: Step, table: str) -> Iterator[Finding]:
    if step.value("disabled") == "yes":
        return
    chain = step.value("chain", "")
    action = step.value("action", "accept")
    own = chain is None or chain in _OWN_CHAINS[table]
    narrow = step.has(*_MATCHERS)
    if action is None or action in _DROPS:
        if own and not narrow:
            yield _say(
                step,
                "firewall-input-drop",
                Severity.DANGER,
                "A rule drops all packets of a chain that our own session passes, and cuts everybody off unless a rule before it"
                f" accepts; put that rule first, and {_EXPECTED}.",
            )
        elif own:
            yield _say(
                step,
                "firewall-input-drop",
                Severity.WARNING,
                "A rule drops packets to or from the router itself, and cuts us off if the daemon's host is among what it matches;"
                " see that the host is excepted.",
            )
        elif chain not in _BUILT_IN:
            yield _say(
                step,
                "firewall-custom-chain-drop",
                Severity.NOTE,
                "A rule drops packets in a chain of its own, which concerns us only if the input chain jumps there.",
            )
    elif own and action == "accept" and chain == "input" and not narrow:
        yield _say(
            step,
            "firewall-input-open",
            Severity.WARNING,
            "A rule accepts every packet to the router itself, whatever the rules after it say; name the addresses or interfaces that"
            " may get in.",
        )
    elif own and action == "jump":
        yield _say(
            step,
            "firewall-input-jump",
            Severity.WARNING,
            "Packets to or from the router itself are sent through another chain, whose drops then concern our session; look at what"
            " that chain has.",
        )


def _redirect(step: Step) -> Iterator[Finding]:
    chain, action = step.value("chain"), step.value("action")
    if chain not in (None, "dstnat") or action not in (None, "dst-nat", "redirect", "netmap"):
        return
    ports = step.value("dst-port", "")
    if step.verb == "set" and chain is None and action is None:
        return
    if not ports or "22" in ports.split(","):
        yield _say(
            step,
            "nat-redirect",
            Severity.WARNING,
            "A NAT rule may send connections to this router's SSH somewhere else; narrow it by dst-port or dst-address.",
        )


def _addresses(step: Step) -> Iterator[Finding]:
    dynamic = step.menu[1] == "dhcp-client"
    if step.verb not in _CUTS and not (dynamic and step.verb in ("release", "renew")):
        return
    if _only(step, _ONLY_FOR_PEOPLE):
        return
    yield _say(
        step,
        "address-changed",
        Severity.DANGER,
        f"Addresses of the router are changed ({step.verb}), perhaps the one at which we reach it; {_EXPECTED}.",
    )


def _interfaces(step: Step) -> Iterator[Finding]:
    if step.verb is None or step.verb in ("print", "find", "get", "export"):
        return
    match step.menu:
        case ("interface", "bridge", "port"):
            yield from _bridge_ports(step)
            return
        case ("interface", "bridge", "vlan") | ("interface", "ethernet", "switch", *_):
            if step.verb in ("add", *_CHANGES):
                yield _say(
                    step,
                    "vlan-changed",
                    Severity.WARNING if step.verb == "add" else Severity.DANGER,
                    "The table of VLANs is changed; where VLANs are filtered, the one by which we reach the router may lose its port;"
                    f" {_EXPECTED}.",
                )
            return
        case ("interface", "list", *_):
            if step.verb in _CUTS and not _only(step, _ONLY_FOR_PEOPLE):
                yield _say(
                    step,
                    "interface-list-changed",
                    Severity.DANGER,
                    "An interface list is changed; firewall rules that go by it may then lock us out, as the default ones do with LAN.",
                )
            return
        case ("interface", "bridge", "settings") if step.has("use-ip-firewall", "use-ip-firewall-for-vlan"):
            yield _say(
                step,
                "firewall-rule-changed",
                Severity.WARNING,
                "Bridged traffic is sent through the IP firewall, whose rules then concern what only passed through before.",
            )
            return
        case _:
            pass
    if step.value("vlan-filtering", "no") != "no" and step.verb in ("add", "set"):
        yield _say(
            step,
            "vlan-filtering-changed",
            Severity.DANGER if step.verb == "set" else Severity.WARNING,
            "VLAN filtering is turned on; if the VLAN by which we reach the router is not in the table of the bridge, the way is cut;"
            f" fill the table first, and {_EXPECTED}.",
        )
    elif step.verb not in _HARMLESS_OF_INTERFACES and not _only(step, _ONLY_FOR_PEOPLE | {"name", "queue"}):
        hard = step.verb in ("disable", "remove") or step.value("disabled", "no") != "no"
        yield _say(
            step,
            "interface-changed",
            Severity.DANGER if hard else Severity.WARNING,
            f"Interfaces are changed ({step.verb} in /{'/'.join(step.menu)}), perhaps one by which we reach the router; {_EXPECTED}.",
        )


def _bridge_ports(step: Step) -> Iterator[Finding]:
    if step.verb not in ("add", *_CHANGES) or _only(step, _ONLY_FOR_PEOPLE):
        return
    yield _say(
        step,
        "bridge-port-changed",
        Severity.WARNING if step.verb == "add" else Severity.DANGER,
        f"Ports of a bridge are changed ({step.verb}); a port that enters or leaves a bridge loses its own addresses and VLANs, perhaps"
        f" ours; {_EXPECTED}.",
    )


_ROUTING = "Routing is changed; answers to the daemon's host may take another way or none; see that its route stays."


def _routes(step: Step) -> Iterator[Finding]:
    if (
        step.verb not in ("add", *_CHANGES)
        or _only(step, _ONLY_FOR_PEOPLE)
        or step.value("disabled") == "yes" == step.verb
    ):
        return
    if step.menu in _ROUTES:
        target = step.value("dst-address", "0.0.0.0/0" if step.verb == "add" else "")
        if (
            target in _DEFAULTS
            and step.value("routing-table", "main") == "main"
            and step.value("routing-mark", "") == ""
        ):
            yield _say(
                step,
                "default-route-changed",
                Severity.DANGER,
                "A default route is changed, by which the daemon's host may be reached; keep a route to that host of its own,"
                f" and {_EXPECTED}.",
            )
            return
    if step.menu[0] == "routing" and step.menu[1:2] in (("filter",), ("table",), ("id",)) and step.verb == "add":
        return
    severity = (
        Severity.DANGER
        if step.verb in _CUTS - {"set", "edit"} or (step.menu in _ROUTES and step.verb == "set")
        else Severity.WARNING
    )
    yield _say(step, "route-changed", severity, _ROUTING)


def _services(step: Step) -> Iterator[Finding]:
    if step.verb not in _CUTS and step.verb != "enable":
        return
    ssh = step.selection.could_be({"name": "ssh"})
    if step.verb == "enable" and ssh and step.selection.which is Which.NAMED:
        return
    if ssh and step.verb != "enable":
        yield _say(
            step,
            "ssh-service-changed",
            Severity.DANGER,
            "The SSH service is changed (port, address, certificate or whether it runs), and no later session may get in; change the"
            f" site with it, and {_EXPECTED}.",
        )
    else:
        yield _say(
            step,
            "service-changed",
            Severity.NOTE,
            "Services of the router (not SSH) are changed; tools that use them may stop.",
        )


def _ssh(step: Step) -> Iterator[Finding]:
    match step.verb:
        case "set" | "reset":
            yield _say(
                step,
                "ssh-settings-changed",
                Severity.DANGER,
                "Settings of the SSH server are changed (algorithms, host key type, passwords, forwarding), and the daemon may not get in"
                " any more; rehearse the next login with one router first.",
            )
        case "regenerate-host-key" | "import-host-key":
            yield _say(
                step,
                "host-key-changed",
                Severity.DANGER,
                "The router's host key becomes another, and the daemon refuses it until the new one is pinned ('tminus site pin').",
            )
        case _:
            pass
