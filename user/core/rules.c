/* SPDX-License-Identifier: Apache-2.0 */
#include "core/rules.h"

#include <assert.h>
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/cleanup.h"
#include "core/arena.h"
#include "core/bytemap.h"
#include "core/image.h"
#include "core/names.h"
#include "core/regex.h"
#include "core/rules_check.h"

#define TAGS_MAX (LW_HDR_TAG_LAST - LW_HDR_TAG_FIRST + 1)
#define WATCHED_MAX (LW_HDR__MAX - LW_HDR_WATCHED_FIRST)
/* The set of names may at most be: the fixed ones, tags and watched names. */
#define NAMES_MAX (LW_NAMES_FIXED + TAGS_MAX + WATCHED_MAX)
#define NAMES_HASH 1024 /* power of two, over twice NAMES_MAX */

struct lane {
	const char *name; /* NULL: not declared */
	struct lw_rules_mod tag;
	unsigned tag_name; /* index in names */
	struct lw_rules_block block;
	struct lw_rules_block baggage; /* empty: none */
};

/* Ids are told at the end, when it is known which names are tags: until then, index in names. */
struct name {
	const char *text;
	bool tag;
	__u8 id;
};

/* struct lw_step without its 4 KiB of text. */
struct step {
	__u8 subject, op;
	__u16 header; /* index in names */
	__u16 name_len, value_len;
	__u32 weight_pct, dfa, on_match, on_miss;
	const char *name, *value;
};

struct dfa {
	const char *pattern;
	struct lw_regex *regex; /* NULL until all else of its workload has been taken */
};

struct lw_rules {
	struct lane lanes[LW_MAX_LANES];
	struct name names[NAMES_MAX];
	unsigned nnames, ntags;
	size_t name_bytes; /* of all names: no more states than that, and the first two */
	__u16 names_hash[NAMES_HASH]; /* index in names, plus 1 */
	struct step *steps; /* id - 1 */
	unsigned nsteps, steps_size;
	struct lw_rule *rules; /* id - 1; remove holds indices in names */
	unsigned nrules, rules_size;
	struct dfa dfas[LW_MAX_DFAS]; /* id - 1 */
	unsigned ndfas;
	struct lw_bytemap patterns; /* ids of dfas */
	struct lw_arena *arena; /* every text */
	bool baggage; /* its name is behind the fixed ones */
	bool finished;
};

static int grow(void **array, unsigned *size, unsigned need, size_t element)
{
	unsigned new = *size ? *size : 64;
	void *grown;

	if (need <= *size)
		return 0;
	while (new < need)
		new *= 2;
	grown = reallocarray(*array, new, element);
	if (!grown)
		return -ENOMEM;
	*array = grown;
	*size = new;
	return 0;
}

/* ---- names ---- */

static unsigned name_slot(const struct lw_rules *rules, const char *name)
{
	uint32_t hash = 2166136261u;
	unsigned slot;

	for (const char *c = name; *c; c++)
		hash = (hash ^ (*c >= 'A' && *c <= 'Z' ? *c + 32 : *c)) * 16777619u;
	for (slot = (hash ^ hash >> 15) % NAMES_HASH; rules->names_hash[slot];
	     slot = (slot + 1) % NAMES_HASH)
		if (!strcasecmp(rules->names[rules->names_hash[slot] - 1].text, name))
			break;
	return slot;
}

/* The index of a name, which is added if it is new. */
static int name_get(struct lw_rules *rules, const char *name, char *err, size_t err_len)
{
	unsigned slot = name_slot(rules, name);
	size_t len = strlen(name);

	if (rules->names_hash[slot])
		return rules->names_hash[slot] - 1;
	if (rules->nnames >= LW_NAMES_FIXED + rules->ntags + WATCHED_MAX)
		return lw_rules_fail(
			err, err_len,
			"header \"%.60s\": more than %d different headers in entry rules", name,
			WATCHED_MAX);
	if (rules->name_bytes + len > LW_NAMES_STATES - 2)
		return lw_rules_fail(
			err, err_len,
			"header \"%.60s\": the headers in entry rules have more than %d bytes of names",
			name, LW_NAMES_STATES - 2);
	rules->names[rules->nnames].text = lw_arena_strndup(rules->arena, name, len);
	if (!rules->names[rules->nnames].text)
		return -ENOMEM;
	rules->names[rules->nnames].tag = false;
	rules->name_bytes += len;
	rules->names_hash[slot] = ++rules->nnames;
	return rules->nnames - 1;
}

