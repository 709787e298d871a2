"""A figure and its floor. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from rich.table import Table


@dataclass(frozen=True)
class Row:
    """One figure. `floor` is what the bare minimum of the same work took in the same run."""

    name: str
    value: float
    unit: str
    floor: float

    @property
    def ratio(self) -> float | None:
        """The figure as a multiple of its floor; None where the floor is nothing at all."""
        return self.value / self.floor if self.floor else None

    def as_json(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "value": self.value,
            "unit": self.unit,
            "floor": self.floor,
            "ratio": self.ratio,
        }


def percentile(values: Sequence[float], percent: float) -> float:
    """The smallest of `values` that at least `percent` % of them do not exceed."""
    ordered = sorted(values)
    rank = -(-len(ordered) * percent // 100)
    return ordered[max(int(rank), 1) - 1]


def make_table(title: str, rows: Iterable[Row]) -> Table:
    table = Table(title=title, title_justify="left")
    table.add_column("Name")
    for name in ("Value", "Floor"):
        table.add_column(name, justify="right")
    table.add_column("Unit")
    table.add_column("Ratio", justify="right")
    for row in rows:
        ratio = "-" if row.ratio is None else f"{row.ratio:.3g}"
        table.add_row(row.name, _number(row.value), _number(row.floor), row.unit, ratio)
    return table


def _number(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"
