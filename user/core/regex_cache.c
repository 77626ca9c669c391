/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/regex.h"

#define BUCKETS 256

struct lw_regex {
	struct lw_regex *next_in_bucket;
	struct lw_regex *newer, *older;
	char *pattern;
	unsigned refs;
	size_t work; /* of lw_regex_compile() */
	int error; /* likewise; text in err */
	char err[160];
	__u16 nclasses, nstates, start;
	__u8 class_of[256];
	__u8 *accept; /* nstates */
	__u16 *next; /* nstates * nclasses */
};

static struct {
	struct lw_regex *buckets[BUCKETS];
	struct lw_regex *newest, *oldest;
	unsigned n;
	size_t work;
} cache;

static struct lw_regex **bucket_of(const char *pattern)
{
	uint32_t hash = 2166136261u;

	for (; *pattern; pattern++)
		hash = (hash ^ (unsigned char)*pattern) * 16777619u;
	return &cache.buckets[(hash ^ hash >> 16) % BUCKETS];
}

static void regex_free(struct lw_regex *regex)
{
	free(regex->pattern);
	free(regex->accept);
	free(regex->next);
	free(regex);
}

static void unlink_age(struct lw_regex *regex)
{
	*(regex->newer ? &regex->newer->older : &cache.newest) = regex->older;
	*(regex->older ? &regex->older->newer : &cache.oldest) = regex->newer;
}

static void link_newest(struct lw_regex *regex)
{
	regex->newer = NULL;
	regex->older = cache.newest;
	*(cache.newest ? &cache.newest->newer : &cache.oldest) = regex;
	cache.newest = regex;
}

static void trim(unsigned max)
{
	struct lw_regex *regex = cache.oldest, *newer;

	for (; regex && cache.n > max; regex = newer) {
		struct lw_regex **link = bucket_of(regex->pattern);

		newer = regex->newer;
		if (regex->refs)
			continue;
		while (*link != regex)
			link = &(*link)->next_in_bucket;
		*link = regex->next_in_bucket;
		unlink_age(regex);
		regex_free(regex);
		cache.n--;
	}
}

static int compile(struct lw_regex *regex)
{
	static struct lw_dfa dfa;
	size_t ntrans;

	regex->error = lw_regex_compile(regex->pattern, &dfa, &regex->work, regex->err,
					sizeof(regex->err));
	if (regex->error)
		return regex->error == -ENOMEM ? -ENOMEM : 0;
	ntrans = (size_t)dfa.nstates * dfa.nclasses;
	regex->accept = malloc(dfa.nstates);
	regex->next = malloc(ntrans * sizeof(*regex->next));
	if (!regex->accept || !regex->next)
		return -ENOMEM;
	regex->nclasses = dfa.nclasses;
	regex->nstates = dfa.nstates;
	regex->start = dfa.start;
	memcpy(regex->class_of, dfa.class_of, sizeof(regex->class_of));
	memcpy(regex->accept, dfa.accept, dfa.nstates);
	memcpy(regex->next, dfa.next, ntrans * sizeof(*regex->next));
	return 0;
}

int lw_regex_get(const char *pattern, struct lw_regex **ret, char *err, size_t err_len)
{
	struct lw_regex **bucket = bucket_of(pattern), *regex;

	for (regex = *bucket; regex; regex = regex->next_in_bucket)
		if (!strcmp(regex->pattern, pattern))
			break;
	if (regex) {
		unlink_age(regex);
	} else {
		regex = calloc(1, sizeof(*regex));
		if (!regex || !(regex->pattern = strdup(pattern)) || compile(regex) < 0) {
			if (regex)
				regex_free(regex);
			if (err_len)
				snprintf(err, err_len, "out of memory");
			return -ENOMEM;
		}
		regex->next_in_bucket = *bucket;
		*bucket = regex;
		cache.n++;
	}
	link_newest(regex);
	cache.work += regex->work;
	regex->refs++;
	trim(LW_REGEX_CACHE_MAX);
	if (regex->error) {
		int r = regex->error;

		if (err_len)
			snprintf(err, err_len, "%s", regex->err);
		regex->refs--;
		return r;
	}
	*ret = regex;
	return 0;
}

size_t lw_regex_work(void)
{
	return cache.work;
}

void lw_regex_put(struct lw_regex **regex)
{
	if (*regex)
		(*regex)->refs--;
	*regex = NULL;
}

void lw_regex_expand(const struct lw_regex *regex, struct lw_dfa *ret)
{
	memset(ret, 0, sizeof(*ret));
	ret->nclasses = regex->nclasses;
	ret->nstates = regex->nstates;
	ret->start = regex->start;
	memcpy(ret->class_of, regex->class_of, sizeof(ret->class_of));
	memcpy(ret->accept, regex->accept, regex->nstates);
	memcpy(ret->next, regex->next,
	       (size_t)regex->nstates * regex->nclasses * sizeof(*ret->next));
}

void lw_regex_cache_clear(void)
{
	trim(0);
}
