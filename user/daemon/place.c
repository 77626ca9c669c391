/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Whose it is to steer on this node: an agent takes another one's place, and gives way to one. See docs/adr/0014.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "daemon/agent_internal.h"
#include "daemon/control.h"
#include "daemon/handover.h"
#include "daemon/process_watch.h"
#include "daemon/source.h"
#include "kern/hops.h"
#include "kern/kern.h"
#include "kern/upstream.h"

/* How long an agent may take to end that does not answer. */
#define PLACE_WAIT_S 15

static void on_other_gone(void *arg)
{
	struct agent *agent = arg;

	lw_info("agent %d, which this one took over from, has ended", (int)agent->other);
	lw_process_watch_stop(&agent->watch);
	agent->other = 0;
	lw_kern_other_gone(agent->kern);
	lw_upstreams_other_gone(agent->upstreams);
}

/* What it had taken is free again, and nobody else is there. */
static void on_successor_gone(void *arg)
{
	struct agent *agent = arg;

	lw_warn("agent %d, which took over from this one, is gone: starting again",
		(int)agent->successor);
	lw_error("start again: %s", strerror(-lw_handover_restart()));
	agent->failed = -EIO;
	ev_break(agent->loop, EVBREAK_ALL);
}

char *lw_place_give_way(struct agent *agent, pid_t pid, bool shared)
{
	struct lw_process_watch *watch = NULL;
	char error[128];
	int r;

	if (agent->successor) {
		(void)snprintf(error, sizeof(error), "agent %d has taken over already",
			       (int)agent->successor);
		return lw_handover_reply(error);
	}
	if (agent->other) {
		(void)snprintf(error, sizeof(error),
			       "agent %d has not ended yet, which this one took over from",
			       (int)agent->other);
		return lw_handover_reply(error);
	}
	r = lw_process_watch_start(agent->loop, pid, on_successor_gone, agent, &watch);
	if (r < 0) {
		(void)snprintf(error, sizeof(error), "watch process %d: %s", (int)pid,
			       strerror(-r));
		return lw_handover_reply(error);
	}
	lw_info("agent %d takes over%s", (int)pid, shared ? ", with the same maps" : "");
	agent->watch = watch;
	agent->successor = pid;
	agent->shared = shared;
	ev_timer_stop(agent->loop, &agent->place);
	if (shared) {
		/* the ring has one reader, and what is asked of the programs is the other agent's to say from now on */
		lw_control_end_streams(agent->control);
		lw_hops_free(&agent->hops);
	}
	lw_kern_supersede(agent->kern, shared);
	if (shared)
		lw_upstreams_retire(agent->upstreams);
	lw_agent_unlock(&agent->locks);
	return lw_handover_reply(NULL);
}

bool lw_place_is_ours(const struct agent *agent)
{
	return agent->locks.socket_fd >= 0 && (agent->locks.bpffs_fd >= 0 || agent->mounted) &&
	       !agent->locks.cgroup_busy;
}

const char *lw_place_why_not(const struct agent *agent)
{
	if (agent->successor)
		return "another agent has taken over, and this one waits to be ended";
	return agent->begun || lw_place_is_ours(agent) ?
		       NULL :
		       "this agent is to take over from another one, and has not yet";
}

/* Takes the place of whoever has it. 0, -EAGAIN: not yet, or -errno with one line logged. */
static int take_place(struct agent *agent)
{
	const struct lw_agent_options *o = agent->options;
	char error[256] = "";
	pid_t pid;
	int r;

	r = lw_agent_lock_more(agent->socket, o->bpffs, o->cgroup, &agent->locks);
	if (r == -EBUSY && !agent->other) {
		r = lw_agent_listen(agent); /* if that is free: where to ask what we wait for */
		if (r < 0 || !lw_source_ready(agent->source))
			return r < 0 ? r : -EAGAIN;
		r = lw_handover_ask(o->bpffs, lw_kern_adopts(agent->kern), &pid, error);
		if (r == -EBUSY) {
			lw_error("take over: %s", error);
			return r;
		}
		if (r == 0) {
			agent->other = pid;
			if (lw_process_watch_start(agent->loop, pid, on_other_gone, agent,
						   &agent->watch) < 0)
				agent->other = 0; /* gone already */
			lw_info("taking over from agent %d", (int)pid);
			r = lw_agent_lock_more(agent->socket, o->bpffs, o->cgroup, &agent->locks);
		}
		/* one that is about to end answers no more */
		if (r == -EAGAIN) {
			if (!agent->alone_since_ns)
				agent->alone_since_ns = lw_clock_ns();
			if (lw_clock_ns() - agent->alone_since_ns > PLACE_WAIT_S * LW_NS_PER_SEC) {
				lw_error(
					"take over: another agent is at work with '%s', '%s' or the same cgroup, and does not answer",
					agent->socket, lw_agent_bpffs(o->bpffs));
				return -EBUSY;
			}
		}
	}
	if (r == -EBUSY || r == -EAGAIN)
		return -EAGAIN;
	if (r == 0)
		r = lw_agent_listen(agent);
	if (r < 0) {
		lw_error("take the place of another agent: %s", strerror(-r));
		return r;
	}
	return 0;
}

void lw_place_begin_or_end(struct agent *agent)
{
	int r = lw_place_is_ours(agent) ? 0 : take_place(agent);

	if (r == -EAGAIN) {
		if (!ev_is_active(&agent->place)) {
			ev_timer_set(&agent->place, LW_AGENT_PLACE_S, LW_AGENT_PLACE_S);
			ev_timer_start(agent->loop, &agent->place);
		}
		return;
	}
	if (r == 0 && !lw_source_ready(agent->source))
		return; /* it will call */
	ev_timer_stop(agent->loop, &agent->place);
	if (r == 0)
		r = lw_agent_begin(agent);
	if (r < 0) {
		agent->failed = r;
		ev_break(agent->loop, EVBREAK_ALL);
	}
}

void lw_place_on_timer(struct ev_loop *loop, ev_timer *w, int revents)
{
	(void)loop;
	(void)revents;
	lw_place_begin_or_end(w->data);
}
