"""`lcr-ser score`: one real request to the pushed model, over gRPC."""

import json
from pathlib import Path

import click

from tfx_pipeline import quiet
from tfx_pipeline.settings import load

_SHOWN = 10


@click.command()
@click.option("--request", "request_file", type=click.Path(exists=True, dir_okay=False, path_type=Path),
              help="JSON file with user, rec_items, searches and candidates; default: a request of the test split.")
def score(request_file: Path | None) -> None:
    """Start the development server on loopback, score one request, print the ranking, stop the server."""
    settings = load()
    request_file = request_file or settings.run_dir / "request.json"
    if not request_file.exists():
        raise click.ClickException(f"{request_file} does not exist yet. Run `make run` first.")
    with quiet.nothing_on_stderr():
        from rich.console import Console
        from rich.table import Table

        from serving.request import RankRequest, Search
        from serving.score import ScoreError, score_once

    content = json.loads(request_file.read_text())
    request = RankRequest(
        user=content["user"], rec_items=content["rec_items"], candidates=content["candidates"],
        searches=[Search(words=search["words"], items=search["items"]) for search in content["searches"]])
    try:
        with quiet.nothing_on_stderr():
            answer = score_once(settings.serving_dir, request, model_name=settings.name)
    except ScoreError as error:
        raise click.ClickException(str(error)) from error
    table = Table("rank", "item", "score", "")
    for row in answer.candidates:
        clicked = row.item == content.get("clicked")
        if row.rank <= _SHOWN or clicked:
            table.add_row(str(row.rank), row.item, f"{row.score:.4f}", "clicked next" if clicked else "")
    console = Console(highlight=False)
    console.print(f"user {request.user}: {len(request.rec_items)} clicks and {len(request.searches)} searches before, "
                  f"{len(request.candidates)} candidates, version {answer.version}")
    console.print(table)
