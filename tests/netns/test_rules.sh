#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Entry rules: weight, cookies, regular expressions, AND and OR, path and query; and the modifiers.
. "$(dirname "$0")/lib.sh"
setup
app web gray
pod b1 web base
pod c1 web canary
pod_ns client
U=http://${POD_IP[b1]}:$LWT_PORT
release web web <<<'weight: 30'
agent_start

lane() { # CURL OPTIONS...: the lane of a request
	local pod
	pod=$(req client -o /dev/null -w '%header{x-pod}' "$@")
	case $pod in *gray*) echo gray ;; ?*) echo base ;; *) fail "no answer: $*" ;; esac
}
expect() { expect_eq "$*" "$1" "$(lane "${@:2}")"; }

req client -o /dev/null -w '%header{x-pod}\n' "$U/id?[1-1000]" >"$LWT_TMP/share"
share=$(grep -c gray "$LWT_TMP/share")
[ "$share" -ge 242 ] && [ "$share" -le 358 ] || fail "weight 30 took $share of 1,000"

release web web <<-'END'
	matches:
	- headers:
	  - {name: x-user, type: Exact, value: xiaoming}
	  - {name: X-Region, type: RegularExpression, value: "^(hang|guang)zhou-[0-9]{1,3}$"}
	- headers:
	  - {name: canary-by-cookie, value: beta}
	requestHeaderModifier:
	  set: [{name: x-mse-tag, value: gray}, {name: x-set, value: new}]
	  add: [{name: x-add, value: more}]
	  remove: [x-secret]
END
state_sync
expect base -H 'x-user: xiaoming' "$U/id"
expect gray -H 'x-user: xiaoming' -H 'x-region: hangzhou-7' "$U/id"
expect gray -H 'x-region: guangzhou-123' -H 'x-user: xiaoming' "$U/id"
expect base -H 'x-user: xiaoming' -H 'x-region: hangzhou-1234' "$U/id"
expect base -H 'x-user: xiaoming' -H 'x-region: xhangzhou-1' "$U/id"
expect gray -b 'a=b; beta=always; c=d' "$U/id"
expect base -b 'a=b; beta=never; c=d' "$U/id"
expect base -b 'alphabeta=always' "$U/id"

req client -b beta=always -H 'x-set: old' -H 'x-add: one' -H 'X-Secret: s' -H 'x-keep: k' "$U/head" |
	tr -d '\r' | tr -s ' ' | grep -i '^x-' | tr 'A-Z' 'a-z' | sort >"$LWT_TMP/head"
expect_eq "the head at the canary" "x-add: more x-add: one x-keep: k x-mse-tag: gray x-set: new" "$(paste -sd ' ' "$LWT_TMP/head")"
req client -H 'x-set: old' -H 'x-secret: s' "$U/head" | tr -d '\r' | grep '^x-' | sort >"$LWT_TMP/head"
expect_eq "the head at base" "x-secret: s x-set: old" "$(paste -sd ' ' "$LWT_TMP/head")"
"$HOP" --pattern 100000 >"$LWT_TMP/body"
expect_eq "a body behind a modified head" "$(sha256sum <"$LWT_TMP/body")" \
	"$(sum client -b beta=always -H 'x-secret: s' --data-binary "@$LWT_TMP/body" "$U/echo")"

# A v1beta1 Rollout's own step, with path and query.
del tr-web
release_own web <<-'END'
	matches:
	- path: {type: PathPrefix, value: /id}
	  queryParams:
	  - {name: user, value: li}
	- path: {type: Exact, value: /size/10}
	- path: {type: RegularExpression, value: "/status/2.*"}
	  headers:
	  - {name: x-user, type: RegularExpression, value: "x.*g"}
END
tr_is_gone() { ! lw lanes -o json | grep -F tr-web; }
until_ok 15 "the TrafficRouting to go" tr_is_gone
state_sync
expect gray "$U/id?user=li"
expect gray "$U/id/x?a=b&user=li"
expect base "$U/id?user=liu"
expect base "$U/id"
expect base "$U/idx?user=li"
expect gray "$U/size/10"
expect gray "$U/size/10?user=x"
expect base "$U/size/100"
expect gray -H 'x-user: xiaoming' "$U/status/200"
expect base -H 'x-user: xiaoming!' "$U/status/200"
expect base -H 'x-user: xiaoming' "$U/status/300"

# Likewise by word of explain.
would() { lw explain --from "${POD_IP[client]}" --to "${POD_IP[b1]}:$LWT_PORT" -o json "$@" | jq -r .lane; }
expect_eq "explain, without a path" base "$(would)"
for row in 'gray /id?user=li' 'gray /id/x?a=b&user=li' 'base /id?user=liu' 'base /idx?user=li' 'gray /size/10?user=x' 'base /size/100'; do
	expect_eq "explain --path ${row#* }" "${row% *}" "$(would --path "${row#* }")"
done
expect_eq "explain --path, and a header" gray "$(would --path /status/200 -H 'x-user: xiaoming')"
say ok
