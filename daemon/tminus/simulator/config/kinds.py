"""What a property accepts: from the text of an argument to the text that an export shows, and to a console value.

Messages are those of the public record where it has one (``value of range must have ip address before '-'``, ``input does
not match any value of interface``, ``invalid value of address, mac address required``, ``value of pvid out of range
(1..4094)``). For other kinds it has none: ``invalid value for argument X`` is known from lists of patterns only [uncertain].
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Iterable, Mapping
from functools import lru_cache

from tminus.simulator.errors import RunError
from tminus.simulator.values import Value, array_of, literal, parse_duration

from .config import Config
from .references import REFERENCES, referred
from .schema import Field

_BOOLS = {"yes": "yes", "true": "yes", "no": "no", "false": "no"}
_UNLIMITED = (0, 0xFFFFFFFF)
_PORTS = (0, 65535)
_POLICIES = "local telnet ssh ftp reboot read write policy test winbox password web sniff sensitive api romon rest-api dude tikapp"
POLICIES = frozenset(_POLICIES.split())
_NAME = re.compile(r"[A-Za-z0-9_*]([A-Za-z0-9_.*-]*[A-Za-z0-9_.])?")
_MAC = re.compile(r"[0-9A-Fa-f]{2}(?:[:-][0-9A-Fa-f]{2}){5}")
_RATE = re.compile(r"\d+(?:\.\d+)?[kMG]?")
_SIZE = re.compile(r"\d+(?:\.\d+)?(?:KiB|MiB|GiB|[kKMG])")


def accepts_literal(field: Field, text: str) -> bool:
    """Whether a constant may stand for this property; a wrong word is found when the line is parsed."""
    if field.negatable:
        text = text.removeprefix("!")
    if field.kind == "enum":
        return text == "" or len(_completions(text, field.words)) == 1
    if field.kind == "bool":
        return text == "" or text in _BOOLS or text in field.words
    return True


def canonical(field: Field, text: str, config: Config) -> str:
    """The text to keep, empty for none; RunError with RouterOS's words if the value is wrong or names what is not there."""
    if field.negatable and text.startswith("!"):
        return "!" + canonical(field, text[1:], config)
    if text in field.words:
        return text
    if field.kind in REFERENCES:
        return _reference(field, text, config)
    return _read(field, text)


@lru_cache(maxsize=16384)  # the routers of a fleet are told much the same
def _read(field: Field, text: str) -> str:
    read = _READERS.get(field.kind)
    return text if read is None or (text == "" and field.kind not in _NEVER_EMPTY) else read(field, text)


def typed(field: Field, text: str | None) -> Value:
    """What ``get`` gives for a kept text."""
    if text is None or text in field.words:
        return text
    match field.kind:
        case "bool" | "flag":
            return text == "yes"
        case "num" | "size":
            found = literal(text)
            return found if isinstance(found, int) else text
        case "time":
            return parse_duration(text)
        case "list" | "hosts" | "nets" | "policy" | "interfaces" | "iflists":
            return array_of(literal(part) for part in text.split(",")) if text else ""
        case "address":
            return literal(text)
        case _:
            return text


def _completions(text: str, known: Iterable[str]) -> list[str]:
    """The word itself, or all that begin with it: the console completes a value as it completes a name."""
    words = list(known)
    return [text] if text in words else [word for word in words if text and word.startswith(text)]


def _complete(field: Field, text: str, known: Iterable[str]) -> str:
    found = _completions(text, known)
    if len(found) == 1:
        return found[0]
    if found:
        raise RunError(
            f"ambiguous value of {field.name}, more than one possible value matches input", argument=field.name
        )
    raise RunError(f"input does not match any value of {field.name}", argument=field.name)


def _reference(field: Field, text: str, config: Config) -> str:
    """A name of something that is there; several of them for the kinds that are lists."""
    known = tuple(referred(config, field.kind))
    if not REFERENCES[field.kind].several:
        return _complete(field, text, (*known, *field.words)) if text or field.required else ""
    return ",".join(_complete(field, part, known) for part in text.split(",")) if text else ""


def _invalid(field: Field) -> RunError:
    return RunError(f"invalid value for argument {field.name}", argument=field.name)


def _bool(field: Field, text: str) -> str:
    return _BOOLS[text] if text in _BOOLS else _complete(field, text, ("yes", "no"))


def _enum(field: Field, text: str) -> str:
    return _complete(field, text, field.words)


def _within(field: Field, number: int, bounds: tuple[int, int]) -> int:
    low, high = bounds
    if not low <= number <= high:
        raise RunError(f"value of {field.name} out of range ({low}..{high})", argument=field.name)
    return number


def _number(field: Field, text: str) -> str:
    found = re.match(r"0x[0-9a-fA-F]+|\d+", text)
    if found is None:
        raise _invalid(field)
    if found.end() != len(text):
        raise RunError(f"value of {field.name} contains invalid trailing characters", argument=field.name)
    return str(_within(field, int(text, 0) if "x" in text else int(text), field.bounds or _UNLIMITED))


