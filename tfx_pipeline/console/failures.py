"""What really went wrong in a Beam job."""

import re

_STEP = re.compile(r"\s*\[while running .*?\]", re.DOTALL)
_CLASS = re.compile(r"^[\w.]+: (?=\S)")
_CAUSE = re.compile(r"^Caused by: (.*)$", re.MULTILINE)
_JOB = re.compile(r"^Pipeline \S+ failed in state \w+: ", re.DOTALL)
_PANIC = re.compile(r"^panic in .*?: (.*?)(?:, stage: |\n).*", re.DOTALL)
_WHERE_IT_WENT = "If the machine ran out of memory, its log (`dmesg`) says so; docs/scale.md says what an engine holds."
_TRACEBACK = "Traceback (most recent call last):\n"


def real_message(error: BaseException) -> str:
    """The message that a step raised, whatever engine brought it here, without the name of the step.

    An engine gives back one text: the job's name, then the traceback of a worker with the message at its end, and
    perhaps a stack of the engine's own. Prism may fall over itself where a worker dies: what it says then is followed
    by its whole state, which is left out. An error of this process is its message.
    """
    if callable(details := getattr(error, "details", None)):  # of gRPC
        return f"The Beam engine broke off: {details()}. {_WHERE_IT_WENT}"
    text = str(error)
    if _TRACEBACK in text and (raised := _raised(text.rpartition(_TRACEBACK)[2])):
        text = _CLASS.sub("", raised)
    elif causes := _CAUSE.findall(text):
        text = causes[-1]
    return _PANIC.sub(r"The Beam engine broke off: \1", _STEP.sub("", _JOB.sub("", text))).strip()


def _raised(traceback: str) -> str:
    """What follows the frames, which are indented, up to the stack of an engine."""
    lines = traceback.splitlines()
    first = next((number for number, line in enumerate(lines) if line and not line.startswith(" ")), len(lines))
    end = next((number for number, line in enumerate(lines) if number > first and line.startswith("\tat ")), len(lines))
    return "\n".join(lines[first:end])
