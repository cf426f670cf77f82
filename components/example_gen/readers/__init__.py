"""One module a source: each finds its files, turns their rows into the event form and owns the quirks of its source.

A reader has

- `is_log(directory) -> bool`: whether any of its files is there;
- `find(directory, settings) -> list[LogFile]`: the files whose rows are read, checked, in the order that breaks ties
  between rows of equal time;
- `read(file, settings, report) -> Iterator[Events]`: their rows in batches, in the order of the file.
"""

from types import ModuleType
from typing import Final

from components.example_gen.readers import events, kuaisar, qilin

READERS: Final[dict[str, ModuleType]] = {"kuaisar": kuaisar, "qilin": qilin, "events": events}
