"""What a run made and where it is, in a few lines."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bigdata.storage.dataset import Published


def summary(
    parquet: str,
    published: Published,
    landed: Mapping[str, Any],
    receipt: Mapping[str, Any],
    verified: Mapping[str, Any],
    reported: Mapping[str, Any],
) -> str:
    """Put the results of all tasks together."""
    offsets = ", ".join(f"{part}: {first} to {last}" for part, (first, last) in receipt["offsets"].items())
    sexes = ", ".join(f"{count} {sex}" for sex, count in reported["by_sex"].items())
    classes = ", ".join(f"{count} in class {number}" for number, count in reported["by_class"].items())
    topic = f"{receipt['topic']}: {receipt['sent']} sent, {verified['found']} read back"
    lines = {
        "passengers": f"{reported['passengers']}, of whom {reported['survivors']} survived ({sexes}; {classes})",
        "source": f"{landed['source']} → {landed['uri']} ({landed['rows']} rows)",
        "parquet": f"{parquet} ({published.rows_out} rows, {published.rows_rejected} rejected)",
        "topic": f"{topic}; offsets by partition {offsets}",
        "plot": f"{reported['plot_file']} (also {reported['plot']})" if reported["plot_file"] else reported["plot"],
    }
    return "\n".join(f"{name:<11} {text}" for name, text in lines.items())
