#!/usr/bin/env bash
# .ci/on_python.sh 3.13: the short line on another Python, as a newcomer meets it: a bare clone, an empty HOME, two jobs
# at once. Packages that were downloaded before are not downloaded again.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

# pyenv's shims run the version that PYENV_VERSION names; every other Python ignores it.
python=$(PYENV_VERSION=$1 "python$1" -c 'import sys; print(sys.executable)') || {
    echo "error: python$1 is not there or does not run: install it, with its venv" >&2
    exit 1
}
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
git clone --quiet . "$folder/clone"
mkdir "$folder/home"
export HOME="$folder/home" UV_CACHE_DIR="${UV_CACHE_DIR:-$PWD/var/cache/uv}"
make -C "$folder/clone" -j2 smoke PYTHON="$python"
