"""The job on the real passengers, on bad input, and again."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from .conftest import DATA, GOOD, HEADER, Run, files

pytestmark = pytest.mark.integration

Csv = Callable[..., Path]


def test_the_real_passengers(run: Run, tmp_path: Path) -> None:
    result = run(DATA, tmp_path / "out", "--version=manual__2026-11-21T07:05:00+00:00").result

    table = pq.read_table(tmp_path / "out" / result["passengers"])
    survivors = [row for row in table.to_pylist() if row["Survived"]]
    assert (result["rows_in"], result["rows_out"], result["rows_rejected"]) == (891, 891, 0)
    assert (table.num_rows, len(survivors), sum(row["Sex"] == "female" for row in survivors)) == (891, 342, 233)
    assert sorted(table["PassengerId"].to_pylist()) == list(range(1, 892))
    assert table.schema.names == HEADER.split(";")
    assert [str(kind) for kind in table.schema.types] == [
        *("int32", "int32", "int32", "string", "string", "double"),
        *("int32", "int32", "string", "double", "string", "string"),
    ]
    assert result["version"].startswith("manual__2026-11-21T07-05-00-00-00-")


def test_the_rejects_are_there_even_if_there_are_none(run: Run, tmp_path: Path) -> None:
    result = run(DATA, tmp_path / "out").result

    table = pq.read_table(tmp_path / "out" / result["rejects"])
    assert (table.num_rows, table.schema.names) == (0, ["file", "row", "reason", "raw"])


def test_a_second_run_replaces_the_first_and_keeps_it_for_its_readers(csv: Csv, run: Run, tmp_path: Path) -> None:
    first = run(DATA, tmp_path / "out").result
    second = run(csv(GOOD), tmp_path / "out").result
    third = run(DATA, tmp_path / "out").result

    assert [first["previous"], second["previous"], third["previous"]] == [None, first["version"], second["version"]]
    assert {path.name for path in (tmp_path / "out" / "versions").iterdir()} == {second["version"], third["version"]}
    assert pq.read_table(tmp_path / "out" / second["passengers"]).num_rows == 1
    assert pq.read_table(tmp_path / "out" / third["passengers"]).num_rows == 891
    assert [name for name in files(tmp_path / "out") if not name.startswith("versions/")] == ["_current.json"]


def without(column: str) -> str:
    return ";".join(name for name in HEADER.split(";") if name != column)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (b"", "is empty: it must start with a header line"),
        (HEADER.encode(), "has a header but no rows"),
        (HEADER.encode() + b"\n\n  \n", "has a header but no rows"),
        (
            HEADER.replace(";", ",").encode() + b"\n1,0,3",
            "has 1 column, not 12, with separator ';': is the separator ','?",
        ),
        (without("Age").encode() + b"\n1;0;3", "the header has 11 columns, not the expected 12: missing 'Age'"),
        (f"{HEADER};Deck\n{GOOD};A".encode(), "the header has 13 columns, not the expected 12: unexpected 'Deck'"),
        (b";".join([b"1"] * 200), "the header has 200 columns, not the expected 12: missing 'PassengerId', "),
        (f"{HEADER}\n{';'.join('1' * 200)}".encode(), "1 of 1 rows are rejected. The first: "),
        (b"PAR1\xff\x00", "the header is not UTF-8 text: convert the file to UTF-8"),
    ],
    ids=["empty", "header-only", "blank-rows", "separator", "missing", "extra", "200-columns", "all-bad", "binary"],
)
def test_an_input_that_cannot_be_used_is_told_in_one_line_and_leaves_nothing(
    run: Run, tmp_path: Path, text: bytes, problem: str
) -> None:
    source = tmp_path / "in.csv"
    source.write_bytes(text)

    error = run(source, tmp_path / "out").error

    assert error.startswith(f"file:{source}: ")
    assert problem in error
    assert files(tmp_path / "out") == []


def test_a_source_that_does_not_exist(run: Run, tmp_path: Path) -> None:
    missing = tmp_path / "nowhere" / "in.csv"

    assert run(missing, tmp_path / "out").error == f"file:{missing}: does not exist, or holds no files"
    assert files(tmp_path / "out") == []


def test_a_folder_is_read_only_if_every_file_in_it_fits(csv: Csv, run: Run, tmp_path: Path) -> None:
    csv(GOOD, GOOD, name="a.csv")
    csv(GOOD, name="_hidden.csv", header="other")
    csv(GOOD, name="b.csv")
    assert run(tmp_path / "in", tmp_path / "out").result["rows_out"] == 3
    assert run(f"file:{tmp_path}/in/[a]*.csv", tmp_path / "out").result["rows_out"] == 2

    bad = csv(GOOD, name="c.csv", header=HEADER.replace("Age", "Alter"))
    assert run(tmp_path / "in", tmp_path / "out").error.startswith(f"file:{bad}: the header has 12 columns")


def test_too_many_rejects_fail_and_the_old_result_stays(csv: Csv, run: Run, tmp_path: Path) -> None:
    old = run(DATA, tmp_path / "out").result
    before = files(tmp_path / "out")
    bad = ["1;0;3", "x;0;3" + GOOD[5:], *[GOOD.replace("22.0", f"v{n}") for n in range(2)]]
    source = csv(*bad, *[GOOD] * 16)

    error = run(source, tmp_path / "out", "--max-reject-ratio=0.19").error

    assert error == (
        f"file:{source}: 4 of 20 rows are rejected, --max-reject-ratio allows 19.00%. "
        f"The first: file:{source} row 2: expected 12 columns, found 3; "
        f"file:{source} row 3: PassengerId: 'x' is not a whole number; "
        f"file:{source} row 4: Age: 'v0' is not a number"
    )
    assert files(tmp_path / "out") == before
    assert f'"version": "{old["version"]}"' in (tmp_path / "out" / "_current.json").read_text()
    assert run(source, tmp_path / "out", "--max-reject-ratio=0.2").result["rows_rejected"] == 4


def test_a_damaged_pointer_is_not_overwritten(run: Run, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "_current.json").write_text("{")

    error = run(DATA, tmp_path / "out").error

    assert error.startswith(f"file:{tmp_path}/out/_current.json: is no pointer (")
    assert files(tmp_path / "out") == ["_current.json"]


def test_a_folder_that_may_not_be_written(run: Run, tmp_path: Path) -> None:
    (tmp_path / "out").write_text("a file is where the folder must go")

    error = run(DATA, tmp_path / "out").error

    assert str(tmp_path / "out") in error


def test_where_nothing_can_be_published_atomically(run: Run) -> None:
    assert run(DATA, "hdfs://127.0.0.1:1/out").error == (
        "hdfs://127.0.0.1:1/out: cannot publish on hdfs: give a URI that starts with s3a:// or file:"
    )


def test_an_unknown_scheme(run: Run, tmp_path: Path) -> None:
    error = run("s3://bucket/in.csv", tmp_path / "out").error

    assert "no file system is known for this URI's scheme" in error
