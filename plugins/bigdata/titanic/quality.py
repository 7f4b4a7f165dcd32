"""The quality gate: does the published dataset hold what came in, and does it make sense?

Each batch of rows goes through pandera's checks, so memory holds one batch and the passenger ids, whatever the size.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from typing import Any

from bigdata.errors import DataError

log = logging.getLogger(__name__)

OLDEST = 120


def check_counts(landed: int, rows_in: int, rows_out: int, rejected: int, stored: int) -> None:
    """Check that every landed row is accounted for.

    :param landed: rows counted in the raw file, without Spark.
    :param rows_in: rows Spark says it read; ``rows_out`` and ``rejected`` likewise.
    :param stored: rows counted in the published Parquet.
    :raises DataError: naming the two counts that differ.
    """
    if landed != rows_in:
        raise DataError(f"{landed} rows landed, but Spark read {rows_in}")
    if rows_in != rows_out + rejected:
        raise DataError(f"{rows_in} rows in, but {rows_out} out + {rejected} rejected = {rows_out + rejected}")
    if rows_out != stored:
        raise DataError(f"{rows_out} rows out, but the Parquet holds {stored}")


def check_rows(batches: Iterable[Any]) -> int:
    """Check every row by the rules of :func:`passenger_rules`, and that no PassengerId comes twice.

    :param batches: ``pyarrow.RecordBatch``es of the whole dataset.
    :return: the number of rows.
    :raises DataError: naming the column, the rule, how many rows break it, and the first of them.
    """
    import pandera.pandas as pa

    rules = passenger_rules()
    seen: set[int] = set()
    rows = 0
    for batch in batches:
        frame = batch.to_pandas()
        try:
            rules.validate(frame, lazy=True)
        except pa.errors.SchemaErrors as error:
            raise DataError(_first_failure(error.failure_cases, frame)) from None
        ids = frame["PassengerId"].tolist()
        doubled = [number for number in ids if number in seen]
        if doubled:
            raise DataError(f"PassengerId: {len(doubled)} come twice, the first is {doubled[0]}")
        seen.update(ids)
        rows += len(frame)
    log.info("%d rows pass: unique PassengerId, Survived in {0, 1}, plausible class, sex, age and fare", rows)
    return rows


def passenger_rules() -> Any:
    """Make the pandera schema of a curated passenger."""
    import pandera.pandas as pa

    return pa.DataFrameSchema(
        {
            "PassengerId": pa.Column(checks=pa.Check.ge(1), unique=True),
            "Survived": pa.Column(checks=pa.Check.isin([0, 1])),
            "Pclass": pa.Column(checks=pa.Check.isin([1, 2, 3])),
            "Sex": pa.Column(checks=pa.Check.isin(["female", "male"])),
            "Age": pa.Column(checks=pa.Check.in_range(0, OLDEST), nullable=True),
            "SibSp": pa.Column(checks=pa.Check.ge(0), nullable=True),
            "Parch": pa.Column(checks=pa.Check.ge(0), nullable=True),
            "Fare": pa.Column(checks=pa.Check.ge(0), nullable=True),
        }
    )


def _first_failure(cases: Any, frame: Any) -> str:
    first = cases.iloc[0]
    if first["check"] == "column_in_dataframe":
        return f"column {first['failure_case']} is missing"
    column, check = first["column"], first["check"]
    same = cases[(cases["column"] == column) & (cases["check"] == check)]
    passenger = frame.loc[int(first["index"]), "PassengerId"]
    return (
        f"{column}: {len(same)} rows break {check}, the first is PassengerId {passenger} with {first['failure_case']}"
    )
