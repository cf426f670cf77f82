"""`lcr-ser models` and `lcr-ser rollback`: which versions there are, and back to an earlier one."""

import datetime
from pathlib import Path

import click

from components.pusher import rollback as steps
from components.pusher.layout import live_versions, withdrawn_versions
from components.pusher.manifest import find_damage, read_manifest
from tfx_pipeline.commands.command import Command
from tfx_pipeline.console.plain import plain_console
from tfx_pipeline.settings import load

_METRICS = ("HR@1", "HR@5", "HR@10", "NDCG@5", "NDCG@10")


@click.command(cls=Command)
@click.option(
    "--serving_dir",
    type=click.Path(file_okay=False, path_type=Path),
    help="Directory of versions; default: that of the settings.",
)
@click.option("--verify", is_flag=True, help="Hash all files and hold them against the manifests.")
def models(serving_dir: Path | None, verify: bool) -> None:
    """List the pushed versions with their metrics, newest first, and which one is served."""
    from rich.table import Table

    serving_dir = serving_dir or load().serving_dir
    live, withdrawn = live_versions(serving_dir), withdrawn_versions(serving_dir)
    if not live and not withdrawn:
        raise click.ClickException(f"{serving_dir} holds no pushed model. Run `make run` first.")
    served = max(live, default=None)
    table = Table("version", "", "pushed", *_METRICS, "MB", "model", "data", "code")
    for version, path in sorted({**live, **withdrawn}.items(), reverse=True):
        state = "served" if version == served else "withdrawn" if version in withdrawn else ""
        table.add_row(str(version), state, *_cells(path))
    console = plain_console()
    console.print(table)
    if verify:
        damage = [f"{version}: {line}" for version, path in {**live, **withdrawn}.items() for line in _damage(path)]
        if damage:
            raise click.ClickException("not as the manifests say:\n" + "\n".join(damage))
        console.print(f"{len(live) + len(withdrawn)} versions are as their manifests say")


@click.command(cls=Command)
@click.argument("version", type=int, required=False)
@click.option(
    "--serving_dir",
    type=click.Path(file_okay=False, path_type=Path),
    help="Directory of versions; default: that of the settings.",
)
def rollback(version: int | None, serving_dir: Path | None) -> None:
    """Serve VERSION again, or else the one before the newest; newer ones are set aside and can come back."""
    serving_dir = serving_dir or load().serving_dir
    try:
        done = steps.rollback(serving_dir, version)
    except ValueError as error:
        raise click.ClickException(str(error)) from error
    click.echo(f"served     {done.served}" + (" (as before)" if done.served == done.before else f", was {done.before}"))
    for number in done.withdrawn:
        click.echo(f"withdrawn  {number} (`lcr-ser rollback {number}` brings it back)")


def _damage(version_dir: Path) -> list[str]:
    try:
        return find_damage(version_dir)
    except ValueError as error:
        return [str(error)]


def _cells(version_dir: Path) -> list[str]:
    try:
        manifest = read_manifest(version_dir)
    except ValueError:
        return ["broken manifest"]
    if manifest is None:  # another pusher's
        return ["no manifest"]
    metrics = manifest.facts.metrics
    pushed = datetime.datetime.fromtimestamp(manifest.pushed_at).strftime("%Y-%m-%d %H:%M:%S")
    size = sum(entry["size"] for entry in manifest.files.values()) / 1e6
    return [
        pushed,
        *(f"{metrics[name]:.4f}" if name in metrics else "" for name in _METRICS),
        f"{size:.1f}",
        manifest.model[:8],
        manifest.facts.data[:8],
        manifest.facts.code[:8],
    ]
