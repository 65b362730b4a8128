"""Text files that somebody else wrote: gzipped or not, with or without a byte-order mark, in UTF-8 or UTF-16."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from io import TextIOWrapper
from pathlib import Path
from typing import TextIO

from graded.errors import DataError, MissingError

_MARKS = ((b"\xff\xfe", "utf-16"), (b"\xfe\xff", "utf-16"))


def kind_of(path: Path) -> str:
    """Return the ending that says what is inside, in small letters: ``.csv`` for ``Texts.CSV.gz``."""
    return Path(path.stem).suffix.lower() if path.suffix.lower() == ".gz" else path.suffix.lower()


@contextmanager
def opened(path: Path) -> Iterator[TextIO]:
    """Yield ``path`` as text, line ends as they stand.

    Raises:
        MissingError: no such file.
        DataError: a folder, damaged gzip, or broken UTF-8, also where it is read inside the block.
    """
    try:
        with gzip.open(path) if path.suffix.lower() == ".gz" else path.open("rb") as raw:
            start = raw.read(2)
            raw.seek(0)
            encoding = next((name for mark, name in _MARKS if start == mark), "utf-8-sig")
            with TextIOWrapper(raw, encoding=encoding, newline="") as text:
                yield text
    except FileNotFoundError:
        raise MissingError(f"no {path} here") from None
    except IsADirectoryError:
        raise DataError(f"{path} is a folder; expected a file") from None
    except UnicodeError as error:
        at = f"byte {error.start:,} of a block" if isinstance(error, UnicodeDecodeError) else str(error)
        raise DataError(
            f"{path}: broken UTF-8 ({at}); if it is Latin-1: iconv -f latin1 -t utf-8 {path.name} > utf8{kind_of(path)}"
        ) from None
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise DataError(f"{path}: damaged gzip ({error})") from None
