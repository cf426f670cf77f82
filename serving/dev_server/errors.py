"""The error that the server hands to its client, and what it makes of TensorFlow's."""

import grpc
import tensorflow as tf

_LONGEST = 1_024
"""Characters of a message, as TF Serving cuts it: it travels in the trailing metadata of HTTP/2."""
_CODES = {code.value[0]: code for code in grpc.StatusCode}


class RequestError(Exception):
    """What cannot be answered, or a version that cannot be served.

    Args:
        code: the gRPC status, as TF Serving would choose it.
        message: in TF Serving's words where it has some; it names the thing, the value received and what is expected.
    """

    def __init__(self, code: grpc.StatusCode, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message if len(message) <= _LONGEST else message[:_LONGEST] + "...TRUNCATED"


def invalid(message: str) -> RequestError:
    """INVALID_ARGUMENT."""
    return RequestError(grpc.StatusCode.INVALID_ARGUMENT, message)


def of_tensorflow(error: Exception) -> RequestError:
    """An error with TensorFlow's code and message, as TF Serving passes both on; UNKNOWN where it has none."""
    if isinstance(error, RequestError):
        return error
    if isinstance(error, UnicodeDecodeError):
        # TensorFlow quotes a client's bytes; where they are not UTF-8, its Python part fails to read its own message.
        return invalid(error.object.decode(errors="replace"))
    if isinstance(error, tf.errors.OpError):
        return RequestError(_CODES[error.error_code], error.message)
    if isinstance(error, (OSError, ValueError)):  # as its Python part says that files are no SavedModel
        return RequestError(grpc.StatusCode.DATA_LOSS, str(error))
    return RequestError(grpc.StatusCode.UNKNOWN, str(error) or type(error).__name__)
