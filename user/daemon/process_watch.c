/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/process_watch.h"

#include <errno.h>
#include <ev.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

struct lw_process_watch {
	struct ev_loop *loop;
	int fd;
	ev_io io;
	void (*gone)(void *arg);
	void *arg;
};

static void on_gone(struct ev_loop *loop, ev_io *w, int revents)
{
	struct lw_process_watch *watch = w->data;

	(void)revents;
	ev_io_stop(loop, w);
	watch->gone(watch->arg);
}

int lw_process_watch_start(struct ev_loop *loop, pid_t pid, void (*gone)(void *arg), void *arg,
			   struct lw_process_watch **ret)
{
	struct lw_process_watch *watch = calloc(1, sizeof(*watch));

	if (!watch)
		return -ENOMEM;
	watch->fd = (int)syscall(SYS_pidfd_open, pid, 0);
	if (watch->fd < 0) {
		int r = -errno;

		free(watch);
		return r;
	}
	watch->loop = loop;
	watch->gone = gone;
	watch->arg = arg;
	ev_io_init(&watch->io, on_gone, watch->fd, EV_READ);
	watch->io.data = watch;
	ev_io_start(loop, &watch->io);
	*ret = watch;
	return 0;
}

void lw_process_watch_stop(struct lw_process_watch **watch)
{
	if (!*watch)
		return;
	ev_io_stop((*watch)->loop, &(*watch)->io);
	(void)close((*watch)->fd);
	free(*watch);
	*watch = NULL;
}
