"""The metadata of a run's folder: whether the file that holds them can be used."""

import contextlib
import sqlite3
from pathlib import Path
from typing import Any

METADATA_FILE, ARTIFACTS = "metadata.db", "artifacts"


def connection(run_dir: Path) -> Any:
    """Check the metadata of a run's folder, and make them where there are none.

    Args:
        run_dir: folder of all that the run writes; nobody else writes there meanwhile.

    Returns:
        How TFX connects to them.

    Raises:
        ValueError: for a file that is no database, is broken, of another version or cannot be written; or artifacts
            that it does not know.
    """
    from ml_metadata import ListOptions
    from tfx.orchestration.metadata import Metadata, sqlite_metadata_connection_config

    file, artifacts = run_dir / METADATA_FILE, run_dir / ARTIFACTS
    away = f"Or move {file} and {artifacts} away: the next run starts from nothing, and what was pushed stays"
    if file.exists():
        _require_sound(file, away)
    config = sqlite_metadata_connection_config(str(file))
    try:
        with Metadata(config) as handle:
            runs = handle.store.get_executions(ListOptions(limit=1))
    except RuntimeError as error:
        reason = str(error).partition("with error: ")[2].split(". ")[0]
        raise ValueError(
            f"{file} cannot be used: {reason}. Run the version of this project that wrote it. {away}."
        ) from error
    if not runs and artifacts.is_dir() and any(artifacts.iterdir()):
        # Numbers begin again at 1, and the files of a new artifact would lie among those of an old one.
        raise ValueError(
            f"{file} knows none of the artifacts in {artifacts}. Bring the file back, or move {artifacts} "
            "away: the next run starts from nothing, and what was pushed stays."
        )
    return config


def _require_sound(file: Path, away: str) -> None:
    try:
        with contextlib.closing(sqlite3.connect(f"{file.as_uri()}?mode=rw", uri=True)) as database:
            [found] = database.execute("PRAGMA quick_check(1)").fetchone()
            database.execute("BEGIN IMMEDIATE")
            database.execute("PRAGMA user_version = 0")  # a write, the only way to learn whether one is possible
            database.rollback()
    except sqlite3.OperationalError as error:
        raise ValueError(
            f"{file} should be a database that can be read and written. Received: {error}. Make it so. {away}."
        ) from error
    except sqlite3.DatabaseError as error:
        found = str(error)
    if found != "ok":
        raise ValueError(f"{file} is broken: {' '.join(found.split())}. Bring a whole copy of it. {away}.")
