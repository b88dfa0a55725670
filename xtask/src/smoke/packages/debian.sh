#!/bin/sh
# One step of the test of packages, in a riscv64 container of Debian: `debian.sh STEP`, in the order below. Prints what
# was seen. `cargo xtask smoke --level packages` runs it, with the packages as /root/buildkit.deb and /root/buildkit.rpm.
set -eu
export DEBIAN_FRONTEND=noninteractive
config=/etc/buildkit/buildkitd.toml

fail() {
  echo "$*" >&2
  exit 1
}

# Prints the output of a command only if it fails.
quietly() {
  "$@" </dev/null >/root/log 2>&1 || fail "$* failed: $(tail -n 5 /root/log)"
}

install() {
  quietly apt-get --quiet --yes --no-install-recommends -o Acquire::Retries=3 install "$@"
}

version() {
  dpkg-query --show --showformat '${db:Status-Abbrev}${Version}' buildkit
}

# Makes a package of that version from the same files.
repack() {
  rm -rf /root/files
  dpkg-deb --raw-extract /root/buildkit.deb /root/files
  sed -i "s/^Version: .*/Version: $1/" /root/files/DEBIAN/control
  quietly dpkg-deb -Znone --build /root/files "$2"
  rm -rf /root/files
}

# The plugins of rpm need rights that a container does not have.
rpm_in_root() {
  rpm --root "$root" --noplugins "$@"
}

case "$1" in
prepare)
  quietly apt-get --quiet -o Acquire::Languages=none -o Acquire::Retries=3 update
  install busybox-static rootlesskit rpm systemd
  ;;
deb-upgrades)
  repack 0~older-1 /root/older.deb
  install /root/older.deb
  [ "$(version)" = 'ii 0~older-1' ] || fail "dpkg has buildkit as $(version)"
  echo '# changed by an administrator' >>"$config"
  quietly systemctl disable buildkit.socket
  install /root/buildkit.deb
  new=$(dpkg-deb --field /root/buildkit.deb Version)
  [ "$(version)" = "ii $new" ] || fail "dpkg has buildkit as $(version)"
  tail -n 1 "$config" | grep -q changed || fail "$config has lost its change"
  # is-enabled fails for a disabled unit, which is what is wanted: only its word counts.
  [ "$(systemctl is-enabled buildkit.socket || true)" = disabled ] || fail 'a disabled socket is enabled again'
  echo "apt-get upgrades from 0~older-1 to $new, and keeps a changed configuration and a disabled socket"
  ;;
deb-removes)
  files=$(dpkg --listfiles buildkit | grep -v '^/etc')
  quietly apt-get --quiet --yes remove buildkit
  [ -e "$config" ] || fail "$config is gone"
  for file in $files; do
    ! [ -f "$file" ] || fail "after a removal $file is left"
  done
  echo "apt-get removes it, and only $config is left"
  ;;
deb-purges)
  mkdir -p /var/lib/buildkit/cache
  quietly apt-get --quiet --yes purge buildkit
  left=$(find / -xdev -name '*buildkit*' '!' -path '/root/*')
  [ -z "$left" ] || fail "after a purge these files are left: $left"
  echo 'apt-get purges it, with the state of the daemon, and no file is left'
  ;;
deb-installs)
  install /root/buildkit.deb
  quietly dpkg --verify buildkit
  [ "$(systemctl is-enabled buildkit.socket)" = enabled ] || fail 'the socket is not enabled'
  echo "$(buildkitd --version); $(buildctl --version); apt-get installs it with $(runc --version | head -n 1), its files" \
    'are as packed, and its socket is enabled'
  ;;
deb-units)
  export XDG_RUNTIME_DIR=/run/user/0
  mkdir -p "$XDG_RUNTIME_DIR"
  for manager in system user; do
    said=$(systemd-analyze "--$manager" verify /usr/lib/systemd/"$manager"/buildkit* 2>&1) || fail "$manager: $said"
    [ -z "$said" ] || fail "systemd-analyze says of the units of the $manager: $said"
  done
  rm -r "$XDG_RUNTIME_DIR"
  echo "systemd-analyze verify of $(systemctl --version | head -n 1) finds nothing, neither in the units of the system" \
    'nor in those of a user'
  ;;
rpm-installs)
  # The scripts of the package need a shell.
  root=$(mktemp -d)
  mkdir "$root/bin"
  cp /bin/busybox "$root/bin/sh"
  quietly rpm_in_root --install --nodeps /root/buildkit.rpm
  quietly rpm_in_root --verify --nodeps buildkit
  printf '%s; ' "$("$root/usr/bin/buildctl" --version)"
  quietly rpm_in_root --erase buildkit
  left=$(find "$root" -name '*buildkit*')
  [ -z "$left" ] || fail "rpm --erase leaves $left"
  rm -r "$root"
  echo "$(rpm --version) installs it into a root of its own, without its dependencies, verifies and erases it"
  ;;
# For the machine: the system, and a newer package to upgrade to.
freeze)
  mkdir /smoke
  repack 9999-1 /smoke/buildkit.deb
  apt-get clean
  rm -rf /var/lib/apt/lists/* /root/*
  ;;
*) fail "there is no step $1" ;;
esac
