/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/words.h"

#include <stdio.h>

#include "core/image.h"
#include "core/model.h"
#include "core/names.h"
#include "daemon/seen.h"
#include "laneway/reasons.h"

#define NAME(id, name, help) name,
#define HELP(id, name, help) help,

const char *lw_word_evidence(unsigned int evidence)
{
	static const char *const names[] = { LW_EVIDENCE_LIST(NAME) };

	return evidence < LW_EVIDENCE__MAX ? names[evidence] : "unknown";
}

const char *lw_word_reason(unsigned int reason)
{
	static const char *const names[] = { LW_REASON_LIST(NAME) };

	return reason < LW_REASON__MAX ? names[reason] : "unknown";
}

const char *lw_word_reason_help(unsigned int reason)
{
	static const char *const helps[] = { LW_REASON_LIST(HELP) };

	return reason < LW_REASON__MAX ? helps[reason] : "";
}

const char *lw_word_route(unsigned int route)
{
	static const char *const names[] = {
		[LW_ROUTE_PEER] = "peer",
		[LW_ROUTE_UP] = "up",
		[LW_ROUTE_PUNT] = "punt",
	};

	return route < sizeof(names) / sizeof(*names) ? names[route] : "unknown";
}

const char *lw_word_keep(unsigned int why)
{
	return why & LW_KEEP_NAME ? "name" : why & LW_KEEP_FIONREAD ? "fionread" : "splice";
}

const char *lw_word_lane(const struct lw_seen *seen, unsigned int lane, char buf[16])
{
	const char *name = lw_seen_lane(seen, lane);

	if (lane == 0)
		return "base";
	(void)snprintf(buf, 16, "#%u", lane);
	return name ? name : buf;
}

const char *lw_word_header(const struct lw_seen *seen, unsigned int header, unsigned int lane,
			   uint64_t generation)
{
	const char *tag;

	if (header < LW_HDR_TAG_FIRST || header > LW_HDR_TAG_LAST)
		return lw_names_name(header);
	tag = lw_seen_tag(seen, lane, generation);
	return tag ? tag : "";
}

const char *lw_word_workload_hash(const struct lw_seen *seen, uint32_t hash, char buf[16])
{
	const char *name = lw_seen_workload(seen, hash);

	(void)snprintf(buf, 16, "#%08x", hash);
	return name ? name : hash ? buf : "-";
}

const char *lw_word_workload(const struct lw_image *image, uint32_t id)
{
	struct lw_slot_key key = { .id = id };
	const struct lw_workload *w = image ? lw_image_get(image, LW_TABLE_WORKLOADS, &key) : NULL;

	return w ? w->name : "";
}

const char *lw_word_pod(const struct lw_image *image, const struct lw_addr *addr)
{
	struct lw_pod_key key = { .addr = *addr };
	const struct lw_pod *pod = image ? lw_image_get(image, LW_TABLE_PODS, &key) : NULL;

	return pod ? pod->name : "";
}

const char *lw_word_client(const struct lw_image *image, const struct lw_model *model,
			   const struct lw_addr *addr, char buf[LW_WORD_CLIENT_LEN])
{
	const char *known = lw_word_pod(image, addr);
	const struct lw_k8s_object *pod = NULL;

	if (*known || !model)
		return known;
	for (const struct lw_model_link *l = lw_model_at_address(model, addr); l; l = l->next) {
		if (!l->pod || l->pod->ended)
			continue;
		if (pod || l->pod->host_network)
			return "";
		pod = l->object;
	}
	if (!pod)
		return "";
	(void)snprintf(buf, LW_WORD_CLIENT_LEN, "%s/%s", pod->meta.ns, pod->meta.name);
	return buf;
}
