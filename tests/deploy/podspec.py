#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""podspec.py MANIFESTS BUNDLE OPTIONS...: what a kubelet and a container runtime make of the DaemonSet in MANIFESTS.

Writes BUNDLE/config.json for an OCI runtime, whose rootfs is the unpacked image: arguments, environment, capabilities,
seccomp, read-only root, namespaces and mounts follow from the manifest; nothing of it is known here. What a runtime adds by
itself (/proc, /sys, masked paths) is what containerd adds. RuntimeDefault is the profile that Debian ships for podman and
CRI-O, resolved for the capabilities as these do it.

  --rootfs DIR           the unpacked image
  --volumes DIR          ConfigMaps and emptyDirs are made below it
  --host PATH            a folder of the node that there is; a hostPath that is none of them is an error
  --node NAME            spec.nodeName
  --token DIR            files of the service account, where the pod asks for them
  --env NAME=VALUE       what the kubelet tells every pod
  --drop CAP             without this capability
  --arg OLD=NEW          another argument in place of OLD, split at the first =
  --no-arg NAME          without argument NAME or NAME=...
  --option LINE          one more line in the agent's options; --no-option NAME takes lines away
  --mount DIR:PATH       one more folder, read-only
  --seccomp FILE         an OCI seccomp object in place of the manifest's
  --print WHAT           prints a probe's command (startupProbe, ...) or a field (a.b.c of the pod's spec), and ends
