#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# What the agent may come to under load: killed, stopped, started again, without descriptors, memory or disk.
# Base traffic loses nothing whatever becomes of it.
. "$(dirname "$0")/lib.sh"
world
threads=$((2 * LOAD_THREADS)) # of both namespaces: so many requests can be under way at one moment

# How long until the next agent steers?
restart_ms() {
	local since
	since=$(ms)
	"$LANEWAY" agent --state "$LWT_STATE" --cgroup "$LWT_CGROUP" --bpffs "$LWT_BPFFS" --socket "$LWT_SOCKET" \
		--device "lwv$$x*" "$@" >>"$LWT_TMP/agent.log" 2>&1 &
	AGENT_PID=$!
	until_ok 20 "the next agent to steer" steers
	RESTART=$(($(ms) - since))
}

if case_wanted kill; then
	agent_start
	rounds=$((3 * FAULT_SCALE)) worst=0
	load kill --may-fall-back
	for _ in $(seq "$rounds"); do
		pause 1
		began=$(mono)
		agent_kill
		pause 1.5
		restart_ms
		echo "$began $(mono) agent-kill lane" >>"$LWT_TMP/kills"
		[ "$RESTART" -le "$worst" ] || worst=$RESTART
		pause 3 # what base answers now, connections of before the kill included, has no reason
	done
	load_end kill
	result kill "kill -9 and restart, $rounds times" "steers again after $worst ms at most"
	# what was on its way over an upstream socket at that moment, which few are: what comes later must not be handed to a process that is ending
	judge kill 0 $((rounds * threads / 4))
	python3 "$LWT_ROOT/tests/faults/explain.py" "$LWT_TMP/kills" "$LWT_TMP"/kill[12].log || fail "kill: requests that no kill explains"
	expect_most "the next agent steers again, ms" $((1000 * LWT_SLOW)) "$worst"
	[ "$(grep -c "going on with what" "$LWT_TMP/agent.log")" = "$rounds" ] || fail "an agent began anew"
	agent_stop
fi

if case_wanted closed; then
	agent_start --fail-closed
	# whom the agent leaves behind waits that long, and then every client may: they are refused once they go on
	LOAD_TIMEOUT=2 load closed
	pause 1
	agent_kill
	pause 5
	load_end closed
	result closed "kill -9, --fail-closed"
	judge closed 0
	[ "$(figure closed lane.how.eacces)" -gt 0 ] || fail "fail closed: nothing was refused while there was no agent"
	restart_ms --fail-closed
	load_for 2 closed2
	result closed2 "afterwards, with the next agent" "it steered after $RESTART ms"
	judge closed2 0 0
	agent_stop
fi

# While the next agent starts, and on connections of before, requests with the tag are refused, never answered by base.
if case_wanted restart-closed; then
	agent_start --fail-closed
	load gap
	pause 1
	agent_kill
	pause 2
	restart_ms --fail-closed
	pause 1
	load_end gap
	result gap "kill -9 and restart, --fail-closed" "steers again after $RESTART ms"
	judge gap 0
	agent_stop
fi

if case_wanted stop; then
	agent_start
	for timeout in 5 30; do
		LOAD_TIMEOUT=$timeout load stop --may-fall-back
		pause 1
		kill -STOP "$AGENT_PID"
		# until then requests for which no upstream socket is ready are handed to it (route 2, LW_ROUTE_PUNT), and wait in its hands
		until_ok 5 "its heartbeat to be old" silent
		held=$(bpftool -j map dump pinned "$LWT_BPFFS/laneway/flows" | jq '[.[].formatted.value | select(.route == 2 and .punt != 0)] | length')
		pause 10
		kill -CONT "$AGENT_PID"
		pause 2
		load_end stop
		result stop "stopped (SIGSTOP) for 10 s, clients that wait for $timeout" "$held requests in its hands as its heartbeat was old"
		# one of each client, which has its answer as the agent goes on, if it waits so long; who tries again before goes to base
		judge stop 0 $((timeout < 10 ? held : 0))
		expect_most "requests in its hands" "$threads" "$held"
	done
	steers || fail "it does not steer after SIGCONT"
	agent_stop
fi

