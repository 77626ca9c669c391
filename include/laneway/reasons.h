/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#pragma once
/*
 * Evidence and reasons, one list each: the enum, the names and the help all come from it.
 */

#define LW_EVIDENCE_LIST(X)                                                                    \
	X(NONE, "none", "no evidence: base")                                                   \
	X(TAG, "tag", "the lane's tag was on the request")                                     \
	X(POD, "pod", "the client pod is itself in the lane")                                  \
	X(ENTRY, "entry", "an entry rule of the destination held")                             \
	X(AMBIGUOUS, "ambiguous", "contradicting evidence: base")                              \
	X(TRACE, "trace", "its trace id arrived at the pod with a request of the lane")        \
	X(THREAD, "thread", "its thread is working on a request of the lane")                  \
	X(PROCESS, "process", "all that its process is working on is in the lane")             \
	X(BAGGAGE, "baggage", "a member of the baggage names the lane")                        \
	X(PARENT, "parent", "its process was started for a request of the lane")                  \
	X(POD_WORK, "pod-work", "all that its pod is working on is in the lane (--pod-evidence)")

#define LW_REASON_LIST(X)                                                                      \
	X(OK, "ok", "went where its lane says")                                                \
	X(NO_ENDPOINT, "no-endpoint", "the workload has no ready pod in the lane: base")       \
	X(POOL_EMPTY, "pool-empty", "no upstream socket was ready; the agent carried it (but see unreachable)") \
	X(AGENT_STALE, "agent-stale", "no upstream socket, and no agent that could open one: own peer")             \
	X(NO_SOCKETS, "no-sockets", "no upstream socket, and the agent has no descriptor or room for one: own peer") \
	X(REDIRECT, "redirect", "the kernel refused the hand-over: own peer")                  \
	X(REFUSED, "refused", "a miss, and the configuration says to refuse")                  \
	X(TRACE_REUSED, "trace-reused", "requests of several lanes arrived with this trace id: base") \
	X(MIXED, "mixed", "the process works on requests of several lanes, and for which this one is cannot be told: base") \
	X(MIXED_UNPROVEN, "mixed-unproven", "likewise, as it has not yet shown that its threads work on what they read: base") \
	X(MIXED_UNREAD, "mixed-unread", "the process works on requests that were not seen arriving: base") \
	X(ELSEWHERE, "elsewhere", "another process of its pod works for a lane; whether it is for that cannot be told: base") \
	X(FIRST_CALL, "first-call", "its pod had called nothing in release before, and was left alone (--leaf-after): base") \
	X(STEPS, "steps", "too many entry rules for one request: base")                        \
	X(SCRATCH, "scratch", "no scratch buffer free: opaque")                              \
	X(PUSH, "push", "the header could not be put on the request")                          \
	X(OPAQUE_NOT_HTTP, "opaque-not-http", "not HTTP/1.x")                                  \
	X(OPAQUE_MALFORMED, "opaque-malformed", "framing in doubt")                            \
	X(OPAQUE_HEAD_SIZE, "opaque-head-size", "head longer than the limit")                  \
	X(OPAQUE_PIECES, "opaque-pieces", "head in too many pieces")                           \
	X(OPAQUE_PIPELINED, "opaque-pipelined", "next request for another route before the response ended") \
	X(OPAQUE_UPGRADE, "opaque-upgrade", "Upgrade or CONNECT")                              \
	X(OPAQUE_PARTIAL, "opaque-partial", "more went out than was followed")                 \
	X(OPAQUE_RESPONSE, "opaque-response", "responses are not followed any more on its route")     \
	X(RESPONSE_LOST, "response-lost", "the exchange before it could not be followed to its end: its upstream socket is given up") \
	X(UP_LOST, "up-lost", "the upstream socket closed in the middle of a request")          \
	X(FLOWS_FULL, "flows-full", "no room for another flow: not enrolled")                  \
	X(ENROL, "enrol", "the kernel refused the socket: not enrolled")                       \
	X(FOREIGN, "foreign", "another product's programs are on the socket: left alone")       \
	X(KEPT_FIONREAD, "kept-fionread", "its process asks FIONREAD, which this kernel gets wrong: not enrolled") \
	X(KEPT_SPLICE, "kept-splice", "its process reads with splice(2), which this kernel gets wrong: not enrolled") \
	X(KEPT_NAME, "kept-name", "its program is on the list of those kept out: not enrolled") \
	X(KEPT_POD, "kept-pod", "its pod's annotation says so: not enrolled")                  \
	X(FIN_HELD, "fin-held", "the own peer's close was kept back while a response was due") \
	X(BAGGAGE, "baggage", "the request's baggage is malformed or full: the lane goes on by its tag alone") \
	X(KEPT_ZEROCOPY, "kept-zerocopy", "it has asked for SO_ZEROCOPY, whose completions an enrolled socket gets wrong: not enrolled") \
	X(TCP_MEMORY, "tcp-memory", "TCP has next to no memory left: not enrolled, or left to it from here on") \
	X(UNREACHABLE, "unreachable", "of those that the agent carried: no pod where it was to go could be reached; own peer, or refused")

/* Up to here a reason is what became of a request, each of which is counted with one; the others are counted besides. */
#define LW_REASON_LAST_OUTCOME LW_REASON_STEPS

#define LW_ENUM_EVIDENCE(id, name, help) LW_EVIDENCE_##id,
#define LW_ENUM_REASON(id, name, help) LW_REASON_##id,
enum lw_evidence { LW_EVIDENCE_LIST(LW_ENUM_EVIDENCE) LW_EVIDENCE__MAX };
enum lw_reason { LW_REASON_LIST(LW_ENUM_REASON) LW_REASON__MAX };
