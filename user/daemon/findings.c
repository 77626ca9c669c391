/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/findings.h"

#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "daemon/json.h"

bool lw_findings_has(const struct lw_findings *findings, const struct lw_finding *finding)
{
	for (size_t i = 0; i < findings->count; i++)
		if (findings->items[i].severity == finding->severity &&
		    strcmp(findings->items[i].text, finding->text) == 0)
			return true;
	return false;
}

void lw_findings_add(const struct lw_finding *finding, void *arg)
{
	struct lw_findings *findings = arg;
	struct lw_finding *grown;
	char *text;

	if (lw_findings_has(findings, finding))
		return;
	if (finding->severity == LW_FINDING_ERROR)
		findings->errors++;
	else
		findings->warnings++;
	if (findings->count == LW_FINDINGS_MAX)
		return;
	/* Without memory it is counted and not kept, as beyond the limit. */
	grown = realloc(findings->items, (findings->count + 1) * sizeof(*grown));
	if (!grown)
		return;
	findings->items = grown;
	text = strdup(finding->text);
	if (!text)
		return;
	grown[findings->count++] =
		(struct lw_finding){ .severity = finding->severity, .text = text };
}

void lw_findings_forget(struct lw_findings *findings, const char *prefix,
			struct lw_findings *ret_forgotten)
{
	size_t kept = 0, len = strlen(prefix);

	for (size_t i = 0; i < findings->count; i++) {
		const struct lw_finding f = findings->items[i];

		if (strncmp(f.text, prefix, len) != 0) {
			findings->items[kept++] = f;
			continue;
		}
		lw_findings_add(&f, ret_forgotten);
		*(f.severity == LW_FINDING_ERROR ? &findings->errors : &findings->warnings) -= 1;
		free((char *)f.text);
	}
	findings->count = kept;
}

void lw_findings_clear(struct lw_findings *findings)
{
	for (size_t i = 0; i < findings->count; i++)
		free((char *)findings->items[i].text);
	free(findings->items);
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
