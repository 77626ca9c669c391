/* SPDX-License-Identifier: Apache-2.0 */
#include <malloc.h>
#include <errno.h>
#include <ev.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/str.h"
#include "core/model.h"
#include "core/state_build.h"
#include "daemon/agent_exit.h"
#include "daemon/agent_internal.h"
#include "daemon/control.h"
#include "daemon/findings.h"
#include "daemon/handover.h"
#include "daemon/lookout.h"
#include "daemon/process_watch.h"
#include "daemon/query.h"
#include "daemon/seen.h"
#include "daemon/source.h"
#include "daemon/tracers.h"
#include "kern/devices.h"
#include "kern/host_pods.h"
#include "kern/hops.h"
#include "kern/kern.h"
#include "kern/leaves.h"
#include "kern/upstream.h"

/* Memory kept for the next state. */
#define KEEP_BYTES (256 << 20)
#define NICE (-10)

void lw_agent_refresh(struct agent *agent)
{
	int r = lw_source_refresh(agent->source);

	if (r < 0) {
		/* Part of it may have been taken up. */
		agent->pending = true;
		lw_agent_retry_later(agent);
	}
	lw_findings_clear(&agent->forgotten);
	/* what no object was told to be of, or was told by a watch that did not count */
	if (lw_source_errors(agent->source) == 0 && agent->source_findings.errors > 0)
		lw_findings_clear(&agent->source_findings);
	if (!agent->kern || agent->shared || (agent->ending && (agent->leave || !agent->begun)) ||
	    !lw_source_ready(agent->source))
		return;
	if (!agent->begun) {
		if (!ev_is_active(&agent->place))
			lw_place_begin_or_end(agent);
		return;
	}
	/* Questions come often; what failed is tried again by the timer only. */
	if (r > 0 || (agent->pending && !ev_is_active(&agent->retry)))
		(void)lw_agent_publish(agent);
}

static void on_source(void *arg)
{
	lw_agent_refresh(arg);
}

static void on_retry(struct ev_loop *loop, ev_timer *w, int revents)
{
	(void)loop;
	(void)revents;
	lw_agent_refresh(w->data);
}

static void on_lookout(struct ev_loop *loop, ev_timer *w, int revents)
{
	struct agent *agent = w->data;
	struct lw_findings found = {};

	(void)loop;
	(void)revents;
	if (agent->successor)
		return;
	lw_lookout_look(&(struct lw_lookout){ .kern = agent->kern,
					      .devices = agent->devices,
					      .model = agent->model,
					      .untrusted = agent->options->untrusted },
			lw_findings_add, &found);
	lw_findings_log(&found, &agent->node_findings);
	lw_findings_clear(&agent->node_findings);
	agent->node_findings = found;
}

static void on_successor(bool follows, const char *why, void *arg)
{
	struct agent *agent = arg;

	if (!agent->asking)
		return; /* too late: it ends already */
	agent->asking = false;
	lw_info("%s: %s", why,
		follows ? "leaving the hooks to the next agent" : "leaving nothing attached");
	agent->leave = follows;
	ev_break(agent->loop, EVBREAK_ALL);
}

/* Is there to be waited for an answer whether another agent follows? */
static bool asks_who_follows(struct agent *agent)
{
	const struct lw_agent_options *o = agent->options;
	int r;

	if (!o->leave_hooks || !agent->begun || agent->successor)
		return false;
	if (!*o->daemonset) {
		lw_info("leaving the hooks to the next agent");
		agent->leave = true;
		return false;
	}
	r = lw_source_ask_successor(agent->source, o->daemonset_ns, o->daemonset, on_successor,
				    agent);
	if (r < 0)
		lw_warn("ask for DaemonSet %s/%s: %s, leaving nothing attached", o->daemonset_ns,
			o->daemonset, strerror(-r));
	return r == 0;
}

static void on_stop(struct ev_loop *loop, ev_signal *w, int revents)
{
	struct agent *agent = w->data;
	bool first = !agent->stopping;

	(void)revents;
	lw_info("stopping on signal %d", w->signum);
	agent->stopping = true;
	agent->asking = first && w->signum == SIGTERM && asks_who_follows(agent);
	if (agent->asking)
		return;
	ev_break(loop, EVBREAK_ALL);
}

static void on_hup(struct ev_loop *loop, ev_signal *w, int revents)
{
	struct agent *agent = w->data;

	(void)loop;
	(void)revents;
	lw_info("putting the state in force anew on SIGHUP");
	agent->pending = agent->anew = true;
	lw_agent_refresh(agent);
}

