#!/usr/bin/env bash
# Lays out what the image holds: the binary, the libraries it is linked with, and the folders that volumes are mounted on
# (a new volume takes its owner from there), and the authorities that this machine trusts.
set -euo pipefail
binary=$1 context=$2
rm -rf "$context"
mkdir -p "$context/image"/{tls,data,admin,backups,volumes/{authority,admin,m1,m2,m3,m4,m5,w1,w2,front}}
strip -o "$context/image/trireme" "$binary"
ldd "$binary" | grep -oE '/[^ ]+\.so[^ ]*' | sort -u | while read -r library; do
  install -D -m 755 "$(readlink -f "$library")" "$context/image$library"
done
# For backups to a store and traces to a collector over https.
if [ -f /etc/ssl/certs/ca-certificates.crt ]; then
  install -D -m 644 /etc/ssl/certs/ca-certificates.crt "$context/image/etc/ssl/certs/ca-certificates.crt"
fi
