/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/findings.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "daemon/json.h"

static const struct lw_bytes *key_of(struct lw_bytes key[2], const struct lw_finding *finding)
{
	key[0] = LW_BYTES_OF(finding->severity);
	key[1] = LW_BYTES_STR(finding->text);
	return key;
}

bool lw_findings_has(const struct lw_findings *findings, const struct lw_finding *finding)
{
	struct lw_bytes key[2];

	return lw_bytemap_get(&findings->by_text, key_of(key, finding), 2) != NULL;
}

static void set_count(struct lw_findings *findings)
{
	findings->count = findings->known < LW_FINDINGS_MAX ? findings->known : LW_FINDINGS_MAX;
}

/* Copies it. Beyond the limit, and without memory, -ENOMEM. */
static int know(struct lw_findings *findings, const struct lw_finding *finding)
{
	struct lw_finding *grown;
	struct lw_bytes key[2];
	char *text;

	if (findings->known == LW_FINDINGS_KNOWN)
		return -ENOMEM;
	grown = realloc(findings->items, (findings->known + 1) * sizeof(*grown));
	if (!grown)
		return -ENOMEM;
	findings->items = grown;
	text = strdup(finding->text);
	if (!text || lw_bytemap_put(&findings->by_text, key_of(key, finding), 2, text) < 0) {
		free(text);
		return -ENOMEM;
	}
	grown[findings->known++] =
		(struct lw_finding){ .severity = finding->severity, .text = text };
	set_count(findings);
	return 0;
}

void lw_findings_add(const struct lw_finding *finding, void *arg)
{
	struct lw_findings *findings = arg;
	size_t unknown;

	if (lw_findings_has(findings, finding))
		return;
	unknown = know(findings, finding) < 0;
	if (finding->severity == LW_FINDING_ERROR) {
		findings->errors++;
		findings->unknown_errors += unknown;
	} else {
		findings->warnings++;
		findings->unknown_warnings += unknown;
	}
}

void lw_findings_forget(struct lw_findings *findings, const char *prefix,
			struct lw_findings *ret_forgotten)
{
	size_t kept = 0, len = strlen(prefix);

	/* whose the unknown ones are is not known either: what is found again must not be counted on top */
	findings->errors -= findings->unknown_errors;
	findings->warnings -= findings->unknown_warnings;
	findings->unknown_errors = findings->unknown_warnings = 0;
	for (size_t i = 0; i < findings->known; i++) {
		const struct lw_finding f = findings->items[i];
		struct lw_bytes key[2];

		if (strncmp(f.text, prefix, len) != 0) {
			findings->items[kept++] = f;
			continue;
		}
		lw_findings_add(&f, ret_forgotten);
		(void)lw_bytemap_remove(&findings->by_text, key_of(key, &f), 2);
		*(f.severity == LW_FINDING_ERROR ? &findings->errors : &findings->warnings) -= 1;
		free((char *)f.text);
	}
	findings->known = kept;
	set_count(findings);
}

void lw_findings_clear(struct lw_findings *findings)
{
	for (size_t i = 0; i < findings->known; i++)
		free((char *)findings->items[i].text);
	free(findings->items);
	lw_bytemap_clear(&findings->by_text);
	*findings = (struct lw_findings){};
}

void lw_findings_log(const struct lw_findings *findings, const struct lw_findings *before)
{
	for (size_t i = 0; i < findings->count; i++) {
		const struct lw_finding *f = &findings->items[i];

		if (before && lw_findings_has(before, f))
			continue;
		lw_log(f->severity == LW_FINDING_ERROR ? LW_LOG_ERROR : LW_LOG_WARN, "%s", f->text);
	}
}

size_t lw_findings_more(const struct lw_findings *findings)
{
	return findings->errors + findings->warnings - findings->count;
}

void lw_findings_json(const struct lw_findings *findings, struct json_object *array)
{
	for (size_t i = 0; i < findings->count; i++) {
		const struct lw_finding *f = &findings->items[i];
		struct json_object *o = lw_json_new_object(array, NULL);

		lw_json_add_str(o, "severity",
				f->severity == LW_FINDING_ERROR ? "error" : "warning");
		lw_json_add_str(o, "text", f->text);
	}
}
