# SPDX-License-Identifier: Apache-2.0
"""cluster.py API CA TOKEN VERB ...: many objects in a real API server, by plain requests over kept connections.

fill WORKLOADS PODS OPEN        Deployments app-N and their Pods (running, ready), a Service and a Rollout each, in namespaces
                                ns-0 .. ns-9; of OPEN the release is at step 1
churn SECONDS RATE WORKLOADS PODS  Pod status changes at RATE a second, over pods of all workloads; prints how many
turnover WRITES RATE WORKLOADS PODS SEED  so many, at RATE a second: Pods become unready and ready again, or are deleted, gone, and
                                made anew at the same address and by another name; prints how many of each
steps N COUNT SOCKET IP          Rollout of workload N from step to step; after each the agent at SOCKET is asked until it would
                                decide by it; prints the milliseconds from before the write to there, a line each
open N, close N                 its release begins, ends
walk ROLLOUT STEP SOCKET FROM TO  the Rollout at that path goes to STEP, as its controller writes it; the agent at SOCKET is asked until
                                it would send a request with "x-step: STEP" to a lane; prints as steps does, one line
compare SOCKET PODS_MAP         what the agent at SOCKET and its map of pods hold, against all that the API server has of what is in
                                release; says what differs for a minute
"""
import collections
import concurrent.futures
import http.client
import ipaddress
import json
import random
import socket
import ssl
import subprocess
import sys
import time
import urllib.parse

api, ca, token, verb, *args = sys.argv[1:]
target = urllib.parse.urlsplit(api)
trust = ssl.create_default_context(cafile=ca)
STEPS = 50
NAMESPACES = 10
UNDER_WAY = 25  # Pods of a thread that are being turned over at a time
# Of the size that real ones have.
ENV = [{"name": f"SETTING_{i}", "value": "x" * 40} for i in range(20)]


class Client:
    def __init__(self):
        self.c = http.client.HTTPSConnection(target.hostname, target.port, context=trust)

    def ask(self, method, path, body=None):
        kind = "application/merge-patch+json" if method == "PATCH" else "application/json"
        self.c.request(method, path, json.dumps(body) if body else None,
                       {"Authorization": "Bearer " + token, "Content-Type": kind})
        answer = self.c.getresponse()
        text = answer.read()
        if answer.status >= 400 and answer.status != 409:
            sys.exit(f"{method} {path}: {answer.status} {text[:300]}")
        return text


def ns(n):
    return f"ns-{n % NAMESPACES}"


def pods(n):
    return f"/api/v1/namespaces/{ns(n)}/pods"


def ip(n, i, per):
    k = n * per + i
    return f"10.{100 + k // 62500}.{k // 250 % 250}.{k % 250 + 1}"


def pod_status(n, i, per, beat, ready=True):
    return {"status": {"phase": "Running", "podIP": ip(n, i, per), "podIPs": [{"ip": ip(n, i, per)}],
                       "message": f"beat {beat}", "conditions": [{"type": "Ready", "status": str(ready)}],
                       "containerStatuses": [{"name": "main", "ready": ready, "restartCount": beat % 1000, "image": "x", "imageID": "sha256:" + "0" * 64}]}}


def rollout_status(n, step):
    return {"status": {"phase": "Progressing" if step else "Healthy", "observedGeneration": 1, "currentStepIndex": step or 1,
                       "currentStepState": "StepPaused",
                       "conditions": [{"type": "Progressing", "status": "True" if step else "False",
                                       "reason": "InRolling" if step else "Completed", "message": "-",
                                       "lastTransitionTime": "2026-01-01T00:00:00Z", "lastUpdateTime": "2026-01-01T00:00:00Z"}],
                       "canaryStatus": {"rolloutHash": "h", "stableRevision": f"base{n}", "canaryRevision": "cr",
                                        "podTemplateHash": f"new{n}", "canaryReplicas": 1, "canaryReadyReplicas": 1,
                                        "currentStepIndex": step or 1, "nextStepIndex": -1, "finalisingStep": None if step else "END",
                                        "currentStepState": "StepPaused", "message": "-"}}}


def rollouts(n):
    return f"/apis/rollouts.kruise.io/v1beta1/namespaces/{ns(n)}/rollouts"


