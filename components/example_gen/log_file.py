"""One file of a log."""

from typing import NamedTuple

from apache_beam.io.filesystems import FileSystems


class LogFile(NamedTuple):
    """A file whose rows are read.

    Attributes:
        table: what it holds, in the words of its source, such as `rec_inter.csv`.
        path: local or a URI that Beam's filesystems read.
        size: bytes.
    """

    table: str
    path: str
    size: int

    @property
    def name(self) -> str:
        """The last part of the path."""
        return FileSystems.split(self.path)[1]
