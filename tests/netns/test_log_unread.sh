#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Nobody reads the agent's log: what reads it hangs, or its disk is full. The agent goes on, and says later how much is missing.
. "$(dirname "$0")/lib.sh"
need jq python3
setup
two_pods
# findings enough to fill a pipe of two pages
for i in $(seq 80); do printf 'apiVersion: v1\nkind: Pod\nmetadata: { name: bad%s, namespace: default }\nspec: 7\n---\n' "$i"; done >"$LWT_STATE/bad.yaml"
mkfifo "$LWT_TMP/log"
# unread.py FIFO COMMAND...: runs it with the fifo for standard error, which is open for reading, too: nothing is said of a missing reader.
cat >"$LWT_TMP/unread.py" <<'END'
import fcntl, os, sys
fd = os.open(sys.argv[1], os.O_RDWR)
fcntl.fcntl(fd, 1031, 8192)  # F_SETPIPE_SZ
os.dup2(fd, 2)
os.execv(sys.argv[2], sys.argv[2:])
END
read_log() {
	python3 -c 'import os, sys
fd = os.open(sys.argv[1], os.O_RDONLY | os.O_NONBLOCK)
try:
    while part := os.read(fd, 65536):
        os.write(1, part)
except BlockingIOError:
    pass' "$LWT_TMP/log"
}
python3 "$LWT_TMP/unread.py" "$LWT_TMP/log" "$LANEWAY" agent --state "$LWT_STATE" --cgroup "$LWT_CGROUP" --bpffs "$LWT_BPFFS" \
	--socket "$LWT_SOCKET" --device "lwv$$x*" &
AGENT_PID=$!
until_ok 20 "the agent's socket" test -S "$LWT_SOCKET"
lw status --wait $((10 * LWT_SLOW)) >"$LWT_TMP/status" 2>&1 || fail "the agent waits for somebody to read: $(cat "$LWT_TMP/status")"
expect_like "steered" 'c1gray\[*' "$(who client "$B1/id" -H 'x-mse-tag: gray')"
read_log >"$LWT_TMP/first"
[ "$(wc -c <"$LWT_TMP/first")" -ge 3000 ] || fail "the pipe was not full: $(cat "$LWT_TMP/first")"
# and something more to say
printf 'spec: 7\n' >"$LWT_STATE/worse.yaml"
lost() { read_log >>"$LWT_TMP/second" && grep -E '^warn: [0-9]+ lines of this log are missing' "$LWT_TMP/second"; }
until_ok 15 "word of what is missing" lost
agent_stop
say ok
