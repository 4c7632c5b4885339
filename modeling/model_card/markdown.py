"""Write Markdown and render it as a self-contained HTML page without scripts."""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping, Sequence
from html import escape as escape_html
from string import Template
from typing import Final

PAGE: Final = Template(
    """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>$title</title>
<style>
:root { color-scheme: light dark; }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; }
h1, h2, h3 { line-height: 1.2; margin: 2rem 0 .6rem; }
table { border-collapse: collapse; display: block; overflow-x: auto; margin: 1rem 0; font-size: .9rem; }
th, td { padding: .3rem .6rem; text-align: left; border-bottom: 1px solid #8886; vertical-align: top; }
td { font-variant-numeric: tabular-nums; white-space: nowrap; }
img { max-width: 100%; background: #fff; border-radius: .4rem; }
code { font-size: .9em; overflow-wrap: anywhere; }
</style>
</head>
<body>
$body</body>
</html>
"""
)
_SPECIAL: Final = re.compile(r"([\\`*_{}\[\]<>()#+\-.!|~&])")


def escape(text: str) -> str:
    """Text on one line with all Markdown characters escaped."""
    return _SPECIAL.sub(r"\\\1", " ".join(text.split()))


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table; all columns but the first are right-aligned."""
    align = [":--", *("--:" for _ in header[1:])]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in (header, align, *rows))


def page(title: str, text: str, plots: Mapping[str, bytes]) -> str:
    """Render a Markdown text as an HTML page; `plots`, PNG by their link in the text, are embedded."""
    from markdown_it import MarkdownIt

    markdown = MarkdownIt("commonmark", {"html": False}).enable("table")
    tokens = markdown.parse(text)
    for token in (child for block in tokens for child in block.children or ()):
        if token.type == "image":
            content = base64.b64encode(plots[str(token.attrs["src"])]).decode()
            token.attrs["src"] = f"data:image/png;base64,{content}"
    return PAGE.substitute(title=escape_html(title), body=markdown.renderer.render(tokens, markdown.options, {}))
