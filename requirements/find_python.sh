#!/usr/bin/env bash
# Finds the Python that the environments below var/env/ are made with. Called by the Makefile, before there is any.
#
#   find_python.sh choose [PYTHON]     prints the path of PYTHON; without it, of the Python used last, or else of the
#                                      newest supported one on PATH; exits 1 with a message if there is none
#   find_python.sh outdated [PYTHON]   prints the `.installed` of each environment that another Python made
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

SUPPORTED="3.13 3.12 3.11"
# Stands on PATH is not enough: pyenv's shims do even where they lead nowhere.
PROBE='import sys; print("%d.%d" % sys.version_info[:2]); import venv, ensurepip; print(getattr(sys, "_base_executable", "") or sys.executable)'
BUILD='import sys; print(sys.version)'
found=""

# Sets `path` if the candidate will do; otherwise notes in `found` why not.
probe() {
    local candidate=$1 answer version missing
    path=""
    command -v "$candidate" >/dev/null 2>&1 || { found+="  $candidate: not there"$'\n'; return 1; }
    answer=$("$candidate" -I -c "$PROBE" 2>&1) && missing="" || missing=yes
    version=${answer%%$'\n'*}
    case " $SUPPORTED " in
        *" $version "*) ;;
        *) [[ $version =~ ^[0-9]+\.[0-9]+$ ]] && found+="  $candidate: Python $version"$'\n' || found+="  $candidate: does not run"$'\n'
           return 1 ;;
    esac
    [ -z "$missing" ] || { found+="  $candidate: Python $version without venv or ensurepip (Debian, Ubuntu: apt install python$version-venv)"$'\n'; return 1; }
    path=${answer#*$'\n'}
}

# The environment that was installed last, if any is there.
used_last() { ls -t var/env/*/.installed 2>/dev/null | head -n 1 | sed 's/\.installed$/bin\/python/'; }

choose() {
    local candidate last
    if [ -n "${1:-}" ]; then
        probe "$1" && return
        printf 'error: PYTHON=%s is not a Python that will do; Python %s with venv is needed:\n%s' \
            "$1" "${SUPPORTED// /, }" "$found" >&2
        return 1
    fi
    last=$(used_last)
    [ -n "$last" ] && probe "$last" && return
    found=""
    for candidate in $(printf 'python%s ' $SUPPORTED) python3 python; do
        probe "$candidate" && return
    done
    printf 'error: Python %s with venv is needed, and none was found:\n%s' "${SUPPORTED// /, }" "$found" >&2
    printf 'install one (Debian 13: apt install python3-venv; macOS: brew install python@3.13), or name one: PYTHON=<path>\n' >&2
    return 1
}

outdated() {
    local chosen installed
    compgen -G 'var/env/*/.installed' >/dev/null || return 0
    chosen=$(choose "${1:-}" 2>/dev/null && "$path" -I -c "$BUILD") || chosen=""
    for installed in var/env/*/.installed; do
        [ "$("${installed%.installed}bin/python" -I -c "$BUILD" 2>/dev/null)" = "$chosen" ] && [ -n "$chosen" ] || echo "$installed"
    done
}

case "${1:-}" in
    choose) choose "${2:-}" && printf '%s\n' "$path" ;;
    outdated) outdated "${2:-}" ;;
    *) sed -n '2,7s/^# \{0,1\}//p' "${BASH_SOURCE[0]}" >&2; exit 2 ;;
esac
