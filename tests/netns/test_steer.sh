#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# The heart of it: requests of both lanes in turn on one keep-alive connection.
. "$(dirname "$0")/lib.sh"
setup
two_pods
agent_start

user='x-user: xiaoming' tag='x-mse-tag: gray'
# check_turns WHAT URL BASE_POD HEADER...: with a header gray, without base.
check_turns() {
	local what=$1 url=$2 base=$3 header got i=0
	shift 3
	mapfile -t got < <(in_turn client "$url" "$@")
	for header in "$@"; do
		if [ -n "$header" ] && [ "$header" != 'x-user: other' ]; then
			expect_like "$what, request $i ($header)" 'c1gray\[*' "${got[i]}"
		else
			expect_like "$what, request $i ($header)" "$base" "${got[i]}"
		fi
		i=$((i + 1))
	done
}
check_turns "to a base pod, by rule" "$B1/id" 'b1\[*' "$user" "" "$user" "$user" "" "x-user: other" ""
check_turns "to a base pod, by tag" "$B1/id" 'b1\[*' "" "$tag" "" "$tag" "$tag" ""
check_turns "to a base pod, name in capitals" "$B1/id" 'b1\[*' "X-USER: xiaoming" "" "X-Mse-Tag: gray"
check_turns "to the canary pod" "$C1/id" 'b[12]\[*' "" "$tag" "" "$user" ""
expect_like "a value with another letter case" 'b1\[*' "$(who client "$B1/id" -H 'x-user: Xiaoming')"
expect_eq "the tag is put on" "x-mse-tag: gray" \
	"$(req client -H "$user" "$B1/head" | tr -d '\r' | tr -s ' ' | grep -i '^x-mse')"
expect_eq "the tag is not put on twice" 1 "$(req client -H "$tag" "$B1/head" | grep -ci '^x-mse')"

# Untagged requests never reach the canary, whatever address they were meant for.
for i in 1 2 3 4 5; do
	req client -o /dev/null -w '%header{x-pod}\n' "$C1/id?[1-40]"
done >"$LWT_TMP/untagged"
expect_eq "answers" 200 "$(wc -l <"$LWT_TMP/untagged")"
expect_eq "untagged requests at the canary" 0 "$(grep -c gray "$LWT_TMP/untagged" || true)"
expect_like "both base pods serve them" 2 "$(sort -u "$LWT_TMP/untagged" | wc -l)"

hold client "${POD_IP[b1]}" "$LWT_PORT"
hold_get "$tag" /id >/dev/null
expect_eq "the flow as listed" "gray tag up default/c1 1" "$(lw flows -o json | jq -r --arg a "${POD_IP[b1]}:$LWT_PORT" \
	'.flows[] | select(.asked == $a and (.closed | not)) | "\(.lane) \(.evidence) \(.route) \(.pod) \(.requests)"' | tail -n 1)"
hold_end
lw explain --from "${POD_IP[client]}" --to "${POD_IP[b1]}:$LWT_PORT" -H "$user" >"$LWT_TMP/explain" || true
expect_like "explain" '*gray*' "$(cat "$LWT_TMP/explain")"
say ok
