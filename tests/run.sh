#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Runs the tests named on the command line, one after the other, and prints "ok", "FAIL" or "skip"
# and the name of each. A test is a program; exit 0 is ok, 77 skip, 78 not applicable, anything else failure.
# Of one that passes, cases that it left out are named: it has printed "SKIP: REASON", or "n/a: REASON" where this kernel has no such thing.
#   LW_NO_SKIP=1        a skip is a failure, that of a case too
#   LW_MODE             the agent's mode on this kernel; only if it is known to be "none" may a test be not applicable ("n/a")
#   LW_TEST_TIMEOUT     seconds a test may take (300)
# A test below bpf/, netns/, faults/, kube/, deploy/ or demo/ also fails when the kernel complained while it ran;
# where its log is not to be had that is not looked at, and with LW_NO_SKIP=1 it fails.
# Last line: "N passed, N failed", with ", N skipped" when some were. Exit 0 if none failed.
set -euo pipefail
cd "$(dirname "$0")/.."

: "${BUILD:=build}" "${LW_TEST_TIMEOUT:=300}" "${LW_NO_SKIP:=0}"
export BUILD
logs=$BUILD/tests/log
mkdir -p "$logs"
passed=0 failed=0 skipped=0
. tests/kernel_log.sh

run_one() {
	local test=$1 name log status=0 mark='' unread=0 bad='' skips='' lacks='' start=$SECONDS
	name=$(basename "$(dirname "$test")")/$(basename "${test%.sh}")
	log=$logs/${name//\//-}.log

	case $name in
	bpf/* | netns/* | faults/* | kube/* | deploy/* | demo/*)
		mark=$(kernel_log_mark "test $name") || unread=1
		;;
	esac

	# what a test cleans up behind itself may take it as long as teardown() in tests/netns/lib.sh waits for things
	timeout --kill-after=$((60 * ${LW_SLOW:-1})) "$LW_TEST_TIMEOUT" "$test" >"$log" 2>&1 </dev/null || status=$?
	if [ -n "$mark" ]; then
		bad=$(kernel_complaints_since "$mark")
	fi

	if [ -n "$bad" ]; then
		status="kernel"
		{
			echo "the kernel complained:"
			kernel_log_since "$mark"
		} >>"$log"
	elif [ "$status" -eq 77 ] && [ "$LW_NO_SKIP" != 1 ]; then
		skipped=$((skipped + 1))
		echo "skip $name ($(tail -n 1 "$log"))"
		return
	fi

	if [ "$status" = 78 ] && [ "${LW_MODE:-}" = none ]; then
		skipped=$((skipped + 1))
		echo "n/a $name ($(tail -n 1 "$log"))"
		return
	fi

	if [ "$status" = 0 ]; then
		skips=$(reasons SKIP)
		lacks=$(reasons n/a)
		[ "$skips$lacks" != "" ] || ! grep -q '^\[  SKIPPED \] ' "$log" || skips="cases, without a reason"
		[ -z "$skips" ] || [ "$LW_NO_SKIP" != 1 ] || status=cases
	fi

	[ "$status" != 0 ] || [ "$unread" = 0 ] || [ "$LW_NO_SKIP" != 1 ] || status=unread

	case $status in
	0)
		passed=$((passed + 1))
		echo "ok $name ($((SECONDS - start)) s${skips:+; skipped: $skips}${lacks:+; not applicable: $lacks})"
		return
		;;
	unread) echo "FAIL $name (the kernel log is not to be had, and LW_NO_SKIP is set)" ;;
	cases) echo "FAIL $name (skipped, and LW_NO_SKIP is set: $skips)" ;;
	77) echo "FAIL $name (skipped, and LW_NO_SKIP is set)" ;;
	78) echo "FAIL $name (says that it is not applicable, but LW_MODE is not none)" ;;
	124 | 137) echo "FAIL $name (took longer than $LW_TEST_TIMEOUT s, or was killed)" ;;
	kernel) echo "FAIL $name (kernel log: $(head -n 1 <<<"$bad"))" ;;
	*) echo "FAIL $name (exit $status)" ;;
	esac
	failed=$((failed + 1))
	tail -n 60 "$log" | sed 's/^/    /'
}

# reasons WORD: what the test that just ran gave as reasons for leaving out cases.
reasons() { sed -n "s,^$1: ,,p" "$log" | sort -u | paste -sd ';'; }

# a name that nothing has, T=name, must not look like a success
if [ $# = 0 ]; then
	failed=1
	echo "FAIL run/nothing (no test of that name)"
fi
for t in "$@"; do
	run_one "$t"
done

total="$passed passed, $failed failed"
[ "$skipped" -eq 0 ] || total="$total, $skipped skipped"
echo "$total"
[ "$failed" -eq 0 ]
