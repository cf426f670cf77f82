"""What a training can run on: NVIDIA's cards as `nvidia-smi` lists them, and whether TensorFlow can use them."""

import dataclasses
import os
import re
import shutil
import subprocess
from collections import Counter
from collections.abc import Mapping, Sequence
from importlib import metadata
from typing import Any

import tensorflow as tf

HIDING = "CUDA_VISIBLE_DEVICES"
"""The variable by which CUDA hides cards from a process."""
MINIMUM_DRIVER = {"12": "525.60.13"}
"""The oldest driver for Linux that runs every version of a CUDA, by its first number, which is 12 on both lines;
docs/gpu.md has the source."""
_QUERY = ("--query-gpu=name,driver_version,memory.total", "--format=csv,noheader")
_CARD = re.compile(r"(?P<name>[^,]+), (?P<driver>\d+(\.\d+)*), (?P<memory>.+)")
_MEBIBYTES = re.compile(r"(\d+) MiB")
_EXTRA = re.compile(r"""extra\s*==\s*['"]and-cuda['"]""")
_SMI_SECONDS = 60


@dataclasses.dataclass(frozen=True)
class TensorFlow:
    """What the installed TensorFlow is, and what it sees.

    Attributes:
        seen: the names of the cards that it can use.
        cuda: the version of CUDA that it was built for; empty where it was built for none.
        wanted: the packages of NVIDIA's libraries that it names.
        missing: those of them that are not installed.
    """

    seen: Sequence[str]
    cuda: str
    wanted: Sequence[str] = ()
    missing: Sequence[str] = ()


def device_line(listing: str | None, tensorflow: TensorFlow, cores: int, environment: Mapping[str, str]) -> str:
    """What is computed on; and where a card is there that cannot be used, why, and what to do.

    Args:
        listing: what `nvidia-smi` says of its cards: lines of name, driver and memory, or its complaint; None where
            there is no such command.
        tensorflow: the installed one.
        cores: of the CPU.
        environment: variables of the process.
    """
    cards = [found for line in (listing or "").splitlines() if (found := _CARD.fullmatch(line.strip()))]
    cpu = f"CPU, {cores} core{'s' * (cores > 1)}"
    if tensorflow.seen:
        if not cards:
            return _counted(tensorflow.seen)
        of_all = f"{len(tensorflow.seen)} of {len(cards)} cards: " if len(tensorflow.seen) < len(cards) else ""
        return of_all + _counted([_described(card) for card in cards])
    if not cards:
        complaint = next((line.strip() for line in (listing or "").splitlines() if line.strip()), None)
        return f"{cpu}; nvidia-smi says: {complaint}" if complaint else cpu
    names = _counted([card["name"] for card in cards])
    return f"CPU: the card {names} cannot be used, {_why_not(cards[0]['driver'], tensorflow, environment)}"


def found() -> str:
    """The line of this machine and this process; TensorFlow looks for its cards, if it has not before."""
    return device_line(_listing(), _installed(), _cores(), os.environ)


def _described(card: re.Match[str]) -> str:
    mebibytes = _MEBIBYTES.fullmatch(card["memory"])  # some cards share the machine's, and tell none
    memory = f"{int(mebibytes[1]) / 1024:.0f} GiB, " if mebibytes else ""
    return f"{card['name']}, {memory}driver {card['driver']}"


def _counted(texts: Sequence[str]) -> str:
    return "; ".join(f"{count} x {text}" if count > 1 else text for text, count in Counter(texts).items())


def _why_not(driver: str, tensorflow: TensorFlow, environment: Mapping[str, str]) -> str:
    if HIDING in environment:
        return f"{HIDING}={environment[HIDING]} hides it; unset that"
    if not tensorflow.cuda:
        return "this TensorFlow was built without CUDA; run make setup, which installs another"
    minimum = MINIMUM_DRIVER.get(major := tensorflow.cuda.split(".")[0])
    if minimum and _numbers(driver) < _numbers(minimum):
        return f"its driver {driver} is too old for CUDA {major}; install {minimum} or newer"
    if tensorflow.missing:
        all_of_them = len(tensorflow.missing) == len(tensorflow.wanted)
        what = "no CUDA libraries are" if all_of_them else f"{', '.join(tensorflow.missing)} is not"
        return f"{what} installed; run LCR_GPU=1 make setup"
    return "TensorFlow does not find its libraries or gets no answer; docs/gpu.md tells how to have it say why"


def _numbers(version: str) -> list[int]:
    return [int(part) for part in version.split(".")]


def _listing() -> str | None:
    command = shutil.which("nvidia-smi")
    if command is None:
        return None
    try:
        reply = subprocess.run(  # noqa: S603
            [command, *_QUERY], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=_SMI_SECONDS,
            check=False,
        )  # fmt: skip
    except (OSError, subprocess.TimeoutExpired) as error:
        return str(error)
    return reply.stdout


def _installed() -> TensorFlow:
    wanted = [
        re.split(r"[^\w.-]", line, maxsplit=1)[0]
        for line in metadata.requires("tensorflow") or []
        if _EXTRA.search(line)
    ]
    present = {name.lower().replace("_", "-") for one in metadata.distributions() if (name := one.metadata["Name"])}
    return TensorFlow(
        seen=[_name(card) for card in tf.config.get_visible_devices("GPU")],
        cuda=tf.sysconfig.get_build_info().get("cuda_version", ""),
        wanted=wanted,
        missing=[name for name in wanted if name not in present],
    )


def _name(card: Any) -> str:
    return str(tf.config.experimental.get_device_details(card).get("device_name", card.name))


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
