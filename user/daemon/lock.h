/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Locks on files. */

/*
 * Takes the lock that one agent at a time may hold: on the file at path, made if missing, or on a
 * directory. 0, -EBUSY when another process holds it, or -errno. The lock goes with the descriptor;
 * the file stays.
 */
int lw_lock_take(const char *path, int *ret_fd);
/* Makes the directory that path is in. 0 or -errno. */
int lw_lock_mkdir(const char *path);
