#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# kernel.sh KERNEL CACHE: finds a kernel and prints "IMAGE MODULES VERSION", the modules being in MODULES/lib/modules/VERSION.
# KERNEL is a Debian package, a meta-package's name followed to the image's; or a folder in which such a package
# is unpacked; or an image's file, with modules in KERNEL_MODULES/lib/modules (default: beside the image's own folder, as with /boot).
# Packages are fetched and unpacked in CACHE; nothing is installed.
set -euo pipefail
kernel=$1 cache=$2

die() {
	printf 'kernel "%s": %s\n' "$kernel" "$*" >&2
	exit 1
}

# The package that a meta-package stands for, or the package itself.
real_package() {
	local real
	real=$(apt-cache depends "$1" 2>/dev/null | awk '$1 == "Depends:" && $2 ~ /^linux-image-[0-9]/ && !n++ { print $2 }')
	echo "${real:-$1}"
}

# The file of a package as the registry names it; it tells the version.
deb_of() { apt-get download --print-uris "$1" 2>/dev/null | awk 'NR == 1 { print $2 }'; }

unpack() {
	local package deb dir
	package=$(real_package "$1") deb=$(deb_of "$package")
	if [ -z "$deb" ]; then
		apt-get -q -o DPkg::Lock::Timeout=300 update >&2 || true
		package=$(real_package "$1") deb=$(deb_of "$package")
	fi
	[ -n "$deb" ] || die "no such package, and no such file; 'apt-cache search linux-image' lists packages"
	dir=$cache/${deb%.deb}
	if [ ! -d "$dir" ]; then
		rm -rf "$dir.tmp"
		mkdir -p "$dir.tmp/deb"
		(cd "$dir.tmp/deb" && apt-get -qq -o APT::Sandbox::User=root download "$package" >&2) || die "cannot be fetched"
		dpkg -x "$dir.tmp/deb/"*.deb "$dir.tmp"
		rm -r "$dir.tmp/deb"
		mv "$dir.tmp" "$dir"
	fi
	echo "$dir"
}

# The version, from the header of an image (Documentation/arch/x86/boot.rst: kernel_version).
version_of() {
	local at
	[ "$(od -An -j514 -N4 -c "$1" | tr -d ' ')" = HdrS ] || die "'$1' is no x86 kernel image"
	at=$(od -An -j526 -N2 -tu2 "$1")
	dd if="$1" bs=1 skip=$((at + 512)) count=128 2>/dev/null | tr '\0' '\n' | awk 'NR == 1 { print $1 }'
}

if [ -f "$kernel" ]; then
	image=$kernel modules=${KERNEL_MODULES:-$(dirname "$kernel")/..}
else
	case $kernel in
	*/*) modules=$kernel && [ -d "$kernel" ] || die "no such file or folder" ;;
	*) modules=$(unpack "$kernel") ;;
	esac
	image=$(find "$modules/boot" -maxdepth 1 -name 'vmlinuz-*' 2>/dev/null | sort | tail -n 1)
	[ -n "$image" ] || die "no boot/vmlinuz-* in '$modules'"
fi
image=$(realpath "$image") modules=$(realpath "$modules")
version=$(version_of "$image") || exit 1
if [ ! -e "$modules/lib/modules/$version/modules.dep" ] && [ -d "$modules/lib/modules/$version" ]; then
	depmod -b "$modules" "$version"
fi
printf '%s %s %s\n' "$image" "$modules" "$version"
