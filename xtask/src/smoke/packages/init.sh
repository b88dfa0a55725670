#!/bin/busybox sh
# The first process of the machine that `cargo xtask smoke --level packages` boots: starts systemd of the Debian
# in /image. /settings has the kernel modules and the time limit.
/bin/busybox --install -s /bin
export PATH=/bin
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t devtmpfs dev /dev

# Set by /settings; declared here for shellcheck.
modules='' limit_seconds=300
# shellcheck source=/dev/null
. /settings
# If the host process is gone, nothing else ends this machine.
(sleep "$limit_seconds" && poweroff -f) &

for module in $modules; do
  insmod "/modules/$module.ko.xz" || echo "smoke: 0 failed userspace the kernel module $module cannot be loaded"
done

mkdir -p /image/smoke
mv /context /test.sh /image/smoke
# Not older than /usr, so that systemd rebuilds no caches.
touch /image/etc/.updated /image/var/.updated
# No more than what listens: without logins.
cat >/image/etc/systemd/system/smoke.target <<'UNIT'
[Unit]
Requires=basic.target
Wants=smoke.service
After=basic.target
UNIT
cat >/image/etc/systemd/system/smoke.service <<'UNIT'
[Unit]
After=basic.target
[Service]
ExecStart=/bin/sh /smoke/test.sh
StandardOutput=tty
StandardError=tty
TTYPath=/dev/console
UNIT

# As switch_root does it, but without removing the files, which are on the same file system. The root has to be a mount
# point: the initramfs itself is none that runc could leave.
mount --bind /image /image
cd /image || exit 1
mount --move . /
exec chroot . /usr/lib/systemd/systemd --unit=smoke.target
