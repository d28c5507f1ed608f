#!/usr/bin/env bash
# Installs the packages that Furrow builds with, and nothing else.
#   scripts/setup.sh [--for run|test|soak] [--yes]
# Debian 12 is tried (a bare root, scripts/prove_bare_debian.sh); the names are the same on Ubuntu 24.04, untried there.
set -euo pipefail

purpose=run yes=no
while [ $# -gt 0 ]; do
  case "$1" in
    --for) purpose="${2:?--for needs run, test or soak}"; shift 2 ;;
    --yes|-y) yes=yes; shift ;;
    -h|--help) sed -n '2,4s/^# \{0,1\}//p' "$0"; exit 0 ;;
    *) echo "setup.sh: unknown argument '$1' (see --help)" >&2; exit 2 ;;
  esac
done

# Program: compiler, build tools, header libraries, zlib and yaml-cpp (linked statically), the face cascade.
# `furrow model get` wants curl and ca-certificates besides; nothing else does.
packages=(g++ cmake ninja-build zlib1g-dev libcli11-dev nlohmann-json3-dev libyaml-cpp-dev opencv-data)
case "$purpose" in
  run) ;;
  test) packages+=(libstb-dev libgtest-dev libbenchmark-dev libopenmpi-dev openmpi-bin ccache python3 curl zstd) ;;
  soak) packages+=(libstb-dev libgtest-dev libbenchmark-dev libopenmpi-dev openmpi-bin ccache python3 curl zstd
    clang llvm libclang-rt-14-dev python3-torch python3-opencv python3-pil python3-numpy) ;;
  *) echo "setup.sh: --for takes run, test or soak, not '$purpose'" >&2; exit 2 ;;
esac

command -v dpkg-query >/dev/null || {
  echo "setup.sh: this script knows Debian and Ubuntu only; install the equivalents of: ${packages[*]}" >&2
  exit 5
}
missing=()
for package in "${packages[@]}"; do
  [ "$(dpkg-query -W -f='${Status}' "$package" 2>/dev/null)" = "install ok installed" ] || missing+=("$package")
done
[ ${#missing[@]} -gt 0 ] || { echo "setup: all ${#packages[@]} packages are installed"; exit 0; }

as_root=()
[ "$(id -u)" -eq 0 ] || as_root=(sudo)
echo "setup: to be installed with ${as_root[*]:+sudo }apt-get: ${missing[*]}"
if [ "$yes" = no ]; then
  [ -t 0 ] || { echo "setup.sh: not a terminal to ask on; run again with --yes" >&2; exit 2; }
  read -r -p "Install them now? [y/N] " answer
  case "$answer" in y|Y|yes) ;; *) echo "setup: nothing installed"; exit 130 ;; esac
fi
"${as_root[@]}" apt-get update -qq
"${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends \
  "${missing[@]}" >/dev/null
echo "setup: installed ${#missing[@]} packages"
