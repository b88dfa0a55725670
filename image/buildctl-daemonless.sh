#!/bin/sh
# Runs one buildctl command with a buildkitd of its own, which ends with it:
#   buildctl-daemonless.sh build --frontend dockerfile.v0 …
# The environment may change: BUILDCTL, BUILDKITD and ROOTLESSKIT, the commands; BUILDKITD_FLAGS,
# further flags of the daemon, separated by spaces; BUILDCTL_CONNECT_RETRIES_MAX, how often to
# ask whether it is ready.
set -eu

buildctl=${BUILDCTL:-buildctl}
attempts=${BUILDCTL_CONNECT_RETRIES_MAX:-30}
helper=
if [ "$(id -u)" -ne 0 ]; then helper=${ROOTLESSKIT:-rootlesskit}; fi

folder=$(mktemp -d)
address=unix://$folder/buildkitd.sock
daemon=

finish() {
  status=$?
  trap - EXIT
  if [ -n "$daemon" ]; then
    kill "$daemon" 2>/dev/null || :
    wait "$daemon" 2>/dev/null || :
  fi
  rm -rf "$folder"
  exit "$status"
}
trap finish EXIT
trap 'exit 129' HUP
trap 'exit 130' INT
trap 'exit 143' TERM

# The helper and the flags are lists of words.
# shellcheck disable=SC2086
$helper ${BUILDKITD:-buildkitd} ${BUILDKITD_FLAGS-} --addr "$address" >"$folder/log" 2>&1 &
daemon=$!

until "$buildctl" --addr "$address" debug workers >/dev/null 2>&1; do
  attempts=$((attempts - 1))
  if [ "$attempts" -le 0 ] || ! kill -0 "$daemon" 2>/dev/null; then
    echo "buildctl-daemonless.sh: buildkitd does not answer; it said:" >&2
    cat "$folder/log" >&2
    exit 1
  fi
  sleep 0.5
done

"$buildctl" --addr "$address" "$@"
