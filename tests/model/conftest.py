import pytest
import tensorflow as tf


@pytest.fixture
def eager():
    """A few eager steps are quicker than one trace."""
    tf.config.run_functions_eagerly(True)
    yield
    tf.config.run_functions_eagerly(False)
