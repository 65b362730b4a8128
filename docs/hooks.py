"""MkDocs' hook: pages that are made rather than kept, so that they cannot go stale.

The reference comes from the code; the README, CHANGELOG, CONTRIBUTING, LOG and the sample's page stand in the
repository's root, where they are read first, and their links are turned to the site's pages.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from mkdocs.structure.files import File

from docs.reference import PAGES, ROOT

if TYPE_CHECKING:
    from mkdocs.config.defaults import MkDocsConfig
    from mkdocs.structure.files import Files

#: Pages of the repository outside docs/, by their name on the site.
KEPT = {
    "index.md": "README.md",
    "changelog.md": "CHANGELOG.md",
    "contributing.md": "CONTRIBUTING.md",
    "log.md": "LOG.md",
    "sample.md": "sample/README.md",
}


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages that are not in docs/."""
    for page, path in KEPT.items():
        files.append(File.generated(config, page, content=turned((ROOT / path).read_text(encoding="utf-8"))))
    for name, make in PAGES.items():
        files.append(File.generated(config, f"reference/{name}.md", content=make()))
    return files


def turned(text: str) -> str:
    """Return ``text`` with its links to files of the repository turned to the site's pages."""
    for page, path in KEPT.items():
        text = re.sub(rf"\]\({re.escape(path)}(#[^)]*)?\)", rf"]({page}\1)", text)
    return text.replace("](docs/", "](")
