/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "base/str.h"
#include "daemon/agent.h"
#include "daemon/agent_exit.h"
#include "daemon/cmd.h"
#include "daemon/options.h"
#include "daemon/self_test.h"
#include "kern/leaves.h"
#include "kern/upstream.h"
#include "laneway/limits.h"

#define DEVICES_MAX 16
#define KEEP_OUT_MAX 64
#define LEAF_AFTER_MAX 1000000000u
#define COMM_MAX 15 /* bytes of /proc/PID/comm */
#define TEXT_OF(x) #x
#define TEXT(x) TEXT_OF(x)

/* "always", or "NAMESPACE/NAME". */
static bool set_leave_hooks(struct lw_agent_options *agent, const char *text)
{
	static const char dns[] = "abcdefghijklmnopqrstuvwxyz0123456789-.";
	size_t ns = strspn(text, dns), name;

	agent->leave_hooks = true;
	*agent->daemonset_ns = *agent->daemonset = '\0';
	if (!strcmp(text, "always"))
		return true;
	if (!ns || ns >= sizeof(agent->daemonset_ns) || text[ns] != '/')
		return false;
	name = strspn(text + ns + 1, dns);
	if (!name || name >= sizeof(agent->daemonset) || text[ns + 1 + name])
		return false;
	memcpy(agent->daemonset_ns, text, ns);
	agent->daemonset_ns[ns] = '\0';
	memcpy(agent->daemonset, text + ns + 1, name + 1);
	return true;
}

enum {
	OPT_STATE = LW_OPT_OWN,
	OPT_KUBE,
	OPT_KUBECONFIG,
	OPT_CONTEXT,
	OPT_KUBE_SILENCE,
	OPT_CGROUP,
	OPT_BPFFS,
	OPT_DEVICE,
	OPT_NODE,
	OPT_TAG_HEADER,
	OPT_LANE_LABEL,
	OPT_LANE_LABEL_PREFIX,
	OPT_FAIL_CLOSED,
	OPT_PREFER_LOCAL,
	OPT_NO_BYPASS,
	OPT_NO_INBOUND,
	OPT_POD_EVIDENCE,
	OPT_LEAF_AFTER,
	OPT_LOG_LEVEL,
	OPT_LOG_FORMAT,
	OPT_POOL_MAX,
	OPT_KEEP_OUT,
	OPT_WATCH_SYSCALLS,
	OPT_SELF_TEST,
	OPT_BAGGAGE,
	OPT_ENROL_AHEAD,
	OPT_UNTRUSTED,
	OPT_OPTIONS,
	OPT_EVENTS,
	OPT_TAKE_OVER,
	OPT_LEAVE_HOOKS,
};

