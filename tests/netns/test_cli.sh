#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# What the command line says and what it exits with: help, mistakes, no agent, every question asked.
. "$(dirname "$0")/lib.sh"
need jq unshare
setup
two_pods

# exits WANTED WHAT COMMAND...: output to $LWT_TMP/out and $LWT_TMP/err.
exits() {
	local want=$1 what=$2 code=0
	shift 2
	"$@" >"$LWT_TMP/out" 2>"$LWT_TMP/err" || code=$?
	expect_eq "$what: exit code" "$want" "$code"
}
out() { cat "$LWT_TMP/out"; }
err() { cat "$LWT_TMP/err"; }

commands='agent check status lanes endpoints flows stats metrics explain trace cleanup'
exits 0 "help of version" "$LANEWAY" help version
for cmd in version --version; do
	exits 0 "$cmd" "$LANEWAY" $cmd
	expect_like "$cmd" 'laneway [0-9]*.[0-9]*' "$(out)"
done
exits 0 "help" "$LANEWAY" help
for code in 0 1 2 3 4 5; do
	grep -q "^  $code  " "$LWT_TMP/out" || fail "help does not say what exit code $code is"
done
for cmd in $commands; do
	expect_like "help names $cmd" "*  $cmd *" "$(out)"
done
for cmd in $commands; do
	exits 0 "help $cmd" "$LANEWAY" help "$cmd"
	expect_like "help $cmd" "Usage: laneway $cmd *" "$(out)"
	exits 0 "$cmd --help" "$LANEWAY" "$cmd" --help
	exits 2 "$cmd with a bad option" "$LANEWAY" "$cmd" --no-such-option
	expect_like "$cmd with a bad option" "*Try: laneway help $cmd" "$(err)"
	expect_eq "$cmd with a bad option, stdout" "" "$(out)"
done
exits 2 "no command" "$LANEWAY"
exits 2 "no such command" "$LANEWAY" steer
exits 2 "agent without a folder" "$LANEWAY" agent
for cmd in "agent --state" check; do
	for header in 'a b' '' Host Content-Length traceparent; do
		# shellcheck disable=SC2086 # the command is words
		exits 2 "$cmd --tag-header '$header'" "$LANEWAY" $cmd "$LWT_STATE" --tag-header "$header"
		expect_like "$cmd --tag-header '$header'" "*--tag-header is the name of a header*" "$(err)"
	done
done
for opt in lane-label-prefix node device; do
	exits 2 "an empty $opt" "$LANEWAY" agent --state "$LWT_STATE" "--$opt" ''
	expect_like "an empty $opt" "*--$opt is *, not ''*" "$(err)"
done
exits 2 "a bad pool size" "$LANEWAY" agent --state "$LWT_STATE" --pool-max 0
exits 2 "explain without a target" "$LANEWAY" explain --from 10.0.0.1
exits 2 "explain to no port" "$LANEWAY" explain --from 10.0.0.1 --to 10.0.0.2
exits 2 "explain with half a header" "$LANEWAY" explain --from 10.0.0.1 --to 10.0.0.2:80 -H name
exits 2 "trace from no address" "$LANEWAY" trace --from x
exits 2 "help of two" "$LANEWAY" help status lanes
exits 2 "version of something" "$LANEWAY" version status
# 64 KiB are what an agent reads of a question: so much is said before it is asked
exits 2 "a question that is too long" "$LANEWAY" explain --from 10.0.0.1 --to 10.0.0.2:80 -H "a: $(printf '%065536d' 0)"
expect_like "a question that is too long" "*at most 65536 bytes*" "$(err)"
exits 2 "a bad output format" "$LANEWAY" lanes -o yaml
exits 2 "metrics as JSON" "$LANEWAY" metrics -o json
printf 'pool-max 0\n' >"$LWT_TMP/options"
exits 2 "a bad value in a file of options" "$LANEWAY" agent --state "$LWT_STATE" --options "$LWT_TMP/options"
expect_like "a bad value in a file of options" "*--pool-max is 1 to *, not '0'*" "$(err)"
printf '\nsteer\n' >"$LWT_TMP/options"
exits 2 "a bad file of options" "$LANEWAY" agent --state "$LWT_STATE" --options "$LWT_TMP/options"
expect_like "a bad file of options" "*$LWT_TMP/options:2: 'steer' is no option*" "$(err)"
exits 2 "options, abbreviated" "$LANEWAY" agent --state "$LWT_STATE" --option "$LWT_TMP/options"
exits 2 "Events of a folder" "$LANEWAY" agent --state "$LWT_STATE" --events
for when in '' never laneway /laneway laneway/ a/b/c 'a b/c' A/b; do
	exits 2 "--leave-hooks '$when'" "$LANEWAY" agent --kube --leave-hooks "$when"
	expect_like "--leave-hooks '$when'" "*NAMESPACE/NAME of a DaemonSet, not '$when'*" "$(err)"
