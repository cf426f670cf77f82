"""`lcr-ser settings`: every setting of a run, and where it comes from."""

import json
from collections.abc import Iterator
from typing import Any

import click

from tfx_pipeline.commands.command import Command
from tfx_pipeline.console.plain import plain_console
from tfx_pipeline.settings import FOLLOWING, Settings, load_with_sources
from tfx_pipeline.sources import Names, Sources

_CODE = "default of the code"
_FOLLOWING = {**FOLLOWING, ("logs", "read_cache"): "output_dir and name"}


@click.command(cls=Command)
@click.option("--profile", help="A profile of the settings file; default: the one that a run would take.")
@click.option("--json", "as_json", is_flag=True, help="Write JSON: value and origin by the name of the setting.")
def settings(profile: str | None, as_json: bool) -> None:
    """Print every setting, checked, and where it comes from: the code, the file with its line, or a variable."""
    resolved, sources = load_with_sources(profile)
    rows = list(_rows(resolved, sources))
    if as_json:
        by_name = {".".join(path): {"value": value, "from": origin} for path, value, origin in rows}
        click.echo(json.dumps({"file": sources.file, "profile": sources.profile, "settings": by_name}, indent=2))
        return
    from rich.table import Column, Table

    table = Table(Column("setting", no_wrap=True), Column("value", overflow="fold"), "from", box=None)
    for path, value, origin in rows:
        table.add_row(".".join(path), _shown(value), origin)
    console = plain_console()
    console.print(f"profile {sources.profile} of {sources.file}", soft_wrap=True)
    console.print(table)


def _rows(resolved: Settings, sources: Sources) -> Iterator[tuple[Names, Any, str]]:
    """Setting, value and origin, in the order of the file."""
    values = {
        "output_dir": str(resolved.output_dir),
        "log_dir": resolved.log_dir,
        **resolved.in_full(),
    }
    for name in sorted(values, key=["name", "output_dir", *sources.values, *values].index):
        for path, value in _leaves(values[name], (name,)):
            yield path, value, _origin(path, sources)


def _leaves(value: Any, path: Names) -> Iterator[tuple[Names, Any]]:
    if isinstance(value, dict) and value:
        for name, inner in value.items():
            yield from _leaves(inner, (*path, str(name)))
    else:
        yield path, value


def _origin(path: Names, sources: Sources) -> str:
    if path in sources.origins:
        return sources.origins[path]
    return f"follows {_FOLLOWING[path]}" if path in _FOLLOWING else _CODE


def _shown(value: Any) -> str:
    """As one would write it in the file."""
    return value if isinstance(value, str) and value else json.dumps(value, ensure_ascii=False)
