"""What the documentation site needs beside MkDocs: generated pages and formulas.

MkDocs calls the functions whose names begin with `on_`. They add the pages that are
written elsewhere in the repository (model cards, the README of each data set, the
changelog), add the font of the formulas, and turn TeX between dollar signs into MathML,
which browsers draw without a script.
"""

import html
import importlib.util
import pathlib
import re
from typing import Any

from latex2mathml import converter
from mkdocs.exceptions import PluginError
from mkdocs.structure.files import File

ROOT = pathlib.Path(__file__).resolve().parents[1]

# Pages of the site, and the files that they show.
_COPIES = {
    "card_fhdr.md": "jaxhdr/weights/fhdr.md",
    "card_sparam_lstm.md": "jaxhdr/weights/sparam_lstm.md",
    "changelog.md": "CHANGELOG.md",
    "contributing.md": "CONTRIBUTING.md",
}
_DATA_SETS = "data_sets.md"
_DATA_SETS_INTRODUCTION = """\
# The data sets one by one

Each section is the README of one folder in `data_builders/`. It says where the files
come from, under which licence they are, what their unit is, and how they are split.
[Data sets](data.md) explains what all of them have in common.
"""

# Without a font that has tables for mathematics, browsers place indices badly. This one
# (SIL Open Font License) comes with a package and is copied into the site.
_FONT = "STIXTwoMath-Regular.ttf"

# A fenced block, code between backticks, a formula on lines of its own, and a formula
# within a line. Code comes first, so that a dollar sign in it is no formula.
_PARTS = re.compile(
    r"(?P<code>^(?P<fence>```+)[^\n]*\n.*?^(?P=fence)[ \t]*$|(?P<tick>`+).+?(?P=tick))"
    r"|\$\$(?P<block>.+?)\$\$"
    r"|(?<![\\$\w])\$(?P<inline>[^$\n]+?)\$(?!\w)",
    re.DOTALL | re.MULTILINE,
)
# Stands for a formula while Markdown is parsed. No rule of Markdown applies to it.
_PLACEHOLDER = "formulanumber{}end"


def on_files(files: Any, config: Any) -> Any:
    """Returns the files of the site with the generated pages added."""
    for page, source in _COPIES.items():
        text = (ROOT / source).read_text(encoding="utf-8")
        files.append(File.generated(config, page, content=text))
    files.append(File.generated(config, _DATA_SETS, content=_data_sets()))
    files.append(File.generated(config, f"assets/{_FONT}", content=_font()))
    return files


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """Returns a page with links to other files mended and formulas set aside."""
    source = _COPIES.get(page.file.src_uri)
    markdown = _with_links_of_the_site(markdown, source)
    page.formulas = []

    def set_aside(match: re.Match[str]) -> str:
        if match["code"]:
            return match[0]
        display = "block" if match["block"] else "inline"
        mathml = _mathml(match["block"] or match["inline"], display, page.file.src_uri)
        page.formulas.append(mathml)
        return _PLACEHOLDER.format(len(page.formulas) - 1)

    return _PARTS.sub(set_aside, markdown)


def on_page_content(content: str, page: Any, **_: Any) -> str:
    """Returns the HTML of a page with its formulas put back."""
    for number, mathml in enumerate(page.formulas):
        content = content.replace(_PLACEHOLDER.format(number), mathml)
    return content


def _font() -> bytes:
    package = importlib.util.find_spec("ziamath")  # found, but not imported
    if package is None or not package.submodule_search_locations:
        raise PluginError("ziamath, which has the font, is missing: install '.[docs]'")
    folder = pathlib.Path(package.submodule_search_locations[0])
    return (folder / "fonts" / _FONT).read_bytes()


def _data_sets() -> str:
    parts = [_DATA_SETS_INTRODUCTION]
    for readme in sorted(ROOT.glob("data_builders/*/README.md")):
        parts.append(f"## `{readme.parent.name}`\n")
        parts.append(readme.read_text(encoding="utf-8"))
    return "\n".join(parts)


def _with_links_of_the_site(markdown: str, source: str | None) -> str:
    """Returns a page whose links to copied files lead to the copies.

    Args:
      markdown: text of the page.
      source: path in the repository of the file that the page is a copy of, or None.
    """
    folder = (ROOT / source).parent if source else ROOT / "docs"
    copies = {(ROOT / path).resolve(): page for page, path in _COPIES.items()}

    def mend(match: re.Match[str]) -> str:
        path, anchor = match["path"], match["anchor"] or ""
        target = (folder / path).resolve()
        if target in copies:
            return f"]({copies[target]}{anchor})"
        if source and target.is_relative_to(ROOT / "docs"):
            return f"]({target.relative_to(ROOT / 'docs').as_posix()}{anchor})"
        return match[0]

    return re.sub(r"\]\((?P<path>[\w./-]+)(?P<anchor>#[\w-]*)?\)", mend, markdown)


def _mathml(tex: str, display: str, page: str) -> str:
    mathml = converter.convert(tex.strip(), display=display)
    # The converter passes a command that it does not know on as text.
    if unknown := re.search(r"\\[A-Za-z]+", html.unescape(mathml)):
        raise PluginError(f"{page}: the formula {tex!r} has the unknown {unknown[0]}")
    return mathml
