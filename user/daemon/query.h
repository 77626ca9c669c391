/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * What the agent answers on its control socket. A request is {"cmd": NAME, ...}; the answer is
 * {"data": {...}} or {"error": "..."}. All of it is read from the kernel and the state in force at the
 * moment of asking. {"cmd": "status", "brief": true} has whether requests are steered, and no more than the agent has at hand.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct lw_findings;
struct lw_image;
struct lw_devices;
struct lw_host_pods;
struct lw_kern;
struct lw_listing;
struct lw_model;
struct lw_seen;
struct lw_source;

struct lw_query {
	struct lw_kern *kern;
	struct lw_devices *devices; /* NULL: no program is to be on any */
	const struct lw_host_pods *host_pods; /* NULL: none */
	/* Of the state in force; NULL before the first. */
	const struct lw_image *image;
	const struct lw_listing *listing;
	const struct lw_model *model; /* of all that the source has told; NULL: none */
	const struct lw_seen *seen; /* names, also of what is in force no more */
	bool pending; /* a newer state is known and could not be put in force yet */
	const char *why; /* it is not this agent that steers; NULL: it is */
	const struct lw_source *source;
	uint64_t started_ns;
	size_t errors; /* that hold now */
	const struct lw_findings *source_findings, *build_findings, *node_findings;
};

/*
 * {"cmd": "ping"}: is there anybody? Answered by the line below without a look at anything, so that to ask costs nothing. NULL: it
 * is another request; else to be freed.
 */
char *lw_query_ping(const char *request);
/* A lw_control_handler's work: one line for the client, to be freed. */
char *lw_query_answer(const struct lw_query *query, const char *request);
