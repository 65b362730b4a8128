"""A stand-in for an OpenAI-compatible API: a real HTTP server on loopback that can be told what to answer and to fail.

    with StandIn(latency=0.01, faults=Faults({"rate": 0.05, "torn": 0.01})) as server:
        ... OpenAI(base_url=server.base_url, api_key="any") ...
        server.counts.requests[key]

``python -m tests.standin --port 8123`` runs it in a process of its own (see ``--help``); GET /stand-in/counts there
gives the same counts as JSON. It speaks /v1/chat/completions, /v1/files and /v1/batches, and Azure's
/openai/deployments/<name>/... paths.
"""

from __future__ import annotations

from tests.standin.batches import Batches, Plan
from tests.standin.chat import answer, key_of, pair_of, table
from tests.standin.counts import Counts
from tests.standin.faults import Faults
from tests.standin.server import StandIn

__all__ = ["Batches", "Counts", "Faults", "Plan", "StandIn", "answer", "key_of", "pair_of", "table"]
