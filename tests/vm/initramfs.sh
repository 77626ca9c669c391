#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# initramfs.sh MODULES VERSION OUT: an initramfs that does no more than mount the machine's own root: busybox, tests/vm/init, and
# the modules which that takes. All further ones are found by the kernel itself in the root that it then has.
set -euo pipefail
cd "$(dirname "$0")"
modules=$1 version=$2 out=$3
needed='virtio_pci virtiofs overlay'

tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
mkdir -p "$tmp/root/bin" "$tmp/root/modules"
cp /bin/busybox "$tmp/root/bin/"
install -m 0755 init "$tmp/root/init"
: >"$tmp/root/modules/order"
# what is built in has no file, and what is missing the guest complains of
for m in $needed; do
	modprobe -S "$version" -d "$modules" --show-depends "$m" 2>/dev/null || true
done | awk '$1 == "insmod" && !seen[$2]++ { print $2 }' >"$tmp/files"
while read -r file; do
	name=$(basename "$file")
	name=${name%%.ko*}.ko
	case $file in
	*.xz) xz -dc "$file" ;;
	*.zst) zstd -dqc "$file" ;;
	*.gz) gzip -dc "$file" ;;
	*) cat "$file" ;;
	esac >"$tmp/root/modules/$name"
	echo "$name" >>"$tmp/root/modules/order"
done <"$tmp/files"
(cd "$tmp/root" && find . | cpio -o -H newc --quiet) >"$out.$$"
mv "$out.$$" "$out"
