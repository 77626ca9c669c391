#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# The ring of events runs full while the agent is held up, and what connections did meanwhile is lost: the sweep finds all of it.
# Sockets that were taken from a pool are known, those of connections that have ended are closed, ends of file go on.
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/fill.sh"
need jq bpftool python3
setup
two_pods
agent_start
tag='x-mse-tag: gray'
cat >"$LWT_TMP/ask.py" <<'END'
# ask.py IP PORT: reads "open NAME", "get NAME", "upgrade NAME", "half NAME", "close NAME", "burst COUNT", answers each with one line.
import socket, sys
at, held = (sys.argv[1], int(sys.argv[2])), {}
def get(c, more=""):
    c.sendall(f"GET /{'upgrade' if more else 'id'} HTTP/1.1\r\nHost: web\r\nx-mse-tag: gray\r\n{more}\r\n".encode())
    got = c.recv(65536)
    while b"\r\n\r\n" not in got:
        got += c.recv(65536)
    return " ".join(l.split(b": ")[1].split(b"[")[0].decode() for l in got.split(b"\r\n") if l.lower().startswith(b"x-pod"))
for line in sys.stdin:
    what, name = line.split()
    said = "done"
    if what == "open":
        held[name] = socket.create_connection(at, 20)
    elif what == "get":
        said = get(held[name])
    elif what == "upgrade":
        said = get(held[name], "Connection: Upgrade\r\nUpgrade: echo\r\n")
        held[name].sendall(b"echo")
        assert held[name].recv(4) == b"echo"
    elif what == "half":
        held[name].shutdown(socket.SHUT_WR)
    elif what == "end":
        said = f"{held[name].recv(1)}"
    elif what == "burst":
        for i in range(int(name)):
            with socket.create_connection(at, 20) as c:
                get(c)
    elif what == "close":
        held.pop(name).close()
    print(said, flush=True)
END
coproc ASK { exec_pod client python3 "$LWT_TMP/ask.py" "${POD_IP[b1]}" "$LWT_PORT"; }
ask() {
	local line
	echo "$*" >&"${ASK[1]}"
	IFS= read -r -t $((30 * LWT_SLOW)) line <&"${ASK[0]}" || fail "$*: the client is gone"
	printf '%s\n' "$line"
}
ready() { pinned pools | jq '[.[].formatted.value.up[] | select(. > 0)] | length'; }
before=$(agent_fds)

for i in {1..30}; do
	ask open "old$i" >/dev/null
	expect_eq "in the lane" c1gray "$(ask get "old$i")"
done
ask open tunnel >/dev/null
expect_eq "a tunnel in the lane" c1gray "$(ask upgrade tunnel)"
# sockets wait in a pool: by one process, as it takes more than ten connections a second
# and while the agent is stopped, which closes those that wait for long
enough() {
	ask burst 20
	kill -STOP "$AGENT_PID"
	[ "$(ready)" -lt 2 ] || return 0
	kill -CONT "$AGENT_PID"
	return 1
}
until_ok 20 "a pool of two" enough
fills ring events
wait "$FILL_PID"
exec {FILL_FD}>&-
had=$(ready)
for i in {1..2}; do
	ask open "new$i" >/dev/null
	expect_eq "from the pool, and nobody is told" c1gray "$(ask get "new$i")"
done
expect_eq "taken from the pool" $((had - 2)) "$(ready)"
for i in {1..30}; do ask close "old$i" >/dev/null; done
ask close new2 >/dev/null
ask half tunnel >/dev/null
kill -CONT "$AGENT_PID"

expect_eq "the tunnel's end" "b''" "$(ask end tunnel)"
ask close tunnel >/dev/null
one_bound() { [ "$(rows ups)" = 1 ] && [ "$(agent_fds)" -le $((before + 3)) ]; }
until_ok 30 "all upstream sockets but new1's to be closed" one_bound
expect_eq "new1 goes on" c1gray "$(ask get new1)"
ask close new1 >/dev/null
none_bound() { [ "$(rows ups)" = 0 ] && [ "$(agent_fds)" -le $((before + 2)) ]; }
until_ok 30 "the last one to be closed" none_bound
expect_eq "afterwards" c1gray "$(who client "$B1/id" -H "$tag" | names_only)"
expect_like "afterwards, base" 'b1\[*' "$(who client "$B1/id")"
agent_stop
say ok
