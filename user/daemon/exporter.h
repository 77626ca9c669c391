/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * GET /metrics by HTTP/1.1, for Prometheus. A thread of its own serves it; as many as ask, whoever gives the text is asked once a second
 * at most, and by one at a time.
 */
#include <stddef.h>
#include <stdint.h>

#include "laneway/abi.h"

#define LW_EXPORTER_CLIENTS 32 /* at once; more are closed */
/* Of one address, likewise: libmicrohttpd has no deadline for a head, and who sends a byte of it now and then is not idle. */
#define LW_EXPORTER_CLIENTS_EACH 8
#define LW_EXPORTER_IDLE_S 10 /* a client that says nothing for longer is closed */

struct lw_exporter;

/* The text, for free(); NULL: there is none, for a reason that is then in error. Called by the thread. */
typedef char *(*lw_exporter_cb)(void *arg, char *error, size_t size);

/*
 * Another of the same user may listen there as well: of two agents, of which one follows the other, each has one. Port 0: any, see lw_exporter_port(). 0 or -errno.
 */
int lw_exporter_start(const struct lw_addr *addr, uint16_t port, lw_exporter_cb cb, void *arg,
		      struct lw_exporter **ret);
uint16_t lw_exporter_port(const struct lw_exporter *exporter);
/* Takes NULL; sets *exporter to NULL. cb is called no more. */
void lw_exporter_stop(struct lw_exporter **exporter);