static char *on_request(const char *request, void *arg)
{
	struct agent *agent = arg;
	struct lw_query query;
	char *pong;
	bool shared;
	pid_t pid;

	if (lw_handover_is_request(request, &pid, &shared))
		return lw_place_give_way(agent, pid, shared);
	pong = lw_query_ping(request);
	if (pong)
		return pong;
	/* What was written to the folder before this question is part of the answer. */
	lw_agent_refresh(agent);
	query = (struct lw_query){
		.kern = agent->kern,
		.devices = agent->devices,
		.host_pods = agent->host_pods,
		.image = agent->image,
		.listing = agent->listing,
		.seen = &agent->seen,
		.model = agent->model,
		.pending = agent->pending,
		.why = lw_place_why_not(agent),
		.source = agent->source,
		.started_ns = agent->started_ns,
		.errors = lw_source_errors(agent->source) + agent->build_findings.errors,
		.source_findings = &agent->source_findings,
		.build_findings = &agent->build_findings,
		.node_findings = &agent->node_findings,
	};
	return lw_query_answer(&query, request);
}

static bool on_stream(struct lw_control_stream *stream, const char *request, char **ret_reply,
		      void *arg)
{
	struct agent *agent = arg;

	return lw_tracers_begin(agent->tracers, stream, request, ret_reply);
}

static void on_stream_end(struct lw_control_stream *stream, void *arg)
{
	struct agent *agent = arg;

	lw_tracers_end(agent->tracers, stream);
}

static int start_state(struct agent *agent)
{
	const struct lw_agent_options *o = agent->options;
	int r;

	if (o->node)
		(void)lw_str_copy(agent->node, sizeof(agent->node), o->node);
	else
		(void)gethostname(agent->node, sizeof(agent->node) - 1);
	r = lw_state_builder_new(
		&(struct lw_state_options){ .tag_header = o->tag_header,
					    .lane_label = o->lane_label,
					    .lane_label_prefix = o->lane_label_prefix,
					    .node = agent->node,
					    .baggage = o->baggage,
					    .enrol_ahead = o->enrol_ahead,
					    .untrusted = o->untrusted },
		&agent->builder);
	if (r < 0) {
		lw_error("start: %s", strerror(-r));
		return r;
	}
	r = lw_model_new(&agent->model);
	if (r < 0) {
		lw_error("start: %s", strerror(-r));
		return r;
	}
	return lw_source_open(&o->source, agent->loop, agent->model, lw_agent_on_finding,
			      lw_agent_on_forget, on_source, agent, &agent->source);
}

static int start_kern(struct agent *agent, bool beside)
{
	const struct lw_agent_options *o = agent->options;
	int r;

	r = lw_kern_prepare(&(struct lw_kern_options){ .cgroup = o->cgroup,
						       .bpffs = o->bpffs,
						       .socket = agent->socket,
						       .fail_closed = o->fail_closed,
						       .prefer_local = o->prefer_local,
						       .no_bypass = o->no_bypass,
						       .no_inbound = o->no_inbound,
						       .pod_evidence = o->pod_evidence,
						       .keep_out = o->keep_out,
						       .watch_syscalls = o->watch_syscalls,
						       .beside = beside },
			    &agent->kern);
	return lw_agent_kern_error(r, false);
}

int lw_agent_listen(struct agent *agent)
{
	int r;

	if (agent->control || agent->locks.socket_fd < 0)
		return 0;
	r = lw_tracers_new(
		&(struct lw_tracers_options){ .loop = agent->loop,
					      .hops = &agent->hops,
					      .image =
						      (const struct lw_image *const *)&agent->image,
					      .seen = &agent->seen,
					      .model = agent->model },
		&agent->tracers);
	if (r < 0) {
		lw_error("start: %s", strerror(-r));
		return r;
	}
	r = lw_control_start(agent->loop,
			     &(struct lw_control_options){ .path = agent->socket,
							   .handler = on_request,
							   .stream_begin = on_stream,
							   .stream_end = on_stream_end,
							   .arg = agent },
			     &agent->control);
	if (r < 0)
		lw_error(
			"listen on '%s': %s", agent->socket,
			r == -EEXIST ?
				"there is a file that is no socket; name another place by --socket" :
				strerror(-r));
	return r;
}

/* Lanes keep their numbers, which connections and counters of the earlier agent know. */
static int keep_lanes(struct agent *agent)
{
	char lanes[LW_MAX_LANES][LW_LANE_NAME_LEN];
	int r = 0;

	lw_kern_adopted_lanes(agent->kern, lanes);
	for (unsigned int id = 1; r == 0 && id < LW_MAX_LANES; id++)
		if (*lanes[id])
			r = lw_state_builder_lane(agent->builder, id, lanes[id]);
	return r;
}

