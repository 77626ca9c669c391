/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * What is wrong with the input, one line each. Whoever finds it goes on with what is right.
 */

/* Of one object at most so many are told by themselves, and of the others how many there are: it has room for thousands. */
#define LW_FINDINGS_EACH 16

enum lw_severity {
	LW_FINDING_WARNING, /* odd, but nothing is lost */
	LW_FINDING_ERROR, /* something asked for is not in force */
};

struct lw_finding {
	enum lw_severity severity;
	/* "FILE:LINE: document N: Kind ns/name: field.path: expected X, got Y", no newline. */
	const char *text;
};

/* The finding is valid during the call only. */
typedef void (*lw_finding_cb)(const struct lw_finding *finding, void *arg);

/* What was found before with texts that begin so holds no longer: whose it is, is read anew or has gone. */
typedef void (*lw_finding_forget_cb)(const char *prefix, void *arg);

/* Formats and hands on; cb may be NULL. */
void lw_finding_emit(lw_finding_cb cb, void *arg, enum lw_severity severity, const char *format,
		     ...) __attribute__((format(printf, 4, 5)));
