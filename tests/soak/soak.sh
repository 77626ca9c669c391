#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Sixteen clients in two namespaces, mixed lanes, methods, body sizes and connections, half of the lane by its tag and half by a rule that
# changes the head; each answer checked for lane, identity and body, and heads as the pod got them. SOAK_REQUESTS (1,000,000) and SOAK_SEED set the run. Fails on a wrong or lost answer, on a
# complaint of the kernel, and on memory that grows between the middle and the end.
. "$(dirname "${BASH_SOURCE[0]}")/../netns/lib.sh"

requests=${SOAK_REQUESTS:-1000000} seed=${SOAK_SEED:-$(date +%s)}
setup
app web gray
for i in 1 2; do
	pod "b$i" web base
	pod "c$i" web canary
done
pod_ns client1
pod_ns client2
release web web <<-END
	matches: [{headers: [{name: x-user, value: xiaoming}]}]
	requestHeaderModifier:
	  set: [{name: x-mse-tag, value: gray}, {name: x-set, value: new}]
	  add: [{name: x-add, value: more}]
	  remove: [x-secret]
END
agent_start ${SOAK_AGENT:-}

# Kilobytes: resident memory of the agent; kernel slab; what the agent's maps and programs have locked; TCP pages.
declare -A RSS SLAB
memory() {
	RSS[$1]=$(rss_kb "$AGENT_PID")
	SLAB[$1]=$(kernel_kb)
	printf '%-6s agent RSS %8d kB, kernel %8d kB, %s\n' "$1" "${RSS[$1]}" "${SLAB[$1]}" \
		"$(for ns in client1 client2; do in_pod $ns awk '/^TCP:/ { print "sockets in " $3 ", tw " $7 ", mem " $11 }' /proc/net/sockstat; done | paste -sd ';')"
}
targets=()
for pod in b1 b2; do
	targets+=(--target "${POD_IP[$pod]}:$LWT_PORT" --target "[${POD_IP6[$pod]}]:$LWT_PORT")
done
targets+=(--target "${POD_IP[c1]}:$LWT_PORT")
say "seed $seed, $requests requests"
memory start
pids=()
for i in 1 2; do
	exec_pod "client$i" "$LWT_BUILD/tests/soak" "${targets[@]}" --requests $((requests / 2)) --threads 8 --by-rule 50 --timeout $((60 * LWT_SLOW)) --seed "$seed$i" $(soak_waits) \
		>"$LWT_TMP/soak$i" 2>"$LWT_TMP/soak$i.err" &
	pids+=($!)
done
half() { grep -q half "$LWT_TMP/soak1.err" || ! kill -0 "${pids[0]}"; }
until_ok "${SOAK_TIME:-3600}" "half of the requests" half
memory middle
status=0
for pid in "${pids[@]}"; do
	wait "$pid" || status=1
done
memory end
cat "$LWT_TMP"/soak[12]
grep -hv '^half' "$LWT_TMP"/soak[12].err || true
lw stats
[ $status = 0 ] || fail "wrong or lost answers"
[ -z "$(kernel_complaints)" ] || fail "the kernel complained"
[ "${RSS[end]}" -le $((RSS[middle] + 2048)) ] && [ "${RSS[end]}" -le 49152 ] || fail "the agent's memory grows"
slab_is_back() { memory end && kernel_within $((SLAB[middle] + 65536)) "${SLAB[end]}"; }
until_ok 300 "the kernel's memory to be what it was: it grows" slab_is_back
say_unjudged
say ok
