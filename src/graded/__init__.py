"""Graded relevance for multilingual dense retrieval."""
