"""Finds the logs of a directory: itself one, or one a subdirectory, such as one a day."""

from components.example_gen.errors import LogError
from components.example_gen.log_file import LogFile
from components.example_gen.readers import READERS, files
from components.example_gen.settings import LogSettings


def find_logs(settings: LogSettings) -> list[tuple[str, list[LogFile]]]:
    """Find the files to read, by span.

    Returns:
        (name of the subdirectory, its files), sorted by name; the name is "" where `log_dir` itself is a log.

    Raises:
        LogError: where there is no log, or a file cannot be used.
    """
    reader = READERS[settings.source]
    if reader.is_log(settings.log_dir):
        return [("", reader.find(settings.log_dir, settings))]
    spans = [name for name in files.directories(settings.log_dir) if reader.is_log(files.join(settings.log_dir, name))]
    if not spans:
        raise LogError(f"{settings.log_dir} holds no {reader.WANTED}, and no directory that does. Set `log_dir` to the "
                       "directory of the log, and `source` to its form.")
    return [(name, reader.find(files.join(settings.log_dir, name), settings)) for name in spans]
