"""Which Python the environments use: requirements/find_python.sh, with fake Pythons that only print their version."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

SCRIPT = Path(__file__).resolve().parents[1] / "requirements/find_python.sh"
TOOLS = ("bash", "dirname", "env", "head", "ls", "sed")


class Machine:
    """A project folder, and a PATH with only what a test puts on it."""

    def __init__(self, folder: Path) -> None:
        self.bin, self.project = folder / "bin", folder / "project"
        for one in (self.bin, self.project / "requirements"):
            one.mkdir(parents=True)
        shutil.copy(SCRIPT, self.project / "requirements")
        for tool in TOOLS:
            (self.bin / tool).symlink_to(shutil.which(tool) or tool)

    def python(self, file: Path, version: str, *, build: str = "", complete: bool = True) -> str:
        """Create an interpreter that answers the script's two probes; returns the path that it reports."""
        file.parent.mkdir(parents=True, exist_ok=True)
        says = f"echo {version}; echo {file}" if complete else f"echo {version}; exit 1"
        file.write_text(f'#!/bin/sh\ncase "$3" in *ensurepip*) {says} ;; *) echo "{build or version}" ;; esac\n')
        file.chmod(0o755)
        return str(file)

    def shim(self, name: str) -> None:
        """Create a command that is found but does not run, like pyenv's shims."""
        (self.bin / name).write_text("#!/bin/sh\necho 'command not found' >&2; exit 127\n")
        (self.bin / name).chmod(0o755)

    def environment(self, name: str, version: str, *, age: int, build: str = "") -> str:
        """Create an environment installed `age` seconds ago; returns its stamp as the script prints it."""
        folder = self.project / "var/env" / name
        self.python(folder / "bin/python", version, build=build)
        (folder / ".installed").touch()
        os.utime(folder / ".installed", (1e9 - age, 1e9 - age))
        return f"var/env/{name}/.installed"

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        command = [str(self.project / "requirements/find_python.sh"), *arguments]
        return subprocess.run(command, env={"PATH": str(self.bin)}, capture_output=True, text=True, check=False)

    def chosen(self, *arguments: str) -> str:
        done = self.run("choose", *arguments)
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    def refusal(self, *arguments: str) -> str:
        done = self.run("choose", *arguments)
        assert (done.returncode, done.stdout) == (1, "")
        return done.stderr


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


def test_the_newest_supported_python_is_chosen(machine: Machine) -> None:
    machine.python(machine.bin / "python3.14", "3.14")
    oldest = machine.python(machine.bin / "python3.11", "3.11")
    assert machine.chosen() == oldest
    newest = machine.python(machine.bin / "python3.13", "3.13")
    machine.python(machine.bin / "python3.12", "3.12")
    assert machine.chosen() == newest


def test_a_name_without_a_version_is_accepted(machine: Machine) -> None:
    plain = machine.python(machine.bin / "python3", "3.12")
    assert machine.chosen() == plain


def test_a_python_that_does_not_run_or_lacks_ensurepip_is_skipped(machine: Machine) -> None:
    machine.shim("python3.13")
    machine.python(machine.bin / "python3.12", "3.12", complete=False)
    good = machine.python(machine.bin / "python3.11", "3.11")
    assert machine.chosen() == good


def test_without_a_usable_python_the_error_lists_candidates_and_what_to_install(machine: Machine) -> None:
    machine.shim("python3.13")
    machine.python(machine.bin / "python3.12", "3.12", complete=False)
    machine.python(machine.bin / "python3", "3.9")
    said = machine.refusal()
    assert said.startswith("error: no usable Python was found. Python 3.13, 3.12, 3.11 with venv is needed:\n")
    assert "  python3.13: found, but does not run\n" in said
    assert "  python3.12: Python 3.12 without venv or ensurepip (Debian: apt install python3.12-venv)\n" in said
    assert "  python3.11: not found\n" in said
    assert "  python3: Python 3.9\n" in said
    assert "apt install python3-venv" in said
    assert "PYTHON=<path>" in said


def test_a_requested_python_is_used_or_rejected(machine: Machine) -> None:
    machine.python(machine.bin / "python3.13", "3.13")
    asked = machine.python(machine.bin / "elsewhere/python", "3.12")
    assert machine.chosen(asked) == asked
    assert machine.chosen("python3.13") == str(machine.bin / "python3.13")
    old = machine.python(machine.bin / "python3.9", "3.9")
    assert machine.refusal(old).endswith(f"{old}: Python 3.9\n")
    assert "python3.12: not found" in machine.refusal("python3.12")


