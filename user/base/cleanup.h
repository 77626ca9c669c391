/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Owning locals: a variable with a cleanup attribute starts at NULL or -1 and lets go of what it holds
 * when it leaves its scope. TAKE_PTR and TAKE_FD hand the thing over and leave NULL or -1 behind.
 */
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define _cleanup_(f) __attribute__((cleanup(f)))
#define _cleanup_free_ _cleanup_(lw_cleanup_free)
#define _cleanup_close_ _cleanup_(lw_cleanup_close)
#define _cleanup_fclose_ _cleanup_(lw_cleanup_fclose)
#define _cleanup_closedir_ _cleanup_(lw_cleanup_closedir)

#define TAKE_PTR(p)                   \
	({                            \
		__auto_type _p = (p); \
		(p) = NULL;           \
		_p;                   \
	})
#define TAKE_FD(fd)             \
	({                      \
		int _fd = (fd); \
		(fd) = -1;      \
		_fd;            \
	})

/* Closes fd if it is one, keeps errno. Always -1, so that `fd = lw_close(fd)` reads well. */
static inline int lw_close(int fd)
{
	if (fd >= 0) {
		int saved = errno;

		(void)close(fd);
		errno = saved;
	}
	return -1;
}

static inline void lw_cleanup_free(void *p)
{
	free(*(void **)p);
}

static inline void lw_cleanup_close(int *fd)
{
	(void)lw_close(*fd);
}

static inline void lw_cleanup_fclose(FILE **f)
{
	if (*f)
		(void)fclose(*f);
}

static inline void lw_cleanup_closedir(DIR **d)
{
	if (*d)
		(void)closedir(*d);
}
