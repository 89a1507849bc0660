"""What the operators of an expression do with two values."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Mapping

from tminus.simulator.errors import RunError
from tminus.simulator.values import (
    Address,
    Array,
    Duration,
    Nil,
    Prefix,
    Value,
    bounded,
    keyed,
    literal,
    matches,
    number_of,
    same,
    text_of,
    truth,
    type_of,
)

_ADDRESSES = (ipaddress.IPv4Address, ipaddress.IPv6Address)
_NETWORKS = (ipaddress.IPv4Network, ipaddress.IPv6Network)


def binary(op: str, left: Value, right: Value) -> Value:
    """Everything but ``&&`` and ``||``, which look at their right side only if they must."""
    operation = _OPERATIONS.get(op)
    if operation is None:
        raise RunError(f"operator {op} is not supported by the simulator")
    return operation(left, right)


def negate(value: Value) -> Value:
    if isinstance(value, Duration):
        return Duration(-value.seconds)
    number = number_of(value)
    if number is None:
        raise RunError(f"cannot negate {_kind(value)}")
    return -number


def invert(value: Value) -> bool:
    """``!``; an unset value counts as false."""
    if value is None or isinstance(value, Nil):
        return True
    if isinstance(value, bool) or value in ("true", "false", "yes", "no"):
        return not truth(value)
    raise RunError(f"cannot invert {_kind(value)}")


def _arithmetic(name: str, compute: Callable[[int, int], int]) -> Callable[[Value, Value], Value]:
    def operation(left: Value, right: Value) -> Value:
        if isinstance(left, Duration) or isinstance(right, Duration):
            return _with_time(name, left, right, compute)
        first, second = number_of(left), number_of(right)
        if first is None or second is None:
            raise RunError(f"cannot {name} {_kind(left)} to {_kind(right)}")
        if isinstance(left, _ADDRESSES):
            if isinstance(right, _ADDRESSES) and name != "compute":
                return compute(first, second)
            return type(left)(compute(first, second) % (1 << left.max_prefixlen))
        return _signed(compute(first, second))

    return operation


def _signed(number: int) -> int:
    """Numbers are signed and have 64 bits."""
    return (number + (1 << 63)) % (1 << 64) - (1 << 63)


def _with_time(name: str, left: Value, right: Value, compute: Callable[[int, int], int]) -> Value:
    first = left.seconds if isinstance(left, Duration) else number_of(left)
    second = right.seconds if isinstance(right, Duration) else number_of(right)
    if first is None or second is None:
        raise RunError(f"cannot {name} {_kind(left)} to {_kind(right)}")
    if name == "divide" and isinstance(left, Duration) and isinstance(right, Duration):
        return int(first // second) if second else _zero()
    # In thousandths, so that fractions survive whole-number operations.
    factor = 1 if name in ("multiply", "divide") else 1000
    return Duration(compute(int(first * 1000), int(second * factor)) / 1000)


_NAMES = {"num": "integer number", "str": "string", "bool": "boolean", "ip": "ip address", "time": "time interval"}


def _kind(value: Value) -> str:
    kind = type_of(value)
    return _NAMES.get(kind, kind)


def _zero() -> int:
    raise RunError("division by zero")


def _divide(left: int, right: int) -> int:
    if right == 0:
        _zero()
    quotient = abs(left) // abs(right)
    return quotient if (left < 0) == (right < 0) else -quotient


def _remainder(left: int, right: int) -> int:
    return left - _divide(left, right) * right


def _shift(count: int) -> int:
    if count < 0:
        raise RunError("negative shift count")
    return min(count, 64)


def _bits(compute: Callable[[int, int], int]) -> Callable[[Value, Value], Value]:
    return _arithmetic("compute", compute)


def _ordered(compare: Callable[[int], bool]) -> Callable[[Value, Value], Value]:
    def operation(left: Value, right: Value) -> Value:
        return compare(order(left, right))

    return operation


def order(left: Value, right: Value) -> int:
    """Below, equal to or above zero: numbers and times by size, texts by their bytes."""
    first: float | str | None
    second: float | str | None
    if isinstance(left, Duration) and isinstance(right, Duration):
        first, second = left.seconds, right.seconds
    else:
        first, second = number_of(left), number_of(right)
    if first is None or second is None:
        texts = text_of(left), text_of(right)
        return (texts[0] > texts[1]) - (texts[0] < texts[1])
    return (first > second) - (first < second)


def _join(left: Value, right: Value) -> Value:
    if isinstance(left, Array) or isinstance(right, Array):
        return _list(left, right)
    return bounded(text_of(left) + text_of(right))


def _list(left: Value, right: Value) -> Value:
    return bounded(keyed((*_elements(left), *_elements(right))))


def _elements(value: Value) -> tuple[tuple[str | None, Value], ...]:
    return value.items if isinstance(value, Array) else ((None, value),)


def _within(left: Value, right: Value) -> Value:
    address = _host(left) if isinstance(left, str) else left
    network = literal(right) if isinstance(right, str) else right
    if isinstance(network, _NETWORKS):
        return _inside(address, network)
    if isinstance(right, Array):
        return any(same(left, item) for item in right.values)
    return same(left, right)


def _host(text: str) -> Value:
    """What a text says; of an address with a length and a host part, the address."""
    found = literal(text)
    if isinstance(found, str) and "/" in found:
        try:
            return ipaddress.ip_interface(found).ip
        except ValueError:
            return found
    return found


def _inside(address: Value, network: Prefix) -> bool:
    match address:
        case ipaddress.IPv4Address() | ipaddress.IPv6Address():
            found: Address = address
            return found in network
        case ipaddress.IPv4Network() if isinstance(network, ipaddress.IPv4Network):
            return address.subnet_of(network)
        case ipaddress.IPv6Network() if isinstance(network, ipaddress.IPv6Network):
            return address.subnet_of(network)
        case _:
            return False


def _index(left: Value, right: Value) -> Value:
    return left.get(right) if isinstance(left, Array) else None


_OPERATIONS: Mapping[str, Callable[[Value, Value], Value]] = {
    "+": _arithmetic("add", lambda a, b: a + b),
    "-": _arithmetic("subtract", lambda a, b: a - b),
    "*": _arithmetic("multiply", lambda a, b: a * b),
    "/": _arithmetic("divide", _divide),
    "%": _arithmetic("divide", _remainder),
    "<<": _bits(lambda a, b: a << _shift(b)),
    ">>": _bits(lambda a, b: a >> _shift(b)),
    "&": _bits(lambda a, b: a & b),
    "|": _bits(lambda a, b: a | b),
    "^": _bits(lambda a, b: a ^ b),
    "=": same,
    "!=": lambda a, b: not same(a, b),
    "<>": lambda a, b: not same(a, b),
    "<": _ordered(lambda sign: sign < 0),
    ">": _ordered(lambda sign: sign > 0),
    "<=": _ordered(lambda sign: sign <= 0),
    ">=": _ordered(lambda sign: sign >= 0),
    ".": _join,
    ",": _list,
    "~": lambda a, b: matches(a, text_of(b)),
    "in": _within,
    "->": _index,
}
