/* SPDX-License-Identifier: Apache-2.0 */
#include "core/explain_words.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/str.h"
#include "core/names.h"

void lw_explain_line(struct lw_explain_result *ret, const char *format, ...)
{
	char text[1024];
	va_list ap;
	size_t len;

	if (ret->ntrace == LW_EXPLAIN_LINES)
		return;
	va_start(ap, format);
	(void)vsnprintf(text, sizeof(text), format, ap);
	va_end(ap);
	/* cut before a whole character */
	len = strlen(text);
	if (len >= LW_EXPLAIN_LINE_LEN)
		for (len = LW_EXPLAIN_LINE_LEN - 1; len && (text[len] & 0xc0) == 0x80; len--)
			;
	text[len] = '\0';
	memcpy(ret->trace[ret->ntrace++], text, len + 1);
}

const char *lw_explain_quote(const void *text, size_t len, char buf[static LW_EXPLAIN_QUOTE_LEN])
{
	const char *from = text;
	size_t n = len, at = 0;

	if (n > LW_EXPLAIN_QUOTE_LEN - 6)
		for (n = LW_EXPLAIN_QUOTE_LEN - 6; n && (from[n] & 0xc0) == 0x80; n--)
			;
	buf[at++] = '"';
	for (size_t i = 0; i < n; i++)
		buf[at++] = (unsigned char)from[i] < ' ' || from[i] == 0x7f ? '?' : from[i];
	if (n < len)
		for (unsigned i = 0; i < 3; i++)
			buf[at++] = '.';
	buf[at++] = '"';
	buf[at] = '\0';
	return buf;
}

void lw_explain_cond(const struct lw_head *head, const struct lw_step *step, bool held, char *buf,
		     size_t size)
{
	static const char *const subjects[] = {
		[LW_SUBJECT_HEADER] = "header ",
		[LW_SUBJECT_COOKIE] = "cookie ",
		[LW_SUBJECT_QUERY] = "parameter ",
		[LW_SUBJECT_PATH] = "path",
	};
	static const char *const verbs[][2] = {
		[LW_OP_EXACT] = { "is not", "is" },
		[LW_OP_REGEX] = { "does not match", "matches" },
		[LW_OP_PREFIX] = { "does not start with", "starts with" },
	};
	char value[LW_EXPLAIN_QUOTE_LEN], actual[LW_EXPLAIN_QUOTE_LEN],
		found[LW_EXPLAIN_QUOTE_LEN + 16] = "";
	bool slash = step->op == LW_OP_PREFIX && !step->value_len;

	if (step->subject >= sizeof(subjects) / sizeof(*subjects) || !step->subject ||
	    step->op >= sizeof(verbs) / sizeof(*verbs) || !step->op) {
		(void)snprintf(buf, size, "unknown condition");
		return;
	}
	lw_explain_quote(slash ? "/" : step->value, slash ? 1 : step->value_len, value);
	if (step->subject == LW_SUBJECT_HEADER || step->subject == LW_SUBJECT_COOKIE) {
		__u32 id = step->subject == LW_SUBJECT_COOKIE ? LW_HDR_COOKIE : step->header_id;
		__u32 first = head->caps.first[id & (LW_HDR__MAX - 1)];

		if (!first) {
			(void)snprintf(found, sizeof(found), " (there is none)");
		} else if (step->subject == LW_SUBJECT_HEADER) {
			const struct lw_capture *cap = &head->caps.at[first - 1];

			(void)snprintf(
				found, sizeof(found), " (it is %s)",
				lw_explain_quote(head->buf + cap->value, cap->value_len, actual));
		}
	} else if (step->subject == LW_SUBJECT_PATH) {
		(void)snprintf(
			found, sizeof(found), " (it is %s)",
			lw_explain_quote(head->buf + head->eval.path, head->eval.path_len, actual));
	}
	(void)snprintf(buf, size, "%s%.*s %s %s%s", subjects[step->subject],
		       step->name_len < 40 ? step->name_len : 40, step->name, verbs[step->op][held],
		       value, held && step->op == LW_OP_EXACT ? "" : found);
}

static const char *why_not_asked(const struct lw_explain_learned *learned, bool in_lane)
{
	if (!learned)
		return "what has arrived with it is not known here";
	if (in_lane)
		return "not looked up, as the client's pod is in a lane itself";
	if (!learned->inbound)
		return "not looked up, as requests that arrive at pods are not read (no lane is open, or --no-inbound)";
	return "it could not be looked up";
}

