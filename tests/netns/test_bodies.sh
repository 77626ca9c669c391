#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Large bodies both ways through the canary, slow readers and writers. LW_BIG_MB sets the size (50).
. "$(dirname "$0")/lib.sh"
setup
two_pods
agent_start
size=$((${LW_BIG_MB:-50} * 1000000)) tag='x-mse-tag: gray' REQ_TIME=120
"$HOP" --pattern "$size" >"$LWT_TMP/body"
want=$(sha256sum <"$LWT_TMP/body")
for header in "$tag" 'x-none: 1'; do
	for path in size chunked close; do
		expect_eq "$path, $header" "$want" "$(sum client -H "$header" "$B1/$path/$size")"
	done
	expect_eq "upload, $header" "$want" \
		"$(sum client -H "$header" -H 'Expect:' --data-binary "@$LWT_TMP/body" "$B1/echo")"
	expect_eq "chunked upload, $header" "$want" \
		"$(sum client -H "$header" -H 'Transfer-Encoding: chunked' -T "$LWT_TMP/body" "$B1/echo")"
done
# A reader of 4 MB/s: nothing may pile up without bound, and nothing may be lost.
small=$((size / 5))
expect_eq "a slow reader" "$("$HOP" --pattern "$small" | sha256sum)" \
	"$(sum client --limit-rate 4M -H "$tag" "$B1/size/$small")"
head -c "$small" "$LWT_TMP/body" >"$LWT_TMP/small"
expect_eq "a slow writer" "$small" \
	"$(req client --limit-rate 4M -H "$tag" -H 'Expect:' --data-binary "@$LWT_TMP/small" "$B1/echo?hash" | cut -d ' ' -f 1)"
[ "$(who client "$B1/id" -H "$tag" | cut -c 1-6)" = c1gray ] || fail "the lane after all that"
say ok
