# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
# Sourced behind lib.sh: brings a pinned map to its limit by fill.c.

# fills HOW MAP [N]: until filled.
fills() {
	FILL_MAP=$2
	mkfifo "$LWT_TMP/fill-$2"
	"$LWT_BUILD/tests/fill" "$1" "$LWT_BPFFS/laneway/$2" "${@:3}" <"$LWT_TMP/fill-$2" >"$LWT_TMP/fill-$2.out" 2>&1 &
	FILL_PID=$!
	exec {FILL_FD}>"$LWT_TMP/fill-$2"
	until_ok 60 "the map $2 to be full" grep -qs ready "$LWT_TMP/fill-$2.out"
}
filled() {
	echo >&"$FILL_FD"
	exec {FILL_FD}>&-
	wait "$FILL_PID" || fail "fill $FILL_MAP: $(cat "$LWT_TMP/fill-$FILL_MAP.out")"
	rm "$LWT_TMP/fill-$FILL_MAP"
}
# rows MAP: how many there are.
# Rows of a map; of `ups` without those that are about to go (LW_UP_GONE).
rows() { pinned "$1" | jq --arg map "$1" 'map(select($map != "ups" or .formatted.value.flags < 512)) | length'; }

# What must hold whatever is full, in the world of two_pods or one like it; NS asks. targets: after the pods.
targets() {
	B1=http://${POD_IP[b1]}:$LWT_PORT B2=http://${POD_IP[b2]}:$LWT_PORT B2_6=http://[${POD_IP6[b2]}]:$LWT_PORT
	NS=client tag='x-mse-tag: gray' kilo=$("$HOP" --pattern 300000 | sha256sum)
}
# base WHAT: requests without a tag, on connections of their own and on one.
base() {
	local url
	for url in "$B1" "$B2" "$B2_6"; do
		expect_like "$1: base" 'b[12]\[*' "$(who $NS "$url/id")"
	done
	expect_eq "$1: base, three on one connection" 3 "$(in_turn $NS "$B2/id" "" "" "" | grep -c '^b2\[')"
	expect_eq "$1: base, a body" "$kilo" "$(sum $NS "$B2/size/300000")"
}
# lane WHAT POD: requests with the tag: who answers.
lane() {
	local url
	for url in "$B1" "$B2" "$B2_6"; do
		expect_like "$1: with the tag" "$2\\[*" "$(who $NS "$url/id" -H "$tag")"
	done
	expect_eq "$1: a body with the tag" "$kilo" "$(sum $NS "$B2/size/300000" -H "$tag")"
}
as_before() {
	base "$1, room again"
	lane "$1, room again" c1gray
}
# more REASON: how many more there are than at the last look.
declare -A SEEN
look() { SEEN[$1]=$(counted "$1"); }
more() { echo $(($(counted "$1") - SEEN[$1])); }