"""
import argparse
import json
import os
import platform
import resource
import sys

import yaml

PROFILE = "/usr/share/containers/seccomp.json"
ARCH = {"x86_64": ("amd64", "SCMP_ARCH_X86_64"), "aarch64": ("arm64", "SCMP_ARCH_AARCH64")}
MASKED = ["/proc/acpi", "/proc/asound", "/proc/kcore", "/proc/keys", "/proc/latency_stats", "/proc/timer_list",
          "/proc/timer_stats", "/proc/sched_debug", "/proc/scsi", "/sys/firmware"]
READONLY = ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"]
TOKEN_PATH = "/var/run/secrets/kubernetes.io/serviceaccount"


def find(objects, kind, name=None):
    found = [o for o in objects if o["kind"] == kind and name in (None, o["metadata"]["name"])]
    if len(found) != 1:
        sys.exit(f"podspec.py: {len(found)} objects {kind} {name or ''}")
    return found[0]


def field(spec, path):
    for part in path.split("."):
        spec = spec[int(part)] if isinstance(spec, list) else spec[part]
    return spec


def runtime_default(capabilities):
    name, arch = ARCH[platform.machine()]
    with open(PROFILE, encoding="utf-8") as f:
        profile = json.load(f)
    calls = []
    for rule in profile["syscalls"]:
        needs, unless = rule.get("includes") or {}, rule.get("excludes") or {}
        if needs.get("arches") and name not in needs["arches"]:
            continue
        if not set(needs.get("caps", [])) <= set(capabilities) or set(unless.get("caps", [])) & set(capabilities):
            continue
        call = {"names": rule["names"], "action": rule["action"], "args": rule.get("args") or []}
        if rule.get("errnoRet") is not None:
            call["errnoRet"] = rule["errnoRet"]
        calls.append(call)
    sub = [m["subArchitectures"] for m in profile["archMap"] if m["architecture"] == arch][0]
    return {"defaultAction": profile["defaultAction"], "defaultErrnoRet": profile["defaultErrnoRet"],
            "architectures": [arch, *sub], "syscalls": calls}


def seccomp(pod, container, capabilities, given):
    if given:
        with open(given, encoding="utf-8") as f:
            return json.load(f)
    kind = {**pod.get("securityContext", {}), **container.get("securityContext", {})}.get("seccompProfile", {}).get("type")
    if kind != "RuntimeDefault":
        sys.exit(f"podspec.py: seccompProfile {kind}: not known here")
    return runtime_default(capabilities)


def capabilities_of(container, drop):
    context = container["securityContext"]
    if context.get("privileged") or context["capabilities"]["drop"] != ["ALL"]:
        sys.exit("podspec.py: the container is privileged, or does not drop ALL")
    have = context["capabilities"]["add"]
    if set(drop) - set(have):
        sys.exit(f"podspec.py: {drop} is not among {have}")
    return ["CAP_" + c for c in have if c not in drop]


def edit_options(text, args):
    lines = [line for line in text.splitlines() if line.split(" ")[0] not in args.no_option]
    return "\n".join(lines + args.option) + "\n"


def source_of(volume, objects, args):
    """The folder that stands for a volume."""
    where = os.path.join(args.volumes, volume["name"])
    if "hostPath" in volume:
        path = volume["hostPath"]["path"]
        if path not in args.host:
            sys.exit(f"podspec.py: the manifest mounts {path} of the node, which this test has no stand-in for")
        return path
    os.makedirs(where, exist_ok=True)
    if "configMap" in volume:
        for key, text in find(objects, "ConfigMap", volume["configMap"]["name"])["data"].items():
            with open(os.path.join(where, key), "w", encoding="utf-8") as f:
                f.write(edit_options(text, args) if key == "options" else text)
    elif "emptyDir" not in volume:
        sys.exit(f"podspec.py: volume {volume}: not known here")
    return where


def bind(source, path, readonly):
    return {"destination": path, "type": "bind", "source": source, "options": ["rbind", "rprivate", "ro" if readonly else "rw"]}


def mounts_of(pod, container, objects, args):
    mounts = [
        {"destination": "/proc", "type": "proc", "source": "proc", "options": ["nosuid", "noexec", "nodev"]},
        {"destination": "/dev", "type": "tmpfs", "source": "tmpfs", "options": ["nosuid", "strictatime", "mode=755", "size=64k"]},
        {"destination": "/sys", "type": "sysfs", "source": "sysfs", "options": ["nosuid", "noexec", "nodev", "ro"]},
    ]
    volumes = {v["name"]: v for v in pod["volumes"]}
    for mount in container["volumeMounts"]:
        if set(mount) - {"name", "mountPath", "readOnly"}:
            sys.exit(f"podspec.py: volumeMount {mount}: not known here")
        mounts.append(bind(source_of(volumes.pop(mount["name"]), objects, args), mount["mountPath"], mount.get("readOnly")))
    if volumes:
        sys.exit(f"podspec.py: volumes {list(volumes)} are mounted nowhere")
    if args.token and pod.get("automountServiceAccountToken"):
        mounts.append(bind(args.token, TOKEN_PATH, True))
    mounts += [bind(*m.split(":"), True) for m in args.mount]
    return mounts


def command_of(container, env, args):
    with open(os.path.join(args.volumes, "image.json"), encoding="utf-8") as f:
        image = json.load(f)["config"]
    words = container.get("command", image["Entrypoint"]) + container.get("args", image["Cmd"])
    replace = dict(a.split("=", 1) for a in args.arg)
    words = [replace.get(w, w) for w in words if w.split("=", 1)[0] not in args.no_arg]
    for name, value in env.items():
        words = [w.replace(f"$({name})", value) for w in words]
    return words, image["Env"]


def config(pod, objects, args):
    container = pod["containers"][0]
    context = container["securityContext"]
    fields = {"spec.nodeName": args.node, "metadata.namespace": find(objects, "DaemonSet")["metadata"]["namespace"]}
    env = {}
    for e in container.get("env", []):
        path = e["valueFrom"]["fieldRef"]["fieldPath"]
        if path not in fields:
            sys.exit(f"podspec.py: env {e}: not known here")
        env[e["name"]] = fields[path]
    words, image_env = command_of(container, env, args)
    caps = capabilities_of(container, args.drop)
    namespaces = [{"type": "mount"}, {"type": "uts"}, {"type": "ipc"}]
    namespaces += [{"type": kind} for key, kind in (("hostPID", "pid"), ("hostNetwork", "network")) if not pod.get(key)]
    return {
        "ociVersion": "1.0.2",
        "hostname": args.node,
        "root": {"path": args.rootfs, "readonly": bool(context["readOnlyRootFilesystem"])},
        "process": {
            "user": {"uid": context["runAsUser"], "gid": context["runAsGroup"]},
            "args": words, "cwd": "/",
            "env": [*image_env, *(f"{k}={v}" for k, v in env.items()), *args.env],
            "noNewPrivileges": not context["allowPrivilegeEscalation"],
            "capabilities": {k: caps for k in ("bounding", "effective", "permitted")},
            "rlimits": [{"type": "RLIMIT_NOFILE", "hard": resource.getrlimit(resource.RLIMIT_NOFILE)[1], "soft": 1024}],
        },
        "mounts": mounts_of(pod, container, objects, args),
        "linux": {"namespaces": namespaces, "maskedPaths": MASKED, "readonlyPaths": READONLY,
                  "seccomp": seccomp(pod, container, caps, args.seccomp)},
    }


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("manifests")
    parser.add_argument("bundle")
    for name in ("rootfs", "volumes", "node", "token", "seccomp", "print"):
        parser.add_argument("--" + name)
    for name in ("host", "env", "drop", "arg", "no-arg", "option", "no-option", "mount"):
        parser.add_argument("--" + name, action="append", default=[])
    args = parser.parse_args()
    with open(args.manifests, encoding="utf-8") as f:
        objects = [o for o in yaml.safe_load_all(f) if o]
    if len(objects) == 1 and objects[0]["kind"] == "List":
        objects = objects[0]["items"]
    pod = find(objects, "DaemonSet")["spec"]["template"]["spec"]
    if args.print:
        found = field(pod, args.print)
        print("\n".join(found["exec"]["command"] if "Probe" in args.print else found if isinstance(found, list) else [str(found)]))
        return
    os.makedirs(args.bundle, exist_ok=True)
    with open(os.path.join(args.bundle, "config.json"), "w", encoding="utf-8") as f:
        json.dump(config(pod, objects, args), f, indent=1)


main()
