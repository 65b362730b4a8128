"""Corpora and benchmarks: each source yields passages, queries and qrels."""
