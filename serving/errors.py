"""The error that a server hands to its client."""

import re

import grpc

_LONGEST = 300
_STACK = re.compile(r"\s*\[\[\{\{node .*", re.DOTALL)
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
        self.message = message


def trimmed(error: BaseException) -> str:
    """What an error of TensorFlow says, in one line, without the stack of the graph."""
    text = _OPERATION.sub("", _STACK.sub("", str(error))).strip()
    if text.startswith("Graph execution error"):  # the reason follows the stack of the Python code that built the graph
        text = text.splitlines()[-1]
    text = " ".join(text.split()) or type(error).__name__
    return text if len(text) <= _LONGEST else text[:_LONGEST] + " ..."
