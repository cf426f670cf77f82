"""One module a source: each finds its files, turns their rows into the event form and owns the quirks of its source.

A reader has

- `is_log(directory) -> bool`: whether any of its files is there;
- `find(directory, settings) -> list[LogFile]`: the files whose rows are read, checked, in the order that breaks ties
  between rows of equal time;
- `KINDS`: what a log must hold, as an error names it, to the tables of which one has a row at least;
- `left_out(directory) -> list[str]`: files that lie or are named as its data and are none;
- `read(file, settings, report) -> Iterator[Events]`: their rows in batches, in the order of the file.
"""

from types import ModuleType
from typing import Final

from components.example_gen.readers import events, kuaisar, qilin

READERS: Final[dict[str, ModuleType]] = {"kuaisar": kuaisar, "qilin": qilin, "events": events}
