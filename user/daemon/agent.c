/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/agent.h"

#include <malloc.h>
#include <errno.h>
#include <ev.h>
#include <limits.h>
#include <linux/magic.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/str.h"
#include "core/model.h"
#include "core/state_build.h"
#include "daemon/control.h"
#include "daemon/findings.h"
#include "daemon/handover.h"
#include "daemon/query.h"
#include "daemon/seen.h"
#include "daemon/source.h"
#include "daemon/tracers.h"
#include "kern/devices.h"
#include "kern/host_pods.h"
#include "kern/hops.h"
#include "kern/kern.h"
#include "kern/upstream.h"

/* Memory kept for the next state. */
#define KEEP_BYTES (256 << 20)
#define RETRY_S 1.
/* Between looks whether the other agent's place is free; and how long one may take to end that does not answer. */
#define PLACE_S .05
#define PLACE_WAIT_S 15

struct agent {
	const struct lw_agent_options *options;
	struct ev_loop *loop;
	struct lw_agent_locks locks;
	char socket[PATH_MAX]; /* absolute */
	bool mounted; /* lw_kern_prepare() mounted the bpffs: lw_kern_close() unmounts it */
	ev_signal sigterm, sigint, sighup;
	ev_timer retry; /* of what failed */
	/* Taking over, and being taken over from: docs/adr/0014. */
	ev_timer place; /* until it is ours */
	uint64_t alone_since_ns; /* nobody has answered from there; 0: somebody does */
	pid_t other; /* whom we have taken over from; 0: nobody, or it has ended */
	pid_t successor; /* who has taken over from us; 0: nobody */
	bool shared; /* and goes on with our maps */
	struct lw_watch *watch; /* on one of these */
	bool begun;
	bool leave; /* what is pinned, to the next agent */
	bool ending; /* on SIGTERM, once it is known whether one follows */
	int failed; /* what the loop was left for; 0: a signal */

	struct lw_model *model;
	struct lw_source *source;
	struct lw_state_builder *builder;
	struct lw_findings source_findings, build_findings;
	uint64_t started_ns;
	bool pending; /* the model is ahead of what is in force */

	struct lw_kern *kern;
	struct lw_upstreams *upstreams;
	struct lw_devices *devices;
	struct lw_host_pods *host_pods;
	char node[256]; /* the name of this node, as pods have it */
	struct lw_hops *hops;
	struct lw_tracers *tracers;
	struct lw_control *control;
	/* In force. */
	struct lw_image *image;
	struct lw_listing *listing;
	struct lw_seen seen;
};

static const char *bpffs_or_default(const char *bpffs)
{
	return bpffs ? bpffs : "/sys/fs/bpf";
}

/* 0 with -1 in *ret_fd where no bpffs is mounted: there is nobody's pin to protect. */
static int lock_bpffs(const char *bpffs, int *ret_fd)
{
	struct statfs fs;

	if (statfs(bpffs_or_default(bpffs), &fs) < 0 || fs.f_type != BPF_FS_MAGIC)
		return 0;
	return lw_lock_take(bpffs_or_default(bpffs), ret_fd);
}

/* Those that are not ours yet. 0, -EBUSY if one is not to be had (the other may be), or -errno. */
static int lock_more(const char *socket, const char *bpffs, struct lw_agent_locks *locks)
{
	char path[PATH_MAX];
	int r = 0, more = 0;

	if (locks->socket_fd < 0) {
		if (snprintf(path, sizeof(path), "%s.lock", socket) >= (int)sizeof(path))
			return -ENAMETOOLONG;
		r = lw_lock_mkdir(path);
		if (r < 0)
			return r;
		r = lw_lock_take(path, &locks->socket_fd);
	}
	if ((r == 0 || r == -EBUSY) && locks->bpffs_fd < 0)
		more = lock_bpffs(bpffs, &locks->bpffs_fd);
	return r < 0 ? r : more;
}

int lw_agent_lock(const char *socket, const char *bpffs, struct lw_agent_locks *ret)
{
	_cleanup_(lw_agent_unlock) struct lw_agent_locks locks = LW_AGENT_LOCKS_INIT;
	int r = lock_more(socket, bpffs, &locks);

	if (r < 0)
		return r;
	ret->socket_fd = TAKE_FD(locks.socket_fd);
	ret->bpffs_fd = TAKE_FD(locks.bpffs_fd);
	return 0;
}

void lw_agent_unlock(struct lw_agent_locks *locks)
{
	locks->socket_fd = lw_close(locks->socket_fd);
	locks->bpffs_fd = lw_close(locks->bpffs_fd);
}

