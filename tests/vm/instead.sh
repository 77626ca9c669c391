#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# instead.sh TEST...: all tests on a machine whose own kernel cannot run Laneway (cannot.sh). Those of
# user space run here, all others in two guests under qemu, which takes an hour without KVM; what takes longest is left out
# there (VM_LEAVES_OUT), named, and counted for itself. Last line: "N passed, N failed", with ", N skipped" and ", N left out" where some
# were. Exit 0 if none failed, and at least one ran.
set -euo pipefail
cd "$(dirname "$0")/../.."
: "${BUILD:=build}" "${VM_INSTEAD:=6.1-cloud}"
# four to twenty minutes each there
: "${VM_LEAVES_OUT=test_propagation_attacks test_full_agents test_tasks test_full_punts test_odd_servers test_sticky test_ahead test_full test_steps test_pod_evidence test_full_kept}"
unit=() bpf=() netns=() left=()
for test; do
	name=$(basename "${test%.sh}")
	case $test in
	*/unit/* | */fuzz/*) unit+=("$test") ;;
	*) if [[ " $VM_LEAVES_OUT " = *" $name "* ]]; then
		left+=("$name")
	elif [[ $test = */bpf/* ]]; then
		bpf+=("$test")
	else
		netns+=("$test")
	fi ;;
	esac
done
cat <<END
This machine's kernel cannot run Laneway: $(tests/vm/cannot.sh).
The tests of its kernel side run in guests under qemu instead, with the kernel $VM_INSTEAD. Not run: ${left[*]:-none}.
END
log=$BUILD/tests/instead.log
status=0
if [ $((${#unit[@]} + ${#bpf[@]} + ${#netns[@]})) = 0 ]; then
	echo "FAIL run/nothing (no test of that name, but for what is left out; VM_LEAVES_OUT= leaves out none)"
	echo "0 passed, 1 failed$([ ${#left[@]} = 0 ] || echo ", ${#left[@]} left out")"
	exit 1
fi
mkdir -p "$BUILD/tests"
{
	[ ${#unit[@]} = 0 ] || tests/run.sh "${unit[@]}" || status=1
	if [ $((${#bpf[@]} + ${#netns[@]})) != 0 ]; then
		BUILD=$BUILD KERNELS=$VM_INSTEAD SUITES="selftest bpf netns" VM_BPF="${bpf[*]}" VM_NETNS="${netns[*]}" \
			VM_GUESTS=2 VM_CPUS=1 VM_SLOW=${VM_SLOW:-25} tests/vm/vm.sh || status=1
	fi
	echo "status $status"
} 2>&1 | tee "$log" | grep --line-buffered -vE '^status |^[0-9]+ passed, '
awk -v left="${#left[@]}" '/^[0-9]+ passed, / { passed += $1; failed += $3; skipped += $5 }
	/^status / { status = $2 }
	END {
		if (status && !failed) failed = 1
		printf "%d passed, %d failed%s%s\n", passed, failed, skipped ? ", " skipped " skipped" : "", left ? ", " left " left out" : ""
		exit failed > 0
	}' "$log"
