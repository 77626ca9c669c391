#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# A canary that asks FIONREAD, as nginx does, on the node of its clients: uploads far over its buffers arrive, on a connection
# that has been used before as on a new one.
. "$(dirname "$0")/lib.sh"
need nginx python3 jq
setup
two_pods
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
wait_port c1 "$LWT_PORT"
agent_start
expect_eq "uploads of 50 kB and 5 MB" "gray 12" "$(uploads 3 50000 5000000)"
# Of a request that passes TCP by a server must be told; clients that this kernel would hurt are kept out, and responses do.
json() { lw status -o json | jq -r "$1"; }
expect_eq "what passes TCP by" "$([ "$(json .kept_out.fionread)" = true ] && echo false || echo true) true" \
	"$(json '"\(.bypass.requests) \(.bypass.responses)"')"
agent_stop
agent_start --no-bypass
expect_eq "with --no-bypass" "gray 4" "$(uploads 1 50000 5000000)"
expect_eq "what passes TCP by then" "false false" "$(json '"\(.bypass.requests) \(.bypass.responses)"')"
expect_like "for people" "*bypass     none: *" "$(lw status)"
agent_stop
say ok
