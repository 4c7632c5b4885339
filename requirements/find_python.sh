#!/usr/bin/env bash
# Finds the Python for the environments below var/env/. The Makefile calls it before any of them exists.
#
#   find_python.sh choose [PYTHON]     prints the path of PYTHON; without it, of the Python used last, or else of the
#                                      newest supported one on PATH; exits 1 with a message if there is none
#   find_python.sh outdated [PYTHON]   prints the `.installed` file of each environment made by another Python
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

SUPPORTED="3.13 3.12 3.11"
NEEDED="Python ${SUPPORTED// /, } with venv is needed"
# Prints the version, then the real interpreter: the one on PATH may be a shim or a virtual environment.
PROBE='import sys; print("%d.%d" % sys.version_info[:2]); import ensurepip, venv; print(getattr(sys, "_base_executable", "") or sys.executable)'
BUILD='import sys; print(sys.version)'
path=""
refused=""

refuse() { refused+="  $1: $2"$'\n'; return 1; }

# Sets `path` to the interpreter behind a name or a path, or adds the reason for rejecting it to `refused`.
probe() {
    local answer version complete=yes
    command -v "$1" >/dev/null || { refuse "$1" "not found"; return; }
    answer=$("$1" -I -c "$PROBE" 2>/dev/null) || complete=no
    version=${answer%%$'\n'*}
    [ -n "$version" ] || { refuse "$1" "found, but does not run"; return; }
    case " $SUPPORTED " in *" $version "*) ;; *) refuse "$1" "Python $version"; return ;; esac
    [ $complete = yes ] || { refuse "$1" "Python $version without venv or ensurepip (Debian: apt install python$version-venv)"; return; }
    path=${answer#*$'\n'}
}

# The interpreter of the environment installed last, if any.
used_last() { ls -t var/env/*/.installed 2>/dev/null | head -n 1 | sed 's|\.installed$|bin/python|'; }

choose() {
    local candidate last
    if [ -n "$1" ]; then
        probe "$1" && return
        printf 'error: PYTHON=%s cannot be used. %s:\n%s' "$1" "$NEEDED" "$refused" >&2
        return 1
    fi
    last=$(used_last)
    for candidate in ${last:+"$last"} $(printf 'python%s ' $SUPPORTED) python3 python; do
        probe "$candidate" && return
    done
    printf 'error: no usable Python was found. %s:\n%s' "$NEEDED" "$refused" >&2
    echo "Install one (Debian, Ubuntu: apt install python3-venv; macOS: brew install python@3.13), or set PYTHON=<path>" >&2
    return 1
}

outdated() {
    local chosen installed
    compgen -G 'var/env/*/.installed' >/dev/null || return 0
    chosen=$(choose "$1" 2>/dev/null && "$path" -I -c "$BUILD") || chosen=none
    for installed in var/env/*/.installed; do
        [ "$("${installed%.installed}bin/python" -I -c "$BUILD" 2>/dev/null)" = "$chosen" ] || echo "$installed"
    done
}

case "${1:-}" in
    choose) choose "${2:-}" && printf '%s\n' "$path" ;;
    outdated) outdated "${2:-}" ;;
    *) sed -n '2,6s/^# \{0,1\}//p' "${BASH_SOURCE[0]}" >&2; exit 2 ;;
esac
