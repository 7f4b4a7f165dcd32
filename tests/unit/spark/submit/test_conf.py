"""The properties file that carries a driver's settings."""

from __future__ import annotations

from bigdata.spark.submit.conf import render


def test_properties_survive_being_written() -> None:
    text = render({"spark.a b=c:d": " x\\y\nz", "spark.#!": "=:#"})
    assert text == "spark.\\#\\!==:#\nspark.a\\ b\\=c\\:d=\\ x\\\\y\\nz\n"
