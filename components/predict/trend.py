"""Which classes pictures show: counts and shares, over time where the pictures have dates."""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path

from components.common.files import staged
from components.common.report import figure, png

NOT_SURE = "not sure"
"""Counted like a class: pictures whose best class is not probable enough."""
UNDATED = "undated"
ALL = "all"


def shown_class(name: str, probability: float, not_sure_below: float) -> str:
    """The most probable class of a picture, or `NOT_SURE` if it is not probable enough."""
    return name if probability >= not_sure_below else NOT_SURE


@dataclass(frozen=True)
class Trend:
    """Pictures of each class in each period.

    Args:
        classes: The classes, in the order of `params.yaml`, and `NOT_SURE` if there is such a picture.
        periods: Days, months or years from the first to the last, as `2026-11`, also those without a
            picture; then `UNDATED` if there is such a picture. `ALL` alone if no picture has a date.
        counts: Number of pictures by period, then by class.
    """

    classes: tuple[str, ...]
    periods: tuple[str, ...]
    counts: tuple[tuple[int, ...], ...]

    @property
    def totals(self) -> tuple[int, ...]:
        """Number of pictures by class."""
        return tuple(map(sum, zip(*self.counts, strict=True)))

    def table(self, periods: int = 6) -> tuple[list[str], list[list[str]]]:
        """Headers and rows of text: pictures and share of each class, and its share in the latest periods."""
        latest = range(len(self.periods))[-periods:] if len(self.periods) > 1 else range(0)
        total = max(1, sum(self.totals))
        rows = [
            [
                name,
                f"{count:,}",
                f"{count / total:.1%}",
                *(f"{self.shares[p][number]:.1%}" if any(self.counts[p]) else "-" for p in latest),
            ]
            for number, (name, count) in enumerate(zip(self.classes, self.totals, strict=True))
        ]
        return ["class", "pictures", "share", *(self.periods[p] for p in latest)], rows

    @property
    def shares(self) -> tuple[tuple[float, ...], ...]:
        """Share of each class among the pictures of a period; 0 if it has none."""
        return tuple(tuple(count / max(1, sum(row)) for count in row) for row in self.counts)


def class_trend(pictures: Iterable[tuple[str, date | None]], classes: Sequence[str]) -> Trend:
    """Counts classes by period: by day up to 31 days, by month up to 24 months, else by year.

    Args:
        pictures: For each picture its class, or `NOT_SURE`, and its date, if it has one.
        classes: All classes, in the order in which they are shown.
    """
    seen = Counter(pictures)
    days = sorted({day for _, day in seen if day})
    length = _period_length(days[0], days[-1]) if days else 0
    counts: Counter[tuple[str, str]] = Counter()
    for (name, day), count in seen.items():
        counts[name, day.isoformat()[:length] if day else UNDATED if days else ALL] += count
    names = (*classes, *[NOT_SURE] * any(name == NOT_SURE for name, _ in seen))
    found = {period for _, period in counts}
    if days:  # every day from the first to the last names its period: those without a picture, too
        found |= {
            date.fromordinal(n).isoformat()[:length] for n in range(days[0].toordinal(), days[-1].toordinal())
        }
    periods = tuple(sorted(found)) or (ALL,)  # UNDATED sorts after any date
    return Trend(names, periods, tuple(tuple(counts[name, period] for name in names) for period in periods))


def _period_length(first: date, last: date) -> int:
    """How many characters of an ISO date name its period: 10 for a day, 7 for a month, 4 for a year."""
    if (last - first).days < 31:
        return 10
    return 7 if (last.year - first.year) * 12 + last.month - first.month < 24 else 4


def write_trend(trend: Trend, folder: Path) -> None:
    """Writes `trend.csv` (columns period, class, pictures, share) and `trend.png`.

    Raises:
        StorageError: The disk is full, or the folder cannot be written.
    """
    with staged(folder) as stage:
        with (stage / "trend.csv").open("w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file)
            writer.writerow(("period", "class", "pictures", "share"))
            for period, counts, shares in zip(trend.periods, trend.counts, trend.shares, strict=True):
                for name, count, share in zip(trend.classes, counts, shares, strict=True):
                    writer.writerow((period, name, count, f"{share:.4f}" if any(counts) else ""))
        (stage / "trend.png").write_bytes(draw_trend(trend))


def draw_trend(trend: Trend) -> bytes:
    """A PNG: the share of each class over the periods as lines, or the counts as bars if there is one."""
    periods = [period for period in trend.periods if period != UNDATED]
    drawing = figure(7, 4)
    axes = drawing.add_subplot()
    if len(periods) == 1:
        bars = axes.barh(trend.classes, trend.totals)
        total = max(1, sum(trend.totals))
        axes.bar_label(bars, [f"{count:,} ({count / total:.1%})" for count in trend.totals], padding=3)
        axes.invert_yaxis()
        axes.margins(x=0.2)
        axes.set_xlabel("pictures")
    else:
        axes.plot(
            periods, [0] * len(periods), alpha=0
        )  # the axis has all periods, the lines those with pictures
        dated = [place for place in range(len(periods)) if any(trend.counts[place])]
        for number, name in enumerate(trend.classes):
            line = [trend.shares[place][number] for place in dated]
            axes.plot(
                [periods[place] for place in dated], line, "k:" if name == NOT_SURE else "o-", label=name
            )
        axes.yaxis.set_major_formatter(lambda share, _: f"{share:.0%}")
        axes.set_ylim(bottom=0)
        axes.set_ylabel("share of the period's pictures")
        axes.set_xticks(range(0, len(periods), -(-len(periods) // 12)))
        axes.tick_params(axis="x", rotation=30)
        drawing.legend(loc="outside right upper")
    return png(drawing)
