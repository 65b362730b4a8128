"""/v1/files and /v1/batches: every status, and what goes wrong with them."""

from __future__ import annotations

import json
import random
import re
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from tests.standin.http import Request, Response

#: What becomes of one line: (answered with HTTP status, body), or None where the batch ended before it.
Line = Callable[[dict[str, Any]], tuple[int, dict[str, Any]]]


@dataclass(frozen=True)
class Plan:
    """How one batch goes.

    ``statuses`` are shown in turn, one a retrieval, the last one for good; ``done`` is the share of lines that get
    an answer before the end; ``no_output`` leaves the output file out at ``completed``; ``repeated`` lines come
    twice; ``errors`` are the messages of a batch that failed validation.
    """

    statuses: tuple[str, ...] = ("validating", "in_progress", "finalizing", "completed")
    done: float = 1.0
    no_output: bool = False
    repeated: int = 0
    errors: tuple[str, ...] = ()
    seed: int = 0


@dataclass
class _Batch:
    fields: dict[str, Any]
    plan: Plan
    step: int = 0
    lines: list[dict[str, Any]] = field(default_factory=list)


TERMINAL = ("completed", "failed", "expired", "cancelled")


class Batches:
    """The files and batches of one stand-in; ``plans`` are taken by new batches in turn, then ``plan``."""

    def __init__(self, line: Line) -> None:
        self.line = line
        self.plan = Plan()
        self.plans: deque[Plan] = deque()
        #: Statuses that an uploaded file goes through, one an upload or look; none: it is processed at once.
        self.checks: deque[str] = deque()
        self.files: dict[str, tuple[dict[str, Any], bytes]] = {}
        self.batches: dict[str, _Batch] = {}

    def handle(self, request: Request, parts: list[str]) -> Response:
        """Answer a request for ``parts``, the path from ``files`` or ``batches`` on."""
        match (request.method, *parts):
            case ("POST", "files"):
                return self._upload(request)
            case ("GET", "files"):
                return _page([fields for fields, _ in self.files.values()], request)
            case ("GET", "files", name) if name in self.files:
                return self._look(name)
            case ("GET", "files", name, "content") if name in self.files:
                return Response(200, self.files[name][1], kind="application/octet-stream")
            case ("DELETE", "files", name) if name in self.files:
                del self.files[name]
                return Response.of({"id": name, "object": "file", "deleted": True})
            case ("POST", "batches"):
                return self._create(json.loads(request.body))
            case ("GET", "batches"):
                return _page([batch.fields for batch in reversed(self.batches.values())], request)
            case ("GET", "batches", name) if name in self.batches:
                return Response.of(self._advance(self.batches[name]))
            case ("POST", "batches", name, "cancel") if name in self.batches:
                return Response.of(self._cancel(self.batches[name]))
        return _error(404, f"No such object: {'/'.join(parts)}")

    def _upload(self, request: Request) -> Response:
        boundary = re.search(r"boundary=\"?([^\";]+)", request.headers.get("content-type", ""))
        if not boundary:
            return _error(400, "expected multipart/form-data")
        found: dict[str, tuple[str, bytes]] = {}
        for piece in request.body.split(b"--" + boundary[1].encode())[1:-1]:
            head, _, content = piece.partition(b"\r\n\r\n")
            names = dict(re.findall(r'(\w+)="([^"]*)"', head.decode("latin-1")))
            found[names["name"]] = (names.get("filename", ""), content.removesuffix(b"\r\n"))
        if "file" not in found or found.get("purpose", ("", b""))[1] != b"batch":
            return _error(400, "expected a file with purpose batch")
        return self._look(str(self._store(*found["file"])["id"]))

    def _store(self, name: str, content: bytes, purpose: str = "batch") -> dict[str, Any]:
        fields = {"id": f"file-{len(self.files) + 1:06}", "object": "file", "bytes": len(content), "purpose": purpose}
        fields |= {"created_at": int(time.time()), "filename": name, "status": "processed"}
        self.files[fields["id"]] = (fields, content)  # type: ignore[index]
        return fields

    def _look(self, name: str) -> Response:
        """Show a file: one of purpose batch with the next of ``checks`` as its status, while there is one."""
        fields = self.files[name][0]
        if fields["purpose"] == "batch" and self.checks:
            fields["status"] = self.checks.popleft()
        return Response.of(fields)

    def _create(self, body: dict[str, Any]) -> Response:
        if body["input_file_id"] not in self.files:
            return _error(400, f"Invalid input_file_id: {body['input_file_id']}")
        lines = [json.loads(line) for line in self.files[body["input_file_id"]][1].splitlines() if line.strip()]
        plan = self.plans.popleft() if self.plans else self.plan
        name = f"batch_{len(self.batches) + 1:06}"
        fields = {
            "id": name, "object": "batch", "endpoint": body["endpoint"], "input_file_id": body["input_file_id"],
            "completion_window": body["completion_window"], "status": plan.statuses[0], "errors": None,
            "output_file_id": None, "error_file_id": None, "created_at": int(time.time()),
            "metadata": body.get("metadata"), "request_counts": {"total": len(lines), "completed": 0, "failed": 0},
        }  # fmt: skip
        self.batches[name] = _Batch(fields, plan, lines=lines)
        if plan.statuses[0] in TERMINAL:
            self._finish(self.batches[name])
        return Response.of(fields)

    def _advance(self, batch: _Batch) -> dict[str, Any]:
        if batch.fields["status"] not in TERMINAL and batch.step + 1 < len(batch.plan.statuses):
            batch.step += 1
            batch.fields["status"] = batch.plan.statuses[batch.step]
            if batch.fields["status"] in TERMINAL:
                self._finish(batch)
        return batch.fields

    def _cancel(self, batch: _Batch) -> dict[str, Any]:
        if batch.fields["status"] not in TERMINAL:
            batch.plan = Plan(("cancelling", "cancelled"), batch.plan.done, seed=batch.plan.seed)
            batch.step, batch.fields["status"] = 0, "cancelling"
        return batch.fields

    def _finish(self, batch: _Batch) -> None:
        plan, status = batch.plan, batch.fields["status"]
        if status == "failed":
            data = [{"code": "invalid", "message": text, "line": None, "param": None} for text in plan.errors]
            batch.fields["errors"] = {"object": "list", "data": data}
            return
        order = random.Random(plan.seed).sample(batch.lines, len(batch.lines))
        done = round(plan.done * len(order))
        good: list[str] = []
        bad: list[str] = []
        for line in order[:done]:
            code, body = self.line(line["body"])
            text = json.dumps(_output(line, {"status_code": code, "request_id": "r", "body": body}, None))
            (good if code == 200 else bad).append(text)
        cause = {"code": f"batch_{status}", "message": f"This request was not run: the batch was {status}."}
        bad += [json.dumps(_output(line, None, cause)) for line in order[done:]]
        good += good[: plan.repeated]
        counts = {"total": len(order), "completed": len(good) - min(plan.repeated, len(good)), "failed": len(bad)}
        batch.fields["request_counts"] = counts
        if good and not plan.no_output:
            output = self._store("output.jsonl", "\n".join(good).encode() + b"\n", "batch_output")
            batch.fields["output_file_id"] = output["id"]
        if bad:
            errors = self._store("errors.jsonl", "\n".join(bad).encode() + b"\n", "batch_output")
            batch.fields["error_file_id"] = errors["id"]


def _output(line: dict[str, Any], response: dict[str, Any] | None, error: dict[str, Any] | None) -> dict[str, Any]:
    return {"id": "batch_req", "custom_id": line["custom_id"], "response": response, "error": error}


def _page(items: list[dict[str, Any]], request: Request) -> Response:
    limit = int(request.query.get("limit", 20))
    names = [item["id"] for item in items]
    start = names.index(request.query["after"]) + 1 if request.query.get("after") in names else 0
    page = items[start : start + limit]
    ends = {"first_id": page[0]["id"] if page else None, "last_id": page[-1]["id"] if page else None}
    return Response.of({"object": "list", "data": page, "has_more": start + limit < len(items), **ends})


def _error(status: int, message: str) -> Response:
    return Response.of({"error": {"message": message, "type": "invalid_request_error", "code": None}}, status)
