"""`lcr-ser loadtest`: what a server answers, how fast, and how it refuses more than that."""

import dataclasses
import datetime
import itertools
import json
import os
import shlex
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from model.contract import MAX_MERGED_ROWS, MAX_RECOMMENDATIONS
from tfx_pipeline.commands.command import Command
from tfx_pipeline.commands.connection import DEFAULT_ADDRESS, connection_options, security
from tfx_pipeline.commands.score import read_request
from tfx_pipeline.console import quiet
from tfx_pipeline.console.plain import plain_console
from tfx_pipeline.settings import Settings, load

if TYPE_CHECKING:
    from serving.client.request import RankRequest
    from serving.load_test import Load, Summary

_REQUESTS = 200
"""Distinct requests at the most; they are asked in turns."""
_LATE_MS = 100.0
"""From there on the figures say as much of this process as of the server."""
_PAUSE_SECONDS = 1.0
"""Between two loops, for the server to be done with calls whose callers gave up."""


def _rates(context: click.Context, parameter: click.Parameter, text: str | None) -> list[float]:
    try:
        rates = [float(rate) for rate in text.split(",")] if text else []
    except ValueError:
        rates = [0.0]
    if not all(0 < rate <= 1e5 for rate in rates):
        raise click.BadParameter(f"should be calls a second, up to 100,000, such as 50,100,200. Received: {text}.")
    return rates


@click.command(cls=Command)
@click.argument("address", default=DEFAULT_ADDRESS)
@click.option(
    "--signature",
    type=click.Choice(["rank", "score", "recommend"]),
    default="rank",
    show_default=True,
    help="`score` is asked on states that are made before.",
)
@click.option(
    "--rates", callback=_rates, help="Calls a second of the open loops; default: .25 to 3 times the capacity."
)
@click.option("--seconds", type=click.FloatRange(0.1, 86_400), default=10.0, show_default=True, help="Of each loop.")
@click.option(
    "--clients",
    type=click.IntRange(1, 10_000),
    default=MAX_MERGED_ROWS,
    show_default=True,
    help="Of the closed loop, which finds the capacity; by default as many as a server merges.",
)
@click.option(
    "--timeout",
    type=click.FloatRange(0.001, 3600),
    default=1.0,
    show_default=True,
    help="Seconds, from when a call is due until its caller gives up.",
)
@click.option(
    "--requests",
    "request_file",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="TFRecord file of request Examples, or a JSON file as for `score`; default: the last run's test split.",
)
@click.option("--k", type=click.IntRange(1, MAX_RECOMMENDATIONS), default=10, show_default=True, help="Of `recommend`.")
@click.option("--seed", type=int, default=0, show_default=True, help="Of the random times.")
@click.option(
    "--out",
    type=click.Path(file_okay=False, path_type=Path),
    help="Folder of load_test.json and load_test.png; default: a new one in the run's folder.",
)
@connection_options
def loadtest(
    *,
    address: str, signature: Any, rates: list[float], seconds: float, clients: int, timeout: float,
    request_file: Path | None, k: int, seed: int, out: Path | None, model_name: str | None, **secured: Path | None,
) -> None:  # fmt: skip
    """Load the server at ADDRESS: clients that wait for answers, then calls that come at random times.

    A call's latency counts from when it was due, so that a server that falls behind shows.
    """
    settings = load()
    quiet.set_environment()
    from serving.client.connection import Connection
    from serving.client.exchange import RankingError
    from serving.load_test import SHARES, Load, arrivals, prepare, summarize

    source, requests = _requests(settings, request_file)
    name, secrets = model_name or settings.name, security(**secured)
    client = {"address": address, "model_name": name, **secrets}
    facts = {
        "started": datetime.datetime.now().isoformat(timespec="seconds"),
        "address": address, "model": name, "signature": signature, "source": source, "requests": len(requests),
        "clients": clients, "seconds": seconds, "timeout": timeout, "seed": seed,
        "cpus": os.cpu_count(), "load_average": os.getloadavg()[0],
    }  # fmt: skip
    try:
        messages, facts["versions"] = prepare(client, signature, requests, k)
    except (RankingError, ValueError) as error:
        raise click.ClickException(str(error)) from error
    click.echo(f"{len(requests)} requests of {source}, to {name} at {address}, version {facts['versions']}")
    with Load(Connection(address, **secrets), messages, timeout) as sender:
        closed = None
        if not rates:
            closed = _closed(sender, clients, seconds)
            rates = [share * closed.goodput for share in SHARES]
        summaries = []
        for rate in rates:
            click.echo(f"open loop, {rate:.1f} calls a second, {seconds:g} s")
            time.sleep(_PAUSE_SECONDS)
            summaries.append(summarize(sender.open(arrivals(rate, seconds, seed)), seconds))
    _show(closed, clients, rates, summaries)
    loops = [{"rate": rate, **dataclasses.asdict(one)} for rate, one in zip(rates, summaries, strict=True)]
    figures = {**facts, "closed": dataclasses.asdict(closed) if closed else None, "open": loops}
    out = out or settings.run_dir / "load_tests" / facts["started"].replace(":", "")
    out.mkdir(parents=True, exist_ok=True)
    (out / "load_test.json").write_text(json.dumps(figures, indent=2))
    _draw(figures, out / "load_test.png")
    click.echo(f"figures         {out / 'load_test.json'}")
    click.echo(f"picture         {out / 'load_test.png'}")
    click.echo(f"next            {_next_command(address, signature, rates, summaries)}")


def _closed(sender: "Load", clients: int, seconds: float) -> "Summary":
    from serving.load_test import summarize

    click.echo(f"closed loop, {clients} clients, {seconds:g} s")
    closed = summarize(sender.closed(clients, seconds), seconds)
    if not closed.goodput:
        told = "; ".join(f"{code}: {said}" for code, said in closed.said.items())
        raise click.ClickException(
            f"no call was answered. {told}. Give `--timeout` more, or ask with fewer `--clients`."
        )
    return closed