def make_pod(c, n, i, per, name):
    rev = f"new{n}" if i == per - 1 else f"base{n}"
    c.ask("POST", pods(n),
          {"apiVersion": "v1", "kind": "Pod",
           "metadata": {"name": name, "labels": {"app": f"app-{n}", "pod-template-hash": rev},
                        "ownerReferences": [{"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": f"app-{n}-{rev}",
                                             "uid": f"rs-{n}-{rev}", "controller": True}]},
           "spec": {"nodeName": f"node-{(n * per + i) % 50}",
                    "containers": [{"name": "main", "image": "x", "env": ENV, "ports": [{"name": "http", "containerPort": 8080}]}]}})


def workload(c, n, per, opened):
    meta = {"name": f"app-{n}", "namespace": ns(n)}
    labels = {"app": f"app-{n}"}
    template = {"metadata": {"labels": labels}, "spec": {"containers": [{"name": "main", "image": "x", "env": ENV}]}}
    c.ask("POST", f"/apis/apps/v1/namespaces/{ns(n)}/deployments",
          {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": meta,
           "spec": {"replicas": per, "selector": {"matchLabels": labels}, "template": template}})
    c.ask("POST", f"/api/v1/namespaces/{ns(n)}/services",
          {"apiVersion": "v1", "kind": "Service", "metadata": meta, "spec": {"selector": labels, "ports": [{"port": 80, "targetPort": 8080}]}})
    c.ask("POST", rollouts(n),
          {"apiVersion": "rollouts.kruise.io/v1beta1", "kind": "Rollout",
           "metadata": dict(meta, annotations={"rollouts.kruise.io/hash": "h"}),
           "spec": {"workloadRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": f"app-{n}"},
                    "strategy": {"canary": {"enableExtraWorkloadForCanary": False,
                                            "steps": [{"replicas": 1, "traffic": f"{i}%"} for i in range(1, STEPS + 1)],
                                            "trafficRoutings": [{"service": f"app-{n}", "ingress": {"classType": "nginx", "name": "x"}}]}}}})
    c.ask("PATCH", f"{rollouts(n)}/app-{n}/status", rollout_status(n, int(opened)))
    for i in range(per):
        make_pod(c, n, i, per, f"app-{n}-{i}")
        c.ask("PATCH", f"{pods(n)}/app-{n}-{i}/status", pod_status(n, i, per, 0))


def turn(c, n, i, per, life, count, kept):
    """A pod that is away for a while: a write each time it is asked for the next."""
    old = f"{pods(n)}/app-{n}-{i}" + (f"-{life[n, i]}" if life[n, i] else "")
    if kept:
        c.ask("PATCH", old + "/status", pod_status(n, i, per, 1, False))
        count["unready"] += 1
        yield
        c.ask("PATCH", old + "/status", pod_status(n, i, per, 2, True))
        count["ready again"] += 1
        return
    c.ask("DELETE", old)
    count["deleted"] += 1
    yield
    c.ask("DELETE", old + "?gracePeriodSeconds=0")
    count["gone"] += 1
    yield
    life[n, i] += 1
    make_pod(c, n, i, per, f"app-{n}-{i}-{life[n, i]}")
    count["made anew"] += 1
    yield
    c.ask("PATCH", f"{pods(n)}/app-{n}-{i}-{life[n, i]}/status", pod_status(n, i, per, 0))
    count["ready"] += 1


def ask_agent(path, cmd, more=()):
    with socket.socket(socket.AF_UNIX) as sock:
        sock.connect(path)
        sock.sendall(json.dumps(dict(more, cmd=cmd)).encode() + b"\n")
        text = b""
        while not text.endswith(b"\n"):
            more = sock.recv(1 << 20)
            if not more:
                break
            text += more
    return json.loads(text).get("data", {})


def in_force(path, client, to, headers, see, what):
    """Waits until the agent explains a request so."""
    begin = time.monotonic()
    while not see(ask_agent(path, "explain", {"from": client, "to": to, "path": "/", "headers": headers})):
        if time.monotonic() - begin > 30:
            sys.exit(f"{what} is not in force after 30 s")
        time.sleep(0.0005)


def items(c, path, labels="", fields=""):
    return json.loads(c.ask("GET", f"{path}?" + urllib.parse.urlencode({"labelSelector": labels, "fieldSelector": fields})))["items"]


def name_of(o):
    return o["metadata"]["namespace"], o["metadata"]["name"]


