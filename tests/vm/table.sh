#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# table.sh OUT...: suites by kernels from the folders that guests left, then each failure with its log, then each test that is
# not applicable with the reason. Exit 0 if nothing failed.
set -euo pipefail
for out in "$@"; do
	read -r kernel seconds <"$out/took"
	awk -v kernel="$kernel" -v seconds="$seconds" -v out="$out" -v mode="$(sed -n 's/^mode //p' "$out/log/vm-selftest.log" 2>/dev/null)" '
		BEGIN { print "kernel\t" kernel "\t" seconds "\t" mode }
		/^(ok|FAIL|skip|n\/a) [a-z]+\// {
			split($2, n, "/")
			why = $0
			sub(/^[^ ]+ [^ ]+ ?/, "", why)
			print $1 "\t" kernel "\t" (n[1] == "vm" ? "selftest" : n[1]) "\t" $2 "\t" why "\t" out
		}' "$out/results"
done | awk -F '\t' '
	function cell(k, s) {
		if (!all[k, s] && !na[k, s]) return "-"
		t = bad[k, s] ? "FAIL " bad[k, s] "/" all[k, s] : all[k, s] ? "ok " all[k, s] "/" all[k, s] : ""
		return t (na[k, s] ? (t == "" ? "" : ", ") na[k, s] " n/a" : "")
	}
	$1 == "kernel" { ks[++nk] = $2; took[$2] = $3; mode[$2] = $4; next }
	!($3 in seen) { seen[$3] = 1; ss[++ns] = $3 }
	$1 == "n/a" || $1 == "skip" {
		na[$2, $3]++
		nna++
		if (!(($2, $5) in named)) reasons[++nr] = $2 SUBSEP $5
		named[$2, $5] = named[$2, $5] " " $4
		next
	}
	{ all[$2, $3]++ }
	$1 == "FAIL" {
		bad[$2, $3]++
		log_ = $4
		gsub("/", "-", log_)
		fails[++nf] = $2 ": " $4 " " $5 "\n    " $6 ($3 == "kernel" ? "/console" : "/log/" log_ ".log")
		next
	}
	$1 == "ok" { passed++ }
	END {
		printf "\n%-12s", "suite"
		for (i = 1; i <= nk; i++) printf " %-18s", ks[i]
		for (j = 1; j <= ns; j++) {
			printf "\n%-12s", ss[j]
			for (i = 1; i <= nk; i++) printf " %-18s", cell(ks[i], ss[j])
		}
		printf "\n%-12s", "mode"
		for (i = 1; i <= nk; i++) printf " %-18s", mode[ks[i]] == "" ? "-" : mode[ks[i]]
		printf "\n%-12s", "seconds"
		for (i = 1; i <= nk; i++) printf " %-18s", took[ks[i]]
		print ""
		if (nna) print "\nnot applicable:"
		for (i = 1; i <= nr; i++) {
			split(reasons[i], r, SUBSEP)
			print "  " r[1] " " r[2] ":\n    " named[r[1], r[2]]
		}
		if (nf) print "\nfailures:"
		for (i = 1; i <= nf; i++) print "  " fails[i]
		printf "\n%d passed, %d failed%s\n", passed, nf, nna ? ", " nna " skipped" : ""
		exit nf > 0
	}'