static void names_cut(struct lw_rules *rules, unsigned n)
{
	if (rules->nnames == n)
		return;
	while (rules->nnames > n)
		rules->name_bytes -= strlen(rules->names[--rules->nnames].text);
	memset(rules->names_hash, 0, sizeof(rules->names_hash));
	for (unsigned i = 0; i < n; i++)
		rules->names_hash[name_slot(rules, rules->names[i].text)] = i + 1;
}

/* ---- interface ---- */

int lw_rules_new(struct lw_rules **ret)
{
	_cleanup_(lw_rules_free) struct lw_rules *rules = calloc(1, sizeof(*rules));

	if (!rules || lw_arena_new(&rules->arena) < 0)
		return -ENOMEM;
	for (size_t i = 0; i < LW_NAMES_FIXED; i++)
		if (name_get(rules, lw_names_fixed[i].name, NULL, 0) < 0)
			return -ENOMEM;
	*ret = TAKE_PTR(rules);
	return 0;
}

void lw_rules_free(struct lw_rules **rules)
{
	if (!*rules)
		return;
	for (unsigned i = 0; i < (*rules)->ndfas; i++)
		lw_regex_put(&(*rules)->dfas[i].regex);
	lw_bytemap_clear(&(*rules)->patterns);
	lw_arena_free(&(*rules)->arena);
	free((*rules)->steps);
	free((*rules)->rules);
	free(*rules);
	*rules = NULL;
}

int lw_rules_use_baggage(struct lw_rules *rules)
{
	assert(rules->nnames == LW_NAMES_FIXED && !rules->baggage);
	if (name_get(rules, LW_RULES_BAGGAGE, NULL, 0) < 0)
		return -ENOMEM;
	rules->baggage = true;
	return 0;
}

