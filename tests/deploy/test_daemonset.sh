#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# The agent steers under exactly the capabilities, seccomp profile, mounts and read-only root of the DaemonSet.
. "$(dirname "$0")/lib.sh"
setup
two_pods
deploy_setup

container_start_state
container_up
state_sync
tag='x-mse-tag: gray'
expect_like "tagged" 'c1gray\[*' "$(who client "$B1/id" -H "$tag")"
expect_like "by the rule" 'c1gray\[*' "$(who client "$B1/id" -H "x-user: xiaoming")"
expect_like "untagged" 'b1\[*' "$(who client "$B1/id")"

status() { sed -n "s/^$1:\t*//p" "/proc/$AGENT_PID/status"; }
say "what it may do is what the manifest says"
want=$(podspec --print containers.0.securityContext.capabilities.add | sed 's/^/cap_/' | tr 'A-Z' 'a-z' | sort | paste -sd,)
for set in CapEff CapPrm CapBnd; do
	expect_eq "$set" "$want" "$(cap_names "$(status $set)")"
done
expect_eq "ambient and inheritable" "0000000000000000 0000000000000000" "$(status CapAmb) $(status CapInh)"
expect_eq "seccomp filters" 2 "$(status Seccomp)"
expect_eq "no new privileges" 1 "$(status NoNewPrivs)"
expect_eq "its root" "ro" "$(awk '$5 == "/" { split($6, o, ","); print o[1] }' "/proc/$AGENT_PID/mountinfo")"
for path in /sys /host/cgroup /etc/laneway; do
	expect_eq "$path" "ro" "$(awk -v p=$path '$5 == p { split($6, o, ","); print o[1] }' "/proc/$AGENT_PID/mountinfo")"
done
for ns in pid net; do
	expect_eq "namespace $ns" "$(readlink /proc/self/ns/$ns)" "$(readlink "/proc/$AGENT_PID/ns/$ns")"
done

say "probes"
for p in startupProbe livenessProbe readinessProbe; do
	probe $p || fail "$p: exit code $?"
done
expect_eq "the plugin's way in" "gray" "$(container exec "lwt$$" laneway lanes -o json | jq -r '.lanes[].name')"
kill -STOP "$AGENT_PID"
for p in livenessProbe readinessProbe; do
	probe $p && fail "$p says yes for an agent that hangs"
done
kill -CONT "$AGENT_PID"
until_ok 15 "the agent to go on" probe livenessProbe

say "stopped: nothing is left"
container_stop
expect_eq "pins" "" "$(pins)"
expect_like "afterwards" 'b1\[*' "$(who client "$B1/id" -H "$tag")"
say ok
