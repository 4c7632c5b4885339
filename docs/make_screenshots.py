"""Make the pictures of docs/images from what `make demo` left.

    make demo | tee var/demo.log
    make explore
    make serve                     # in another terminal
    PYTHONPATH=. var/env/pipeline/bin/python docs/make_screenshots.py

Needs Chromium: the program named by CHROMIUM, by default `chromium`.
"""

from __future__ import annotations

import os
import re
import subprocess
import tempfile
from pathlib import Path

import httpx
from PIL import Image
from rich.console import Console
from rich.text import Text

ROOT = Path(__file__).resolve().parents[1]
IMAGES = ROOT / "docs/images"
COLOURS = 128
"""Enough for pages of text and plots, and a quarter of the bytes."""


def main() -> None:
    """Make all pictures."""
    draw_terminal((ROOT / "var/demo.log").read_text(), IMAGES / "demo.svg")
    settings = dict(re.findall(r"^(\w+)=(.*)$", (ROOT / "var/serve.env").read_text(), re.MULTILINE))
    take_picture(settings["SCORER_URL"], IMAGES / "scorer.png", 900, 720)
    take_picture((ROOT / "var/exploration/exploration.html").as_uri(), IMAGES / "exploration.png", 1000, 1150)
    card = httpx.get(
        f"{settings['SCORER_URL']}/v1/model/card", headers={"X-API-Key": settings["SCORER_API_KEY"]}, trust_env=False
    )
    card.raise_for_status()
    with tempfile.TemporaryDirectory() as folder:
        page = Path(folder) / "card.html"
        page.write_bytes(card.content)
        take_picture(page.as_uri(), IMAGES / "model-card.png", 1000, 1150)


def draw_terminal(log: str, path: Path) -> None:
    """Draw the end of a demo's output: its steps and its summary, without absolute paths."""
    lines = log[log.index("✓") :].splitlines()
    shown = [line for line in lines[: _last(lines) + 1] if not line.startswith("·")]
    text = Text("$ make demo\n" + re.sub(r"\S*/(var/demo)", r"\1", "\n".join(shown)))
    text.highlight_regex("✓", "green")
    text.highlight_regex(r" \d+\.\d s  ", "dim")
    with open(os.devnull, "w") as nowhere:
        console = Console(record=True, width=96, file=nowhere)
        console.print(text)
    path.write_text(console.export_svg(title="make demo", unique_id="demo"))


def take_picture(address: str, path: Path, width: int, height: int) -> None:
    """Save a page as it appears in a window of this size, in pixels."""
    command = [os.environ.get("CHROMIUM", "chromium"), "--headless", "--no-sandbox", "--disable-gpu"]
    command += ["--hide-scrollbars", f"--window-size={width},{height}", f"--screenshot={path}", address]
    subprocess.run(command, check=True, capture_output=True, timeout=120)
    with Image.open(path) as image:
        image.convert("RGB").quantize(COLOURS).save(path, optimize=True)


def _last(lines: list[str]) -> int:
    """The line in which the demo's output ends."""
    return max(number for number, line in enumerate(lines) if line.startswith(("└", "The same facts")))


if __name__ == "__main__":
    main()
