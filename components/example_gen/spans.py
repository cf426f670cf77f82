"""Finds the logs of a directory: itself one, or one a subdirectory, such as one a day."""

from components.example_gen.errors import LogError, name_some
from components.example_gen.log_file import Beside, LogFile
from components.example_gen.readers import READERS, files, tables
from components.example_gen.settings import LogSettings


def find_logs(settings: LogSettings) -> list[tuple[str, list[LogFile]]]:
    """Find the files to read, by span.

    Returns:
        (name of the subdirectory, its files), sorted by name; the name is "" where `log_dir` itself is a log.

    Raises:
        LogError: where there is no log, a file cannot be used, or none has a row of a table. A span may lack one.
    """
    reader = READERS[settings.source]
    spans = _span_names(settings)
    if not spans:
        others = reader.left_out(settings.log_dir)
        raise LogError(
            f"{settings.log_dir} holds no {reader.WANTED}, and no directory that does. Set `log_dir` to the "
            "directory of the log, and `source` to its form."
            + (f" Left out as no data: {name_some(others)}." if others else "")
        )
    found = [(name, reader.find(_directory(settings, name), settings)) for name in spans]
    for kind, names in reader.KINDS.items():
        parts = [file for _, log in found for file in log if file.table in names]
        tables.require_rows(settings.log_dir, kind, parts, find_beside(settings, found).left_out)
    return found


def find_beside(settings: LogSettings, found: list[tuple[str, list[LogFile]]]) -> Beside:
    """Find what a log holds beside its data; `found` is that."""
    reader = READERS[settings.source]
    left_out = [
        f"{name}/{file}" if name else file for name, _ in found for file in reader.left_out(_directory(settings, name))
    ]
    hidden = [
        name
        for name in files.directories(settings.log_dir)
        if files.is_hidden(name) and reader.is_log(_directory(settings, name))
    ]
    missing = [
        f"{name}: {' or '.join(names)}"
        for name, log in found
        for names in reader.KINDS.values()
        if not any(file.table in names for file in log)
    ]
    return Beside([f"{name}/" for name in hidden] + left_out, missing)


def _span_names(settings: LogSettings) -> list[str]:
    reader = READERS[settings.source]
    if reader.is_log(settings.log_dir):
        return [""]
    return [
        name
        for name in files.directories(settings.log_dir)
        if not files.is_hidden(name) and reader.is_log(_directory(settings, name))
    ]


def _directory(settings: LogSettings, span: str) -> str:
    return files.join(settings.log_dir, span) if span else settings.log_dir
