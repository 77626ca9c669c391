/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What can be said of one entry by itself.
 */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "core/names.h"
#include "core/regex.h"
#include "core/rules.h"
#include "core/rules_check.h"

#define MODS_MAX 64

/* Lines that say where a message ends or whom it is for: changing one breaks the connection. */
static const char *const framing[] = {
	"connection",	     "content-length",	 "expect", "host",
	"keep-alive",	     "proxy-connection", "te",	   "trailer",
	"transfer-encoding", "upgrade",
};

int lw_rules_fail(char *err, size_t err_len, const char *format, ...)
{
	va_list ap;

	if (err_len) {
		va_start(ap, format);
		vsnprintf(err, err_len, format, ap);
		va_end(ap);
	}
	return -EINVAL;
}

/* text in quotes, cut to fit, bytes that would spoil a line of a log as '?'. */
static const char *quote(const char *text, char buf[static LW_RULES_QUOTE_LEN])
{
	size_t len = 0;

	buf[len++] = '"';
	for (; *text && len < LW_RULES_QUOTE_LEN - 2; text++)
		buf[len++] = (unsigned char)*text < ' ' || *text == 0x7f ? '?' : *text;
	buf[len++] = '"';
	buf[len] = '\0';
	return buf;
}

static int check_name(const char *what, const char *name, char *err, size_t err_len)
{
	char q[LW_RULES_QUOTE_LEN];

	if (!name || !*name)
		return lw_rules_fail(err, err_len, "a %s has no name", what);
	if (strlen(name) > LW_STEP_NAME_LEN)
		return lw_rules_fail(err, err_len, "the name of %s %s is longer than %d bytes",
				     what, quote(name, q), LW_STEP_NAME_LEN);
	for (const char *c = name; *c; c++)
		if (!lw_names_is_tchar(*c))
			return lw_rules_fail(
				err, err_len,
				"%s %s: the name has a character that may not stand in one", what,
				quote(name, q));
	return 0;
}

static int is_field_value(const char *value)
{
	for (; *value; value++)
		if (((unsigned char)*value < ' ' && *value != '\t') || *value == 0x7f)
			return 0;
	return 1;
}

int lw_rules_check_line(const char *what, const char *name, const char *value, char *err,
			size_t err_len)
{
	char q[LW_RULES_QUOTE_LEN];
	int r;

	r = check_name(what, name, err, err_len);
	if (r < 0)
		return r;
	for (size_t i = 0; i < sizeof(framing) / sizeof(framing[0]); i++)
		if (!strcasecmp(name, framing[i]))
			return lw_rules_fail(
				err, err_len,
				"%s %s: this header frames the message and cannot be changed", what,
				quote(name, q));
	if (value && !is_field_value(value))
		return lw_rules_fail(err, err_len,
				     "%s %s: the value has a character that may not stand in one",
				     what, quote(name, q));
	return 0;
}

