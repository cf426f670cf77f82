"""Which URI schemes the libraries of this environment read and write: `python -m tfx_pipeline.kubeflow.schemes`.

TensorFlow, TFX's fileio and Beam each have file systems of their own. A place that a step reads or writes has to be
known to all three. Nothing here reaches a network: that a scheme is known says that there is code for it, not that a
bucket is there or may be read.
"""

from importlib.util import find_spec
from typing import NamedTuple

import click

SCHEMES = ("", "file", "gs", "s3", "minio", "hdfs", "azfs")
"""Those that are asked about; the first is a path without any."""

_BEAM_NEEDS = {"gs": "google.cloud.storage", "s3": "boto3", "hdfs": "hdfs", "azfs": "azure.storage.blob"}
"""The client of a store: Beam registers most file systems without it, and fails when it opens a file."""


class Known(NamedTuple):
    """Which libraries read and write a scheme."""

    tensorflow: bool
    fileio: bool
    beam: bool


def known(scheme: str) -> Known:
    """Which libraries of this environment read and write a scheme.

    Args:
        scheme: such as `gs`, without `://`; `""` for a path.
    """
    tensorflow = _tensorflow(scheme)
    return Known(tensorflow, _fileio(scheme, tensorflow), _beam(scheme))


def usable() -> list[str]:
    """The schemes that all three libraries read and write."""
    return [scheme for scheme in SCHEMES if all(known(scheme))]


def _tensorflow(scheme: str) -> bool:
    import tensorflow as tf

    return scheme in tf.io.gfile.get_registered_schemes()


def _fileio(scheme: str, tensorflow: bool) -> bool:
    """TFX has a class for more schemes than TensorFlow, to which that class hands every call on."""
    from tfx.dsl.io import fileio  # noqa: F401 (registers the file systems)
    from tfx.dsl.io.filesystem_registry import DEFAULT_FILESYSTEM_REGISTRY
    from tfx.dsl.io.plugins.tensorflow_gfile import TensorflowFilesystem

    prefix = f"{scheme}://" if scheme else ""
    filesystem = DEFAULT_FILESYSTEM_REGISTRY.get_filesystem_for_scheme(prefix)
    return tensorflow or filesystem is not TensorflowFilesystem


def _beam(scheme: str) -> bool:
    from apache_beam.io.filesystem import FileSystem
    from apache_beam.io.filesystems import FileSystems  # noqa: F401 (loads the file systems)

    registered = {one.scheme() or "" for one in FileSystem.get_all_subclasses()}
    return scheme in registered and (scheme not in _BEAM_NEEDS or _is_installed(_BEAM_NEEDS[scheme]))


def _is_installed(module: str) -> bool:
    try:
        return find_spec(module) is not None
    except ModuleNotFoundError:  # of a package above it
        return False


def main() -> None:
    """Print a row for each scheme."""
    click.echo(f"{'':8}{'TensorFlow':12}{'fileio':8}Beam")
    for scheme in SCHEMES:
        found = ["yes" if one else "no" for one in known(scheme)]
        click.echo(f"{scheme or 'path':8}{found[0]:12}{found[1]:8}{found[2]}")


if __name__ == "__main__":
    from tfx_pipeline.console import quiet

    quiet.set_environment()
    main()
