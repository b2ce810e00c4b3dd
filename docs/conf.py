# SPDX-FileCopyrightText: The splitway authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Sphinx's configuration; docs/build runs it over a copy of the repository's pages.

The pages are Markdown as a repository's web page shows it, without any directive of Sphinx. So what Sphinx needs beside
it is made here: its tables of contents out of the index, docs/README.md, and out of that of the decisions; and whole
addresses for links to what is no page.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

import yaml
from docutils import nodes

if TYPE_CHECKING:
    from sphinx.addnodes import pending_xref
    from sphinx.application import Sphinx
    from sphinx.environment import BuildEnvironment

ROOT = Path(__file__).parents[1]
GALAXY = yaml.safe_load((ROOT / "galaxy.yml").read_text(encoding="utf-8"))
LINK = re.compile(r"(?<!!)\]\(([^)#\s]+)(#[^)\s]*)?\)")
INDEX = "docs/README"
INDEXES = (INDEX, "docs/decisions/README")
ANSIBLE = "https://docs.ansible.com/ansible/latest"
ANSIBLES_LABELS = {
    **{f"{kind}_plugins": f"plugins/{kind}.html" for kind in ("action", "callback", "filter", "inventory", "lookup")},
    "ansible_configuration_settings": "reference_appendices/config.html",
    "common_return_values": "reference_appendices/common_return_values.html",
}
"""What the reference refers to in Ansible's own documents, which no build without the network can look up."""

project = "splitway.gateway"
author = "The splitway authors"
copyright = author
release = version = GALAXY["version"]
root_doc = INDEX
extensions = ["myst_parser", "sphinx_antsibull_ext"]
source_suffix = {".md": "markdown", ".rst": "restructuredtext"}
myst_heading_anchors = 4
html_theme = "furo"
html_title = f"{project} {release}"
html_copy_source = False
html_show_sphinx = False


def is_page(path: str) -> bool:
    """Tell whether a file of the repository is among the pages."""
    return path.endswith(".md") and (ROOT / path).is_file()


def with_addresses(text: str, folder: Path) -> str:
    """Return a page whose links to the repository's other files lead to the repository; `folder` is the page's."""

    def replaced(found: re.Match[str]) -> str:
        target = found[1]
        path = (ROOT / folder / target).resolve()
        if "://" in target or not path.is_relative_to(ROOT) or not path.exists():
            return found[0]
        inside = path.relative_to(ROOT).as_posix()
        if is_page(inside) or path.suffix in {".svg", ".png"}:
            return found[0]
        return f"]({GALAXY['repository']}/tree/main/{inside}{found[2] or ''})"

    return LINK.sub(replaced, text)


def contents(index: str, folder: Path) -> str:
    """Return one hidden table of contents for each section of an index, with the pages that it links, in its order."""
    tables, seen = [], set(INDEXES[:1])
    for section in re.split(r"^## ", index, flags=re.MULTILINE):
        title = "" if section.startswith("<!--") else section.splitlines()[0]
        found = [(ROOT / folder / target).resolve().relative_to(ROOT) for target, _ in LINK.findall(section)]
        pages = [page.with_suffix("").as_posix() for page in found if is_page(page.as_posix())]
        new = [page for page in dict.fromkeys(pages) if page not in seen]
        seen.update(new)
        if title == "Reference":
            new.append("reference/index")
        if new:
            lines = "\n".join(f"/{page}" for page in new)
            caption = f":caption: {title}\n" if title else ""
            tables.append(f"```{{toctree}}\n:hidden:\n{caption}\n{lines}\n```\n")
    return "\n".join(tables)


def read(_application: Sphinx, name: str, source: list[str]) -> None:
    """Complete a page, of which `source` holds the text."""
    if name.startswith("reference/"):
        return
    text = source[0]
    source[0] = with_addresses(text, Path(name).parent)
    if name in INDEXES:
        source[0] += "\n" + contents(text, Path(name).parent)


def resolve(_application: Sphinx, _environment: BuildEnvironment, node: pending_xref, text: nodes.Node) -> object:
    """Return a link in place of a reference to Ansible's own documents, None for any other."""
    page = ANSIBLES_LABELS.get(node["reftarget"])
    return page and nodes.reference("", "", text, refuri=f"{ANSIBLE}/{page}")


def write_entry(application: Sphinx, problem: Exception | None) -> None:
    """Write the page that a web server shows first: it leads to the index."""
    if problem is None:
        page = f'<!doctype html><meta http-equiv="refresh" content="0; url={INDEX}.html"><title>{project}</title>\n'
        (Path(application.outdir) / "index.html").write_text(page, encoding="utf-8")


def setup(application: Sphinx) -> None:
    """Called by Sphinx."""
    application.connect("source-read", read)
    application.connect("missing-reference", resolve)
    application.connect("build-finished", write_entry)
