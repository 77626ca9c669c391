#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""limits.py DIR WHAT N: a state folder's file many.yaml with N of
  lanes        apps in release, each with a lane of its own
  rules        matches of one header each, in as many releases as it takes
  conditions   conditions in matches of 16 headers, likewise
  expressions  matches with a regular expression each, all different, likewise
  wide         conditions in matches of 16 headers of one release
  workloads    apps in release, with a base and a canary pod each
  addresses    base pods, of apps in release with 1,000 each, with two addresses each
  services     of one app in release with 100 base pods and a canary
  groups       Services, with two addresses each, of one app in release with one pod of each kind
All is in namespace many, of lane gray where nothing else is said. Addresses are of 10.128.0.0/9 and fd00:99::/32.
"""
import os
import sys

MATCHES, HEADERS = 128, 16  # that a step and a match may have, by the objects' schema
CONDITIONS = 512  # of one workload
out, count = [], 0


def address():
    global count
    count += 1
    return f"10.{128 + (count >> 16)}.{count >> 8 & 255}.{count & 255}", f"fd00:99::{count >> 16:x}:{count & 65535:x}"


def put(text):
    out.append("---\n" + text)


def pod(app, rev, i, lane=""):
    a, b = address()
    owner = app if rev == "base" else f"{app}-x"
    label = f", alicloud.service.tag: {lane}" if lane else ""
    put(f"""{{apiVersion: v1, kind: Pod, metadata: {{name: {app}-{rev}-{i}, namespace: many, uid: u-{count},
  labels: {{app: {app}, pod-template-hash: {rev}{app}{label}}},
  ownerReferences: [{{apiVersion: apps/v1, kind: ReplicaSet, name: {owner}-{rev}{app}, uid: r-{owner}, controller: true}}]}},
 spec: {{nodeName: node-9, containers: [{{name: main, ports: [{{name: http, containerPort: 8080}}]}}]}},
 status: {{phase: Running, podIPs: [{{ip: {a}}}, {{ip: "{b}"}}], conditions: [{{type: Ready, status: "True"}}]}}}}
""")


def service(app, name, port=80):
    a, b = address()
    put(f"""{{apiVersion: v1, kind: Service, metadata: {{name: {name}, namespace: many}},
 spec: {{type: ClusterIP, clusterIPs: [{a}, "{b}"], selector: {{app: {app}}}, ports: [{{name: http, port: {port}, targetPort: http}}]}}}}
""")


def release(app, base=1, canary=1, lane="gray", step="matches: [{headers: [{name: x-many, value: never}]}]"):
    """By a Rollout with its own routes: step 1 of one."""
    put(f"""{{apiVersion: rollouts.kruise.io/v1beta1, kind: Rollout, metadata: {{name: {app}, namespace: many, annotations: {{rollouts.kruise.io/hash: h}}}},
 spec: {{workloadRef: {{apiVersion: apps/v1, kind: Deployment, name: {app}}}, strategy: {{canary: {{enableExtraWorkloadForCanary: true,
  trafficRoutings: [{{service: {app}}}], steps: [{{replicas: 1, {step}}}]}}}}}},
 status: {{phase: Progressing, conditions: [{{type: Progressing, status: "True", reason: InRolling}}], currentStepIndex: 1,
  currentStepState: StepPaused, canaryStatus: {{currentStepIndex: 1, currentStepState: StepPaused, podTemplateHash: new{app},
  stableRevision: base{app}, rolloutHash: h}}}}}}
""")
    put(f"""{{apiVersion: apps/v1, kind: Deployment, metadata: {{name: {app}, namespace: many}}, spec: {{selector: {{matchLabels: {{app: {app}}}}}}}}}
""")
    put(f"""{{apiVersion: apps/v1, kind: Deployment, metadata: {{name: {app}-x, namespace: many,
  labels: {{rollouts.kruise.io/canary-deployment: {app}}}}}, spec: {{selector: {{matchLabels: {{app: {app}}}}}}}}}
""")
    service(app, app)
    for i in range(base):
        pod(app, "base", i)
    for i in range(canary):
        pod(app, "new", i, lane)


def matches(n, most, one):
    """Apps in release whose steps have n matches in all, `most` each; one(i): the headers of the i-th."""
    for first in range(0, n, most):
        rules = ", ".join("{headers: [" + ", ".join(one(i)) + "]}" for i in range(first, min(first + most, n)))
        release(f"app-{first // most}", step=f"matches: [{rules}]")


def header(name, value, kind="Exact"):
    return f'{{type: {kind}, name: "{name}", value: "{value}"}}'


def many_headers(i):
    return [header(f"x-many-{k}", i) for k in range(min(HEADERS, n - HEADERS * i))]


folder, what, n = sys.argv[1], sys.argv[2], int(sys.argv[3])
if what == "lanes":
    for i in range(n):
        release(f"app-{i}", lane=f"lane-{i}")
elif what == "rules":
    matches(n, MATCHES, lambda i: [header("x-many", i)])
elif what == "expressions":
    matches(n, MATCHES, lambda i: [header("x-many", f"a{i}b*", "RegularExpression")])
elif what in ("conditions", "wide"):
    matches(-(-n // HEADERS), CONDITIONS // HEADERS if what == "conditions" else MATCHES, many_headers)
elif what == "workloads":
    for i in range(n):
        release(f"app-{i}", step="traffic: 0%")
elif what == "addresses":
    for i in range(0, n, 1000):
        release(f"app-{i // 1000}", base=min(1000, n - i))
elif what in ("services", "groups"):
    release("app", base=100 if what == "services" else 1)
    for i in range(n):
        service("app", f"svc-{i}", 1000 + i)
with open(f"{folder}/many.tmp", "w", encoding="utf-8") as f:
    f.write("".join(out))
os.replace(f"{folder}/many.tmp", f"{folder}/many.yaml")
