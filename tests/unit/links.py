"""Links of Markdown pages."""

import re
from pathlib import Path

_LINK = re.compile(r"\]\((?!https?:)([^)#]*)(?:#([^)]+))?\)")


def broken_links(page: Path) -> list[str]:
    """Those to files that are not there, or to headings that the file does not have.

    Raises AssertionError where the page has no link to look at.
    """
    links = _LINK.findall(page.read_text())
    assert links, f"{page} has no links"
    return [f"{path}#{anchor}" for path, anchor in links if not _leads_on(page, path, anchor)]


def _leads_on(page: Path, path: str, anchor: str) -> bool:
    target = page.parent / path if path else page
    return target.exists() and (not anchor or anchor in _anchors(target.read_text()))


def _anchors(text: str) -> set[str]:
    headings = re.findall(r"^#+ (.*)$", text, re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}
