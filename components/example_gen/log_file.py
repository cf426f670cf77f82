"""One file of a log, and what lies beside those that are read."""

from typing import NamedTuple


class LogFile(NamedTuple):
    """A file whose rows are read.

    Attributes:
        table: what it holds, in the words of its source, such as `rec_inter.csv`.
        path: local or a URI that Beam's filesystems read.
        size: bytes.
        folder: in which it lies below the directory of the log, for a part of a table; "" where it lies there itself.
        has_rows: whether it has any; a part without is no fault.
    """

    table: str
    path: str
    size: int
    folder: str = ""
    has_rows: bool = True

    @property
    def name(self) -> str:
        """The path from the directory of the log."""
        name = self.path.rpartition("/")[2]  # of a URI too
        return f"{self.folder}/{name}" if self.folder else name


class Beside(NamedTuple):
    """What a log holds beside its data, for its report.

    Attributes:
        left_out: files that lie or are named as data and are none: hidden ones, and those of another kind.
        missing: tables that some spans lack, "2024-05-02: searches".
    """

    left_out: list[str]
    missing: list[str]
