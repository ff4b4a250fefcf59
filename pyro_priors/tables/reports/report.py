"""A report on a filled table: a page of HTML with pictures beside it, and its figures as JSON."""

import html
import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from pyro_priors.training.files import replace_file

PAGE, FIGURES = "report.html", "report.json"
STYLE = """
body { font: 15px/1.45 system-ui, sans-serif; max-width: 62em; margin: 2em auto; padding: 0 1em; color: #222; }
table { border-collapse: collapse; font-size: 13px; } td, th { padding: .25em .7em; border-bottom: 1px solid #ddd;
text-align: left; vertical-align: top; overflow-wrap: anywhere; } td.number { text-align: right; }
img { max-width: 100%; } h2 { margin-top: 2em; } figcaption, .note { color: #555; font-size: 13px; }
"""


class Section(NamedTuple):
    """A part of a page.

    Args:
        title: its heading.
        paragraphs: texts above the rest.
        header, rows: a table; numbers among the cells stand at the right.
        pictures: {name of the file without ".png": its bytes}.
        values: what the section says, for JSON.
    """

    title: str
    paragraphs: Sequence[str] = ()
    header: Sequence[str] = ()
    rows: Sequence[Sequence[object]] = ()
    pictures: Mapping[str, bytes] = {}
    values: Any = None


def write_report(folder: str | os.PathLike, title: str, sections: Sequence[Section]) -> Path:
    """Write the pictures, the figures and last the page, each file whole or not at all -> path of the page."""
    folder = Path(folder)
    for section in sections:
        for name, picture in section.pictures.items():
            _write(folder / f"{name}.png", picture)
    values = {section.title: section.values for section in sections if section.values is not None}
    _write(folder / FIGURES, (json.dumps(values, indent=1, allow_nan=False) + "\n").encode())
    _write(folder / PAGE, page(title, sections).encode())
    return folder / PAGE


def page(title: str, sections: Sequence[Section]) -> str:
    """The page: whatever names and cells hold stands there as text.

    Example:
        >>> print(page("a < b", [Section("Columns", ["Two."], ["name", "gaps"], [["<b>", 3]])]).partition("<h1>")[2])
        a &lt; b</h1>
        <h2>Columns</h2>
        <p>Two.</p>
        <table>
        <tr><th>name</th><th>gaps</th></tr>
        <tr><td>&lt;b&gt;</td><td class="number">3</td></tr>
        </table>
        </html>
    """
    head = f'<meta charset="utf-8">\n<title>{html.escape(title)}</title>\n<style>{STYLE}</style>'
    lines = ["<!DOCTYPE html>", '<html lang="en">', head, f"<h1>{html.escape(title)}</h1>"]
    for section in sections:
        lines += _lines(section)
    return "\n".join([*lines, "</html>"]) + "\n"


def _lines(section: Section) -> list[str]:
    lines = [f"<h2>{html.escape(section.title)}</h2>"]
    lines += [f"<p>{html.escape(text)}</p>" for text in section.paragraphs]
    if section.rows:
        lines += ["<table>", f"<tr>{''.join(f'<th>{html.escape(name)}</th>' for name in section.header)}</tr>"]
        lines += [f"<tr>{''.join(map(_cell, row))}</tr>" for row in section.rows]
        lines += ["</table>"]
    for name in section.pictures:
        lines += [f'<p><img src="{html.escape(name)}.png" alt="{html.escape(section.title)}"></p>']
    return lines


def _cell(value: object) -> str:
    if isinstance(value, int | float):
        text = f"{value:,.4g}" if isinstance(value, float) else f"{value:,}"
        return f'<td class="number">{text}</td>'
    return f"<td>{html.escape(str(value))}</td>"


def _write(path: Path, source: bytes) -> None:
    replace_file(path, lambda temporary: temporary.write_bytes(source))
