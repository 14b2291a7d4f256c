#!/bin/sh
# Builds the release program and lays out the root file system of its image.
#
#   deploy/build.sh OUT     OUT must not exist yet, or be empty
#
# Needs cargo, a C compiler and the machine's CA certificates; CARGO_TARGET_DIR is honoured.
set -eu

out=${1:?usage: deploy/build.sh OUT}
if [ -e "$out" ] && [ -n "$(ls -A "$out")" ]; then
    echo "deploy/build.sh: $out is not empty" >&2
    exit 1
fi
mkdir -p "$out"
out=$(cd "$out" && pwd)
cd "$(dirname "$0")/.."

cargo build --release --locked --bin edgespan
program=${CARGO_TARGET_DIR:-target}/release/edgespan

install -D -m 0755 "$program" "$out/usr/bin/edgespan"

# The shared libraries by the very paths that the loader will look them up by.
ldd "$program" | grep -o '/[^ ]*' | sort -u | while read -r library; do
    install -D -m 0755 "$library" "$out$library"
done

# Roots for upstreams and collectors over TLS. rustls reads this file and never writes it.
authorities=/etc/ssl/certs/ca-certificates.crt
if [ ! -s "$authorities" ]; then
    echo "deploy/build.sh: $authorities is missing: install the package ca-certificates" >&2
    exit 1
fi
install -D -m 0644 "$authorities" "$out$authorities"

# Names: /etc/hosts first, then DNS; both are built into glibc. One user, who owns nothing.
mkdir -p "$out/etc/edgespan"
echo 'hosts: files dns' >"$out/etc/nsswitch.conf"
echo 'nonroot:x:65532:65532:nonroot:/:/usr/bin/edgespan' >"$out/etc/passwd"
echo 'nonroot:x:65532:' >"$out/etc/group"
mkdir -m 1777 "$out/tmp"
install -D -m 0644 LICENSE "$out/usr/share/doc/edgespan/LICENSE"

du -sh "$out" | sed 's/\t.*/ image/'
