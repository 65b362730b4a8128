"""Which rows of the tidy results are one arm: models that are equal in everything but the seed.

Only rows of one :class:`Arm` are seeds of each other and have a mean; :func:`pooled` refuses any other group. A figure
or table shows some of an arm's settings (tau on an axis, say); :func:`comparable` holds the others equal.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable, Sequence
from typing import Any, NamedTuple

from graded.analysis.figures import Row
from graded.analysis.tau import told
from graded.errors import DataError

#: So many taus that are left out are named.
NAMED = 6
DIRECTION = ("query_lang", "doc_lang", "set", "metric", "system")


class Arm(NamedTuple):
    """All that makes a model but its seed; ``recipe`` stands for every setting without a name here.

    ``tau`` is of the languages trained on: `2`, `2, fi 1` (2, in Finnish 1) or, of a mixture, `fi 1, en 3`. ``size`` is
    that of all graded pairs where no size is set, null in a mixture.
    """

    encoder: str
    annotator: str
    objective: str
    share_mined: float | None
    recipe: str | None
    counts: str
    target: str
    tau: str
    size: int | None
    extra: str | None
    extra_size: int | None


def arm(row: Row) -> Arm:
    """Return the arm of a row: equal for two rows if their models differ in the seed at most."""
    size = row["train_pairs"] if row["size"] is None and row["extra"] is None else row["size"]
    return Arm(
        row["encoder"], row["annotator"], row["objective"], row["share_mined"], row["recipe"], row["count"],
        row["target"], tau(row), size, row["extra"], row["extra_size"],
    )  # fmt: skip


def tau(row: Row) -> str:
    """Return tau of the languages that a row's model was trained on; equal texts for equal thresholds."""
    own, other = row["tau_target"], row["tau_extra"]
    if row["target"] != "all":
        alike = row["extra"] is None or other in (None, own)
        return f"{own:g}" if alike else f"{row['target']} {own:g}, {row['extra']} {other:g}"
    return told(str(row["tau"]))


def by_tau(text: str) -> tuple[bool, float, str]:
    """Return what :func:`tau`'s texts are sorted by: numbers first, rising."""
    return (True, 0.0, text) if " " in text else (False, float(text), "")


def uniform(row: Row) -> bool:
    """Return whether one tau held for all languages of a row's model, so that it has a place on an axis of tau."""
    return " " not in tau(row)


def without(rows: Iterable[Row]) -> str:
    """Return a sentence, a space before it, that names the taus of ``rows`` that an axis of tau leaves out, or ''."""
    names = sorted({tau(row) for row in rows if not uniform(row)})
    if not names:
        return ""
    more = f" and {len(names) - NAMED:,} more" if len(names) > NAMED else ""
    return f" Left out, as each language has a τ of its own: {'; '.join(names[:NAMED])}{more}."


def size_of(row: Row) -> int | None:
    """Return the training size of a row: pair.size, or all that there was where it takes all."""
    if row["size"] is not None:
        return row["size"]
    return row["train_positives"] if row["count"] == "positives" else row["train_pairs"]


def counted(row: Row) -> str:
    """Return what a row's size counts, in words."""
    return "positives" if row["count"] == "positives" else "graded pairs"


def sized(rows: Sequence[Row]) -> str:
    """Return on how much the models were trained: `400 graded pairs`, or `fi 200, en 400 graded pairs`."""
    sizes: dict[str, set[int]] = defaultdict(set)
    for row in rows:
        sizes[row["query_lang"]].add(size_of(row) or 0)
    what = counted(rows[0]) if rows else ""
    every = sorted(set[int]().union(*sizes.values()))
    if len(every) < 2 or any(len(own) > 1 for own in sizes.values()):
        return f"{' and '.join(f'{size:,}' for size in every)} {what}"
    return ", ".join(f"{lang} {min(own):,}" for lang, own in sizes.items()) + f" {what}"


def seeds(cell: Sequence[Row]) -> list[Row]:
    """Return one row a seed of an arm's rows in one direction; of a seed that ran again the newest counts.

    Raises:
        DataError: the rows are of several arms or directions; in what they differ.
    """
    several = [
        name
        for name, values in zip(Arm._fields, zip(*(arm(row) for row in cell), strict=True), strict=True)
        if len({*values}) > 1
    ]
    several += [name for name in DIRECTION if len({row[name] for row in cell}) > 1]
    if several:
        raise DataError(
            f"results: rows that differ in {', '.join(several)} are no seeds of one arm and have no mean"
            f" ({', '.join(dict.fromkeys(str(row['experiment']) for row in cell))})"
        )
    return list({row["seed"]: row for row in cell}.values())


def pooled(cell: Sequence[Row]) -> tuple[float, float | None, float | None]:
    """Return mean, lowest low and highest high over the seeds of one arm; raises as :func:`seeds`."""
    own = seeds(cell)
    lows = [row["low"] for row in own if row["low"] is not None]
    highs = [row["high"] for row in own if row["high"] is not None]
    return sum(row["value"] for row in own) / len(own), min(lows, default=None), max(highs, default=None)


def groups(rows: Iterable[Row], by: Callable[[Row], Any]) -> list[tuple[Any, list[Row]]]:
    """Return (value of ``by``, its rows), sorted by the value."""
    found: dict[Any, list[Row]] = defaultdict(list)
    for row in rows:
        found[by(row)].append(row)
    return sorted(found.items(), key=lambda item: item[0])


def comparable(rows: Sequence[Row], unit: Callable[[Row], Hashable], shown: tuple[str, ...]) -> list[Row]:
    """Return of each unit (a panel, a row of a table) the rows that differ in nothing but ``shown`` and the seed.

    Of several such groups the one of most arms counts, and of those the one of the largest size.

    Args:
        rows: tidy results of the fine-tuned encoders.
        unit: what is compared within itself, such as a language.
        shown: fields of :class:`Arm` that the drawing tells apart.
    """
    kinds: dict[Hashable, dict[Arm, list[Row]]] = defaultdict(lambda: defaultdict(list))
    blank: dict[str, Any] = dict.fromkeys(shown)
    for row in rows:
        kinds[unit(row)][arm(row)._replace(**blank)].append(row)
    best = {
        name: max(found, key=lambda held: (len({arm(row) for row in found[held]}), held.size or 0))
        for name, found in kinds.items()
    }
    return [row for row in rows if arm(row)._replace(**blank) == best[unit(row)]]
