"""The ModelService that is put together here is TF Serving's own."""

import ast
from importlib.util import find_spec
from pathlib import Path

from google.protobuf import descriptor_pool

from serving.dev_server import model_service


def test_its_file_is_the_apis_own_to_the_byte():
    """Read from the source, as line B's protobuf cannot import it; on line A a process may import both."""
    path = Path(find_spec("tensorflow_serving.apis.model_service_pb2").origin)
    texts = [node.value for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Constant)]
    texts = [
        text.encode("latin1") if isinstance(text, str) else text for text in texts if isinstance(text, str | bytes)
    ]
    [theirs] = [text for text in texts if text.endswith(b"proto3") and b"HandleReloadConfigRequest" in text]
    model_service.describe()
    file = descriptor_pool.Default().FindFileByName("tensorflow_serving/apis/model_service.proto")
    assert file.serialized_pb == theirs
