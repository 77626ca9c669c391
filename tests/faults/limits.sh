#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Very many of everything: enrolled connections, more than there is room for, slow readers, slow writers, new connections a second,
# steps of a release, states that are too large. Memory is measured; what is full does what docs/limits.md says.
# The agent's and a pod's descriptors are bounded by the machine (ulimit -Hn): so many pods, so few tagged ones.
. "$(dirname "$0")/lib.sh"
world
CROWD_TO="b1 b2 b3 b4"
for i in 3 4; do
	pod "b$i" web base
done
open_lane
agent_start
SIZE=${LIMIT_SIZE:-10} # divides all numbers; 1 is for a machine with nothing else to do
for ns in client1 client2; do
	in_pod $ns sysctl -qw net.ipv4.ip_local_port_range="1024 65000"
done

# Megabytes: the agent's, the kernel's own and TCP's, of the whole machine.
rss() { echo $(($(rss_kb "$AGENT_PID") / 1024)); }
kernel() { echo $(($(kernel_kb) / 1024)); }
tcp() { awk '/^TCP:/ { print int($11 * 4 / 1024) }' /proc/net/sockstat; }
figures() {
	printf 'agent RSS %s MB, descriptors %s, kernel %s MB, TCP %s MB' "$(rss)" "$(agent_fds)" "$(kernel)" "$(tcp)"
}
# before; look, as often as you like; then bounded WHAT CONNECTIONS TCP_MB [AGENT_MB]: what they took at most, and that it is given back. An enrolled
# connection is 11 kB of the kernel's, its sockets included; the agent has 26 MB, however many there are. What others on the machine take and give
# back meanwhile is in it: 192 MB of the kernel's and 128 of TCP's are theirs, and with another agent at work the kernel's is not judged.
before() {
	RSS0=$(rss) KERNEL0=$(kernel) TCP0=$(tcp)
	RSS1=$RSS0 KERNEL1=$KERNEL0 TCP1=$TCP0 FLOWS1=0 OTHERS=
}
look() {
	local n
	n=$(rss) && [ "$n" -le "$RSS1" ] || RSS1=$n
	n=$(kernel) && [ "$n" -le "$KERNEL1" ] || KERNEL1=$n
	! another_agent || OTHERS=1
	n=$(tcp) && [ "$n" -le "$TCP1" ] || TCP1=$n
	n=$(lw flows --limit 0 -o json | jq .total) && [ "$n" -le "$FLOWS1" ] || FLOWS1=$n
}
given_back() { [ "$(rss)" -le $((RSS0 + 4)) ] && [ "$(tcp)" -le $((TCP0 + 32)) ] && kernel_within $((KERNEL0 + 64 + $1 / 1000)) "$(kernel)"; }
bounded() {
	say "before: agent RSS $RSS0 MB, kernel $KERNEL0 MB, TCP $TCP0 MB; at most $RSS1, $KERNEL1, $TCP1; after: $(figures)"
	expect_most "$1: agent RSS, MB" "${4:-48}" "$RSS1"
	[ -n "$OTHERS" ] || expect_most "$1: kernel, MB" $((KERNEL0 + 192 + $2 * 16 / 1000)) "$KERNEL1"
	expect_most "$1: TCP, MB" $((TCP0 + 128 + $3)) "$TCP1"
	until_ok 300 "$1: memory to be given back" given_back "$2"
	say_unjudged
}
# steered NAME [MOST]: so many of a hundred requests of the lane base may have answered (2). That an agent without a processor for a second counts as
# dead (agent-stale) has its room in this.
steered() { expect_most "$1: answered by base, of 1000" $((${2:-2} * 10)) $((1000 * $(figure "$1" lane.fell_back) / $(figure "$1" lane.sent))); }
no_flows() { [ "$(flow_count)" = 0 ]; }

full_line() { echo "lw_$1 holds $2 rows and is full: some of the state is not in force"; }
# in_kernel TABLE: its rows of the generation in force.
in_kernel() {
	local slot
	slot=$(($(lw status -o json | jq .generation) % 2))
	pinned "$1" | jq --argjson s $slot '[.[].formatted.key | select(.slot == $s)] | length'
}

if case_wanted hold; then
	before
	crowds hold 4 hold $((12500 / SIZE)) --tagged 30
	until_ok 300 "50,000 connections" crowds_held hold
	look
	during=$(figures)
	flows=$(flow_count)
	crowds_go hold
	crowds_wait hold
	look
	result hold "$((50000 / SIZE)) enrolled connections, two requests each" "$during"
	expect_eq "enrolled" $((50000 / SIZE)) "$flows"
	judge hold 0 0
	steered hold
	until_ok 60 "them to be given up" no_flows
	bounded hold $((50000 / SIZE)) 16
