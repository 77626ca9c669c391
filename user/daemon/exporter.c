/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/exporter.h"

#include <errno.h>
#include <microhttpd.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "base/addr.h"
#include "base/clock.h"

/* For so long the text of the last answer is given again. */
#define FRESH_NS LW_NS_PER_SEC

struct lw_exporter {
	struct MHD_Daemon *daemon;
	lw_exporter_cb cb;
	void *arg;
	/* of the thread alone */
	char *text; /* NULL: error says why there is none */
	char error[256];
	uint64_t asked_ns; /* 0: not yet */
};

static void look(struct lw_exporter *exporter)
{
	uint64_t now = lw_clock_ns();

	if (exporter->asked_ns && now - exporter->asked_ns < FRESH_NS)
		return;
	free(exporter->text);
	exporter->text = exporter->cb(exporter->arg, exporter->error, sizeof(exporter->error));
	exporter->asked_ns = lw_clock_ns();
}

static enum MHD_Result answer(struct MHD_Connection *connection, unsigned int status,
			      const char *text, const char *end, const char *allow)
{
	size_t len = strlen(text), end_len = strlen(end);
	struct MHD_Response *response;
	enum MHD_Result r;
	char *copy = malloc(len + end_len + 1);

	if (!copy)
		return MHD_NO;
	memcpy(copy, text, len);
	memcpy(copy + len, end, end_len + 1);
	response = MHD_create_response_from_buffer(len + end_len, copy, MHD_RESPMEM_MUST_FREE);
	if (!response) {
		free(copy);
		return MHD_NO;
	}
	/* the text format's own version (Prometheus, exposition formats) */
	(void)MHD_add_response_header(response, MHD_HTTP_HEADER_CONTENT_TYPE,
				      "text/plain; version=0.0.4; charset=utf-8");
	if (allow)
		(void)MHD_add_response_header(response, MHD_HTTP_HEADER_ALLOW, allow);
	r = MHD_queue_response(connection, status, response);
	MHD_destroy_response(response);
	return r;
}

static enum MHD_Result on_request(void *arg, struct MHD_Connection *connection, const char *url,
				  const char *method, const char *version, const char *upload,
				  size_t *upload_size, void **state)
{
	static int seen;
	struct lw_exporter *exporter = arg;

	(void)version;
	(void)upload;
	/* first its head alone, then what there is of a body, then nothing more: an answer is for then */
	if (!*state || *upload_size) {
		*state = &seen;
		*upload_size = 0;
		return MHD_YES;
	}
	if (strcmp(method, MHD_HTTP_METHOD_GET) != 0 && strcmp(method, MHD_HTTP_METHOD_HEAD) != 0)
		return answer(connection, MHD_HTTP_METHOD_NOT_ALLOWED, "GET and HEAD only", "\n",
			      "GET, HEAD");
	if (strcmp(url, "/metrics") != 0)
		return answer(connection, MHD_HTTP_NOT_FOUND, "there is /metrics", "\n", NULL);
	look(exporter);
	if (!exporter->text)
		return answer(connection, MHD_HTTP_SERVICE_UNAVAILABLE, exporter->error, "\n",
			      NULL);
	return answer(connection, MHD_HTTP_OK, exporter->text, "", NULL);
}

int lw_exporter_start(const struct lw_addr *addr, uint16_t port, lw_exporter_cb cb, void *arg,
		      struct lw_exporter **ret)
{
	struct lw_exporter *exporter = calloc(1, sizeof(*exporter));
	struct sockaddr_storage sa;
	unsigned int flags = MHD_USE_INTERNAL_POLLING_THREAD;

	if (!exporter)
		return -ENOMEM;
	exporter->cb = cb;
	exporter->arg = arg;
	(void)lw_addr_to_sockaddr(addr, port, &sa);
	if (sa.ss_family == AF_INET6)
		flags |= MHD_USE_IPv6;
	errno = 0;
	exporter->daemon = MHD_start_daemon(
		flags, port, NULL, NULL, on_request, exporter, MHD_OPTION_SOCK_ADDR, &sa,
		MHD_OPTION_CONNECTION_LIMIT, (unsigned int)LW_EXPORTER_CLIENTS,
		MHD_OPTION_PER_IP_CONNECTION_LIMIT, (unsigned int)LW_EXPORTER_CLIENTS_EACH,
		MHD_OPTION_CONNECTION_TIMEOUT, (unsigned int)LW_EXPORTER_IDLE_S,
		MHD_OPTION_LISTENING_ADDRESS_REUSE, 1u, MHD_OPTION_END);
	if (!exporter->daemon) {
		int r = errno ? -errno : -ENOMEM;

		free(exporter);
		return r;
	}
	*ret = exporter;
	return 0;
}

uint16_t lw_exporter_port(const struct lw_exporter *exporter)
{
	const union MHD_DaemonInfo *info =
		MHD_get_daemon_info(exporter->daemon, MHD_DAEMON_INFO_BIND_PORT);

	return info ? info->port : 0;
}

void lw_exporter_stop(struct lw_exporter **exporter_ptr)
{
	struct lw_exporter *exporter = *exporter_ptr;

	*exporter_ptr = NULL;
	if (!exporter)
		return;
	MHD_stop_daemon(exporter->daemon);
	free(exporter->text);
	free(exporter);
}
