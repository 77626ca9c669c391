/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Where a client of the tests connects to. */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

/* "10.0.0.7:80" or "[fd00::7]:80". Bytes of *ret that are filled in; 0: it is neither. */
static inline socklen_t lw_target_parse(const char *text, struct sockaddr_storage *ret)
{
	struct sockaddr_in6 *v6 = (void *)ret;
	struct sockaddr_in *v4 = (void *)ret;
	const char *colon = strrchr(text, ':');
	size_t n = colon ? (size_t)(colon - text) : 0;
	char host[64];

	if (!n || n >= sizeof(host))
		return 0;
	memset(ret, 0, sizeof(*ret));
	if (*text == '[' && colon[-1] == ']') {
		snprintf(host, sizeof(host), "%.*s", (int)n - 2, text + 1);
		v6->sin6_family = AF_INET6;
		v6->sin6_port = htons((uint16_t)atoi(colon + 1));
		return inet_pton(AF_INET6, host, &v6->sin6_addr) == 1 ? sizeof(*v6) : 0;
	}
	snprintf(host, sizeof(host), "%.*s", (int)n, text);
	v4->sin_family = AF_INET;
	v4->sin_port = htons((uint16_t)atoi(colon + 1));
	return inet_pton(AF_INET, host, &v4->sin_addr) == 1 ? sizeof(*v4) : 0;
}
