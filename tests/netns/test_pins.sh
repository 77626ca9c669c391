#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Who opens the maps with bpftool finds what docs/maps.md says: each pin, its rows, and their fields by name.
. "$(dirname "$0")/lib.sh"
need bpftool jq
setup
two_pods
agent_start
expect_like "a request of the lane" 'c1gray\[*' "$(who client "$B1/id" -H 'x-mse-tag: gray')"

# The tables of maps: their rows begin with one name or several.
rows=$(sed '/^## Full/,$d' "$LWT_ROOT/docs/maps.md" | grep '^| `')
names=$(cut -d '|' -f 2 <<<"$rows" | tr -c '`a-z_\n' ' ' | tr -d '`' | xargs -n 1 | sort)
maps=$(pins | sed -n "s|^$LWT_BPFFS/laneway/||p" | grep -vE '^(link_.*|prog_to_pod|agent)$' | sort)
expect_eq "pinned maps, and those of docs/maps.md" "$names" "$maps"

for map in $maps; do
	info=$(bpftool -j map show pinned "$LWT_BPFFS/laneway/$map")
	row=$(grep -E "^\| [^|]*\`$map\`" <<<"$rows")
	read -r type most name < <(jq -r '"\(.type) \(.max_entries) \(.name)"' <<<"$info")
	expect_eq "$map is the map" "lw_$map" "$name"
	case $type in
	*hash)
		# of two generations, where it has them
		[[ $row =~ (^|[^0-9])($most|$((most / 2)))([^0-9]|$) ]] || fail "$map has $most rows, which docs/maps.md does not say: $row"
		;;
	esac
	case $map in
	down_socks | up_socks | far_socks | punt_sock | events | hops) ;; # which print as bytes, or not at all, as it says
	*) [ "$(jq '.btf_id // 0' <<<"$info")" != 0 ] || fail "$map has no types" ;;
	esac
done
say ok