static const struct option options[] = {
	{ "state", required_argument, NULL, OPT_STATE },
	{ "kube", no_argument, NULL, OPT_KUBE },
	{ "kubeconfig", required_argument, NULL, OPT_KUBECONFIG },
	{ "context", required_argument, NULL, OPT_CONTEXT },
	{ "kube-silence", required_argument, NULL, OPT_KUBE_SILENCE },
	{ "cgroup", required_argument, NULL, OPT_CGROUP },
	{ "bpffs", required_argument, NULL, OPT_BPFFS },
	{ "device", required_argument, NULL, OPT_DEVICE },
	{ "node", required_argument, NULL, OPT_NODE },
	{ "tag-header", required_argument, NULL, OPT_TAG_HEADER },
	{ "lane-label", required_argument, NULL, OPT_LANE_LABEL },
	{ "lane-label-prefix", required_argument, NULL, OPT_LANE_LABEL_PREFIX },
	{ "fail-closed", no_argument, NULL, OPT_FAIL_CLOSED },
	{ "prefer-local", no_argument, NULL, OPT_PREFER_LOCAL },
	{ "no-bypass", no_argument, NULL, OPT_NO_BYPASS },
	{ "no-inbound", no_argument, NULL, OPT_NO_INBOUND },
	{ "pod-evidence", no_argument, NULL, OPT_POD_EVIDENCE },
	{ "leaf-after", required_argument, NULL, OPT_LEAF_AFTER },
	{ "socket", required_argument, NULL, 's' },
	{ "log-level", required_argument, NULL, OPT_LOG_LEVEL },
	{ "log-format", required_argument, NULL, OPT_LOG_FORMAT },
	{ "pool-max", required_argument, NULL, OPT_POOL_MAX },
	{ "keep-out", required_argument, NULL, OPT_KEEP_OUT },
	{ "watch-syscalls", no_argument, NULL, OPT_WATCH_SYSCALLS },
	{ "baggage", no_argument, NULL, OPT_BAGGAGE },
	{ "enrol-ahead", no_argument, NULL, OPT_ENROL_AHEAD },
	{ "untrusted", required_argument, NULL, OPT_UNTRUSTED },
	{ "self-test", no_argument, NULL, OPT_SELF_TEST },
	{ "output", required_argument, NULL, 'o' },
	{ "options", required_argument, NULL, OPT_OPTIONS },
	{ "events", no_argument, NULL, OPT_EVENTS },
	{ "take-over", no_argument, NULL, OPT_TAKE_OVER },
	{ "leave-hooks", required_argument, NULL, OPT_LEAVE_HOOKS },
	{ "help", no_argument, NULL, 'h' },
	{},
};

/* What the command line says. The agent's lists point into it. */
struct given {
	struct lw_agent_options agent;
	const char *keep_out[KEEP_OUT_MAX + 1], *devices[DEVICES_MAX + 1];
	const char *untrusted[LW_CMD_UNTRUSTED_MAX + 1];
	size_t nkeep_out, ndevices, nuntrusted;
	size_t nfiles; /* of options */
	enum lw_log_format format;
	enum lw_log_level level;
	bool self_test;
	bool has_output; /* -o, of the self-tests alone */
	struct lw_cmd_client output;
};

/* One option, its value in optarg. Not LW_EXIT_OK: it has said why. */
static enum lw_exit take(const struct lw_cmd *cmd, struct given *g, int opt)
{
	enum lw_exit code = LW_EXIT_OK;
	uint64_t number;

