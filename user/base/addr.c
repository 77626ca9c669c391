/* SPDX-License-Identifier: Apache-2.0 */
#include "base/addr.h"

#include <arpa/inet.h>
#include <errno.h>
#include <ifaddrs.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>

#include "base/str.h"

static const __u8 v4_prefix[12] = { [10] = 0xff, [11] = 0xff };

bool lw_addr_is_v4(const struct lw_addr *addr)
{
	return memcmp(addr->ip, v4_prefix, sizeof(v4_prefix)) == 0;
}

bool lw_addr_is_any(const struct lw_addr *addr)
{
	static const __u8 zero[16];

	if (lw_addr_is_v4(addr))
		return memcmp(addr->ip + 12, zero, 4) == 0;
	return memcmp(addr->ip, zero, 16) == 0;
}

bool lw_addr_is_own(const struct lw_addr *addr)
{
	struct ifaddrs *all;
	bool found = false;

	if (getifaddrs(&all))
		return false;
	for (const struct ifaddrs *i = all; i && !found; i = i->ifa_next) {
		if (i->ifa_addr && i->ifa_addr->sa_family == AF_INET && lw_addr_is_v4(addr))
			found = memcmp(&((const struct sockaddr_in *)i->ifa_addr)->sin_addr,
				       addr->ip + 12, 4) == 0;
		else if (i->ifa_addr && i->ifa_addr->sa_family == AF_INET6)
			found = memcmp(&((const struct sockaddr_in6 *)i->ifa_addr)->sin6_addr,
				       addr->ip, 16) == 0;
	}
	freeifaddrs(all);
	return found;
}

int lw_addr_parse(const char *s, struct lw_addr *ret)
{
	struct lw_addr addr = {};

	if (inet_pton(AF_INET, s, addr.ip + 12) == 1)
		memcpy(addr.ip, v4_prefix, sizeof(v4_prefix));
	else if (inet_pton(AF_INET6, s, addr.ip) != 1)
		return -EINVAL;
	*ret = addr;
	return 0;
}

int lw_addr_parse_port(const char *s, struct lw_addr *ret, uint16_t *ret_port)
{
	char host[LW_ADDR_STRLEN];
	const char *colon = strrchr(s, ':');
	struct lw_addr addr;
	uint64_t port;
	size_t len;
	bool brackets = *s == '[';

	if (!colon)
		return -EINVAL;
	len = (size_t)(colon - s);
	if (brackets) {
		if (len < 2 || colon[-1] != ']')
			return -EINVAL;
		s++;
		len -= 2;
	}
	if (len >= sizeof(host))
		return -EINVAL;
	memcpy(host, s, len);
	host[len] = '\0';
	/* Without brackets the last colon of an IPv6 address cannot be told from the port's. */
	if (brackets != (strchr(host, ':') != NULL))
		return -EINVAL;
	if (lw_addr_parse(host, &addr) < 0 || lw_str_u64(colon + 1, 65535, &port) < 0 || port == 0)
		return -EINVAL;
	*ret = addr;
	*ret_port = (uint16_t)port;
	return 0;
}

const char *lw_addr_format(const struct lw_addr *addr, char buf[LW_ADDR_STRLEN])
{
	if (lw_addr_is_v4(addr))
		(void)inet_ntop(AF_INET, addr->ip + 12, buf, LW_ADDR_STRLEN);
	else
		(void)inet_ntop(AF_INET6, addr->ip, buf, LW_ADDR_STRLEN);
	return buf;
}

const char *lw_addr_format_port(const struct lw_addr *addr, uint16_t port, char buf[LW_ADDR_STRLEN])
{
	char host[LW_ADDR_STRLEN], tail[8] = "*";
	bool v4 = lw_addr_is_v4(addr);

	if (port)
		(void)snprintf(tail, sizeof(tail), "%u", port);
	/* INET6_ADDRSTRLEN is 46: the sum fits, which the compiler cannot see. */
	(void)snprintf(buf, LW_ADDR_STRLEN, v4 ? "%.46s:%s" : "[%.46s]:%s",
		       lw_addr_format(addr, host), tail);
	return buf;
}

socklen_t lw_addr_to_sockaddr(const struct lw_addr *addr, uint16_t port,
			      struct sockaddr_storage *ret)
{
	memset(ret, 0, sizeof(*ret));
	if (lw_addr_is_v4(addr)) {
		struct sockaddr_in *in = (struct sockaddr_in *)ret;

		in->sin_family = AF_INET;
		in->sin_port = htons(port);
		memcpy(&in->sin_addr, addr->ip + 12, 4);
		return sizeof(*in);
	}

	struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)ret;

	in6->sin6_family = AF_INET6;
	in6->sin6_port = htons(port);
	memcpy(&in6->sin6_addr, addr->ip, 16);
	return sizeof(*in6);
}
