"""What a property accepts: from the text of an argument to the text that an export shows, and to a console value."""

from __future__ import annotations

import ipaddress
import re

from .config import Config
from .errors import RunError
from .menus import Field
from .values import Array, Value, array_of, literal, parse_duration

_BOOLS = {"yes": "yes", "true": "yes", "no": "no", "false": "no"}


def accepts_literal(field: Field, text: str) -> bool:
    """Whether a constant may stand for this property; a wrong word is found when the line is parsed."""
    if field.kind == "enum":
        return text in field.choices
    if field.kind == "bool":
        return text in _BOOLS
    return True


def canonical(field: Field, text: str, config: Config) -> str:  # noqa: PLR0912 - a branch a kind
    """The text to keep; RunError with RouterOS's words if the value is wrong or names something that is not there."""
    match field.kind:
        case "bool":
            if text not in _BOOLS:
                raise _no_match(field)
            return _BOOLS[text]
        case "enum":
            if text not in field.choices:
                raise _no_match(field)
            return text
        case "num":
            return _number(field, text)
        case "time":
            moment = parse_duration(text)
            if moment is None:
                raise RunError(f"invalid value for argument {field.name}", argument=field.name)
            return moment.short()
        case "address":
            return _address(field, text)
        case "prefix":
            return _prefix(field, text)
        case "list":
            return ",".join(part.strip() for part in text.replace(";", ",").split(",")) if text else ""
        case "range":
            return ",".join(_range(part) for part in text.split(","))
        case "interface":
            if text.lstrip("!") not in config.interface_names() | {"all", "dynamic"}:
                raise _no_match(field)
            return text
        case "bridge":
            if text not in config.names(("interface", "bridge")):
                raise _no_match(field)
            return text
        case "iflist":
            if text.lstrip("!") not in config.names(("interface", "list")):
                raise _no_match(field)
            return text
        case _:
            return text


def typed(field: Field, text: str | None) -> Value:
    """What ``get`` gives for a kept text."""
    if text is None:
        return None
    match field.kind:
        case "bool":
            return text == "yes"
        case "num" | "size":
            found = literal(text)
            return found if isinstance(found, int) else text
        case "time":
            return parse_duration(text)
        case "list":
            return _listed(text)
        case "address":
            return literal(text)
        case _:
            return text


def _listed(text: str) -> Array | str:
    return array_of(literal(part) for part in text.split(",")) if text else ""


def _no_match(field: Field) -> RunError:
    return RunError(f"input does not match any value of {field.name}", argument=field.name)


def _number(field: Field, text: str) -> str:
    if text == field.default or re.fullmatch(r"\d+", text):
        return text
    if re.match(r"\d", text):
        raise RunError(f"value of {field.name} contains invalid trailing characters", argument=field.name)
    raise RunError(f"invalid value for argument {field.name}", argument=field.name)


def _address(field: Field, text: str) -> str:
    try:
        return str(ipaddress.ip_address(text))
    except ValueError:
        raise RunError(f"invalid value for argument {field.name}", argument=field.name) from None


def _prefix(field: Field, text: str) -> str:
    """An address with a length; the host part stays, and a missing length is the whole address."""
    try:
        return str(ipaddress.ip_interface(text))
    except ValueError:
        raise RunError(f"invalid value for argument {field.name}", argument=field.name) from None


def _range(text: str) -> str:
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
