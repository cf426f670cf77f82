"""The error that a server hands to its client."""

import itertools
import re

import grpc

_LONGEST = 400
"""Characters of a message: it travels in the trailing metadata of HTTP/2, where gRPC takes 8 KB at the most."""
_ASSERTION = re.compile(r"assertion failed: \[(.*)\]")
_NODE = re.compile(r"\s*\[\[\{\{(?:function_)?node .*", re.DOTALL)
_STACK = re.compile(r"Graph execution error|Detected at node|<stack traces| |$")
"""Lines that come before the reason: the stack of the Python code that built the graph."""
_OPERATION = re.compile(r"\s*\[Op:[^\]]*\].*", re.DOTALL)


class RequestError(Exception):
    """A request that cannot be answered.

    Args:
        code: the gRPC status, as TF Serving would choose it.
        message: names the thing, the value received and what is expected.
    """

    def __init__(self, code: grpc.StatusCode, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = _shortened(message)


def trimmed(error: BaseException) -> str:
    """What an error of TensorFlow says, in one line, without the stack of the graph."""
    return _shortened(_said(error))


def refusal(error: BaseException) -> str | None:
    """What the graph says where it refuses its inputs, in the words of whoever wrote it; None for other errors.

    TensorFlow puts each part of a failed assertion in brackets.
    """
    found = _ASSERTION.fullmatch(_said(error))
    return found[1].replace("] [", " ") if found else None


def _said(error: BaseException) -> str:
    # TensorFlow quotes a client's bytes; where they are not UTF-8, its Python part fails to read its own message.
    text = error.object.decode(errors="replace") if isinstance(error, UnicodeDecodeError) else str(error)
    text = _OPERATION.sub("", _NODE.sub("", text)).strip()
    if text.startswith("Graph execution error"):
        text = "\n".join(itertools.dropwhile(_STACK.match, text.split("\n")))
    return " ".join(text.split()) or type(error).__name__


def _shortened(text: str) -> str:
    return text if len(text) <= _LONGEST else text[:_LONGEST] + " ..."