void lw_explain_tell_trace(const struct lw_explain_learned *learned,
			   const struct lw_explain_trace *trace, const char *lane, bool in_lane,
			   struct lw_explain_result *ret)
{
	const char *header = lw_names_name(trace->header);
	char id[LW_EXPLAIN_QUOTE_LEN];

	lw_explain_quote(trace->id, strlen(trace->id), id);
	switch (trace->state) {
	case LW_EXPLAIN_TRACE_NO_ID:
		lw_explain_line(ret, "header %s has no trace id: no evidence", header);
		break;
	case LW_EXPLAIN_TRACE_NOT_HELD:
		lw_explain_line(
			ret,
			"trace id %s of %s: no request with it is known to have arrived at the client: no evidence",
			id, header);
		break;
	case LW_EXPLAIN_TRACE_LANE:
		lw_explain_line(
			ret, "trace id %s of %s has arrived at the client with requests of lane %s",
			id, header, lane);
		break;
	case LW_EXPLAIN_TRACE_BASE:
		lw_explain_line(
			ret,
			"trace id %s of %s has arrived at the client with base requests: no evidence",
			id, header);
		break;
	case LW_EXPLAIN_TRACE_CLOSED:
		lw_explain_line(
			ret,
			"trace id %s of %s has arrived with requests of a lane that is no longer open: no evidence",
			id, header);
		break;
	case LW_EXPLAIN_TRACE_SEVERAL:
		lw_explain_line(
			ret,
			"trace id %s of %s has arrived at the client with requests of several lanes",
			id, header);
		break;
	default:
		lw_explain_line(ret, "trace id %s of %s: %s", id, header,
				why_not_asked(learned, in_lane));
		break;
	}
}

void lw_explain_tell_tasks(const struct lw_explain_learned *learned, struct lw_explain_result *ret)
{
	if (!learned || !learned->inbound)
		return; /* there is no lane, or it was switched off: nobody expects it */
	if (!learned->reads) {
		lw_explain_line(
			ret,
			"what threads and processes are at work on is not known on this kernel: no evidence");
		return;
	}
	if (learned->left_alone)
		lw_explain_line(
			ret,
			"the client has called nothing in release, so what arrives there is not read (--leaf-after): its first call is base, if no rule decides ('first-call')");
	lw_explain_line(
		ret,
		"before the rules: what the sending thread, its process, or the one that has started it is at work on; only at run time");
	if (learned->uncounted)
		lw_explain_line(
			ret,
			"for want of room not all of that is counted now: whoever is at work for a lane is ambiguous");
	if (!learned->work_total && !learned->nowhere)
		lw_explain_line(
			ret,
			"no process at the client's address is at work on a request now: no such evidence");
	if (learned->nowhere)
		lw_explain_line(
			ret,
			"%zu processes at work are not among those that the agent sees: they may be the client's",
			learned->nowhere);
	if (learned->work_total > LW_EXPLAIN_WORK_LINES)
		lw_explain_line(
			ret,
			"%zu processes at the client's address are at work; the first of them:",
			learned->work_total);
}

void lw_explain_tell_pod(const struct lw_explain_learned *learned, struct lw_explain_result *ret)
{
	if (!learned || !learned->inbound || !learned->reads || !learned->work_total)
		return;
	lw_explain_line(
		ret, "what a process of that pod that has read none sends is %s",
		learned->pod_evidence ?
			"in the one lane that all of its work is in, if there is one (--pod-evidence)" :
			"base, if no rule decides ('elsewhere', if the pod is at work for a lane)");
}

void lw_explain_tell_work(const struct lw_explain_work *work, const char *lanes,
			  struct lw_explain_result *ret)
{
	const struct lw_task *t = &work->task;
	char name[sizeof(work->program) + 1];
	const char *threads = "";
	unsigned kinds = 0;

	for (size_t lane = 0; lane <= LW_IN_UNKNOWN; lane++)
		kinds += t->n[lane] != 0;
	if (kinds > 1 && !t->n[LW_IN_UNKNOWN])
		threads = t->flags & (LW_TASK_HANDS_OVER | LW_TASK_INTERLEAVES) ?
				  "; its threads are no evidence" :
			  t->proven < LW_TASK_PROVEN ?
				  "; its threads have not yet shown to work on what they read" :
				  "; the sending thread's own counts";
	lw_str_printable(work->program, strnlen(work->program, sizeof(work->program)), name);
	lw_explain_line(ret, "%s[%d] is at work on %u: %s%s", name, (int)work->pid, t->total, lanes,
			threads);
}
