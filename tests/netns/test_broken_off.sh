#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Responses whose end is the connection's, or whose framing is not understood, end for the client as they do without an agent: an end of file
# where the pod has sent one, an error where it has not.
. "$(dirname "$0")/lib.sh"
need python3
setup
two_pods
BROKEN_OFF=$LWT_ROOT/tests/netns/clients/broken_off.py
for name in "${LWT_PODS[@]}"; do
	stop_pid "${POD_PID[$name]}"
	exec_pod "$name" python3 "$BROKEN_OFF" serve "$name" "$LWT_PORT" "$LWT_TMP/go" 2>"$LWT_TMP/$name.log" &
	POD_PID[$name]=$!
	wait_port "$name" "$LWT_PORT"
done
# asks POD HEADER: the pod's name is left out
asks() {
	rm -rf "$LWT_TMP/go"
	mkdir "$LWT_TMP/go"
	in_pod client python3 "$BROKEN_OFF" ask "${POD_IP[$1]}" "$LWT_PORT" "$LWT_TMP/go" "$2" >"$LWT_TMP/asked"
	expect_eq "$1 '$2': who answers" "$3" "$(cut -d ' ' -f 1 "$LWT_TMP/asked" | sort -u)"
	cut -d ' ' -f 2- "$LWT_TMP/asked"
}
asks b1 'x-nothing: 1' b1 >"$LWT_TMP/without"
for options in '' --no-bypass; do
	agent_start $options
	asks b1 'x-nothing: 1' b1 >"$LWT_TMP/base"
	diff "$LWT_TMP/without" "$LWT_TMP/base" || fail "base ${options:-, with the bypass}"
	asks b1 'x-mse-tag: gray' c1 >"$LWT_TMP/gray"
	diff "$LWT_TMP/without" "$LWT_TMP/gray" || fail "the lane ${options:-, with the bypass}"
	agent_stop
done
say ok