int lw_rules_lane(struct lw_rules *rules, uint16_t lane, const char *lane_name,
		  const char *tag_header, const char *tag_value, char *err, size_t err_len)
{
	struct lane new = {}, *old;
	unsigned names = rules->nnames;
	size_t len;
	int r;

	if (lane == 0 || lane >= LW_MAX_LANES)
		return lw_rules_fail(err, err_len, "lane %u is not in 1..%d", lane,
				     LW_MAX_LANES - 1);
	if (!*lane_name || strlen(lane_name) >= LW_LANE_NAME_LEN)
		return lw_rules_fail(err, err_len, "the lane's name must have 1 to %d bytes",
				     LW_LANE_NAME_LEN - 1);
	r = lw_rules_check_line("tag header", tag_header, tag_value, err, err_len);
	if (r < 0)
		return r;
	for (size_t i = 0; i < LW_NAMES_FIXED; i++)
		if (!strcasecmp(tag_header, lw_names_fixed[i].name))
			return lw_rules_fail(
				err, err_len,
				"tag header \"%s\" cannot be a tag: it says something else",
				tag_header);
	if (rules->baggage && !strcasecmp(tag_header, LW_RULES_BAGGAGE))
		return lw_rules_fail(
			err, err_len,
			"tag header \"%s\" cannot be a tag where the lane goes on as its member",
			tag_header);
	len = strlen(tag_value);
	if (!len || len >= LW_TAG_VALUE_LEN)
		return lw_rules_fail(err, err_len,
				     "tag header \"%s\": the value must have 1 to %d bytes",
				     tag_header, LW_TAG_VALUE_LEN - 1);
	if (strchr(" \t", tag_value[0]) || strchr(" \t", tag_value[len - 1]))
		return lw_rules_fail(err, err_len,
				     "tag header \"%s\": the value starts or ends with a blank",
				     tag_header);

	old = &rules->lanes[lane];
	if (old->name) {
		if (!strcasecmp(old->tag.name, tag_header) && !strcmp(old->tag.value, tag_value) &&
		    !strcmp(old->name, lane_name))
			return 0;
		return lw_rules_fail(
			err, err_len,
			"lane \"%s\" has the tag \"%s: %s\" already and cannot be lane \"%s\" with \"%s: %s\" too",
			old->name, old->tag.name, old->tag.value, lane_name, tag_header, tag_value);
	}
	for (unsigned i = 1; i < LW_MAX_LANES; i++) {
		const struct lane *other = &rules->lanes[i];

		if (other->name && !strcasecmp(other->tag.name, tag_header) &&
		    !strcmp(other->tag.value, tag_value))
			return lw_rules_fail(
				err, err_len,
				"lane \"%s\" has the same tag \"%s: %s\" as lane \"%s\"", lane_name,
				tag_header, tag_value, other->name);
	}
	lw_rules_block_add(&new.block, tag_header, tag_value);
	r = lw_rules_block_pad(&new.block, err, err_len);
	if (r == 0 && rules->baggage)
		r = lw_rules_baggage_block(tag_header, tag_value, new.block.len, &new.baggage, err,
					   err_len);
	if (r < 0)
		return r;
	r = name_get(rules, tag_header, err, err_len);
	if (r < 0)
		return r;
	new.tag_name = r;
	if (!rules->names[r].tag && rules->ntags == TAGS_MAX) {
		names_cut(rules, names);
		return lw_rules_fail(err, err_len,
				     "tag header \"%s\": more than %d different headers as tags",
				     tag_header, TAGS_MAX);
	}
	new.name = lw_arena_strdup(rules->arena, lane_name);
	new.tag.name = lw_arena_strdup(rules->arena, tag_header);
	new.tag.value = lw_arena_strndup(rules->arena, tag_value, len);
	if (!new.name || !new.tag.name || !new.tag.value) {
		names_cut(rules, names);
		return -ENOMEM;
	}
	rules->ntags += !rules->names[new.tag_name].tag;
	rules->names[new.tag_name].tag = true;
	*old = new;
	return 0;
}

/* The id of a pattern's automaton, which dfas_compile() makes. */
static int dfa_get(struct lw_rules *rules, const char *pattern, __u32 *ret, char *err,
		   size_t err_len)
{
	const struct lw_bytes key = LW_BYTES_STR(pattern);
	struct dfa *dfa = &rules->dfas[rules->ndfas];

	*ret = (__u32)(uintptr_t)lw_bytemap_get(&rules->patterns, &key, 1);
	if (*ret)
		return 0;
	if (rules->ndfas == LW_MAX_DFAS)
		return lw_rules_fail(err, err_len,
				     "more than %d different regular expressions in entry rules",
				     LW_MAX_DFAS);
	*dfa = (struct dfa){ .pattern = lw_arena_strdup(rules->arena, pattern) };
	if (!dfa->pattern ||
	    lw_bytemap_put(&rules->patterns, &key, 1, (void *)(uintptr_t)(rules->ndfas + 1)) < 0)
		return -ENOMEM;
	*ret = ++rules->ndfas;
	return 0;
}

/* Behind all else: what is not going to be in force is not compiled at all, however many workloads and builds ask for it. */
static int dfas_compile(struct lw_rules *rules, unsigned from, const struct lw_rules_entry *entries,
			size_t n, char *err, size_t err_len)
{
	int r = 0;

	for (unsigned i = from; i < rules->ndfas && r == 0; i++)
		r = lw_regex_get(rules->dfas[i].pattern, &rules->dfas[i].regex, NULL, 0);
	if (r == 0 || r == -ENOMEM)
		return r;
	/* Whose it is. */
	for (size_t i = 0; i < n; i++)
		if (lw_rules_check(&entries[i], err, err_len) < 0)
			break;
	return -EINVAL;
}

