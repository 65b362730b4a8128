"""Explicit negatives: what is mined, what is never drawn, what comes first, and in which share."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from graded.formats import table
from graded.formats.work import work_folder
from graded.retrieval.encoder import Encoder
from graded.retrieval.training import mining, setup
from graded.retrieval.training.group import Group
from graded.retrieval.training.masks import build
from graded.retrieval.training.negatives import Counts, Negatives, below_tau, pools
from graded.retrieval.training.pairs import Pairs, Texts, key, read_pairs
from graded.retrieval.training.rows import known_relevant
from graded.retrieval.training.settings import Settings
from tests import training

NONE = np.empty(0, np.int64)


@pytest.fixture(autouse=True)
def own_work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep what is mined in the test's own folder."""
    monkeypatch.setenv("DVC_ROOT", str(tmp_path))


def chosen(objective: str = "infonce", **negatives: Any) -> Settings:
    return Settings.model_validate({"objective": objective, "negatives": {"per_query": 3} | negatives})


def made(layout: Path, settings: Settings, pairs: Pairs, sample: Path | None = None) -> tuple[Texts, Negatives]:
    sample = sample or layout / "data" / "sample"
    explicit = setup.negatives(settings, pairs, sample, layout / "data" / "encoder", 3, Group())
    assert explicit is not None
    return explicit


def test_mined_ones_are_the_window_of_the_ranking_less_the_relevant(layout: Path) -> None:
    pairs = read_pairs(layout / "data" / "pair.parquet")
    passages, pool = pools(pairs, layout / "data" / "sample")
    assert [len(numbers) for numbers in pool] == [120, 120]
    banned = known_relevant(pairs, "infonce", drop_middle=False)
    encoder = Encoder.load(layout / "data" / "encoder")

    def mine(margin: float | None) -> np.ndarray:
        return mining.mine(lambda: encoder, "", pairs, passages, pool, banned, (3, 20), margin, Group())

    mined, level, strict = mine(None), mine(0.0), mine(0.05)
    assert mined.shape == (24, 18)
    assert (strict >= 0).sum() < (level >= 0).sum() < (mined >= 0).sum()  # 0.0 is a filter, null is none
    for query in (0, 5, 23):
        numbers = pool[pairs.query_lang[query]]
        vectors = encoder.encode([passages[number] for number in numbers], "passage").astype(np.float64)
        scores = vectors @ encoder.encode([pairs.queries[query]], "query")[0].astype(np.float64)
        worst = np.sort(scores)[::-1][2]  # rank 3
        positives = pairs.passage[(pairs.query == query) & pairs.positive]
        lowest = scores[np.searchsorted(numbers, positives)].min()
        for found, most in ((mined, worst), (level, lowest), (strict, lowest - 0.05)):
            kept = found[query][found[query] >= 0]
            assert (scores[np.searchsorted(numbers, kept)] <= most + 1e-6).all()
            assert len(set(passages.keys[kept])) == len(kept)
            assert not set(passages.keys[kept]) & set(passages.keys[banned[query]])


