"""What uv is told: pip's configuration, which it does not read, so that a company mirror works, and our own wishes."""

from __future__ import annotations

import ast
import os
from collections.abc import Mapping, Sequence
from urllib.parse import unquote, urlparse

_PLAIN = {
    "index-url": "UV_DEFAULT_INDEX",
    "proxy": "ALL_PROXY",
    "timeout": "UV_HTTP_TIMEOUT",
    "default-timeout": "UV_HTTP_TIMEOUT",
    "no-index": "UV_NO_INDEX",
    "client-cert": "SSL_CLIENT_CERT",
}
EXTRA_SOURCES = ("extra-index-url", "find-links")
_SCOPES = ("global", "install", ":env:")
"""pip's own precedence, weakest first."""

CERTIFICATES = (
    "/etc/ssl/certs/ca-certificates.crt",  # Debian, Ubuntu, Arch
    "/etc/pki/tls/certs/ca-bundle.crt",  # Fedora, Red Hat
    "/etc/ssl/ca-bundle.pem",  # SUSE
    "/etc/ssl/cert.pem",  # Alpine
)
"""Where systems keep the certificates that they trust."""

_COMPILE_SECONDS = "600"
"""uv gives a file 60 s to be compiled in, and a loaded machine needs more."""


def pip_settings(listing: str) -> dict[str, str]:
    """Read the output of `pip config list`: lines `scope.key='value'`."""
    settings: dict[str, str] = {}
    for scope in _SCOPES:
        for line in listing.splitlines():
            name, _, value = line.partition("=")
            if name.startswith(scope + "."):
                settings[name[len(scope) + 1 :].strip(".")] = _unquoted(value)
    return settings


def uv_environment(
    settings: Mapping[str, str], present: Mapping[str, str], certificates: Sequence[str] = CERTIFICATES
) -> dict[str, str]:
    """The variables to add for uv; what is set already (`present`) wins, local paths that do not exist are dropped.

    As pip does, uv trusts what the system trusts: a company's own certificate is often there alone. A system without
    any certificates (a bare container) keeps uv's own, since uv refuses to start with none.
    """
    found = {variable: settings[key] for key, variable in _PLAIN.items() if settings.get(key)}
    found["UV_COMPILE_BYTECODE_TIMEOUT"] = _COMPILE_SECONDS
    if "UV_NATIVE_TLS" not in present and any(os.path.exists(path) for path in certificates):
        found["UV_SYSTEM_CERTS"] = "1"
    extra = _existing(settings.get("extra-index-url", ""))
    if extra:
        found["UV_INDEX"] = " ".join(extra)
        # pip looks for a version on all indexes; the hashes of the lock make that safe for uv too.
        found["UV_INDEX_STRATEGY"] = "unsafe-best-match"
    links = _existing(settings.get("find-links", ""))
    if links:
        found["UV_FIND_LINKS"] = ",".join(links)
    if settings.get("trusted-host"):
        found["UV_INSECURE_HOST"] = " ".join(settings["trusted-host"].split())
    if os.path.exists(settings.get("cert", "")):
        found["SSL_CERT_FILE"] = settings["cert"]
    return {name: value for name, value in found.items() if name not in present}


def _existing(value: str) -> list[str]:
    return [place for place in value.split() if _reachable(place)]


def _reachable(place: str) -> bool:
    parsed = urlparse(place)
    if parsed.scheme in ("", "file"):
        return os.path.exists(unquote(parsed.path))
    return True


def _unquoted(value: str) -> str:
    try:
        return str(ast.literal_eval(value.strip()))
    except (SyntaxError, ValueError):
        return value.strip()