	switch (opt) {
	case OPT_STATE:
		g->agent.source.state_dir = optarg;
		break;
	case OPT_KUBE:
		g->agent.source.kube = true;
		break;
	case OPT_KUBECONFIG:
		g->agent.source.kubeconfig = optarg;
		break;
	case OPT_CONTEXT:
		g->agent.source.context = optarg;
		break;
	case OPT_KUBE_SILENCE:
		if (lw_str_u64(optarg, 3600, &number) < 0 || number == 0)
			return lw_cmd_usage(
				cmd, "--kube-silence is a number of seconds, 1 to 3600, not '%s'",
				optarg);
		g->agent.source.silent_s = (unsigned int)number;
		break;
	case OPT_CGROUP:
		g->agent.cgroup = optarg;
		break;
	case OPT_BPFFS:
		g->agent.bpffs = optarg;
		break;
	case OPT_DEVICE:
		if (!optarg[0])
			return lw_cmd_usage(cmd,
					    "--device is a device's name or a pattern, not ''");
		if (g->ndevices == DEVICES_MAX)
			return lw_cmd_usage(cmd, "--device may be given %d times", DEVICES_MAX);
		g->devices[g->ndevices++] = optarg;
		g->agent.devices = g->devices;
		break;
	case OPT_NODE:
		if (!optarg[0])
			return lw_cmd_usage(cmd, "--node is a node's name, not ''");
		g->agent.node = g->agent.source.node = optarg;
		break;
	case OPT_TAG_HEADER:
		if (!lw_cmd_tag_header_ok(cmd, optarg))
			return LW_EXIT_USAGE;
		g->agent.tag_header = optarg;
		break;
	case OPT_LANE_LABEL:
		g->agent.lane_label = optarg;
		break;
	case OPT_LANE_LABEL_PREFIX:
		if (!optarg[0])
			return lw_cmd_usage(cmd,
					    "--lane-label-prefix is how a label begins, not ''");
		g->agent.lane_label_prefix = optarg;
		break;
	case OPT_FAIL_CLOSED:
		g->agent.fail_closed = true;
		break;
	case OPT_PREFER_LOCAL:
		g->agent.prefer_local = true;
		break;
	case OPT_NO_BYPASS:
		g->agent.no_bypass = true;
		break;
	case OPT_NO_INBOUND:
		g->agent.no_inbound = true;
		break;
	case OPT_POD_EVIDENCE:
		g->agent.pod_evidence = true;
		break;
	case OPT_LEAF_AFTER:
		if (lw_str_u64(optarg, LEAF_AFTER_MAX, &g->agent.leaf_after) < 0)
			return lw_cmd_usage(
				cmd, "--leaf-after is a number of requests, 0 to %u, not '%s'",
				LEAF_AFTER_MAX, optarg);
		break;
	case OPT_LOG_LEVEL:
		if (lw_log_level_parse(optarg, &g->level) < 0)
			return lw_cmd_usage(
				cmd, "--log-level is error, warn, info or debug, not '%s'", optarg);
		break;
	case OPT_LOG_FORMAT:
		if (lw_log_format_parse(optarg, &g->format) < 0)
			return lw_cmd_usage(cmd, "--log-format is text or json, not '%s'", optarg);
		break;
	case OPT_POOL_MAX:
		if (lw_str_u64(optarg, LW_POOL_SLOTS, &number) < 0 || number == 0)
			return lw_cmd_usage(cmd, "--pool-max is 1 to %d, not '%s'", LW_POOL_SLOTS,
					    optarg);
		g->agent.pool_max = (unsigned int)number;
		break;
	case OPT_KEEP_OUT:
		if (!optarg[0] || strlen(optarg) > COMM_MAX)
			return lw_cmd_usage(
				cmd,
				"--keep-out is a program's name as in /proc/PID/comm, 1 to %d bytes, not '%s'",
				COMM_MAX, optarg);
		if (g->nkeep_out == KEEP_OUT_MAX)
			return lw_cmd_usage(cmd, "--keep-out may be given %d times", KEEP_OUT_MAX);
		g->keep_out[g->nkeep_out++] = optarg;
		g->agent.keep_out = g->keep_out;
		break;
	case OPT_WATCH_SYSCALLS:
		g->agent.watch_syscalls = true;
		break;
	case OPT_BAGGAGE:
		g->agent.baggage = true;
		break;
	case OPT_ENROL_AHEAD:
		g->agent.enrol_ahead = g->agent.source.enrol_ahead = true;
		break;
	case OPT_UNTRUSTED:
		if (!lw_cmd_add_untrusted(cmd, optarg, g->untrusted, &g->nuntrusted))
			return LW_EXIT_USAGE;
		g->agent.untrusted = g->agent.source.pods = g->untrusted;
		break;
	case OPT_SELF_TEST:
		g->self_test = true;
		break;
	case OPT_OPTIONS:
		g->nfiles++;
		break;
	case OPT_EVENTS:
		g->agent.source.events = true;
		break;
	case OPT_TAKE_OVER:
		g->agent.take_over = true;
		break;
	case OPT_LEAVE_HOOKS:
		if (!set_leave_hooks(&g->agent, optarg))
			return lw_cmd_usage(
				cmd,
				"--leave-hooks is 'always', or NAMESPACE/NAME of a DaemonSet, not '%s'",
				optarg);
		break;
	case 's':
		g->agent.socket = optarg;
		break;
	case 'o':
		g->has_output = true;
		(void)lw_cmd_client_option(cmd, &g->output, opt, &code);
		return code;
	default:
		(void)fprintf(stderr, "Try: laneway help %s\n", cmd->name);
		return LW_EXIT_USAGE;
	}
	return LW_EXIT_OK;
}

