#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""same.py KUSTOMIZED CHART: both hold the same objects. Two things may differ: the ConfigMap's name, in which kustomize puts a
hash of its contents, and the annotation by which the chart does the same; and comments in the options."""
import json
import re
import sys

import yaml


def options(text):
    return sorted(line for line in text.splitlines() if line and not line.startswith("#"))


def load(path):
    with open(path, encoding="utf-8") as f:
        objects = [o for o in yaml.safe_load_all(f) if o]
    known = {}
    for o in objects:
        meta = o["metadata"]
        if o["kind"] == "ConfigMap":
            meta["name"] = re.sub("-[a-z0-9]{10}$", "", meta["name"])
            o["data"]["options"] = options(o["data"]["options"])
        if o["kind"] == "DaemonSet":
            template = o["spec"]["template"]
            template["metadata"]["annotations"].pop("checksum/options", None)
            for volume in template["spec"]["volumes"]:
                if "configMap" in volume:
                    volume["configMap"]["name"] = re.sub("-[a-z0-9]{10}$", "", volume["configMap"]["name"])
        known[o["kind"], meta.get("namespace", ""), meta["name"]] = o
    if len(known) != len(objects):
        sys.exit(f"{path}: an object is there twice")
    return known


def differ(a, b, where):
    if isinstance(a, dict) and isinstance(b, dict):
        for key in sorted(set(a) | set(b)):
            yield from differ(a.get(key), b.get(key), f"{where}.{key}")
    elif isinstance(a, list) and isinstance(b, list) and len(a) == len(b):
        for i, (x, y) in enumerate(zip(a, b)):
            yield from differ(x, y, f"{where}[{i}]")
    elif a != b:
        yield f"{where}: {json.dumps(a)}, but {json.dumps(b)}"


one, other = load(sys.argv[1]), load(sys.argv[2])
found = [f"only in {path}: {key}" for path, here, there in ((sys.argv[1], one, other), (sys.argv[2], other, one))
         for key in sorted(set(here) - set(there))]
for key in sorted(set(one) & set(other)):
    found += differ(one[key], other[key], "/".join(key))
print("\n".join(found))
sys.exit(bool(found))
