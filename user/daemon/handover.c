/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/handover.h"

#include <errno.h>
#include <fcntl.h>
#include <json-c/json.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/str.h"
#include "daemon/control.h"
#include "daemon/json.h"
#include "kern/kern.h"

#define COMMAND "take-over"
#define ASK_TIMEOUT_MS 5000
#define ARGS_MAX (128 << 10)

int lw_handover_ask(const char *bpffs, bool shared, pid_t *ret_pid, char ret_error[256])
{
	_cleanup_json_ struct json_object *request = NULL, *reply = NULL;
	_cleanup_free_ char *line = NULL, *path = NULL;
	char socket[128];
	pid_t pid;
	int r;

	r = lw_kern_who(bpffs, &pid, socket);
	if (r < 0 || !*socket)
		return -EAGAIN;
	/* it may live in another container: the path is as that one sees it */
	if (asprintf(&path, "/proc/%d/root%s", (int)pid, socket) < 0) {
		path = NULL;
		return -ENOMEM;
	}
	request = lw_json_new_object(NULL, NULL);
	lw_json_add_str(request, "cmd", COMMAND);
	lw_json_add_int(request, "pid", getpid());
	lw_json_add_bool(request, "shared", shared);
	r = lw_control_call(path, json_object_to_json_string_ext(request, JSON_C_TO_STRING_PLAIN),
			    ASK_TIMEOUT_MS, &line);
	if (r < 0)
		return -EAGAIN;
	reply = json_tokener_parse(line);
	if (!lw_json_get(reply, "data")) {
		(void)lw_str_copy(ret_error, 256, lw_json_str(reply, "error"));
		return -EBUSY;
	}
	/* not the one in the record: pids are used again */
	*ret_pid = (pid_t)lw_json_int(lw_json_get(reply, "data"), "pid");
	return *ret_pid > 0 ? 0 : -EAGAIN;
}

bool lw_handover_is_request(const char *request, pid_t *ret_pid, bool *ret_shared)
{
	_cleanup_json_ struct json_object *parsed = NULL;

	/* nearly all are others, and need not be parsed twice */
	if (!strstr(request, COMMAND))
		return false;
	parsed = json_tokener_parse(request);
	if (strcmp(lw_json_str(parsed, "cmd"), COMMAND) != 0)
		return false;
	*ret_pid = (pid_t)lw_json_int(parsed, "pid");
	*ret_shared = lw_json_bool(parsed, "shared");
	return true;
}

char *lw_handover_reply(const char *error)
{
	_cleanup_json_ struct json_object *reply = lw_json_new_object(NULL, NULL);

	if (error)
		lw_json_add_str(reply, "error", error);
	else
		lw_json_add_int(lw_json_new_object(reply, "data"), "pid", getpid());
	return strdup(json_object_to_json_string_ext(reply, JSON_C_TO_STRING_PLAIN));
}

int lw_handover_restart(void)
{
	_cleanup_close_ int fd = open("/proc/self/cmdline", O_RDONLY | O_CLOEXEC);
	_cleanup_free_ char *args = malloc(ARGS_MAX + 1);
	char *argv[512];
	size_t n = 0, len = 0;
	ssize_t k;

	if (fd < 0 || !args)
		return -errno;
	while (len < ARGS_MAX && (k = read(fd, args + len, ARGS_MAX - len)) > 0)
		len += (size_t)k;
	args[len] = '\0';
	for (size_t at = 0; at < len && n < 511; at += strlen(args + at) + 1)
		argv[n++] = args + at;
	argv[n] = NULL;
	(void)execv("/proc/self/exe", argv);
	return -errno;
}
