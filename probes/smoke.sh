#!/bin/sh
# `make smoke`: starts the demo on ports that are free, asks its key flow through, and stops it.
set -eu
program=$1
here=$(dirname "$0")
log=$(mktemp)
"$program" demo --no-traffic --listen 127.0.0.1:0 --admin 127.0.0.1:0 --color never >"$log" 2>&1 &
demo=$!
trap 'kill "$demo" 2>/dev/null || true; wait "$demo" 2>/dev/null || true; rm -f "$log"' EXIT
address() { sed -n "s|^  $1 .*\(http://127\.0\.0\.1:[0-9]*\).*|\1|p" "$log"; }
tries=0
while [ -z "$(address traces)" ]; do
    tries=$((tries + 1))
    if [ "$tries" -gt 100 ] || ! kill -0 "$demo" 2>/dev/null; then cat "$log" >&2; exit 1; fi
    sleep 0.1
done
BASE_URL=$(address gateway) "$program" probe "$here/smoke.yaml" --spans "$(address traces)"
