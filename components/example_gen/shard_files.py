"""Writes what a shard comes to: files whose names and contents depend on the log and the settings alone.

TensorFlow is imported where files are written: a worker that only reads starts in half the time without it.
"""

import dataclasses
import io
import uuid

from components.example_gen.shard_examples import ShardExamples

PARTIAL = ".partial"
"""Folder beside the splits in which files grow, until they are moved to their place whole."""


@dataclasses.dataclass(frozen=True)
class ShardFiles:
    """Where shards write.

    Attributes:
        split_uris: directory of each split.
        partial_uri: directory in which files grow.
        candidates_uri: directory of the candidates; "" writes none.
    """

    split_uris: dict[str, str]
    partial_uri: str
    candidates_uri: str

    def write(self, shard: int, shards: int, made: ShardExamples) -> int:
        """Write a shard's Examples as gzip TFRecords, and its candidates as Parquet.

        A split without Examples gets no file. A worker that repeats a shard writes the same files again.

        Returns:
            Bytes of Examples written.
        """
        import tensorflow as tf

        suffix, total = f"{shard:05d}-of-{shards:05d}", 0
        for split, records in made.examples.items():
            if records:
                total += self._move(self._write_records(records), f"{self.split_uris[split]}/data_tfrecord-{suffix}.gz")
        if self.candidates_uri and made.candidates.height:
            buffer = io.BytesIO()
            made.candidates.write_parquet(buffer)
            path = self._partial()
            with tf.io.gfile.GFile(path, "wb") as file:
                file.write(buffer.getvalue())
            self._move(path, f"{self.candidates_uri}/candidates-{suffix}.parquet")
        return total

    def _write_records(self, records: list[bytes]) -> str:
        import tensorflow as tf

        path = self._partial()
        with tf.io.TFRecordWriter(path, tf.io.TFRecordOptions(compression_type="GZIP")) as writer:
            for record in records:
                writer.write(record)
        return path

    def _partial(self) -> str:
        return f"{self.partial_uri}/{uuid.uuid4().hex}"

    @staticmethod
    def _move(partial: str, path: str) -> int:
        import tensorflow as tf

        size = tf.io.gfile.stat(partial).length
        tf.io.gfile.rename(partial, path, overwrite=True)
        return int(size)
