/* SPDX-License-Identifier: Apache-2.0 */
#include "kube/config.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <json-c/json.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "conf/yaml_tree.h"
#include "kube/member.h"

#define FILE_MAX (4u << 20)
#define TOKEN_MAX (64u << 10)

struct error {
	char *text;
	size_t size;
};

/* -r, for `return`. */
static int fail(const struct error *error, int r, const char *format, ...)
	__attribute__((format(printf, 3, 4)));
static int fail(const struct error *error, int r, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	(void)vsnprintf(error->text, error->size, format, args);
	va_end(args);
	return -r;
}

/* ---- files and text ---- */

static int read_whole(const char *path, size_t max, char **ret, size_t *ret_len,
		      struct stat *ret_st)
{
	_cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC);
	_cleanup_free_ char *data = NULL;
	size_t len = 0;
	ssize_t n;

	if (fd < 0 || fstat(fd, ret_st) < 0)
		return -errno;
	data = malloc(max + 1);
	if (!data)
		return -ENOMEM;
	while (len < max && (n = read(fd, data + len, max - len)) != 0) {
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		len += (size_t)n;
	}
	if (len == max)
		return -EFBIG;
	data[len] = '\0';
	*ret = TAKE_PTR(data);
	*ret_len = len;
	return 0;
}

static int digit_of(char c)
{
	static const char digits[] =
		"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	const char *at = c ? strchr(digits, c) : NULL;

	return at ? (int)(at - digits) : -1;
}

int lw_kube_base64(const char *s, char **ret, size_t *ret_len)
{
	_cleanup_free_ char *data = malloc(strlen(s) + 1);
	size_t len = 0, padding = 0, digits = 0;
	uint32_t bits = 0;

	if (!data)
		return -ENOMEM;
	for (; *s; s++) {
		int digit = digit_of(*s);

		if (isspace((unsigned char)*s))
			continue;
		if (*s == '=' && padding < 2) {
			padding++;
			continue;
		}
		if (digit < 0 || padding > 0)
			return -EINVAL;
		bits = bits << 6 | (uint32_t)digit;
		if (++digits % 4 == 0) {
			data[len++] = (char)(bits >> 16);
			data[len++] = (char)(bits >> 8);
			data[len++] = (char)bits;
		}
	}
	if (digits % 4 == 1 || (padding > 0 && (digits + padding) % 4 != 0))
		return -EINVAL;
	if (digits % 4 == 2) {
		data[len++] = (char)(bits >> 4);
	} else if (digits % 4 == 3) {
		data[len++] = (char)(bits >> 10);
		data[len++] = (char)(bits >> 2);
	}
	data[len] = '\0';
	*ret = TAKE_PTR(data);
	*ret_len = len;
	return 0;
}

static int set(char **at, const char *s)
{
	free(*at);
	*at = strdup(s);
	return *at ? 0 : -ENOMEM;
}

/* ---- the kubeconfig ---- */

/* What is read of one, and where it is, for messages. */
struct reading {
	const char *path;
	struct error error;
	struct json_object *root;
	int result;
};

static struct json_object *get(struct json_object *map, const char *key)
{
	struct json_object *value = NULL;

	if (json_object_is_type(map, json_type_object))
		(void)json_object_object_get_ex(map, key, &value);
	return value;
}

/* NULL: absent or "". */
static const char *text(struct json_object *map, const char *key)
{
	const char *s = lw_kube_text(map, key);

	return s[0] ? s : NULL;
}

/* The `member` of the entry of that name in the list. NULL, and an error, if there is none. */
static struct json_object *entry(struct reading *reading, const char *list, const char *name,
				 const char *member)
{
	struct json_object *array = get(reading->root, list);
	size_t n =
		json_object_is_type(array, json_type_array) ? json_object_array_length(array) : 0;

	for (size_t i = 0; i < n; i++) {
		struct json_object *item = json_object_array_get_idx(array, i);

		if (text(item, "name") && strcmp(text(item, "name"), name) == 0 &&
		    get(item, member))
			return get(item, member);
	}
	reading->result = fail(&reading->error, EINVAL, "%s: %s: there is no '%s'", reading->path,
			       list, name);
	return NULL;
}

/* A file's name as the kubeconfig means it: relative to its own folder. */
static int set_file(struct reading *reading, char **at, const char *file)
{
	const char *slash = strrchr(reading->path, '/');
	char *joined;

	if (file[0] == '/' || !slash)
		return set(at, file);
	if (asprintf(&joined, "%.*s/%s", (int)(slash - reading->path), reading->path, file) < 0)
		return -ENOMEM;
	free(*at);
	*at = joined;
	return 0;
}

/* KEY-data, else KEY. */
static int read_pem(struct reading *reading, struct json_object *map, const char *key,
		    struct lw_kube_pem *pem)
{
	char data_key[64];
	int r;

