/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Kubeconfigs, what a pod is given, tokens that change, and selectors as text.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <json-c/json.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "kube/config.h"
#include "kube/selector.h"

static char dir[64];

static const char *path(const char *name)
{
	static char buf[4][128];
	static unsigned int n;
	char *at = buf[n++ % 4];

	(void)snprintf(at, sizeof(buf[0]), "%s/%s", dir, name);
	return at;
}

static void put(const char *name, const char *text)
{
	FILE *f = fopen(path("new"), "w");

	assert_non_null(f);
	(void)fputs(text, f);
	assert_int_equal(fclose(f), 0);
	assert_int_equal(rename(path("new"), path(name)), 0);
}

static int setup(void **state)
{
	(void)state;
	(void)strcpy(dir, "/tmp/lw-kube-config.XXXXXX");
	return mkdtemp(dir) ? 0 : -1;
}

static int teardown(void **state)
{
	char command[128];

	(void)state;
	(void)snprintf(command, sizeof(command), "rm -rf %s", dir);
	return system(command);
}

#define CONFIG                                                                                                                               \
	"apiVersion: v1\nkind: Config\ncurrent-context: one\n"                                                                               \
	"clusters:\n- {name: c, cluster: {server: 'https://10.0.0.1:6443/', certificate-authority-data: 'Q0Eg\n  RklMRQ=='}}\n"              \
	"- {name: d, cluster: {server: 'http://[::1]:8080', insecure-skip-tls-verify: true, tls-server-name: k, proxy-url: 'http://p:1'}}\n" \
	"- {name: bad, cluster: {server: 10.0.0.1}}\n"                                                                                       \
	"- {name: b64, cluster: {server: 'https://a', certificate-authority-data: '***'}}\n"                                                 \
	"contexts:\n- {name: one, context: {cluster: c, user: t}}\n- {name: two, context: {cluster: d, user: f}}\n"                          \
	"- {name: certs, context: {cluster: c, user: certs}}\n- {name: nobody, context: {cluster: c, user: x}}\n"                            \
	"- {name: nowhere, context: {cluster: x}}\n- {name: exec, context: {cluster: c, user: e}}\n"                                         \
	"- {name: half, context: {cluster: c, user: half}}\n- {name: bad, context: {cluster: bad}}\n"                                        \
	"- {name: b64, context: {cluster: b64}}\n- {name: missing, context: {cluster: c, user: missing}}\n"                                  \
	"- {name: anonymous, context: {cluster: c}}\n"                                                                                       \
	"users:\n- {name: t, user: {token: abc}}\n- {name: f, user: {tokenFile: tok}}\n"                                                     \
	"- {name: certs, user: {client-certificate: crt, client-key-data: S0VZ, username: u, password: p}}\n"                                \
	"- {name: e, user: {exec: {command: aws}}}\n- {name: half, user: {client-key-data: S0VZ}}\n"                                         \
	"- {name: missing, user: {tokenFile: no/such}}\n"

static void test_kubeconfig(void **state)
{
	_cleanup_(lw_kube_config_free) struct lw_kube_config *one = NULL, *two = NULL,
							     *certs = NULL, *anonymous = NULL;
	char error[256];

	(void)state;
	put("config", CONFIG);
	put("tok", "first\n");
	put("crt", "CERT");
	assert_int_equal(lw_kube_config_file(path("config"), NULL, &one, error, sizeof(error)), 0);
	assert_string_equal(one->server, "https://10.0.0.1:6443");
	assert_string_equal(one->context, "one");
	assert_string_equal(one->ca.data, "CA FILE");
	assert_int_equal(one->ca.len, 7);
	assert_string_equal(lw_kube_config_token(one), "abc");
	assert_false(one->insecure);

	assert_int_equal(lw_kube_config_file(path("config"), "two", &two, error, sizeof(error)), 0);
	assert_string_equal(two->server, "http://[::1]:8080");
	assert_true(two->insecure);
	assert_string_equal(two->tls_server_name, "k");
	assert_string_equal(two->proxy, "http://p:1");
	assert_string_equal(two->token_file, path("tok"));
	assert_string_equal(lw_kube_config_token(two), "first");

	assert_int_equal(lw_kube_config_file(path("config"), "certs", &certs, error, sizeof(error)),
			 0);
	assert_string_equal(certs->cert.file, path("crt"));
	assert_string_equal(certs->key.data, "KEY");
	assert_string_equal(certs->user, "u");
	assert_null(lw_kube_config_token(certs));

	assert_int_equal(
		lw_kube_config_file(path("config"), "anonymous", &anonymous, error, sizeof(error)),
		0);
	assert_null(lw_kube_config_token(anonymous));
}

