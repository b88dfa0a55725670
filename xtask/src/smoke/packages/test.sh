#!/bin/sh
# Run by systemd in the machine of `cargo xtask smoke --level packages`, in which the package is installed.
# The host reads each line `smoke: <seconds> <phase> <detail>` on the console.
socket=/run/buildkit/buildkitd.sock

status() {
  echo "smoke: $(cut -d ' ' -f 1 /proc/uptime) $*"
}

power_off() {
  status end
  systemctl poweroff
  exit
}

fail() {
  status failed "$@"
  echo '--- what systemd knows of the units'
  systemctl --no-pager --full status buildkit.socket buildkit.service
  journalctl --no-pager --lines 40 --unit buildkit.service
  power_off
}

# Fails in phase $1 unless the units are in the states $2 and $3.
expect() {
  states="$(systemctl is-active buildkit.socket) $(systemctl is-active buildkit.service)"
  [ "$states" = "$2 $3" ] || fail "$1" "the socket and the service are $states, not $2 $3"
}

# Asks the daemon through its socket, which starts it.
ask() {
  buildctl debug workers >/run/workers 2>&1 || fail "$1" "buildctl gets no answer: $(tail -n 1 /run/workers)"
}

main_process() {
  systemctl show --property MainPID --value buildkit.service
}

status userspace "$(uname -r), $(systemctl --version | head -n 1)"
expect listening active inactive
[ -S "$socket" ] || fail listening "there is no $socket"
status listening "systemd listens at $socket, and the daemon does not run"

ask daemon
expect daemon active active
status daemon "$(awk 'NR == 2 { print $2 }' /run/workers)"

buildctl build --progress plain --frontend dockerfile.v0 --local context=/smoke/context \
  --local dockerfile=/smoke/context --output type=local,dest=/smoke/built >/run/build.log 2>&1 ||
  fail build "$(tail -n 1 /run/build.log)"
status build "$(tr '\n' ' ' </smoke/built/hello)"

# A newer version, uncompressed, made of the same files.
before=$(main_process)
dpkg --install /smoke/buildkit.deb >/run/dpkg.log 2>&1 || fail restart "$(tail -n 1 /run/dpkg.log)"
expect restart active active
ask restart
[ "$(main_process)" != "$before" ] || fail restart "process $before, of before the upgrade, still is the daemon"
status restart "process $(main_process) in place of $before"

dpkg --purge buildkit >/run/dpkg.log 2>&1 || fail purge "$(tail -n 1 /run/dpkg.log)"
expect purge inactive inactive
! [ -e "$socket" ] || fail purge "$socket is still there"
! [ -e /var/lib/buildkit ] || fail purge "/var/lib/buildkit is still there"
status purge 'no unit runs, and neither socket nor state is left'
power_off
