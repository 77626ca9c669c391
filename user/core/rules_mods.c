/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The lines a steered request gets and loses.
 */
#include <errno.h>
#include <stdbool.h>
#include <string.h>
#include <strings.h>

#include "core/rules_check.h"

static void append(struct lw_rules_block *block, const char *text)
{
	size_t len = strlen(text);

	if (block->len + len <= sizeof(block->bytes))
		memcpy(block->bytes + block->len, text, len);
	block->len += len;
}

void lw_rules_block_add(struct lw_rules_block *block, const char *name, const char *value)
{
	append(block, name);
	append(block, ":");
	block->last = block->len;
	append(block, " ");
	append(block, value);
	append(block, "\r\n");
}

int lw_rules_block_pad(struct lw_rules_block *block, char *err, size_t err_len)
{
	size_t pad = -block->len % 8;

	if (block->len + pad > sizeof(block->bytes))
		return lw_rules_fail(
			err, err_len,
			"the headers to put on a request take %zu bytes; the limit is %zu",
			block->len, sizeof(block->bytes));
	if (pad) {
		memmove(block->bytes + block->last + pad, block->bytes + block->last,
			block->len - block->last);
		memset(block->bytes + block->last, ' ', pad);
		block->len += pad;
	}
	memset(block->bytes + block->len, 0, sizeof(block->bytes) - block->len);
	return 0;
}

/* Whether a line before mods[i] has its name already: the first of equals wins. */
static bool repeated(const struct lw_rules_mod *mods, size_t i)
{
	for (size_t j = 0; j < i; j++)
		if (!strcasecmp(mods[j].name, mods[i].name))
			return true;
	return false;
}

static int add_lines(const struct lw_rules_mod *mods, size_t n, const struct lw_rules_mod *tag,
		     struct lw_rules_block *block, char *err, size_t err_len)
{
	for (size_t i = 0; i < n; i++) {
		const char *value = mods[i].value ?: "";

		if (repeated(mods, i))
			continue;
		if (!tag || strcasecmp(mods[i].name, tag->name))
			lw_rules_block_add(block, mods[i].name, value);
		else if (strcmp(value, tag->value))
			return lw_rules_fail(
				err, err_len,
				"header \"%s\" is the lane's tag and must get its value \"%s\", not \"%.64s\"",
				tag->name, tag->value, value);
	}
	return 0;
}

static int add_remove(struct lw_rules_mods *mods, const char *name, char *err, size_t err_len)
{
	for (size_t i = 0; i < mods->nremove; i++)
		if (!strcasecmp(mods->remove[i], name))
			return 0;
	if (mods->nremove == LW_MODS_REMOVE)
		return lw_rules_fail(
			err, err_len,
			"more than %d headers to set and remove, the lane's tag included",
			LW_MODS_REMOVE);
	mods->remove[mods->nremove++] = name;
	return 0;
}

int lw_rules_check_mods(const struct lw_rules_entry *entry, const struct lw_rules_mod *tag,
			struct lw_rules_mods *ret, char *err, size_t err_len)
{
	struct lw_rules_mods mods;
	int r = 0;

	mods.block.len = mods.block.last = mods.nremove = 0;
	if (tag) {
		lw_rules_block_add(&mods.block, tag->name, tag->value);
		r = add_remove(&mods, tag->name, err, err_len);
	}
	for (size_t i = 0; i < entry->nset && r == 0; i++)
		r = add_remove(&mods, entry->set[i].name, err, err_len);
	for (size_t i = 0; i < entry->nremove && r == 0; i++)
		r = add_remove(&mods, entry->remove[i], err, err_len);
	if (r == 0)
		r = add_lines(entry->set, entry->nset, tag, &mods.block, err, err_len);
	if (r == 0)
		r = add_lines(entry->add, entry->nadd, tag, &mods.block, err, err_len);
	if (r == 0)
		r = lw_rules_block_pad(&mods.block, err, err_len);
	if (r == 0 && ret)
		*ret = mods;
	return r;
}
