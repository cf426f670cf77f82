"""Streams a text file, plain or gzip, in blocks of whole lines."""

import gzip
import zlib

from components.example_gen.errors import LogError
from components.example_gen.readers.files import open_bytes

BLOCK_BYTES = 4 << 20
_CHUNK_BYTES = 256 << 10
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"


class TextBlocks:
    """Blocks of a UTF-8 file, with or without a byte order mark.

    Attributes:
        path: of the file.
        line: at which the next block begins, from 1; whoever takes a block moves it on.
        ended: whether the last byte has been handed out.
    """

    def __init__(self, path: str) -> None:
        self.path = path
        self.line = 1
        self.ended = False
        self._file = open_bytes(path)
        self._pending = b""
        self._read_all = False
        self._failure: tuple[str, str] | None = None
        self._fill(len(_BYTE_ORDER_MARK))
        self._pending = self._pending.removeprefix(_BYTE_ORDER_MARK)

    def take(self) -> bytes:
        """Return whole lines, about `BLOCK_BYTES`; the last may lack its end; b"" after it.

        Raises:
            LogError: for a file that breaks off or is no gzip or UTF-8 file, when all before that has been handed out.
        """
        size = BLOCK_BYTES
        while True:
            self._fill(size)
            cut = len(self._pending) if self._read_all and not self._failure else _end_of_lines(self._pending)
            if cut or self._read_all:
                break
            size *= 2
        block, self._pending = self._pending[:cut], self._pending[cut:]
        block = self._whole_text(block)
        if not block and self._failure:
            what, why = self._failure
            raise LogError(f"{self.path} {what} after line {self.line - 1}: {why}.")
        self.ended = self._read_all and not self._pending and not self._failure
        return block

    def give_back(self, rest: bytes) -> None:
        """Put the end of a block back, a part of it only: it comes at the beginning of the next one."""
        self._pending = rest + self._pending
        self.ended = self.ended and not rest

    def _fill(self, size: int) -> None:
        chunks = [self._pending]
        have = len(self._pending)
        try:
            while have < size and not self._read_all:
                # In chunks: what stands before a damaged place is not lost with it.
                chunk = self._file.read(min(_CHUNK_BYTES, size - have))
                chunks.append(chunk)
                have += len(chunk)
                self._read_all = not chunk
        except (EOFError, gzip.BadGzipFile, zlib.error) as error:
            self._read_all = True
            self._failure = (
                "cannot be unpacked",
                f"{str(error).rstrip('.')}. It is truncated or no gzip file; bring a whole copy",
            )
        self._pending = b"".join(chunks)

    def _whole_text(self, block: bytes) -> bytes:
        try:
            if not block.isascii():
                block.decode()
        except UnicodeDecodeError as error:
            self._pending, self._read_all = b"", True
            self._failure = (
                "is no UTF-8 text",
                f"{error.reason} 0x{error.object[error.start]:02x}. Convert it to UTF-8",
            )
            return block[: _end_of_lines(block[: error.start])]
        return block


def _end_of_lines(text: bytes) -> int:
    # A "\r" at the very end may be half of a "\r\n".
    return max(text.rfind(b"\n"), text.rfind(b"\r", 0, max(len(text) - 1, 0))) + 1
