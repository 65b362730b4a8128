"""Encoding, objectives, negatives, search and measures: the only code that uses torch, faiss and ranx."""
