"""How commands reach a server: options for TLS and a token."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

DEFAULT_ADDRESS = "127.0.0.1:8500"

_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)


def connection_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Adds `--model_name` and what TLS takes to a command, which gets them by name."""
    for option in (
        click.option("--token_file", type=_FILE, help="Holds the token, which is sent over TLS."),
        click.option("--tls_key", type=_FILE, help="The client's private key (PEM)."),
        click.option("--tls_chain", type=_FILE, help="The client's certificate (PEM)."),
        click.option("--tls_root", type=_FILE, help="Speak TLS, and trust the authorities in this file (PEM)."),
        click.option("--model_name", help="The model's name on the server; default: that of the settings."),
    ):
        command = option(command)
    return command


def security(
    tls_root: Path | None, tls_chain: Path | None, tls_key: Path | None, token_file: Path | None
) -> dict[str, Any]:
    """`tls` and `token` of a client.

    Raises:
        click.ClickException: they do not belong together.
    """
    from serving.client.connection import Connection, Tls

    token = token_file.read_text().strip() if token_file else None
    try:
        tls = Tls.from_files(tls_root, tls_key, tls_chain) if tls_root or tls_chain or tls_key else None
        Connection("", tls, token)
    except ValueError as error:
        raise click.ClickException(str(error)) from error
    return {"tls": tls, "token": token}
