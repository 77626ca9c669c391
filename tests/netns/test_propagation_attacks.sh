#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Clients and programs that mean harm, beside a client without a tag, through programs that know nothing of lanes: that client
# must never be in a lane, or lose an answer. (tests/runtimes/ has the programs, and the caller, which checks each answer.)
# ATTACK_N (1000, in a slow guest 200): requests of that client. ATTACK picks cases by a word of their name. RUNTIME_TARGETS=1: where nothing that
# contradicts stands in the way, tagged requests must all stay in the lane.
. "$(dirname "$0")/../runtimes/lib.sh"
. "$RUNTIMES/asks.sh"
need python3 go node
N=${ATTACK_N:-$([ "$LWT_SLOW" = 1 ] && echo 1000 || echo 200)}
runtimes_world

# Somebody sends tagged requests with the trace ids of another's untagged ones: at the same time, and before.
if case_wanted "trace ids of others"; then
	for program in c-thread c-epoll node; do
		what="trace ids of others, $program"
		PROGRAM_FORWARD=trace middle $program
		begins hostile --requests "$N" --connections 8 --tagged 100 --trace --passed --trace-seed 7
		asks client --requests "$N" --connections 8 --tagged 0 --trace --passed --trace-seed 7
		waits hostile
		unharmed "$what" client
		unharmed "$what" hostile
		told "$what, at once" client hostile
		# again, with what is remembered of the ids, and the other way round: an untagged client repeats a lane's ids
		asks client --requests "$N" --connections 1 --tagged 0 --trace --passed --trace-seed 7
		unharmed "$what" client
		asks lane --requests "$N" --connections 8 --tagged 100 --trace --passed --trace-seed 8
		unharmed "$what" lane
		keeps_all "$what, before anybody repeats them" lane
		asks client --requests "$N" --connections 8 --tagged 0 --trace --passed --trace-seed 8
		unharmed "$what" client
		told "$what, afterwards" client lane
	done
fi

# Heads that arrive in pieces: in two, cut at every place, and byte by byte, many at once.
if case_wanted "heads in pieces"; then
	for program in c-thread go python-threads nginx; do
		what="heads in pieces, $program"
		middle $program
		asks client --requests "$N" --connections 1 --pieces cut
		unharmed "$what" client
		# nginx may be kept out by its name
		[ $program = nginx ] || expect_eq "$what, one at a time: kept" "$(got client tagged)" "$(got client kept)"
		asks many --requests "$N" --connections 16 --pieces cut
		unharmed "$what" many
		asks bytes --requests 300 --connections 16 --pieces bytes
		unharmed "$what" bytes
		told "$what" client many bytes
	done
	what="heads in pieces, with trace ids"
	PROGRAM_FORWARD=trace middle c-epoll
	asks client --requests "$N" --connections 16 --pieces cut --trace --passed
	unharmed "$what" client
	keeps_all "$what" client
	told "$what" client
fi

# An answer that begins before the request was read.
if case_wanted "answers before the request"; then
	what="answers before the request"
	middle early --early
	asks kept --requests "$N" --connections 8 --early
	unharmed "$what" kept
	asks closed --requests "$N" --connections 8 --early --close
	unharmed "$what" closed
	told "$what" kept closed
fi

# Somebody sends tagged requests and goes away, with a trace of its own each: what was read for them is not the lane of whatever
# the thread, the process or the loop does next. So many of them also fill whatever remembers them.
if case_wanted "abandoned"; then
	for program in c-thread c-epoll go node python-threads java-fixed; do
		what="abandoned, $program"
		PROGRAM_FORWARD=trace middle $program
		begins hostile --seconds 60 --connections 6 --tagged 100 --abandon --trace --passed --seed 9
		asks client --requests "$N" --connections 4 --tagged 0
		asks traced --requests "$N" --connections 4 --tagged 0 --trace --passed --seed 4
		asks mixed --requests "$N" --connections 4
		ends hostile
		unharmed "$what" client
		unharmed "$what" traced
		unharmed "$what" mixed
		never_wrong "$what" hostile
		[ "$(got hostile abandoned)" -gt 100 ] || fail "$what: there was no attack"
		told "$what" client traced mixed hostile
	done
fi

if case_wanted "a thousand threads"; then
	what="a thousand threads"
	middle c-thread
	asks client --requests $((N * 5)) --connections 1000
	unharmed "$what" client
	keeps_all "$what" client
	told "$what" client
fi

# Threads and processes that last for one connection; their numbers come again only when all others were used.
if case_wanted "short threads"; then
	for program in c-thread c-fork; do
		what="short threads, $program"
		middle $program
		asks client --requests "$N" --connections 16 --close
		unharmed "$what" client
		keeps_all "$what" client
		told "$what" client
	done
fi

# A thread that has read a tagged request ends without an answer, its connection stays open, and the next thread has its number.
if case_wanted "numbers again"; then
	for how in thread fork; do
		what="numbers again, $how"
		if [ $how = fork ]; then middle again-fork --again --fork; else middle again-thread --again; fi
		begins hostile --seconds 60 --connections 10 --tagged 100 --close --seed 9
		asks client --requests "$N" --connections 3 --tagged 0 --close
		ends hostile
		unharmed "$what" client
		never_wrong "$what" hostile
		told "$what" client hostile
		kill -TERM "${POD_PID[$PROGRAM]}"
		wait "${POD_PID[$PROGRAM]}" 2>/dev/null || true
		numbers=$(tail -n 1 "$LWT_TMP/$PROGRAM.log")
		say "  the number of the one before: $numbers"
		[ "${numbers%% *}" -gt $((N / 10)) ] || fail "$what: hardly any number came again: $numbers"
	done
fi
[ -z "$PROGRAM" ] || program_end
say ok
