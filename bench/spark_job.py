"""The Spark job on generated passengers beside a plain read with inferred types and a write; prints the ratio.

Both are whole spark-submit processes with the same two cores and memory, in turns, on the same file. The job also
checks the header, counts and sets aside rejected rows, counts what it wrote, and publishes.
"""

from __future__ import annotations

import argparse
import random
import shutil
import statistics
import subprocess
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).parents[1]
WORK = ROOT / ".bigdata" / "bench"
PLAIN = """
import sys
from pyspark.sql import SparkSession
spark = SparkSession.builder.getOrCreate()
spark.read.csv(sys.argv[1], header=True, sep=";", inferSchema=True).write.mode("overwrite").parquet(sys.argv[2])
"""


def generate(rows: int) -> Path:
    """Write a file of this many passengers, made from the real ones, unless it is there."""
    file = WORK / f"passengers-{rows}.csv"
    if file.exists():
        return file
    WORK.mkdir(parents=True, exist_ok=True)
    header, *real = (ROOT / "data" / "titanic.csv").read_text().splitlines()
    tails = [line.partition(";")[2] for line in real]
    chance = random.Random(1912)
    half = file.with_suffix(".part")
    with half.open("w") as out:
        out.write(header + "\n")
        for start in range(1, rows + 1, 10_000):
            numbers = range(start, min(start + 10_000, rows + 1))
            out.writelines(f"{number};{tails[chance.randrange(len(tails))]}\n" for number in numbers)
    half.rename(file)
    return file


def seconds(program: Path, *arguments: str) -> float:
    """Run a program by spark-submit; returns wall seconds."""
    command = ["spark-submit", "--master", "local[2]", "--driver-memory", "2g", str(program), *arguments]
    start = time.perf_counter()
    done = subprocess.run(command, cwd=WORK, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(done.stderr[-3000:])
    return time.perf_counter() - start


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=10_000_000)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    data = generate(options.rows)
    times: dict[str, list[float]] = {"plain": [], "ours": []}
    with tempfile.TemporaryDirectory(dir=WORK) as folder:
        plain = Path(folder) / "plain.py"
        plain.write_text(PLAIN)
        out = {name: str(Path(folder) / name) for name in times}
        for _ in range(options.rounds):
            times["plain"].append(seconds(plain, str(data), out["plain"]))
            job = ROOT / "spark_jobs" / "titanic_etl.py"
            times["ours"].append(seconds(job, f"--input={data}", f"--output={Path(out['ours']).as_uri()}"))
            for path in out.values():
                shutil.rmtree(path)
    print(f"{options.rows} rows, {data.stat().st_size / 1e6:.0f} MB")
    for name, found in times.items():
        print(f"{name:<6} {statistics.median(found):>7.1f} s  ({', '.join(f'{item:.1f}' for item in found)})")
    ratios = [plain / ours for plain, ours in zip(times["plain"], times["ours"], strict=True)]
    print(f"plain / ours: {statistics.median(ratios):.2f}  ({', '.join(f'{item:.2f}' for item in ratios)})")


if __name__ == "__main__":
    main()
