#!/usr/bin/env bash
# Proves the README's two commands on a Debian 12 that has nothing but its base system: makes a bare root with
# debootstrap, clones this tree into it and runs them there.   Needs root, debootstrap and a Debian mirror.
#   scripts/prove_bare_debian.sh [--keep] [run|test|both]
set -euo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)

keep=no what=both
for argument in "$@"; do
  case "$argument" in
    --keep) keep=yes ;;
    run|test|both) what=$argument ;;
    *) sed -n '2,4s/^# \{0,1\}//p' "$0"; exit 2 ;;
  esac
done
[ "$(id -u)" -eq 0 ] || { echo "prove_bare_debian.sh: needs root for debootstrap and chroot" >&2; exit 7; }
command -v debootstrap >/dev/null || { echo "prove_bare_debian.sh: install debootstrap" >&2; exit 7; }

bare=$(mktemp -d)
chmod 755 "$bare"
cleanup() {
  umount -q "$bare/proc" 2>/dev/null || true
  umount -q "$bare/dev" 2>/dev/null || true
  if [ "$keep" = yes ]; then echo "kept: $bare"; else rm -rf --one-file-system "$bare"; fi
}
trap cleanup EXIT

echo "bare root: debootstrap bookworm"
debootstrap --variant=minbase bookworm "$bare" "${FURROW_MIRROR:-http://deb.debian.org/debian}" >"$bare.log" 2>&1 || {
  tail -n 5 "$bare.log" >&2
  exit 7
}
rm -f "$bare.log"
# The host's way to its mirror (resolver, proxy, certificates) is part of the network, not of the system under test.
cp -L /etc/resolv.conf "$bare/etc/resolv.conf" 2>/dev/null || true
cp -r /etc/apt/apt.conf.d/. "$bare/etc/apt/apt.conf.d/" 2>/dev/null || true
mount -t proc proc "$bare/proc"
mount --bind /dev "$bare/dev"
git clone -q "$root" "$bare/root/furrow"

inside() {  # inside COMMAND: in the bare root with an empty environment, timed
  local begin=$SECONDS
  chroot "$bare" /usr/bin/env -i HOME=/root PATH=/usr/sbin:/usr/bin:/sbin:/bin TERM=dumb \
    http_proxy="${http_proxy:-}" https_proxy="${https_proxy:-}" \
    bash -c "cd /root/furrow && $1"
  echo "== '$1' took $((SECONDS - begin)) s"
}
inside "scripts/setup.sh --for run --yes"
[ "$what" = test ] || { inside "scripts/run.sh --yes"; inside "scripts/run.sh --yes"; }
[ "$what" = run ] || inside "scripts/test.sh --all"
