"""What reflection tells of TF Serving's services is what TF Serving says of them."""

import ast
from importlib.util import find_spec
from pathlib import Path

import pytest
from google.protobuf import descriptor_pool

from serving.dev_server.service_files import FILES, describe_services


@pytest.mark.parametrize("service", FILES)
def test_a_file_is_the_apis_own_to_the_byte(service):
    """Read from the source, as line B's protobuf cannot import it; on line A a process may import both."""
    module = Path(FILES[service]).stem + "_pb2"
    tree = ast.parse(Path(find_spec(f"tensorflow_serving.apis.{module}").origin).read_text())
    texts = [node.value for node in ast.walk(tree) if isinstance(node, ast.Constant)]
    texts = [
        text.encode("latin1") if isinstance(text, str) else text for text in texts if isinstance(text, str | bytes)
    ]
    [theirs] = [text for text in texts if text.endswith(b"proto3") and len(text) > len("proto3")]
    assert describe_services() == [f"tensorflow.serving.{name}" for name in FILES]
    assert descriptor_pool.Default().FindFileByName(FILES[service]).serialized_pb == theirs
