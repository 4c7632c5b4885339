"""The compiled kernel on disk: made once, found by others, replaced where it does not fit; and where it cannot run."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from contracts import compiled
from contracts.compiled import KernelError, check_platform

ROOT = Path(__file__).resolve().parents[2]
LOAD = "from contracts.compiled import load; k = load(); print(k.seconds > 0, k.folder)"
# Says that it would compile, instead of taking seconds to do so.
FIND = f"from contracts import compiled; compiled._made = lambda folder: exit('compiles'); {LOAD}"
WRITES = """
import os, sys
def heed(name, arguments):
    if name == "open" and isinstance(arguments[2], int) and arguments[2] & (os.O_WRONLY | os.O_RDWR | os.O_CREAT):
        print("writes", arguments[0])
    elif name in ("os.mkdir", "os.rename", "os.remove", "os.chmod", "os.utime"):
        print("writes", name, arguments)
sys.addaudithook(heed)
"""


def start(clone: Path, code: str = LOAD, **variables: str) -> subprocess.Popen[str]:
    """Run Python with the contracts of a clone."""
    environment = os.environ | {"PYTHONPATH": str(clone), "TMPDIR": str(clone), "PYTHONDONTWRITEBYTECODE": "1"}
    command = [sys.executable, "-c", code]
    pipe = subprocess.PIPE
    return subprocess.Popen(command, cwd=clone, env=environment | variables, stdout=pipe, stderr=pipe, text=True)


def outcome(clone: Path, code: str = FIND, **variables: str) -> str:
    """What it prints, with the end of its error."""
    out, error = start(clone, code, **variables).communicate()
    return (out + error.strip().rpartition("\n")[2]).strip()


def clone_into(folder: Path) -> Path:
    """A clone's contracts, without what is compiled, and with a kernel that compiles quickly."""
    shutil.copytree(ROOT / "contracts", folder / "contracts", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copyfile(ROOT / "tests/contracts/stub_kernel.py", folder / "contracts/kernel.py")
    return folder


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[str]]:
    """A clone where two processes started at once without a compiled kernel; and what they printed."""
    clone = clone_into(tmp_path_factory.mktemp("clone"))
    processes = [start(clone) for _ in range(2)]
    return clone, [process.communicate()[0].strip() for process in processes]


@pytest.fixture
def clone(made: tuple[Path, list[str]], tmp_path: Path) -> Path:
    """Its copy, to change."""
    shutil.copytree(made[0], tmp_path / "clone")
    return tmp_path / "clone"


def folder_of(clone: Path) -> Path:
    """The folder of the compiled kernel."""
    (folder,) = (clone / "var/cache/kernel").glob("kernel-*")
    return folder


def test_of_two_processes_at_once_one_compiles_and_both_have_it(made: tuple[Path, list[str]]) -> None:
    clone, printed = made
    assert sorted(printed) == [f"False {folder_of(clone)}", f"True {folder_of(clone)}"]


def test_a_later_process_finds_it_and_writes_nothing(made: tuple[Path, list[str]]) -> None:
    """So it is found on a read-only root."""
    assert outcome(made[0], WRITES + FIND) == f"False {folder_of(made[0])}"
    # The hook sees what is written.
    assert outcome(made[0], WRITES + "open('x', 'w')") == "writes x"


def test_code_for_another_processor_is_not_used(clone: Path) -> None:
    assert outcome(clone, NUMBA_CPU_NAME="generic") == "compiles"


@pytest.mark.parametrize("name", ["kernel.py", "kernel_functions.py"])
def test_changed_source_is_compiled_again(clone: Path, name: str) -> None:
    file = clone / "contracts" / name
    before = file.stat()
    # Of the same length and time: only what is in it counts.
    file.write_text(file.read_text().replace("compile", "COMPILE", 1))
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert outcome(clone) == "compiles"


