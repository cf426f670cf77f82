"""Builds the image: `python3 -m scripts.containers` (or `make image`), by the engine that runs here or one of its own.

What reaches the network on this machine goes into the build as secrets, which no layer and no history keeps: pip's
indexes, Debian's mirror, Go's proxy, certificates. LINE (a or b), VARIANT (cpu or gpu), BASE, GO_BASE and IMAGE may be
set in the environment.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass

from scripts import bases, interpreters, mirror
from scripts.debian import new_certificates, own_certificates, read_text, write_text
from scripts.docker_engine import Docker, engine
from scripts.errors import SetupError
from scripts.setup import ROOT

FOLDER = os.path.join(ROOT, "build", "containers")
ENGINE = os.path.join(FOLDER, "docker")
_CERTIFICATES = mirror.CERTIFICATES[0]
_OF_GO = ("GOPROXY", "GOSUMDB", "GOPRIVATE", "GONOPROXY", "GONOSUMDB", "GOINSECURE")
_PROXIES = ("http_proxy", "https_proxy", "no_proxy", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY")


@dataclass(frozen=True)
class Image:
    """What is to be built; see the module for the names in the environment."""

    line: str
    variant: str
    name: str
    base: str | None
    go_base: str | None

    @classmethod
    def wanted(cls, environment: Mapping[str, str]) -> Image:
        """Read the environment; the line is the one that set-up takes here."""
        line = (
            environment.get("LINE")
            or interpreters.choose(interpreters.glibc_version(), environment.get("LCR_PYTHON") or None).line
        )
        variant = environment.get("VARIANT") or "cpu"
        for setting, value, known in (("LINE", line, ("a", "b")), ("VARIANT", variant, ("cpu", "gpu"))):
            if value not in known:
                raise SetupError(f"{setting} should be {' or '.join(known)}. Received: {value}.")
        name = environment.get("IMAGE") or f"lcr-ser:{line}-{variant}"
        return cls(line, variant, name, environment.get("BASE"), environment.get("GO_BASE"))


def pip_file(settings: Mapping[str, str]) -> str:
    """A configuration of pip with what this machine's one says, as far as it holds in a container."""
    kept = {key: " ".join(value.split()) for key, value in settings.items() if key not in ("cert", "find-links")}
    lines = [f"{key} = {value}" for key, value in {**kept, "cert": _CERTIFICATES}.items()]
    return "\n".join(["[global]", *lines]) + "\n"


def go_file(environment: Mapping[str, str]) -> str:
    """A file of Go's settings (GOENV) with where this machine's Go finds modules."""
    return "".join(f"{name}={environment[name]}\n" for name in _OF_GO if environment.get(name))


def build(docker: Docker, image: Image, folder: str = FOLDER) -> None:
    """Build the image in this engine, and the bases that it lacks."""
    base = bases.Base(image.base, None) if image.base else bases.base(docker, image.line, folder)
    arguments = {
        "LINE": image.line,
        "VARIANT": image.variant,
        "BASE": base.image,
        "GO_BASE": image.go_base or bases.go_base(docker, base.image),
    }
    with tempfile.TemporaryDirectory() as secrets:
        texts = {
            "certificates": "".join(new_certificates(own_certificates(), known="")),
            "pip": pip_file(pip_settings()),
            "go": go_file(_go_settings()),
            "apt": read_text(base.sources) if base.sources else "",
        }
        command = ["build", "--tag", image.name, "--progress", "plain"]
        for name, value in arguments.items():
            command += ["--build-arg", f"{name}={value}"]
        for name in _PROXIES:
            if name in os.environ:
                command += ["--build-arg", name]
        for name, text in texts.items():
            if text:
                write_text(os.path.join(secrets, name), text)
                command += ["--secret", f"id={name},src={os.path.join(secrets, name)}"]
        docker.run(*command, ROOT)


def pip_settings() -> dict[str, str]:
    """What pip is told on this machine."""
    command = [sys.executable, "-m", "pip", "config", "list"]
    return mirror.pip_settings(subprocess.run(command, capture_output=True, text=True, check=False).stdout)


def _go_settings() -> dict[str, str]:
    if not shutil.which("go"):
        return {}
    listing = subprocess.run(["go", "env", "-json"], stdout=subprocess.PIPE, text=True, check=True).stdout
    return dict(json.loads(listing))


def main() -> None:
    """Build what the environment asks for."""
    image = Image.wanted(os.environ)
    with engine(ENGINE) as docker:
        build(docker, image)
    print(f"built {image.name}")


if __name__ == "__main__":
    try:
        main()
    except (SetupError, OSError, subprocess.CalledProcessError) as error:
        sys.exit(f"image: {error}")
