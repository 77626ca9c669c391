#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# A client process that closes a socket on which it has SO_LINGER while the agent looks at its descriptors, so that the agent's is the
# last one of it: the agent must not wait in its place until the bytes are taken.
. "$(dirname "$0")/lib.sh"
need jq strace python3
setup
two_pods
agent_start

cat >"$LWT_TMP/lingering.py" <<'END'
# lingering.py IP PORT: has a socket with more to send than is taken, and behind it a connection with a tagged request whose answer
# ends with it. After a line on standard input the one is closed, after another one all ends. Prints "answered", "closed", and how the connection ends.
import socket, struct, sys
listener = socket.create_server(("127.0.0.1", 0))
full = socket.create_connection(listener.getsockname())
taken, _ = listener.accept()
full.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 600))
full.setblocking(False)
try:
    while True:
        full.send(bytes(1 << 20))
except BlockingIOError:
    pass
c = socket.create_connection((sys.argv[1], int(sys.argv[2])), 60)
c.sendall(b"GET /id HTTP/1.1\r\nHost: web\r\nx-mse-tag: gray\r\nConnection: close\r\n\r\n")
print("answered" if b"c1gray[" in c.recv(65536) else "?", flush=True)
sys.stdin.readline()
full.close()
print("closed", flush=True)
while c.recv(65536):
    pass
print("end", flush=True)
sys.stdin.readline()
END
said() { read -r -t $((30 * LWT_SLOW)) -u "${client[0]}" line && expect_eq "the client" "$1" "$line"; }
# It stops where it has taken the second socket of the process: the first one is the listening one.
strace -qq -o "$LWT_TMP/strace" -e trace=pidfd_getfd -e inject=pidfd_getfd:signal=STOP:when=2 -p "$AGENT_PID" &
trace=$!
until_ok 15 "strace" agent_is_traced
coproc client { in_pod client python3 "$LWT_TMP/lingering.py" "${POD_IP[b1]}" "$LWT_PORT"; }
pid=$client_PID
said answered
until_ok 20 "the agent to stop" strace_stopped
echo >&"${client[1]}"
said closed
kill -CONT "$AGENT_PID"
lw status --alive --timeout $((10 * LWT_SLOW)) >"$LWT_TMP/alive" 2>&1 || fail "the agent waits for the application's bytes: $(cat "$LWT_TMP/alive")"
said end
echo >&"${client[1]}"
wait "$pid"
kill "$trace" 2>/dev/null || true
wait "$trace" || true
expect_like "afterwards" 'c1gray\[*' "$(who client "http://${POD_IP[b1]}:$LWT_PORT/id" -H 'x-mse-tag: gray')"
agent_stop
say ok
