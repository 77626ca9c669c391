/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * The store of Kubernetes objects, keyed by kind, namespace and name, that a source fills and
 * lw_state_build() reads. Keeps the indexes a build needs, so that a build never searches. Pure
 * memory.
 *
 * Besides the objects it remembers of every Rollout what the objects of one moment do not tell
 * (struct lw_model_memory); that is lost when the process ends or the Rollout is removed.
 */
#include <stdbool.h>
#include <stddef.h>

#include "core/k8s.h"

struct lw_model;

/* Of one Rollout, from the versions seen. */
struct lw_model_memory {
	/*
	 * Step whose route was in force before the current one began, which after a jump is the one
	 * jumped from and not the one before (openkruise/rollouts
	 * pkg/controller/rollout/rollout_status.go doStepJump). 0: not seen; -1: none was.
	 */
	int previous_step;
	/* The step is StepReady by an edit of the plan, from within its upgrade: its route was never written (rollout_status.go
	 * handleRolloutPlanChanged). */
	bool unrouted;
	/* Last version whose plan the controller had taken up; NULL while it is the current one, or
	 * none was seen. */
	const struct lw_k8s_object *adopted;
	/* Stable revision before the status was cleared for a newer release; NULL if none. Owned by
	 * the memory. */
	char *stable;
};

/* 0 or -ENOMEM. */
int lw_model_new(struct lw_model **ret);
/* Takes NULL; sets *model to NULL. */
void lw_model_free(struct lw_model **model);

/* Takes the object over, also on failure. Replaces the one with its key. 0 or -ENOMEM, the model is
 * then as before. */
int lw_model_upsert(struct lw_model *model, struct lw_k8s_object *object);
/* True if there was one. */
bool lw_model_remove(struct lw_model *model, enum lw_k8s_kind kind, const char *ns,
		     const char *name);

/* Objects of a kind, densely numbered 0..count-1. The numbers change with every upsert and remove.
 */
size_t lw_model_count(const struct lw_model *model, enum lw_k8s_kind kind);
const struct lw_k8s_object *lw_model_at(const struct lw_model *model, enum lw_k8s_kind kind,
					size_t i);
size_t lw_model_index_of(const struct lw_model *model, const struct lw_k8s_object *object);
/* NULL if absent. */
const struct lw_k8s_object *lw_model_get(const struct lw_model *model, enum lw_k8s_kind kind,
					 const char *ns, const char *name);
/* Of a Rollout that is in the model. */
const struct lw_model_memory *lw_model_memory_of(const struct lw_model *model,
						 const struct lw_k8s_object *rollout);

/*
 * What has changed. A version is a number that grows with every upsert and remove. Most changes leave the shape:
 * which objects there are, which pods are whose and which Services select them, by what addresses, and
 * every lw_model_index_of(). What such a change does is the object's own affair: a Rollout's step, a pod that is
 * ready now. The shape is the version of the last change that did more than that.
 */
uint64_t lw_model_version(const struct lw_model *model);
uint64_t lw_model_shape(const struct lw_model *model);
/* The object changed last of those that leave the shape and came before `than` (NULL: of all); NULL if there is none.
 * *ret_version: of the change. */
const struct lw_k8s_object *lw_model_changed_before(const struct lw_model *model,
						    const struct lw_k8s_object *than,
						    uint64_t *ret_version);

/* What a build asks of every pod, in one place: objects are spread over memory, and there are many
 * pods. */
struct lw_model_pod {
	size_t index; /* lw_model_index_of() */
	/* lw_bytes_hash() of what they are called after; 0 where there is none. */
	uint64_t template_hash; /* label pod-template-hash */
	uint64_t revision_hash; /* label controller-revision-hash */
	uint64_t uid;
	uint64_t owner_uid;
	uint64_t node;
	const uint64_t *labels; /* lw_model_label_hash() of each */
	size_t nlabels;
	const struct lw_addr *ips;
	uint32_t nips;
	bool ended; /* it will not run again */
	bool ready;
	bool deleting;
	bool host_network;
	bool contested; /* another object has, or had, one of its addresses */
};
/* Of a Pod that is in the model. */
const struct lw_model_pod *lw_model_pod_of(const struct lw_model *model,
					   const struct lw_k8s_object *object);
/* Never 0. */
uint64_t lw_model_label_hash(const char *key, const char *value);
/* Never 0, but for NULL and "". */
uint64_t lw_model_text_hash(const char *s);

/*
 * Index lookups: a list of objects, in no order. Walk it with
 *	for (const struct lw_model_link *l = lw_model_owned(...); l; l = l->next)
 */
struct lw_model_link {
	struct lw_model_link *next, *prev;
	struct lw_model_list *list;
	struct lw_model_record *record;
	const struct lw_k8s_object *object;
	const struct lw_model_pod *pod; /* if the object is a Pod */
};
/* Objects of a kind (Pod, ReplicaSet) whose controller is this. Compare uids where it matters. */
const struct lw_model_link *lw_model_owned(const struct lw_model *model, enum lw_k8s_kind kind,
					   const char *ns, const char *owner_group,
					   const char *owner_kind, const char *owner_name);
/* Pods with this label. *ret_count (may be NULL): how many. */
const struct lw_model_link *lw_model_labelled(const struct lw_model *model, const char *ns,
					      const char *key, const char *value,
					      size_t *ret_count);
/* Deployments made for the canary pods of this one: label rollouts.kruise.io/canary-deployment. */
const struct lw_model_link *lw_model_extras(const struct lw_model *model, const char *ns,
					    const char *deployment);
/* The Deployment that it was made for, NULL if it is no such. */
const char *lw_model_extra_of(const struct lw_k8s_object *deployment);
/*
 * Pods of a ReplicaSet `<name>-<pod-template-hash>`: by the naming of pods of a Deployment, where
 * the ReplicaSet itself is not in the model.
 */
const struct lw_model_link *lw_model_named_after(const struct lw_model *model, const char *ns,
						 const char *deployment);
/* Pods with annotation laneway.io/keep-out, whatever it says. */
const struct lw_model_link *lw_model_kept_out(const struct lw_model *model);
/* Pods on the host network, of all nodes. */
const struct lw_model_link *lw_model_host_network(const struct lw_model *model);
/* Pods that have no controller. */
const struct lw_model_link *lw_model_orphans(const struct lw_model *model, const char *ns);
/* Pods and Services that have this address. */
const struct lw_model_link *lw_model_at_address(const struct lw_model *model,
						const struct lw_addr *addr);
/* Pods and Services that have the i-th address of this one, itself included. */
const struct lw_model_link *lw_model_same_address(const struct lw_model *model,
						  const struct lw_k8s_object *object, size_t i);
