"""What the executors of components begin with."""

from collections.abc import Mapping, Sequence

from tfx import types
from tfx.types import artifact_utils


def single_artifacts(*channels: Mapping[str, Sequence[types.Artifact]]) -> dict[str, types.Artifact]:
    """The artifact of each input and output by name; an optional one that is not there is left out.

    Args:
        channels: `input_dict`, `output_dict` or both, with one artifact a name at the most.

    Raises:
        ValueError: for a name with several artifacts.
    """
    return {
        name: artifact_utils.get_single_instance(list(artifacts))
        for of_channel in channels
        for name, artifacts in of_channel.items()
        if artifacts
    }