	(void)snprintf(data_key, sizeof(data_key), "%s-data", key);
	if (text(map, data_key)) {
		r = lw_kube_base64(text(map, data_key), &pem->data, &pem->len);
		return r == -EINVAL ? fail(&reading->error, EINVAL, "%s: %s: expected base64",
					   reading->path, data_key) :
				      r;
	}
	if (!text(map, key))
		return 0;
	r = set_file(reading, &pem->file, text(map, key));
	if (r == 0 && access(pem->file, R_OK) < 0)
		return fail(&reading->error, errno, "%s: %s: '%s': %s", reading->path, key,
			    pem->file, strerror(errno));
	return r;
}

static int read_cluster(struct reading *reading, struct json_object *cluster,
			struct lw_kube_config *config)
{
	struct json_object *insecure = get(cluster, "insecure-skip-tls-verify");
	const char *server = text(cluster, "server");
	size_t len;
	int r;

	if (!server || (strncmp(server, "https://", 8) != 0 && strncmp(server, "http://", 7) != 0))
		return fail(&reading->error, EINVAL,
			    "%s: cluster.server: expected https://HOST:PORT, got '%s'",
			    reading->path, server ? server : "nothing");
	if (set(&config->server, server) < 0)
		return -ENOMEM;
	for (len = strlen(config->server); config->server[len - 1] == '/'; len--)
		config->server[len - 1] = '\0';
	config->insecure = json_object_is_type(insecure, json_type_boolean) &&
			   json_object_get_boolean(insecure);
	r = read_pem(reading, cluster, "certificate-authority", &config->ca);
	if (r == 0 && text(cluster, "tls-server-name"))
		r = set(&config->tls_server_name, text(cluster, "tls-server-name"));
	if (r == 0 && text(cluster, "proxy-url"))
		r = set(&config->proxy, text(cluster, "proxy-url"));
	return r;
}

static int read_user(struct reading *reading, struct json_object *user,
		     struct lw_kube_config *config)
{
	int r;

	for (size_t i = 0; i < 2; i++) {
		const char *key = i ? "auth-provider" : "exec";

		if (get(user, key))
			return fail(
				&reading->error, EINVAL,
				"%s: user.%s: programs that get credentials are not run; use token, tokenFile or client-certificate",
				reading->path, key);
	}
	r = read_pem(reading, user, "client-certificate", &config->cert);
	if (r == 0)
		r = read_pem(reading, user, "client-key", &config->key);
	if (r < 0)
		return r;
	if ((config->cert.file || config->cert.data) != (config->key.file || config->key.data))
		return fail(&reading->error, EINVAL,
			    "%s: user: client-certificate and client-key go together",
			    reading->path);
	if (text(user, "tokenFile"))
		r = set_file(reading, &config->token_file, text(user, "tokenFile"));
	else if (text(user, "token"))
		r = set(&config->token, text(user, "token"));
	if (r == 0 && text(user, "username"))
		r = set(&config->user, text(user, "username"));
	if (r == 0 && text(user, "password"))
		r = set(&config->password, text(user, "password"));
	if (r == 0 && config->token_file && !lw_kube_config_token(config))
		return fail(&reading->error, errno, "%s: user.tokenFile: '%s': %s", reading->path,
			    config->token_file, strerror(errno));
	return r;
}

static int read_config(struct reading *reading, const char *wanted, struct lw_kube_config *config)
{
	const char *name = wanted ? wanted : text(reading->root, "current-context");
	struct json_object *context, *cluster, *user;
	int r;

	if (!json_object_is_type(get(reading->root, "clusters"), json_type_array))
		return fail(&reading->error, EINVAL,
			    "%s: expected a kubeconfig, with clusters, users and contexts",
			    reading->path);
	if (!name)
		return fail(&reading->error, EINVAL,
			    "%s: current-context is not set: name one with --context",
			    reading->path);
	context = entry(reading, "contexts", name, "context");
	if (!context)
		return reading->result;
	if (!text(context, "cluster"))
		return fail(&reading->error, EINVAL, "%s: context '%s' names no cluster",
			    reading->path, name);
	cluster = entry(reading, "clusters", text(context, "cluster"), "cluster");
	if (!cluster)
		return reading->result;
	r = set(&config->context, name);
	if (r == 0)
		r = read_cluster(reading, cluster, config);
	if (r < 0 || !text(context, "user"))
		return r;
	user = entry(reading, "users", text(context, "user"), "user");
	return user ? read_user(reading, user, config) : reading->result;
}

static int on_document(const struct lw_tree_document *document, void *arg)
{
	struct reading *reading = arg;

	if (document->error) {
		reading->result = fail(&reading->error, EINVAL, "%s:%u: %s", reading->path,
				       document->line, document->error);
		return 1;
	}
	if (!reading->root)
		reading->root = json_object_get(document->root);
	return 0;
}