if case_wanted term; then
	agent_start
	load term --may-fall-back
	for _ in $(seq "$((3 * FAULT_SCALE))"); do
		pause 1
		agent_stop
		pause 0.5
		agent_start
	done
	load_end term
	result term "SIGTERM and start, $((3 * FAULT_SCALE)) times"
	judge term 0 0
	agent_stop
fi

# Out of descriptors: what needs an upstream socket follows its own peer (or is refused), at once, and nobody hangs.
if case_wanted descriptors; then
	for closed in "" --fail-closed; do
		# shellcheck disable=SC2086
		agent_start $closed
		used=$(agent_fds)
		prlimit --pid "$AGENT_PID" --nofile=$((used + 130)):
		LOAD_PACE=500 load_for $((5 * FAULT_SCALE)) nofile $([ -n "$closed" ] || echo --may-fall-back)
		result nofile "out of descriptors${closed:+, $closed}"
		judge nofile 0
		if [ -n "$closed" ]; then
			[ "$(figure nofile lane.how.eacces)" -gt 0 ] || fail "nothing was refused: there were descriptors enough"
		else
			[ "$(figure nofile lane.fell_back)" -gt 0 ] || fail "nothing fell back: there were descriptors enough"
			expect_most "fail open: lost" 0 "$(figure nofile lane.lost)"
		fi
		expect_most "lane, without an answer in time" 0 "$(figure nofile lane.how.timeout)"
		[ "$(counted no-sockets)" -gt 0 ] || [ "$(counted refused)" -gt 0 ] || fail "it was not counted"
		prlimit --pid "$AGENT_PID" --nofile=4096:
		until_ok 15 "it to steer again" steers
		load_for 2 enough
		result enough "afterwards${closed:+, $closed}"
		judge enough 0 0
		agent_stop
	done
fi

# Out of memory: every allocation fails, whether of the agent's own or of a library's. Requests follow their own peers or wait for no
# one; afterwards all is as before.
if case_wanted memory; then
	agent_start
	load memory --may-fall-back
	until_ok 15 "the load" steers
	prlimit --pid "$AGENT_PID" --as=$(($(awk '/^VmSize/ { print $2 }' "/proc/$AGENT_PID/status") * 1024)):
	pause $((3 * FAULT_SCALE))
	# and a state of some megabytes is to be built
	seq 30000 | awk '{ printf "---\napiVersion: v1\nkind: Pod\nmetadata: {name: many-%d, namespace: many, labels: {app: many-%d}}\n" \
		"status: {podIP: 10.254.%d.%d, phase: Running}\n", $1, $1, $1 / 250, $1 % 250 + 1 }' >"$LWT_TMP/many.yaml"
	mv "$LWT_TMP/many.yaml" "$LWT_STATE/many.yaml"
	until_ok 20 "an allocation to fail" grep -q "Cannot allocate memory" "$LWT_TMP/agent.log"
	pause $((3 * FAULT_SCALE))
	kill -0 "$AGENT_PID" || fail "the agent ended for want of memory"
	prlimit --pid "$AGENT_PID" --as=unlimited:
	load_end memory
	result memory "no more memory to be had"
	judge memory 0
	rm "$LWT_STATE/many.yaml"
	state_sync
	until_ok 15 "it to steer again" steers
	load_for 2 plenty
	result plenty "afterwards"
	judge plenty 0 0
	agent_stop
fi

# Out of memory by the limit of its own cgroup, as its container has one. Upstream sockets are the agent's, so what steered bodies hold
# is within: where TCP is refused memory it makes the pod, or the client, wait.
limit_agent() { # MEGABYTES for its sockets: LANEWAY becomes one that is limited from its first instruction on
	local v1
	v1=$(awk '$3 == "cgroup" && $4 ~ /(^|,)memory(,|$)/ { print $2; exit }' /proc/self/mounts)
	if grep -qw memory "$LWT_CGROUP_TOP/cgroup.controllers"; then
		# a cgroup with processes limits no children: its programs are on the one above
		MEMORY=$LWT_CGROUP_TOP/agent MEMORY_BACK=$LWT_CGROUP_TOP/out LWT_CGROUP_OF_AGENT=$LWT_CGROUP_TOP
		echo +memory >"$LWT_CGROUP_TOP/cgroup.subtree_control"
		mkdir "$MEMORY"
	elif [ -n "$v1" ]; then
		MEMORY=$v1/lwt$$ MEMORY_BACK=$v1 LWT_CGROUP_OF_AGENT=$LWT_CGROUP
		mkdir "$MEMORY"
		# sockets that are made before this are not counted
		echo $(($1 << 20)) >"$MEMORY/memory.kmem.tcp.limit_in_bytes"
	else
		return 1
	fi
	printf '#!/bin/sh\necho $$ >"%s"\nexec "%s" "$@"\n' "$MEMORY/cgroup.procs" "$LANEWAY" >"$LWT_TMP/limited"
	chmod +x "$LWT_TMP/limited"
}

