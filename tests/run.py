"""A finished small run in a temporary folder, in the formats that the stages write: what the report stage reads."""

from __future__ import annotations

import json
import random
from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa

from graded.formats import table
from tests.workspace import write_grades, write_params

QUERY = pa.schema([(name, pa.string()) for name in ("query_id", "doc_id", "style", "text", "outcome")])
PAIR = pa.schema(
    [("lang", pa.string()), ("query_id", pa.string()), ("doc_id", pa.string()), ("grade", pa.float64()),
     ("positive", pa.bool_()), ("query", pa.string()), ("passage", pa.string())]
)  # fmt: skip
PER_QUERY = pa.schema(
    [(name, pa.string()) for name in ("set", "query_lang", "doc_lang", "system", "query_id", "metric")]
    + [("value", pa.float64())]
)
WORDS = {
    "fi": "vuorovesi kuu meri ranta vesi nousee laskee aurinko",
    "ar": "المد والجزر القمر البحر الشاطئ الماء الشمس يرتفع",
    "ja": "潮汐は月と太陽の引力によって海面が上下する現象である",
    "en": "tide moon sea shore water rises falls sun",
}


def write_run(
    folder: Path,
    *,
    languages: Sequence[str] = ("fi", "ar", "ja", "en"),
    annotators: Sequence[str] = ("a", "b"),
    pairs: int = 60,
    words: int = 50,
    hostile: str = "",
    cross: bool = True,
) -> None:
    """Write params.yaml, data/ and metrics/ of a run under ``folder``.

    Args:
        folder: where to.
        languages: codes out of ``WORDS``.
        annotators: names.
        pairs: graded pairs a language.
        words: length of a passage; characters where the language writes no spaces.
        hostile: a text put into a query, a passage, an id and a parameter.
        cross: whether the benchmark has every direction.
    """
    random_ = random.Random(5)
    write_params(
        folder, languages=list(languages), annotators=list(annotators), annotator=annotators[0], report={},
        encoder={"name": hostile or "small-encoder", "revision": None}, train={"objective": "infonce"},
    )  # fmt: skip
    agree = {}
    trained: list[tuple[object, ...]] = []
    for lang in languages:
        agree[lang] = _one_language(folder, lang, annotators, (pairs, words), hostile, random_, trained)
    table.write_rows(folder / "data" / "pair.parquet", PAIR, trained)
    (folder / "metrics").mkdir(exist_ok=True)
    (folder / "metrics" / "agree.json").write_text(json.dumps(agree), encoding="utf-8")
    _evaluation(folder, languages, cross, random_)


def _one_language(
    folder: Path, lang: str, annotators: Sequence[str], size: tuple[int, int], hostile: str, random_: random.Random,
    trained: list[tuple[object, ...]],
) -> dict[str, object]:  # fmt: skip
    pairs, length = size
    words = WORDS[lang].split() if " " in WORDS[lang] else list(WORDS[lang])
    gap = " " if " " in WORDS[lang] else ""
    queries = [(f"q{at}", f"d{at}", "question" if at % 2 else "keywords") for at in range(max(1, pairs // 5))]
    texts = {name: gap.join(random_.choices(words, k=6)) for name, _, _ in queries}
    passages = {f"d{at}": gap.join(random_.choices(words, k=length)) for at in range(min(2000, max(5, pairs // 5)))}
    if hostile:
        texts["q0"], passages["d0"] = hostile, hostile
    rows: list[tuple[object, ...]] = [(name, doc, style, texts[name], "ok") for name, doc, style in queries]
    table.write_rows(
        folder / "data/query" / f"{lang}.parquet", QUERY, [*rows, ("qx", "d1", "question", None, "refused")]
    )
    table.write_rows(
        folder / "data/sample" / f"{lang}.parquet", table.PASSAGES, [(doc, "", text) for doc, text in passages.items()]
    )
    keys = [(name, f"d{(at + step) % len(passages)}") for at, (name, _, _) in enumerate(queries) for step in range(5)]
    keys = keys[:pairs]
    found: dict[str, object] = {}
    grades = {name: _grades(keys, random_) for name in annotators}
    for name in annotators:
        write_grades(folder, name, lang, grades[name])
        counts = {str(g): sum(one == g for one in grades[name].values()) for g in range(4)}
        refused = sum(one is None for one in grades[name].values())
        found[name] = {"pairs": len(keys), "graded": len(keys) - refused, "mean": 1.2, **counts, "refused": refused}
    if len(annotators) > 1:
        first, second = (grades[name] for name in annotators[:2])
        confusion = [[sum(first[k] == i and second[k] == j for k in keys) for j in range(4)] for i in range(4)]
        interval = {"value": 0.71, "low": 0.62, "high": 0.79}
        found[f"{annotators[0]} | {annotators[1]}"] = {
            "pairs": len(keys), "kappa": interval, "AC2": interval, "exact": 0.7, "within_one": 0.95, "lean": -0.1,
            "confusion": confusion,
        }  # fmt: skip
    used = [(key, grade) for key, grade in grades[annotators[0]].items() if grade is not None]
    trained += [
        (lang, *key, float(g), g >= 2, texts[key[0]], passages[key[1]]) for key, g in used[: len(used) * 3 // 4]
    ]
    return found


def _grades(keys: Sequence[tuple[str, str]], random_: random.Random) -> dict[tuple[str, str], int | None]:
    drawn = random_.choices((0, 1, 2, 3, None), weights=(40, 25, 20, 14, 1), k=len(keys))
    return dict(zip(keys, drawn, strict=True))


def _evaluation(folder: Path, languages: Sequence[str], cross: bool, random_: random.Random) -> None:
    rows: list[tuple[object, ...]] = []
    record: dict[str, dict[str, object]] = {}
    for set_name in ("sample", "sample-dev"):
        record[set_name] = {}
        for query in languages:
            for doc in languages if cross and set_name == "sample" else (query,):
                label = query if query == doc else f"{query}-{doc}"
                record[set_name][label] = _direction((set_name, query, doc), random_, rows)
        benchmark = folder / "data" / "benchmark" / set_name
        benchmark.mkdir(parents=True, exist_ok=True)
        role = "dev" if set_name.endswith("dev") else "test"
        (benchmark / "benchmark.json").write_text(json.dumps({"name": set_name, "role": role}), encoding="utf-8")
    table.write_rows(folder / "data/evaluate/per_query.parquet", PER_QUERY, rows)
    (folder / "metrics" / "evaluate.json").write_text(json.dumps(record), encoding="utf-8")


def _direction(
    where: tuple[str, str, str], random_: random.Random, rows: list[tuple[object, ...]]
) -> dict[str, object]:
    means: dict[str, dict[str, float]] = {"tuned": {}, "base": {}}
    for system, level in (("tuned", 0.62), ("base", 0.55)):
        for metric in ("nDCG@10", "MRR@10", "recall@100"):
            middle = level - 0.1 * (where[1] != where[2])
            scores = [min(1.0, max(0.0, random_.gauss(middle, 0.2))) for _ in range(40)]
            means[system][metric] = sum(scores) / len(scores)
            rows += [(*where, system, f"t{at}", metric, score) for at, score in enumerate(scores)]
    gap = means["tuned"]["nDCG@10"] - means["base"]["nDCG@10"]
    test = {"mean": gap, "low": gap - 0.06, "high": gap + 0.06, "p": 0.02, "p_holm": 0.04 if gap > 0.06 else 0.4}
    return {**means["tuned"], "queries": 40, "base": means["base"], "difference": {"nDCG@10": test}}