static int check_cond(const struct lw_rules_cond *cond, bool compile, char *err, size_t err_len)
{
	static const char *const words[] = {
		[LW_SUBJECT_HEADER] = "header",
		[LW_SUBJECT_COOKIE] = "cookie",
		[LW_SUBJECT_QUERY] = "query parameter",
		[LW_SUBJECT_PATH] = "path",
	};
	char q[LW_RULES_QUOTE_LEN], reason[160];
	const char *what;
	struct lw_regex *regex;
	int r;

	if (cond->subject < LW_SUBJECT_HEADER || cond->subject > LW_SUBJECT_PATH)
		return lw_rules_fail(err, err_len, "a condition of an unknown subject");
	what = words[cond->subject];
	if (cond->subject == LW_SUBJECT_HEADER || cond->subject == LW_SUBJECT_COOKIE) {
		r = check_name(what, cond->name, err, err_len);
		if (r < 0)
			return r;
	} else if (cond->subject == LW_SUBJECT_QUERY) {
		if (!cond->name || !*cond->name)
			return lw_rules_fail(err, err_len, "a query parameter has no name");
		if (strlen(cond->name) > LW_STEP_NAME_LEN)
			return lw_rules_fail(err, err_len,
					     "query parameter %s: the name is longer than %d bytes",
					     quote(cond->name, q), LW_STEP_NAME_LEN);
		if (strpbrk(cond->name, "&=# \t\r\n"))
			return lw_rules_fail(
				err, err_len,
				"query parameter %s: write the name as it stands in the URL, percent-encoded",
				quote(cond->name, q));
	}
	quote(cond->subject == LW_SUBJECT_PATH ? (cond->value ?: "") : cond->name, q);
	if (!cond->value)
		return lw_rules_fail(err, err_len, "%s %s has no value", what, q);
	if (strlen(cond->value) > LW_STEP_VALUE_LEN)
		return lw_rules_fail(err, err_len, "%s %s: the value is longer than %d bytes", what,
				     q, LW_STEP_VALUE_LEN);
	switch (cond->op) {
	case LW_OP_REGEX:
		if (!compile)
			return 0;
		r = lw_regex_get(cond->value, &regex, reason, sizeof(reason));
		if (r < 0) {
			lw_rules_fail(err, err_len, "%s %s: regular expression: %s", what, q,
				      reason);
			return r == -ENOMEM ? r : -EINVAL;
		}
		lw_regex_put(&regex);
		return 0;
	case LW_OP_PREFIX:
		if (cond->subject != LW_SUBJECT_PATH)
			return lw_rules_fail(err, err_len, "%s %s: PathPrefix is for paths", what,
					     q);
		break;
	case LW_OP_EXACT:
		break;
	default:
		return lw_rules_fail(err, err_len, "%s %s: unknown kind of match", what, q);
	}
	if (cond->subject == LW_SUBJECT_PATH && cond->value[0] != '/')
		return lw_rules_fail(err, err_len, "path %s does not start with /", q);
	if (!is_field_value(cond->value))
		return lw_rules_fail(
			err, err_len,
			"%s %s: the value has a character that may not stand in a request", what,
			q);
	return 0;
}

static int check(const struct lw_rules_entry *entry, bool compile, char *err, size_t err_len)
{
	int r;

	if (entry->nconds > LW_MAX_STEPS_RUN)
		return lw_rules_fail(err, err_len, "more than %d conditions", LW_MAX_STEPS_RUN);
	if (entry->nset > MODS_MAX || entry->nadd > MODS_MAX || entry->nremove > MODS_MAX)
		return lw_rules_fail(err, err_len, "more than %d headers to set, add or remove",
				     MODS_MAX);
	if (!entry->nconds && entry->weight_pct > 100)
		return lw_rules_fail(err, err_len, "the weight %u is over 100", entry->weight_pct);
	for (size_t i = 0; i < entry->nconds; i++) {
		r = check_cond(&entry->conds[i], compile, err, err_len);
		if (r < 0)
			return r;
	}
	for (size_t i = 0; i < entry->nset; i++) {
		r = lw_rules_check_line("set header", entry->set[i].name, entry->set[i].value ?: "",
					err, err_len);
		if (r < 0)
			return r;
	}
	for (size_t i = 0; i < entry->nadd; i++) {
		r = lw_rules_check_line("add header", entry->add[i].name, entry->add[i].value ?: "",
					err, err_len);
		if (r < 0)
			return r;
	}
	for (size_t i = 0; i < entry->nremove; i++) {
		r = lw_rules_check_line("remove header", entry->remove[i], NULL, err, err_len);
		if (r < 0)
			return r;
	}
	return lw_rules_check_mods(entry, NULL, NULL, err, err_len);
}

int lw_rules_check(const struct lw_rules_entry *entry, char *err, size_t err_len)
{
	return check(entry, true, err, err_len);
}

int lw_rules_check_uncompiled(const struct lw_rules_entry *entry, char *err, size_t err_len)
{
	return check(entry, false, err, err_len);
}