def _size(field: Field, text: str) -> str:
    if text.isascii() and text.isdigit():
        return f"{text}KiB"
    if not _SIZE.fullmatch(text):
        raise _invalid(field)
    return text


def _time(field: Field, text: str) -> str:
    moment = parse_duration(text)
    if moment is None:
        raise _invalid(field)
    return moment.exact()


def _ip(field: Field, text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
    try:
        return ipaddress.ip_address(text)
    except ValueError:
        raise _invalid(field) from None


def _prefix(field: Field, text: str) -> str:
    """An address with a length; the host part stays, and a missing length is the whole address."""
    try:
        return str(ipaddress.ip_interface(text))
    except ValueError:
        raise _invalid(field) from None


def _network(field: Field, text: str) -> str:
    try:
        return str(ipaddress.ip_interface(text).network)
    except ValueError:
        raise _invalid(field) from None


def _net(field: Field, text: str) -> str:
    """An address, a network, or a range of addresses."""
    low, dash, high = text.partition("-")
    if dash:
        return f"{_ip(field, low)}-{_ip(field, high)}"
    network = ipaddress.ip_network(_network(field, text))
    return str(network.network_address) if network.prefixlen == network.max_prefixlen else str(network)


def _host(field: Field, text: str) -> str:
    """An address or a name; a link-local address may name its interface."""
    if ":" in text or re.fullmatch(r"[\d.]+", text):
        _ip(field, text.partition("%")[0])
        return text
    if not _NAME.fullmatch(text) or len(text) > 253:
        raise _invalid(field)
    return text


def _net_or_host(field: Field, text: str) -> str:
    return _net(field, text) if re.match(r"[\d.]+([-/]|$)", text) or ":" in text else _host(field, text)


def _each(read: Callable[[Field, str], str]) -> Callable[[Field, str], str]:
    return lambda field, text: ",".join(read(field, part.strip()) for part in text.split(","))


def _mac(field: Field, text: str) -> str:
    if not _MAC.fullmatch(text):
        raise RunError(f"invalid value of {field.name}, mac address required", argument=field.name)
    return text.upper().replace("-", ":")


def _range(_field: Field, text: str) -> str:
    low, dash, high = text.strip().partition("-")
    try:
        first = ipaddress.ip_interface(low) if not dash else ipaddress.ip_address(low)
    except ValueError:
        what = "must have ip address before '-'" if dash else "expects range of ip addresses"
        raise RunError(f"value of range {what}", argument="range") from None
    if not dash:
        return str(first) if "/" in low else low
    try:
        return f"{first}-{ipaddress.ip_address(high)}"
    except ValueError:
        raise RunError("value of range must have ip address after '-'", argument="range") from None


def _ports(field: Field, text: str) -> str:
    """A number or ``low-high``."""
    found = re.fullmatch(r"(\d+)(?:-(\d+))?", text)
    if found is None:
        raise _invalid(field)
    bounds = field.bounds or _PORTS
    numbers = [_within(field, int(part), bounds) for part in found.groups() if part]
    if numbers != sorted(numbers):
        raise _invalid(field)
    return "-".join(map(str, numbers))


def _rate(field: Field, text: str) -> str:
    """One or two rates; whole thousands and millions are written with their letter."""
    parts = text.split("/")
    if len(parts) > 2 or not all(_RATE.fullmatch(part) for part in parts):
        raise _invalid(field)
    return "/".join(_short_rate(part) for part in parts)


def _short_rate(text: str) -> str:
    for letter, zeros in (("G", "000000000"), ("M", "000000"), ("k", "000")):
        if len(text) > len(zeros) and text.isdigit() and text.endswith(zeros):
            return text.removesuffix(zeros) + letter
    return text


def _list(_field: Field, text: str) -> str:
    return ",".join(part.strip() for part in text.replace(";", ",").split(","))


def _words(field: Field, text: str) -> str:
    return ",".join(_complete(field, part, field.words) for part in text.split(","))


def _policy(field: Field, text: str) -> str:
    return ",".join(
        ("!" if part.startswith("!") else "") + _complete(field, part.removeprefix("!"), POLICIES)
        for part in text.replace(";", ",").split(",")
    )


_READERS: Mapping[str, Callable[[Field, str], str]] = {
    "bool": _bool,
    "flag": _bool,
    "enum": _enum,
    "num": _number,
    "size": _size,
    "time": _time,
    "address": lambda field, text: str(_ip(field, text)),
    "prefix": _prefix,
    "network": _network,
    "net": _net,
    "nets": _each(_network),
    "host": _host,
    "hosts": _each(_net_or_host),
    "mac": _mac,
    "range": _each(_range),
    "ports": _each(_ports),
    "rate": _rate,
    "list": _list,
    "words": _words,
    "policy": _policy,
}
_NEVER_EMPTY = frozenset({"bool", "enum", "num", "prefix", "range"})
