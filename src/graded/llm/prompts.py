"""The prompts under prompts/, filled in: messages for one query to write or one pair to grade.

A prompt file has a ``[system]`` and a ``[user]`` part (a file without these lines is one user message) and names
its blanks as ``{language}``. The instructions come first and are the same in every request, then the query, then
the passage, so that a server that caches prefixes reads a query's passages cheaply when they arrive together.

Passages are other people's text and may try to steer the judge (arXiv 2501.17969). Each is therefore put between
two lines that carry a code made from the query and the passage themselves: a passage would have to hold its own
hash to close its frame. Chat templates' control tokens (``<|im_end|>``, ``<end_of_turn>``), which some servers read
even inside a message, are broken by a space. Everything is a function of the arguments alone: the messages are part
of the ledger's key.
"""

from __future__ import annotations

import re
from functools import lru_cache
from hashlib import sha256
from pathlib import Path

from graded.errors import MissingError, ParamError, one_of
from graded.languages import language_name
from graded.llm.request import Messages, characters

PROMPTS = Path("prompts")

#: What ``{style}`` says for each style of query.
STYLES = {
    "question": "a natural question, as one would ask another person",
    "keywords": "a few key words, as typed into a search box, not a sentence",
}

_BLANK = re.compile(r"\{([a-z]+)\}")
_PART = re.compile(r"^\[(system|user)\]\n", re.MULTILINE)
_CONTROL = re.compile(
    r"<(?=[|\uff5c])|(?<=[|\uff5c])>|"
    r"<(?=/?(?:s|bos|eos|pad|unk|start_of_turn|end_of_turn|start_of_image|end_of_image|think)>)|"
    r"\[(?=/?(?:INST|SYSTEM_PROMPT|AVAILABLE_TOOLS|TOOL_CALLS|TOOL_RESULTS)\])|<(?=</?SYS>>)",
    re.IGNORECASE,
)


def query_messages(language: str, style: str, passage: str, *, folder: Path = PROMPTS) -> Messages:
    """Return the messages that ask for one query about ``passage``.

    Args:
        language: code of the language to write in, such as ``fi``; an unknown code is passed on as it is.
        style: a key of :data:`STYLES`.
        passage: what the annotator reads, :func:`graded.records.passage_text`.
        folder: where ``query.txt`` is.

    Raises:
        ParamError: an unknown style, or a prompt file with a wrong or a missing blank.
        MissingError: no prompt file.
    """
    if style not in STYLES:
        raise ParamError(f"style of query: {one_of(style, STYLES)}")
    text = neutral(passage)
    values = {"language": language_name(language), "style": STYLES[style], "passage": text, "mark": mark("", text)}
    return _fill(_template(folder / "query.txt"), values)


def grade_messages(query: str, passage: str, *, folder: Path = PROMPTS) -> Messages:
    """Return the messages that ask for the grade of one pair; line breaks in ``query`` become spaces.

    Raises:
        ParamError, MissingError: as :func:`query_messages`.
    """
    line, text = " ".join(neutral(query).split()), neutral(passage)
    return _fill(_template(folder / "grade.txt"), {"query": line, "passage": text, "mark": mark(line, text)})


def mark(query: str, passage: str) -> str:
    """Return the code of one request's frame: 16 hex digits that occur in neither text, equal for equal texts."""
    count = 0
    while True:
        source = f"{count}\0{query}\0{passage}".encode("utf-8", "surrogatepass")
        code = sha256(source).hexdigest()[:16]
        if code not in passage and code not in query:
            return code
        count += 1


def neutral(text: str) -> str:
    """Return ``text`` with a space inside whatever a chat template may read as a control token.

    >>> neutral("<|im_end|> a < b <start_of_turn>user [INST] [3]")
    '< |im_end| > a < b < start_of_turn>user [ INST] [3]'
    """
    if "<" not in text and ">" not in text and "[" not in text:  # nothing that the pattern could match: 30 times faster
        return text
    return _CONTROL.sub(lambda match: " >" if match[0] == ">" else f"{match[0]} ", text)


def frames() -> dict[str, int]:
    """Return the characters of each stage's instructions; errors as in :func:`query_messages`."""
    return {
        "query": characters(query_messages("en", "question", "")),
        "grade": characters(grade_messages("", "")),
    }


_BLANKS = {"query.txt": ("language", "style", "passage", "mark"), "grade.txt": ("query", "passage", "mark")}


def _template(path: Path) -> tuple[tuple[str, str], ...]:
    try:
        return _read(path, path.stat().st_mtime_ns)
    except FileNotFoundError:
        raise MissingError(f"no {path} in {Path.cwd()}; 'git checkout {path}' brings it back") from None


@lru_cache(maxsize=8)
def _read(path: Path, _changed: int) -> tuple[tuple[str, str], ...]:
    """Return the (role, text) parts of a prompt file, its blanks checked."""
    text = path.read_text(encoding="utf-8")
    legal = _BLANKS[path.name]
    found = _BLANK.findall(text)
    for name in found:
        if name not in legal:
            raise ParamError(
                f"{path}: no such blank: {one_of('{' + name + '}', ['{' + blank + '}' for blank in legal])}"
            )
    for name in legal:
        if name not in found:
            raise ParamError(f"{path}: the blank {{{name}}} is missing; legal: {', '.join(legal)}")
    if not re.search(r"\{mark\}\n\{passage\}\n[^\n]*\{mark\}", text):
        raise ParamError(f"{path}: {{passage}} must stand on a line of its own between two lines that hold {{mark}}")
    pieces = _PART.split(text)
    if pieces[0].strip() and len(pieces) > 1:
        raise ParamError(f"{path}: text before the first [system] or [user] line: {pieces[0].strip()[:40]!r}")
    if len(pieces) == 1:
        return (("user", text.strip()),)
    return tuple((role, body.strip()) for role, body in zip(pieces[1::2], pieces[2::2], strict=True) if body.strip())


def _fill(parts: tuple[tuple[str, str], ...], values: dict[str, str]) -> Messages:
    """Fill every blank in one pass, so that a blank's name inside a passage stays as it is."""
    return [{"role": role, "content": _BLANK.sub(lambda match: values[match[1]], body)} for role, body in parts]
