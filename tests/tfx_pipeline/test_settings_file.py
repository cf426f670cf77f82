"""settings.yaml tells of itself: allowed values, and where it departs from the defaults of the code."""

import dataclasses
import typing

import pytest
import yaml
from pydantic import BaseModel

from model.config import LcrSerConfig
from model.registry import KINDS
from tfx_pipeline.settings import DEFAULT_FILE, REPOSITORY, Settings

LINES = DEFAULT_FILE.read_text().splitlines()
FILE = yaml.safe_load(DEFAULT_FILE.read_text())
SECTIONS = {**typing.get_type_hints(Settings), "model": LcrSerConfig}


def _comments(node, path=()):
    """The comment on the line of each key, by the keys that lead to it."""
    for key, value in node.value:
        here = (*path, key.value)
        yield here, LINES[key.start_mark.line].partition(" # ")[2]
        if isinstance(value, yaml.MappingNode):
            yield from _comments(value, here)


COMMENTS = dict(_comments(yaml.compose(DEFAULT_FILE.read_text())))


def _fields(kind):
    """Name and default of the fields of a class; a field that must be given has none."""
    if issubclass(kind, BaseModel):
        return {name: field.default for name, field in kind.model_fields.items() if not field.is_required()}
    return {
        field.name: field.default_factory() if field.default is dataclasses.MISSING else field.default
        for field in dataclasses.fields(kind)
        if (field.default, field.default_factory) != (dataclasses.MISSING,) * 2
    }


def _settings(values):
    """Class, section, name and value of each setting of a profile that is in a section."""
    for section, fields in values.items():
        if isinstance(fields, dict):
            for name, value in fields.items():
                yield SECTIONS[section], section, name, value


@pytest.mark.parametrize(
    "path", [path for path in COMMENTS if path[0] == "defaults" and len(path) in (2, 3)], ids=".".join
)
def test_every_key_of_the_defaults_has_its_comment(path):
    assert COMMENTS[path].strip()


def test_a_comment_names_every_choice():
    chosen = [
        (section, name, typing.get_args(hint))
        for kind, section, name, _ in _settings(FILE["defaults"])
        if typing.get_origin(hint := typing.get_type_hints(kind)[name]) is typing.Literal
    ]
    chosen = [entry for entry in chosen if entry[1] != "kind"]
    assert len(chosen) > 5
    for section, name, choices in chosen:
        assert COMMENTS["defaults", section, name].startswith(", ".join(choices)), name


def test_every_kind_of_model_is_in_the_table_that_its_comment_names():
    assert COMMENTS["defaults", "model", "kind"].startswith("a kind of docs/models.md: lcr_ser")
    rows = (REPOSITORY / "docs" / "models.md").read_text().splitlines()
    named = {row.split("`")[1] for row in rows if row.startswith("| `") and row.count("|") == 6}
    assert named == {*KINDS, "model.kind"}


@pytest.mark.parametrize("profile", [("defaults",), *(("profiles", name) for name in FILE["profiles"])], ids=".".join)
def test_a_key_says_where_it_departs_from_the_default_of_the_code(profile):
    values = FILE
    for name in profile:
        values = values[name]
    for kind, section, name, value in _settings(values):
        default = _fields(kind).get(name, value)
        told = COMMENTS[(*profile, section, name)].partition("code: ")[2]
        plain = list(default) if isinstance(default, tuple) else default
        assert (yaml.safe_load(told) == plain) if plain != value else not told, (section, name)
