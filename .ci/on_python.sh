#!/usr/bin/env bash
# .ci/on_python.sh 3.13: run `make smoke` on another Python as a new user would: fresh clone, empty HOME, two jobs at
# a time. Cached packages are not downloaded again.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

# PYENV_VERSION selects the version for pyenv's shims; any other Python ignores it.
python=$(PYENV_VERSION=$1 "python$1" -c 'import sys; print(sys.executable)') || {
    echo "error: python$1 is missing or does not run: install it with venv" >&2
    exit 1
}
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
git clone --quiet . "$folder/clone"
mkdir "$folder/home"
export HOME="$folder/home" UV_CACHE_DIR="${UV_CACHE_DIR:-$PWD/var/cache/uv}"
# A changed kernel must make parity fail on one Python; that says nothing of another.
export PYTEST_ADDOPTS='-k "not the_comparison_fails_when"'
make -C "$folder/clone" -j2 smoke PYTHON="$python"
