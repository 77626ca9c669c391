# SPDX-License-Identifier: Apache-2.0
"""state.py DIR WORKLOADS PODS OPEN: a state folder. A file for each workload, and one for its Rollout; of OPEN the
release is at step 1, the others are between two releases.

state.py DIR step N S: moves the Rollout of workload N on to step S: another share of its requests. Prints the time at which it was put there,
in nanoseconds since 1970.
"""
import os
import sys
import time

STEPS = 50


def put(path, text):
    with open(path + ".tmp", "w", encoding="utf-8") as f:
        f.write(text)
    now = time.time_ns()
    os.replace(path + ".tmp", path)
    return now


def rollout(n, step):
    """step 0: none is going on"""
    steps = "".join(f"    - {{replicas: 1, traffic: {i}%}}\n" for i in range(1, STEPS + 1))
    return f"""apiVersion: rollouts.kruise.io/v1beta1
kind: Rollout
metadata: {{name: app-{n}, namespace: default, uid: ro-{n}, annotations: {{rollouts.kruise.io/hash: h}}}}
spec:
  workloadRef: {{apiVersion: apps/v1, kind: Deployment, name: app-{n}}}
  strategy:
    canary:
      enableExtraWorkloadForCanary: true
      steps:
{steps.replace("    - ", "      - ")}      trafficRoutings:
      - service: app-{n}
        ingress: {{classType: nginx, name: app-{n}}}
status:
  phase: {"Progressing" if step else "Healthy"}
  conditions:
  - {{type: Progressing, status: "{bool(step)}", reason: {"InRolling" if step else "Completed"}}}
  currentStepIndex: {step}
  currentStepState: StepPaused
  canaryStatus: {{currentStepIndex: {step}, currentStepState: StepPaused, stableRevision: base{n}, podTemplateHash: new{n}, rolloutHash: h}}
"""


def pod(n, i, canary, ip):
    rev = f"new{n}" if canary else f"base{n}"
    owner = f"app-{n}-x-{rev}" if canary else f"app-{n}-{rev}"
    return f"""apiVersion: v1
kind: Pod
metadata:
  name: app-{n}-{i}
  namespace: default
  uid: pod-{n}-{i}
  labels: {{app: app-{n}, pod-template-hash: {rev}}}
  ownerReferences: [{{apiVersion: apps/v1, kind: ReplicaSet, name: {owner}, uid: rs-{owner}, controller: true}}]
spec:
  nodeName: node-{n % 50}
  containers: [{{name: main, image: x, ports: [{{name: http, containerPort: 8080}}]}}]
status:
  phase: Running
  podIP: {ip}
  podIPs: [{{ip: {ip}}}]
  conditions: [{{type: Ready, status: "True"}}]
---
"""


def workload(n, pods):
    text = f"""apiVersion: v1
kind: Service
metadata: {{name: app-{n}, namespace: default, uid: svc-{n}}}
spec:
  type: ClusterIP
  clusterIP: 10.96.{n // 250}.{n % 250 + 1}
  clusterIPs: [10.96.{n // 250}.{n % 250 + 1}]
  ports: [{{name: http, port: 80, protocol: TCP, targetPort: http}}]
  selector: {{app: app-{n}}}
---
"""
    for canary in (False, True):
        name, rev = (f"app-{n}-x", f"new{n}") if canary else (f"app-{n}", f"base{n}")
        meta = f"name: {name}, namespace: default, uid: deploy-{name}"
        if canary:
            meta += (f", labels: {{rollouts.kruise.io/canary-deployment: app-{n}}}, ownerReferences: "
                     f"[{{apiVersion: rollouts.kruise.io/v1beta1, kind: BatchRelease, name: app-{n}, uid: br-{n}, controller: true}}]")
        else:
            meta += f""", annotations: {{rollouts.kruise.io/in-progressing: '{{"rolloutName":"app-{n}"}}'}}"""
        text += f"""apiVersion: apps/v1
kind: Deployment
metadata: {{{meta}}}
spec:
  replicas: 1
  selector: {{matchLabels: {{app: app-{n}}}}}
  template: {{metadata: {{labels: {{app: app-{n}}}}}, spec: {{containers: [{{name: main, image: x}}]}}}}
---
apiVersion: apps/v1
kind: ReplicaSet
metadata:
  name: {name}-{rev}
  namespace: default
  uid: rs-{name}-{rev}
  labels: {{app: app-{n}, pod-template-hash: {rev}}}
  ownerReferences: [{{apiVersion: apps/v1, kind: Deployment, name: {name}, uid: deploy-{name}, controller: true}}]
spec: {{replicas: 1, selector: {{matchLabels: {{app: app-{n}, pod-template-hash: {rev}}}}}, template: {{metadata: {{labels: {{pod-template-hash: {rev}}}}}}}}}
---
"""
    for i in range(pods):
        k = n * pods + i
        text += pod(n, i, i % 5 == 4, f"10.{100 + k // 62500}.{k // 250 % 250}.{k % 250 + 1}")
    return text


where, what = sys.argv[1], sys.argv[2]
if what == "step":
    number = int(sys.argv[3])
    print(put(f"{where}/rollout-{number}.yaml", rollout(number, int(sys.argv[4]))))
else:
    workloads, pods, opened = int(what), int(sys.argv[3]), int(sys.argv[4])
    for number in range(workloads):
        put(f"{where}/app-{number}.yaml", workload(number, pods // workloads))
        put(f"{where}/rollout-{number}.yaml", rollout(number, int(number < opened)))
