/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * One build of state_build.h, passed through its stages: state_workloads.c knows the workloads, with the help of
 * state_pods.c, which finds the pods of each, and state_roles.c, which sorts them; state_rules.c attaches entry
 * rules and tags, state_emit.c writes the image (state_rows.h), state_list.c the listing. Included by these files only.
 *
 * While the shape of the model stays (core/model.h), a build follows the one before: state_follow.c marks what
 * has changed, the rest of the workloads and of the rows in the image is kept. The result is the same as that
 * of a build from nothing; where it could depend on the order of builds, none is followed (order_matters).
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/arena.h"
#include "core/bytemap.h"
#include "core/finding.h"
#include "core/ids.h"
#include "core/listing.h"
#include "core/model.h"
#include "core/pod_label.h"
#include "core/rollout.h"
#include "core/rules.h"
#include "core/state_build.h"

struct lw_state_builder;

enum lw_state_role {
	LW_STATE_BASE,
	LW_STATE_CANARY,
	LW_STATE_DRAIN, /* takes no new request */
};

/* Is it a pod of the second Deployment that Rollouts makes for canary pods? */
enum lw_state_extra { LW_STATE_MAIN, LW_STATE_EXTRA, LW_STATE_EXTRA_LEAVING };

struct lw_state_pod {
	const struct lw_model_pod *model;
	const struct lw_k8s_object *object;
	struct lw_state_workload *workload; /* NULL: of none that is known */
	struct lw_state_pod *next; /* of the workload */
	const char *lane_name; /* unless BASE */
	uint16_t lane;
	uint8_t role; /* enum lw_state_role */
	uint8_t extra; /* enum lw_state_extra */
	bool out; /* on the host network: no destination of its own */
	uint64_t lost_ips; /* bit i: address i is another's */
};

/* What a group in the image belongs to. */
struct lw_state_owner {
	bool changed; /* its rows are written anew */
};

/* A finding. */
struct lw_state_note {
	struct lw_state_note *next;
	enum lw_severity severity;
	const char *text;
};

struct lw_state_entry {
	struct lw_state_entry *next;
	const char *source;
	const struct lw_k8s_route *route;
	size_t match; /* of the route; SIZE_MAX: its weight */
	uint16_t lane;
	bool refused; /* no request enters by it; a finding says why */
};

struct lw_state_workload {
	struct lw_state_workload
		*next; /* by namespace and name of the Rollout, then entry workloads */
	const char *ns, *group, *kind, *name;
	const char *full_name; /* ns/kind/name */
	const struct lw_k8s_object *rollout; /* NULL: an entry workload */
	const char *rollout_name, *shared_name; /* "": none */
	const struct lw_k8s_object *shared; /* TrafficRouting it is bound to, or NULL */
	const struct lw_k8s_object *deployment; /* NULL: it is none, or not in the model */
	struct lw_rollout_decision decision;
	struct lw_state_pod *pods;
	size_t npods; /* linked in pods */
	size_t base, base_ready, canary, canary_ready, draining;
	const char *lane_name;
	uint16_t lane;
	bool open;
	bool unsorted; /* what follows from its Rollout and its pods' state is to be found anew */
	bool in_release; /* in the image for its own release */
	bool in_image;
	bool is_entry; /* in the image for its entry rules alone, or ahead of its release: all its pods are base */
	bool kept_out; /* it is in release, but cannot be put in the image for it */
	bool was_in_image; /* the image before */
	bool host_network;
	bool host_release; /* it is left alone for that only: what its canary pods send is in their lane */
	bool untaken; /* its route is plain, and nobody has asked for its pods yet: they have no workload */
	uint32_t lanes_used, lanes_open; /* by its pods in_release: bit of each lane */
	uint32_t id; /* of lw_workloads; 0: it was never in the image */
	uint32_t entry; /* lw_workload.entry */
	struct lw_state_owner owner; /* of the groups at its pods' addresses */
	struct lw_state_note *notes, **notes_end; /* from when it was sorted */
	struct lw_state_entry *entries, **entries_end;
	struct lw_state_workload *next_entered; /* of those with entries */
};

struct lw_state_lane {
	bool used; /* a pod or rule in the image refers to it */
	bool open;
	bool untagged; /* it can have no tag, as an error says: no request enters it */
	const char *tag_header, *tag_value; /* NULL: not told by a rule */
	const struct lw_k8s_object *tag_from;
};

