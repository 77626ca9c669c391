/* SPDX-License-Identifier: Apache-2.0 */
#include "hop.h"

#include <stdlib.h>
#include <sys/epoll.h>
#include <unistd.h>

void set_deadline(struct conn *c, uint64_t deadline)
{
	c->deadline = deadline;
	if (deadline && deadline < c->w->next_timer)
		c->w->next_timer = deadline;
}

void watch(struct worker *w, struct object *ob, uint32_t events)
{
	struct epoll_event ev = { .events = events, .data.ptr = ob };
	int op = ob->events ? EPOLL_CTL_MOD : EPOLL_CTL_ADD;

	if (ob->closed || ob->events == (events | EPOLLERR))
		return;
	if (epoll_ctl(w->ep, op, ob->fd, &ev) < 0)
		die("epoll_ctl");
	ob->events = events | EPOLLERR; /* never 0 once added */
}

/* The memory stays until this batch of events is done with: it may still point here. */
static void object_close(struct worker *w, struct object *ob)
{
	close(ob->fd);
	ob->closed = true;
	ob->next_dead = w->dead;
	w->dead = ob;
}

void up_close(struct up *u)
{
	struct up **p = &u->w->idle;

	if (u->ob.closed)
		return;
	while (*p && *p != u)
		p = &(*p)->next_idle;
	if (*p)
		*p = u->next_idle;
	object_close(u->w, &u->ob);
}

void conn_close(struct conn *c)
{
	if (c->ob.closed)
		return;
	if (c->up) {
		c->up->owner = NULL;
		up_close(c->up);
	}
	if (c->prev)
		c->prev->next = c->next;
	else
		c->w->conns = c->next;
	if (c->next)
		c->next->prev = c->prev;
	object_close(c->w, &c->ob);
}

void reap(struct worker *w)
{
	while (w->dead) {
		struct object *ob = w->dead;

		w->dead = ob->next_dead;
		if (ob->kind == KIND_CONN) {
			struct conn *c = (struct conn *)ob;

			buf_free(&c->in);
			buf_free(&c->out);
			buf_free(&c->head);
			buf_free(&c->forward);
			buf_free(&c->target);
		} else {
			struct up *u = (struct up *)ob;

			buf_free(&u->in);
			buf_free(&u->req);
		}
		free(ob);
	}
}
