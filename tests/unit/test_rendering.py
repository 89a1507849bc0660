"""Placeholders: a value reaches the router as it is, and never becomes code, whatever it is."""

from __future__ import annotations

import re
from dataclasses import fields, is_dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tminus.routeros import rendering
from tminus.routeros.language import ScriptSyntaxError, ast, parse
from tminus.routeros.lint import inspect
from tminus.routeros.rendering import MAX_RENDERED, RenderingRefused, template

VALUES = st.one_of(
    st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=40),
    st.text(st.sampled_from("\"\\$[](){};\n\r\t #?`'=:/x1"), max_size=40),
)
# Each with one placeholder, in every place where one may stand.
PLACES = [
    "/ip address add address=$(x) interface=ether1",
    '/ip address add address="$(x)/24" interface=ether1',
    ":put $(x)",
    ':put "a $(x) b"',
    ":put ($(x) . 1)",
    ':put ("<" . $(x) . ">")',
    ":put ($(x))",
    ":put {$(x);2}",
    ":local a $(x)\n:put $a",
    ":local a {k=$(x)}",
    "/ip address remove [find where comment=$(x)]",
    '/ip address remove [find comment~"^$(x)"]',
    ":if ($(x) = 1) do={ :put 1 } else={ :put $(x) }",
    "{ :local f do={ :put $1 }\n$f $(x) }",
    ":onerror e in={ :error $(x) } do={ :log info $(x) }",
    ':foreach i in={1;2} do={ :put $(x); :log info "$i $(x)" }',
    ":put [:len $(x)]",
    ':put "$[:len "$(x)"] \\$(x)"',
    '/unheard of menu add name=$(x) note="n $(x)"',
]
REFUSED = [
    "/ip $(x) print",
    "$(x)",
    ":$(x) 1",
    "/ip address add $(x)=1",
    "/ip address add address=$(x)/24",
    "/ip address add address=10.$(x)",
    ":put $(x)$(x)",
    ":local $(x) 1",
    ':local "a$(x)" 1',
    ":global $(x)",
    ":foreach $(x) in={1} do={ }",
    "/ip address print where $(x)=1",
    ':put $"$(x)"',
    "/system script add name=s source=$(x)",
    '/system script add name=s source=":put $(x)"',
    "/system script add name=s source={ :put $(x) }",
    '/system scheduler add name=s on-event="/system identity set name=$(x)"',
    ":execute $(x)",
    ':execute script="log info $(x)"',
    ":execute { :put $(x) }",
    "[:parse $(x)]",
    '[[:parse ":put $(x)"]]',
    ':do "$(x)"',
    '/tool netwatch add host=192.0.2.1 up-script="$(x)"',
    "/ppp profile set default on-up=$(x)",
    ':local s "$(x)"\n[[:parse $s]]',
    ':local s "$(x)"\n:execute script=$s',
    ':local s "$(x)"\n/system scheduler add name=s on-event="log info $s"',
    ":put $(x) }{",
]


def shape(node: object) -> object:
    """A program without its places and without the text of its constants."""
    match node:
        case ast.String():
            return ("string", tuple(shape(part) for part in node.parts if not isinstance(part, str)))
        case tuple():
            return tuple(shape(each) for each in node)
        case ast.Position():
            return None
        case _ if is_dataclass(node):
            kept = (each.name for each in fields(node) if each.name not in ("at", "text") or isinstance(node, ast.Word))
            return (type(node).__name__, *(shape(getattr(node, name)) for name in kept if name != "at"))
        case _:
            return node


def strings(node: object) -> list[str]:
    match node:
        case ast.String():
            return [part for part in node.parts if isinstance(part, str)] + [
                text for part in node.parts if not isinstance(part, str) for text in strings(part)
            ]
        case tuple():
            return [text for each in node for text in strings(each)]
        case _ if is_dataclass(node):
            return [text for each in fields(node) for text in strings(getattr(node, each.name))]
        case _:
            return []


@pytest.mark.parametrize("script", PLACES)
@given(VALUES)
def test_no_value_changes_what_the_script_does(script: str, value: str) -> None:
    found = template(script.encode())
    harmless = parse(found.render({"x": "harmless"}), tolerant=True)
    rendered = found.render({"x": value})
    assert rendered.isascii()
    assert rendered.count(b"\n") == script.count("\n")
    program = parse(rendered, tolerant=True)
    assert shape(program.statements) == shape(harmless.statements)
    before, after = strings(harmless.statements), strings(program.statements)
    if value:
        assert after == [text.replace("harmless", value) for text in before]


