#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Two releases at once, of pods that come and go at random, and requests at random: each is answered where the invariants say.
# WORLD_SEED, WORLD_ROUNDS: others, and more.
. "$(dirname "$0")/lib.sh"
need python3 jq
setup
app web gray
app shop blue
app plain none
for name in b1 b2 s1 s2; do
	case $name in b*) pod $name web base ;; *) pod $name shop base ;; esac
done
for name in c1 c2; do
	pod $name web canary
done
pod d1 shop canary
pod p1 plain base
pod_ns client
release_by_user web
release_by_user shop
put_app plain 0
mkdir "$LWT_TMP/variants"
clients='{}' pods='{}' apps='{}'
ips() { jq -n '$ARGS.positional' --args "${POD_IP[$1]}" $(! has_ipv6 || echo "${POD_IP6[$1]}"); }
for name in "${LWT_PODS[@]}"; do
	lane=
	[ "${POD_REV[$name]}" = base ] || lane=${APP_LANE[${POD_APP[$name]}]}
	for variant in ready unready leaving; do
		case $variant in
		ready) put_pod "$name" ;;
		unready) POD_READY=False put_pod "$name" ;;
		leaving) POD_DELETED=1 put_pod "$name" ;;
		esac
		cp "$LWT_STATE/pod-$name.yaml" "$LWT_TMP/variants/$name.$variant"
	done
	put_pod "$name"
	pods=$(jq --arg name "$name" --arg app "${POD_APP[$name]}" --arg lane "$lane" --argjson ips "$(ips "$name")" \
		'.[$name] = {app: $app, lane: $lane, ips: $ips}' <<<"$pods")
done
for name in client b1 c1 s1 d1 p1; do
	clients=$(jq --arg name "$name" --arg ns "$(ns_of "$name")" --argjson ips "$(ips "$name")" --argjson pods "$pods" \
		'.[$name] = {netns: $ns, ips: $ips, lane: ($pods[$name].lane // "")}' <<<"$clients")
done
for name in web shop plain; do
	apps=$(jq --arg name "$name" --arg lane "${APP_LANE[$name]#none}" --args \
		'.[$name] = {vips: $ARGS.positional, lane: $lane}' "${APP_VIP[$name]}" $(! has_ipv6 || echo "${APP_VIP6[$name]}") <<<"$apps")
done
agent_start
jq -n --arg laneway "$LANEWAY" --arg socket "$LWT_SOCKET" --arg state "$LWT_STATE" --arg variants "$LWT_TMP/variants" --argjson port "$LWT_PORT" \
	--argjson clients "$clients" --argjson pods "$pods" --argjson apps "$apps" '$ARGS.named' >"$LWT_TMP/world.json"
python3 "$LWT_ROOT/tests/netns/clients/random_world.py" "$LWT_TMP/world.json" "${WORLD_SEED:-1}" "${WORLD_ROUNDS:-25}"
say ok