static void test_bad_kubeconfigs(void **state)
{
	static const struct {
		const char *context, *says;
	} bad[] = {
		{ "three", "contexts: there is no 'three'" },
		{ "nobody", "users: there is no 'x'" },
		{ "nowhere", "clusters: there is no 'x'" },
		{ "exec",
		  "user.exec: programs that get credentials are not run; use token, tokenFile or client-certificate" },
		{ "half", "user: client-certificate and client-key go together" },
		{ "bad", "cluster.server: expected https://HOST:PORT, got '10.0.0.1'" },
		{ "b64", "certificate-authority-data: expected base64" },
		{ "missing", "No such file or directory" },
	};
	struct lw_kube_config *config = NULL;
	char error[256];

	(void)state;
	put("config", CONFIG);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		assert_true(lw_kube_config_file(path("config"), bad[i].context, &config, error,
						sizeof(error)) < 0);
		assert_non_null(strstr(error, bad[i].says));
		assert_non_null(strstr(error, "config"));
		assert_null(config);
	}
	put("config", "a: [");
	assert_int_equal(lw_kube_config_file(path("config"), NULL, &config, error, sizeof(error)),
			 -EINVAL);
	put("config", "");
	assert_int_equal(lw_kube_config_file(path("config"), NULL, &config, error, sizeof(error)),
			 -EINVAL);
	assert_non_null(strstr(error, "expected a kubeconfig"));
	put("config", "clusters: []\n");
	assert_int_equal(lw_kube_config_file(path("config"), NULL, &config, error, sizeof(error)),
			 -EINVAL);
	assert_non_null(strstr(error, "current-context is not set"));
	assert_int_equal(lw_kube_config_file(path("none"), NULL, &config, error, sizeof(error)),
			 -ENOENT);
}

/* A kubelet replaces the file; while it is empty or gone, the last token goes on. */
static void test_token(void **state)
{
	_cleanup_(lw_kube_config_free) struct lw_kube_config *config = NULL;
	char error[256];
	FILE *f;

	(void)state;
	put("config", CONFIG);
	put("tok", "first\n");
	assert_int_equal(lw_kube_config_file(path("config"), "two", &config, error, sizeof(error)),
			 0);
	put("tok", "second");
	assert_string_equal(lw_kube_config_token(config), "second");
	/* In the same file, and as long. */
	f = fopen(path("tok"), "w");
	assert_non_null(f);
	(void)fputs("SECOND", f);
	assert_int_equal(futimens(fileno(f), NULL), 0);
	assert_int_equal(fclose(f), 0);
	assert_string_equal(lw_kube_config_token(config), "SECOND");
	put("tok", "second");
	assert_string_equal(lw_kube_config_token(config), "second");
	put("tok", "");
	assert_string_equal(lw_kube_config_token(config), "second");
	put("tok", "a\nb\n");
	assert_string_equal(lw_kube_config_token(config), "second");
	assert_int_equal(unlink(path("tok")), 0);
	assert_string_equal(lw_kube_config_token(config), "second");
	put("tok", "third\n");
	assert_string_equal(lw_kube_config_token(config), "third");
}