done
exits 2 "a DaemonSet of a folder" "$LANEWAY" agent --state "$LWT_STATE" --leave-hooks a/b
exits 2 "two questions" "$LANEWAY" status --wait 1 --alive
exits 2 "a bad number of seconds" "$LANEWAY" status --wait soon
exits 4 "output that cannot be written" bash -c '"$1" help >/dev/full' - "$LANEWAY"

# No agent.
for cmd in status lanes endpoints flows stats metrics trace 'explain --from 10.0.0.1 --to 10.0.0.2:80'; do
	# shellcheck disable=SC2086
	exits 3 "$cmd without an agent" "$LANEWAY" $cmd --socket "$LWT_SOCKET"
	expect_like "$cmd without an agent" "*no agent at '$LWT_SOCKET'*" "$(err)"
done
exits 3 "status --alive without an agent" "$LANEWAY" status --socket "$LWT_SOCKET" --alive
exits 3 "status --brief without an agent" "$LANEWAY" status --socket "$LWT_SOCKET" --brief
exits 3 "status --wait without an agent" "$LANEWAY" status --socket "$LWT_SOCKET" --wait 0.2
exits 5 "an agent without its folder" "$LANEWAY" agent --state "$LWT_TMP/none" --socket "$LWT_SOCKET" --bpffs "$LWT_BPFFS"
exits 4 "an agent that would mount over what is there" timeout $((20 * LWT_SLOW)) "$LANEWAY" agent --state "$LWT_STATE" --cgroup "$LWT_CGROUP" \
	--socket "$LWT_SOCKET" --bpffs "$LWT_STATE"
expect_like "an agent that would mount over what is there" "*'$LWT_STATE' is no bpffs, and no empty folder*" "$(err)"
exits 4 "cleanup of a folder that is not there" "$LANEWAY" cleanup --socket "$LWT_SOCKET" --bpffs "$LWT_TMP/none"
exits 0 "cleanup of nothing" "$LANEWAY" cleanup --socket "$LWT_SOCKET" --bpffs "$LWT_BPFFS"
expect_eq "cleanup of nothing" "0 removed" "$(out)"
exits 0 "cleanup, as JSON" "$LANEWAY" cleanup --socket "$LWT_SOCKET" --bpffs "$LWT_BPFFS" -o json
expect_eq "cleanup, as JSON" 0 "$(jq .removed "$LWT_TMP/out")"
exits 2 "-o of an agent" "$LANEWAY" agent --state "$LWT_STATE" -o json
exits 2 "-o of no kind" "$LANEWAY" agent --self-test -o yaml
exits 0 "the self-tests" "$LANEWAY" agent --self-test
mode=$(awk '$1 == "mode" { sub(":", "", $2); print $2 }' "$LWT_TMP/out")
tests=$(grep -c '^\(ok\|no\) ' "$LWT_TMP/out")
exits 0 "the self-tests, as JSON" "$LANEWAY" agent --self-test -o json
expect_eq "the self-tests, as JSON" "$mode $tests true $(uname -r)" \
	"$(jq -r '"\(.mode) \(.selftests | length) \(.safe) \(.kernel)"' "$LWT_TMP/out")"

# More is wrong than is listed: it says so.
mkdir "$LWT_TMP/many"
for _ in $(seq 4100); do
	printf -- '---\n{apiVersion: v1, kind: Pod, metadata: {labels: {a: b}}}\n'
done >"$LWT_TMP/many/pods.yaml"
exits 1 "check of many that are wrong" "$LANEWAY" check "$LWT_TMP/many"
expect_eq "check: those that are not listed" "and 4 more" "$(grep '^and ' "$LWT_TMP/out")"
exits 1 "check of many that are wrong, as JSON" "$LANEWAY" check "$LWT_TMP/many" -o json
expect_eq "check, as JSON: those that are not listed" "4096 4 4100" \
	"$(jq -r '"\(.findings | length) \(.findings_truncated) \(.errors)"' "$LWT_TMP/out")"

# The kernel has the words of other bounds for those of inotify.
for bound in instances watches; do
	# shellcheck disable=SC2016
	exits 4 "check without inotify $bound" unshare --user --map-root-user sh -c 'echo 0 >"/proc/sys/user/max_inotify_$0" && exec "$@"' \
		"$bound" "$LANEWAY" check "$LWT_STATE"
	expect_like "check without inotify $bound" "*read '$LWT_STATE': no more * of inotify: *fs.inotify.max_user_$bound" "$(err)"