int lw_kube_config_file(const char *path, const char *context, struct lw_kube_config **ret,
			char *ret_error, size_t size)
{
	_cleanup_(lw_kube_config_free) struct lw_kube_config *config = calloc(1, sizeof(*config));
	struct reading reading = { .path = path, .error = { ret_error, size } };
	_cleanup_free_ char *data = NULL;
	struct stat st;
	size_t len;
	int r;

	(void)fail(&reading.error, 0, "%s: out of memory", path);
	if (!config)
		return -ENOMEM;
	r = read_whole(path, FILE_MAX, &data, &len, &st);
	if (r < 0)
		return fail(&reading.error, -r, "read '%s': %s", path, strerror(-r));
	r = lw_yaml_each(data, len, on_document, &reading);
	if (r == 0)
		r = read_config(&reading, context, config);
	else if (r > 0)
		r = reading.result;
	(void)json_object_put(reading.root);
	if (r == 0)
		*ret = TAKE_PTR(config);
	return r;
}

/* ---- in a pod ---- */

int lw_kube_config_pod(const char *dir, struct lw_kube_config **ret, char *ret_error, size_t size)
{
	_cleanup_(lw_kube_config_free) struct lw_kube_config *config = calloc(1, sizeof(*config));
	const char *host = getenv("KUBERNETES_SERVICE_HOST"),
		   *port = getenv("KUBERNETES_SERVICE_PORT");
	struct error error = { ret_error, size };
	bool is_v6;

	(void)fail(&error, 0, "out of memory");
	if (!config)
		return -ENOMEM;
	if (!host || !host[0] || !port || !port[0])
		return fail(
			&error, EINVAL,
			"--kube is for an agent in a pod: KUBERNETES_SERVICE_HOST and KUBERNETES_SERVICE_PORT are not set; elsewhere use --kubeconfig FILE");
	is_v6 = strchr(host, ':');
	if (asprintf(&config->server, "https://%s%s%s:%s", is_v6 ? "[" : "", host, is_v6 ? "]" : "",
		     port) < 0) {
		config->server = NULL;
		return -ENOMEM;
	}
	if (asprintf(&config->token_file, "%s/token", dir) < 0) {
		config->token_file = NULL;
		return -ENOMEM;
	}
	if (asprintf(&config->ca.file, "%s/ca.crt", dir) < 0) {
		config->ca.file = NULL;
		return -ENOMEM;
	}
	if (set(&config->context, "in-cluster") < 0)
		return -ENOMEM;
	if (!lw_kube_config_token(config))
		return fail(&error, errno, "read '%s': %s (is automountServiceAccountToken off?)",
			    config->token_file, strerror(errno));
	if (access(config->ca.file, R_OK) < 0)
		return fail(&error, errno, "read '%s': %s", config->ca.file, strerror(errno));
	*ret = TAKE_PTR(config);
	return 0;
}

/* ---- both ---- */

const char *lw_kube_config_token(struct lw_kube_config *config)
{
	_cleanup_free_ char *data = NULL;
	struct stat st;
	size_t len;
	int r;

	if (!config->token_file)
		return config->token;
	if (stat(config->token_file, &st) < 0 || (config->file_token && st.st_ino == config->ino &&
						  st.st_mtim.tv_sec == config->mtime.tv_sec &&
						  st.st_mtim.tv_nsec == config->mtime.tv_nsec))
		return config->file_token;
	r = read_whole(config->token_file, TOKEN_MAX, &data, &len, &st);
	if (r < 0) {
		errno = -r;
		return config->file_token;
	}
	while (len > 0 && isspace((unsigned char)data[len - 1]))
		data[--len] = '\0';
	if (len == 0 || strpbrk(data, "\r\n")) {
		errno = EINVAL;
		return config->file_token; /* a file that is being written */
	}
	free(config->file_token);
	config->file_token = TAKE_PTR(data);
	config->ino = st.st_ino;
	config->mtime = st.st_mtim;
	return config->file_token;
}

static void free_pem(struct lw_kube_pem *pem)
{
	free(pem->file);
	free(pem->data);
}

void lw_kube_config_free(struct lw_kube_config **config_ptr)
{
	struct lw_kube_config *config = *config_ptr;

	if (!config)
		return;
	free(config->server);
	free(config->context);
	free_pem(&config->ca);
	free_pem(&config->cert);
	free_pem(&config->key);
	free(config->tls_server_name);
	free(config->proxy);
	free(config->token);
	free(config->token_file);
	free(config->user);
	free(config->password);
	free(config->file_token);
	free(config);
	*config_ptr = NULL;
}