@pytest.mark.parametrize("script", REFUSED)
def test_a_placeholder_where_quoting_is_not_safe_is_refused(script: str) -> None:
    with pytest.raises(RenderingRefused) as refused:
        template(script.encode())
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("script", "value", "rendered"),
    [
        (":put $(x)", 'a"b\\c$d?e\n', ':put "a\\22b\\5Cc\\24d\\3Fe\\0A"'),
        (":put $(x)", "é", ':put "\\C3\\A9"'),
        (":put $(x)", "", ':put ""'),
        (":put $(x)", 5, ":put 5"),
        (":put $(x)", -5, ':put "-5"'),
        (":put ($(x)+1)", 5, ':put ("5"+1)'),
        (":put ($(x) + 1)", 5, ":put (5 + 1)"),
        (":put (1$(x))", 5, ':put (1"5")'),
        (':put "$(x)1"', 5, ':put "51"'),
        ("/ip address set 0 disabled=$(x)", True, '/ip address set 0 disabled="yes"'),
        ("/ip address set 0 disabled=$(x)", False, '/ip address set 0 disabled="no"'),
        ("# $(x)\n:put $(x)", "\n:put 2", '# $(x)\n:put "\\0A:put 2"'),
        (':put "\\$(x) $(x)"', "v", ':put "\\$(x) v"'),
        (':put "\\\\$(x)"', "v", ':put "\\\\v"'),
    ],
)
def test_how_a_value_is_written(script: str, value: str | int | bool, rendered: str) -> None:
    assert template(script.encode()).render({"x": value}).decode() == rendered


@pytest.mark.parametrize(
    "script",
    [
        b":put 1",
        b'\xff\x00 not RouterOS $x "$(1+2)" "$($x + 1)" "$( name)" "$[:len 1]"',
        b':put "$(1)" ; :put $x',
        b':put "\\$(name)"',
        b"# $(name)\n:put 1",
    ],
)
def test_a_script_without_placeholders_stays_as_it_is(script: bytes) -> None:
    assert template(script).render({}) == script


def test_what_is_missing_is_named() -> None:
    with pytest.raises(RenderingRefused, match=re.escape("$(b), $(c)")):
        template(b":put $(a)\n:put $(c)\n:put $(b)").render({"a": "1", "d": "2"})


def test_a_rendered_script_has_an_end() -> None:
    found = template(b':put "$(x)"\n' * 1000)
    with pytest.raises(RenderingRefused, match=str(MAX_RENDERED)):
        found.render({"x": "é" * 1000})


@given(st.lists(st.sampled_from([*PLACES, *REFUSED]), max_size=3), st.integers(0, 200))
def test_what_is_cut_or_put_together_is_rendered_or_refused_in_a_sentence(scripts: list[str], cut: int) -> None:
    script = "\n".join(scripts)[cut:].encode()
    try:
        rendered = template(script).render({"x": "v"})
    except RenderingRefused:
        return
    try:
        parse(script, tolerant=True, placeholders=True)
    except ScriptSyntaxError:
        assert rendered == script


def test_what_is_found_in_a_script_tells_of_placeholders_before_anybody_authorizes_it() -> None:
    codes = {found.code: found for found in inspect(b":put 1\n/system script add name=s source=$(x)").findings}
    assert (codes["placeholder-refused"].severity, codes["placeholder-refused"].line) == ("error", 2)
    fine = inspect(b"/interface set $(wan) comment=$(who)")
    assert fine.valid
    assert not {"placeholder-refused", "undeclared-variable", "syntax-error"} & {found.code for found in fine.findings}


@pytest.mark.parametrize("script", [b':put "$(a)"', b':execute "$(a)"', b':put "$(a)'])
def test_a_script_is_read_once_for_all_its_sites_whatever_comes_of_it(
    monkeypatch: pytest.MonkeyPatch, script: bytes
) -> None:
    """A megabyte takes seconds; it was read again for each site that it was refused for."""
    read: list[bytes] = []

    def counted(text: bytes, **options: bool) -> ast.Program:
        read.append(text)
        return parse(text, **options)

    monkeypatch.setattr(rendering, "parse", counted)
    rendering._read.cache_clear()
    said = set()
    for _ in range(3):
        try:
            said.add(template(script).names)
        except RenderingRefused as refused:
            said.add((str(refused),))
    assert (len(read), len(said)) == (1, 1)
