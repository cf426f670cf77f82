import pytest

from scripts.engine import binary, on_loopback
from scripts.errors import SetupError

SERVER = 'func NewServer(port int) {\n\tlis, err := net.Listen("tcp", fmt.Sprintf(":%d", port))\n}\n'


def test_the_binary_is_named_by_its_version():
    """So that a new lock builds a new one."""
    assert binary("2.74.0") != binary("2.77.0")


def test_the_job_service_is_bound_to_the_loopback_interface():
    assert on_loopback(SERVER) == SERVER.replace('":%d"', '"localhost:%d"')


@pytest.mark.parametrize("server", ["", SERVER + SERVER, SERVER.replace('":%d"', "address")])
def test_another_server_than_is_known_is_not_built(server):
    with pytest.raises(SetupError, match="should listen in one place"):
        on_loopback(server)