def _requests(settings: Settings, file: Path | None) -> tuple[str, list["RankRequest"]]:
    """Where requests come from, and some of them."""
    from serving.load_test import read_requests

    examples = settings.run_dir / "artifacts" / "LogExampleGen" / "examples"
    runs = sorted(examples.glob("*/Split-test"), key=lambda path: int(path.parent.name))
    if not file and not runs:
        file = settings.run_dir / "request.json"
        if not file.exists():
            raise click.ClickException(f"{settings.run_dir} holds no run. Run `make run` first, or give `--requests`.")
    if file and file.suffix == ".json":
        return str(file), [read_request(file)[0]]
    files = [file] if file else sorted(path for path in runs[-1].iterdir() if path.is_file())
    try:
        requests = list(itertools.islice(read_requests(files), _REQUESTS))
    except ValueError as error:
        raise click.ClickException(str(error)) from error
    if not requests:
        raise click.ClickException(f"{file or runs[-1]} should hold requests. Received: none.")
    return str(file or runs[-1]), requests


def _show(closed: "Summary | None", clients: int, rates: Sequence[float], summaries: Sequence["Summary"]) -> None:
    from rich.table import Column, Table

    names = ["calls/s", "answered/s", "p50 ms", "p95 ms", "p99 ms", "refused", "refusal p99 ms", "late p99 ms"]
    table = Table("loop", *(Column(name, justify="right") for name in names), "other codes")
    loops = [(f"{clients} clients", closed)] if closed else []
    for loop, one in [*loops, *((f"open {rate:.1f}/s", one) for rate, one in zip(rates, summaries, strict=True))]:
        table.add_row(
            loop, f"{one.offered:.1f}", f"{one.goodput:.1f}", _ms(one.p50_ms), _ms(one.p95_ms), _ms(one.p99_ms),
            f"{one.refusals / max(one.calls, 1):.1%}", _ms(one.refusal_p99_ms), _ms(one.late_p99_ms), _codes(one),
        )  # fmt: skip
    plain_console().print(table)
    for code, said in {code: said for one in reversed(summaries) for code, said in one.said.items()}.items():
        click.echo(f"{code:<23} {said}")
    if late := [rate for rate, one in zip(rates, summaries, strict=True) if (one.late_p99_ms or 0.0) > _LATE_MS]:
        click.echo(f"at {min(late):.1f} calls a second this process itself could not keep up (column late)")


def _ms(value: float | None) -> str:
    return "" if value is None else f"{value:.1f}"


def _codes(summary: "Summary") -> str:
    """Those that are neither answers nor refusals; all, where nothing was answered."""
    from serving.load_test import REFUSALS

    hidden = {"OK", *REFUSALS} if summary.goodput else {"OK"}
    return ", ".join(f"{count} {code}" for code, count in summary.codes.items() if code not in hidden)


def _next_command(address: str, signature: str, rates: Sequence[float], summaries: Sequence["Summary"]) -> str:
    """A longer look at the highest rate at which all was answered; with the settings of the environment, as before."""
    held = [rate for rate, one in zip(rates, summaries, strict=True) if set(one.codes) == {"OK"}]
    rate = max(held, default=min(rates) / 2)
    return f"lcr-ser loadtest {shlex.quote(address)} --signature {signature} --rates {rate:.4g} --seconds 60"


def _draw(figures: dict[str, Any], file: Path) -> None:
    """Percentiles against the rate, and what was answered and refused of it."""
    from matplotlib.figure import Figure

    from components.report.page.plots.picture import BLACK, BLUE, GREEN, GREY, VERMILLION

    loops, closed = sorted(figures["open"], key=lambda loop: loop["rate"]), figures["closed"]
    rates = [loop["rate"] for loop in loops]
    figure = Figure(figsize=(7, 7), layout="constrained")
    latency, answered = figure.subplots(2, 1, sharex=True)
    for name, colour, marker in (("p50", BLUE, "o"), ("p95", GREEN, "s"), ("p99", BLACK, "^")):
        values = [loop[f"{name}_ms"] or float("nan") for loop in loops]
        latency.plot(rates, values, color=colour, marker=marker, label=name)
    latency.set(yscale="log", ylabel="ms from when a call was due")
    answered.plot(rates, rates, color=GREY, linestyle=":", label="all")
    answered.plot(rates, [loop["goodput"] for loop in loops], color=BLUE, marker="o", label="answered")
    answered.set(xlabel="calls a second", ylabel="answered a second", ylim=(0, None), xlim=(0, None))
    for axis in (latency, answered):
        if closed:
            label = f"capacity, {figures['clients']} clients"
            axis.axvline(closed["goodput"], color=GREY, linestyle="--", linewidth=1, label=label)
        axis.grid(color="#E7EAEE")
        axis.spines[["top", "right"]].set_visible(False)
    refused = [loop for loop in loops if loop["refusals"]]
    if refused:
        at = [loop["rate"] for loop in refused]
        answered.plot(at, [loop["goodput"] for loop in refused], "X", color=VERMILLION, markersize=10, label="refusals")
        for loop in refused:
            share, where = f"{loop['refusals'] / loop['calls']:.0%} refused", (loop["rate"], loop["goodput"])
            answered.annotate(share, where, (0, -16), textcoords="offset points", ha="center", color=VERMILLION)
    latency.legend(frameon=False)
    answered.legend(frameon=False)
    latency.set_title(
        f"{figures['signature']} of {figures['model']} at {figures['address']}, {figures['seconds']:g} s each"
    )
    figure.savefig(file, dpi=110)
