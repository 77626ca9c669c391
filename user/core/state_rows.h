/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Rows of the image on their way into it: state_groups.c has what all kinds of destinations share, state_service_rows.c
 * writes those of Services, state_emit.c all else. Included by these files only.
 */
#include "base/addr.h"
#include "core/state_internal.h"

/* Of one address family; groups do not mix them. */
enum lw_family { LW_V4, LW_V6, LW_FAMILIES };

static inline enum lw_family lw_family_of(const struct lw_addr *addr)
{
	return lw_addr_is_v4(addr) ? LW_V4 : LW_V6;
}

/* Endpoints on their way into a group; items is the owner's to free(). */
struct lw_candidates {
	struct lw_candidate *items;
	size_t n, room;
};

/* enum lw_pod_flags */
uint16_t lw_state_pod_flags(const struct lw_state *state, const struct lw_state_pod *pod);
bool lw_state_takes_requests(const struct lw_state_pod *pod);
/* Is address i of the pod another's? As lw_state_loses_address() has found in this build. */
bool lw_state_has_lost(const struct lw_state_pod *pod, size_t i);
/* Are the pods of its canary base as well? */
bool lw_state_base_is_all(const struct lw_state_pod *pod);

/* Puts a pod's addresses of the family among the candidates, if it takes requests. 0 or -ENOMEM. */
int lw_state_offer(struct lw_state *state, struct lw_candidates *candidates,
		   const struct lw_state_pod *pod, enum lw_family family, uint16_t port);
/* Writes the group's rows, and empties candidates. 0 or -errno. */
int lw_state_put_group(struct lw_state *state, uint32_t group, bool sticky,
		       struct lw_candidates *candidates);
int lw_state_put_dest(struct lw_state *state, const struct lw_addr *addr, uint16_t port,
		      uint32_t workload, uint32_t group, uint32_t flags);
/* Distinct for every family, workload or Service, and port. 0: out of memory. */
uint32_t lw_state_group_id(struct lw_state *state, const struct lw_state_owner *owner, char type,
			   const char *ns, const char *name, enum lw_family family,
			   const char *port_name, uint16_t port);

/* A name that stands for different port numbers on pods of one workload: what one of them means by it. */
struct lw_state_port {
	const char *name;
	const struct lw_state_pod *pod;
	uint16_t number;
	bool taken; /* the pod's number is a destination already, by a name before this one */
};

/* state_ports.c. Those of the workload's pods, by name; in the scratch arena. 0 or -ENOMEM. */
int lw_state_find_ports(struct lw_state *state, const struct lw_state_workload *workload,
			struct lw_state_port **ret, size_t *ret_n);

/* state_service_rows.c. Those that have changed. 0 or -errno. */
int lw_state_put_services(struct lw_state *state, struct lw_candidates *candidates);
