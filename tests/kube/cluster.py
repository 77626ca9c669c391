# SPDX-License-Identifier: Apache-2.0
"""cluster.py API CA TOKEN VERB ...: many objects in a real API server, by plain requests over kept connections.

fill WORKLOADS PODS OPEN        Deployments app-N and their Pods (running, ready), a Service and a Rollout each, in namespaces
                                ns-0 .. ns-9; of OPEN the release is at step 1
churn SECONDS RATE WORKLOADS PODS  Pod status changes at RATE a second, over pods of all workloads; prints how many
steps N COUNT SOCKET IP          Rollout of workload N from step to step; after each the agent at SOCKET is asked until it would
                                decide by it; prints the milliseconds from before the write to there, a line each
open N, close N                 its release begins, ends
"""
import http.client
import json
import socket
import ssl
import sys
import threading
import time
import urllib.parse

api, ca, token, verb, *args = sys.argv[1:]
target = urllib.parse.urlsplit(api)
trust = ssl.create_default_context(cafile=ca)
STEPS = 50
NAMESPACES = 10


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


def pod_status(n, i, per, beat):
    return {"status": {"phase": "Running", "podIP": ip(n, i, per), "podIPs": [{"ip": ip(n, i, per)}],
                       "message": f"beat {beat}", "conditions": [{"type": "Ready", "status": "True"}],
                       "containerStatuses": [{"name": "main", "ready": True, "restartCount": beat % 1000, "image": "x", "imageID": "sha256:" + "0" * 64}]}}


def rollout_status(n, step):
    return {"status": {"phase": "Progressing" if step else "Healthy", "observedGeneration": 1, "currentStepIndex": step or 1,
                       "currentStepState": "StepPaused",
                       "conditions": [{"type": "Progressing", "status": "True" if step else "False",
                                       "reason": "InRolling" if step else "Completed", "message": "-",
                                       "lastTransitionTime": "2026-01-01T00:00:00Z", "lastUpdateTime": "2026-01-01T00:00:00Z"}],
                       "canaryStatus": {"rolloutHash": "h", "stableRevision": f"base{n}", "canaryRevision": "cr",
                                        "podTemplateHash": f"new{n}", "canaryReplicas": 1, "canaryReadyReplicas": 1,
                                        "currentStepIndex": step or 1, "nextStepIndex": -1, "finalisingStep": "END",
                                        "currentStepState": "StepPaused", "message": "-"}}}


def rollouts(n):
    return f"/apis/rollouts.kruise.io/v1beta1/namespaces/{ns(n)}/rollouts"


def workload(c, n, per, opened):
    meta = {"name": f"app-{n}", "namespace": ns(n)}
    labels = {"app": f"app-{n}"}
    # Of the size that real ones have.
    env = [{"name": f"SETTING_{i}", "value": "x" * 40} for i in range(20)]
    template = {"metadata": {"labels": labels}, "spec": {"containers": [{"name": "main", "image": "x", "env": env}]}}
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
        rev = f"new{n}" if i == per - 1 else f"base{n}"
        c.ask("POST", pods(n),
              {"apiVersion": "v1", "kind": "Pod",
               "metadata": {"name": f"app-{n}-{i}", "labels": dict(labels, **{"pod-template-hash": rev}),
                            "ownerReferences": [{"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": f"app-{n}-{rev}",
                                                 "uid": f"rs-{n}-{rev}", "controller": True}]},
               "spec": {"nodeName": f"node-{(n * per + i) % 50}",
                        "containers": [{"name": "main", "image": "x", "env": env, "ports": [{"name": "http", "containerPort": 8080}]}]}})
        c.ask("PATCH", f"{pods(n)}/app-{n}-{i}/status", pod_status(n, i, per, 0))


def in_threads(count, work):
    threads = [threading.Thread(target=work, args=(t,), daemon=True) for t in range(count)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()


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
elif verb == "steps":
    n, count, path, address = int(args[0]), int(args[1]), args[2], args[3]
    c = Client()

    def share():
        with socket.socket(socket.AF_UNIX) as sock:
            sock.connect(path)
            sock.sendall(json.dumps({"cmd": "explain", "from": "192.0.2.1", "to": address + ":8080", "path": "/", "headers": []}).encode() + b"\n")
            text = b""
            while not text.endswith(b"\n"):
                more = sock.recv(65536)
                if not more:
                    break
                text += more
        return [x["weight"] for x in json.loads(text).get("data", {}).get("chances", [])]

    for s in range(2, count + 2):
        step = s % (STEPS - 1) + 1
        before = time.monotonic()
        c.ask("PATCH", f"{rollouts(n)}/app-{n}/status", rollout_status(n, step))
        written = time.monotonic()
        while step not in share():
            if time.monotonic() - before > 30:
                sys.exit(f"step {step} is not in force after 30 s: {share()}")
            time.sleep(0.0005)
        print(f"{(time.monotonic() - before) * 1000:.2f} {(written - before) * 1000:.2f}", flush=True)
        time.sleep(0.05)
else:
    Client().ask("PATCH", f"{rollouts(int(args[0]))}/app-{args[0]}/status", rollout_status(int(args[0]), int(verb == "open")))