static void dfas_cut(struct lw_rules *rules, unsigned n)
{
	while (rules->ndfas > n) {
		struct dfa *dfa = &rules->dfas[--rules->ndfas];
		const struct lw_bytes key = LW_BYTES_STR(dfa->pattern);

		(void)lw_bytemap_remove(&rules->patterns, &key, 1);
		lw_regex_put(&dfa->regex);
	}
}

/* Gateway API: of headers, and of query parameters, with one name only the first counts. */
static bool cond_repeated(const struct lw_rules_entry *entry, size_t i)
{
	const struct lw_rules_cond *cond = &entry->conds[i];

	for (size_t j = 0; j < i; j++) {
		if (entry->conds[j].subject != cond->subject)
			continue;
		if (cond->subject == LW_SUBJECT_HEADER &&
		    !strcasecmp(entry->conds[j].name, cond->name))
			return true;
		if (cond->subject == LW_SUBJECT_QUERY && !strcmp(entry->conds[j].name, cond->name))
			return true;
	}
	return false;
}

static int step_fill(struct lw_rules *rules, const struct lw_rules_cond *cond, struct step *step,
		     char *err, size_t err_len)
{
	size_t len = strlen(cond->value);
	int r;

	step->subject = cond->subject;
	step->op = cond->op;
	if (cond->subject == LW_SUBJECT_HEADER) {
		r = name_get(rules, cond->name, err, err_len);
		if (r < 0)
			return r;
		step->header = r;
	}
	if (cond->subject != LW_SUBJECT_PATH) {
		step->name_len = strlen(cond->name);
		step->name = lw_arena_strndup(rules->arena, cond->name, step->name_len);
		if (!step->name)
			return -ENOMEM;
	}
	if (cond->op == LW_OP_REGEX) {
		r = dfa_get(rules, cond->value, &step->dfa, err, err_len);
		if (r < 0)
			return r;
		step->value_len = len;
		step->value = rules->dfas[step->dfa - 1].pattern;
		return 0;
	}
	/* "/a/" is "/a", and "/" is "": what follows must then be nothing or a slash. */
	if (cond->op == LW_OP_PREFIX && cond->value[len - 1] == '/')
		len--;
	step->value_len = len;
	step->value = lw_arena_strndup(rules->arena, cond->value, len);
	return step->value ? 0 : -ENOMEM;
}

static int rule_add(struct lw_rules *rules, const struct lw_rules_entry *entry, __u32 *ret,
		    char *err, size_t err_len)
{
	const struct lane *lane = entry->lane < LW_MAX_LANES ? &rules->lanes[entry->lane] : NULL;
	struct lw_rules_mods mods;
	struct lw_rule *rule;
	int r;

	if (!lane || !lane->name)
		return lw_rules_fail(err, err_len, "lane %u has not been declared", entry->lane);
	if (rules->nrules == LW_MAX_RULES)
		return lw_rules_fail(err, err_len, "more than %d entry rules in all", LW_MAX_RULES);
	r = lw_rules_check_mods(entry, &lane->tag, &mods, err, err_len);
	if (r < 0)
		return r;
	r = grow((void **)&rules->rules, &rules->rules_size, rules->nrules + 1,
		 sizeof(*rules->rules));
	if (r < 0)
		return r;
	rule = &rules->rules[rules->nrules];
	memset(rule, 0, sizeof(*rule));
	rule->lane = entry->lane;
	rule->block_len = mods.block.len;
	memcpy(rule->block, mods.block.bytes, sizeof(rule->block));
	if (rules->baggage && !lw_rules_names_in_baggage(entry, lane->tag.name)) {
		if (mods.block.len + lane->baggage.len > sizeof(rule->block))
			return lw_rules_fail(
				err, err_len,
				"the headers to put on a request take %zu bytes with the baggage; the limit is %zu",
				mods.block.len + lane->baggage.len, sizeof(rule->block));
		rule->baggage_len = lane->baggage.len;
		memcpy(rule->block + mods.block.len, lane->baggage.bytes, lane->baggage.len);
	}
	for (size_t i = 0; i < mods.nremove; i++) {
		r = name_get(rules, mods.remove[i], err, err_len);
		if (r < 0)
			return r;
		rule->remove[i] = r;
	}
	rule->nremove = mods.nremove;
	snprintf(rule->source, sizeof(rule->source), "%s", entry->source ?: "");
	*ret = ++rules->nrules;
	return 0;
}