done

# check: the same lanes an agent would have, and its findings as the exit code.
exits 0 "check" "$LANEWAY" check "$LWT_STATE" -o json
expect_eq "check: lanes" "gray" "$(jq -r '.lanes[] | select(.open) | .name' "$LWT_TMP/out")"
expect_eq "check: errors" 0 "$(jq .errors "$LWT_TMP/out")"
exits 0 "check, other labels" "$LANEWAY" check "$LWT_STATE" -o json --lane-label none --lane-label-prefix alicloud.service.
expect_eq "check, other labels" "tag" "$(jq -r '.lanes[] | select(.open) | .name' "$LWT_TMP/out")"
exits 0 "check as tables" "$LANEWAY" check "$LWT_STATE"
expect_like "check as tables" "*x-mse-tag: gray*" "$(out)"
exits 0 "check --untrusted" "$LANEWAY" check "$LWT_STATE" -o json --baggage --untrusted default/app=web --untrusted edge/app=none
expect_eq "a label that no pod has" "--untrusted edge/app=none: no pod has this label" "$(jq -r '.findings[] | select(.severity == "warning") | .text' "$LWT_TMP/out")"
exits 2 "check, what --untrusted is not" "$LANEWAY" check "$LWT_STATE" --untrusted web
mkdir "$LWT_TMP/bad"
printf 'apiVersion: v1\nkind: Pod\nmetadata: [\n' >"$LWT_TMP/bad/broken.yaml"
exits 1 "check of a broken file" "$LANEWAY" check "$LWT_TMP/bad"
expect_like "check of a broken file" "*broken.yaml*" "$(out)"
exits 4 "check of no folder" "$LANEWAY" check "$LWT_TMP/none"

agent_start
exits 0 "status --alive" lw status --alive
expect_eq "status --alive" "" "$(out)"
exits 0 "status --brief" lw status --brief
expect_like "status --brief" "laneway *steering   yes (mode *)" "$(out)"
expect_eq "status --brief: lines" 2 "$(wc -l <"$LWT_TMP/out")"
exits 0 "status --brief, as JSON" lw status --brief -o json
expect_eq "status --brief, as JSON" "true false" "$(jq -r '"\(.steering) \(has("counts"))"' "$LWT_TMP/out")"
exits 0 "status --brief --wait" lw status --brief --wait 5
expect_eq "status --brief --wait: lines" 2 "$(wc -l <"$LWT_TMP/out")"
exits 0 "status --wait" lw status --wait 5
expect_like "status --wait: all of it" "*self-tests*" "$(out)"
exits 0 "status" lw status
expect_like "status" "*steering   yes*" "$(out)"
lw status -o json >"$LWT_TMP/json"
expect_eq "status: findings" "0 0" "$(jq -r '.source | "\(.findings | length) \(.findings_truncated)"' "$LWT_TMP/json")"
expect_eq "status" "true $(uname -r) $LWT_STATE" "$(jq -r '"\(.steering) \(.kernel) \(.source.path)"' "$LWT_TMP/json")"
[ "$(jq '.attached | length' "$LWT_TMP/json")" -gt 0 ] || fail "status names no program"
[ "$(jq '.selftests | length' "$LWT_TMP/json")" -gt 0 ] || fail "status names no self-test"
generation=$(jq .generation "$LWT_TMP/json")

# One agent at a time, in one clear line.
exits 1 "a second agent" timeout $((20 * LWT_SLOW)) "$LANEWAY" agent --state "$LWT_STATE" --socket "$LWT_SOCKET" --bpffs "$LWT_BPFFS"
expect_eq "a second agent: lines" 1 "$(wc -l <"$LWT_TMP/err")"
expect_like "a second agent" "*another agent*" "$(err)"
exits 1 "cleanup beside an agent" "$LANEWAY" cleanup --socket "$LWT_SOCKET" --bpffs "$LWT_BPFFS"

lw lanes -o json >"$LWT_TMP/json"
expect_eq "lanes" "gray x-mse-tag gray" "$(jq -r '.lanes[] | "\(.name) \(.tag_header) \(.tag_value)"' "$LWT_TMP/json")"
expect_like "lanes: rules" "*x-user*xiaoming*" "$(jq -r '.rules[].when' "$LWT_TMP/json")"
lw endpoints -o json >"$LWT_TMP/json"
expect_eq "endpoints" "base base gray" "$(jq -r '.endpoints[].lane' "$LWT_TMP/json" | sort | paste -sd ' ')"

