#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Every framing of HTTP/1.x, through both lanes on one connection, over IPv4 and IPv6.
. "$(dirname "$0")/lib.sh"
setup
two_pods
agent_start
for ip in "${POD_IP[b1]}" "${POD_IP6[b1]}"; do
	expect_eq "framing" ok "$(in_pod client python3 "$LWT_ROOT/tests/netns/clients/framing.py" "$ip" "$LWT_PORT")"
done
say ok
