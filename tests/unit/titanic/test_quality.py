"""The quality gate on small made-up batches: each rule passes what it should and names what it should not."""

from typing import Any

import pyarrow as pa
import pytest

from bigdata.errors import DataError
from bigdata.titanic.quality import check_counts, check_rows

GOOD = {
    "PassengerId": 1,
    "Survived": 1,
    "Pclass": 3,
    "Sex": "female",
    "Age": 22.0,
    "SibSp": 0,
    "Parch": 0,
    "Fare": 7.25,
}


def batch(*rows: dict[str, Any]) -> pa.RecordBatch:
    return pa.RecordBatch.from_pylist([GOOD | row for row in rows])


def test_good_rows_pass_and_are_counted_over_batches() -> None:
    assert check_rows([batch({}, {"PassengerId": 2, "Age": None}), batch({"PassengerId": 3, "Fare": 0.0})]) == 3


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("Survived", 2),
        ("Survived", None),
        ("Pclass", 0),
        ("Sex", "unknown"),
        ("Age", -1.0),
        ("Age", 121.0),
        ("SibSp", -1),
        ("Fare", -0.01),
        ("PassengerId", 0),
        ("PassengerId", None),
    ],
)
def test_a_value_out_of_range_is_named_with_its_column(column: str, value: object) -> None:
    with pytest.raises(DataError, match=column):
        check_rows([batch({}, {"PassengerId": 2} | {column: value})])


def test_the_passenger_is_named() -> None:
    with pytest.raises(DataError, match=r"Age: 2 rows break .*PassengerId 7 with 200"):
        check_rows([batch({"PassengerId": 7, "Age": 200.0}, {"PassengerId": 8, "Age": 300.0})])


@pytest.mark.parametrize("batches", [[batch({}, {})], [batch({}), batch({})]], ids=["within a batch", "across batches"])
def test_a_passenger_that_comes_twice_is_named(batches: list[pa.RecordBatch]) -> None:
    with pytest.raises(DataError, match="PassengerId"):
        check_rows(batches)


def test_a_missing_column_is_named() -> None:
    with pytest.raises(DataError, match="Fare"):
        check_rows([batch({}).drop_columns(["Fare"])])


def test_counts_that_add_up_pass() -> None:
    check_counts(landed=10, rows_in=10, rows_out=8, rejected=2, stored=8)


@pytest.mark.parametrize(
    ("counts", "message"),
    [
        ((11, 10, 8, 2, 8), "11 rows landed, but Spark read 10"),
        ((10, 10, 8, 1, 8), r"10 rows in, but 8 out \+ 1 rejected = 9"),
        ((10, 10, 8, 2, 7), "8 rows out, but the Parquet holds 7"),
    ],
)
def test_counts_that_differ_are_named(counts: tuple[int, ...], message: str) -> None:
    with pytest.raises(DataError, match=message):
        check_counts(*counts)