/* Of one Service, by its number in the model. */
struct lw_state_service {
	/* that its destinations belong to; NULL: it is not in the image */
	const struct lw_state_workload *workload;
	struct lw_state_owner owner;
	bool never; /* no destination is at its addresses */
	bool passes; /* lw_k8s_passes_lanes() */
	/* The workloads of the pods it selects, if a rule has asked for them. */
	bool targets_known;
	struct lw_state_workload **targets;
	size_t ntargets;
};

/* A Rollout of a workload that another one releases. */
struct lw_state_duplicate {
	struct lw_state_duplicate *next;
	const char *ns, *name;
	const struct lw_state_workload *workload;
};

struct lw_state {
	struct lw_state_builder *builder;
	const struct lw_model *model;
	uint64_t version; /* of the model */
	lw_finding_cb cb;
	void *arg;
	struct lw_arena *arena; /* lives as long as builds follow this one */
	struct lw_arena *scratch; /* until the next build */
	struct lw_image *image;
	struct lw_image *before; /* the last one, while it can be followed */
	struct lw_rules *rules;
	struct lw_bytemap by_name; /* struct lw_state_workload by ns, group, kind, name */
	/* by their number in the model; empty until somebody asks for it */
	struct lw_state_pod *pods;
	struct lw_state_workload *workloads, **workloads_end;
	struct lw_state_duplicate *duplicates, **duplicates_end;
	size_t nworkloads;
	size_t nuntaken;
	struct lw_state_lane lanes[LW_MAX_LANES];
	struct lw_state_service *services; /* by their number in the model */
	struct lw_state_workload *entered, **entered_end; /* in the order of their first entry */
	struct lw_state_note *notes, **notes_end;
	/* whose findings are the workload's; NULL: of this build alone */
	struct lw_state_workload *keeping_notes;
	const struct lw_state_pod **changed_pods;
	size_t nchanged_pods;
	uint32_t full; /* bit t: table t ran full, and was reported */
	bool order_matters; /* who owns a pod depends on who was asked first */
	unsigned int followed; /* builds since the one from nothing */
};

struct lw_state_builder {
	char *tag_header, *lane_label, *lane_label_prefix, *default_lane, *node;
	uint64_t node_hash; /* lw_model_text_hash() of node */
	bool baggage, enrol_ahead;
	struct lw_pod_label *untrusted;
	size_t nuntrusted;
	bool from_nothing;
	struct lw_arena *arena, *scratch; /* of the last build */
	/* What goes with each is of the last build: struct lw_state_workload, struct lw_state_owner. */
	struct lw_ids workload_ids, group_ids;
	char *lanes[LW_MAX_LANES]; /* names by id */
	size_t nlanes; /* the next id to be given out, unless it is taken */
	struct lw_state last; /* the last build */
	/* of the last one that succeeded: what it has compiled is at hand for the next, whatever was read meanwhile */
	struct lw_rules *rules;
};

/* state_build.c. A finding; about an object: "ORIGIN: Kind ns/name: text". They are told when the build is through. */
void lw_state_say(struct lw_state *state, enum lw_severity severity, const char *format, ...)
	__attribute__((format(printf, 3, 4)));
void lw_state_report(struct lw_state *state, enum lw_severity severity,
		     const struct lw_k8s_object *object, const char *format, ...)
	__attribute__((format(printf, 4, 5)));

/* 1..15; 0: there are no more, which is reported, or -ENOMEM. */
int lw_state_lane_id(struct lw_state *state, const char *name,
		     const struct lw_k8s_object *for_whom);
/* What the image and the listing call a lane. */
const char *lw_state_lane_name(const struct lw_state *state, uint16_t lane);

/* state_workloads.c. Each 0 or -ENOMEM. */
/* A workload for every Rollout. */
int lw_state_add_releases(struct lw_state *state);
/* Finds out what holds of those that are unsorted. */
int lw_state_sort_releases(struct lw_state *state);
/* The pods of workloads that have stayed out of the image, for the listing. */
int lw_state_take_rest(struct lw_state *state);
/* NULL if there is none yet. */
struct lw_state_workload *lw_state_find_workload(const struct lw_state *state, const char *ns,
						 const char *group, const char *kind,
						 const char *name);
