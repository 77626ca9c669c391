#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# A client process with very many descriptors, whose responses end with their connections. Finding the descriptor of each costs a
# look at all of the process: the agent must do it once for many, not once for each, or it is away for seconds. Counted in system calls.
. "$(dirname "$0")/lib.sh"
need jq strace python3
setup
two_pods
agent_start
before=$(agent_fds)
N=200 IDLE=2000

cat >"$LWT_TMP/many.py" <<'END'
# many.py IP PORT N IDLE PATIENCE_S: holds IDLE sockets that are nobody's, and N connections with a request each; prints "held"; then all
# ask at once for a response that ends with its connection. Prints how many got all of it and their end of file, from the lane,
# and closes nothing: a client that closes at once spares the agent most of the work, one that takes its time does not.
import resource, select, socket, sys
ip, (port, n, idle, patience) = sys.argv[1], map(int, sys.argv[2:])
hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
kept = [socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(idle)]
def ask(c, more=b""):
    c.sendall(b"GET /id HTTP/1.1\r\nHost: web\r\nx-mse-tag: gray\r\n" + more + b"\r\n")
conns = []
for _ in range(n):
    c = socket.create_connection((ip, port), 60)
    ask(c)
    assert c.recv(65536).startswith(b"HTTP/1.1 200")
    conns.append(c)
print("held", flush=True)
sys.stdin.readline()
for c in conns:
    ask(c, b"Connection: close\r\n")
got = {c: b"" for c in conns}
waiting, ended = select.poll(), 0
by_fd = {c.fileno(): c for c in conns}
for fd in by_fd:
    waiting.register(fd, select.POLLIN)
while by_fd:
    ready = waiting.poll(1000 * patience)
    if not ready:
        break
    for fd, _ in ready:
        data = by_fd[fd].recv(65536)
        got[by_fd[fd]] += data
        if not data:
            waiting.unregister(fd)
            ended += b"c1gray[" in got[by_fd.pop(fd)]
print("ended", ended, flush=True)
sys.stdin.readline() # with all its sockets still open
END
mkfifo "$LWT_TMP/many.in"
exec_pod client python3 "$LWT_TMP/many.py" "${POD_IP[b1]}" "$LWT_PORT" "$N" "$IDLE" $((60 * LWT_SLOW)) <>"$LWT_TMP/many.in" >"$LWT_TMP/many.out" &
MANY=$!
until_ok 60 "$N connections" grep -q held "$LWT_TMP/many.out"
strace -f -qq -e trace=pidfd_getfd -o "$LWT_TMP/calls" -p "$AGENT_PID" &
TRACE=$!
until_ok 15 "strace" agent_is_traced
echo >"$LWT_TMP/many.in"
until_ok 90 "the ends" grep -q ended "$LWT_TMP/many.out"
few_left() { [ "$(agent_fds)" -le $((before + 10)) ]; }
until_ok 90 "the upstream sockets to be closed" few_left
expect_eq "responses of the lane with their ends" "ended $N" "$(tail -n 1 "$LWT_TMP/many.out")"
kill -TERM "$TRACE" 2>/dev/null || true
wait "$TRACE" || true
echo >"$LWT_TMP/many.in"
wait "$MANY"
looks=$(grep -c pidfd_getfd "$LWT_TMP/calls" || true)
say "$N ends in a process of $((N + IDLE)) descriptors: $looks descriptors looked at"
[ "$looks" -gt 0 ] || fail "no descriptor was looked at: nothing was measured"
# each by itself: some N * (IDLE + N / 2), 420,000
[ "$looks" -le $((20 * (N + IDLE))) ] || fail "more than 20 passes over the descriptors"
agent_stop