hold client "${POD_IP[b1]}" "$LWT_PORT"
expect_like "through a held connection" '200 c1gray\[*' "$(hold_get 'x-mse-tag: gray' /id)"
expect_eq "flows: which header" "tag x-mse-tag" "$(lw flows -o json | jq -r '.flows[0] | "\(.evidence) \(.header)"')"
expect_like "flows: which header, in a table" "*gray  *tag (x-mse-tag)  *" "$(lw flows)"
expect_like "through a held connection" '200 b1\[*' "$(hold_get '' /id)"
expect_eq "flows: no header" "none " "$(lw flows -o json | jq -r '.flows[0] | "\(.evidence) \(.header)"')"
lw flows -o json >"$LWT_TMP/json"
expect_eq "flows" "1 ${POD_IP[b1]}:$LWT_PORT 2 base peer" \
	"$(jq -r '"\(.total) \(.flows[0].asked) \(.flows[0].requests) \(.flows[0].lane) \(.flows[0].route)"' "$LWT_TMP/json")"
expect_eq "flows: limit" "1 0" "$(lw flows --limit 0 -o json | jq -r '"\(.total) \(.flows | length)"')"
exits 0 "flows as a table" lw flows
expect_like "flows as a table" "CLIENT*${POD_IP[client]}:*" "$(out)"
expect_eq "stats: by tag" 1 "$(lw stats -o json | jq '[.stats[] | select(.lane == "gray" and .evidence == "tag") | .count] | add')"
hold_end
exits 0 "metrics" lw metrics
expect_eq "metrics: steering" "laneway_steering 1" "$(grep '^laneway_steering ' "$LWT_TMP/out")"
expect_eq "metrics: self-tests" "$(lw status -o json | jq '.selftests | length')" "$(grep -c '^laneway_selftest_ok{' "$LWT_TMP/out")"
expect_like "metrics: the tagged request" '*reason="*"} 1' "$(grep '^laneway_decisions_total{.*lane="gray",evidence="tag"' "$LWT_TMP/out")"

exits 2 "metrics: a wrong address" lw metrics --listen here
exec_pod client "$LANEWAY" metrics --socket "$LWT_SOCKET" --timeout $((5 * LWT_SLOW)) --listen 127.0.0.1:9464 2>"$LWT_TMP/exporter" &
exporter=$!
until_ok 15 "it to listen" grep -q "GET /metrics on 127.0.0.1:9464" "$LWT_TMP/exporter"
expect_eq "metrics by HTTP" "laneway_steering 1" "$(req client http://127.0.0.1:9464/metrics | grep '^laneway_steering ')"

to=${POD_IP[b1]}:$LWT_PORT
explain() { lw explain --from "${POD_IP[client]}" --to "$to" -o json "$@" | jq -r '"\(.lane) \(.evidence) \(.header)"'; }
expect_eq "explain: nothing" "base none " "$(explain)"
expect_eq "explain: the tag" "gray tag x-mse-tag" "$(explain -H 'X-MSE-Tag: gray')"
expect_eq "explain: the rule" "gray entry " "$(explain -H 'X-User: xiaoming')"
exits 1 "explain: elsewhere" lw explain --from "${POD_IP[client]}" --to 192.0.2.1:80

# A mistake in the folder is told, and does not end the steering.
printf 'apiVersion: v1\nkind: Pod\nmetadata: [\n' >"$LWT_STATE/broken.yaml"
state_sync
[ "$(lw status -o json | jq .source.errors)" -gt 0 ] || fail "status tells of no error"
expect_like "status: findings" "*broken.yaml*" "$(lw status)"
rm "$LWT_STATE/broken.yaml"
state_sync
# nor is what is nothing to the programs a new generation; SIGHUP makes one all the same
printf 'apiVersion: v1\nkind: Pod\nmetadata: { name: unrelated, namespace: default }\nstatus: { phase: Running, podIPs: [{ ip: 10.1.2.3 }] }\n' >"$LWT_STATE/unrelated.yaml"
state_sync
expect_eq "the generation, with one pod more" "$generation" "$(lw status -o json | jq .generation)"
kill -HUP "$AGENT_PID"
newer() { [ "$(lw status -o json | jq .generation)" -gt "$generation" ]; }
until_ok 15 "a generation after SIGHUP" newer
agent_stop
exits 3 "status after the end" lw status
gone() { [ "$(req client -o /dev/null -w '%{http_code}' http://127.0.0.1:9464/metrics)" = 503 ]; }
until_ok 15 "the metrics to be gone" gone
kill -TERM $exporter
wait $exporter || fail "metrics --listen: exit code $?"
say ok