limit_end() {
	local pid
	while read -r pid; do
		echo "$pid" >"$MEMORY_BACK/cgroup.procs" || true
	done <"$MEMORY/cgroup.procs"
	until_ok 15 "the cgroup to be empty" rmdir "$MEMORY"
	MEMORY=
}
trap 'code=$?; [ -z "${MEMORY:-}" ] || (set +e; limit_end); umount -l "$LWT_TMP/full" "$LWT_STATE" 2>/dev/null || true; teardown $code' EXIT
# What the agent's sockets hold, in bytes.
limit_tcp() { cat "$MEMORY/memory.kmem.tcp.usage_in_bytes" 2>/dev/null || awk '$1 == "sock" { print $2 }' "$MEMORY/memory.stat"; }
limit_used() { cat "$MEMORY/memory.usage_in_bytes" 2>/dev/null || cat "$MEMORY/memory.current"; }
limit_kills() { cat "$MEMORY/memory.oom_control" "$MEMORY/memory.events" 2>/dev/null | awk '$1 == "oom_kill" { n += $2 } END { print n + 0 }'; }
limit_free() { [ "$(limit_tcp)" -lt $((1 << 20)) ]; }
if case_wanted memory-cgroup; then
	most=16 # MiB
	if limit_agent $most; then
		LANEWAY=$LWT_TMP/limited LWT_CGROUP=$LWT_CGROUP_OF_AGENT agent_start
		expect_eq "in the cgroup" "$AGENT_PID" "$(cat "$MEMORY/cgroup.procs")"
		# of the agent's own it needs no more than what it has, and a little to work with
		limit=$(($(limit_used) + (most << 20)))
		echo "$limit" >"$MEMORY/memory.$([ -e "$MEMORY/memory.max" ] && echo max || echo limit_in_bytes)"
		LOAD_TIMEOUT=60 load limit --may-fall-back
		crowds readers 2 slow 12 --size 24000000 --kbps 4000 --timeout $((150 * LWT_SLOW))
		crowds uploads 2 upload 12 --size 16000000 --kbps 4000 --timeout $((150 * LWT_SLOW))
		peak=0
		while load_runs readers uploads; do
			tcp=$(limit_tcp)
			[ "$tcp" -lt "$peak" ] || peak=$tcp
			pause 0.2
		done
		crowds_wait readers
		crowds_wait uploads
		load_end limit
		result limit "at its cgroup's limit" "sockets $((peak >> 10)) kB at most, of $most MiB; killed $(limit_kills) times"
		result readers "24 slow readers of 24 MB meanwhile" "$(figure readers seconds) s"
		result uploads "24 bodies of 16 MB, read slowly, meanwhile" "$(figure uploads seconds) s"
		[ "$peak" -ge $((most << 20)) ] || fail "the limit was not met: $peak bytes"
		# the kernel gives a socket that has little some more, whatever the limit
		expect_most "bytes of sockets" $((most * 5 / 4 << 20)) "$peak"
		expect_eq "killed for it" 0 "$(limit_kills)"
		[ -d "/proc/$AGENT_PID" ] || fail "the agent is gone"
		judge limit 0
		judge readers 0
		judge uploads 0
		# what goes by way of the agent is refused (ENOMEM) where its own connection has no room (docs/limits.md). Packets that were refused are
		# sent again later and later: some clients do not wait so long
		for name in readers uploads; do
			expect_eq "$name: lane, lost otherwise" 0 $(($(figure $name lane.lost) - $(figure $name lane.how.nomem)))
		done
		expect_eq "limit: lane, lost otherwise" 0 \
			"$(jq '.lane.lost - .lane.how.nomem - .lane.how.timeout' "$LWT_TMP/limit.json")"
		expect_most "lane, lost, of 100" 5 $((100 * $(figure limit lane.lost) / $(figure limit lane.sent)))
		until_ok 30 "the sockets' memory to be given back" limit_free
		until_ok 15 "it to steer" steers
		load_for 2 unlimited
		result unlimited "afterwards, the limit as it was"
		judge unlimited 0 0
		agent_stop
		limit_end
	else
		say "does not apply here: no memory controller in cgroup v2, nor in version 1"
	fi
