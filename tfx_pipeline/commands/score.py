"""`lcr-ser score`: one real request to the pushed model, over gRPC."""

import json
from pathlib import Path
from typing import Any

import click
from pydantic import TypeAdapter, ValidationError

from serving.client.request import RankRequest
from tfx_pipeline.commands.command import Command
from tfx_pipeline.console import quiet
from tfx_pipeline.console.plain import plain_console
from tfx_pipeline.settings import load
from tfx_pipeline.sources import said

_SHOWN = 10


@click.command(cls=Command)
@click.option(
    "--request",
    "request_file",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="JSON file with user, rec_items, searches and candidates; default: a request of the test split.",
)
def score(request_file: Path | None) -> None:
    """Start the development server on loopback, score one request, print the ranking, stop the server."""
    settings = load()
    request_file = request_file or settings.run_dir / "request.json"
    if not request_file.exists():
        raise click.ClickException(f"{request_file} does not exist yet. Run `make run` first.")
    quiet.set_environment()
    with quiet.nothing_on_stderr():
        from rich.table import Table

        from serving.dev_server.score import ScoreError, score_once

    request, clicked_next = read_request(request_file)
    try:
        with quiet.nothing_on_stderr():
            answer = score_once(settings.serving_dir, request, model_name=settings.name)
    except ScoreError as error:
        raise click.ClickException(str(error)) from error
    table = Table("rank", "item", "score", "")
    for row in answer.candidates:
        clicked = row.item == clicked_next
        if row.rank <= _SHOWN or clicked:
            table.add_row(str(row.rank), row.item, f"{row.score:.4f}", "clicked next" if clicked else "")
    console = plain_console()
    console.print(
        f"user {request.user}: {len(request.rec_items)} clicks and {len(request.searches)} searches before, "
        f"{len(request.candidates)} candidates, version {answer.version}"
    )
    console.print(table)


def read_request(file: Path) -> tuple[RankRequest, Any]:
    """Read a request, and the item that was clicked next where the file has one.

    Raises:
        click.ClickException: for a file that is no JSON, or that holds no request.
    """
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
        return TypeAdapter(RankRequest).validate_python(content), content.get("clicked")
    except ValidationError as error:
        reason = " ".join(said(dict(problem)) for problem in error.errors())
    except ValueError as error:
        reason = f"It is no JSON: {error}."
    raise click.ClickException(
        f"{file} should be a JSON object with user, rec_items, candidates, and searches of "
        f"words and items, all of them text. {reason}"
    )
