#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# The API server is not there yet, dies in mid-release and comes back, and stops answering: the last state steers on, and
# what happened meanwhile is taken up.
. "$(dirname "$0")/lib.sh"
kube_setup
kube_two_pods
kube_release
api_kill

say "started without the server: nothing is steered, and status says so"
kube_agent_start --kube-silence 6
# shellcheck disable=SC2016
until_ok 30 "status to say that it is away" source_says '(.connected | not) and (.ready | not) and .away_ms > 0'
lw status >"$LWT_TMP/status" && fail "it steers without a list"
expect_like "status" '*steering   no*have not all come yet*nothing is steered yet*Failed to connect*' "$(cat "$LWT_TMP/status")"
expect_like "no list yet: tagged" 'b1\[*' "$(who client "$B1/id" -H 'x-mse-tag: gray')"

say "the server comes"
api_start
until_ok 120 "the first complete list" steering
expect_like "tagged" 'c1gray\[*' "$(who client "$B1/id" -H 'x-mse-tag: gray')"
expect_like "untagged" 'b1\[*' "$(who client "$B1/id")"

load_start

say "killed in mid-release"
generation=$(status_json | jq .generation)
api_kill
until_ok 30 "status to say that it is away" source_says '.connected | not'
expect_like "status" '*steering   yes*away since*the last state stays in force*' "$(lw status)"
expect_eq "metrics" "laneway_steering 1
laneway_source_connected 0" "$(lw metrics | grep -E '^laneway_(steering|source_connected) ')"
expect_like "away: tagged" 'c1gray\[*' "$(who client "$B1/id" -H 'x-mse-tag: gray')"

say "back: it goes on"
api_start
until_ok 120 "the connection" source_says '.connected and all(.watches[]; .state == "watching" and .error == "")'
kube_pod_status c1 "${POD_IP[c1]}" True
expect_like "back: tagged" 'c1gray\[*' "$(who client "$B1/id" -H 'x-mse-tag: gray')"

say "the server is silent"
kill -STOP "$API_PID"
until_ok 120 "status to say that it is away" source_says '.connected | not'
expect_like "why" '*silent*' "$(lw status)$(cat "$LWT_TMP/agent.log")"
kill -CONT "$API_PID"
until_ok 120 "the connection" source_says '.connected and all(.watches[]; .state == "watching")'
[ "$(status_json | jq .generation)" -ge "$generation" ] || fail "the state went back"

load_end

say "the end of the release is seen"
kube_release_end
lane_closes
say ok
