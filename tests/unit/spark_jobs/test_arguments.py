"""The command line of the job."""

from __future__ import annotations

import pytest

from titanic_etl import parse_args

BOTH = ["--input=file:/in.csv", "--output=file:/out"]


def test_defaults() -> None:
    args = parse_args(BOTH)

    assert (args.input, args.output, args.version) == ("file:/in.csv", "file:/out", "run")
    assert (args.max_reject_ratio, args.separator) == (0.1, ";")


@pytest.mark.parametrize(("text", "separator"), [(",", ","), ("\\t", "\t"), ("\t", "\t"), ("|", "|")])
def test_separators(text: str, separator: str) -> None:
    assert parse_args([*BOTH, "--separator", text]).separator == separator


@pytest.mark.parametrize(("text", "ratio"), [("0", 0.0), ("1", 1.0), ("0.25", 0.25), (".5", 0.5), ("1e-05", 0.00001)])
def test_ratios(text: str, ratio: float) -> None:
    assert parse_args([*BOTH, "--max-reject-ratio", text]).max_reject_ratio == ratio


@pytest.mark.parametrize(
    ("extra", "problem"),
    [
        (["--separator", "ab"], "argument --separator: 'ab' is not one character"),
        (["--separator", '"'], "argument --separator: '\"' is not one character, or not one that can"),
        (["--max-reject-ratio", "2"], "argument --max-reject-ratio: '2' is not a number between 0 and 1"),
        (["--max-reject-ratio", "nan"], "argument --max-reject-ratio: 'nan' is not a number between 0 and 1"),
        (["--max-reject-ratio", "some"], "argument --max-reject-ratio: 'some' is not a number between 0 and 1"),
        (["--reject", "1"], "unrecognized arguments: --reject"),
    ],
)
def test_a_mistake_is_named(extra: list[str], problem: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        parse_args([*BOTH, *extra])

    assert ended.value.code == 2
    assert problem in capsys.readouterr().err.splitlines()[-1]
