#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Entry rules at random, and requests at random: each goes where docs/rules.md says. RULES_SEED, RULES_ROUNDS: others, and more.
. "$(dirname "$0")/lib.sh"
need python3
setup
app web gray
pod b1 web base
pod c1 web canary
pod_ns client
release web web <<<RULES
mv "$LWT_STATE/tr-web.yaml" "$LWT_STATE/tr-web.template"
mv "$LWT_STATE/rollout-web.yaml" "$LWT_STATE/rollout-tr.template"
release_own web <<<RULES
mv "$LWT_STATE/rollout-web.yaml" "$LWT_STATE/rollout-own.template"
agent_start
in_pod client python3 "$LWT_ROOT/tests/netns/clients/random_rules.py" "${POD_IP[b1]}" "$LWT_PORT" "$LWT_STATE" "${RULES_SEED:-1}" \
	"${RULES_ROUNDS:-25}" "$LANEWAY" "$LWT_SOCKET" "${POD_IP[client]}"
say ok
