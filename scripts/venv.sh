#!/bin/sh
# What scripts/bootstrap and scripts/install share: finding a Python, and filling a virtual environment with the locked
# packages. To be sourced; nothing happens by that.

say() { printf 'tminus: %s\n' "$*" >&2; }
die() {
    say "$*"
    exit 1
}

# Print the first Python that is new enough, of those named and of the usual names.
find_python() {
    for candidate in "$@" python3 python3.14 python3.13 python3.12 python3.11; do
        if "$candidate" -I -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
            printf '%s\n' "$candidate"
            return
        fi
    done
    die "Python 3.11 or newer is needed, and there is no such python3 on PATH; install it, or set PYTHON"
}

# The Python of this environment runs, is new enough, and is still the version that the packages were installed for.
usable() {
    [ -x "$1/bin/python" ] && "$1/bin/python" -I -c '
import os, sys, sysconfig
sys.exit(sys.version_info < (3, 11) or not os.path.isdir(sysconfig.get_path("purelib")))'
}

# fill PYTHON VENV LOCK PACKAGE...: make the environment, or complete it, with the packages of the lock, then with the
# PACKAGE of this checkout (-e . or .). False if the packages could not be had.
fill() {
    # Both keep a cache below HOME.
    [ -w "${HOME:-/nonexistent}" ] || export UV_NO_CACHE=1 PIP_NO_CACHE_DIR=1
    with_uv "$@" || with_pip "$@"
}

# install_locked LOCK PACKAGE... -- INSTALLER...; --no-build-isolation takes the build tool from the locked packages.
install_locked() {
    lock=$1 package=
    shift
    while [ "$1" != -- ]; do
        package="$package $1"
        shift
    done
    shift
    # shellcheck disable=SC2086 # -e and . are two words
    "$@" --quiet --require-hashes --only-binary :all: -r "$lock" &&
        "$@" --quiet --no-deps --no-build-isolation $package
}

with_uv() {
    command -v uv >/dev/null 2>&1 || return 1
    (
        python=$1 venv=$2
        shift 2
        export UV_PYTHON_DOWNLOADS=never
        { usable "$venv" || uv venv --quiet --python "$python" "$venv"; } &&
            install_locked "$@" -- uv pip install --python "$venv/bin/python"
    ) && return
    say "uv could not do it, trying pip ..."
    return 1
}

with_pip() {
    python=$1 venv=$2
    shift 2
    # Debian splits ensurepip off: then the folder is made, without pip.
    if usable "$venv" && "$venv/bin/python" -m pip --version >/dev/null 2>&1 ||
        "$python" -m venv "$venv" >/dev/null 2>&1; then
        install_locked "$@" -- "$venv/bin/python" -m pip --disable-pip-version-check install
    elif "$python" -m pip --version >/dev/null 2>&1 && "$python" -m venv --without-pip "$venv"; then
        install_locked "$@" -- "$python" -m pip --disable-pip-version-check --python "$venv/bin/python" install
    else
        die "$python can make no virtual environment here; run 'apt install python3-venv' and start this again"
    fi
}
