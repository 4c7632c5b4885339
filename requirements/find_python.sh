#!/usr/bin/env bash
# Finds the Python for the environments below var/env/. The Makefile calls it before any of them exists.
#
#   find_python.sh choose [PYTHON]     prints the path of PYTHON; without it, of the Python used last, or else of the
#                                      newest supported one on PATH; exits 1 with a message if there is none
#   find_python.sh outdated [PYTHON]   prints the `.installed` file of each environment made by another Python, or in
#                                      another folder: it was moved or copied since, and its scripts name the old one
#   find_python.sh folder              prints why the project cannot be used in this folder, or nothing
set -euo pipefail
unset CDPATH
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

# Whether an environment lies where it was installed.
in_place() {
    local stated
    stated=$(sed -n "s/^VIRTUAL_ENV='\(.*\)'$/\1/p" "$1/bin/activate" 2>/dev/null) || return 0
    [ -z "$stated" ] || [ "$stated" -ef "$1" ]
}

outdated() {
    local chosen installed
    compgen -G 'var/env/*/.installed' >/dev/null || return 0
    chosen=$(choose "$1" 2>/dev/null && "$path" -I -c "$BUILD") || chosen=none
    for installed in var/env/*/.installed; do
        if [ "$("${installed%.installed}bin/python" -I -c "$BUILD" 2>/dev/null)" != "$chosen" ] ||
            ! in_place "${installed%/.installed}"; then
            echo "$installed"
        fi
    done
}

# A colon separates paths, quotes and dollars mean something to shells, a percent sign or a hash to URLs.
folder() {
    local LC_ALL=C place problem="" unusable='[]!"#$%&'\''*,:;<>?[\^`{|}[:cntrl:]]'
    for place in "$PWD" "$(pwd -P)"; do
        if [[ $place =~ $unusable ]]; then
            problem="has the character $(printf %q "${BASH_REMATCH[0]}"), which Java, Spark or make cannot handle"
        elif [[ $place == *[!\ -~]* ]] && command -v iconv >/dev/null && ! iconv -f UTF-8 -t UTF-16 <<<"$place" >/dev/null 2>&1; then
            problem="is not UTF-8"
        fi
    done
    [ -z "$problem" ] || echo "error: the path of this folder $problem: move the project to a path with letters, digits," \
        "spaces and . _ - + = @ ~ ( ) only"
}

case "${1:-}" in
    choose) choose "${2:-}" && printf '%s\n' "$path" ;;
    outdated) outdated "${2:-}" ;;
    folder) folder ;;
    *) sed -n '2,8s/^# \{0,1\}//p' "${BASH_SOURCE[0]}" >&2; exit 2 ;;
esac