/* The steps of one entry; the last one's on_match and every on_miss lead on. */
static int entry_add(struct lw_rules *rules, const struct lw_rules_entry *entry, char *err,
		     size_t err_len)
{
	unsigned first = rules->nsteps;
	__u32 rule;
	int r;

	r = lw_rules_check_uncompiled(entry, err, err_len);
	if (r < 0)
		return r;
	r = rule_add(rules, entry, &rule, err, err_len);
	if (r < 0)
		return r;
	for (size_t i = 0; i < entry->nconds || (i == 0 && !entry->nconds); i++) {
		struct step step = { .subject = LW_SUBJECT_DICE, .weight_pct = entry->weight_pct };

		if (entry->nconds) {
			if (cond_repeated(entry, i))
				continue;
			step.weight_pct = 0;
			r = step_fill(rules, &entry->conds[i], &step, err, err_len);
			if (r < 0)
				return r;
		}
		if (rules->nsteps == LW_MAX_STEPS)
			return lw_rules_fail(err, err_len,
					     "more than %d conditions in all entry rules",
					     LW_MAX_STEPS);
		r = grow((void **)&rules->steps, &rules->steps_size, rules->nsteps + 1,
			 sizeof(*rules->steps));
		if (r < 0)
			return r;
		rules->steps[rules->nsteps++] = step;
	}
	for (unsigned i = first; i < rules->nsteps; i++) {
		rules->steps[i].on_match = i + 1 < rules->nsteps ? i + 2 : (LW_STEP_ENTER | rule);
		rules->steps[i].on_miss = rules->nsteps + 1;
	}
	return 0;
}

int lw_rules_workload(struct lw_rules *rules, const struct lw_rules_entry *entries, size_t n,
		      uint32_t *ret_entry, char *err, size_t err_len)
{
	unsigned nsteps = rules->nsteps, nrules = rules->nrules, ndfas = rules->ndfas,
		 nnames = rules->nnames;
	struct lw_arena_mark mark = lw_arena_mark(rules->arena);
	int r = 0;

	for (size_t i = 0; i < n && r == 0; i++) {
		r = entry_add(rules, &entries[i], err, err_len);
		if (r == 0 && rules->nsteps - nsteps > LW_MAX_STEPS_RUN)
			r = lw_rules_fail(
				err, err_len,
				"more than %d conditions in the entry rules of one workload",
				LW_MAX_STEPS_RUN);
	}
	if (r == 0)
		r = dfas_compile(rules, ndfas, entries, n, err, err_len);
	if (r < 0) {
		rules->nsteps = nsteps;
		rules->nrules = nrules;
		dfas_cut(rules, ndfas);
		names_cut(rules, nnames);
		lw_arena_back(rules->arena, mark);
		return r;
	}
	for (unsigned i = nsteps; i < rules->nsteps; i++)
		if (rules->steps[i].on_miss > rules->nsteps)
			rules->steps[i].on_miss = LW_STEP_END;
	*ret_entry = n ? nsteps + 1 : 0;
	return 0;
}

/* ---- the image ---- */

static int put(struct lw_image *image, enum lw_table_id table, __u32 id, const void *value)
{
	struct lw_slot_key key = { .id = id };

	return lw_image_put(image, table, &key, value);
}

static int put_names(struct lw_rules *rules, struct lw_image *image)
{
	_cleanup_free_ struct lw_names *names = malloc(sizeof(*names));
	struct lw_names_entry entries[NAMES_MAX];
	unsigned tag = LW_HDR_TAG_FIRST, watched = LW_HDR_WATCHED_FIRST;
	int r;

	if (!names)
		return -ENOMEM;
	for (unsigned i = 0; i < rules->nnames; i++) {
		rules->names[i].id = i < LW_NAMES_FIXED			   ? lw_names_fixed[i].id :
				     i == LW_NAMES_FIXED && rules->baggage ? LW_HDR_BAGGAGE :
				     rules->names[i].tag		   ? tag++ :
									     watched++;
		entries[i] = (struct lw_names_entry){ rules->names[i].text, rules->names[i].id };
	}
	assert(tag <= LW_HDR_TAG_LAST + 1 && watched <= LW_HDR__MAX);
	r = lw_names_build(entries, rules->nnames, names);
	return r < 0 ? r : put(image, LW_TABLE_NAMES, 0, names);
}

