"""Survivors of the real passenger list: figures, table, plot."""

from pathlib import Path

import pytest

from bigdata.errors import DataError
from bigdata.titanic.passengers import read_csv
from bigdata.titanic.survivors import Survivors

DATA = Path(__file__).parents[3] / "data" / "titanic.csv"


@pytest.fixture(scope="module")
def survivors() -> Survivors:
    return Survivors.count(read_csv(DATA, ["Sex", "Pclass", "Survived"]))


def test_the_figures_are_those_of_the_field(survivors: Survivors) -> None:
    assert (survivors.passengers, survivors.survivors) == (891, 342)
    assert survivors.by_sex() == {"female": 233, "male": 109}
    assert survivors.by_class() == {"1": 136, "2": 87, "3": 119}
    assert {"sex": "female", "class": 1, "passengers": 94, "survivors": 91} in survivors.to_dict()["groups"]


def test_the_table_has_a_line_a_group_and_one_for_all(survivors: Survivors) -> None:
    lines = survivors.table().splitlines()
    assert len(lines) == 1 + 6 + 1
    assert lines[1].split() == ["female", "1st", "94", "91", "97%"]
    assert lines[-1].split() == ["all", "891", "342", "38%"]


def test_the_plot_is_a_png(survivors: Survivors, tmp_path: Path) -> None:
    survivors.plot(tmp_path / "plot.png")
    assert (tmp_path / "plot.png").read_bytes().startswith(b"\x89PNG")


def test_no_passengers_make_an_empty_table() -> None:
    assert Survivors.count([]).table().splitlines()[-1].split() == ["all", "0", "0", "0%"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "no column 'Sex'"),
        (b"Sex,Survived\nmale,1\n", "separator"),
        (b"Sex;Survived\nmale;1\nfemale\n", ":3: 2 columns expected"),
        (b"Sex;Survived\nmale;1;2\n", ":2: 2 columns expected"),
        (b"Sex;Survived\n\xff;1\n", "not UTF-8"),
    ],
)
def test_a_broken_list_is_named_by_file_and_row(tmp_path: Path, content: bytes, message: str) -> None:
    (tmp_path / "list.csv").write_bytes(content)
    with pytest.raises(DataError, match=message) as error:
        read_csv(tmp_path / "list.csv", ["Sex", "Survived"])
    assert "list.csv" in str(error.value)


def test_a_list_that_does_not_exist_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="nothing.csv does not exist"):
        read_csv(tmp_path / "nothing.csv", ["Sex"])
