"""The `graded` command: a lazy list; a command's module is imported when the command is used."""

from __future__ import annotations

import importlib
import os
import re
import sys
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import typer
from typer.core import TyperGroup

from graded.console import run
from graded.errors import GradedError

#: What a command can end with; the pipeline's own processes end alike.
CODES = {
    0: "done",
    1: "an error that its line explains",
    2: "wrong usage",
    3: "nothing may be bought (GRADED_BUDGET_USD)",
    4: "stopped cleanly: run it again",
    130: "interrupted",
}


class UsageError(GradedError):
    """The command line is not one that graded understands."""

    exit_code = 2


class Entry(NamedTuple):
    """Where a command lives (``module:object``, a Typer app or a function), its line in the list, its exit codes."""

    target: str
    help: str
    codes: tuple[int, ...] = (0, 1, 2, 130)


BUYS = (0, 1, 2, 3, 4, 130)

COMMANDS = {
    "doctor": Entry("graded.cli.doctor:doctor", "What is ready here, what is not, and the next command."),
    "check": Entry("graded.cli.check:command", "Is params.yaml legal, every key of it? Before anything runs."),
    "ledger": Entry("graded.cli.ledger:app", "The ledger of paid replies: status, publish, pull, ..."),
    "remote": Entry("graded.cli.remote:remote", "The team's remote: set it, show it, test it."),
    "estimate": Entry("graded.cli.estimate:estimate", "What dvc repro would buy: requests, tokens, dollars."),
    "compare": Entry("graded.cli.compare:compare", "Is one run or revision better than another, beyond noise?"),
    "review": Entry("graded.cli.review:review", "What a branch does to the metrics, as a pull request's comment."),
    "fetch": Entry("graded.cli.fetch:fetch", "MIRACL or CLIRMatrix into a folder, resumed and verified."),
    "scale": Entry("graded.cli.scale:scale", "What the paper's whole grid takes: GPU-hours, GB, dollars."),
    "sweep": Entry("graded.cli.sweep:sweep", "Run a grid of experiments over DVC's queue; resumable."),
    "results": Entry("graded.cli.results:command", "Gather experiments into one tidy table, Parquet or CSV."),
    "calibrate": Entry(
        "graded.cli.calibrate:calibrate", "Find tau per language at the least training, on dev queries."
    ),
    "import": Entry("graded.cli.bring:bring", "Turn CSV, JSONL or SQuAD files into a BEIR folder."),
    "figures": Entry("graded.cli.figures:figures", "The paper's figures and tables from a results table."),
    "report": Entry("graded.cli.figures:report", "The page about this run, with the sweeps of a results table."),
    "summary": Entry("graded.cli.summary:summary", "What the last run measured, used and cost."),
    "batches": Entry("graded.cli.batches:batches", "Batches under way; takes in what has ended."),
    "probe": Entry("graded.cli.probe:probe", "Grade hostile passages: how far an annotator can be talked up.", BUYS),
    "push-model": Entry("graded.cli.push:push_model", "The trained model's folder to the Hugging Face hub."),
    "profile": Entry("graded.cli.profile:profile", "Lay a profile (paper, small, own-data) over params.yaml."),
}


WIDEST = max(map(len, COMMANDS))
GROUPS = {
    "Begin": ("doctor", "check", "profile", "import", "fetch"),
    "Buy": ("estimate", "ledger", "batches", "probe"),
    "Experiment": ("sweep", "calibrate", "results", "compare", "summary", "scale"),
    "Show and share": ("report", "figures", "review", "remote", "push-model"),
}


def grouped() -> dict[str, list[str]]:
    """Return the commands by what they are for; one without a group stands at the end."""
    found = {title: [name for name in names if name in COMMANDS] for title, names in GROUPS.items()}
    rest = [name for name in COMMANDS if not any(name in names for names in found.values())]
    return found | ({"More": rest} if rest else {})


class Lazy(TyperGroup):
    """A group that knows its commands' names and help without importing them."""

    def list_commands(self, ctx: Any) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        if cmd_name not in COMMANDS:
            return None
        module, _, name = COMMANDS[cmd_name].target.partition(":")
        found = getattr(importlib.import_module(module), name)
        if not isinstance(found, typer.Typer):
            wrapped = typer.Typer(add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False)
            wrapped.command(name=cmd_name)(found)
            found = wrapped
        command: Any = typer.main.get_command(found)
        command.name = cmd_name
        for one in (command, *getattr(command, "commands", {}).values()):
            one.help = re.sub(r"^Example: ", "\b\nExample: ", one.help or "", flags=re.MULTILINE)
            one.epilog = "Exit codes: " + ", ".join(f"{code} {CODES[code]}" for code in COMMANDS[cmd_name].codes) + "."
        return command

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        if args[0] not in COMMANDS and not args[0].startswith("-") and not ctx.resilient_parsing:
            raise UsageError(no_command(args[0]))
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        for title, names in grouped().items():
            with formatter.section(title):
                formatter.write_dl([(name.ljust(WIDEST), COMMANDS[name].help) for name in names])


def no_command(name: str) -> str:
    """Say what to type instead of ``name``: the nearest command, or DVC's where a stage was named."""
    from graded.params import SECTIONS

    near = get_close_matches(name, COMMANDS, n=1)
    if name in SECTIONS:
        hint = f"a stage is run by DVC: dvc repro {name}"
    else:
        hint = f"did you mean: graded {near[0]}" if near else "the list: graded --help"
    return f"there is no command {name[:40]!r}; {hint}"


app = typer.Typer(
    cls=Lazy,
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)


def _version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        typer.echo(f"graded {version('graded')}")
        raise typer.Exit


@app.callback()
def group(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    """Graded relevance data, a calibrated threshold tau, a fine-tuned multilingual dense retriever.

    The pipeline itself is DVC's: dvc repro, dvc exp run -S tau=3, dvc metrics diff.

    Exit codes: 0 done, 1 an error that its line explains, 2 wrong usage, 3 nothing may be bought
    (GRADED_BUDGET_USD), 4 stopped cleanly: run it again, 130 interrupted.
    """


#: Base of what Typer raises at a wrong option or argument; it has no public name.
_WRONG: Any = typer.BadParameter.__mro__[1]


def main() -> None:
    """Run the command line; the package's own errors and wrong usage become one line and their exit code."""
    run(_command_line)


def _command_line() -> None:
    # dvc and the pipeline's python stand beside this interpreter, whether or not its environment is the active one.
    os.environ["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)])
    try:
        code = app(standalone_mode=False)
    except typer.Abort:
        raise KeyboardInterrupt from None
    except _WRONG as error:
        if type(error).__name__ == "NoArgsIsHelpError":
            error.show()
            raise SystemExit(UsageError.exit_code) from None
        path = error.ctx.command_path if error.ctx else "graded"
        where = path.partition(" ")[2] + ": " * (path != "graded")
        text = " ".join(error.format_message().split()).rstrip(".?")
        raise UsageError(f"{where}{text[:1].lower()}{text[1:]}; see: {path} --help") from None
    raise SystemExit(code if isinstance(code, int) else 0)