def of_server(c):
    """What an agent is to know: Pods of workloads in release, by name, and their Services."""
    extras = {name_of(d): d["metadata"].get("labels", {}).get("rollouts.kruise.io/canary-deployment") for d in items(c, "/apis/apps/v1/deployments")}
    canary = {}
    for r in items(c, "/apis/rollouts.kruise.io/v1beta1/rollouts"):
        if r["status"]["phase"] == "Progressing":
            canary[r["metadata"]["namespace"], r["spec"]["workloadRef"]["name"]] = r["status"]["canaryStatus"]["podTemplateHash"]
    endpoints, labels = {}, collections.defaultdict(list)
    for p in items(c, "/api/v1/pods"):
        ns, name = name_of(p)
        labelled = p["metadata"]["labels"]
        owner = p["metadata"]["ownerReferences"][0]["name"].removesuffix("-" + labelled["pod-template-hash"])
        main = extras.get((ns, owner)) or owner
        if (ns, main) not in canary:
            continue
        labels[ns].append((main, labelled))
        status = p.get("status", {})
        endpoints[f"{ns}/{name}"] = {
            "workload": f"{ns}/Deployment/{main}", "node": p["spec"]["nodeName"],
            "lane": "gray" if labelled["pod-template-hash"] == canary[ns, main] else "base",
            "ips": [x["ip"] for x in status.get("podIPs", [])],
            "ports": ",".join(f"{x['name']}:{x['containerPort']}" for x in p["spec"]["containers"][0]["ports"]),
            "ready": {"type": "Ready", "status": "True"} in [{k: x[k] for k in ("type", "status")} for x in status.get("conditions", [])],
            "terminating": "deletionTimestamp" in p["metadata"]}
    # Without a pod of the new version there is nothing to tell apart, and the workload is left alone.
    steered = {e["workload"] for e in endpoints.values() if e["lane"] != "base"}
    endpoints = {name: e for name, e in endpoints.items() if e["workload"] in steered}
    services = {}
    for s in items(c, "/api/v1/services"):
        ns, name = name_of(s)
        selector = s["spec"].get("selector")
        owners = {f"{ns}/Deployment/{main}" for main, labelled in labels[ns] if selector and selector.items() <= labelled.items()} & steered
        if owners:
            services[f"{ns}/{name}"] = {"workload": owners.pop(), "ips": [s["spec"]["clusterIP"]]}
    return endpoints, services


def of_agent(path):
    data = ask_agent(path, "endpoints")
    return ({e["pod"]: {k: e[k] for k in ("workload", "node", "lane", "ips", "ports", "ready", "terminating")} for e in data["endpoints"]},
            {s["service"]: {k: s[k] for k in ("workload", "ips")} for s in data["services"]})


def rows_of(pods_map, slot):
    """Of lw_pods, by address: what the kernel programs go by."""
    rows = {}
    for row in json.loads(subprocess.run(["bpftool", "map", "dump", "pinned", pods_map, "-j"], check=True, capture_output=True).stdout):
        key, pod = row["formatted"]["key"], row["formatted"]["value"]
        if key["slot"] == slot:
            address = ipaddress.IPv6Address(bytes(key["addr"]["ip"]))
            rows[str(address.ipv4_mapped or address)] = (pod["name"], pod["workload"], pod["lane"], bool(pod["flags"] & 1), bool(pod["flags"] & 2))
    return rows


def rows_for(endpoints, lanes):
    """What rows_of() is to be."""
    workloads = {w["name"]: w["id"] for w in lanes["workloads"]}
    numbers = {"base": 0} | {x["name"]: x["id"] for x in lanes["lanes"]}
    return {address: (name[:63], workloads[e["workload"]], numbers[e["lane"]], e["ready"], e["terminating"])
            for name, e in endpoints.items() for address in e["ips"]}


def differences(kind, a, b, here, there):
    return [f"{kind} {name}: {here} has {a.get(name)}, {there} {b.get(name)}" for name in sorted(a.keys() | b.keys()) if a.get(name) != b.get(name)]


def in_threads(count, work):
    with concurrent.futures.ThreadPoolExecutor(count) as pool:
        list(pool.map(work, range(count)))


