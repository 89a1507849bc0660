"""Statements and the arguments of commands: from bytes to a ``Program``, or RouterOS's refusal.

Rules of RouterOS where its documentation is silent, from the verdicts of real routers (7.20 to 7.24) and from the public
record of what their ``:parse`` and ``/console/inspect`` said (7.21 to 7.24):

1.  A command starts with ``:``, ``/``, ``$``, ``[``, ``(``, ``{`` or a name of ``a-z 0-9 - .``. Anything else is
    ``expected command name`` at that byte: capitals, ``>``, ``<``, ``"``, ``@``, ``=``, ``)``, text that is not ASCII.
2.  Names are followed through the menus, by ``/`` or blanks, not both, while they are menus. After a menu stands another
    name, the end, or ``{``; anything else is ``expected command name`` there.
3.  A name that is neither menu nor command is not an error: RouterOS reads on and complains when it runs the script
    (``bad command name``); here it is a finding (``Program.unknown``). What follows must look like arguments: words,
    variables, ``( )``, ``[ ]``, constant strings, ``name=`` before one of these; braces and strings with variables in
    them do not. Else it is ``syntax error`` where the last good argument ended. So ``/container/config`` without that
    package fails at its second slash, and ``status: ok`` at the colon.
4.  After a command that exists, whatever is no argument of it is ``expected end of command`` where it starts: a
    parameter that the command lacks, one value too many, ``)``, a value that touches the one before it, the ``=`` behind
    a word that is read as a value. A value that cannot be read (``name='x'``) is ``syntax error`` where it starts; so
    is anything but ``yes`` and ``no`` for a parameter that is one of them, and a brace where no array or code can
    stand: of an array only the language's own commands know, a menu's commands want ``({ ... })``.
    From 7.23 on a parameter that the command lacks shows only when the script runs (``bad parameter``).
5.  The ``=`` between a parameter and its value may be a blank (``else { }``). ``.ssid=`` after ``configuration.mode=``
    is ``configuration.ssid=``. A required parameter that is missing shows when the script runs.
6.  Errors inside ``[ ]``, ``( )``, ``{ }`` and strings are final: nothing is read another way after them.
7.  ``( )`` does not span lines: ``syntax error`` at the line's end. ``$`` without a name is one behind the dollar.
8.  ``:set`` of a variable that is not declared in this or an enclosing block is ``syntax error`` at the name. The body
    of a function (``do=`` of ``:local``, ``:global``, ``:set``) does not see the variables around it. A statement that
    is only ``[ ]`` leaves its variables behind, so does ``:onerror``; a loop does not.
9.  At the end of the script an open ``{`` or ``[`` is ``missing closing brace``. A ``}`` or ``]`` too many is skipped.
10. A line that only names a menu makes it the current one for what follows. Bare blocks, a bare ``[ ]`` and the block
    after a menu hand it on; what stands in arguments starts at the command's menu (``:`` commands: the current) and
    cannot change it.
11. Names of menus, commands and parameters may be shortened as long as one only begins so.

Less certain, since no verdict shows them: the messages for an unclosed string (``syntax error`` at the end), for an
unclosed ``[`` and for a command that should name a variable and does not; that the code of a script in braces
(``source={ }``), which the router keeps as text, is refused for the same errors. Apart from yes and no, values are not
checked against what a parameter allows: a bad one is refused by the router alone.
"""

from __future__ import annotations

import gc
import re

from . import ast
from .arguments import ArgumentParser, Arguments
from .cursor import NAME, SEPARATOR
from .names import UNLIMITED, Menu, Signature, base
from .problem import NO_BRACE, NO_COMMAND, NO_END, ScriptSyntaxError
from .variables import Scope, Variables

_LOOPS = frozenset({"for", "foreach", "while", "do"})
_IN_LOOPS = frozenset({"break", "continue"})  # exist in the body of a loop and are in no list of commands
_ANYTHING = Signature(values=frozenset({"where"}), flags=frozenset(), required=(), unnamed=UNLIMITED)
# For menus that we don't know: what most menus have, and what a path to a menu looks like.
_VERBS = frozenset(
    [
        "add",
        "comment",
        "disable",
        "edit",
        "enable",
        "export",
        "find",
        "get",
        "monitor",
        "move",
        "print",
        "remove",
        "reset",
        "run",
        "set",
        "start",
        "stop",
    ]
)
_VERB_NEXT = re.compile(rb"(?:[ \t]+[a-z0-9-]+){0,3}?[ \t]+(?:" + "|".join(_VERBS).encode() + rb")(?![a-z0-9./=-])")
_PATH_ENDS = re.compile(rb"(?:[ \t]+[a-z0-9-]+){0,3}[ \t]*(?:[;\r\n{}\]]|\Z)")
_DEEPEST_MENU = 16  # twice what RouterOS has: paths through menus that we don't know end somewhere
_NO_PARAMETERS = Signature(values=frozenset(), flags=frozenset(), required=(), unnamed=0)

