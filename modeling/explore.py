"""Run the exploration notebook and write it as an HTML page: `python -m modeling.explore [--out FOLDER]`."""

from __future__ import annotations

import argparse
import json
import os
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from modeling.data.lake import whole_history
from modeling.errors import ModelingError
from modeling.runner import run
from modeling.settings import Settings, read_settings

if TYPE_CHECKING:
    from nbformat import NotebookNode

ROOT: Final = Path(__file__).resolve().parents[1]
NOTEBOOKS: Final = Path(__file__).resolve().parent / "notebooks"
NOTEBOOK: Final = NOTEBOOKS / "exploration.py"
TEMPLATE: Final = "page"
OUT: Final = "var/exploration"
CELL_SECONDS: Final = 600


def explore(settings: Settings, out: Path, notebook: Path = NOTEBOOK) -> Path:
    """Run a notebook on the lake and write it as one self-contained page under `out`; returns the page's path.

    Raises `ModelingError` for a lake without features or a cell that fails.
    """
    import jupytext  # type: ignore[import-untyped]

    days = whole_history(settings.lake)
    print(f"exploring {days} in {settings.lake}", flush=True)
    with tempfile.TemporaryDirectory() as folder, _environment(folder, settings):
        cells = execute(jupytext.read(notebook, fmt="py:percent"), folder)
        page = to_page(cells)
    out.mkdir(parents=True, exist_ok=True)
    written = out / f"{notebook.stem}.html"
    staged = written.with_suffix(".tmp")
    staged.write_text(page, encoding="utf-8")
    return staged.replace(written)


def execute(notebook: NotebookNode, folder: str) -> NotebookNode:
    """Run every cell in a kernel of the running Python, connected by sockets in `folder`.

    Raises `ModelingError`, naming the cell that failed.
    """
    from jupyter_client.kernelspec import KernelSpecManager
    from jupyter_client.manager import AsyncKernelManager
    from nbclient import NotebookClient
    from nbclient.exceptions import CellExecutionError, CellTimeoutError, DeadKernelError

    # Without kernel folders, the only kernel is ipykernel's own for the running interpreter.
    manager = AsyncKernelManager(
        kernel_name="python3",
        kernel_spec_manager=KernelSpecManager(kernel_dirs=[]),
        # Sockets that only their owner can open, instead of ports. A short name: socket paths are limited to 104 bytes.
        transport="ipc",
        connection_file=f"{folder}/kernel.json",
    )
    client = NotebookClient(notebook, km=manager, timeout=CELL_SECONDS)
    running = [0]

    def announce(cell: NotebookNode, cell_index: int) -> None:
        running[0] = cell_index
        if cell.cell_type == "code":
            print(f"  {_heading(notebook, cell_index)}", flush=True)

    client.on_cell_start = announce
    try:
        client.execute(cleanup_kc=True)
    except (CellExecutionError, CellTimeoutError, DeadKernelError) as error:
        raise ModelingError(
            f"{_name(notebook, running[0])} failed ({_in_short(error)}): correct the cell or the lake's data"
        ) from error
    return notebook


def to_page(notebook: NotebookNode) -> str:
    """The executed notebook as a self-contained HTML page."""
    from nbconvert import HTMLExporter

    notebook.metadata["title"] = _heading(notebook, 0)
    options = {"extra_template_basedirs": [str(NOTEBOOKS)], "exclude_anchor_links": True}
    exporter = HTMLExporter(template_name=TEMPLATE, **options)  # type: ignore[no-untyped-call]
    page: str = exporter.from_notebook_node(notebook)[0]
    return page


@contextmanager
def _environment(folder: str, settings: Settings) -> Iterator[None]:
    """Keep Jupyter's files in `folder`, so that the user's own Jupyter settings have no effect."""
    before = dict(os.environ)
    jupyter = {f"JUPYTER_{what}_DIR": f"{folder}/{what.lower()}" for what in ("CONFIG", "DATA", "RUNTIME")}
    nothing = dict.fromkeys(("JUPYTER_PATH", "JUPYTER_CONFIG_PATH"), "")
    ours = {"LAKE_URI": str(settings.lake.resolve()), "IPYTHONDIR": f"{folder}/ipython"}
    paths = os.pathsep.join(filter(None, [str(ROOT), before.get("PYTHONPATH")]))
    os.environ.setdefault("MPLCONFIGDIR", f"{folder}/matplotlib")
    os.environ.update(jupyter | nothing | ours | {"PYTHONPATH": paths, "TZ": "UTC"})
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


def _name(notebook: NotebookNode, index: int) -> str:
    number = sum(cell.cell_type == "code" for cell in notebook.cells[: index + 1])
    return f"cell {number} ({_heading(notebook, index)})"


def _heading(notebook: NotebookNode, index: int) -> str:
    """The last heading before a cell."""
    lines = [
        line
        for cell in notebook.cells[: index + 1]
        if cell.cell_type == "markdown"
        for line in cell.source.splitlines()
    ]
    return next((line.lstrip("# ") for line in reversed(lines) if line.startswith("#")), "no heading")


def _in_short(error: Any) -> str:
    from nbclient.exceptions import CellExecutionError

    return f"{error.ename}: {error.evalue}" if isinstance(error, CellExecutionError) else str(error).splitlines()[0]


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(prog="python -m modeling.explore", description=__doc__)
    parser.add_argument("--out", type=Path, default=Path(OUT), metavar="FOLDER", help=f"default: {OUT}")
    began = time.monotonic()
    page = explore(read_settings(), parser.parse_args().out)
    print(json.dumps({"page": str(page), "seconds": round(time.monotonic() - began, 1)}))


if __name__ == "__main__":
    run(main)