fi

# Disk full: where its messages go.
if case_wanted disk; then
	mkdir "$LWT_TMP/full"
	mount -t tmpfs -o size=16k,nr_inodes=16 full "$LWT_TMP/full"
	agent_start --log-level debug
	agent_stop
	"$LANEWAY" agent --state "$LWT_STATE" --cgroup "$LWT_CGROUP" --bpffs "$LWT_BPFFS" --socket "$LWT_SOCKET" \
		--device "lwv$$x*" --log-level debug >>"$LWT_TMP/full/agent.log" 2>&1 &
	AGENT_PID=$!
	until_ok 20 "the agent's socket" agent_answers
	state_sync
	dd if=/dev/zero of="$LWT_TMP/full/rest" bs=1k 2>/dev/null && fail "the disk is not full"
	load disk --may-fall-back
	for _ in 1 2 3; do
		POD_READY=False put_pod c1
		state_sync
		put_pod c1
		state_sync
	done
	load_end disk
	result disk "messages to a full disk"
	judge disk 0 0
	agent_stop
	umount "$LWT_TMP/full"
fi

# Disk full: where the state comes from. Half an object must change nothing, and be told of.
if case_wanted disk-state; then
	mkdir "$LWT_TMP/whole"
	cp "$LWT_STATE"/*.yaml "$LWT_TMP/whole/"
	mount -t tmpfs -o size=256k state "$LWT_STATE"
	cp "$LWT_TMP/whole"/*.yaml "$LWT_STATE/"
	agent_start
	# where c1 is not ready any more, as the first lines of 20 kB say
	{
		POD_READY=False put_pod c1
		cat "$LWT_STATE/pod-c1.yaml"
		printf 'more: "%20000s"\n' ""
	} >"$LWT_TMP/c1.yaml"
	cp "$LWT_TMP/whole/pod-c1.yaml" "$LWT_STATE/"
	state_sync
	generation=$(lw status -o json | jq .generation)
	told() { [[ $(lw status -o json | jq -r '[.source.findings[].text] | join("; ")') == *"/pod-c1.yaml:"*"unexpected end of stream"* ]]; }
	canaries() { for _ in $(seq 16); do who client1 "$B1/id" -H "$TAG" && echo; done | cut -c 1-2 | sort -u | xargs; }
	load half
	pause 1
	dd if=/dev/zero of="$LWT_STATE/rest" bs=4k 2>/dev/null && fail "the disk is not full"
	truncate -s -8192 "$LWT_STATE/rest"
	cat "$LWT_TMP/c1.yaml" >"$LWT_STATE/pod-c1.yaml" 2>/dev/null && fail "the disk is not full"
	expect_eq "bytes that landed" 12288 "$(stat -c %s "$LWT_STATE/pod-c1.yaml")"
	until_ok 10 "a finding that says so" told
	pause 2
	expect_eq "generation, with half an object" "$generation" "$(lw status -o json | jq .generation)"
	expect_eq "canaries that answer, with half an object" "c1 c2" "$(canaries)"
	rm "$LWT_STATE/rest"
	load_end half
	result half "an object written to a full disk, half of it landed"
	judge half 0 0
	cp "$LWT_TMP/c1.yaml" "$LWT_STATE/pod-c1.yaml"
	state_sync
	expect_eq "canaries that answer, with all of it" "c2" "$(canaries)"
	! told || fail "the finding stays"
	agent_stop
	umount "$LWT_STATE"
fi
say ok
