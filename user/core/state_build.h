/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * From the objects to what the kernel holds: decides for every Rollout (core/rollout.h), sorts pods
 * into lanes, attaches entry rules, and writes an image. Pure memory.
 *
 * The builder keeps what must outlive a generation: ids of workloads, groups (core/ids.h) and lanes. Lane names
 * get ids 1..15 in the order in which they first open, for as long as the builder lives.
 *
 * In the image is every workload in release whose route is not plain (core/rollout.h) and that has a
 * pod which is not base: with no such pod there is nothing to keep apart, and its connections stay
 * untouched. So is every workload that the Service of an entry rule in force selects, in release or
 * not: the entry hop of a lane need not be in release, its requests are tagged all the same.
 *
 * Pods are put in lw_pods also when they are not ready or not wanted: LW_POD_TERMINATING is set on
 * a pod being deleted, and on a pod of a lane that is closed or of a revision that is neither
 * stable nor canary (left over from a release that a newer one overtook). Such a pod is in no group.
 * Where a lane is open and no pod is base, base is all pods: requests have nowhere else to go. With routes that
 * are not (STABLE), a workload without a stable pod serves nobody from here, and connections stay where they are.
 *
 * Destinations: each pod IP with port 0 (any), each pod IP and port whose name stands for different
 * numbers on other pods of the workload, each ClusterIP and TCP port of the Services that select
 * the workload's pods, by selectors without pod-template-hash and controller-revision-hash, which
 * Rollouts patches in (openkruise/rollouts pkg/trafficrouting/manager.go). `<service>-canary`,
 * which Rollouts generates, is none. A Service that selects pods of several workloads belongs to
 * the first by name that is in release; pods of workloads that are not in release are base there.
 * Pods on the host network share their node's address and cannot be told apart by it: their
 * workloads stay out, with a finding.
 */
#include <stdbool.h>
#include <stddef.h>

#include "core/finding.h"
#include "core/image.h"
#include "core/listing.h"
#include "core/model.h"

struct lw_state_options {
	const char *tag_header; /* NULL: "x-mse-tag" */
	const char *lane_label; /* its value names the lane; NULL: "alicloud.service.tag" */
	const char *lane_label_prefix; /* before the lane; NULL: "opensergo.io/canary-" */
	const char *default_lane; /* of canary pods that no label names; NULL: "gray" */
	const char *node; /* pods of this node are local; NULL: none are */
	bool baggage; /* lanes go on as members of the W3C baggage, too */
	/* As core/pod_label.h has it: pods whose requests' tags are not believed; ends with NULL; NULL: none */
	const char *const *untrusted;
	bool enrol_ahead; /* workloads of Rollouts are destinations also while no canary pod is there */
	bool from_nothing; /* every build, whatever the last one has found out: for comparison */
};

struct lw_state_builder;

/*
 * The addresses of pods that annotation laneway.io/keep-out names, sorted, each once, LW_MAX_KEPT_PODS at most; free() them. 0 or
 * -ENOMEM.
 */
int lw_state_kept_pods(const struct lw_state_builder *builder, const struct lw_model *model,
		       lw_finding_cb cb, void *arg, struct lw_addr **ret, size_t *ret_n);

/* Copies the options. 0, -ENOMEM, or -EINVAL (one of untrusted is none). */
int lw_state_builder_new(const struct lw_state_options *options, struct lw_state_builder **ret);
/* An earlier builder has given this lane that number, and it is to keep it. Before the first build. 0, -EINVAL or -ENOMEM. */
int lw_state_builder_lane(struct lw_state_builder *builder, unsigned int id, const char *name);
/* Takes NULL; sets *builder to NULL. */
void lw_state_builder_free(struct lw_state_builder **builder);

/*
 * Builds a sealed image. Where the changes of the model since the last build have left its shape (core/model.h), the
 * build follows that one: it takes time by what has changed, and by the number of workloads, not of pods; the image
 * is the same as that of a build from nothing. What cannot be programmed (a limit of limits.h, a rule that does not compile) is a
 * finding, and the rest goes in. 0 or -ENOMEM; *ret_image then stays.
 */
int lw_state_build(struct lw_state_builder *builder, const struct lw_model *model, lw_finding_cb cb,
		   void *arg, struct lw_image **ret_image);
/* The last build has followed another one. */
bool lw_state_has_followed(const struct lw_state_builder *builder);
/*
 * The listing of the last build, which must have succeeded, and the model must not have changed since. By
 * itself, because nobody waits for it: the image can be in force before. 0 or -ENOMEM; *ret then stays.
 */
int lw_state_list(struct lw_state_builder *builder, struct lw_listing **ret);