static void retry_later(struct agent *agent)
{
	if (ev_is_active(&agent->retry))
		return;
	ev_timer_set(&agent->retry, RETRY_S, 0.);
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

/* Builds from the model and puts it in force. What is in force stays when that fails. */
static int publish(struct agent *agent)
{
	_cleanup_(lw_listing_free) struct lw_listing *listing = NULL;
	_cleanup_(lw_image_free) struct lw_image *image = NULL;
	_cleanup_(lw_findings_clear) struct lw_findings found = {}, before = {};
	uint64_t begin_ns = lw_clock_ns(), in_force_us;
	int r;

	agent->pending = true;
	r = lw_state_build(agent->builder, agent->model, lw_findings_add, &found, &image);
	if (r < 0) {
		lw_warn("build the state: %s, retrying", strerror(-r));
		retry_later(agent);
		return r;
	}
	r = keep_pods_out(agent, &found);
	if (r < 0) {
		lw_warn("keep pods out: %s, retrying", strerror(-r));
		retry_later(agent);
		return r;
	}
	r = tell_host_pods(agent);
	if (r < 0) {
		lw_warn("tell pods on the host network apart: %s, retrying", strerror(-r));
		retry_later(agent);
		return r;
	}
	lw_findings_log(&found, &agent->build_findings);
	before = agent->build_findings;
	agent->build_findings = found;
	found = (struct lw_findings){};

	r = lw_kern_publish(agent->kern, image);
	if (r < 0) {
		lw_warn("put the state in force: %s, retrying", strerror(-r));
		retry_later(agent);
		return r;
	}
	in_force_us = (lw_kern_in_force_ns(agent->kern) - begin_ns) / 1000;
	r = lw_state_list(agent->builder, &listing);
	if (r < 0) {
		lw_warn("list the state: %s, retrying", strerror(-r));
		retry_later(agent);
		return r;
	}
	lw_image_free(&agent->image);
	lw_listing_free(&agent->listing);
	agent->image = TAKE_PTR(image);
	agent->listing = TAKE_PTR(listing);
	agent->pending = false;
	lw_seen_add(&agent->seen, agent->image);
	tell(agent);
	lw_info("generation %llu in force after %llu us: %zu lanes, %zu workloads, %zu pods",
		(unsigned long long)lw_kern_generation(agent->kern),
		(unsigned long long)in_force_us, lw_image_rows(agent->image, LW_TABLE_LANES),
		lw_image_rows(agent->image, LW_TABLE_WORKLOADS),
		lw_image_rows(agent->image, LW_TABLE_PODS));
	return 0;
}

static void begin_or_end(struct agent *agent);

static void on_finding(const struct lw_finding *finding, void *arg)
{
	struct agent *agent = arg;

	if (!lw_findings_has(&agent->source_findings, finding))
		lw_log(finding->severity == LW_FINDING_ERROR ? LW_LOG_ERROR : LW_LOG_WARN, "%s",
		       finding->text);
	lw_findings_add(finding, &agent->source_findings);
	tell(agent);
}

/* Takes up what has changed in the source. */
static void refresh(struct agent *agent)
{
	int r = lw_source_refresh(agent->source);

	if (r < 0) {
		/* Part of it may have been taken up. */
		agent->pending = true;
		retry_later(agent);
	}
	/* Bad objects that have been put right say so by their number only. */
	if (lw_source_errors(agent->source) == 0 && agent->source_findings.errors > 0)
		lw_findings_clear(&agent->source_findings);
	if (!agent->kern || agent->shared || !lw_source_ready(agent->source))
		return;
	if (!agent->begun) {
		if (!ev_is_active(&agent->place))
			begin_or_end(agent);
		return;
	}
	/* Questions come often; what failed is tried again by the timer only. */
	if (r > 0 || (agent->pending && !ev_is_active(&agent->retry)))
		(void)publish(agent);
}

static void on_source(void *arg)
{
	refresh(arg);
}

static void on_retry(struct ev_loop *loop, ev_timer *w, int revents)
{
	(void)loop;
	(void)revents;
	refresh(w->data);
}

static void on_successor(bool follows, const char *why, void *arg)
{
	struct agent *agent = arg;

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
	bool first = !agent->ending;

	(void)revents;
	lw_info("stopping on signal %d", w->signum);
	agent->ending = true;
	if (w->signum == SIGTERM && first && asks_who_follows(agent))
		return;
	ev_break(loop, EVBREAK_ALL);
}

static void on_hup(struct ev_loop *loop, ev_signal *w, int revents)
{
	struct agent *agent = w->data;

	(void)loop;
	(void)revents;
	lw_info("putting the state in force anew on SIGHUP");
	agent->pending = true;
	refresh(agent);
}

static void on_other_gone(void *arg)
{
	struct agent *agent = arg;

	lw_info("agent %d, which this one took over from, has ended", (int)agent->other);
	lw_watch_stop(&agent->watch);
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

/* Another agent asks to take over. From the answer on it may take what is ours. */
static char *give_way(struct agent *agent, pid_t pid, bool shared)
{
	struct lw_watch *watch = NULL;
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
	r = lw_watch_start(agent->loop, pid, on_successor_gone, agent, &watch);
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
	lw_kern_supersede(agent->kern, shared);
	if (shared)
		lw_upstreams_retire(agent->upstreams);
	lw_agent_unlock(&agent->locks);
	return lw_handover_reply(NULL);
}

static bool has_place(const struct agent *agent)
{
	return agent->locks.socket_fd >= 0 && (agent->locks.bpffs_fd >= 0 || agent->mounted);
}

/* Why this agent does not steer, where it is for another one. */
static const char *why_not(const struct agent *agent)
{
	if (agent->successor)
		return "another agent has taken over, and this one waits to be ended";
	return agent->begun || has_place(agent) ?
		       NULL :
		       "this agent is to take over from another one, and has not yet";
}

static char *on_request(const char *request, void *arg)
{
	struct agent *agent = arg;
	struct lw_query query;
	bool shared;
	pid_t pid;

	if (lw_handover_is_request(request, &pid, &shared))
		return give_way(agent, pid, shared);
	/* What was written to the folder before this question is part of the answer. */
	refresh(agent);
	query = (struct lw_query){
		.kern = agent->kern,
		.devices = agent->devices,
		.host_pods = agent->host_pods,
		.image = agent->image,
		.listing = agent->listing,
		.seen = &agent->seen,
		.pending = agent->pending,
		.why = why_not(agent),
		.source = agent->source,
		.started_ns = agent->started_ns,
		.errors = lw_source_errors(agent->source) + agent->build_findings.errors,
		.source_findings = &agent->source_findings,
		.build_findings = &agent->build_findings,
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
	return lw_source_open(&o->source, agent->loop, agent->model, on_finding, on_source, agent,
			      &agent->source);
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
	if (r < 0)
		return r;
	return 0;
}

static int start_control(struct agent *agent)
{
	int r;

	if (agent->control || agent->locks.socket_fd < 0)
		return 0;
	r = lw_tracers_new(
		&(struct lw_tracers_options){ .loop = agent->loop,
					      .hops = &agent->hops,
					      .image =
						      (const struct lw_image *const *)&agent->image,
					      .seen = &agent->seen },
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
		lw_error("listen on '%s': %s", agent->socket, strerror(-r));
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

/* The place is ours, and the first state known: from here on we steer. */
static int begin(struct agent *agent)
{
	const struct lw_agent_options *o = agent->options;
	int r;

	r = lw_kern_begin(agent->kern, agent->other);
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
	agent->begun = true;
	r = publish(agent);
	if (r < 0) {
		lw_error("put the first state in force: %s", strerror(-r));
		return r;
	}
	if (o->devices) {
		r = lw_devices_start(agent->kern, agent->loop, o->devices, &agent->devices);
		if (r < 0) {
			lw_error("attach to the devices: %s", strerror(-r));
			return r;
		}
	}
	if (lw_kern_mode(agent->kern) == LW_KERN_MODE_NONE)
		lw_warn("no way of enrolling sockets is safe on this kernel: not steering; see laneway status");
	else
		lw_info("steering (mode %s), control socket '%s'",
			lw_kern_mode_name(lw_kern_mode(agent->kern)), agent->socket);
	return 0;
}

/* Takes the place of whoever has it. 0, -EAGAIN: not yet, or -errno with one line logged. */
static int take_place(struct agent *agent)
{
	const struct lw_agent_options *o = agent->options;
	char error[256] = "";
	pid_t pid;
	int r;

	r = lock_more(agent->socket, o->bpffs, &agent->locks);
	if (r == -EBUSY && !agent->other) {
		r = start_control(agent); /* if that is free: where to ask what we wait for */
		if (r < 0 || !lw_source_ready(agent->source))
			return r < 0 ? r : -EAGAIN;
		r = lw_handover_ask(o->bpffs, lw_kern_adopts(agent->kern), &pid, error);
		if (r == -EBUSY) {
			lw_error("take over: %s", error);
			return r;
		}
		if (r == 0) {
			agent->other = pid;
			if (lw_watch_start(agent->loop, pid, on_other_gone, agent, &agent->watch) <
			    0)
				agent->other = 0; /* gone already */
			lw_info("taking over from agent %d", (int)pid);
			r = lock_more(agent->socket, o->bpffs, &agent->locks);
		}
		/* one that is about to end answers no more */
		if (r == -EAGAIN) {
			if (!agent->alone_since_ns)
				agent->alone_since_ns = lw_clock_ns();
			if (lw_clock_ns() - agent->alone_since_ns > PLACE_WAIT_S * LW_NS_PER_SEC) {
				lw_error(
					"take over: another agent is at work with '%s' or '%s', and does not answer",
					agent->socket, bpffs_or_default(o->bpffs));
				return -EBUSY;
			}
		}
	}
	if (r == -EBUSY || r == -EAGAIN)
		return -EAGAIN;
	if (r == 0)
		r = start_control(agent);
	if (r < 0) {
		lw_error("take the place of another agent: %s", strerror(-r));
		return r;
	}
	return 0;
}

/* As soon as both the place and the first state are there. */
static void begin_or_end(struct agent *agent)
{
	int r = has_place(agent) ? 0 : take_place(agent);

	if (r == -EAGAIN) {
		if (!ev_is_active(&agent->place)) {
			ev_timer_set(&agent->place, PLACE_S, PLACE_S);
			ev_timer_start(agent->loop, &agent->place);
		}
		return;
	}
	if (r == 0 && !lw_source_ready(agent->source))
		return; /* it will call */
	ev_timer_stop(agent->loop, &agent->place);
	if (r == 0)
		r = begin(agent);
	if (r < 0) {
		agent->failed = r;
		ev_break(agent->loop, EVBREAK_ALL);
	}
}

static void on_place(struct ev_loop *loop, ev_timer *w, int revents)
{
	(void)loop;
	(void)revents;
	begin_or_end(w->data);
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
	r = lock_more(agent->socket, o->bpffs, &agent->locks);
	if (r == -EBUSY && !o->take_over) {
		lw_error("another agent is at work with '%s' or '%s'; --take-over takes its place",
			 agent->socket, bpffs_or_default(o->bpffs));
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
		r = lock_bpffs(o->bpffs, &agent->locks.bpffs_fd);
		if (r < 0) {
			lw_error("lock '%s': %s", bpffs_or_default(o->bpffs), strerror(-r));
			return r;
		}
	}
	if (has_place(agent))
		r = start_control(agent);
	if (r < 0)
		return r;
	begin_or_end(agent);
	return agent->failed;
}

/* In reverse; whatever had been started. */
static void stop(struct agent *agent)
{
	lw_watch_stop(&agent->watch);
	ev_timer_stop(agent->loop, &agent->place);
	lw_control_stop(&agent->control);
	lw_tracers_free(&agent->tracers);
	lw_hops_free(&agent->hops);
	if (agent->leave)
		lw_kern_leave(agent->kern);
	lw_upstreams_drain(agent->upstreams);
	lw_devices_stop(&agent->devices);
	lw_host_pods_stop(&agent->host_pods);
	lw_upstreams_stop(&agent->upstreams);
	/* An open descriptor would keep it from being unmounted. */
	if (agent->mounted)
		agent->locks.bpffs_fd = lw_close(agent->locks.bpffs_fd);
	lw_kern_close(&agent->kern);
	ev_timer_stop(agent->loop, &agent->retry);
	lw_source_close(&agent->source);
	lw_model_free(&agent->model);
	lw_state_builder_free(&agent->builder);
	lw_image_free(&agent->image);
	lw_listing_free(&agent->listing);
	lw_seen_clear(&agent->seen);
	lw_findings_clear(&agent->source_findings);
	lw_findings_clear(&agent->build_findings);
	lw_agent_unlock(&agent->locks);
	ev_signal_stop(agent->loop, &agent->sigterm);
	ev_signal_stop(agent->loop, &agent->sigint);
	ev_signal_stop(agent->loop, &agent->sighup);
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
	ev_timer_init(&agent.retry, on_retry, RETRY_S, 0.);
	agent.retry.data = &agent;
	ev_timer_init(&agent.place, on_place, 0., PLACE_S);
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