_Found = tuple[str | None, Signature | None, tuple[str, ...]]  # a command, its parameters, the menu it is in


def parse(
    source: bytes, *, names: Menu | None = None, tolerant: bool = False, placeholders: bool = False
) -> ast.Program:
    """Read a script. Raises ScriptSyntaxError with the message and place that RouterOS gives.

    ``names``: what the device has; by default a CHR without extra packages. ``tolerant``: the device may have more than
    that, so a path may lead through menus that we don't know and a command may have parameters that we don't know. What
    makes no sense that way may still be valid the other way (``x find -``), so a tolerant reading takes that too.
    ``placeholders``: take ``$(name)`` for a value, as a variable whose name has the parentheses.
    """
    try:
        return _read(source, names, tolerant=tolerant, placeholders=placeholders)
    except ScriptSyntaxError as error:
        if not tolerant:
            raise
        try:
            return _read(source, names, tolerant=False, placeholders=placeholders)
        except ScriptSyntaxError:
            raise error from None


def _read(source: bytes, names: Menu | None, *, tolerant: bool, placeholders: bool) -> ast.Program:
    parser = _Parser(source, base() if names is None else names, tolerant=tolerant)
    parser.placeholders = placeholders
    # Up to a million small objects and no cycle among them: Python's collector would look at all of them again and again.
    collecting = gc.isenabled()
    gc.disable()
    try:
        statements = parser.code(b"")
    finally:
        if collecting:
            gc.enable()
    return ast.Program(statements=statements, unknown=tuple(parser.unknown))


