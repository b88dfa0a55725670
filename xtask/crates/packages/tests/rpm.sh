#!/bin/sh
# Our RPM in a root of its own, by the real rpm: installed, upgraded from an older version, removed. `rpm.sh ROOT RPM OLDER`, run by
# tests/rpm.rs in namespaces of its own. Prints what the scripts asked systemd for.
set -eu
root=$1 new=$2 older=$3
config=$root/etc/buildkit/buildkitd.toml

fail() {
  echo "$*" >&2
  exit 1
}

# Of another architecture, and without its dependencies and signature. The plugins of rpm need rights that are missing in a namespace.
rpm_in_root() {
  rpm --root "$root" --noplugins "$@" >"$root.log" 2>&1 || fail "rpm $*: $(cat "$root.log")"
  # rpm goes on after some scripts that fail.
  ! grep -q scriptlet "$root.log" || fail "rpm $*: $(cat "$root.log")"
}

# The scripts need a shell, and systemd's program that they call, which writes down its arguments here.
mkdir -p "$root/bin" "$root/usr/lib/systemd"
cp /bin/sh "$root/bin/sh"
ldd /bin/sh | grep -o '/[^ ]*' | while read -r library; do
  mkdir -p "$root$(dirname "$library")"
  cp "$library" "$root$library"
done
printf '#!/bin/sh\necho "$*" >>/asked\n' >"$root/usr/lib/systemd/systemd-update-helper"
chmod +x "$root/usr/lib/systemd/systemd-update-helper"

rpm_in_root --install --nodeps --ignorearch --nosignature "$older"
echo '# changed by an administrator' >>"$config"
echo upgrade >>"$root/asked"
rpm_in_root --upgrade --nodeps --ignorearch --nosignature "$new"
tail -n 1 "$config" | grep -q changed || fail "$config has lost its change"
[ "$(rpm --root "$root" --query --queryformat '%{VERSION}\n' buildkit)" = 0.32.2 ] || fail 'rpm has two versions'
mkdir -p "$root/var/lib/buildkit/cache"
echo erase >>"$root/asked"
rpm_in_root --erase buildkit
cat "$root/asked"
find "$root" -name '*buildkit*' -printf '%P\n' | sort
