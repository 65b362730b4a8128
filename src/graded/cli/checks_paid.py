"""The checks of `graded doctor` that are about money: the ledger, the keys, the budget."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from graded import params
from graded.cli.checks import Finding
from graded.errors import GradedError, MissingError, many
from graded.repository import git_says

if TYPE_CHECKING:
    from graded.llm.request import Model

#: Before anything is bought.
ESTIMATE = "dvc repro sample; graded estimate"


def ledger(root: Path) -> Iterator[Finding]:
    """The ledger: the team's snapshot is here, nothing is damaged, no batch waits to be taken in."""
    from graded.llm.ledger import Ledger

    name = "data/ledger.dvc"
    if not (root / name).exists() and git_says(root, "cat-file", "-e", f"HEAD:./{name}") is not None:
        yield Finding("fail", "ledger", f"{name} is in the last commit and not here", f"git checkout HEAD -- {name}")
        return
    found = Ledger(root)
    try:
        found.store.check_snapshot()
    except MissingError as error:
        yield Finding("fail", "ledger", str(error).partition("; run")[0], "graded ledger pull")
        return
    state, damaged = found.state, found.store.damage()
    if damaged:
        yield Finding("fail", "ledger", f"{many(len(damaged), 'damaged file')}", "graded ledger verify --repair")
        return
    for why in state.pending.damaged.values():
        yield Finding("fail", "ledger", why.partition(";")[0], "graded batches")
        return
    batches = len(state.pending.folders())
    if batches:
        yield Finding("warn", "ledger", f"{many(batches, 'batch', 'are')} under way", "graded batches")
        return
    spent = f"${state.paid:,.2f} paid by this clone, ${state.lost + state.reserved:,.2f} possibly paid or reserved"
    yield Finding("ok", "ledger", f"{many(len(state.known), 'reply')}; {spent}")


def asked(root: Path) -> dict[str, Model]:
    """Return the models of params.yaml that replies are bought from, by where they stand.

    Raises:
        ParamError: their sections are not legal.
    """
    from graded.stages import grade, query

    path = root / "params.yaml"
    chosen = params.section("grade", grade.Params, path).annotators
    models: dict[str, Model] = {"query": params.section("query", query.Params, path)}
    models |= {name: chosen[name] for name in params.shared("annotators", path) if name in chosen}
    return {place: model for place, model in models.items() if model.family != "recorded"}


def keys(root: Path) -> Iterator[Finding]:
    """Whether the variable of each model's key is set; its value is nobody's business."""
    from graded.llm.client import key_name

    models = asked(root)
    names: dict[str, list[str]] = {}
    for place, model in models.items():
        names.setdefault(key_name(model), []).append(place)
    if not names:
        yield Finding("ok", "key", "none is needed: every model of params.yaml is recorded in the ledger")
    for name, places in names.items():
        who = ", ".join(places)
        own = all(models[place].family == "vllm" for place in places)
        if os.environ.get(name) or (name == "AZURE_OPENAI_API_KEY" and os.environ.get("AZURE_OPENAI_AD_TOKEN")):
            yield Finding("ok", "key", f"{name} is set, for {who}")
        elif own:
            yield Finding("ok", "key", f"{name} is not set; the own server of {who} may do without")
        else:
            yield Finding("warn", "key", f"{name} is not set: nothing can be bought from {who}", f"export {name}=...")


def budget(root: Path) -> Iterator[Finding]:
    """GRADED_BUDGET_USD, and what is left of it."""
    from graded.llm.ledger import spent
    from graded.llm.procure import cap

    try:
        dollars = cap()
    except GradedError as error:
        yield Finding("fail", "budget", str(error), "unset GRADED_BUDGET_USD")
        return
    if not dollars:
        if asked(root):
            text = "GRADED_BUDGET_USD is not set: nothing can be bought"
            yield Finding("warn", "budget", text, ESTIMATE)
        else:
            yield Finding("ok", "budget", "GRADED_BUDGET_USD is not set: nothing will be bought")
        return
    left = spent(root).room(dollars)
    if left <= 0:
        text = f"GRADED_BUDGET_USD={dollars:g} is used up; it counts all that this clone ever spent"
        yield Finding("warn", "budget", text, "graded estimate")
    else:
        yield Finding("ok", "budget", f"GRADED_BUDGET_USD={dollars:g}, ${left:,.2f} of it left")
