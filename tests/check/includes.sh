#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Who may include what. A layer includes itself and the layers listed beside it; system and library
# headers (<...>) are free where no rule below names them. And whether every source says what its licence is.
set -euo pipefail
cd "$(dirname "$0")/../.."

declare -A may=(
	[include/laneway]="laneway"
	[bpf]="laneway lib vmlinux"
	[user/base]="base laneway"
	[user/core]="core base laneway"
	[user/conf]="conf core base laneway"
	[user/kube]="kube conf core base laneway"
	[user/kern]="kern core base laneway skel"
	[user/daemon]="daemon kern kube conf core base laneway"
)
# Library headers, and the only layers that may see them.
declare -A only=(
	['bpf/']="user/kern bpf tests"
	['json-c/']="user/conf user/kube user/daemon tests"
	['yajl/']="user/kube"
	['curl/']="user/kube"
	['microhttpd.h']="user/daemon"
	['yaml.h']="user/conf tests"
	['ev.h']="user/kern user/kube user/daemon tests"
)
bad=0

complain() {
	echo "$1: $2"
	bad=1
}

# "file:line:path" of every #include with the given delimiters.
includes() {
	grep -rnEo --include='*.[ch]' "^[[:space:]]*#[[:space:]]*include[[:space:]]+$2[^\">]+" "$1" |
		sed -E 's/:[[:space:]]*#[[:space:]]*include[[:space:]]+["<]/:/' || true
}

for dir in "${!may[@]}"; do
	[ -d "$dir" ] || continue
	while IFS=: read -r file line path; do
		[ -n "$file" ] || continue
		case $path in
		*.skel.h) layer=skel ;;
		*/*) layer=${path%%/*} ;;
		*) # beside the file itself
			[ -e "$(dirname "$file")/$path" ] || complain "$file:$line" "\"$path\" is not beside it"
			continue
			;;
		esac
		[[ " ${may[$dir]} " == *" $layer "* ]] || complain "$file:$line" "$dir may not include \"$path\""
	done < <(includes "$dir" '"')
done

for header in "${!only[@]}"; do
	for dir in bpf include user/base user/core user/conf user/kube user/kern user/daemon tests; do
		[ -d "$dir" ] || continue
		[[ " ${only[$header]} " == *" $dir "* ]] && continue
		while IFS=: read -r file line path; do
			[[ "$path" == "$header"* ]] && complain "$file:$line" "$dir may not include <$path>"
		done < <(includes "$dir" '<')
	done
done

while IFS=: read -r file line path; do
	[ -n "$file" ] && [[ "$path" != linux/types.h ]] &&
		complain "$file:$line" "include/laneway may include <linux/types.h> alone, not <$path>"
done < <(includes include '<')

while IFS=: read -r file line path; do
	case $file:$path in
	tests/bpf/*.skel.h) ;;
	*.skel.h) complain "$file:$line" "skeletons are for user/kern and tests/bpf" ;;
	*.c) complain "$file:$line" "a test includes a header, never a source" ;;
	esac
done < <(includes tests '"')

# Every source says under which licence it is: what git knows or would take, else what is there. Not data, not documents, and not the
# chart's templates, of which only what they render is anybody's.
sources() { git ls-files --cached --others --exclude-standard 2>/dev/null || find Makefile .ci bpf include user tests deploy -type f; }
while read -r file; do
	[ -f "$file" ] || continue
	case $file in
	*.[ch] | *.sh | *.py | *.lua | *.go | *.java | *.mjs | *.php | *.rb | *.ru | Makefile) ;;
	*) [ "$(head -c 2 "$file" | tr -d '\0')" = '#!' ] || continue ;;
	esac
	case $file in
	bpf/* | include/* | *.bpf.[ch]) want='GPL-2.0-only OR BSD-2-Clause' ;;
	*) want='Apache-2.0' ;;
	esac
	sed -n 1,3p "$file" | grep -F "SPDX-License-Identifier: $want" >/dev/null ||
		complain "$file" "no line 'SPDX-License-Identifier: $want'"
done < <(sources | sort)

exit "$bad"
