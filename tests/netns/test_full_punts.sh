#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Very many large requests at once for pods that cannot be reached: what the agent holds of them has a bound, and so has its memory.
. "$(dirname "$0")/lib.sh"
need jq nft python3
setup
two_pods
agent_start
tag='x-mse-tag: gray'
cat >"$LWT_TMP/up.py" <<'END'
# up.py IP PORT N SIZE: opens N connections; after a line on standard input a tagged request of SIZE bytes on each, as fast as they are
# taken, until each is answered or ended. Prints "open", and how many were reset.
import selectors, socket, sys
n, size = int(sys.argv[3]), int(sys.argv[4])
head = b"POST /up HTTP/1.1\r\nHost: web\r\nx-mse-tag: gray\r\nContent-Length: %d\r\n\r\n" % size
sel, left, resets, block = selectors.DefaultSelector(), {}, 0, bytes(1 << 18)
for _ in range(n):
    c = socket.create_connection((sys.argv[1], int(sys.argv[2])))
    left[c] = size
    sel.register(c, selectors.EVENT_READ | selectors.EVENT_WRITE)
print("open", flush=True)
sys.stdin.readline()
for c in left:
    c.sendall(head)
    c.setblocking(False)
while sel.get_map():
    for key, events in sel.select():
        c = key.fileobj
        try:
            if events & selectors.EVENT_READ:
                c.recv(1)
                sel.unregister(c)
                continue
            left[c] -= c.send(block[: left[c]])
            if left[c] == 0:
                sel.modify(c, selectors.EVENT_READ)
        except BlockingIOError:
            pass
        except OSError:
            resets += 1
            sel.unregister(c)
print(resets, flush=True)
END
peak() { awk '/^VmHWM/ { print int($2 / 1024) }' "/proc/$AGENT_PID/status"; }
mkfifo "$LWT_TMP/go"
exec_pod client python3 "$LWT_TMP/up.py" "${POD_IP[b1]}" "$LWT_PORT" 120 15000000 <>"$LWT_TMP/go" >"$LWT_TMP/up" &
up=$!
until_ok 20 "the connections" grep -q open "$LWT_TMP/up"
# nothing says that they are gone: the agent waits for one, and then for the other
for pod in c1 b1; do in_pod $pod nft -f - <<<'table ip lwt { chain in { type filter hook input priority 0; policy drop; }; }'; done
echo >"$LWT_TMP/go"
told() { grep -q 'warn: requests that pods are slow to take fill' "$LWT_TMP/agent.log"; }
told_or_over() { told || ! kill -0 "$up"; }
until_ok 20 "the agent to say that it has much" told_or_over
# it waits a second for each pod, in which an emulated processor does not carry that much
told || [ "$LWT_SLOW" -gt 1 ] || fail "all have ended, and the agent has not said that it has much"
expect_like "another one meanwhile" 'b2\[*' "$(who client "$B2/id" -H "$tag")"
expect_like "base meanwhile" 'b2\[*' "$(who client "$B2/id")"
! told || [ "$(counted no-sockets)" -ge 1 ] || fail "no-sockets was not counted"
wait "$up"
say "$(tail -n 1 "$LWT_TMP/up") of 120 were reset; the agent had $(peak) MB$(told || echo ", and has not reached its bound")"
[ "$(peak)" -lt 600 ] || fail "the agent had $(peak) MB"
for pod in c1 b1; do in_pod $pod nft delete table ip lwt; done
in_lane() { [[ $(who client "$B2/id" -H "$tag") == c1gray* ]]; }
until_ok 20 "requests to reach the lane again" in_lane
agent_stop
say ok
