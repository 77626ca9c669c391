/* SPDX-License-Identifier: Apache-2.0 */
#include "core/regex_parse.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/regex.h"
#include "core/regex_set.h"

#define STRING_(x) #x
#define STRING(x) STRING_(x)

struct parser {
	const char *pattern;
	const char *at;
	struct lw_regex_tree *tree;
	bool fold; /* (?i) */
	bool dotall; /* (?s) */
	unsigned depth;
	char *err;
	size_t err_len;
};

/* Always -EINVAL: "<what> at position <of where> <rest>". */
static int fail(struct parser *p, const char *where, const char *what, const char *rest)
{
	if (p->err_len)
		snprintf(p->err, p->err_len, "%s at position %zu %s", what,
			 (size_t)(where - p->pattern) + 1, rest);
	return -EINVAL;
}

static int unsupported(struct parser *p, const char *where, const char *what)
{
	return fail(p, where, what, "is not supported");
}

/* ---- sets ---- */

static int set_intern(struct lw_regex_tree *tree, const struct lw_regex_set *set, uint16_t *ret)
{
	for (size_t i = 0; i < tree->nsets; i++)
		if (!memcmp(&tree->sets[i], set, sizeof(*set))) {
			*ret = i;
			return 0;
		}
	if (tree->nsets == tree->sets_size) {
		size_t size = tree->sets_size ? 2 * tree->sets_size : 32;
		struct lw_regex_set *sets = reallocarray(tree->sets, size, sizeof(*sets));

		if (!sets)
			return -ENOMEM;
		tree->sets = sets;
		tree->sets_size = size;
	}
	tree->sets[tree->nsets] = *set;
	*ret = tree->nsets++;
	return 0;
}

/* ---- nodes ---- */

static int node_new(struct lw_regex_tree *tree, enum lw_regex_kind kind, uint32_t *ret)
{
	if (tree->nnodes == tree->nodes_size) {
		size_t size = tree->nodes_size ? 2 * tree->nodes_size : 64;
		struct lw_regex_node *nodes = reallocarray(tree->nodes, size, sizeof(*nodes));

		if (!nodes)
			return -ENOMEM;
		tree->nodes = nodes;
		tree->nodes_size = size;
	}
	tree->nodes[tree->nnodes] = (struct lw_regex_node){ .kind = kind,
							    .last = LW_REGEX_NONE,
							    .prev = LW_REGEX_NONE };
	*ret = tree->nnodes++;
	return 0;
}

static void node_append(struct lw_regex_tree *tree, uint32_t parent, uint32_t child)
{
	tree->nodes[child].prev = tree->nodes[parent].last;
	tree->nodes[parent].last = child;
}

static int node_set(struct parser *p, const struct lw_regex_set *set, uint32_t *ret)
{
	uint16_t idx;
	int r = set_intern(p->tree, set, &idx);

	if (r == 0)
		r = node_new(p->tree, LW_REGEX_SET, ret);
	if (r == 0)
		p->tree->nodes[*ret].set = idx;
	return r;
}

static int node_byte(struct parser *p, unsigned char byte, uint32_t *ret)
{
	struct lw_regex_set set = {};

	lw_regex_set_range(&set, byte, byte);
	if (p->fold)
		lw_regex_set_fold(&set);
	return node_set(p, &set, ret);
}

/* ---- escapes ---- */

static int hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return -1;
}