int lw_agent_begin(struct agent *agent)
{
	const struct lw_agent_options *o = agent->options;
	int r;

	r = lw_agent_kern_error(lw_kern_begin(agent->kern, agent->other), true);
	if (r < 0)
		return r;
	r = lw_hops_new(agent->kern, &agent->hops);
	if (r < 0 && r != -EOPNOTSUPP) {
		lw_error("open the ring of traced requests: %s", strerror(-r));
		return r;
	}
	r = keep_lanes(agent);
	if (r < 0) {
		lw_error("keep the lanes of an earlier agent: %s", strerror(-r));
		return r;
	}
	r = lw_upstreams_start(agent->kern, agent->loop,
			       &(struct lw_upstreams_options){ .pool_max = o->pool_max,
							       .fail_closed = o->fail_closed },
			       &agent->upstreams);
	if (r < 0) {
		lw_error("start the upstream sockets: %s", strerror(-r));
		return r;
	}
	r = lw_host_pods_start(agent->kern, agent->loop, &agent->host_pods);
	if (r < 0) {
		lw_error("look for pods on the host network: %s", strerror(-r));
		return r;
	}
	r = lw_leaves_start(agent->kern, agent->loop, o->leaf_after, &agent->leaves);
	if (r < 0) {
		lw_error("look for pods that call nothing: %s", strerror(-r));
		return r;
	}
	agent->begun = true;
	r = lw_agent_publish(agent);
	if (r < 0) {
		lw_error("put the first state in force: %s", strerror(-r));
		return r;
	}
	r = lw_devices_start(agent->kern, o->devices, &agent->devices);
	if (r < 0) {
		lw_error("attach to the devices: %s", strerror(-r));
		return r;
	}
	if (lw_kern_mode(agent->kern) == LW_KERN_MODE_NONE)
		lw_warn("no way of enrolling sockets is safe on this kernel: not steering; see laneway status");
	else
		lw_info("steering (mode %s), control socket '%s'",
			lw_kern_mode_name(lw_kern_mode(agent->kern)), agent->socket);
	ev_timer_start(agent->loop, &agent->lookout);
	return 0;
}

/* Is what we mount there for as long as the machine runs, and not for as long as our container does? */
static bool mounts_last(void)
{
	struct stat own, first;

	return !stat("/proc/self/ns/mnt", &own) && !stat("/proc/1/ns/mnt", &first) &&
	       own.st_dev == first.st_dev && own.st_ino == first.st_ino;
}

static int start(struct agent *agent)
{
	const struct lw_agent_options *o = agent->options;
	char cwd[PATH_MAX] = "";
	bool beside;
	int r;

	if (o->socket[0] != '/' && !getcwd(cwd, sizeof(cwd)))
		return -errno;
	if (snprintf(agent->socket, sizeof(agent->socket), "%s%s%s", cwd, *cwd ? "/" : "",
		     o->socket) >= (int)sizeof(agent->socket))
		return -ENAMETOOLONG;
	r = lw_agent_lock_more(agent->socket, o->bpffs, o->cgroup, &agent->locks);
	if (r == -EBUSY && !o->take_over) {
		lw_error(
			"another agent is at work with '%s', '%s' or the same cgroup; --take-over takes the place of one with the same bpffs",
			agent->socket, lw_agent_bpffs(o->bpffs));
		return r;
	}
	if (r < 0 && r != -EBUSY) {
		lw_error("lock '%s.lock': %s", agent->socket, strerror(-r));
		return r;
	}
	beside = r == -EBUSY;
	agent->mounted = !beside && agent->locks.bpffs_fd < 0;
	r = start_state(agent);
	if (r < 0)
		return r;
	r = start_kern(agent, beside);
	if (r < 0)
		return r;
	if (agent->mounted) {
		r = lw_agent_lock_bpffs(o->bpffs, &agent->locks.bpffs_fd);
		if (r < 0) {
			lw_error("lock '%s': %s", lw_agent_bpffs(o->bpffs), strerror(-r));
			return r;
		}
		if (o->leave_hooks && !mounts_last())
			lw_warn("no bpffs was mounted on '%s': the one mounted now ends with this container, and no hooks can be left to the next agent (--leave-hooks); mount one on the node",
				lw_agent_bpffs(o->bpffs));
	}
	if (lw_place_is_ours(agent))
		r = lw_agent_listen(agent);
	if (r < 0)
		return r;
	lw_place_begin_or_end(agent);
	return agent->failed;
}

