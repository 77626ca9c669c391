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
# before; look, as often as you like; then bounded WHAT CONNECTIONS TCP_MB: what they took at most, and that it is given back. An enrolled
# connection is 11 kB of the kernel's, its sockets included; the agent has 26 MB, however many there are. What others on the machine take and give
# back meanwhile is in it: 192 MB of the kernel's and 128 of TCP's are theirs.
before() {
	RSS0=$(rss) KERNEL0=$(kernel) TCP0=$(tcp)
	RSS1=$RSS0 KERNEL1=$KERNEL0 TCP1=$TCP0
}
look() {
	local n
	n=$(rss) && [ "$n" -le "$RSS1" ] || RSS1=$n
	n=$(kernel) && [ "$n" -le "$KERNEL1" ] || KERNEL1=$n
	n=$(tcp) && [ "$n" -le "$TCP1" ] || TCP1=$n
}
given_back() { [ "$(rss)" -le $((RSS0 + 4)) ] && [ "$(tcp)" -le $((TCP0 + 32)) ] && kernel_within $((KERNEL0 + 64 + $1 / 1000)) "$(kernel)"; }
bounded() {
	say "before: agent RSS $RSS0 MB, kernel $KERNEL0 MB, TCP $TCP0 MB; at most $RSS1, $KERNEL1, $TCP1; after: $(figures)"
	expect_most "$1: agent RSS, MB" 48 "$RSS1"
	expect_most "$1: kernel, MB" $((KERNEL0 + 192 + $2 * 16 / 1000)) "$KERNEL1"
	expect_most "$1: TCP, MB" $((TCP0 + 128 + $3)) "$TCP1"
	until_ok 300 "$1: memory to be given back" given_back "$2"
	say_unjudged
}
crowds_held() {
	local f n=0
	for f in ${LOAD_FILES[$1]}; do
		[ "$(head -n 1 "${f%.json}.out")" = held ] || n=1
	done
	[ $n = 0 ]
}
crowds_go() {
	local f
	for f in ${LOAD_FILES[$1]}; do
		echo go >"${f%.json}.in"
	done
}
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
	# an agent that gets no processor for a second is taken for dead (agent-stale): on a busy machine these are many
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

if case_wanted slow; then
	before
	size=200000
	crowds slow 2 slow $((5000 / SIZE)) --size "$size" --kbps 20
	while load_runs slow; do
		look
		pause 1
	done
	crowds_wait slow
	result slow "$((10000 / SIZE)) slow readers of $size bytes" "TCP $TCP1 MB at most"
	say "reasons: $(lw stats -o json | jq -c "[.stats[] | select(.reason != \"ok\") | {(.reason): .count}] | add")"
	judge slow 0 0
	until_ok 60 "them to be given up" no_flows
	# a small packet takes twice its bytes
	bounded slow $((10000 / SIZE)) $((10000 / SIZE * size * 2 / 1000000 + 16))
fi

# One of four reads, or is read, slowly, what is more than the bypass or a look at the backlog lets through.
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
		until_ok 60 "them to be given up" no_flows
		bounded "large, $mode" $((2000 / SIZE)) $((2000 / SIZE * 24))
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
		[ "$lane" -gt 0 ] || fail "$mode: no steered connection saw a window of 0"
		[ "$base" -gt 0 ] || fail "$mode: no base connection saw a window of 0"
		until_ok 60 "them to be given up" no_flows
		bounded "window, $mode" 20 $((20 * 32))
	done
fi

if case_wanted drip; then
	crowds drip 2 drip $((1000 / SIZE)) --ms 30
	LOAD_PACE=20000 load_for 3 beside
	crowds_wait drip
	result drip "$((2000 / SIZE)) heads of a byte every 30 ms (slowloris)"
	judge drip 0 0
	result beside "an honest client beside them"
	judge beside 0 0
fi

if case_wanted rate; then
	before
	crowds rate 2 rate $((1000 / SIZE)) --seconds $((20 * FAULT_SCALE))
	while load_runs rate; do
		look
		pause 1
	done
	crowds_wait rate
	result rate "$((2000 / SIZE)) new connections a second, $((20 * FAULT_SCALE)) s" "took $(figure rate seconds) s; $(figures)"
	judge rate 0 0
	# the rate is the case's own: who lags behind it has connections that wait for one another
	expect_most "$((2000 / SIZE * 20 * FAULT_SCALE)) connections, tenths of a second" $((20 * FAULT_SCALE * 15 * LWT_SLOW)) \
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
