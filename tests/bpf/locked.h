/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Sockets that somebody keeps locked: another thread sends bytes that are not there (userfaultfd), and the kernel waits for them. */
#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cmocka.h>

struct held {
	int fd, uffd;
	void *memory;
	pthread_t thread;
};

static inline void *send_nothing(void *arg)
{
	struct held *h = arg;

	(void)send(h->fd, h->memory, 16, MSG_NOSIGNAL);
	return NULL;
}

static inline void hold(struct held *h, int fd)
{
	struct uffdio_api api = { .api = UFFD_API };
	struct uffdio_register range = { .mode = UFFDIO_REGISTER_MODE_MISSING };
	struct uffd_msg fault;
	long page = sysconf(_SC_PAGESIZE);

	h->fd = fd;
	h->uffd = (int)syscall(SYS_userfaultfd, O_CLOEXEC);
	assert_true(h->uffd >= 0);
	assert_int_equal(ioctl(h->uffd, UFFDIO_API, &api), 0);
	h->memory = mmap(NULL, (size_t)page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
			 -1, 0);
	range.range.start = (uintptr_t)h->memory;
	range.range.len = (uint64_t)page;
	assert_int_equal(ioctl(h->uffd, UFFDIO_REGISTER, &range), 0);
	assert_int_equal(pthread_create(&h->thread, NULL, send_nothing, h), 0);
	assert_int_equal(read(h->uffd, &fault, sizeof(fault)), sizeof(fault));
}

/* The send fails (EFAULT): no byte of it goes anywhere. What came for the socket meanwhile is that thread's to look at, which is waited for in joined(). */
static inline void let_go(struct held *h)
{
	munmap(h->memory, (size_t)sysconf(_SC_PAGESIZE));
	close(h->uffd);
}

static inline void joined(struct held *h)
{
	assert_int_equal(pthread_join(h->thread, NULL), 0);
}