static bool alphanumeric(char c)
{
	return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

/* At 'x' of \xHH or \x{HH}. */
static int parse_hex(struct parser *p, unsigned char *ret)
{
	const char *start = p->at - 1;
	unsigned value = 0, digits = 0;
	bool braces = p->at[1] == '{';

	p->at += braces ? 2 : 1;
	for (; digits < 2 && hex_digit(*p->at) >= 0; digits++)
		value = value * 16 + hex_digit(*p->at++);
	if (braces && digits == 2 && hex_digit(*p->at) >= 0)
		return unsupported(p, start, "a code point \\x{...} of more than one byte");
	if (digits == 0 || (digits == 1 && !braces) || (braces && *p->at != '}'))
		return fail(p, start, "\\x", "wants two hexadecimal digits");
	p->at += braces;
	*ret = value;
	return 0;
}

/*
 * At a backslash. 1: a class in *set; 0: a byte in *byte; or a negative error.
 */
static int parse_escape(struct parser *p, struct lw_regex_set *set, unsigned char *byte)
{
	static const char from[] = "tnrfa", to[] = "\t\n\r\f\a";
	const char *start = p->at++;
	unsigned char c = *p->at;
	const char *found;
	char what[64];

	*set = (struct lw_regex_set){};
	switch (c) {
	case '\0':
		return fail(p, start, "the backslash", "has nothing after it");
	case 'd':
	case 'D':
		lw_regex_set_ranges(set, "09");
		break;
	case 'w':
	case 'W':
		lw_regex_set_ranges(set, "09AZ__az");
		break;
	case 's':
	case 'S':
		lw_regex_set_ranges(set, "\t\n\f\r  ");
		break;
	case 'x':
		return parse_hex(p, byte);
	case '1' ... '9':
	case 'k':
	case 'g':
		snprintf(what, sizeof(what), "back-reference \\%c", c);
		return unsupported(p, start, what);
	case 'b':
	case 'B':
		snprintf(what, sizeof(what), "word boundary \\%c", c);
		return unsupported(p, start, what);
	case 'p':
	case 'P':
	case 'X':
		snprintf(what, sizeof(what), "Unicode class \\%c", c);
		return unsupported(p, start, what);
	default:
		found = strchr(from, c);
		if (found) {
			*byte = to[found - from];
		} else if (c >= ' ' && c < 0x7f && !alphanumeric(c)) {
			*byte = c;
		} else {
			if (c > ' ' && c < 0x7f)
				snprintf(what, sizeof(what), "escape \\%c", c);
			else
				snprintf(what, sizeof(what), "escaped byte 0x%02x", c);
			return unsupported(p, start, what);
		}
		p->at++;
		return 0;
	}
	if (c < 'a')
		lw_regex_set_invert(set);
	p->at++;
	return 1;
}

/* ---- [...] ---- */

/* At "[:". 1: a class was read into *set; 0: the bracket stands for itself; negative: error. */
static int parse_posix(struct parser *p, struct lw_regex_set *set)
{
	const char *start = p->at, *name = p->at + 2;
	bool invert = *name == '^';
	size_t len;

	name += invert;
	len = strspn(name, "abcdefghijklmnopqrstuvwxyz");
	if (name[len] != ':' || name[len + 1] != ']')
		return 0;
	*set = (struct lw_regex_set){};
	if (!lw_regex_set_posix(set, name, len))
		return fail(p, start, "the class [:name:]", "is not a known one");
	if (p->fold)
		lw_regex_set_fold(set);
	if (invert)
		lw_regex_set_invert(set);
	p->at = name + len + 2;
	return 1;
}

/* One member of a bracket. 1: a class in *set; 0: a byte in *byte; or a negative error. */
static int parse_member(struct parser *p, struct lw_regex_set *set, unsigned char *byte)
{
	unsigned char c = *p->at;

	if (c == '\\')
		return parse_escape(p, set, byte);
	if (c == '[' && p->at[1] == ':') {
		int r = parse_posix(p, set);

		if (r)
			return r;
	}
	if (c == '[' && (p->at[1] == '.' || p->at[1] == '='))
		return unsupported(p, p->at, "a collating element in a class");
	if (c >= 0x80)
		return unsupported(p, p->at, "a multi-byte character in a class");
	*byte = c;
	p->at++;
	return 0;
}

static int parse_bracket(struct parser *p, uint32_t *ret)
{
	const char *start = p->at++;
	struct lw_regex_set all = {}, set;
	bool invert = *p->at == '^', first = true;
	unsigned char lo, hi;
	int r;

	p->at += invert;
	for (; *p->at != ']' || first; first = false) {
		const char *member = p->at;

		if (!*p->at)
			return fail(p, start, "the bracket [", "is not closed");
		r = parse_member(p, &set, &lo);
		if (r < 0)
			return r;
		if (r == 1) {
			lw_regex_set_merge(&all, &set);
			if (p->at[0] == '-' && p->at[1] == '-')
				return fail(p, p->at, "the range",
					    "does not start with a character");
			if (p->at[0] == '-' && p->at[1] != ']') { /* [\w-.]: itself */
				lw_regex_set_range(&all, '-', '-');
				p->at++;
				first = false;
				if (!*p->at)
					return fail(p, start, "the bracket [", "is not closed");
			}
			continue;
		}
		hi = lo;
		if (p->at[0] == '-' && p->at[1] && p->at[1] != ']') {
			p->at++;
			r = parse_member(p, &set, &hi);
			if (r < 0)
				return r;
			if (r == 1 || hi < lo)
				return fail(p, member, "the range",
					    "does not end with a later character");
			if (p->at[0] == '-' && p->at[1] == '-')
				return fail(p, p->at, "the range",
					    "does not start with a character");
			if (p->at[0] == '-' && p->at[1] && p->at[1] != ']') { /* [a-z-_]: itself */
				lw_regex_set_range(&all, '-', '-');
				p->at++;
			}
		}
		set = (struct lw_regex_set){};
		lw_regex_set_range(&set, lo, hi);
		if (p->fold)
			lw_regex_set_fold(&set);
		lw_regex_set_merge(&all, &set);
	}
	p->at++;
	if (invert)
		lw_regex_set_invert(&all);
	return node_set(p, &all, ret);
}

/* ---- groups and operators ---- */

static int parse_alt(struct parser *p, uint32_t *ret);

/* After "(?". 1: flags for the rest of the enclosing group; 0: a group follows; or an error. */
static int parse_group_kind(struct parser *p, const char *start)
{
	bool on = true;
	const char *at = p->at;

	if (*at == 'P' && at[1] == '<')
		at++;
	if (*at == '<' && at[1] != '=' && at[1] != '!') {
		size_t len = strspn(
			at + 1, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_");

		if (!len || at[1 + len] != '>' || (at[1] >= '0' && at[1] <= '9'))
			return fail(p, start, "the group name", "is not one");
		p->at = at + len + 2;
		return 0;
	}
	if (*at == '=' || *at == '!' || *at == '<')
		return unsupported(p, start,
				   *at == '<' ? "lookbehind (?<" :
				   *at == '=' ? "lookahead (?=" :
						"lookahead (?!");
	if (*at == '>')
		return unsupported(p, start, "possessive group (?>");
	for (; *at; at++) {
		switch (*at) {
		case ':':
			p->at = at + 1;
			return 0;
		case ')':
			if (at == p->at)
				break;
			p->at = at + 1;
			return 1;
		case '-':
			if (!on || at[1] == ':' || at[1] == ')')
				break;
			on = false;
			continue;
		case 'i':
			p->fold = on;
			continue;
		case 's':
			p->dotall = on;
			continue;
		case 'm':
			return unsupported(p, start, "multi-line mode (?m)");
		}
		break;
	}
	return fail(p, start, "the group (?", "is of a kind that is not supported");
}

/* At '('. 1: it only set flags. */
static int parse_group(struct parser *p, uint32_t *ret)
{
	const char *start = p->at++;
	bool fold = p->fold, dotall = p->dotall;
	int r;

	if (*p->at == '*')
		return unsupported(p, start, "a verb (*");
	if (*p->at == '?') {
		p->at++;
		r = parse_group_kind(p, start);
		if (r)
			return r;
	}
	if (p->depth == LW_REGEX_DEPTH_MAX)
		return fail(p, start, "the group (",
			    "is nested deeper than " STRING(LW_REGEX_DEPTH_MAX));
	p->depth++;
	r = parse_alt(p, ret);
	p->depth--;
	if (r < 0)
		return r;
	if (*p->at != ')')
		return fail(p, start, "the group (", "is not closed");
	p->at++;
	p->fold = fold;
	p->dotall = dotall;
	return 0;
}

/* A character of several bytes is one atom; a byte that starts none stands for itself. */
static int parse_utf8(struct parser *p, uint32_t *ret)
{
	unsigned char c = *p->at;
	unsigned len = c >= 0xf0 && c <= 0xf4 ? 4 :
		       c >= 0xe0 && c < 0xf0  ? 3 :
		       c >= 0xc2 && c < 0xe0  ? 2 :
						1;
	uint32_t child;
	int r;

	for (unsigned i = 1; i < len; i++)
		if ((p->at[i] & 0xc0) != 0x80)
			len = 1;
	r = node_new(p->tree, LW_REGEX_CAT, ret);
	for (; r == 0 && len; len--) {
		r = node_byte(p, *p->at++, &child);
		if (r == 0)
			node_append(p->tree, *ret, child);
	}
	return r;
}

/* 0: an atom; 1: nothing, flags only; or an error. *ret_fixed: it takes no quantifier. */
static int parse_atom(struct parser *p, uint32_t *ret, bool *ret_fixed)
{
	struct lw_regex_set set = {};
	unsigned char c = *p->at, byte;
	int r;

	*ret_fixed = false;
	switch (c) {
	case '(':
		return parse_group(p, ret);
	case '[':
		if (p->at[1] == ':' && p->at[2 + strcspn(p->at + 2, ":]")] == ':' &&
		    p->at[3 + strcspn(p->at + 2, ":]")] == ']')
			return fail(p, p->at, "a class [:name:]",
				    "stands outside of brackets: write [[:name:]]");
		return parse_bracket(p, ret);
	case '.':
		lw_regex_set_invert(&set);
		if (!p->dotall)
			set.bits[0] &= ~(1ull << '\n');
		p->at++;
		return node_set(p, &set, ret);
	case '^':
	case '$':
		p->at++;
		*ret_fixed = true;
		return node_new(p->tree, c == '^' ? LW_REGEX_BOL : LW_REGEX_EOL, ret);
	case '\\':
		if (p->at[1] == 'A' || p->at[1] == 'z') {
			p->at += 2;
			*ret_fixed = true;
			return node_new(p->tree, p->at[-1] == 'A' ? LW_REGEX_BOL : LW_REGEX_EOL,
					ret);
		}
		r = parse_escape(p, &set, &byte);
		if (r < 0)
			return r;
		if (r == 1)
			return node_set(p, &set, ret);
		break;
	default:
		if (c >= 0x80)
			return parse_utf8(p, ret);
		byte = c;
		p->at++;
	}
	return node_byte(p, byte, ret);
}

static unsigned parse_number(const char **at)
{
	unsigned value = 0;

	for (; **at >= '0' && **at <= '9'; (*at)++)
		if (value <= LW_REGEX_REPEAT_MAX)
			value = value * 10 + (**at - '0');
	return value;
}

/* 1: a quantifier was read; 0: there is none here; or an error. */
static int parse_quantifier(struct parser *p, uint16_t *min, uint16_t *max)
{
	const char *start = p->at, *at = p->at + 1;
	unsigned m, n;

	switch (*start) {
	case '*':
	case '+':
	case '?':
		*min = *start == '+';
		*max = *start == '?' ? 1 : LW_REGEX_INF;
		p->at = at;
		return 1;
	case '{':
		break;
	default:
		return 0;
	}
	if (*at == ',' && at[1] >= '0' && at[1] <= '9')
		return fail(p, start, "the repetition", "has no lower bound: write {0,n}");
	if (*at < '0' || *at > '9')
		return 0;
	m = n = parse_number(&at);
	if (*at == ',') {
		at++;
		n = *at == '}' ? LW_REGEX_INF : parse_number(&at);
	}
	if (*at != '}')
		return 0;
	if (m > LW_REGEX_REPEAT_MAX || (n > LW_REGEX_REPEAT_MAX && n != LW_REGEX_INF))
		return fail(p, start, "the repetition",
			    "is of more than " STRING(LW_REGEX_REPEAT_MAX) " times");
	if (m > n)
		return fail(p, start, "the repetition", "has its bounds in the wrong order");
	*min = m;
	*max = n;
	p->at = at + 1;
	return 1;
}

static int parse_cat(struct parser *p, uint32_t *ret)
{
	uint32_t cat, atom, repeat;
	int r;

	r = node_new(p->tree, LW_REGEX_CAT, &cat);
	if (r < 0)
		return r;
	while (*p->at && *p->at != '|' && *p->at != ')') {
		const char *start = p->at;
		uint16_t min, max;
		bool fixed;

		r = parse_quantifier(p, &min, &max);
		if (r < 0)
			return r;
		if (r == 1)
			return fail(p, start, "the repetition", "has nothing to repeat");
		r = parse_atom(p, &atom, &fixed);
		if (r < 0)
			return r;
		if (r == 1)
			continue;
		start = p->at;
		r = parse_quantifier(p, &min, &max);
		if (r < 0)
			return r;
		if (r == 0) {
			node_append(p->tree, cat, atom);
			continue;
		}
		if (fixed)
			return fail(p, start, "the repetition", "is of an anchor");
		if (*p->at == '+')
			return unsupported(p, start, "possessive repetition");
		if (*p->at == '?') /* lazy: the same language */
			p->at++;
		if (*p->at == '*' || *p->at == '+' || *p->at == '?')
			return fail(p, p->at, "the repetition", "has nothing to repeat");
		r = node_new(p->tree, LW_REGEX_REPEAT, &repeat);
		if (r < 0)
			return r;
		p->tree->nodes[repeat].min = min;
		p->tree->nodes[repeat].max = max;
		node_append(p->tree, repeat, atom);
		node_append(p->tree, cat, repeat);
	}
	*ret = cat;
	return 0;
}

/* Recursion: one level a group, LW_REGEX_DEPTH_MAX of them. */
static int parse_alt(struct parser *p, uint32_t *ret)
{
	uint32_t alt, cat;
	int r;

	r = node_new(p->tree, LW_REGEX_ALT, &alt);
	if (r < 0)
		return r;
	for (;;) {
		r = parse_cat(p, &cat);
		if (r < 0)
			return r;
		node_append(p->tree, alt, cat);
		if (*p->at != '|')
			break;
		p->at++;
	}
	*ret = alt;
	return 0;
}

int lw_regex_parse(const char *pattern, struct lw_regex_tree *tree, char *err, size_t err_len)
{
	struct parser p = {
		.pattern = pattern, .at = pattern, .tree = tree, .err = err, .err_len = err_len
	};
	int r;

	if (strnlen(pattern, LW_REGEX_LEN_MAX + 1) > LW_REGEX_LEN_MAX)
		return fail(&p, pattern + LW_REGEX_LEN_MAX, "what stands",
			    "is beyond the " STRING(LW_REGEX_LEN_MAX) " bytes a pattern may have");
	r = parse_alt(&p, &tree->root);
	if (r < 0)
		return r;
	if (*p.at)
		return fail(&p, p.at, "the )", "closes no group");
	return 0;
}

void lw_regex_tree_free(struct lw_regex_tree *tree)
{
	free(tree->nodes);
	free(tree->sets);
	*tree = (struct lw_regex_tree){};
}
