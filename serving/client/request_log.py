"""A sample of the requests, on disk: TF Serving as it is shipped writes none.

`python -m serving.client.request_log 'logs/*.tfrecord' --to requests.tfrecord` makes of it what DataCheck compares with
the training data (`data_check.serving_requests`): request Examples, as `serving_default` takes them.
"""

import argparse
import glob
import hashlib
import hmac
import logging
import os
import random
import struct
import threading
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO

import google_crc32c

from model.contract import (
    CANDIDATES,
    REC_ITEMS,
    SEARCH_ITEM_COUNTS,
    SEARCH_ITEMS,
    SEARCH_WORD_COUNTS,
    SEARCH_WORDS,
    SIGNATURE_RANK,
    TIME_FEATURES,
    USER,
)
from serving.client import wire
from serving.client.request import rows_of
from serving.client.tensors import to_array, to_proto

_LOGGER = logging.getLogger(__name__)
_OPEN = ".open"


class RequestLog:
    """Writes a sample of calls as PredictionLogs in TFRecord files, which TensorFlow and TF Serving's tools read.

    A record holds the request, its users as salted hashes (HMAC of SHA-256), the reply, the version and the signature.
    A file that is being written ends in `.open`, and is renamed when it is full or the log is closed; each process
    writes its own. Where the disk refuses, a warning says so and the calls go on. Wants the package `google-crc32c`.

    Args:
        folder: of the files; it is made.
        rate: share of the calls that are written, from 0 to 1.
        salt: keep it secret, and the same for as long as a user should be the same in the log.
        records_per_file: after which the next file begins.

    Raises:
        ValueError: the rate is out of range, or the salt is shorter than 16 bytes.
    """

    def __init__(self, folder: Path, rate: float, salt: bytes, records_per_file: int = 10_000) -> None:
        if not 0 <= rate <= 1:
            raise ValueError(f"`rate` should be from 0 to 1. Received: {rate}.")
        if len(salt) < 16:
            raise ValueError(f"`salt` should have at least 16 bytes, or ids can be guessed. Received: {len(salt)}.")
        self._folder, self._rate, self._salt = Path(folder), rate, salt
        self._records_per_file = records_per_file
        self._lock = threading.Lock()
        self._file: BinaryIO | None = None
        self._process = self._records = self._number = 0

    def offer(self, request: Any, reply: Any) -> None:
        """Write a PredictRequest and its PredictResponse, if they are drawn."""
        if random.random() >= self._rate:  # noqa: S311 - nothing secret
            return
        record = self._record(request, reply)
        try:
            with self._lock:
                self._write(record)
        except OSError as error:
            _LOGGER.warning("a request was not logged in %s: %s", self._folder, error)

    def close(self) -> None:
        """Finish the file that is being written; a later request begins another."""
        with self._lock:
            self._finish()

    def __enter__(self) -> "RequestLog":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _record(self, request: Any, reply: Any) -> bytes:
        log = wire.PredictionLog()
        log.log_metadata.model_spec.CopyFrom(reply.model_spec)
        log.log_metadata.model_spec.signature_name = request.model_spec.signature_name
        log.log_metadata.sampling_config.sampling_rate = self._rate
        log.log_metadata.timestamp_secs = int(time.time())
        log.predict_log.request.CopyFrom(request)
        log.predict_log.response.CopyFrom(reply)
        if USER in request.inputs:
            users = to_array(request.inputs[USER])
            for row, user in enumerate(users):
                users[row] = hmac.new(self._salt, user, hashlib.sha256).hexdigest().encode()
            log.predict_log.request.inputs[USER].CopyFrom(to_proto(users))
        return bytes(log.SerializeToString())

    def _write(self, record: bytes) -> None:
        if self._file is not None and self._process != os.getpid():
            self._file = None  # the parent's, to finish
        if self._file is None:
            self._process, self._records, self._number = os.getpid(), 0, self._number + 1
            self._folder.mkdir(parents=True, exist_ok=True)
            name = f"{time.time_ns()}-{self._process}-{self._number}.tfrecord{_OPEN}"
            self._file = (self._folder / name).open("xb")
        self._file.write(framed(record))
        self._file.flush()
        self._records += 1
        if self._records >= self._records_per_file:
            self._finish()

    def _finish(self) -> None:
        file, self._file = self._file, None
        if file is not None and self._process == os.getpid():
            file.close()
            os.rename(file.name, file.name.removesuffix(_OPEN))


