"""Keeps the events of spans that were read, so that of a log that grows only what is new is read."""

import dataclasses
import hashlib
import json
import uuid
from collections.abc import Iterator

from apache_beam.io.filesystem import CompressionTypes
from apache_beam.io.filesystems import FileSystems

from components.example_gen.events import CLICKS_SCHEMA, SHOWN_SCHEMA, Events
from components.example_gen.file_report import FileReport
from components.example_gen.log_file import LogFile
from components.example_gen.readers import READERS
from components.example_gen.readers.tables import folder_columns
from components.example_gen.settings import LogSettings
from components.example_gen.shards import pack, unpack

_RULES = ("source", "columns", "click_columns", "query_words", "words_per_search", "max_samples")
"""Settings that decide what is read of a file."""
_CHUNK = 1 << 20


@dataclasses.dataclass(frozen=True)
class ReadCache:
    """A directory with a file for each file of the log, named by its content, its reading rules, the year and the code.

    Attributes:
        directory: local or a URI; "" keeps nothing.
        code_hash: of the code that reads.
    """

    directory: str
    code_hash: str

    def read(self, file: LogFile, settings: LogSettings, report: FileReport) -> Iterator[Events]:
        """Yield the events of a file, as an earlier run read them or anew, and fill the report."""
        import tensorflow as tf

        path = f"{self.directory}/{self.key(file, settings, report.last_year)}"
        report.kept_as = path
        if tf.io.gfile.exists(path):
            yield from _stored(path, report)
            return
        tf.io.gfile.makedirs(self.directory)
        partial = f"{path}.{uuid.uuid4().hex}"
        with tf.io.TFRecordWriter(partial) as writer:
            for clicks, shown in READERS[settings.source].read(file, settings, report):
                writer.write(pack(clicks))
                writer.write(pack(shown))
                yield Events(clicks, shown)
            writer.write(json.dumps(dataclasses.asdict(report)).encode())
        # A file that could not be read to its end stops the run; it is read again once it was mended.
        if report.fatal is None:
            tf.io.gfile.rename(partial, path, overwrite=True)
        else:
            tf.io.gfile.remove(partial)

    def key(self, file: LogFile, settings: LogSettings, last_year: int) -> str:
        """What names the events of a file."""
        rules = json.dumps(
            [
                self.code_hash,
                file.table,
                folder_columns(file.path),
                last_year,
                *(getattr(settings, name) for name in _RULES),
            ],
            sort_keys=True,
        )
        digest = hashlib.blake2b(rules.encode(), digest_size=16)
        with FileSystems.open(file.path, compression_type=CompressionTypes.UNCOMPRESSED) as content:
            while chunk := content.read(_CHUNK):
                digest.update(chunk)
        return digest.hexdigest()

    def forget_others(self, kept: set[str]) -> None:
        """Delete what the run that ends has not used: of earlier states of the log, earlier rules and killed runs."""
        import tensorflow as tf

        for name in tf.io.gfile.listdir(self.directory):
            if f"{self.directory}/{name}" not in kept:
                tf.io.gfile.remove(f"{self.directory}/{name}")


def _stored(path: str, report: FileReport) -> Iterator[Events]:
    import tensorflow as tf

    records = tf.data.TFRecordDataset(path).as_numpy_iterator()
    record = next(records)
    while (shown := next(records, None)) is not None:
        yield Events(unpack([record], CLICKS_SCHEMA), unpack([shown], SHOWN_SCHEMA))
        record = next(records)
    file = report.file
    for name, value in json.loads(record).items():
        setattr(report, name, value)
    report.file, report.kept_as, report.read_before = file, path, True
