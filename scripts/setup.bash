# Sourced by the scripts beside it: makes .venv, finds or installs Dovecot. Silent when nothing is to do.
# shellcheck shell=bash

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd -P)

say() { printf '%s: %s\n' "${0##*/}" "$*" >&2; }
fail() { say "$@"; exit 1; }

# Print a Python that is new enough: $PYTHON if set, else the first one that is found.
find_python() {
    local python
    for python in ${PYTHON:-python3 python3.14 python3.13 python3.12 python3.11}; do
        if "$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
            command -v "$python"
            return
        fi
    done
    fail "needs Python 3.11 or newer; found $("${PYTHON:-python3}" --version 2>&1 || true). Install one, or set PYTHON=/path/to/python3"
}

# make_venv [EXTRA]: install the package and an extra into .venv, unless that is done already.
make_venv() {
    local extra=${1:-} python output
    local stamp=$root/.venv/installed${extra:+-$extra}
    local wanted
    wanted="$root $(cksum <"$root/pyproject.toml")"
    [ -x "$root/.venv/bin/python" ] && [ "$(cat "$stamp" 2>/dev/null)" = "$wanted" ] && return

    say "installing into .venv (once, about a minute)"
    if ! "$root/.venv/bin/python" -c '' 2>/dev/null; then
        python=$(find_python)
        rm -rf "$root/.venv"
        output=$("$python" -m venv "$root/.venv" 2>&1) ||
            fail "$python cannot make a virtual environment; on Debian: apt-get install python3-venv"$'\n'"$output"
    fi
    # The stamps go first: after an interrupted installation nothing looks done.
    rm -f "$root"/.venv/installed*
    output=$("$root/.venv/bin/python" -m pip install --quiet --disable-pip-version-check --no-input \
        --retries 2 --editable "$root${extra:+[$extra]}" 2>&1) ||
        fail "pip cannot install the dependencies; is pypi.org (or your index) reachable?"$'\n'"$(tail -n 5 <<<"$output")"
    printf '%s\n' "$wanted" | tee "$stamp" >"$root/.venv/installed"
}

as_root() { if [ "$(id -u)" = 0 ]; then "$@"; else sudo -n "$@"; fi; }

# install_packages PACKAGE...: by apt-get, without starting the services that come with them.
install_packages() {
    command -v apt-get >/dev/null && as_root true 2>/dev/null || return 1
    as_root sh -ec '
        export DEBIAN_FRONTEND=noninteractive
        policy=/usr/sbin/policy-rc.d
        if [ ! -e $policy ]; then
            trap "rm -f $policy" EXIT
            printf "#!/bin/sh\nexit 101\n" >$policy
            chmod 755 $policy
        fi
        apt-get update -qq
        apt-get install -qq -y --no-install-recommends "$@"
    ' install_packages "$@" >/dev/null
}

# have_dovecot: is a Dovecot here that the tests can run? Says why not.
have_dovecot() {
    (cd "$root" && .venv/bin/python -c 'import sys; from tests.harness.dovecot import why_missing; sys.exit(why_missing())')
}
