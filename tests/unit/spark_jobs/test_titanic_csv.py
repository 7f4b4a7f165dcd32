"""The header tells most mistakes before any row is read."""

from __future__ import annotations

import pytest

from titanic_csv import COLUMNS, header_problem

HEADER = ";".join(COLUMNS).encode()


def without(name: str) -> list[str]:
    return [column for column in COLUMNS if column != name]


@pytest.mark.parametrize(
    "head",
    [
        HEADER,
        HEADER + b"\n1;0;3",
        HEADER + b"\r\n1;0;3",
        b"\xef\xbb\xbf" + HEADER + b"\n",
        b";".join(b'"%s"' % name.encode() for name in COLUMNS),
    ],
    ids=["alone", "unix", "windows", "byte-order-mark", "quoted"],
)
def test_a_right_header(head: bytes) -> None:
    assert header_problem(head, ";") == ""


@pytest.mark.parametrize(
    ("head", "separator", "problem"),
    [
        (
            HEADER.replace(b";", b","),
            ";",
            "the header has 1 column, not 12, with separator ';': is the separator ','?",
        ),
        (HEADER, "\t", "the header has 1 column, not 12, with separator '\\t': is the separator ';'?"),
        (b"PassengerId", ";", "the header has 1 column, not 12, with separator ';': is the separator another one?"),
        (b"\n" + HEADER, ";", "the first line is blank: it must be the header"),
        (";".join(without("Age")).encode(), ";", "the header has 11 columns, not the expected 12: missing 'Age'"),
        (HEADER + b";Deck", ";", "the header has 13 columns, not the expected 12: unexpected 'Deck'"),
        (
            HEADER.replace(b"Age", b"age"),
            ";",
            "the header has 12 columns, not the expected 12: missing 'Age'; unexpected 'age'",
        ),
        (HEADER + b";Age", ";", "the header names a column twice: 'Age'"),
        (
            ";".join([*without("Sex"), "Sex"]).encode(),
            ";",
            "the columns are in another order: column 5 is Age, expected Sex",
        ),
        (HEADER.decode().encode("utf-16"), ";", "the header is not UTF-8 text: convert the file to UTF-8"),
        (HEADER[:-1] + b"\xff", ";", "the header is not UTF-8 text: convert the file to UTF-8"),
    ],
)
def test_a_wrong_header_is_named(head: bytes, separator: str, problem: str) -> None:
    assert header_problem(head, separator) == problem


def test_a_data_row_of_200_columns_is_told_in_one_short_line() -> None:
    problem = header_problem(b";".join(b"%d" % n for n in range(200)), ";")

    assert problem == (
        "the header has 200 columns, not the expected 12: "
        "missing 'PassengerId', 'Survived', 'Pclass', 'Name', 'Sex' and 7 more; "
        "unexpected '0', '1', '2', '3', '4' and 195 more"
    )
