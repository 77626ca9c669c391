/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Addresses as text. struct lw_addr is 16 bytes, IPv4 as ::ffff:a.b.c.d.
 */
#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

#include "laneway/abi.h"

/* Room for "[ffff:...:255.255.255.255]:65535" and the terminator. */
#define LW_ADDR_STRLEN 64

/* "10.0.0.1" or "fd00::1". 0 or -EINVAL; *ret then stays. */
int lw_addr_parse(const char *s, struct lw_addr *ret);
/* "10.0.0.1:80" or "[fd00::1]:80"; the port is 1..65535. 0 or -EINVAL; both then stay. */
int lw_addr_parse_port(const char *s, struct lw_addr *ret, uint16_t *ret_port);
/* IPv4 where it is one. buf is filled and returned. */
const char *lw_addr_format(const struct lw_addr *addr, char buf[LW_ADDR_STRLEN]);
/* "10.0.0.1:80", "[fd00::1]:80"; port 0 reads "10.0.0.1:*". */
const char *lw_addr_format_port(const struct lw_addr *addr, uint16_t port,
				char buf[LW_ADDR_STRLEN]);

bool lw_addr_is_v4(const struct lw_addr *addr);
/* No address at all: all 16 bytes zero, or 0.0.0.0. */
bool lw_addr_is_any(const struct lw_addr *addr);
/* Of an interface of this network namespace. */
bool lw_addr_is_own(const struct lw_addr *addr);

/* As sockaddr_in for IPv4, else sockaddr_in6. Length of what was filled in. */
socklen_t lw_addr_to_sockaddr(const struct lw_addr *addr, uint16_t port,
			      struct sockaddr_storage *ret);
