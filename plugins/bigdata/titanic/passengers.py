"""The passenger list as a small CSV, read without Spark."""

from __future__ import annotations

import csv
from pathlib import Path

from bigdata.errors import DataError

SEPARATOR = ";"


def read_csv(path: Path, columns: list[str]) -> list[dict[str, str]]:
    """Read some columns of a CSV file that fits in memory.

    :raises DataError: naming the file, and the column or row that is wrong.
    """
    try:
        with path.open(encoding="utf-8", newline="") as file:
            reader = csv.DictReader(file, delimiter=SEPARATOR)
            missing = [column for column in columns if column not in (reader.fieldnames or [])]
            if missing:
                raise DataError(
                    f"{path}: no column {missing[0]!r}; is the separator {SEPARATOR!r}? Found {reader.fieldnames}"
                )
            rows = []
            for row in reader:
                if None in row or None in row.values():
                    raise DataError(f"{path}:{reader.line_num}: {len(reader.fieldnames or [])} columns expected")
                rows.append({column: row[column] for column in columns})
            return rows
    except FileNotFoundError:
        raise DataError(f"{path} does not exist") from None
    except UnicodeDecodeError as error:
        raise DataError(f"{path}: not UTF-8: {error.reason} at byte {error.start}") from None
