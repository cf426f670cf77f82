"""`lcr-ser push --wait`: until every server serves what was pushed."""

import socket
import time
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import click

from components.pusher.layout import live_versions
from tfx_pipeline.commands.command import Command
from tfx_pipeline.commands.connection import connection_options, security
from tfx_pipeline.console import quiet
from tfx_pipeline.settings import load

_DNS = "dns:///"
_LOOK_SECONDS = 0.5
"""Between two looks."""
_ANSWER_SECONDS = 5.0
"""For a server to tell its state."""


class Replica(NamedTuple):
    """A server: where it is, and the name in its certificate where that is another."""

    address: str
    host: str | None = None


@click.command(cls=Command)
@click.argument("addresses", nargs=-1, required=True, metavar="ADDRESS...")
@click.option("--wait", "wait", is_flag=True, help="Wait until all serve the version.")
@click.option("--version", type=int, help="To wait for; default: the newest pushed one.")
@click.option("--seconds", type=click.FloatRange(0), default=300.0, show_default=True, help="To wait at the most.")
@click.option(
    "--serving_dir",
    type=click.Path(file_okay=False, path_type=Path),
    help="Directory of versions; default: that of the settings.",
)
@connection_options
def push(
    *,
    addresses: tuple[str, ...], wait: bool, version: int | None, seconds: float, serving_dir: Path | None,
    model_name: str | None, **secured: Path | None,
) -> None:  # fmt: skip
    """Wait until each server at ADDRESS... serves the newest pushed version; of a dns:/// name, each of its addresses.

    Models are pushed by the pipeline (`make run`), and taken back by `lcr-ser rollback`; servers follow by themselves.
    """
    if not wait:
        raise click.UsageError("models are pushed by the pipeline: `make run`. `--wait` waits for the servers")
    settings = load()
    quiet.set_environment()
    serving_dir = serving_dir or settings.serving_dir
    version = version or max(live_versions(serving_dir), default=None)
    if version is None:
        raise click.ClickException(f"{serving_dir} holds no pushed model. Run `make run` first.")
    lacking = _wait(addresses, model_name or settings.name, version, seconds, security(**secured))
    if lacking:
        told = "\n".join(f"  {address}: {why}" for address, why in sorted(lacking.items()))
        raise click.ClickException(f"version {version} is not served after {seconds:g} s by\n{told}")
    click.echo(f"next            lcr-ser loadtest {addresses[0]}")


def replicas(address: str) -> list[Replica]:
    """The servers behind an address: several behind a `dns:///` name.

    Raises:
        OSError: the name is not known.
        ValueError: the port is missing.
    """
    if not address.startswith(_DNS):
        return [Replica(address)]
    host, colon, port = address.removeprefix(_DNS).rpartition(":")
    if not colon or not port.isdigit():
        raise ValueError(f"an address should be dns:///HOST:PORT. Received: {address}.")
    host = host.strip("[]")
    found = {answer[4][0] for answer in socket.getaddrinfo(host, int(port), type=socket.SOCK_STREAM)}
    return [Replica(f"[{one}]:{port}" if ":" in str(one) else f"{one}:{port}", host) for one in sorted(map(str, found))]


def _wait(
    addresses: Iterable[str], model_name: str, version: int, seconds: float, secrets: dict[str, Any]
) -> dict[str, str]:
    """Ask all until they serve the version; those that do not in the end, and why.

    Names are looked up each time, since servers come and go.
    """
    began, served = time.monotonic(), set[str]()
    while True:
        found, lacking = list[Replica](), dict[str, str]()
        for address in addresses:
            try:
                found += replicas(address)
            except OSError as error:
                lacking[address] = str(error)
            except ValueError as error:
                raise click.ClickException(str(error)) from error
        with ThreadPoolExecutor(min(32, len(found) + 1)) as pool:
            states = pool.map(lambda replica: _lacks(replica, model_name, version, secrets), found)
            lacking |= {one.address: why for one, why in zip(found, states, strict=True) if why}
        waited = time.monotonic() - began
        for one in found:
            if one.address not in lacking and one.address not in served:
                click.echo(f"{one.address} serves {version} of {model_name} ({waited:.1f} s)")
                served.add(one.address)
        if not lacking or waited >= seconds:
            return lacking
        time.sleep(_LOOK_SECONDS)


def _lacks(replica: Replica, model_name: str, version: int, secrets: dict[str, Any]) -> str:
    """Why a server does not serve the version; empty if it does."""
    import dataclasses

    from serving.client.client import RankingClient
    from serving.client.exchange import RankingError

    tls = secrets["tls"]
    if tls is not None and replica.host:
        tls = dataclasses.replace(tls, server_name=replica.host)
    try:
        with RankingClient(replica.address, model_name, _ANSWER_SECONDS, tls=tls, token=secrets["token"]) as client:
            states = client.status()
    except RankingError as error:
        return str(error)
    for state in states:
        if state.version == version:
            return "" if state.state == "AVAILABLE" else " ".join([state.state, state.error]).strip()
    others = ", ".join(f"{state.version} {state.state}" for state in states)
    return f"does not know it; it has {others or 'no version'}"
