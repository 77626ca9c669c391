#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Runs the suites on other kernels under qemu, one guest a kernel, and prints a table. Exit 0 if nothing failed.
#   KERNELS   names of tests/vm/kernels, packages, folders or images (see kernel.sh); default: all of tests/vm/kernels
#   SUITES    selftest demo bpf netns soak modules memory hardened (default: all); VM_BPF, VM_NETNS: which tests of these two
#   VM_APPEND more of the kernel's command line
#   VM_GUESTS guests of a kernel at once, which share its tests (1)
#   VM_ACCEL  kvm or tcg (tried out: accel.sh); VM_SLOW: by how much deadlines are stretched (10 without KVM)
# What a guest leaves is in $BUILD/vm/out/KERNEL: console, dmesg, results, log/ with a file a test.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
cd "$here/../.."
: "${BUILD:=build}" "${KERNELS:=$(awk '!/^#/ && NF { print $1 }' "$here/kernels")}" "${SUITES:=selftest demo bpf netns soak modules memory hardened}"
: "${VM_GUESTS:=1}" "${VM_CACHE:=$BUILD/vm}" "${VM_BPF=$(echo "$BUILD"/tests/bpf/test_*)}" "${VM_NETNS=$(echo tests/netns/test_*.sh)}"
# of T=name, one of the two lists may have nothing, but not both
tests='' lists=0
for suite in $SUITES; do
	case $suite in
	bpf) tests+=$VM_BPF lists=1 ;;
	netns) tests+=$VM_NETNS lists=1 ;;
	esac
done
if [ "$lists" = 1 ] && [ -z "${tests// /}" ]; then
	printf 'FAIL run/nothing (no test of that name)\n0 passed, 1 failed\n'
	exit 1
fi
mkdir -p "$VM_CACHE"
VM_CACHE=$(realpath "$VM_CACHE") BUILD=$(realpath "$BUILD")
# the guest sees this machine's root at the same paths
python=$(python3 -c 'import sys, os; print(os.path.dirname(sys.executable))')

# what a name of the list stands for: FIELD 2 its package, 3 its mode
listed() { awk -v n="$1" -v f="$2" '!/^#/ && $1 == n "" { print $f }' "$here/kernels"; }

# one KERNEL: the folders of its results are added to `outs`. Says on the way what is done.
one() {
	local kernel=$1 package image modules version initramfs slow g start=$SECONDS pids=()
	local out=$BUILD/vm/out/$(tr -c 'A-Za-z0-9._\n-' _ <<<"$kernel")
	rm -rf "$out" "$out".[0-9]*
	mkdir -p "$out/log"
	: >"$out/results"
	: >"$out/console"
	echo "$kernel 0" >"$out/took"
	outs+=("$out")
	package=$(listed "$kernel" 2)
	read -r image modules version < <("$here/kernel.sh" "${package:-$kernel}" "$VM_CACHE" 2>"$out/why") || {
		cat "$out/why" >&2
		echo "FAIL kernel/found ($(tail -n 1 "$out/why"))" >>"$out/results"
		return
	}
	: "${VM_ACCEL:=$("$here/accel.sh" "$image")}"
	export VM_ACCEL
	slow=${VM_SLOW:-10}
	[ "$VM_ACCEL" != kvm ] || slow=${VM_SLOW:-1}
	initramfs=$VM_CACHE/initramfs-$version-$(cat "$here/init" "$here/initramfs.sh" "$image" | sha256sum | cut -c 1-12)
	[ -e "$initramfs" ] || "$here/initramfs.sh" "$modules" "$version" "$initramfs"
	for ((g = 1; g <= VM_GUESTS; g++)); do
		[ "$g" = 1 ] || outs+=("$out.$g")
		guest "$g" &
		pids+=($!)
	done
	wait "${pids[@]}" || true
}

# share N TEST...: those that are the N-th guest's.
share() {
	local n=$1 i=0 test
	shift
	for test; do
		[ $((i++ % VM_GUESTS + 1)) != "$n" ] || printf '%s ' "$test"
	done
}

# guest N: the N-th of a kernel's guests. The first one has what is no list of tests, too.
guest() {
	local n=$1 status=0 suites=$SUITES boot idle tests
	trap '[ -z "${boot-}" ] || kill "$boot" 2>/dev/null || true' EXIT
	if [ "$n" != 1 ]; then
		out=$out.$n suites=$(tr ' ' '\n' <<<"$SUITES" | grep -E '^(bpf|netns)$' | tr '\n' ' ' || true)
		rm -rf "$out"
		mkdir -p "$out/log"
	fi
	: >"$out/results"
	: >"$out/console"
	cat >"$out/env" <<-END
		export PATH=$(printf %q "$python:$PATH") HOME=/root TMPDIR=/run/tmp LANG=C.UTF-8
		export BUILD=$(printf %q "$BUILD") LW_NO_SKIP=1 LW_SLOW=$slow LW_TEST_TIMEOUT=$((${LW_TEST_TIMEOUT:-180} * slow))
		export LW_BIG_MB=${LW_BIG_MB:-5} SOAK_REQUESTS=${SOAK_REQUESTS:-3000} SOAK_SEED=${SOAK_SEED:-1}
		export VM_MODE=$(printf %q "$(listed "$kernel" 3 | grep . || echo any)")
		$(export -p | grep -E '^declare -x (LAB|SOAK|STATE)_' || true)
		VM_ROOT=$(printf %q "$PWD") VM_MODULES=$(printf %q "$modules")
		VM_SUITES=$(printf %q "$suites") VM_BPF=$(printf %q "$(share "$n" $VM_BPF)") VM_NETNS=$(printf %q "$(share "$n" $VM_NETNS)")
	END
	echo "== $kernel: $version, under qemu; the log: $out"
	idle=${VM_IDLE:-$(((${LW_TEST_TIMEOUT:-180} + 60) * slow + 60))}
	# what one test may take, and beyond that several times what most take
	tests=$(wc -w <<<"$suites $(share "$n" $VM_BPF $VM_NETNS)")
	VM_SLOW=$slow VM_IDLE=$idle VM_DEADLINE=${VM_DEADLINE:-$((idle + tests * 60 * slow))} "$here/boot.sh" "$image" "$initramfs" "$out" 2>"$out/why" &
	boot=$!
	# in the background: bash answers a signal in wait, not before the end of a command
	tail -n +1 -f --pid=$boot "$out/results" | grep --line-buffered -E '^(ok|FAIL|skip|n/a) ' &
	wait $boot || status=$?
	boot=
	wait || true
	echo "$kernel$([ "$n" = 1 ] || echo "/$n") $((SECONDS - start))" >"$out/took"
	[ "$(tail -n 1 "$out/results")" != end ] || return 0
	case $status in
	0) why="the guest ended before its tests did: panic, or it could not start" ;;
	3) why="no test got on for $idle s" ;;
	4) why="the guest had not ended after $((SECONDS - start)) s" ;;
	*) why=$(tail -n 1 "$out/why") ;;
	esac
	{
		echo "FAIL kernel/guest ($why)"
		echo "    the last lines of its console ($out/console):"
		tr -d '\r' 2>/dev/null <"$out/console" | tail -n 40 | sed 's/^/    /'
	} | tee -a "$out/results"
}

trap 'kill $(jobs -p) 2>/dev/null || true' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP
# in braces: read whole before it runs, as it runs for long
{
	outs=()
	for kernel in $KERNELS; do
		one "$kernel"
	done
	exec "$here/table.sh" "${outs[@]}"
}