/* The workload a pod belongs to, made an entry workload of the service if it is none yet. */
int lw_state_entry_workload(struct lw_state *state, struct lw_state_pod *pod,
			    const struct lw_k8s_object *service, struct lw_state_workload **ret);

/* state_follow.c. Takes up the changes of the model since state->version, which left its shape. 0 or -ENOMEM. */
int lw_state_follow(struct lw_state *state);

/* state_pods.c */
struct lw_state_pod *lw_state_pod_of(struct lw_state *state, const struct lw_model_link *link);
/* Gives the pod to the workload, unless it is another's. */
void lw_state_take_pod(struct lw_state *state, struct lw_state_workload *workload,
		       struct lw_state_pod *pod, enum lw_state_extra extra);
/* Finds the pods of a workload. 0 or -ENOMEM. */
int lw_state_take_pods(struct lw_state *state, struct lw_state_workload *workload);
/* The Deployment of a pod, length of its name in *ret_len; NULL if it has none. */
const char *lw_state_deployment_of(const struct lw_state *state, const struct lw_k8s_object *pod,
				   size_t *ret_len);
bool lw_state_is_deployment(const struct lw_state_workload *workload);

/* state_roles.c. Each 0 or -ENOMEM. */
/* Sorts the pods of a workload in release by its decision, and says whether it is in_release. */
int lw_state_sort_workload(struct lw_state *state, struct lw_state_workload *workload);
/* Puts a workload in the image, if it is not there. */
int lw_state_add_to_image(struct lw_state *state, struct lw_state_workload *workload);
/* The same for its entry rules alone. */
int lw_state_add_as_entry(struct lw_state *state, struct lw_state_workload *workload);
bool lw_state_is_serving(const struct lw_state_pod *pod);
/* Its role in the image. */
static inline enum lw_state_role lw_state_role(const struct lw_state_pod *pod)
{
	const struct lw_state_workload *workload = pod->workload;

	return workload && workload->in_image && !workload->is_entry ? pod->role : LW_STATE_BASE;
}

/* state_services.c */
/* A label that Rollouts patches into the stable Service's selector. */
bool lw_state_is_hash_key(const char *key);
/* Is the pod of the revision that the Service's selector names, if it names one? */
bool lw_state_names_revision(const struct lw_k8s_service *service, const struct lw_model_pod *pod);
/* Calls cb for every live pod the Service selects, of whatever revision. */
int lw_state_each_selected(struct lw_state *state, const struct lw_k8s_object *service,
			   int (*cb)(struct lw_state *state, struct lw_state_pod *pod, void *arg),
			   void *arg);
/* Which Services never have destinations. 0 or -ENOMEM. */
int lw_state_add_services(struct lw_state *state);
/* Marks those as changed that may select a pod that has changed, or whose workload has. 0 or -ENOMEM. */
int lw_state_mark_services(struct lw_state *state);

/* state_rules.c */
int lw_state_add_rules(struct lw_state *state);
/* "all requests", "30% of requests", "header User-Agent = xiaoming and path /v1/...", "no request: refused" */
const char *lw_state_rule_text(struct lw_arena *arena, const struct lw_state_entry *entry);

/* state_untrusted.c */
bool lw_state_is_untrusted(const struct lw_state_builder *builder, const struct lw_k8s_object *pod);
/* Rows for those that belong to no workload in the image. 0 or -errno. */
int lw_state_put_untrusted(struct lw_state *state);

/* state_host_pods.c */
int lw_state_put_host_pods(struct lw_state *state);

/* state_emit.c */
/* A full table is said once, and the build goes on without. 0, 1 if it was full, or -errno. */
int lw_state_put(struct lw_state *state, enum lw_table_id table, const void *key,
		 const void *value);
/* Is address i of the pod another's? */
bool lw_state_loses_address(const struct lw_state *state, const struct lw_state_pod *pod, size_t i);
/* "namespace/name", cut to fit. */
void lw_state_pod_name(const struct lw_k8s_meta *meta, char name[LW_NAME_LEN]);
int lw_state_emit(struct lw_state *state);

/* state_list.c */
int lw_state_list_all(struct lw_state *state, struct lw_listing **ret);
