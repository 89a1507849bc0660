"""config/tminus.toml is complete and true: every setting, each with its default."""

from __future__ import annotations

import os
import re
import tomllib
from pathlib import Path

import pytest
from pydantic import BaseModel

from tests.support import clean_environment
from tminus.settings import (
    AuthorizationSettings,
    CredentialSettings,
    JumpHostSettings,
    Settings,
    WebhookSettings,
    load_settings,
)

_FILE = Path(__file__).parents[2] / "config/tminus.toml"
_TEXT = _FILE.read_text(encoding="utf-8")
_TOP = _TEXT.split("\n[", maxsplit=1)[0]
_TABLES: dict[str, type[BaseModel]] = {
    "credentials": CredentialSettings,
    "jump_hosts": JumpHostSettings,
    "webhooks": WebhookSettings,
}
"""The settings that are tables of things with names; what one such thing has."""
_SCALARS = Settings.model_fields.keys() - _TABLES.keys() - {"authorization"}


def _example(table: str) -> str:
    """The lines of all sections of a table, those behind a '#' without it."""
    bare = re.sub(r"^# (?=\[\w|\w+ = )", "", _TEXT, flags=re.MULTILINE)
    return "".join(re.findall(rf"^\[{table}\..+\n(?:\w+ = .*\n)+", bare, re.MULTILINE))


def test_every_setting_is_there_once_and_nothing_else() -> None:
    named = re.findall(r"^(?:# )?([a-z_]+) = ", _TOP, re.MULTILINE)
    assert sorted(named) == sorted(_SCALARS)


@pytest.mark.parametrize("name", sorted(_SCALARS))
def test_a_setting_has_its_default_or_has_none(name: str) -> None:
    field = Settings.model_fields[name]
    given = tomllib.loads(_TOP)
    if name in given:
        # TOML has no tuples.
        default = list(field.default) if isinstance(field.default, tuple) else field.default
        assert given[name] == default
        assert type(given[name]) is type(default) or isinstance(default, str)
    else:
        # Only an example, behind a '#', of what is not set, or depends on who runs tminus.
        assert field.default is None or field.default_factory is not None


def test_every_setting_is_explained() -> None:
    lines = _TOP.splitlines()
    for name in _SCALARS:
        number = next(i for i, line in enumerate(lines) if re.match(rf"(# )?{name} = ", line))
        while re.match(r"(# )?[a-z_]+ = [^#]*$", lines[number]):  # told by the sentence above the group
            number -= 1
        assert re.match(r"# \w|.*\S +# \S", lines[number]), f"{name} is not explained"


def test_every_setting_of_authorization_is_there_with_its_default_and_explained() -> None:
    section = re.findall(r"^\[authorization\]\n((?:.+\n)+)", _TEXT, re.MULTILINE)[0]
    assert re.findall(r"^(?:# )?([a-z_]+) = \S+ +# \S", section, re.MULTILINE) == list(
        AuthorizationSettings.model_fields
    )
    for name, value in tomllib.loads(section).items():
        assert value == AuthorizationSettings.model_fields[name].default


@pytest.mark.parametrize("table", _TABLES)
def test_what_a_table_may_hold_is_shown_with_its_defaults_and_explained(table: str) -> None:
    text = _example(table)
    fields = _TABLES[table].model_fields
    for thing in tomllib.loads(text)[table].values():
        _TABLES[table].model_validate(thing)
        for name, value in thing.items():
            if not fields[name].is_required() and fields[name].default is not None:
                assert value == fields[name].default
    for name in fields:  # as a line of its own, or as an alternative in the comment of another
        assert re.search(rf"^{name} = .*\S +# \S|# .*\b{name}\b", text, re.MULTILINE), f"{name} is not explained"


def test_it_can_be_loaded_and_changes_nothing_but_the_credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in os.environ.keys() - clean_environment().keys():
        monkeypatch.delenv(name)
    loaded = load_settings(_FILE)
    assert loaded.credentials.keys() == {"default"}
    assert loaded.model_dump(exclude={"credentials"}) == Settings().model_dump(exclude={"credentials"})
