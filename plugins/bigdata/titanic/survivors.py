"""Who survived: the figures, as a table and as a plot."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

COLUMNS = ["Sex", "Pclass", "Survived"]
CLASSES = {1: "1st", 2: "2nd", 3: "3rd"}


@dataclass
class Survivors:
    """Passengers and survivors in all, and by sex and class as ``{(sex, class): [passengers, survivors]}``."""

    passengers: int = 0
    survivors: int = 0
    groups: dict[tuple[str, int], list[int]] = field(default_factory=dict)

    @classmethod
    def count(cls, rows: Iterable[Mapping[str, Any]]) -> Survivors:
        """Count rows that have Sex, Pclass and Survived."""
        result = cls()
        for row in rows:
            group = result.groups.setdefault((row["Sex"], int(row["Pclass"])), [0, 0])
            group[0] += 1
            group[1] += int(row["Survived"])
        result.passengers = sum(group[0] for group in result.groups.values())
        result.survivors = sum(group[1] for group in result.groups.values())
        return result

    def by_sex(self) -> dict[str, int]:
        """Survivors by sex."""
        return self._by(0)

    def by_class(self) -> dict[str, int]:
        """Survivors by class, 1 to 3."""
        return self._by(1)

    def _by(self, part: int) -> dict[str, int]:
        counts: dict[str, int] = {}
        for key, (_, survived) in sorted(self.groups.items()):
            counts[str(key[part])] = counts.get(str(key[part]), 0) + survived
        return counts

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready form, for an XCom."""
        found = asdict(self) | {"by_sex": self.by_sex(), "by_class": self.by_class()}
        found["groups"] = [
            {"sex": sex, "class": number, "passengers": count, "survivors": survived}
            for (sex, number), (count, survived) in sorted(self.groups.items())
        ]
        return found

    def table(self) -> str:
        """Draw a table for the log: one line a group, one for all."""
        lines = [f"{'sex':<8} {'class':<6} {'passengers':>10} {'survivors':>9} {'share':>6}"]
        for (sex, number), (count, survived) in sorted(self.groups.items()):
            lines.append(
                f"{sex:<8} {CLASSES.get(number, str(number)):<6} {count:>10} {survived:>9} {survived / count:>6.0%}"
            )
        share = self.survivors / self.passengers if self.passengers else 0
        lines.append(f"{'all':<8} {'':<6} {self.passengers:>10} {self.survivors:>9} {share:>6.0%}")
        return "\n".join(lines)

    def plot(self, path: Path) -> None:
        """Write a PNG: passengers as pale bars, survivors as full ones, by class, one colour a sex."""
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure

        figure = Figure(figsize=(8, 4.5), dpi=120, layout="constrained")
        FigureCanvasAgg(figure)
        axes = figure.subplots()
        sexes = sorted({sex for sex, _ in self.groups})
        width = 0.8 / max(1, len(sexes))
        for index, sex in enumerate(sexes):
            for number in CLASSES:
                count, survived = self.groups.get((sex, number), [0, 0])
                place, color = number + (index - (len(sexes) - 1) / 2) * width, f"C{index}"
                axes.bar(place, count, width * 0.95, color=color, alpha=0.25)
                label = sex if number == 1 else None
                axes.bar(place, survived, width * 0.95, color=color, label=label)
                axes.annotate(f"{survived} of {count}", (place, count), ha="center", va="bottom", fontsize=9)
        axes.set_xticks(list(CLASSES), [f"{name} class" for name in CLASSES.values()])
        axes.set_ylabel("passengers")
        axes.set_title(f"Titanic: {self.survivors} of {self.passengers} passengers survived")
        axes.legend(title="survived (pale: all)", frameon=False)
        axes.spines[["top", "right"]].set_visible(False)
        figure.savefig(path)
