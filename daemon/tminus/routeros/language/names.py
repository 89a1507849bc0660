"""Which menus, commands and parameters RouterOS has. Without them its language cannot be read.

``/ip/address/add`` and ``/container/config`` look alike, but where ``container`` is not a menu (its package is not
installed) the second is a command with rubbish after it: a syntax error. What may follow a command depends on its
parameters in the same way. The table is that of one device: a name that it lacks may exist on another.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import lru_cache
from importlib import resources

_FILE = "names.txt"
UNLIMITED = 99
_REMEMBERED = 256


@dataclass(frozen=True, slots=True, kw_only=True)
class Signature:
    """The parameters of a command."""

    values: frozenset[str]  # parameters that take a value
    flags: frozenset[str]  # parameters that are only named
    required: tuple[str, ...]  # to run, not to be read; filled by the unnamed values, in this order
    switches: frozenset[str] = frozenset()  # of the values: those that are "yes" or "no"
    unnamed: int  # how many values without a name it takes; 99 is any number

    plain: dict[bytes, str] = field(
        default_factory=dict, compare=False, repr=False
    )  # of the values: those that any word may fill, by their spelling in a script
    _found: dict[str, str | None] = field(default_factory=dict, compare=False, repr=False)

    def parameter(self, written: str) -> str | None:
        """The parameter of this name, or the only one that begins so."""
        if written in self.values or written in self.flags:
            return written
        if written not in self._found:
            if len(self._found) > _REMEMBERED:  # a hostile script has as many spellings as it likes
                self._found.clear()
            self._found[written] = complete(written, self.values | self.flags)
        return self._found[written]

    @property
    def any_unnamed(self) -> bool:
        return self.unnamed >= UNLIMITED


@dataclass(frozen=True, slots=True)
class Menu:
    menus: dict[str, Menu] = field(default_factory=dict)
    commands: dict[str, Signature] = field(default_factory=dict)

    def find(self, word: str) -> tuple[str, Menu | Signature] | None:
        """The menu or command of this name, or the only one that begins so: the console accepts abbreviations."""
        exact = self.menus.get(word) or self.commands.get(word)
        if exact is not None:
            return word, exact
        full = complete(word, (*self.menus, *self.commands))
        return None if full is None else (full, self.menus.get(full) or self.commands[full])

    def at(self, path: tuple[str, ...]) -> Menu | None:
        """The menu at a path of full names."""
        menu: Menu | None = self
        for name in path:
            menu = menu.menus.get(name) if menu is not None else None
        return menu


def complete(word: str, names: tuple[str, ...] | frozenset[str]) -> str | None:
    """``word`` itself if it is one of the names, else the only name that begins with it."""
    if word in names:
        return word
    found = [name for name in names if name.startswith(word)]
    return found[0] if word and len(found) == 1 else None


@lru_cache(maxsize=1)
def base() -> Menu:
    """The names of a CHR without extra packages; ``names.txt`` says of which version and from where."""
    root = Menu()
    signatures: dict[str, Signature] = {}
    for line in (resources.files(__package__) / _FILE).read_text("ascii").splitlines():
        if line.startswith("/"):
            path, *commands = line.split()
            menu = root
            for name in path.split("/")[1:]:
                if name:
                    menu = menu.menus.setdefault(name, Menu())
            for command in commands:
                name, _, number = command.partition("=")
                menu.commands[name] = signatures[number]
        elif line and not line.startswith("#"):
            number, _, text = line.partition(":")
            signatures[number] = _signature(text)
    return root


def _signature(text: str) -> Signature:
    """``2 name! value flag? log% | name``: unnamed values, parameters (``!`` required, ``?`` flag, ``%`` yes or no), order
    of the required."""
    parameters, _, order = text.partition("|")
    unnamed, *words = parameters.split()
    marked = {word.rstrip("?!%"): word for word in words}
    flags = frozenset(name for name, word in marked.items() if "?" in word)
    values = frozenset(marked) - flags
    switches = frozenset(name for name, word in marked.items() if "%" in word)
    required = tuple(order.split()) or tuple(name for name, word in marked.items() if "!" in word)
    return Signature(
        values=values,
        flags=flags,
        required=required,
        switches=switches,
        unnamed=int(unnamed),
        plain={name.encode(): name for name in values - switches if name != "where"},
    )
