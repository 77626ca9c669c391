#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# What is known of arriving requests, where it cannot be all: pipelining, packets lost on their way, forged tags at an entry that
# is not believed, and each map of it at its limit. Beside all of that a client without a tag is never in a lane, and no answer
# is lost; what is missed has its reason, and when it is over the lane keeps all again.
# LIMIT_N (400): requests of that client. ATTACK, RUNTIME_TARGETS: see tests/runtimes/asks.sh.
. "$(dirname "$0")/../runtimes/lib.sh"
. "$RUNTIMES/asks.sh"
. "$(dirname "$0")/../netns/fill.sh"
need python3 nft bpftool
N=${LIMIT_N:-400}
runtimes_world --untrusted edge/app=gate

# pipelines WHO CONNECTIONS BURSTS DEPTH FIRST SEED [LENGTH]: clients/pipeline.py, to its end
pipelines() {
	in_pod caller "$LWT_ROOT/tests/netns/clients/pipeline.py" "${POD_IP[$PROGRAM]}:$LWT_PORT" "${@:2}" >"$LWT_TMP/$1.json" \
		2>"$LWT_TMP/$1.err" || true
}
# missed REASON WHAT: some more requests were counted with it since the last look.
missed() { [ "$(counted "$1")" -gt "${SEEN[$1]}" ] || fail "$2: nothing was counted as $1"; }
# After all of it the lane keeps what is asked one at a time, and of untagged requests none.
recovers() {
	asks after --requests 50 --connections 1
	unharmed "$1, afterwards" after
	[ "$(got after kept)" = "$(got after tagged)" ] || bad "$1, afterwards: the lane kept $(got after kept) of $(got after tagged)"
}

# One connection brings requests of several lanes at once, while others of the lane are at work: which of its requests the
# server calls for, nobody can say.
if case_wanted "pipelined"; then
	for program in c-sip python-threads go node; do
		what="pipelined, $program"
		if [ $program = c-sip ]; then middle c-sip --sip; else middle $program; fi
		look mixed-unread
		begins lane --seconds 60 --connections 3 --tagged 100
		pipelines two 2 $((N / 20)) 2 1 1
		pipelines six 2 $((N / 20)) 6 3 2
		asks client --requests "$N" --connections 2 --tagged 0
		pipelines nine 4 $((N / 40)) 9 0 3
		ends lane
		for who in two six nine client lane; do unharmed "$what" $who; done
		missed mixed-unread "$what"
		recovers "$what"
		told "$what" two six nine client lane
	done
fi

# A head is lost on its way and sent again, behind a body that itself begins as a request does.
if case_wanted "lost"; then
	middle c-thread
	what="heads that are lost"
	device=$(ip -n "$(ns_of caller)" -o link show eth0 | sed -n 's/.*eth0@if\([0-9]*\):.*/\1/p')
	device=$(ip -o link | sed -n "s/^$device: \([^@]*\)@.*/\1/p")
	# two of three packets of that length: what is lost is the head, whose length on the wire no other packet here has
	in_pod host nft -f - <<-END
		table netdev lwt$$ {
			counter lost { }
			chain in {
				type filter hook ingress device "$device" priority 0;
				ip length 1052-1064 numgen inc mod 3 { 0, 1 } counter name lost drop
			}
		}
	END
	begins lane --seconds 60 --connections 3 --tagged 100
	pipelines client 8 6 1 1 1 1000
	ends lane
	lost=$(nft -j list counter netdev lwt$$ lost | jq '.nftables[] | .counter.packets // empty')
	nft delete table netdev lwt$$
	unharmed "$what" client
	unharmed "$what" lane
	[ "$lost" -gt 20 ] || fail "$what: only $lost were"
	recovers "$what"
	told "$what" client lane
	say "  $lost packets were lost"
fi