fi

if case_wanted full; then
	before
	crowds full 5 hold $((14000 / SIZE)) --tagged 10
	until_ok 300 "70,000 connections" crowds_held full
	look
	during=$(figures)
	flows=$(flow_count)
	left=$((70000 / SIZE > 65536 ? 70000 / SIZE - 65536 : 0))
	crowds_go full
	crowds_wait full
	result full "$((70000 / SIZE)) connections, $left more than can be enrolled" "$during"
	judge full 0 0
	expect_eq "enrolled" $((70000 / SIZE - left)) "$flows"
	[ "$(counted flows-full)" -ge "$left" ] || fail "flows-full was counted $(counted flows-full) times, not $left"
	expect_most "answered by base" "$left" "$(figure full lane.fell_back)"
	until_ok 60 "them to be given up" no_flows
	bounded full $((70000 / SIZE)) 16
fi

# Slow at one end or the other, 10,000 at once: what waits for them is held once, by whoever sends it, and is all that is held.
# slow_ones CASE CROWD_MODE WHAT TCP_PERCENT: how much of all their bytes TCP may hold at one moment.
slow_ones() {
	case_wanted "$1" || return 0
	# at full size it takes a busy machine some time to open them all, and they shall be there at once
	local size=200000 kbps=$((SIZE < 5 ? 2 : 20))
	before
	# all of a body is in the socket's buffers at once, and its answer comes when the pod has read it
	crowds "$1" 2 "$2" $((5000 / SIZE)) --size "$size" --kbps "$kbps" --timeout $((300 * LWT_SLOW))
	while load_runs "$1"; do
		look
		pause 1
	done
	crowds_wait "$1"
	result "$1" "$((10000 / SIZE)) $3, $kbps kB/s" "TCP $TCP1 MB at most (pressure from $(awk '{ print int($2 * 4 / 1024) }' /proc/sys/net/ipv4/tcp_mem) on), $FLOWS1 at one moment, $(figure "$1" seconds) s"
	say "reasons: $(lw stats -o json | jq -c "[.stats[] | select(.reason != \"ok\") | {(.reason): .count}] | add")"
	judge "$1" 0 0
	steered "$1"
	[ "$FLOWS1" -ge $((8000 / SIZE)) ] || fail "$1: only $FLOWS1 at one moment"
	until_ok 60 "them to be given up" no_flows
	bounded "$1" $((10000 / SIZE)) $((10000 / SIZE * size / 1000000 * $4 / 100))
}
slow_ones slow slow "slow readers of 200 kB" 95
slow_ones pods-read upload "bodies of 200 kB that pods read slowly" 95
slow_ones answer answer "answers of 200 kB that pods write slowly" 10
slow_ones write write "bodies of 200 kB that clients write slowly" 10

# One of four reads, or is read, slowly, what is more than the bypass or a look at the backlog lets through. Of each four 4 MB
# there is never all at one moment: 2.5 MB of each are what is held at most.
if case_wanted large; then
	for mode in slow upload; do
		before
		crowds $mode 2 $mode $((1000 / SIZE)) --slow 25 --size 4000000 --kbps 400 --timeout $((60 * LWT_SLOW))
		while load_runs $mode; do
			look
			pause 1
		done
		crowds_wait $mode
		result $mode "$((2000 / SIZE)) of 4 MB, $([ $mode = slow ] && echo "every fourth reader slow" || echo "every fourth pod slow to read")" \
			"TCP $TCP1 MB at most; $(figure $mode seconds) s"
		judge $mode 0 0
		steered $mode
		until_ok 60 "them to be given up" no_flows
		bounded "large, $mode" $((2000 / SIZE)) $((2000 / SIZE * 5 / 2))
	done
fi

# So much that nothing on the way can hold it: who sends sees a window of 0, be it the pod, or the client.
if case_wanted window; then
	# stopped POD...: connections there that probe a window of 0
	stopped() {
		local pod
		for pod; do in_pod "$pod" ss -tnoH | grep -c 'timer:(persist' || true; done | awk '{ n += $1 } END { print n + 0 }'
	}
	for mode in slow upload; do
		before
		# 256 packets that wait for a reader, the buffers of an upstream socket and of its pod are less than that
		crowds $mode 2 $mode 10 --size 48000000 --kbps 4000 --timeout $((60 * LWT_SLOW))
		lane=0 base=0
		while load_runs $mode; do
			look
			if [ $mode = slow ]; then
				n=$(stopped c1 c2) b=$(stopped b1 b2 b3 b4)
			else
				# a connection to a canary is an upstream socket
				n=$(for pod in client1 client2; do in_pod "$pod" ss -tnoH "( dst ${POD_IP[c1]} or dst ${POD_IP[c2]} or dst [${POD_IP6[c1]}] or dst [${POD_IP6[c2]}] )"; done | grep -c 'timer:(persist' || true)
				b=$(($(stopped client1 client2) - n))
			fi
			[ "$n" -le "$lane" ] || lane=$n
			[ "$b" -le "$base" ] || base=$b
			pause 0.2
		done
		crowds_wait $mode
		result $mode "20 of 48 MB, $([ $mode = slow ] && echo "read slowly" || echo "which pods read slowly")" \
			"a window of 0 on $base base and $lane steered connections at one moment; TCP $TCP1 MB at most"
		judge $mode 0 0
		steered $mode
		[ "$lane" -gt 0 ] || fail "$mode: no steered connection saw a window of 0"
		[ "$base" -gt 0 ] || fail "$mode: no base connection saw a window of 0"
		until_ok 60 "them to be given up" no_flows
		# a body whose upstream socket is not there yet goes to the agent, where up to 64 MB of it wait if the agent waits for a processor
		bounded "window, $mode" 20 $((20 * 24)) 112
	done
fi

if case_wanted drip; then
	before
	# ten times as many at a tenth of the pace: what the machine has to send is the same
	crowds drip 2 drip $((5000 / SIZE)) --ms $((SIZE < 10 ? 300 / SIZE : 30))
	LOAD_PACE=20000 load beside
	while load_runs drip; do
		look
		pause 1
	done
	crowds_wait drip
	load_end beside
	result drip "$((10000 / SIZE)) heads, sent byte by byte (slowloris)" "TCP $TCP1 MB at most, $FLOWS1 at one moment, $(figure drip seconds) s"
	judge drip 0 0
	steered drip
	[ "$FLOWS1" -ge $((8000 / SIZE)) ] || fail "drip: only $FLOWS1 at one moment"
	result beside "an honest client beside them"
	judge beside 0 0
	until_ok 60 "them to be given up" no_flows
	bounded drip $((10000 / SIZE)) 16
fi

if case_wanted rate; then
	before
	crowds rate 2 rate $((1000 / SIZE)) --seconds $((20 * FAULT_SCALE))
	while load_runs rate; do
		look
		pause 1
	done
	crowds_wait rate
	result rate "$((2000 / SIZE)) new connections a second, $((20 * FAULT_SCALE)) s" \
		"$(jq '.connections / .seconds | floor' "$LWT_TMP/rate.json") a second; $(figures)"
	judge rate 0 0
	steered rate
	# the rate is the case's own: who lags behind it has connections that wait for one another
	expect_most "$((2000 / SIZE * 20 * FAULT_SCALE)) connections, tenths of a second" $((20 * FAULT_SCALE * 11 * LWT_SLOW)) \
		"$(jq '.seconds * 10 | ceil' "$LWT_TMP/rate.json")"
	until_ok 60 "them to be given up" no_flows
	bounded rate $((2000 / SIZE * 4)) 16
fi

# A release goes through its steps, by weight and by matches, and through the states of each; every answer is checked by the step in force.
if case_wanted steps; then
	del tr-web
	put_app web 1
	plan() {
		local i
		for i in "matches: [{headers: [{name: x-user, value: li}]}]" "traffic: 30%" "matches: [{headers: [{name: x-user, value: wang}]}]" "traffic: 100%"; do
			printf -- '- pause: {}\n  replicas: 1\n  %s\n' "$i"
			printf '  requestHeaderModifier: {set: [{name: x-mse-tag, value: gray}]}\n'
		done
	}
	number=0 rule=closed
	tell() { printf '%s\n' "$*" >"$LWT_TMP/rule.tmp" && mv "$LWT_TMP/rule.tmp" "$LWT_TMP/rule"; }
	# step RULE STEP STATE [REASON [PHASE]]
	step() {
		tell $((number + 1)) "$rule" "$1"
		plan | rollout_step "${@:2}"
		state_sync
		number=$((number + 2)) rule=$1
		tell "$number" "$rule"
		pause 0.1 # of this step alone
	}
	plan | rollout_step 0 "" Completed Healthy
	state_sync
	tell 0 closed
	from=$(lw status -o json | jq .generation)
	LOAD_PIDS[steps]= LOAD_FILES[steps]=
	for i in 1 2; do
		exec_pod "client$i" python3 "$LWT_ROOT/tests/faults/stepper.py" "$LWT_TMP/rule" 4 "${POD_IP[b1]}:$LWT_PORT" "[${POD_IP6[b2]}]:$LWT_PORT" \
			>"$LWT_TMP/steps$i.json" 2>"$LWT_TMP/steps$i.err" &
		LOAD_PIDS[steps]+=" $!" LOAD_FILES[steps]+=" $LWT_TMP/steps$i.json"
	done
	rounds=$((10 * FAULT_SCALE))
	for i in $(seq "$rounds"); do
		step stable 1 StepUpgrade
		step user:li 1 StepTrafficRouting
		step user:li 1 StepPaused
		step user:li 2 StepUpgrade
		step weight:30 2 StepPaused
		step weight:30 3 BeforeStepUpgrade
		step user:wang 3 StepTrafficRouting
		step user:wang 4 StepUpgrade
		step weight:100 4 StepReady
		step closed 4 Completed Finalising
		step closed 0 "" Completed Healthy
	done
	load_end steps
	generations=$(($(lw status -o json | jq .generation) - from))
	result steps "$((11 * rounds)) steps of a Rollout, by weight, matches and state" \
		"$generations generations; $(figure steps 'shares["30"] | "\(.entered) of \(.of)"' | tr -d '"') requests entered by a weight of 30"
	judge steps 0 0
	expect_eq "shares that are not the weights'" 0 "$(figure steps shares_wrong)"
	expect_most "answers of which nobody knows the step, of 100" 5 $((100 * $(figure steps unjudged) / ($(figure steps base.sent) + $(figure steps lane.sent))))
	# states of one rule change nothing: three of eleven
	[ "$generations" -ge $((6 * rounds)) ] || fail "only $generations generations came into force"
	del rollout-web
	open_lane
	state_sync
fi

# One of two canaries comes and goes: the other one has the lane.
if case_wanted ready; then
	steps=$((100 * FAULT_SCALE)) from=$(lw status -o json | jq .generation)
	LOAD_PACE=20000 load ready
	for i in $(seq $((steps / 2))); do
		POD_READY=False put_pod c1
		state_sync
		put_pod c1
		state_sync
	done
	load_end ready
	generations=$(($(lw status -o json | jq .generation) - from))
	result ready "$generations times a canary ready or not, each waited for"
	[ "$generations" -ge "$steps" ] || fail "only $generations of $steps came into force"
	judge ready 0 0
fi
# States of which not all has room: one line of `laneway check` for each table, and of the rest the agent makes what check does.
# Base stays base throughout. While the agent reads 16 MB at once requests of web's lane that it has in hand wait, and others are
# answered by base (agent-stale).
if case_wanted state; then
	while IFS='|' read -r -u 3 kind n table rows lines; do
		what="$n $kind"
		python3 "$LWT_ROOT/tests/netns/clients/limits.py" "$LWT_TMP" "$kind" "$n"
		mkdir -p "$LWT_TMP/together"
		cp "$LWT_STATE"/*.yaml "$LWT_TMP/together/"
		mv "$LWT_TMP/many.yaml" "$LWT_TMP/together/many.yaml"
		code=0
		"$LANEWAY" check "$LWT_TMP/together" -o json >"$LWT_TMP/check" || code=$?
		expect_eq "$what: check's exit code" 1 "$code"
		expect_eq "$what: what check says" "$lines" "$(jq -r '[.findings[].text] | join("; ")' "$LWT_TMP/check")"
		expect_eq "$what: rows of $table" "$rows" "$(jq ".maps.lw_$table" "$LWT_TMP/check")"
		LOAD_PACE=20000 LOAD_TIMEOUT=60 load "state-$kind"
		cp "$LWT_TMP/together/many.yaml" "$LWT_STATE/many.tmp"
		mv "$LWT_STATE/many.tmp" "$LWT_STATE/many.yaml"
		state_in_force() { [ "$(lw status -o json | jq -r '[.source.findings[].text] | join("; ")')" = "$lines" ] && lw status >/dev/null; }
		until_ok 120 "$what to be in force" state_in_force
		expect_eq "$what: of the kernel's $table" "$rows" "$(in_kernel "$table")"
		figures_now=$(figures)
		load_end "state-$kind"
		result "state-$kind" "$what" "$figures_now"
		judge "state-$kind" 0 0
		expect_like "$what: base" 'b[1-4]\[*' "$(who client1 "$B1/id")"
		until_ok 15 "$what: the lane" steers
	done 3<<-END
		workloads|4097|workloads|4096|$(full_line workloads 4096)
		addresses|32800|pods|65536|$(full_line pods 65536); $(full_line dests 65536)
		services|660|endpoints|131072|$(full_line endpoints 131072)
		groups|16400|groups|65536|$(full_line groups 65536)
	END
	del many
	until_ok 60 "the state of before" state_sync
	until_ok 15 "the lane, with room again" steers
fi
agent_stop
say ok