static int put_lane(const struct lw_rules *rules, struct lw_image *image, unsigned lane)
{
	const struct lane *from = &rules->lanes[lane];
	struct lw_tag_key key = {};
	struct lw_tag tag = { .lane = lane };
	struct lw_lane to = {};
	int r;

	to.tag_header = key.header = rules->names[from->tag_name].id;
	to.block_len = from->block.len;
	memcpy(to.block, from->block.bytes, sizeof(to.block));
	to.baggage_len = from->baggage.len;
	memcpy(to.block + from->block.len, from->baggage.bytes, from->baggage.len);
	memcpy(to.name, from->name, strlen(from->name));
	key.len = strlen(from->tag.value);
	memcpy(key.value, from->tag.value, key.len);
	r = put(image, LW_TABLE_LANES, lane, &to);
	return r < 0 ? r : lw_image_put(image, LW_TABLE_TAGS, &key, &tag);
}

static int put_steps(const struct lw_rules *rules, struct lw_image *image)
{
	struct lw_step to = {};
	int r;

	for (unsigned i = 0; i < rules->nsteps; i++) {
		const struct step *from = &rules->steps[i];

		to.subject = from->subject;
		to.op = from->op;
		to.header_id =
			from->subject == LW_SUBJECT_HEADER ? rules->names[from->header].id : 0;
		to.name_len = from->name_len;
		to.value_len = from->value_len;
		to.weight_pct = from->weight_pct;
		to.dfa = from->dfa;
		to.on_match = from->on_match;
		to.on_miss = from->on_miss;
		if (from->name_len)
			memcpy(to.name, from->name, from->name_len);
		if (from->value_len)
			memcpy(to.value, from->value, from->value_len);
		r = put(image, LW_TABLE_STEPS, i + 1, &to);
		if (r < 0)
			return r;
		/* Clearing what was used is all a step costs: it is 4 KiB. */
		memset(to.name, 0, from->name_len);
		memset(to.value, 0, from->value_len);
	}
	return 0;
}

static int put_rules(struct lw_rules *rules, struct lw_image *image)
{
	int r = 0;

	for (unsigned i = 0; i < rules->nrules && r == 0; i++) {
		struct lw_rule *rule = &rules->rules[i];

		for (unsigned k = 0; k < rule->nremove; k++)
			rule->remove[k] = rules->names[rule->remove[k]].id;
		r = put(image, LW_TABLE_RULES, i + 1, rule);
	}
	return r;
}

static int put_dfas(const struct lw_rules *rules, struct lw_image *image)
{
	_cleanup_free_ struct lw_dfa *dfa = NULL;
	int r = 0;

	if (!rules->ndfas)
		return 0;
	dfa = malloc(sizeof(*dfa));
	if (!dfa)
		return -ENOMEM;
	for (unsigned i = 0; i < rules->ndfas && r == 0; i++) {
		lw_regex_expand(rules->dfas[i].regex, dfa);
		r = put(image, LW_TABLE_DFAS, i + 1, dfa);
	}
	return r;
}

int lw_rules_finish(struct lw_rules *rules, struct lw_image *image)
{
	int r;

	assert(!rules->finished);
	rules->finished = true;
	r = put_names(rules, image);
	for (unsigned i = 1; i < LW_MAX_LANES && r == 0; i++)
		if (rules->lanes[i].name)
			r = put_lane(rules, image, i);
	if (r == 0)
		r = put_steps(rules, image);
	if (r == 0)
		r = put_rules(rules, image);
	if (r == 0)
		r = put_dfas(rules, image);
	return r;
}
