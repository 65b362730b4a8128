"""The tidy results table: one row per experiment x set x direction x system x metric.

Two files. ``RESULTS`` holds means, intervals and the settings they came from; ``SCORES`` beside it holds the values
of the single queries, so that any two experiments can be compared on the same queries. `graded results` writes them
(Parquet, or CSV by the file's name), `graded figures` and the page read them.

A setting that an experiment does not have is null: no second language, no size limit, an objective without mined
negatives. A row of the base encoder stands once per experiment that evaluated it.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from graded.errors import DataError, MissingError, flat, one_of
from graded.formats import atomic, table

#: column -> (type, may be null, what it holds)
COLUMNS: dict[str, tuple[pa.DataType, bool, str]] = {
    "experiment": (pa.string(), False, "Name of the DVC experiment, branch or tag; `workspace` for the files here."),
    "commit": (pa.string(), True, "Git commit of the experiment, 40 hex digits; null for uncommitted files."),
    "baseline": (pa.string(), True, "Git commit that the experiment was started from."),
    "sweep": (pa.string(), True, "Name of the sweep that queued it, such as figure5."),
    "tau": (pa.string(), False, "tau as canonical text: `2`, `1.5`, or `default=2,fi=1` with languages sorted."),
    "tau_target": (pa.float64(), False, "tau of the target language; where target is `all`, of the row's query_lang."),
    "tau_extra": (pa.float64(), True, "tau of the second language of the mixture."),
    "target": (pa.string(), False, "pair.target: `all`, or the language trained on."),
    "size": (pa.int64(), True, "pair.size of the target; null takes all graded pairs."),
    "count": (pa.string(), False, "What size counts: `pairs` (graded, before tau) or `positives`."),
    "extra": (pa.string(), True, "Second language of the mixture."),
    "extra_size": (pa.int64(), True, "Its size."),
    "encoder": (pa.string(), False, "Base encoder, as data/encoder/encoder.json names it."),
    "annotator": (pa.string(), False, "Whose grades trained: an annotator, or mean, min, max, agree."),
    "objective": (pa.string(), False, "Training objective: infonce, bixse, jointlh, ..."),
    "share_mined": (pa.float64(), True, "Share of mined among the explicit negatives, 0 to 1; null without them."),
    "recipe": (pa.string(), True, "How long it trained, and a hash of all params not above that decide a result."),
    "epochs": (pa.int64(), True, "train.epochs; null where the budget is steps."),
    "batch_size": (pa.int64(), True, "Rows of a step."),
    "learning_rate": (pa.float64(), True, "AdamW's peak."),
    "warmup_ratio": (pa.float64(), True, "Share of the steps over which it rises."),
    "lora_rank": (pa.int64(), True, "0 trains all weights."),
    "seed": (pa.int64(), False, "Seed of the run."),
    "set": (pa.string(), False, "Benchmark."),
    "role": (pa.string(), False, "`test`, or `dev` for what decisions may look at, by the experiment's params."),
    "query_lang": (pa.string(), False, "Language of the queries."),
    "doc_lang": (pa.string(), False, "Language of the passages."),
    "system": (pa.string(), False, "`tuned`, `base`, or another baseline such as `bm25`."),
    "metric": (pa.string(), False, "nDCG@10, MRR@10, recall@100, ..."),
    "value": (pa.float64(), False, "Mean over the queries."),
    "low": (pa.float64(), True, "Lower end of the value's 95% bootstrap interval over queries."),
    "high": (pa.float64(), True, "Upper end."),
    "difference": (pa.float64(), True, "Mean of (this system - base) over the same queries; null for the base."),
    "difference_low": (pa.float64(), True, "Lower end of its paired 95% bootstrap interval."),
    "difference_high": (pa.float64(), True, "Upper end."),
    "p": (pa.float64(), True, "Of the paired randomisation test against the base."),
    "queries": (pa.int64(), False, "Queries behind the value."),
    "train_pairs": (pa.int64(), True, "Graded pairs that training read (data/pair.parquet), all languages."),
    "train_positives": (pa.int64(), True, "Of them positives at tau."),
    "steps": (pa.int64(), True, "Optimiser steps."),
    "seconds": (pa.float64(), True, "Wall time of training."),
}

RESULTS = pa.schema([pa.field(name, kind, nullable=null) for name, (kind, null, _) in COLUMNS.items()])

#: What names one row of RESULTS.
KEY = ("experiment", "set", "query_lang", "doc_lang", "system", "metric")

#: Values of single queries; `experiment` as in RESULTS. Rows of base stand once per experiment that evaluated it.
SCORES = pa.schema(
    [pa.field(name, pa.string(), nullable=False) for name in (*KEY, "query_id")]
    + [pa.field("value", pa.float64(), nullable=False)]
)


def write(path: Path, rows: Iterable[Mapping[str, Any]], schema: pa.Schema = RESULTS) -> int:
    """Write rows as Parquet, or as CSV where ``path`` ends in .csv; absent columns are null. Returns how many.

    Raises:
        DataError: a row has an unknown column, lacks a value that may not be null, or holds one of another type.
    """
    iterator = iter(rows)
    batches = (_batch(group, schema) for group in iter(lambda: list(islice(iterator, table.GROUP)), []))
    if path.suffix == ".csv":
        from pyarrow import csv

        whole = pa.Table.from_batches(list(batches), schema)
        with atomic.atomic(path) as temporary:
            csv.write_csv(whole, temporary)
        return int(whole.num_rows)
    count = 0
    with atomic.atomic(path) as temporary, pq.ParquetWriter(temporary, schema, compression="zstd") as writer:
        for batch in batches:
            writer.write_batch(batch)
            count += batch.num_rows
    return count


def read(path: Path, schema: pa.Schema = RESULTS) -> list[dict[str, Any]]:
    """Return the rows of a file that :func:`write` made, Parquet or CSV.

    Raises:
        MissingError: no such file.
        DataError: a column is missing, or a value is of another type.
    """
    if not path.is_file():
        raise MissingError(f"no {path} here; 'graded results --out {path}' makes it")
    if path.suffix == ".csv":
        from pyarrow import csv

        options = csv.ConvertOptions(
            column_types=schema,
            include_columns=schema.names,
            strings_can_be_null=True,
            quoted_strings_can_be_null=False,
        )
        try:
            return csv.read_csv(path, convert_options=options).to_pylist()
        except (pa.ArrowInvalid, pa.ArrowKeyError) as error:
            raise DataError(f"{path} is no results table ({flat(error)}); run 'graded results'") from None
    with table.open_parquet(path) as file:
        for name in schema.names:
            if name not in file.schema_arrow.names:
                raise DataError(f"{path} has no column {name!r}; 'graded results --out {path}' writes it anew")
        return file.read(columns=schema.names).to_pylist()


def _batch(rows: Sequence[Mapping[str, Any]], schema: pa.Schema) -> pa.RecordBatch:
    columns = []
    for name in set().union(*rows) - set(schema.names):
        raise DataError(f"results: column {one_of(name, schema.names)}")
    for field in schema:
        values = [row.get(field.name) for row in rows]
        if not field.nullable and None in values:
            row = rows[values.index(None)]
            raise DataError(f"results: {field.name!r} may not be null in {json.dumps(dict(row), default=str)}")
        try:
            columns.append(pa.array(values, field.type))
        except (pa.ArrowInvalid, pa.ArrowTypeError) as error:
            raise DataError(f"results: {field.name} received {_culprit(values, field.type)!r}: {error}") from None
    return pa.RecordBatch.from_arrays(columns, schema=schema)


def _culprit(values: Sequence[Any], kind: pa.DataType) -> Any:
    """Return the first value that is not of the type."""
    for value in values:
        try:
            pa.scalar(value, kind)
        except (pa.ArrowInvalid, pa.ArrowTypeError):
            return value
    return None