def framed(record: bytes) -> bytes:
    """A record as TFRecord files hold it: its length, the record, and a checksum of either."""
    length = struct.pack("<Q", len(record))
    return b"".join((length, _checksum(length), record, _checksum(record)))


def records_of(data: bytes) -> Iterator[bytes]:
    """The records of a TFRecord file.

    Raises:
        ValueError: it is cut off, or damaged.
    """
    at = 0
    while at < len(data):
        length = data[at : at + 8]
        end = at + 12 + struct.unpack("<Q", length.ljust(8, b"\xff"))[0]
        record = data[at + 12 : end]
        if data[at + 8 : at + 12] != _checksum(length) or data[end : end + 4] != _checksum(record):
            raise ValueError(f"a TFRecord file should hold whole records. Received: a damaged one at byte {at}.")
        yield record
        at = end + 4


def request_examples(records: Iterable[bytes]) -> Iterator[bytes]:
    """Request Examples of logged calls: one for each row of each call of `rank`.

    The other signatures read no candidates or no history, so that they make no request of `serving_default`. `user` is
    the hash.

    Args:
        records: serialized PredictionLogs.
    """
    for record in records:
        request = wire.PredictionLog.FromString(record).predict_log.request
        if request.model_spec.signature_name == SIGNATURE_RANK:
            for row in rows_of({name: to_array(request.inputs[name]) for name in request.inputs}):
                yield _example(row)


def _example(row: dict[str, Any]) -> bytes:
    example = wire.Example()

    def add(name: str, kind: str, values: Iterable[Any]) -> None:
        of_kind = getattr(example.features.feature[name], kind)
        of_kind.SetInParent()  # an empty list is one, too
        of_kind.value.extend(values)

    if USER in row:
        add(USER, "bytes_list", [row[USER]])
    for name in (REC_ITEMS, CANDIDATES):
        if name in row:
            add(name, "bytes_list", row[name])
    for name, counts in ((SEARCH_WORDS, SEARCH_WORD_COUNTS), (SEARCH_ITEMS, SEARCH_ITEM_COUNTS)):
        if name in row:
            add(name, "bytes_list", (text for search in row[name] for text in search))
            add(counts, "int64_list", (len(search) for search in row[name]))
    for name in TIME_FEATURES:
        if name in row:
            add(name, "int64_list", row[name])
    return bytes(example.SerializeToString(deterministic=True))


def _checksum(data: bytes) -> bytes:
    """CRC32C, turned and moved as TFRecord has it, so that a checksum of data with checksums is none of theirs."""
    crc = google_crc32c.value(data)
    return struct.pack("<I", (((crc >> 15) | (crc << 17)) + 0xA282EAD8) & 0xFFFFFFFF)


def main() -> None:
    """Write request Examples of logs."""
    parser = argparse.ArgumentParser(description="Make request Examples of logged requests, for DataCheck.")
    parser.add_argument("logs", nargs="+", help="TFRecord files of a RequestLog, or patterns of them.")
    parser.add_argument("--to", type=Path, required=True, help="TFRecord file to write.")
    arguments = parser.parse_args()
    paths = sorted(path for pattern in arguments.logs for path in glob.glob(pattern))
    if not paths:
        parser.error(f"logs: expected files, {arguments.logs} match none")
    count = 0
    with arguments.to.open("wb") as file:
        for path in paths:
            for example in request_examples(records_of(Path(path).read_bytes())):
                file.write(framed(example))
                count += 1
    print(f"{count} requests of {len(paths)} files in {arguments.to}")  # noqa: T201


if __name__ == "__main__":
    main()
