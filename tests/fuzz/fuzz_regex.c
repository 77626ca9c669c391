/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Any bytes as a pattern; where it compiles and PCRE2 takes it as well, both must agree on a value.
 * Input: the pattern, a NUL, the value.
 */
#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../harness/dfa_match.h"
#include "core/regex.h"
#include "laneway/dfa.h"

#define VALUE_MAX 64

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/*
 * Where the two differ by intention: a quantifier after a character of several bytes takes all of
 * it here; \s and \S leave the vertical tab out, as RE2 does.
 */
static bool comparable(const char *pattern, const uint8_t *value, size_t len)
{
	for (const char *c = pattern; *c; c++)
		if (*c & 0x80)
			return false;
	if ((strstr(pattern, "\\s") || strstr(pattern, "\\S")) && memchr(value, '\v', len))
		return false;
	return true;
}

static void compare(const char *pattern, const struct lw_dfa *dfa, const uint8_t *value, size_t len)
{
	static pcre2_compile_context *compile_context;
	static pcre2_match_context *match_context;
	static pcre2_match_data *match_data;
	pcre2_code *code;
	PCRE2_SIZE offset;
	int error, r;

	if (!compile_context) {
		compile_context = pcre2_compile_context_create(NULL);
		match_context = pcre2_match_context_create(NULL);
		match_data = pcre2_match_data_create(1, NULL);
		if (!compile_context || !match_context || !match_data)
			abort();
		pcre2_set_newline(compile_context, PCRE2_NEWLINE_LF);
		pcre2_set_match_limit(match_context, 20000);
	}
	code = pcre2_compile((PCRE2_SPTR)pattern, PCRE2_ZERO_TERMINATED,
			     PCRE2_ANCHORED | PCRE2_ENDANCHORED | PCRE2_DOLLAR_ENDONLY |
				     PCRE2_NEVER_UTF,
			     &error, &offset, compile_context);
	if (!code)
		return;
	r = pcre2_match(code, value, len, 0, 0, match_data, match_context);
	pcre2_code_free(code);
	if (r < 0 && r != PCRE2_ERROR_NOMATCH)
		return; /* its own limits */
	if ((r >= 0) != lw_dfa_match(dfa, value, len)) {
		fprintf(stderr, "'%s': PCRE2 %s a value of %zu bytes, we do not agree: '%.*s'\n",
			pattern, r >= 0 ? "takes" : "refuses", len, (int)len, (const char *)value);
		abort();
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct lw_dfa dfa;
	const uint8_t *end = memchr(data, 0, size), *value = end ? end + 1 : data + size;
	size_t len = data + size - value;
	char *pattern, err[200] = "";
	int r;

	pattern = strndup((const char *)data, value - data);
	if (!pattern)
		abort();
	if (len > VALUE_MAX)
		len = VALUE_MAX;
	r = lw_regex_compile(pattern, &dfa, NULL, err, sizeof(err));
	if (r == 0) {
		if (!dfa.nstates || !dfa.nclasses || dfa.start >= dfa.nstates ||
		    dfa.nstates > LW_DFA_STATES || dfa.nstates * dfa.nclasses > LW_DFA_TRANS)
			abort();
		if (comparable(pattern, value, len))
			compare(pattern, &dfa, value, len);
	} else if ((r != -EINVAL && r != -E2BIG) || !*err) {
		abort();
	}
	free(pattern);
	return 0;
}