def test_what_was_mined_is_not_mined_again(layout: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another margin or share reads the same ranking; other ranks do not; a damaged file is made again."""
    pairs = read_pairs(layout / "data" / "pair.parquet")
    _, first = made(layout, chosen(share_mined=1.0, ranks=[2, 30]), pairs)
    loads = []
    load = Encoder.load

    def counted(*given: Any, **more: Any) -> Encoder:
        loads.append(1)
        return load(*given, **more)

    monkeypatch.setattr(Encoder, "load", counted)
    _, again = made(layout, chosen(share_mined=1.0, ranks=[2, 30]), pairs)
    np.testing.assert_array_equal(first.mined, again.mined)
    made(layout, chosen(share_mined=0.3, ranks=[2, 30], margin=0.1), pairs)
    assert not loads
    made(layout, chosen(share_mined=1.0, ranks=[2, 31]), pairs)
    assert loads == [1]
    for path in work_folder("mined").glob("*.safetensors"):
        path.write_bytes(path.read_bytes()[:50])
    _, again = made(layout, chosen(share_mined=1.0, ranks=[2, 30]), pairs)
    np.testing.assert_array_equal(first.mined, again.mined)
    assert loads == [1, 1]


@pytest.mark.parametrize("share", [0.0, 0.5, 1.0])
def test_the_share_of_mined_ones(layout: Path, share: float) -> None:
    pairs = read_pairs(layout / "data" / "pair.parquet")
    settings = chosen(share_mined=share, ranks=[2, 30])
    passages, explicit = made(layout, settings, pairs)
    total = Counts()
    for row in range(24):
        for epoch in range(8):
            drawn, counts = explicit.draw(row, row, epoch, NONE)
            assert list(drawn) == list(explicit.draw(row, row, epoch, NONE)[0])
            assert len(set(passages.keys[drawn])) == len(drawn) == 3
            assert not set(passages.keys[drawn]) & set(passages.keys[explicit.banned[row]])
            assert set(drawn) <= set(explicit.pool[pairs.query_lang[row]])
            assert set(drawn[: counts.mined]) <= set(explicit.mined[row])
            total = total.plus(counts)
    assert (total.below_tau, total.drawn, total.asked) == (0, 576, 576)
    assert total.mined == total.wanted
    assert total.mined / total.drawn == pytest.approx(share, abs=0.05 * (0 < share < 1))
    batch = setup.source(settings, pairs, 3, (passages, explicit)).batch(np.arange(4), 0, 1)
    assert (np.bincount(batch.row) == 4).all()
    assert (batch.positive.sum(), batch.pairs, batch.counts.drawn) == (4, 4, 12)


def test_a_shortfall_is_counted_and_said(layout: Path) -> None:
    pairs = read_pairs(layout / "data" / "pair.parquet")
    _, explicit = made(layout, chosen(share_mined=1.0, ranks=[2, 3]), pairs)  # three wanted of a window of two
    have = (explicit.mined >= 0).sum(1)
    for row in range(24):
        counts = explicit.draw(row, row, 0, NONE)[1]
        assert (counts.mined, counts.wanted, counts.drawn) == (have[row], 3, 3)
    assert setup.shortfall(explicit.mined, 3).endswith(
        "0 of 24 queries have 3, random ones stand in for those of the other 24: widen negatives.ranks"
    )
    assert setup.shortfall(np.zeros((2, 3), int), 3).endswith("3.0 negatives a query; 2 of 2 queries have 3")


@pytest.mark.parametrize("share", [0.0, 1.0])
def test_those_below_tau_come_first_and_the_middle_can_be_left_out(layout: Path, share: float) -> None:
    pairs = read_pairs(layout / "data" / "pair.parquet")
    for drop in (False, True):
        settings = chosen(share_mined=share, ranks=[1, 40], use_below_tau=True, drop_middle=drop)
        passages, explicit = made(layout, settings, pairs)
        for query in range(len(pairs.queries)):
            mine = pairs.query == query
            low = pairs.passage[mine & (pairs.grade < (1 if drop else 2))]
            banned = {int(value) for value in passages.keys[explicit.banned[query]]}
            low = [number for number in low if int(passages.keys[number]) not in banned]
            drawn, counts = explicit.draw(query, query, 1, NONE)
            assert sorted(drawn[: counts.below_tau]) == sorted(low)
            assert counts.wanted == share * (3 - len(low))
            if drop:
                assert not set(drawn) & set(pairs.passage[mine & (pairs.grade > 0)])
    every = below_tau(pairs, drop_middle=False)
    assert sorted(every[0]) == sorted(pairs.passage[(pairs.query == 0) & (pairs.grade < 2)])


def test_no_text_of_a_positive_and_under_bixse_no_graded_passage(tmp_path: Path, layout: Path) -> None:
    """A passage below tau has the text of a positive under another id; the window of ranks holds two equal texts."""
    rows = training.pairs(4, ("fi",))
    text = rows[0][6]
    rows = [(*row[:6], text) if row[1] == "fi-q0" and row[3] == 0 else row for row in rows]
    training.write(tmp_path, rows)
    sample = [(f"fi-d{number}", "", training.passage("fi", number % 40)) for number in range(120)]
    table.write_rows(tmp_path / "data" / "sample" / "fi.parquet", table.PASSAGES, sample)
    pairs = read_pairs(tmp_path / "data" / "pair.parquet")
    graded = {int(number) for number in pairs.passage[(pairs.query == 0) & (pairs.grade > 0)]}
    for objective in ("infonce", "bixse"):
        settings = chosen(objective, per_query=8, share_mined=0.5, ranks=[1, 60], use_below_tau=True)
        explicit = made(layout, settings, pairs, tmp_path / "data" / "sample")
        passages, negatives = explicit
        source = setup.source(settings, pairs, 3, explicit)
        for row in np.flatnonzero(source.rows.query == 0):
            batch = source.batch(np.array([row]), 0, 1)
            texts = passages.keys[batch.passage]
            assert key(text) not in texts[1:]  # the first is the row's own pair
            assert len(set(texts)) == len(texts) == 9
            if objective == "bixse":
                assert not set(batch.passage[1:]) & graded
        found = negatives.mined[0][negatives.mined[0] >= 0]
        assert len(set(passages.keys[found])) == len(found) > 8


def test_texts_are_numbered_once(layout: Path) -> None:
    pairs = read_pairs(layout / "data" / "pair.parquet")
    passages, _ = pools(pairs, layout / "data" / "sample")
    assert len(passages) == len(set(zip(passages.ids.tolist(), range(len(passages)), strict=True)))
    assert passages.keys[3] == key(passages[3])
    assert len(passages) - len(pairs.passages) == sum(
        f"{lang}-d{number}" not in {name for _, name in pairs.doc_ids} for lang in ("fi", "ar") for number in range(120)
    )


@pytest.mark.parametrize("parallel", [False, True])
def test_ids_count_within_a_language_or_in_all_of_a_parallel_corpus(
    layout: Path, tmp_path: Path, parallel: bool
) -> None:
    rows = [(row[0], row[1].partition("-")[2], row[2].partition("-")[2], *row[3:]) for row in training.pairs(3)]
    table.write_rows(tmp_path / "pair.parquet", training.PAIRS, rows)
    for lang in ("fi", "ar"):
        sample = [(f"d{number}", "", training.passage(lang, number)) for number in range(20)]
        table.write_rows(tmp_path / "sample" / f"{lang}.parquet", table.PASSAGES, sample)
    pairs = read_pairs(tmp_path / "pair.parquet", parallel=parallel)
    passages, _ = pools(pairs, tmp_path / "sample")
    for texts in (pairs.queries, passages):
        assert (len(set(texts.ids)) == len(texts)) is not parallel
    settings = Settings.model_validate({"parallel_ids": parallel})
    source = setup.source(settings, pairs, 3)
    rows_of = [int(np.flatnonzero(source.rows.lang == lang)[0]) for lang in (0, 1)]
    batch = source.batch(np.array(rows_of), 0, 1)
    _, masks = build(*source.keys(batch, 0, torch.device("cpu")), mask=True)
    assert masks.allowed.tolist() == [[True, not parallel], [not parallel, True]]
