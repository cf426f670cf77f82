"""An engine and the image, once for all tests that run containers; where no engine can be started they are skipped."""

import os

import pytest

from scripts import containers, docker_engine
from scripts.errors import SetupError

MARK = "mark-of-this-machine.example"
"""A word of pip's configuration that must not be found in the image."""


@pytest.fixture(scope="session")
def docker():
    """The client of an engine that runs; one that is started here ends with the tests."""
    try:
        with docker_engine.engine(containers.ENGINE) as found:
            with pytest.MonkeyPatch.context() as patch:
                for name, value in found.variables.items():
                    patch.setenv(name, value)
                yield found
    except SetupError as error:
        pytest.skip(str(error))


@pytest.fixture(scope="session")
def image(docker):
    """The name of the image, built of this checkout."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PIP_TRUSTED_HOST", MARK)
        wanted = containers.Image.wanted(os.environ)
        containers.build(docker, wanted)
    return wanted.name
