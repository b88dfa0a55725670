#!/bin/busybox sh
# The first process of the machine that `cargo xtask smoke --level machine` boots. The image's files
# are in /image; /settings has the image's command and environment.
# The host reads each line `smoke: <seconds> <phase> <detail>` on the console.
/bin/busybox --install -s /bin
export PATH=/bin
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t devtmpfs dev /dev

status() {
  echo "smoke: $(cut -d ' ' -f 1 /proc/uptime) $*"
}

power_off() {
  # The results of the builds and the daemon's log, as a tar archive from the start of the disk.
  (cd /context && touch riscv64.tar both.tar && cp /daemon.log . && tar -cf /dev/vda riscv64.tar both.tar daemon.log)
  sync
  status end
  poweroff -f
}

fail() {
  status failed "$@"
  echo '--- the last lines of buildkitd'
  tail -n 40 /daemon.log
  power_off
}

# Set by /settings; declared here for shellcheck.
modules='' limit_seconds=300 daemon_limit_seconds=200
# shellcheck source=/dev/null
. /settings
touch /daemon.log
status userspace "$(uname -r)"
# If the host process is gone, nothing else ends this machine.
(sleep "$limit_seconds" && poweroff -f) &

for module in $modules; do
  insmod "/modules/$module.ko.xz" || fail userspace "the kernel module $module cannot be loaded"
done
ip link set lo up

# What an engine sets up for a privileged container: a root that is a mount point, the kernel's
# file systems, directories in memory, and a volume.
mount --bind /image /image
for folder in proc sys dev run tmp mnt var/lib/buildkit; do mkdir -p "/image/$folder"; done
mount -t sysfs sys /image/sys
mount -t cgroup2 cgroup /image/sys/fs/cgroup
mount -t devtmpfs dev /image/dev
mkdir -p /image/dev/pts /image/dev/shm
mount -t devpts devpts /image/dev/pts
for folder in dev/shm run tmp var/lib/buildkit; do mount -t tmpfs tmpfs "/image/$folder"; done
mount --bind /context /image/mnt

# The image's command as process 1 of new namespaces.
unshare -m -p -u -i -f /bin/sh -c '. /settings && mount -t proc proc /image/proc && daemon' >/daemon.log 2>&1 &
daemon_pid=$!
# The client takes seconds to start under emulation and slows the daemon down: wait for the socket first.
socket=/image/run/buildkit/buildkitd.sock
echo "there is no ${socket#/image}" >/workers
until [ -S "$socket" ] && client debug workers >/workers 2>&1; do
  if ! kill -0 "$daemon_pid" 2>/dev/null; then
    wait "$daemon_pid"
    fail daemon "it ended with exit status $?"
  fi
  [ "$(cut -d . -f 1 /proc/uptime)" -lt "$daemon_limit_seconds" ] || fail daemon "it does not answer: $(tail -n 1 /workers)"
  sleep 0.2
done
status daemon "$(awk 'NR == 2 { print $2 }' /workers)"

build() {
  # Shown as it comes, so that the console of a machine that ran out of time says where it was.
  {
    client build --progress plain --frontend dockerfile.v0 --local context=/mnt --local dockerfile=/mnt \
      --opt "platform=$2" --output "type=oci,dest=/mnt/$1.tar,compression=uncompressed" 2>&1
    echo "$?" >/exit_status
  } | tee /build.log
  read -r exit_status </exit_status
  [ "$exit_status" = 0 ] || fail "$1" "$(tail -n 1 /build.log)"
  status "$1" "$2"
}
build riscv64 linux/riscv64
# Nothing is registered in binfmt_misc: the image's own emulators run what is not riscv64.
if [ -e /image/usr/bin/buildkit-qemu-x86_64 ]; then
  build both linux/riscv64,linux/amd64
else
  status both none
fi

# `unshare` is the parent of the image's init, and returns its exit status.
read -r init_pid _ <"/proc/$daemon_pid/task/$daemon_pid/children"
kill -TERM "$init_pid" || fail stopped "process $daemon_pid has no child"
wait "$daemon_pid"
status stopped "$?"
power_off
