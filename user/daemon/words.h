/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * What the numbers of the kernel side are called. Never NULL.
 */
#include <stdint.h>

/* Room for NAMESPACE/NAME, and the terminator. */
#define LW_WORD_CLIENT_LEN 320

struct lw_addr;
struct lw_image;
struct lw_model;
struct lw_seen;

/* "unknown" for a number that is none. */
const char *lw_word_evidence(unsigned int evidence);
const char *lw_word_reason(unsigned int reason);
/* What it means; "" for a number that is none. */
const char *lw_word_reason_help(unsigned int reason);
const char *lw_word_route(unsigned int route);
/* Of enum lw_keep, the first that holds: "name", "fionread", "splice". */
const char *lw_word_keep(unsigned int why);
/* "base", the lane's name, or "#7" for one that has not been seen. */
const char *lw_word_lane(const struct lw_seen *seen, unsigned int lane, char buf[16]);
/*
 * Of enum lw_header_id, what a decision was read in; "" where it was in none, or its name is not known any more. Numbers of tags' headers
 * change from one generation to the next: these are named by the lane.
 */
const char *lw_word_header(const struct lw_seen *seen, unsigned int header, unsigned int lane,
			   uint64_t generation);
/* By lw_name_hash(): "-" for 0, "#0badcafe" for one that has not been seen. */
const char *lw_word_workload_hash(const struct lw_seen *seen, uint32_t hash, char buf[16]);
/* "" for an image (NULL: none) without it: the state has moved on since. */
const char *lw_word_workload(const struct lw_image *image, uint32_t id);
const char *lw_word_pod(const struct lw_image *image, const struct lw_addr *addr);
/*
 * Of a client, which may be a pod that is in no release: as the model (NULL: none) has it then, in buf. "" where nobody, or more than one
 * has the address, as on the host network.
 */
const char *lw_word_client(const struct lw_image *image, const struct lw_model *model,
			   const struct lw_addr *addr, char buf[LW_WORD_CLIENT_LEN]);