def test_a_new_time_of_the_source_is_no_change(clone: Path) -> None:
    os.utime(clone / "contracts/kernel.py", (1, 1))
    assert outcome(clone) == f"False {folder_of(clone)}"


@pytest.mark.parametrize(("kind", "content"), [("nbi", "zeros"), ("nbc", "zeros"), ("nbc", "none"), ("nbi", "no file")])
def test_damaged_files_are_replaced(clone: Path, kind: str, content: str) -> None:
    file = next(folder_of(clone).glob(f"kernel.check*.{kind}"))
    if content == "no file":
        file.unlink()
    else:
        file.write_bytes(b"\0" * (file.stat().st_size if content == "zeros" else 0))
    assert outcome(clone) == "compiles"


def test_an_aborted_compilation_is_repeated(clone: Path) -> None:
    (folder_of(clone) / "complete").unlink()
    assert outcome(clone) == "compiles"


def test_what_other_users_can_write_is_not_loaded(clone: Path) -> None:
    folder = folder_of(clone)
    folder.chmod(0o777)
    assert outcome(clone) == "compiles"
    folder.chmod(0o755)
    folder.parent.chmod(0o777)
    # Nor is anything compiled there: the private folder takes its place.
    private = f"{clone}/fraud-relay-kernel-{os.geteuid()}"
    code = FIND.replace("exit('compiles')", "exit(f'compiles into {folder.parent}')")
    assert outcome(clone, code) == f"compiles into {private}"


def test_where_nothing_can_be_written_each_process_compiles(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").touch()
    asked: list[Path | None] = []
    monkeypatch.setattr(compiled, "_compile", asked.append)
    monkeypatch.setattr(compiled, "_private", lambda: tmp_path / "file/private")
    compiled.load_from(tmp_path / "file")
    assert asked == [None]


def test_the_command_says_what_it_did(made: tuple[Path, list[str]]) -> None:
    code = "import runpy; runpy.run_module('contracts.compiled', run_name='__main__')"
    assert outcome(made[0], code) == f"feature kernel: was already compiled ({folder_of(made[0]).name})"


def test_a_kernel_keeps_no_state_between_calls() -> None:
    """The same arrays give the same features from several threads; without the GIL they run at the same time."""
    from concurrent.futures import ThreadPoolExecutor

    from contracts.features import customer_features

    n = 20_000
    arrays = np.zeros(n, np.int64), np.arange(n) * 3_600, np.arange(n) % 1_000, np.arange(n)
    with ThreadPoolExecutor(4) as pool:
        found = [
            part["amount_deviations"].tobytes() for part in pool.map(lambda _: customer_features(*arrays), range(8))
        ]
    assert len(set(found)) == 1


@pytest.mark.parametrize(
    ("where", "said"),
    [
        ({"bits": 32}, "needs a 64-bit Python, this one has 32 bits"),
        ({"order": "big"}, "needs a little-endian processor .*: use x86-64 or ARM64"),
    ],
)
def test_where_it_cannot_run_the_error_says_so(where: dict[str, int | str], said: str) -> None:
    with pytest.raises(KernelError, match=said):
        check_platform(**where)  # type: ignore[arg-type]


def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compiled, "find_spec", lambda name: None if name in ("numba", "llvmlite") else name)
    with pytest.raises(KernelError, match=r"needs numba and llvmlite .*: run `make install`"):
        compiled.load_from(compiled.INSTALLED)


def test_a_package_that_cannot_be_loaded_is_an_error_with_its_reason(
    made: tuple[Path, list[str]], tmp_path: Path
) -> None:
    (tmp_path / "llvmlite").mkdir()
    (tmp_path / "llvmlite/__init__.py").write_text("raise OSError('libllvmlite.so: wrong ELF class')")
    said = outcome(made[0], LOAD, PYTHONPATH=f"{tmp_path}:{made[0]}")
    assert said.startswith(
        "contracts.compiled.KernelError: the feature kernel cannot load Numba (libllvmlite.so: wrong"
    )
    assert "run `make install`" in said
