#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# kernel.sh KERNEL CACHE: finds a kernel and prints "IMAGE MODULES VERSION", the modules being in MODULES/lib/modules/VERSION.
# KERNEL is a Debian package, a meta-package's name followed to the image's; PACKAGE/SUITE takes it from another of Debian's suites,
# such as trixie-backports; a name with a * in it is the oldest of these that is to be had. Or it is a folder in which such a package is unpacked; or an image's file, with modules in
# KERNEL_MODULES/lib/modules (default: beside the image's own folder, as with /boot).
# Packages are fetched and unpacked in CACHE; nothing is installed, and the machine's own list of packages stays as it is.
set -euo pipefail
kernel=$1 cache=$2

die() {
	printf 'kernel "%s": %s\n' "$kernel" "$*" >&2
	exit 1
}

# Has the commands of apt that follow know one suite, and nothing else, by lists of their own.
only_suite() {
	local own=$cache/suites/$1 from
	# the mirror that this machine has Debian from
	# shellcheck disable=SC2016 # apt's own
	from=$(apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' 'Origin: Debian' 'Label: Debian' | awk 'NR == 1')
	mkdir -p "$own/state/lists/partial" "$own/cache/archives/partial"
	echo "deb ${from:-http://deb.debian.org/debian} $1 main" >"$own/sources.list"
	cat >"$own/apt.conf" <<-END
		Dir::State "$own/state";
		Dir::State::status "/var/lib/dpkg/status";
		Dir::Cache "$own/cache";
		Dir::Etc::sourcelist "$own/sources.list";
		Dir::Etc::sourceparts "-";
		APT::Sandbox::User "root";
	END
	export APT_CONFIG=$own/apt.conf
	# a suite that moves drops old packages, so its lists are no good for long
	apt-get -qq update >&2 || true
}

# depends PACKAGE PATTERN: the packages of that name among those which it needs; also those which the suite has dropped.
depends() { apt-cache depends "$1" 2>/dev/null | awk -v name="$2" '$1 == "Depends:" { gsub("[<>]", "", $2); if ($2 ~ name) print $2 }'; }

# The package that a meta-package stands for, or the package itself.
real_package() {
	local real
	real=$(depends "$1" '^linux-image-[0-9]' | awk 'NR == 1')
	echo "${real:-$1}"
}

# The file of a package as the registry names it; it tells the version.
deb_of() { apt-get download --print-uris "$1" 2>/dev/null | awk 'NR == 1 { print $2 }'; }

# The oldest package of names like this one that is to be had; the name itself if it stands for no others.
oldest() {
	local name
	[[ $1 = *\** ]] || {
		echo "$1"
		return
	}
	for name in $(apt-cache pkgnames "${1%%\**}" | sort -V); do
		# shellcheck disable=SC2053 # a pattern
		if [[ $name = $1 ]] && [ -n "$(deb_of "$name")" ]; then
			echo "$name"
			return
		fi
	done
}

unpack() {
	local package deb dir parts
	package=$(real_package "$(oldest "$1")") deb=$(deb_of "$package")
	if [ -z "$deb" ] && [ -z "${APT_CONFIG-}" ]; then
		apt-get -q -o DPkg::Lock::Timeout=300 update >&2 || true
		package=$(real_package "$(oldest "$1")") deb=$(deb_of "$package")
	fi
	[ -n "$deb" ] || die "no such package, and no such file; 'apt-cache search linux-image' lists packages"
	dir=$cache/${deb%.deb}
	if [ ! -d "$dir" ]; then
		rm -rf "$dir.tmp"
		mkdir -p "$dir.tmp/deb"
		# since 6.18 Debian has the image, the modules, and what is known of them in packages of their own
		mapfile -t parts < <(depends "$package" '^linux-(binary|modules)-[0-9]')
		(cd "$dir.tmp/deb" && apt-get -qq -o APT::Sandbox::User=root download "$package" "${parts[@]}" >&2) ||
			die "cannot be fetched whole: $package ${parts[*]}"
		# which modules are built in: depmod does without it
		mapfile -t parts < <(depends "$package" '^linux-base-[0-9]')
		[ ${#parts[@]} = 0 ] || (cd "$dir.tmp/deb" && apt-get -qq -o APT::Sandbox::User=root download "${parts[@]}" >&2) || true
		for deb in "$dir.tmp/deb/"*.deb; do dpkg -x "$deb" "$dir.tmp"; done
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
	linux-image-*/*)
		only_suite "${kernel##*/}"
		modules=$(unpack "${kernel%/*}")
		;;
	*/*) modules=$kernel && [ -d "$kernel" ] || die "no such file or folder" ;;
	*) modules=$(unpack "$kernel") ;;
	esac
	# the latter two are where newer packages have them
	image=$({ find "$modules"/{boot,lib/modules,usr/lib/modules}/ -maxdepth 2 -name 'vmlinuz*' 2>/dev/null || true; } | sort | tail -n 1)
	[ -n "$image" ] || die "no boot/vmlinuz-*, and no usr/lib/modules/*/vmlinuz, in '$modules'"
	[ -d "$modules/lib/modules" ] || modules=$modules/usr
fi
image=$(realpath "$image") modules=$(realpath "$modules")
version=$(version_of "$image") || exit 1
if [ ! -e "$modules/lib/modules/$version/modules.dep" ] && [ -d "$modules/lib/modules/$version" ]; then
	depmod -b "$modules" "$version"
fi
printf '%s %s %s\n' "$image" "$modules" "$version"