/* In reverse; whatever had been started. */
static void stop(struct agent *agent)
{
	/*
	 * The loop runs on in lw_upstreams_drain(), and objects change: where hooks are left the next agent's state is the next agent's. Where none are
	 * they choose pods of a Service until then, by what there is.
	 */
	agent->ending = true;
	lw_process_watch_stop(&agent->watch);
	ev_timer_stop(agent->loop, &agent->place);
	lw_control_stop(&agent->control);
	lw_tracers_free(&agent->tracers);
	lw_hops_free(&agent->hops);
	if (agent->leave)
		lw_kern_leave(agent->kern);
	lw_upstreams_drain(agent->upstreams);
	lw_leaves_stop(&agent->leaves);
	lw_devices_stop(&agent->devices);
	lw_host_pods_stop(&agent->host_pods);
	lw_upstreams_stop(&agent->upstreams);
	/* An open descriptor would keep it from being unmounted. */
	if (agent->mounted)
		agent->locks.bpffs_fd = lw_close(agent->locks.bpffs_fd);
	lw_kern_close(&agent->kern);
	ev_timer_stop(agent->loop, &agent->retry);
	ev_timer_stop(agent->loop, &agent->lookout);
	lw_source_close(&agent->source);
	lw_model_free(&agent->model);
	lw_state_builder_free(&agent->builder);
	lw_image_free(&agent->image);
	lw_listing_free(&agent->listing);
	lw_seen_clear(&agent->seen);
	lw_findings_clear(&agent->source_findings);
	lw_findings_clear(&agent->build_findings);
	lw_findings_clear(&agent->node_findings);
	lw_findings_clear(&agent->forgotten);
	lw_agent_unlock(&agent->locks);
	ev_signal_stop(agent->loop, &agent->sigterm);
	ev_signal_stop(agent->loop, &agent->sigint);
	ev_signal_stop(agent->loop, &agent->sighup);
}

/*
 * Where no upstream socket is ready a request is on its way through here, and who sends it is not held back. So what there is to
 * do is done at once, though others want the processor. Without the right to it (CAP_SYS_NICE) it stays as it is: in a container
 * of its own the cgroup's share decides.
 */
static void go_first(void)
{
	if (getpriority(PRIO_PROCESS, 0) == 0)
		(void)setpriority(PRIO_PROCESS, 0, NICE);
	/*
	 * The kernel's khugepaged makes huge pages of a process's memory while it has that locked (mmap_lock), and at the lowest priority there is: on a
	 * busy machine whoever needs a page waits for it, for seconds. There is little to be had of them here.
	 */
	(void)prctl(PR_SET_THP_DISABLE, 1, 0, 0, 0);
}

int lw_agent_run(const struct lw_agent_options *options)
{
	/* Too large for the stack; there is one. */
	static struct agent agent;
	int r;

	agent.options = options;
	agent.locks = (struct lw_agent_locks)LW_AGENT_LOCKS_INIT;
	agent.started_ns = lw_clock_ns();
	agent.loop = ev_default_loop(EVFLAG_AUTO);
	if (!agent.loop) {
		lw_error("start the event loop");
		return -ENOMEM;
	}
	(void)signal(SIGPIPE, SIG_IGN);
	go_first();
	/* a state is built and thrown away at every change: keep its memory, page faults are most of the time it takes */
	(void)mallopt(M_MMAP_THRESHOLD, KEEP_BYTES);
	(void)mallopt(M_TRIM_THRESHOLD, KEEP_BYTES);
	/* Before anything is attached: a signal during the start is kept for the loop, which then ends. */
	ev_signal_init(&agent.sigterm, on_stop, SIGTERM);
	ev_signal_init(&agent.sigint, on_stop, SIGINT);
	ev_signal_init(&agent.sighup, on_hup, SIGHUP);
	ev_signal_start(agent.loop, &agent.sigterm);
	ev_signal_start(agent.loop, &agent.sigint);
	ev_signal_start(agent.loop, &agent.sighup);
	ev_timer_init(&agent.retry, on_retry, LW_AGENT_RETRY_S, 0.);
	agent.retry.data = &agent;
	ev_timer_init(&agent.lookout, on_lookout, LW_AGENT_LOOKOUT_S, LW_AGENT_LOOKOUT_S);
	agent.lookout.data = &agent;
	ev_timer_init(&agent.place, lw_place_on_timer, 0., LW_AGENT_PLACE_S);
	agent.place.data = &agent;
	agent.sighup.data = agent.sigterm.data = agent.sigint.data = &agent;

	r = start(&agent);
	if (r == 0) {
		ev_run(agent.loop, 0);
		r = agent.failed;
	}
	stop(&agent);
	return r;
}
