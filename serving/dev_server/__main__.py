"""The command `python -m serving.dev_server`."""

import sys

# TensorFlow looks for Keras when it is imported, which takes a third of that time; nothing here needs it.
sys.modules["keras"] = None  # type: ignore[assignment]

from serving.dev_server.server import main  # noqa: E402

main()
