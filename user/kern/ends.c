/* SPDX-License-Identifier: Apache-2.0 */
#include "kern/ends.h"

#include <ctype.h>
#include <errno.h>
#include <ev.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <unistd.h>

#include "base/aside.h"
#include "base/cleanup.h"
#include "core/bytemap.h"
#include "kern/downstream.h"

/* Descriptors looked at in one turn of the loop: four system calls each. */
#define LOOK_MAX 256
/*
 * A descriptor that is taken for the look may be the socket's last, where the application closes its own meanwhile: then it is our
 * close() that SO_LINGER keeps waiting, for as long as the application has said. A signal ends that wait, and the turn with it.
 */
#define LINGER_US 10000

/* One that waits. */
struct end {
	struct end *next;
	uint64_t cookie, id;
	bool whole; /* this pass began after it was asked for: at its end the socket is known not to be there */
};

struct process {
	pid_t pid;
	uint64_t netns; /* of the socket asked for first */
	int pidfd;
	DIR *fds;
	struct lw_bytemap wanted; /* struct end, by cookie */
};

struct lw_ends {
	struct ev_loop *loop;
	lw_end_cb cb;
	void *arg;
	struct lw_bytemap processes; /* by pid */
	struct process *at; /* whose turn it is */
	struct end *done; /* what is to be told, with its result in `cookie` */
	ev_timer turn;
};

static void process_free(struct process *p)
{
	if (p->fds)
		(void)closedir(p->fds);
	(void)lw_close(p->pidfd);
	lw_bytemap_clear(&p->wanted);
	free(p);
}

/* Its place in the list is not needed any more: the result takes the cookie's. */
static void tell(struct lw_ends *ends, struct end *e, int r)
{
	e->cookie = (uint64_t)(int64_t)r;
	e->next = ends->done;
	ends->done = e;
}

/* ---- one process ---- */

static int process_open(struct process *p)
{
	char path[64];

	p->pidfd = (int)syscall(SYS_pidfd_open, p->pid, 0);
	if (p->pidfd < 0)
		return errno == ESRCH ? -ENOENT : -errno;
	(void)snprintf(path, sizeof(path), "/proc/%d/fd", (int)p->pid);
	p->fds = opendir(path);
	return p->fds ? 0 : -errno;
}

struct shut {
	struct lw_aside aside;
	int fd;
};

static int shut(struct lw_aside *aside)
{
	return shutdown(((struct shut *)aside)->fd, SHUT_RD) ? -errno : 0;
}

static void shut_drop(struct lw_aside *aside)
{
	(void)lw_close(((struct shut *)aside)->fd);
	free(aside);
}

/* Takes fd over. 0: done, or once its application has let go of its lock. */
static int shut_down(const struct process *p, int fd)
{
	struct shut *s = calloc(1, sizeof(*s));
	int r;

	if (!s) {
		(void)lw_close(fd);
		return -ENOMEM;
	}
	s->aside = (struct lw_aside){ .owner = p->netns,
				      .patience_ms = LW_LOCK_PATIENCE_MS,
				      .call = shut,
				      .drop = shut_drop };
	s->fd = fd;
	r = lw_aside_do(&s->aside);
	if (r == -EINPROGRESS)
		return 0;
	shut_drop(&s->aside);
	return r;
}

/* 0, or -EPERM: its descriptors are not to be had (kernel.yama.ptrace_scope=3). */
static int look_at(struct lw_ends *ends, struct process *p, const char *name)
{
	char link[64];
	ssize_t n = readlinkat(dirfd(p->fds), name, link, sizeof(link) - 1);
	_cleanup_close_ int fd = -1;
	uint64_t cookie = 0;
	socklen_t len = sizeof(cookie);
	struct lw_bytes key;
	struct end *e;

	if (n < 7 || strncmp(link, "socket:", 7))
		return 0;
	fd = (int)syscall(SYS_pidfd_getfd, p->pidfd, atoi(name), 0);
	if (fd < 0)
		return errno == EPERM ? -errno : 0;
	if (getsockopt(fd, SOL_SOCKET, SO_COOKIE, &cookie, &len))
		return 0;
	key = LW_BYTES_OF(cookie);
	e = lw_bytemap_remove(&p->wanted, &key, 1);
	if (e)
		tell(ends, e, shut_down(p, TAKE_FD(fd)));
	return 0;
}

struct pass {
	struct lw_ends *ends;
	int r; /* told to all; 0: to those that a whole pass has not found */
};

static bool pass_end(void *value, void *arg)
{
	struct pass *pass = arg;
	struct end *e = value;

	if (pass->r || e->whole) {
		tell(pass->ends, e, pass->r ? pass->r : -ENOENT);
		return false;
	}
	e->whole = true; /* the next pass is */
	return true;
}

static volatile sig_atomic_t has_lingered;

static void on_alarm(int signo)
{
	(void)signo;
	has_lingered = 1;
}

static void set_alarm(suseconds_t us)
{
	const struct itimerval timer = { { .tv_usec = us }, { .tv_usec = us } };

	(void)setitimer(ITIMER_REAL, &timer, NULL);
}

