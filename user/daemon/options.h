/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Options of a command that stand in a file, as if they came first on the command line: one a line, its long name
 * without dashes and then its value; blank lines and lines that begin with # are left out.
 */
#include <getopt.h>
#include <stddef.h>

#define LW_OPTIONS_MAX_BYTES 65536

struct lw_options {
	char **argv; /* NULL-terminated; only the pointers and what came from the file are its own */
	int argc;
	char **own; /* NULL-terminated */
	size_t files;
};

/*
 * argv with the options of every `--options FILE` in it put behind argv[0], so that those of the command line itself have
 * the last word. known: the command's long options. 0, or -errno with one line in ret_error: file, line, what is wrong.
 */
int lw_options_expand(int argc, char **argv, const struct option *known, struct lw_options *ret,
		      char *ret_error, size_t size);
/* Sets everything to 0. */
void lw_options_clear(struct lw_options *options);
