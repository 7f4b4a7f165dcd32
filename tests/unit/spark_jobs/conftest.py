"""The jobs find each other by lying in one folder, as they do for spark-submit."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[3] / "spark_jobs"))
