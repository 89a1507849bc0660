"""config/tminus.toml is complete and true: every setting, each with its default."""

from __future__ import annotations

import os
import re
import tomllib
from pathlib import Path

import pytest

from tests.support import clean_environment
from tminus.settings import Settings, load_settings

_FILE = Path(__file__).parents[2] / "config/tminus.toml"
_TEXT = _FILE.read_text(encoding="utf-8")
_TOP = _TEXT.split("\n[", maxsplit=1)[0]
_SCALARS = Settings.model_fields.keys() - {"credentials"}


def test_every_setting_is_there_once_and_nothing_else() -> None:
    named = re.findall(r"^(?:# )?([a-z_]+) = ", _TOP, re.MULTILINE)
    assert sorted(named) == sorted(_SCALARS)


@pytest.mark.parametrize("name", sorted(_SCALARS))
def test_a_setting_has_its_default_or_has_none(name: str) -> None:
    field = Settings.model_fields[name]
    given = tomllib.loads(_TOP)
    if name in given:
        assert given[name] == field.default
        assert type(given[name]) is type(field.default) or isinstance(field.default, str)
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


def test_it_can_be_loaded_and_changes_nothing_but_the_credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in os.environ.keys() - clean_environment().keys():
        monkeypatch.delenv(name)
    loaded = load_settings(_FILE)
    assert loaded.credentials.keys() == {"default"}
    assert loaded.model_dump(exclude={"credentials"}) == Settings().model_dump(exclude={"credentials"})