class _Parser(ArgumentParser):
    def __init__(self, source: bytes, names: Menu, *, tolerant: bool) -> None:
        super().__init__(source)
        self.tolerant = tolerant
        self.unknown: list[ast.UnknownName] = []
        self._names = names
        self._menu: tuple[str, ...] = ()  # the current one
        self._left_menu: tuple[str, ...] = ()  # that of the code read last, at its end
        self._closers: list[bytes] = []
        self._loops = 0
        self._known_names: dict[tuple[tuple[str, ...], bytes], _Found] = {}  # what was looked up before
        self.variables = Variables()

    def code(self, closer: bytes, scope: Scope = Scope.BLOCK) -> tuple[ast.Statement, ...]:
        menu: tuple[str, ...] = self._menu
        self._closers.append(closer)
        with self.variables.scope(scope):
            statements = self._statements(closer)
        self._closers.pop()
        self._left_menu, self._menu = self._menu, menu
        return statements

    def _statements(self, closer: bytes) -> tuple[ast.Statement, ...]:
        statements: list[ast.Statement] = []
        while True:
            self.match(SEPARATOR)
            here = self.here
            if here == closer:
                self.pos += len(closer)
                return tuple(statements)
            if not here:
                self.fail(NO_BRACE)
            if here in b"]}":
                if here in self._closers:
                    self.fail(NO_BRACE)
                self.pos += 1
                continue
            statements.append(self._statement(here))

    def _statement(self, here: bytes) -> ast.Statement:
        start = self.pos
        statement: ast.Statement
        match here:
            case b"{":
                statement = self._scope(start, (), self._menu, absolute=False)
            case b"[":
                bracket = self.substitution(Scope.BRACKET)
                self._menu = self._left_menu
                statement = self._call(start, bracket, self.call_arguments())
            case b"(":
                statement = self._call(start, self.group(), self.call_arguments())
            case b"$":
                statement = self._call(start, self.variable(), self.call_arguments())
            case _:
                statement = self._command(start)
        self.skip_blank()
        if not self.at_end:
            self.fail(NO_END)
        return statement

    def _call(
        self, start: int, callee: ast.Variable | ast.Substitution | ast.Group, args: tuple[ast.Arg, ...]
    ) -> ast.Command:
        return ast.Command(
            at=self.position(start),
            absolute=False,
            colon=False,
            words=(),
            menu=self._menu,
            name=None,
            known=True,
            callee=callee,
            args=args,
            where=None,
        )

    def _scope(self, start: int, words: tuple[ast.Word, ...], menu: tuple[str, ...], *, absolute: bool) -> ast.Scope:
        self._menu = menu
        block = self.block()
        self._menu = self._left_menu
        return ast.Scope(at=self.position(start), absolute=absolute, words=words, menu=menu, block=block)

    def _command(self, start: int) -> ast.Statement:
        colon, absolute = self.here == b":", self.here == b"/"
        menu: tuple[str, ...] = () if colon or absolute else self._menu
        if colon or absolute:
            self.pos += 1
            self.skip_blank()
        words, menu, name, signature = self._head(menu, absolute=absolute)
        if name is None and not self.at_end:
            if self.here == b"{" and not colon:
                return self._scope(start, words, menu, absolute=absolute)
            self.fail(NO_COMMAND)
        given = Arguments(())
        if name is None:
            if not colon:
                self._menu = menu
        else:
            outer = self._menu
            if menu and not colon:
                self._menu = menu
            if signature is not None:
                given = self._known(start, menu, name, signature)
            elif self.tolerant:
                given = self._known(start, menu, name, _ANYTHING)
            else:
                given = Arguments(self.unknown_arguments())
            self._menu = outer
        return ast.Command(
            at=self.position(start),
            absolute=absolute,
            colon=colon,
            words=words,
            menu=menu,
            name=name,
            known=self._names.at(menu) is not None and (name is None or signature is not None),
            callee=None,
            args=given.args,
            where=given.where,
            missing=given.missing,
        )

    def _head(
        self, menu: tuple[str, ...], *, absolute: bool
    ) -> tuple[tuple[ast.Word, ...], tuple[str, ...], str | None, Signature | None]:
        """The words up to the command; the menu they lead to, the command if there is one, and its signature if known."""
        words: list[ast.Word] = []
        signature: Signature | None = None
        name: str | None = None
        while name is None:
            at = self.pos
            raw = self.match(NAME)
            if raw is None:
                break
            if menu and raw.startswith(b".."):
                self.pos = at + 2
                words.append(ast.Word(at=self.position(at), text=".."))
                menu = menu[:-1]
                self._next_name()
                continue
            word = ast.Word(at=self.position(at), text=raw.decode())
            words.append(word)
            name, signature, menu = self._known_names.get((menu, raw)) or self._resolve(word, menu)
            if name is None:
                self._next_name()
            elif signature is None and self.tolerant and len(menu) < _DEEPEST_MENU and self._leads_on(raw, absolute):
                menu, name = (*menu, name), None
                self._next_name()
        return tuple(words), menu, name, signature

    def _leads_on(self, raw: bytes, absolute: bool) -> bool:
        """An unknown name is a menu if a path or a verb stands behind it, or if only names do up to the end of a line
        that began at the root."""
        if not raw.strip(b"-."):
            return False
        if self.here == b"/" or _VERB_NEXT.match(self.source, self.pos):
            return True
        return absolute and _PATH_ENDS.match(self.source, self.pos) is not None

    def _next_name(self) -> None:
        if self.here == b"/":
            self.pos += 1
        self.skip_blank()

    def _resolve(self, word: ast.Word, menu: tuple[str, ...]) -> _Found:
        """The command's full name and signature, and the menu it is in; no name if the word is a menu."""
        here = self._names.at(menu)
        found: _Found | None = None
        match here.find(word.text) if here is not None else None:
            case (full, Menu()):
                found = None, None, (*menu, full)
            case (full, Signature() as signature):
                found = full, signature, menu
        if found is not None:
            self._known_names[menu, word.text.encode()] = found
            return found
        if here is None and word.text in _VERBS:
            return word.text, _ANYTHING, menu
        if self._loops and not menu and word.text in _IN_LOOPS:
            return word.text, _NO_PARAMETERS, menu
        if here is not None:  # else we have told about its menu
            self.unknown.append(ast.UnknownName(at=word.at, name=word.text, menu=menu))
        return word.text, None, menu

    def _known(self, start: int, menu: tuple[str, ...], name: str, signature: Signature) -> Arguments:
        """Arguments of a command that exists, with the variables and the loop that the code in them sees."""
        builtin = "" if menu else name
        if builtin not in _LOOPS:
            return self.known_arguments(start, builtin, name, signature)
        self._loops += 1
        with self.variables.scope(Scope.BLOCK):
            result = self.known_arguments(start, builtin, name, signature)
        self._loops -= 1
        return result