static void test_pod(void **state)
{
	_cleanup_(lw_kube_config_free) struct lw_kube_config *config = NULL;
	struct lw_kube_config *none = NULL;
	char error[256];

	(void)state;
	assert_int_equal(unsetenv("KUBERNETES_SERVICE_HOST"), 0);
	assert_int_equal(lw_kube_config_pod(dir, &none, error, sizeof(error)), -EINVAL);
	assert_non_null(strstr(error, "--kube is for an agent in a pod"));
	assert_int_equal(setenv("KUBERNETES_SERVICE_HOST", "fd00::1", 1), 0);
	assert_int_equal(setenv("KUBERNETES_SERVICE_PORT", "443", 1), 0);
	assert_int_equal(lw_kube_config_pod(dir, &none, error, sizeof(error)), -ENOENT);
	assert_non_null(strstr(error, "/token"));
	put("token", "t");
	assert_int_equal(lw_kube_config_pod(dir, &none, error, sizeof(error)), -ENOENT);
	put("ca.crt", "x");
	assert_int_equal(lw_kube_config_pod(dir, &config, error, sizeof(error)), 0);
	assert_string_equal(config->server, "https://[fd00::1]:443");
	assert_string_equal(lw_kube_config_token(config), "t");
}

static void test_base64(void **state)
{
	static const struct {
		const char *text, *data;
	} good[] = { { "", "" },
		     { "YQ==", "a" },
		     { "YWI=", "ab" },
		     { "YWJj", "abc" },
		     { "YW\nJj YWI", "abcab" } };
	static const char *const bad[] = { "Y", "Y===", "YQ=", "YQ==YQ==", "Y*==", "YWJ=j" };

	(void)state;
	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		_cleanup_free_ char *data = NULL;
		size_t len;

		assert_int_equal(lw_kube_base64(good[i].text, &data, &len), 0);
		assert_string_equal(data, good[i].data);
		assert_int_equal(len, strlen(good[i].data));
	}
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		char *data;
		size_t len;

		assert_int_equal(lw_kube_base64(bad[i], &data, &len), -EINVAL);
	}
}

static void expect_selector(const char *json, const char *expected)
{
	struct json_object *tree = json_tokener_parse(json);
	_cleanup_free_ char *text = NULL;

	text = lw_selector_of_json(tree);
	if (expected)
		assert_string_equal(text, expected);
	else
		assert_null(text);
	(void)json_object_put(tree);
}

static void test_selectors(void **state)
{
	static const struct lw_k8s_pair items[] = { { "tier", "web" },
						    { "pod-template-hash", "x" },
						    { "app", "a" } };
	_cleanup_free_ char *text = lw_selector_of_service(&(struct lw_k8s_pairs){ items, 3 });

	(void)state;
	assert_string_equal(text, "app=a,tier=web");
	assert_null(lw_selector_of_service(&(struct lw_k8s_pairs){ items + 1, 1 }));
	expect_selector("{\"matchLabels\":{\"b\":\"2\",\"a\":\"1\"}}", "a=1,b=2");
	expect_selector(
		"{\"matchExpressions\":[{\"key\":\"k\",\"operator\":\"In\",\"values\":[\"a\",\"b\"]},"
		"{\"key\":\"n\",\"operator\":\"NotIn\",\"values\":[\"c\"]},{\"key\":\"e\",\"operator\":\"Exists\"},"
		"{\"key\":\"d\",\"operator\":\"DoesNotExist\"}],\"matchLabels\":{\"z\":\"\"}}",
		"!d,e,k in (a,b),n notin (c),z=");
	expect_selector("{}", NULL);
	expect_selector("null", NULL);
	expect_selector("{\"matchExpressions\":[{}]}", NULL);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(test_##name, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(kubeconfig), TEST(bad_kubeconfigs), TEST(token),
		TEST(pod),	  TEST(base64),		 TEST(selectors),
	};

	return !!cmocka_run_group_tests(tests, NULL, NULL);
}