# A gateway that is not believed, and forwards nothing, a tag, or a trace id.
if case_wanted "forged at the entry"; then
	# gate NAME UPSTREAM FORWARD: `thread` in a pod that --untrusted names
	gate() {
		pod_ns "$1"
		many_ports "$1"
		put "$1" <<-END
			apiVersion: v1
			kind: Pod
			metadata: {name: $1, namespace: edge, uid: $1-$$, labels: {app: gate}}
			spec: {nodeName: node-1, containers: [{name: main}]}
			status: {phase: Running, podIPs: [{ip: ${POD_IP[$1]}}], conditions: [{type: Ready, status: "True"}]}
		END
		PORT=$LWT_PORT UPSTREAM=$2:$LWT_PORT FORWARD=$3 exec_pod "$1" "$LWT_BUILD/tests/thread" >"$LWT_TMP/$1.log" 2>&1 &
		POD_PID[$1]=$!
		wait_port "$1" "$LWT_PORT"
		state_sync
	}
	PROGRAM_FORWARD=trace middle c-thread
	what="forged at the entry"
	gate bare "${POD_IP[w1]}" ""
	gate tags "${POD_IP[$PROGRAM]}" x-mse-tag
	gate traces "${POD_IP[$PROGRAM]}" traceparent
	for how in bare tags traces; do
		passed=()
		[ $how != traces ] || passed=(--passed)
		begins lane --seconds 60 --connections 3 --tagged 100 --trace --passed --trace-seed 7
		asks forged --target "${POD_IP[$how]}:$LWT_PORT" --requests "$N" --connections 8 --tagged 50 --trace "${passed[@]}" --trace-seed 7
		ends lane
		unharmed "$what, $how" forged
		never_wrong "$what, $how" lane
		[ "$(got forged kept)" = 0 ] || fail "$what, $how: $(got forged kept) forged tags were believed"
		told "$what, $how" forged lane
	done
	asks after --requests 50 --connections 1 --trace --passed --trace-seed 70
	keeps_all "$what, afterwards" after
	for how in bare tags traces; do
		del $how
		pod_ns_del $how
	done
fi


# New threads find no room: what the whole process works on is counted still, and threads are not told apart.
if case_wanted "full, threads"; then
	what="map full, threads"
	middle c-thread
	fills full threads
	look mixed-unproven
	asks lane --requests "$N" --connections 8 --tagged 100
	asks client --requests "$N" --connections 8
	filled
	unharmed "$what" client
	unharmed "$what" lane
	missed mixed-unproven "$what"
	[ "$(got lane kept)" = "$(got lane tagged)" ] || bad "$what: the lane alone kept $(got lane kept) of $(got lane tagged)"
	recovers "$what"
	told "$what" client lane
fi
# Nor does a new process: then nobody's work on the node is evidence, as long as it works.
if case_wanted "full, procs"; then
	what="map full, procs"
	[ -z "$PROGRAM" ] || program_end # the last one's place must not become free
	fills full procs
	middle c-thread
	look mixed-unread
	asks client --requests "$N" --connections 8
	asks lane --requests "$N" --connections 8 --tagged 100
	unharmed "$what" client
	unharmed "$what" lane
	missed mixed-unread "$what"
	[ "$(got lane kept)" = 0 ] || fail "$what: the lane kept $(got lane kept) requests: was it full?"
	filled
	counted_all() { [ "$(uncounted)" = 0 ]; }
	until_ok 15 "uncounted work to end" counted_all
	recovers "$what"
	told "$what" client lane
fi

# Others' connections, heads in pieces and trace ids push out what is at work: by so many of them, and at once.
if case_wanted "pushed out"; then
	# REASON: something is missed for it. A trace id that is gone leaves an event loop that works on several lanes.
	while read -r -u 3 how map reason; do
		what="pushed out of map $map, $how"
		options=()
		if [ $map = traces ]; then
			PROGRAM_FORWARD=trace middle c-epoll
			options=(--trace --passed)
		else
			middle c-thread
		fi
		[ $map != in_heads ] || options=(--pieces cut)
		look "$reason"
		fills $how $map
		asks client --requests "$N" --connections 4 --tagged 0 "${options[@]}" --trace-seed 21
		asks many --requests $((N * 4)) --connections 100 "${options[@]}" --trace-seed 22
		asks lane --requests "$N" --connections 8 --tagged 100 "${options[@]}" --trace-seed 23
		filled
		for who in client many lane; do unharmed "$what" $who; done
		[ $how/$map = churn/inbound ] || missed $reason "$what"
		recovers "$what"
		told "$what" client many lane
		say "  $(tail -n 1 "$LWT_TMP/fill-$map.out") entries, $(($(counted $reason) - SEEN[$reason])) $reason"
	done 3<<-END
		churn inbound mixed-unread
		drop inbound mixed-unread
		churn in_heads mixed-unread
		drop traces mixed
	END
fi
[ -z "$PROGRAM" ] || program_end
say ok
