/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/options.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"

#define NAME "options"

static int read_file(const char *path, char **ret, char *ret_error, size_t size)
{
	_cleanup_fclose_ FILE *f = fopen(path, "re");
	_cleanup_free_ char *text = malloc(LW_OPTIONS_MAX_BYTES + 1);
	size_t n;

	if (!text) {
		(void)snprintf(ret_error, size, "read '%s': %s", path, strerror(ENOMEM));
		return -ENOMEM;
	}
	n = f ? fread(text, 1, LW_OPTIONS_MAX_BYTES + 1, f) : 0;
	if (!f || ferror(f)) {
		int r = errno ? -errno : -EIO;

		(void)snprintf(ret_error, size, "read '%s': %s", path, strerror(-r));
		return r;
	}
	if (n > LW_OPTIONS_MAX_BYTES || memchr(text, '\0', n)) {
		(void)snprintf(ret_error, size, "'%s' is no file of options: %s", path,
			       n > LW_OPTIONS_MAX_BYTES ? "it is too large" :
							  "it has bytes that are 0");
		return -EINVAL;
	}
	text[n] = '\0';
	*ret = TAKE_PTR(text);
	return 0;
}

static const struct option *find(const struct option *known, const char *name)
{
	for (; known->name; known++)
		if (strcmp(known->name, name) == 0)
			return known;
	return NULL;
}

static char *trim(char *s)
{
	char *end;

	while (isspace((unsigned char)*s))
		s++;
	end = s + strlen(s);
	while (end > s && isspace((unsigned char)end[-1]))
		*--end = '\0';
	return s;
}

/* "--NAME" or "--NAME=VALUE" of a line, NULL in *ret where it has none. What is wrong in ret_error. */
static int parse_line(char *line, const struct option *known, char **ret, char *ret_error,
		      size_t size)
{
	const struct option *option;
	char *name = trim(line), *value;
	int n;

	*ret = NULL;
	if (!*name || *name == '#')
		return 0;
	value = name + strcspn(name, " \t=");
	if (*value)
		*value++ = '\0';
	value = trim(value);
	option = find(known, name);
	if (!option || strcmp(name, NAME) == 0 || strcmp(name, "help") == 0) {
		(void)snprintf(ret_error, size, "'%.64s' is no option that may stand here", name);
		return -EINVAL;
	}
	if (option->has_arg == no_argument && *value) {
		(void)snprintf(ret_error, size, "'%s' takes no value, not '%.64s'", name, value);
		return -EINVAL;
	}
	if (option->has_arg == required_argument && !*value) {
		(void)snprintf(ret_error, size, "'%s' takes a value: %s VALUE", name, name);
		return -EINVAL;
	}
	n = *value ? asprintf(ret, "--%s=%s", name, value) : asprintf(ret, "--%s", name);
	if (n < 0) {
		*ret = NULL;
		(void)snprintf(ret_error, size, "%s", strerror(ENOMEM));
		return -ENOMEM;
	}
	return 0;
}

/* Takes s. */
static int push(struct lw_options *options, size_t *n, char *s)
{
	char **grown = realloc(options->own, (*n + 2) * sizeof(*grown));

	if (!grown) {
		free(s);
		return -ENOMEM;
	}
	options->own = grown;
	grown[(*n)++] = s;
	grown[*n] = NULL;
	return 0;
}

static int add_file(struct lw_options *options, size_t *n, const char *path,
		    const struct option *known, char *ret_error, size_t size)
{
	_cleanup_free_ char *text = NULL;
	char what[160], *rest, *line;
	int r;

	r = read_file(path, &text, ret_error, size);
	if (r < 0)
		return r;
	rest = text;
	for (int number = 1; (line = strsep(&rest, "\n")); number++) {
		char *option;

		r = parse_line(line, known, &option, what, sizeof(what));
		if (r < 0) {
			(void)snprintf(ret_error, size, "%s:%d: %s", path, number, what);
			return r;
		}
		if (option && push(options, n, option) < 0) {
			(void)snprintf(ret_error, size, "read '%s': %s", path, strerror(ENOMEM));
			return -ENOMEM;
		}
	}
	return 0;
}

/* The FILE of argv[i], or NULL. */
static const char *file_of(int argc, char **argv, int i)
{
	if (strcmp(argv[i], "--" NAME) == 0)
		return i + 1 < argc ? argv[i + 1] : NULL;
	return strncmp(argv[i], "--" NAME "=", sizeof("--" NAME)) == 0 ?
		       argv[i] + sizeof("--" NAME) :
		       NULL;
}

int lw_options_expand(int argc, char **argv, const struct option *known, struct lw_options *ret,
		      char *ret_error, size_t size)
{
	_cleanup_(lw_options_clear) struct lw_options options = {};
	size_t n = 0;
	int r;

	for (int i = 1; i < argc && strcmp(argv[i], "--") != 0; i++) {
		const char *path = file_of(argc, argv, i);

		if (!path)
			continue;
		r = add_file(&options, &n, path, known, ret_error, size);
		if (r < 0)
			return r;
		options.files++;
	}
	options.argv = calloc((size_t)argc + n + 1, sizeof(*options.argv));
	if (!options.argv) {
		(void)snprintf(ret_error, size, "%s", strerror(ENOMEM));
		return -ENOMEM;
	}
	options.argc = argc + (int)n;
	options.argv[0] = argv[0];
	for (size_t i = 0; i < n; i++)
		options.argv[1 + i] = options.own[i];
	for (int i = 1; i < argc; i++)
		options.argv[n + (size_t)i] = argv[i];
	*ret = options;
	options = (struct lw_options){};
	return 0;
}

void lw_options_clear(struct lw_options *options)
{
	for (char **s = options->own; s && *s; s++)
		free(*s);
	free(options->own);
	free(options->argv);
	*options = (struct lw_options){};
}