/* False: nothing waits for it any more. */
static bool process_look(struct lw_ends *ends, struct process *p)
{
	struct pass pass = { .ends = ends };
	bool whole = false;

	if (!p->fds)
		pass.r = process_open(p);
	has_lingered = 0;
	set_alarm(LINGER_US);
	/* the alarm may have come already, where processors are scarce: one is looked at in any case */
	for (int i = 0; !pass.r && p->wanted.count && i < LOOK_MAX && !(i && has_lingered); i++) {
		const struct dirent *entry = readdir(p->fds);

		if (!entry) {
			whole = true;
			break;
		}
		if (isdigit((unsigned char)entry->d_name[0]))
			pass.r = look_at(ends, p, entry->d_name);
	}
	set_alarm(0);
	if (pass.r || (whole && p->wanted.count)) {
		lw_bytemap_filter(&p->wanted, pass_end, &pass);
		if (p->fds)
			rewinddir(p->fds);
	}
	return p->wanted.count;
}

/* ---- the loop ---- */

static bool any(void *value, void *arg)
{
	struct lw_ends *ends = arg;

	if (!ends->at)
		ends->at = value;
	return true;
}

static void on_turn(struct ev_loop *loop, ev_timer *w, int events)
{
	struct lw_ends *ends = w->data;
	struct end *done;

	(void)events;
	if (!ends->at)
		lw_bytemap_filter(&ends->processes, any, ends);
	if (ends->at && !process_look(ends, ends->at)) {
		const struct lw_bytes key = LW_BYTES_OF(ends->at->pid);

		(void)lw_bytemap_remove(&ends->processes, &key, 1);
		process_free(ends->at);
		ends->at = NULL;
	}
	done = TAKE_PTR(ends->done);
	while (done) {
		struct end *e = done;

		done = e->next;
		ends->cb(ends->arg, e->id, (int)(int64_t)e->cookie);
		free(e);
	}
	if (ends->processes.count && !ev_is_active(w)) {
		ev_timer_set(w, 0., 0.);
		ev_timer_start(loop, w);
	}
}

int lw_ends_ask(struct lw_ends *ends, pid_t pid, uint64_t netns, uint64_t cookie, uint64_t id)
{
	const struct lw_bytes by_pid = LW_BYTES_OF(pid), by_cookie = LW_BYTES_OF(cookie);
	struct process *p = lw_bytemap_get(&ends->processes, &by_pid, 1);
	struct end *e = NULL;

	if (!p) {
		p = calloc(1, sizeof(*p));
		if (!p)
			return -ENOMEM;
		p->pid = pid;
		p->netns = netns;
		p->pidfd = -1;
		if (lw_bytemap_put(&ends->processes, &by_pid, 1, p)) {
			process_free(p);
			return -ENOMEM;
		}
	}
	e = lw_bytemap_get(&p->wanted, &by_cookie, 1);
	if (e)
		return -EEXIST;
	e = calloc(1, sizeof(*e));
	if (!e || lw_bytemap_put(&p->wanted, &by_cookie, 1, e)) {
		free(e);
		return -ENOMEM;
	}
	e->cookie = cookie;
	e->id = id;
	e->whole = !p->fds;
	if (!ev_is_active(&ends->turn)) {
		ev_timer_set(&ends->turn, 0., 0.);
		ev_timer_start(ends->loop, &ends->turn);
	}
	return 0;
}

void lw_ends_forget(struct lw_ends *ends, pid_t pid, uint64_t cookie)
{
	const struct lw_bytes by_pid = LW_BYTES_OF(pid), by_cookie = LW_BYTES_OF(cookie);
	struct process *p = lw_bytemap_get(&ends->processes, &by_pid, 1);

	if (p)
		/* p goes at its next turn, if that was all */
		free(lw_bytemap_remove(&p->wanted, &by_cookie, 1));
}

bool lw_ends_any(const struct lw_ends *ends)
{
	return ends->processes.count;
}

int lw_ends_new(struct ev_loop *loop, lw_end_cb cb, void *arg, struct lw_ends **ret)
{
	const struct sigaction on_linger = { .sa_handler = on_alarm, .sa_flags = SA_RESTART };
	struct lw_ends *ends = calloc(1, sizeof(*ends));

	if (!ends)
		return -ENOMEM;
	if (sigaction(SIGALRM, &on_linger, NULL)) {
		free(ends);
		return -errno;
	}
	ends->loop = loop;
	ends->cb = cb;
	ends->arg = arg;
	ev_init(&ends->turn, on_turn);
	ends->turn.data = ends;
	*ret = ends;
	return 0;
}

static bool end_free(void *value, void *arg)
{
	(void)arg;
	free(value);
	return false;
}

static bool drop(void *value, void *arg)
{
	struct process *p = value;

	(void)arg;
	lw_bytemap_filter(&p->wanted, end_free, NULL);
	process_free(p);
	return false;
}

void lw_ends_free(struct lw_ends **ends_)
{
	struct lw_ends *ends = TAKE_PTR(*ends_);

	if (!ends)
		return;
	ev_timer_stop(ends->loop, &ends->turn);
	lw_bytemap_filter(&ends->processes, drop, NULL);
	lw_bytemap_clear(&ends->processes);
	free(ends);
}
