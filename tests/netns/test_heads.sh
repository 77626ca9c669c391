#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Heads in pieces, long, pipelined, malformed; bytes that are no HTTP. What is in doubt is left alone and counted.
. "$(dirname "$0")/lib.sh"
setup
two_pods
exec_pod b1 python3 "$LWT_ROOT/tests/netns/clients/echo.py" 9000 &
wait_port b1 9000
agent_start
expect_eq "heads" ok \
	"$(in_pod client python3 "$LWT_ROOT/tests/netns/clients/heads.py" "${POD_IP[b1]}" "$LWT_PORT" 9000)"
for reason in opaque-not-http opaque-malformed opaque-head-size opaque-pieces opaque-pipelined; do
	[ "$(counted $reason)" -ge 1 ] || fail "$reason was not counted"
done
say ok