/* Do they go together? */
static enum lw_exit check(const struct lw_cmd *cmd, const struct given *g)
{
	const struct lw_agent_options *agent = &g->agent;

	if (g->has_output && !g->self_test)
		return lw_cmd_usage(cmd, "-o goes with --self-test");
	if (!g->self_test &&
	    !agent->source.state_dir + !agent->source.kube + !agent->source.kubeconfig != 2)
		return lw_cmd_usage(
			cmd,
			"one of --state DIR, --kube and --kubeconfig FILE is needed, and only one");
	if (agent->source.context && !agent->source.kubeconfig)
		return lw_cmd_usage(cmd, "--context goes with --kubeconfig");
	if (agent->source.silent_s && agent->source.state_dir)
		return lw_cmd_usage(cmd, "--kube-silence goes with --kube or --kubeconfig");
	if (*agent->daemonset && agent->source.state_dir)
		return lw_cmd_usage(
			cmd, "--leave-hooks NAMESPACE/NAME goes with --kube or --kubeconfig");
	if (agent->source.events && agent->source.state_dir)
		return lw_cmd_usage(cmd, "--events goes with --kube or --kubeconfig");
	return LW_EXIT_OK;
}

static enum lw_exit run(const struct lw_cmd *cmd, int argc, char **argv)
{
	struct given g = { .agent.socket = LW_CONTROL_PATH,
			   .agent.leaf_after = LW_LEAF_AFTER,
			   .format = LW_LOG_FORMAT_TEXT,
			   .level = LW_LOG_INFO };
	/* What the agent is told points into it: static, as the agent is. */
	static struct lw_options all;
	char error[512];
	enum lw_exit code;
	int opt;

	lw_options_clear(&all); /* of a call before, in one process */
	if (lw_options_expand(argc, argv, options, &all, error, sizeof(error)) < 0)
		return lw_cmd_usage(cmd, "%s", error);
	argc = all.argc;
	argv = all.argv;
	while ((opt = getopt_long(argc, argv, "ho:s:", options, NULL)) != -1) {
		if (opt == 'h')
			return lw_cmd_help(cmd);
		code = take(cmd, &g, opt);
		if (code != LW_EXIT_OK)
			return code;
	}
	if (optind < argc)
		return lw_cmd_usage(cmd, "'%s' is one argument too many", argv[optind]);
	/* an abbreviation was not taken up */
	if (g.nfiles != all.files)
		return lw_cmd_usage(cmd, "write --options FILE in full");
	code = check(cmd, &g);
	if (code != LW_EXIT_OK)
		return code;
	lw_log_set_level(g.level);
	lw_log_set_format(g.format);
	lw_log_drop(true);
	if (g.self_test)
		return lw_self_test_run(g.output.json);
	return lw_agent_exit(lw_agent_run(&g.agent));
}