if verb == "fill":
    total, npods, nopen = map(int, args)
    first = Client()
    for space in range(NAMESPACES):
        first.ask("POST", "/api/v1/namespaces", {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": f"ns-{space}"}})

    def fill(t):
        c = Client()
        for n in range(t, total, 4):
            workload(c, n, npods // total, n < nopen)

    in_threads(4, fill)
elif verb == "churn":
    seconds, rate, total, npods = map(int, args)
    per, done, end = npods // total, [0] * 4, time.monotonic() + seconds

    def churn(t):
        c = Client()
        start = time.monotonic()
        while time.monotonic() < end:
            k = done[t] * 4 + t
            n = k % total
            c.ask("PATCH", f"{pods(n)}/app-{n}-{k // total % per}/status", pod_status(n, k // total % per, per, k))
            done[t] += 1
            late = start + done[t] * 4 / rate - time.monotonic()
            if late > 0:
                time.sleep(late)

    in_threads(4, churn)
    print(sum(done))
elif verb == "turnover":
    goal, rate, total, npods, seed = map(int, args)
    per, begun = npods // total, time.monotonic()
    counts = [collections.Counter() for _ in range(4)]

    def turn_over(t):
        c, life, under_way, rng = Client(), collections.Counter(), {}, random.Random(seed * 4 + t)
        for done in range(goal // 4):
            while len(under_way) < UNDER_WAY:
                n, i = rng.randrange(t, total, 4), rng.randrange(per)
                if (n, i) not in under_way:
                    under_way[n, i] = turn(c, n, i, per, life, counts[t], rng.random() < .6)
            which = rng.choice(list(under_way))
            if next(under_way[which], "over") == "over":
                del under_way[which]
            time.sleep(max(0, begun + done * 4 / rate - time.monotonic()))

    in_threads(4, turn_over)
    seconds, count = time.monotonic() - begun, sum(counts, collections.Counter())
    print(f"{sum(count.values())} writes in {seconds:.0f} s, {sum(count.values()) / seconds:.0f} a second: "
          + ", ".join(f"{n} {what}" for what, n in count.items()))
elif verb == "steps":
    n, count, path, address = int(args[0]), int(args[1]), args[2], args[3]
    c = Client()
    for s in range(2, count + 2):
        step = s % (STEPS - 1) + 1
        before = time.monotonic()
        c.ask("PATCH", f"{rollouts(n)}/app-{n}/status", rollout_status(n, step))
        written = time.monotonic()
        in_force(path, "192.0.2.1", address + ":8080", [], lambda e: step in [x["weight"] for x in e.get("chances", [])], f"step {step}")
        print(f"{(time.monotonic() - before) * 1000:.2f} {(written - before) * 1000:.2f}", flush=True)
        time.sleep(0.05)
elif verb == "walk":
    where, step, path, client, to = args
    c = Client()
    status = json.loads(c.ask("GET", where))["status"]

    def write(state):
        for part in (status, status["canaryStatus"]):
            part.update(currentStepIndex=int(step), currentStepState=state)
        c.ask("PATCH", where + "/status", {"status": status})

    write("StepUpgrade")
    before = time.monotonic()
    write("StepTrafficRouting")
    written = time.monotonic()
    in_force(path, client, to, [f"x-step: {step}"], lambda e: e.get("lane") == "gray", f"step {step}")
    print(f"{(time.monotonic() - before) * 1000:.2f} {(written - before) * 1000:.2f}")
    write("StepPaused")
elif verb == "compare":
    c, path = Client(), args[0]
    want, end = of_server(c), time.monotonic() + 60
    while (got := of_agent(path)) != want and time.monotonic() < end:
        time.sleep(.05)
    status, lanes = ask_agent(path, "status"), ask_agent(path, "lanes")
    bad = [*differences("pod", got[0], want[0], "the agent", "the API server"),
           *differences("Service", got[1], want[1], "the agent", "the API server"),
           *differences("row", rows_of(args[1], status["generation"] % 2), rows_for(got[0], lanes), "the map", "the agent")]
    for w in status["source"]["watches"]:
        n = len(items(c, w["path"], w["labels"], w["fields"]))
        if w["state"] != "watching" or w["objects"] != n:
            bad.append(f"watch {w['path']} {w['labels']} {w['fields']}: {w['state']}, {w['objects']} objects, the API server has {n}")
    endpoints = want[0].values()
    print(*bad, f"{len(endpoints)} pods in lanes and beside them, {sum(e['ready'] for e in endpoints)} ready, "
          f"{sum(e['terminating'] for e in endpoints)} terminating, {len(want[1])} Services, {len(status['source']['watches'])} watches: "
          f"{len(bad)} differ", sep="\n")
    sys.exit(len(bad) > 0)
else:
    Client().ask("PATCH", f"{rollouts(int(args[0]))}/app-{args[0]}/status", rollout_status(int(args[0]), int(verb == "open")))
