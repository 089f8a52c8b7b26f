"""What `make docs` does to the pages, so that the same files read well in a repository and on the site.

- README, CHANGELOG and the like become pages; so does what a page links to outside of docs/ (a program, a table of results).
- Lists and tables may follow a sentence without an empty line, as they may where repositories are read.
- `docs/encryption.md` in a docstring becomes a link.
- `::: durable_saga.saga` in website/reference names what a user imports; the module that defines it is looked up.

Runs in the environment of `make docs`. A link that leads nowhere stays as it is, and mkdocs fails the build for it.
"""

from __future__ import annotations

import ast
import pathlib
import posixpath
import re

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = pathlib.Path(__file__).resolve().parent.parent
_OWN = {
    "README.md": "index.md",
    "CHANGELOG.md": "CHANGELOG.md",
    "CONTRIBUTING.md": "CONTRIBUTING.md",
    "SECURITY.md": "SECURITY.md",
}
_FENCE = re.compile(r"^(```.*?^```$)", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"(\]\()([^)\s#]+)(#[^)\s]*)?(\))")
_ROW = re.compile(r"^(\s*)(- |\d+\. |\|)")
_NAMED_PAGE = re.compile(r"\bdocs/([\w-]+)\.md(#[\w-]+)?")
_DIRECTIVE = re.compile(r"^::: (durable_saga(?:\.\w+)*)\.(\w+)$", re.MULTILINE)


def on_files(files: Files, config: MkDocsConfig) -> Files:
    for name, place in _OWN.items():
        files.append(File.generated(config, place, abs_src_path=str(ROOT / name)))
    for file in sorted((ROOT / "website/reference").glob("*.md")):
        files.append(File.generated(config, f"reference/{file.name}", abs_src_path=str(file)))
    files.append(File.generated(config, "site.css", abs_src_path=str(ROOT / "website/site.css")))
    for source in [ROOT / name for name in _OWN] + sorted((ROOT / "docs").glob("*.md")):
        for target in _outside(source):
            place = _place_of(target)
            if place not in files.src_uris:
                files.append(_made(config, target, place))
    return files


def _outside(source: pathlib.Path) -> list[pathlib.Path]:
    """The files that it links to and that are no pages of their own."""
    links = (source.parent / link[2] for link in _LINK.finditer(_FENCE.sub("", source.read_text())) if "://" not in link[2])
    found = {link.resolve() for link in links}
    return sorted(one for one in found if one.is_file() and one.parent != ROOT / "docs" and _place_of(one) not in _OWN.values())


def _place_of(target: pathlib.Path) -> str:
    """Where a file of the repository is on the site."""
    name = target.relative_to(ROOT).as_posix()
    if target.suffix == ".py":
        return f"{name}.md"
    return _OWN.get(name, name.removeprefix("docs/"))


def _made(config: MkDocsConfig, target: pathlib.Path, place: str) -> File:
    if target.suffix == ".py":
        name = target.relative_to(ROOT).as_posix()
        return File.generated(config, place, content=f"# {name}\n```python\n{target.read_text()}```\n")
    return File.generated(config, place, abs_src_path=str(target))


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    source = next((ROOT / name for name, place in _OWN.items() if place == page.file.src_uri), None)
    if page.file.src_uri.startswith("reference/"):
        return _DIRECTIVE.sub(lambda found: f"::: {defined_in(found[1], found[2])}.{found[2]}", markdown)
    source = source or (ROOT / "docs" / page.file.src_uri)
    if not source.exists():  # what a page links to
        source = ROOT / page.file.src_uri
    parts = _FENCE.split(markdown)
    return "\n".join(part if part.startswith("```") else _linked(_spaced(part), source, page.file.src_uri) for part in parts)


def on_page_content(html: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Docstrings name pages as the repository has them."""
    if not page.file.src_uri.startswith("reference/"):
        return html
    return _NAMED_PAGE.sub(r'<a href="../\1.html\2">\1</a>', html)


def _spaced(text: str) -> str:
    """With an empty line before each list and table that has none."""
    lines: list[str] = []
    in_list = False
    for line in text.split("\n"):
        row = _ROW.match(line)
        if row is not None and lines and lines[-1].strip() and not _ROW.match(lines[-1]) and not (in_list and row[2] != "|"):
            lines.append("")
        if row is not None:
            in_list = row[2] != "|"
        elif not line.strip() or not line.startswith(" "):
            in_list = False
        lines.append(line)
    return "\n".join(lines)


def _linked(text: str, source: pathlib.Path, place: str) -> str:
    def moved(link: re.Match[str]) -> str:
        target = (source.parent / link[2]).resolve()
        if "://" in link[2] or not target.is_file():
            return link[0]
        return f"{link[1]}{posixpath.relpath(_place_of(target), posixpath.dirname(place) or '.')}{link[3] or ''}{link[4]}"

    return _LINK.sub(moved, text)


def defined_in(package: str, name: str) -> str:
    """The module that defines what `package` offers under that name."""
    place = ROOT / package.replace(".", "/") / "__init__.py"
    if place.exists():
        for node in ast.parse(place.read_text()).body:
            if isinstance(node, ast.ImportFrom) and node.module and name in {one.name for one in node.names}:
                return defined_in(node.module, name)
    return package