const struct lw_cmd lw_cmd_agent = {
	.name = "agent",
	.usage = "--state DIR | --kube | --kubeconfig FILE [OPTION...] | --self-test [-o json]",
	.summary = "steer the requests of this node, in the foreground (root)",
	.help = "Reads Kubernetes objects from the YAML and JSON files in DIR, as `kubectl get -o yaml`\n"
		"prints them, or from an API server, and follows every change. While the API server is\n"
		"away the last state stays in force; before its objects have all come once nothing is\n"
		"steered. Runs until SIGTERM or SIGINT, and then leaves nothing attached (but see\n"
		"--leave-hooks). SIGHUP puts the state in force anew. If the agent is killed, requests\n"
		"of the base lane go on untouched; a new agent goes on with what it finds, or takes it\n"
		"away.\n"
		"Exit code 1: another agent is at work here. 4: the system or the kernel cannot do it. 5: it\n"
		"failed for another reason, and another try may do better.\n"
		"\n"
		"      --state DIR           Rollout, TrafficRouting, Pod, Service, Deployment, ReplicaSet\n"
		"      --kube                the API server of the pod the agent runs in, by its service account\n"
		"      --kubeconfig FILE     the API server of a kubeconfig; credentials that a program gets\n"
		"                            (exec) are not supported\n"
		"      --context NAME        its context (current-context)\n"
		"      --kube-silence S      seconds after which a silent watch is opened anew (150)\n"
		"      --events              write Kubernetes Events on the Rollouts: a lane opens, closes, has no\n"
		"                            ready canary pod, a rule is refused\n"
		"      --options FILE        options from a file, one a line, without the dashes; the command\n"
		"                            line has the last word\n"
		"      --node NAME           this node, as pods name it in spec.nodeName (the host's name)\n"
		"      --device PATTERN      host side of the pods' network devices, such as 'veth*'; may\n"
		"                            be given 16 times. On a pod without it a close by the client's\n"
		"                            own peer is not kept back while a steered response is due, and\n"
		"                            requests that arrive are not read, as with --no-inbound\n"
		"      --prefer-local        choose pods on this node where there are any\n"
		"      --no-bypass           steered bytes take TCP also between pods of this node\n"
		"      --no-inbound          do not read requests that arrive at pods: what a pod sends for a\n"
		"                            request of a lane follows it only if the application says so\n"
		"      --pod-evidence        what a process sends that reads no requests itself is in the lane\n"
		"                            of all that its pod is at work on, if that is one lane\n"
		"      --leaf-after N        a pod that has answered N requests and called no workload in release\n"
		"                            is left alone until it does: what arrives there is not read, and\n"
		"                            that first call is base (10000); 0: none is\n"
		"      --fail-closed         refuse a request that cannot reach its lane, instead of\n"
		"                            letting it follow its own connection\n"
		"      --keep-out NAME       clients of this name (/proc/PID/comm) are left alone; may be\n"
		"                            given 64 times\n"
		"      --watch-syscalls      where the kernel has no better hook, notice clients that read\n"
		"                            with splice(2) by one that makes every system call slower\n"
		"      --self-test           try out what this kernel does with enrolled sockets, say what\n"
		"                            that means, and end: 0 steering is safe, 4 it is not\n"
		"  -o, --output table|json   of --self-test: how to print (table)\n"
		"      --take-over           if an agent is at work here, have it hand over to this one, and end\n"
		"                            on its SIGTERM: upgrades without a gap\n"
		"      --leave-hooks WHEN    on SIGTERM leave the hooks to the next agent, as if this one had been\n"
		"                            killed: 'always', or NAMESPACE/NAME, if that DaemonSet is there and\n"
		"                            not being deleted\n"
		"      --tag-header NAME     header that carries the lane where no rule sets one (x-mse-tag)\n"
		"      --baggage             the lane goes on as a member of the W3C baggage header, too,\n"
		"                            and counts as a tag where it stands there\n"
		"      --enrol-ahead         enrol connections to what Rollouts release also before a release\n"
		"                            begins, so that those which live on into it are steered\n"
		"      --untrusted NS/L=V    pods in namespace NS with label L=V, such as a gateway: tags on\n"
		"                            their requests count for nothing, and are taken off; may be\n"
		"                            given 16 times\n"
		"      --lane-label NAME     pod label whose value names its lane (alicloud.service.tag)\n"
		"      --lane-label-prefix P pod label that begins so and goes on with its lane\n"
		"                            (opensergo.io/canary-)\n"
		"      --pool-max N          upstream sockets to hold ready for each client namespace\n"
		"                            and endpoint, at most (" TEXT(
			LW_POOL_MAX_DEFAULT) ")\n"
					     "      --cgroup DIR          cgroup2 whose processes are clients (found in /proc/self/mounts)\n"
					     "      --bpffs DIR           where to pin: a bpffs, or an empty folder (/sys/fs/bpf)\n"
					     "  -s, --socket PATH         control socket (" LW_CONTROL_PATH
					     ")\n"
					     "      --log-level LEVEL     error, warn, info or debug (info)\n"
					     "      --log-format FORMAT   text or json (text)\n"
					     "  -h, --help                this text\n",
	.run = run,
};
