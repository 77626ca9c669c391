#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Canaries that read in ways which kernels get wrong, on the node of their clients. One that asks FIONREAD, as nginx does: uploads
# far over its buffers arrive, on a connection that has been used before as on a new one. One that splices.
. "$(dirname "$0")/lib.sh"
need nginx python3 jq
setup
two_pods
# Up to 4 MB hop answers when it has all of it. Of one that answers before, nginx takes it that no more is wanted, and sends no more.
uploads() { in_pod client python3 "$LWT_ROOT/tests/netns/clients/uploads.py" "${POD_IP[b1]}" "$LWT_PORT" gray "$@" 2>&1 || true; }

# nginx takes the place of c1, and asks a server behind it.
stop_pid "${POD_PID[c1]}"
exec_pod c1 "$HOP" --listen 127.0.0.1:9000 --name c1 --color gray &
wait_port c1 9000
nginx_conf "$LWT_TMP/nginx" <<-END
	client_max_body_size 0;
	server {
		listen $LWT_PORT;
		location / { proxy_pass http://127.0.0.1:9000; proxy_http_version 1.1; }
	}
END
exec_pod c1 "${NGINX[@]}" &
nginx=$!
wait_port c1 "$LWT_PORT"
agent_start
expect_eq "uploads of 50 kB and 4 MB" "gray 12" "$(uploads 3 50000 4000000)"
# Of a request that passes TCP by a server must be told; clients that this kernel would hurt are kept out, and responses do.
json() { lw status -o json | jq -r "$1"; }
expect_eq "what passes TCP by" "$([ "$(json .kept_out.fionread)" = true ] && echo false || echo true) true" \
	"$(json '"\(.bypass.requests) \(.bypass.responses)"')"
agent_stop
agent_start --no-bypass
expect_eq "with --no-bypass" "gray 4" "$(uploads 1 50000 4000000)"
expect_eq "what passes TCP by then" "false false" "$(json '"\(.bypass.requests) \(.bypass.responses)"')"
expect_like "for people" "*bypass     none: *" "$(lw status)"
agent_stop

# Nobody's kernel splices what passes TCP by; in mode verdict nothing is spliced on such a socket. Who splices in a pod is noticed, on
# whatever connection it does, and what that pod accepts from there on is as without us.
stop_pid "$nginx"
exec_pod c1 python3 "$LWT_ROOT/tests/netns/clients/splicer.py" "$LWT_PORT" "c1gray[${POD_IP[c1]}]" &
wait_port c1 "$LWT_PORT"
agent_start --watch-syscalls
expect_eq "splice is noticed here" true "$(json .kept_out.splice_noticed)"
expect_like "a request that is not steered" 'c1gray*' "$(outside who host "$C1/")"
expect_eq "to who splices" "gray 4" "$(uploads 1 50000 2000000)"
[ "$(counted kept-splice)" -gt 0 ] || fail "the pod's end is counted nowhere"
agent_stop
# Where nobody notices, by the pod's annotation.
agent_start
put_pod c1
sed 's/^  namespace: default$/&\n  annotations: {laneway.io\/keep-out: "true"}/' "$LWT_STATE/pod-c1.yaml" | put pod-c1
state_sync
expect_eq "to a pod that is kept out" "gray 4" "$(uploads 1 50000 2000000)"
[ "$(counted kept-pod)" -gt 0 ] || fail "the pod's end is counted nowhere"
agent_stop
say ok