def test_by_default_the_python_used_last_is_kept(machine: Machine) -> None:
    newest = machine.python(machine.bin / "python3.13", "3.13")
    machine.environment("airflow", "3.12", age=100)
    machine.environment("serving", "3.11", age=1)
    assert machine.chosen() == str(machine.project / "var/env/serving/bin/python")
    (machine.project / "var/env/serving/bin/python").unlink()
    assert machine.chosen() == newest


def test_environments_of_another_python_are_outdated(machine: Machine) -> None:
    assert machine.run("outdated").stdout == ""
    machine.python(machine.bin / "python3.13", "3.13", build="3.13.0")
    old = machine.environment("airflow", "3.11", age=100, build="3.11.7")
    new = machine.environment("serving", "3.11", age=1, build="3.11.7")
    assert machine.run("outdated").stdout == ""
    assert machine.run("outdated", "python3.13").stdout.split() == [old, new]
    machine.environment("serving", "3.13", age=1, build="3.13.0")
    assert machine.run("outdated", "python3.13").stdout.split() == [old]
    assert machine.run("outdated").stdout.split() == [old], "the one used last counts"


def test_all_are_outdated_if_the_requested_python_is_unusable(machine: Machine) -> None:
    stamp = machine.environment("airflow", "3.11", age=1)
    assert machine.run("outdated", "python3.13").stdout.split() == [stamp]


def test_environments_that_were_moved_or_copied_are_outdated(machine: Machine, tmp_path: Path) -> None:
    stamp = machine.environment("airflow", "3.11", age=1)
    folder = machine.project / "var/env/airflow"
    (folder / "bin/activate").write_text(f"# comment\nVIRTUAL_ENV='{folder}'\n")
    assert machine.run("outdated").stdout == ""
    copied = tmp_path / "copied folder"
    shutil.copytree(machine.project, copied)
    original, machine.project = machine.project, copied
    assert machine.run("outdated").stdout.split() == [stamp]
    shutil.rmtree(original)
    assert machine.run("outdated").stdout.split() == [stamp]
    machine.environment("airflow", "3.11", age=1)
    assert machine.run("outdated").stdout.split() == [stamp]
    (copied / "var/env/airflow/bin/activate").write_text(f"VIRTUAL_ENV='{copied}/var/env/airflow'\n")
    assert machine.run("outdated").stdout == ""


def test_environments_behind_a_link_are_in_place(machine: Machine, tmp_path: Path) -> None:
    machine.environment("airflow", "3.11", age=1)
    folder = machine.project / "var/env/airflow"
    (folder / "bin/activate").write_text(f"VIRTUAL_ENV='{folder}'\n")
    (tmp_path / "link").symlink_to(machine.project)
    machine.project = tmp_path / "link"
    assert machine.run("outdated").stdout == ""


@pytest.mark.parametrize("name", ["plain", "a b", "é ü", "日本", "a(b)+c@d=e~f", "-x"])
def test_a_folder_that_works_is_not_refused(tmp_path: Path, name: str) -> None:
    done = make_in(tmp_path, name)
    assert done.returncode == 0, done.stderr
    assert "make demo" in done.stdout


UNUSABLE = [*"!\"#$%&'*,:;<>?[\\]^`{|}", "\n", "\t", "\udce9"]


@pytest.mark.parametrize("character", UNUSABLE, ids=[repr(character) for character in UNUSABLE])
def test_a_folder_that_cannot_work_is_refused_in_one_line(tmp_path: Path, character: str) -> None:
    done = make_in(tmp_path, f"a{character}b")
    assert done.returncode == 2
    assert done.stdout == ""
    (line,) = done.stderr.splitlines()
    assert "the path of this folder" in line
    assert "move the project to a path with letters" in line


def make_in(tmp_path: Path, name: str) -> subprocess.CompletedProcess[str]:
    folder = tmp_path / name
    (folder / "requirements").mkdir(parents=True)
    shutil.copy(SCRIPT, folder / "requirements")
    shutil.copy(SCRIPT.parents[1] / "Makefile", folder)
    command = ["make", "--no-print-directory", "help"]
    environment = {"PATH": os.environ["PATH"], "CDPATH": str(tmp_path)}
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)


def test_wrong_arguments_print_the_usage(machine: Machine) -> None:
    done = machine.run()
    assert done.returncode == 2
    assert "find_python.sh choose [PYTHON]" in done.stderr
