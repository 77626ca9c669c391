/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Where the API server is and who the agent is to it: from a kubeconfig, or from what a pod is given.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define LW_KUBE_POD_DIR "/var/run/secrets/kubernetes.io/serviceaccount"

/* A file's name, or its contents. */
struct lw_kube_pem {
	char *file; /* absolute */
	char *data;
	size_t len;
};

struct lw_kube_config {
	char *server; /* "https://10.0.0.1:443", no slash at the end */
	char *context; /* "in-cluster" in a pod */
	struct lw_kube_pem ca, cert, key; /* ca: neither file nor data: the system's */
	bool insecure;
	char *tls_server_name, *proxy; /* NULL: none told */
	char *token, *token_file, *user, *password;
	/* Of token_file as it was read last. */
	char *file_token;
	struct timespec mtime;
	ino_t ino;
};

/*
 * Of the pod the agent runs in: KUBERNETES_SERVICE_HOST and _PORT, and the files in dir. 0 or -errno, and one line in
 * ret_error.
 */
int lw_kube_config_pod(const char *dir, struct lw_kube_config **ret, char *ret_error, size_t size);
/* A kubeconfig; context NULL: its current one. As above. */
int lw_kube_config_file(const char *path, const char *context, struct lw_kube_config **ret,
			char *ret_error, size_t size);
/* Takes NULL; sets *config to NULL. */
void lw_kube_config_free(struct lw_kube_config **config);

/*
 * The token to send now: a file that has changed is read anew (a kubelet puts a new one there every hour). NULL: none,
 * or the file cannot be read and never could be.
 */
const char *lw_kube_config_token(struct lw_kube_config *config);

/* Decodes standard base64, white space allowed. *ret is terminated, and to be freed. 0, -EINVAL or -ENOMEM. */
int lw_kube_base64(const char *s, char **ret, size_t *ret_len);
