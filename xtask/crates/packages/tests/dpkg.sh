#!/bin/sh
# Our Debian package in a root of its own, by the real dpkg with the scripts outside of that root (DPKG_ROOT), on a machine that
# has BuildKit too: `dpkg.sh ROOT DEB OLDER none|below|at`, where something is mounted at the purge: nowhere, below the state of the
# daemon, or at it. Run by tests/debian.rs in namespaces of its own. Each script runs twice.
set -eu
# dpkg looks for programs of administrators, which a user's PATH does not have.
PATH=${PATH}:/usr/local/sbin:/usr/sbin:/sbin
root=$1 deb=$2 older=$3 mounted=$4 control=$1.control

fail() {
  echo "$*" >&2
  exit 1
}

dpkg_in_root() {
  dpkg --root="$root" --force-script-chrootless --force-architecture --force-depends "$@" >"$root.log" 2>&1 ||
    fail "dpkg $*: $(cat "$root.log")"
}

# Every file but dpkg's own, and where links lead.
files() {
  find "$root" -path "$root/var/lib/dpkg" -prune -o -printf '%p %y %l\n' | sort
}

# Runs a script once more, which has to change nothing.
again() {
  before=$(files) name=$1
  shift
  DPKG_ROOT=$root DPKG_MAINTSCRIPT_PACKAGE=buildkit DPKG_MAINTSCRIPT_NAME=$name sh "$control/$name" "$@" >"$root.log" 2>&1 ||
    fail "$name $* fails the second time: $(cat "$root.log")"
  [ "$before" = "$(files)" ] || fail "$name $* changes something the second time: $before $(files)"
}

is_kept() {
  [ -e "$1" ] || [ -h "$1" ] || fail "$1 is gone"
}

# The machine's own, which none of this is about.
mount -t tmpfs tmpfs /var/lib
mount -t tmpfs tmpfs /run
mkdir -p /var/lib/buildkit/cache /run/buildkit
dpkg-deb --control "$deb" "$control"

mkdir -p "$root/var/lib/dpkg" "$root/etc/systemd/system"
: >"$root/var/lib/dpkg/status"
masked=$root/etc/systemd/system/buildkit.service
ln -s /dev/null "$masked"
dpkg_in_root --install "$older"
is_kept "$root/etc/systemd/system/sockets.target.wants/buildkit.socket"
dpkg_in_root --install "$deb"
again postinst configure 0.31.0-1
again prerm remove
dpkg_in_root --remove buildkit
again postrm remove
[ "$(readlink "$masked")" = /dev/null ] || fail 'a masked unit is not masked any more'

# Of the state: a file system, and a directory of the same file system, which is no other device.
state=$root/var/lib/buildkit
mkdir -p "$state/cache" "$state/disk" "$state/directory" "$root/elsewhere"
: >"$root/elsewhere/data"
mount -t tmpfs tmpfs "$state/disk"
: >"$state/disk/data"
case $mounted in
below) mount --bind "$root/elsewhere" "$state/directory" ;;
at) mount --bind "$root/elsewhere" "$state" ;;
none) umount "$state/disk" ;;
esac
dpkg_in_root --purge buildkit
again postrm purge
is_kept "$root/elsewhere/data"
case $mounted in
none) [ ! -e "$state" ] || fail "$state is still there" ;;
*) grep -q 'is not removed' "$root.log" || fail "purge does not say what it leaves: $(cat "$root.log")" ;;
esac
is_kept /var/lib/buildkit/cache
is_kept /run/buildkit
[ "$(readlink "$masked")" = /dev/null ] || fail 'a purge takes the mask of a unit away'
