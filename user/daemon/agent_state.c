/* SPDX-License-Identifier: Apache-2.0 */
/* From the agent's model to what is in force. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "core/model.h"
#include "core/state_build.h"
#include "daemon/agent_internal.h"
#include "daemon/untrusted.h"
#include "kern/host_pods.h"
#include "kern/kern.h"
#include "kern/leaves.h"

void lw_agent_retry_later(struct agent *agent)
{
	if (ev_is_active(&agent->retry))
		return;
	ev_timer_set(&agent->retry, LW_AGENT_RETRY_S, 0.);
	ev_timer_start(agent->loop, &agent->retry);
}

/* Of this node alone, and only while it may be found by its UID. */
static bool is_host_pod(const struct agent *agent, const struct lw_model_link *l)
{
	return l->pod->host_network && !l->pod->ended && l->pod->uid &&
	       strcmp(l->object->pod.node, agent->node) == 0;
}

static int tell_host_pods(struct agent *agent)
{
	_cleanup_free_ struct lw_host_pod *list = NULL;
	size_t n = 0, room = 0;

	for (const struct lw_model_link *l = lw_model_host_network(agent->model); l; l = l->next)
		room += is_host_pod(agent, l);
	list = calloc(room + 1, sizeof(*list));
	if (!list)
		return -ENOMEM;
	for (const struct lw_model_link *l = lw_model_host_network(agent->model); l; l = l->next) {
		const struct lw_k8s_meta *meta = &l->object->meta;

		if (is_host_pod(agent, l))
			list[n++] = (struct lw_host_pod){ meta->uid, meta->ns, meta->name,
							  l->pod->uid };
	}
	return lw_host_pods_set(agent->host_pods, list, n);
}

/* The pods whose annotation says so are left alone, as clients. */
static int keep_pods_out(struct agent *agent, struct lw_findings *found)
{
	_cleanup_free_ struct lw_addr *addrs = NULL;
	size_t n;
	int r = lw_state_kept_pods(agent->builder, agent->model, lw_findings_add, found, &addrs,
				   &n);

	return r < 0 ? r : lw_kern_keep_pods(agent->kern, addrs, n);
}

/* A bad object changes nothing that is in force, and is told all the same. */
static void tell(struct agent *agent)
{
	if (agent->source && agent->listing)
		lw_source_tell(agent->source, agent->listing, &agent->source_findings,
			       &agent->build_findings);
}

int lw_agent_publish(struct agent *agent)
{
	_cleanup_(lw_listing_free) struct lw_listing *listing = NULL;
	_cleanup_(lw_image_free) struct lw_image *image = NULL;
	_cleanup_(lw_findings_clear) struct lw_findings found = {}, before = {};
	uint64_t begin_ns = lw_clock_ns(), in_force_us;
	bool is_new;
	int r;

	agent->pending = true;
	r = lw_state_build(agent->builder, agent->model, lw_findings_add, &found, &image);
	if (r < 0) {
		lw_warn("build the state: %s, retrying", strerror(-r));
		lw_agent_retry_later(agent);
		return r;
	}
	r = keep_pods_out(agent, &found);
	if (r < 0) {
		lw_warn("keep pods out: %s, retrying", strerror(-r));
		lw_agent_retry_later(agent);
		return r;
	}
	lw_untrusted_check(agent->model, agent->options->untrusted, lw_findings_add, &found);
	r = tell_host_pods(agent);
	if (r < 0) {
		lw_warn("tell pods on the host network apart: %s, retrying", strerror(-r));
		lw_agent_retry_later(agent);
		return r;
	}
	lw_findings_log(&found, &agent->build_findings);
	before = agent->build_findings;
	agent->build_findings = found;
	found = (struct lw_findings){};

	/* on a busy node most changes of its pods' objects are nothing to the programs */
	is_new = agent->anew || !lw_kern_has(agent->kern, image);
	r = is_new ? lw_kern_publish(agent->kern, image) : 0;
	if (r < 0) {
		lw_warn("put the state in force: %s, retrying", strerror(-r));
		lw_agent_retry_later(agent);
		return r;
	}
	agent->anew = false;
	lw_leaves_published(agent->leaves);
	in_force_us = (lw_kern_in_force_ns(agent->kern) - begin_ns) / 1000;
	r = lw_state_list(agent->builder, &listing);
	if (r < 0) {
		lw_warn("list the state: %s, retrying", strerror(-r));
		lw_agent_retry_later(agent);
		return r;
	}
	lw_image_free(&agent->image);
	lw_listing_free(&agent->listing);
	agent->image = TAKE_PTR(image);
	agent->listing = TAKE_PTR(listing);
	agent->pending = false;
	lw_seen_add(&agent->seen, agent->image, lw_kern_generation(agent->kern));
	tell(agent);
	if (!is_new)
		return 0;
	lw_info("generation %llu in force after %llu us: %zu lanes, %zu workloads, %zu addresses of pods",
		(unsigned long long)lw_kern_generation(agent->kern),
		(unsigned long long)in_force_us, lw_image_rows(agent->image, LW_TABLE_LANES),
		lw_image_rows(agent->image, LW_TABLE_WORKLOADS),
		lw_image_rows(agent->image, LW_TABLE_PODS));
	return 0;
}

void lw_agent_on_finding(const struct lw_finding *finding, void *arg)
{
	struct agent *agent = arg;

	if (!lw_findings_has(&agent->source_findings, finding) &&
	    !lw_findings_has(&agent->forgotten, finding))
		lw_log(finding->severity == LW_FINDING_ERROR ? LW_LOG_ERROR : LW_LOG_WARN, "%s",
		       finding->text);
	lw_findings_add(finding, &agent->source_findings);
	tell(agent);
}

void lw_agent_on_forget(const char *prefix, void *arg)
{
	struct agent *agent = arg;

	lw_findings_forget(&agent->source_findings, prefix, &agent->forgotten);
}
