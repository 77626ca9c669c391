#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Who may not: a role without a verb, a token that ends. Each is said in clear words, and ends when the cause does.
. "$(dirname "$0")/lib.sh"
kube_setup
kube_two_pods
kube_release

say "a verb is missing: which, on what"
whole=$(role)
role_set "$(jq -c '.rules |= map(select(.resources != ["pods","services"]))' <<<"$whole")"
kube_agent_start
until_ok 30 "the refusal" source_error_like '*not allowed to list services: grant the verb "list" on resource "services" of API group ""*'
expect_like "log" '*not allowed to list*cannot list resource*' "$(cat "$LWT_TMP/agent.log")"
expect_like "not loaded: tagged" 'b1\[*' "$(who client "$B1/id" -H 'x-mse-tag: gray')"
role_set "$whole"
lane_opens 120
# Services that pass lanes on are asked for over all namespaces, in their own time
until_ok 60 "no error" source_error_like ""

say "a token ends, and the file has a new one"
kapi DELETE /api/v1/namespaces/laneway/serviceaccounts/laneway >/dev/null
kapi POST /api/v1/namespaces/laneway/serviceaccounts '{"apiVersion":"v1","kind":"ServiceAccount","metadata":{"name":"laneway","namespace":"laneway"}}' >/dev/null
api_kill
api_start
until_ok 120 "the refusal" source_error_like '*does not accept the token or certificate (401*'
expect_like "the last state stays: tagged" 'c1gray\[*' "$(who client "$B1/id" -H 'x-mse-tag: gray')"
agent_token "$KUBE/token"
until_ok 120 "the watches" source_says 'all(.watches[]; .state == "watching" and .error == "")'
agent_stop

say ok
