"""Where the servers are and how they are reached: addresses, TLS, token, the options of a channel."""

import ipaddress
import json
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

# gRPC reads it as it starts. Without it, a process that forks after a call leaves its children a gRPC that hangs.
os.environ.setdefault("GRPC_ENABLE_FORK_SUPPORT", "1")

import grpc  # noqa: E402
import grpc.aio  # noqa: E402

from serving.limits import MAX_REPLY_BYTES  # noqa: E402

Token = str | Callable[[], str]

_OPTIONS: tuple[tuple[str, str | int], ...] = (
    ("grpc.max_receive_message_length", MAX_REPLY_BYTES),
    # One connection lives for days: with the default policy it would carry all calls to one server of many.
    ("grpc.service_config", json.dumps({"loadBalancingConfig": [{"round_robin": {}}]})),
    ("grpc.service_config_disable_resolution", 1),
    ("grpc.enable_retries", 0),  # ours are counted against a budget
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 5_000),
)


@dataclass(frozen=True)
class Tls:
    """How the server proves who it is, and the client if the server asks for it (mTLS). All is PEM.

    Args:
        root_certificates: of the authorities that are trusted; None takes those that gRPC brings.
        private_key: of the client.
        certificate_chain: of the client, with its private key.
        server_name: in the server's certificate, where it is not the host in the address.
    """

    root_certificates: bytes | None = None
    private_key: bytes | None = None
    certificate_chain: bytes | None = None
    server_name: str | None = None

    def __post_init__(self) -> None:
        if (self.private_key is None) != (self.certificate_chain is None):
            raise ValueError("`private_key` and `certificate_chain` should be given together. Received: one of them.")

    @classmethod
    def from_files(
        cls,
        root_certificates: Path | None = None,
        private_key: Path | None = None,
        certificate_chain: Path | None = None,
        server_name: str | None = None,
    ) -> "Tls":
        """Read the PEM files."""
        paths = (root_certificates, private_key, certificate_chain)
        root, key, chain = (path.read_bytes() if path else None for path in paths)
        return cls(root, key, chain, server_name)


class Connection:
    """Opens channels to the servers.

    Args:
        address: `host:port`, a target of gRPC such as `dns:///host:port`, or several `IP:port`; of several servers, be
            they listed or behind one name, each gets its turn.
        tls: None speaks plain text.
        token: sent as `authorization: Bearer TOKEN`; a function is asked at each call.

    Raises:
        ValueError: the addresses cannot be taken together, or a token would be sent in plain text.
    """

    def __init__(self, address: str | Sequence[str], tls: Tls | None = None, token: Token | None = None) -> None:
        if token is not None and tls is None:
            raise ValueError("`token` should be sent over TLS only: whoever sees it can use it. Give `tls` too.")
        self.target = _target(address)
        self.name = address if isinstance(address, str) else ", ".join(address)
        self.secure = tls is not None
        self._tls, self._token = tls, token

    def open(self, api: Any) -> Any:
        """A channel of `grpc` or of `grpc.aio`; it connects at the first call."""
        if self._tls is None:
            return api.insecure_channel(self.target, options=_OPTIONS)
        tls, options = self._tls, _OPTIONS
        if tls.server_name is not None:
            options = (*options, ("grpc.ssl_target_name_override", tls.server_name))
        credentials = grpc.ssl_channel_credentials(tls.root_certificates, tls.private_key, tls.certificate_chain)
        return api.secure_channel(self.target, credentials, options=options)

    def metadata(self) -> tuple[tuple[str, str], ...]:
        """Of a call."""
        if self._token is None:
            return ()
        token = self._token if isinstance(self._token, str) else self._token()
        return (("authorization", f"Bearer {token}"),)


def _target(address: str | Sequence[str]) -> str:
    if isinstance(address, str):
        return address
    try:
        families = {ipaddress.ip_address(one.rpartition(":")[0].strip("[]")).version for one in address}
    except ValueError:
        families = set()
    if len(families) != 1:
        raise ValueError(
            "several addresses should all be `IP:port`, of IPv4 or of IPv6. Several servers behind one name are "
            f"`dns:///name:port`. Received: {list(address)}."
        )
    return f"ipv{families.pop()}:{','.join(address)}"
