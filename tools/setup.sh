#!/usr/bin/env bash
# Makes what a target of the Makefile needs, and nothing the second time.
#
#   tools/setup.sh run          .venv with the package
#   tools/setup.sh native       and the data path compiled
#   tools/setup.sh development  .venv with the package and the tools of `make lint` and `make test`
#   tools/setup.sh test         and the data path compiled, a parser to judge ours by, and, on CI as root, the programs
#                               that tests start
#   tools/setup.sh bench        and what `make bench` draws with
#
# Works as root or not. What is missing and cannot be installed here is said in one line, exit 1.
set -euo pipefail
cd "$(dirname "$0")/.."

VENV=.venv
# program:Debian package, for each program that a test starts and this repository does not bring.
TEST_PROGRAMS=(gcc:gcc ss:iproute2 ip:iproute2 iptables:iptables slowhttptest:slowhttptest unshare:util-linux prlimit:util-linux
  redis-server:redis-server redis-sentinel:redis-sentinel)
ORACLE=gunicorn_h1c==0.6.9
# By a plain path: the finder that setuptools would install instead costs every process of ours 13 ms.
EDITABLE=(--config-settings editable_mode=compat --editable)

fail() {
  echo "setup: $*" >&2
  exit 1
}

find_python() {
  local candidate
  for candidate in "${PYTHON:-python3}" python3.13 python3.12 python3.11 python3.10; do
    # A name on the PATH may still be a shim for a version that is not there: run it.
    if "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 10))' 2>/dev/null; then
      echo "$candidate"
      return
    fi
  done
  fail "no Python >= 3.10 found: install python3 (Debian, Ubuntu: apt-get install python3 python3-venv) or set PYTHON"
}

# A directory that was moved or copied here has scripts that start another one's Python.
venv_is_usable() {
  "$VENV/bin/python" -c 'import pip' 2>/dev/null && head -n 1 "$VENV/bin/pip" | grep -qF "$PWD/$VENV/"
}

make_venv() {
  if venv_is_usable; then return; fi
  local python package
  python=$(find_python)
  package=$(basename "$python")-venv
  if ! "$python" -c 'import venv, ensurepip' 2>/dev/null; then
    install_packages "$package" ||
      fail "$python has no venv module: install it (Debian, Ubuntu: apt-get install $package)"
  fi
  echo "setup: making $VENV with $("$python" --version)"
  rm -rf "$VENV"
  "$python" -m venv "$VENV" || fail "$python -m venv failed (see above)"
}

# Installs the package with the given extras unless the stamp says that it was done for this
# pyproject.toml. A larger set of extras covers a smaller one.
install_package() {
  local stamp=$VENV/.installed-$1 extras=$2 sum
  sum=$(cksum pyproject.toml)
  if [[ -f $stamp && $(<"$stamp") == "$sum" ]]; then return; fi
  echo "setup: installing lb${extras} into $VENV"
  install_by_uv "${extras}" || install_by_pip "${EDITABLE[@]}" ".${extras}" || fail "pip could not install the package (see above)"
  echo "$sum" >"$stamp"
}

install_by_pip() {
  "$VENV/bin/python" -m pip install -qq --disable-pip-version-check "$@"
}

# uv takes a third of pip's time. Where it cannot be had, or cannot do it, pip does the same and says what is wrong.
# What `make run` installs is compiled to bytecode at once, so that its first start is as quick as the next.
install_by_uv() {
  local extras=$1 options=(-q --python "$VENV/bin/python")
  [[ -n $extras ]] || options+=(--compile-bytecode)
  install_by_pip 'uv>=0.8' 2>/dev/null && "$VENV/bin/uv" pip install "${options[@]}" "${EDITABLE[@]}" ".$extras" 2>/dev/null
}

can_install_packages() {
  [[ ${CI:-} == true && $(id -u) == 0 ]] && command -v apt-get >/dev/null
}

install_packages() {
  can_install_packages || return 1
  echo "setup: installing $*"
  { apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$@"; } \
    >/dev/null 2>"$VENV.apt.log" || { cat "$VENV.apt.log" >&2; return 1; }
  rm -f "$VENV.apt.log"
}

# Elsewhere than on CI a missing program is said, and its tests skip; on CI they would fail.
install_test_programs() {
  local entry missing=()
  for entry in "${TEST_PROGRAMS[@]}"; do
    PATH=$PATH:/usr/sbin:/sbin command -v "${entry%%:*}" >/dev/null || missing+=("${entry##*:}")
  done
  if ((${#missing[@]} == 0)); then return; fi
  install_packages "${missing[@]}" || echo "setup: tests will miss ${missing[*]} (apt-get install ${missing[*]})" >&2
}

# Beside the packages of the venv, not among them: gunicorn takes this parser up by itself where it can import it, and
# then accepts bare line feeds and folded lines. Elsewhere than on CI its tests skip without it; it comes as source.
install_oracle() {
  local folder=$VENV/oracles
  if [[ -f $folder/.installed && $(<"$folder/.installed") == "$ORACLE" ]]; then return; fi
  echo "setup: installing $ORACLE into $folder"
  rm -rf "$folder"
  if install_by_pip --no-deps --target "$folder" "$ORACLE"; then
    echo "$ORACLE" >"$folder/.installed"
  else
    rm -rf "$folder"
    [[ ${CI:-} != true ]] || fail "pip could not build $ORACLE (see above): it takes gcc"
    echo "setup: tests will miss $ORACLE (see above): it takes gcc" >&2
  fi
}

has_development() {
  [[ -f $VENV/.installed-development && $(<"$VENV/.installed-development") == $(cksum pyproject.toml) ]]
}

case ${1:-run} in
  run)
    make_venv
    has_development || install_package run ""
    ;;
  native)
    make_venv
    has_development || install_package native "[native]"
    "$VENV/bin/lb" native
    ;;
  development)
    make_venv
    install_package development "[dev]"
    ;;
  test)
    make_venv
    { install_test_programs && install_oracle; } &
    beside=$!
    install_package development "[dev]"
    wait "$beside"
    ;;
  bench)
    make_venv
    install_package bench "[dev,bench]"
    "$VENV/bin/lb" native --if-possible
    ;;
  *) fail "unknown target '$1': run, native, development, test or bench" ;;
esac
