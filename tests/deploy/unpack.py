#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""unpack.py IMAGE.tar ROOTFS CONFIG: checks every digest and size of an OCI image layout, unpacks its layers to ROOTFS, and
writes its configuration to CONFIG. Prints the name that containerd would give it."""
import gzip
import hashlib
import io
import json
import sys
import tarfile

image, rootfs, config_path = sys.argv[1:]
with tarfile.open(image) as tar:
    files = {m.name: tar.extractfile(m).read() for m in tar if m.isfile()}


def blob(entry):
    data = files.pop("blobs/" + entry["digest"].replace(":", "/"))
    if len(data) != entry["size"] or "sha256:" + hashlib.sha256(data).hexdigest() != entry["digest"]:
        sys.exit(f"unpack.py: {entry['digest']} is not what it says")
    return data


assert json.loads(files.pop("oci-layout")) == {"imageLayoutVersion": "1.0.0"}
index = json.loads(files.pop("index.json"))
(entry,) = index["manifests"]
manifest = json.loads(blob(entry))
config = json.loads(blob(manifest["config"]))
for layer, diff in zip(manifest["layers"], config["rootfs"]["diff_ids"], strict=True):
    data = gzip.decompress(blob(layer))
    assert "sha256:" + hashlib.sha256(data).hexdigest() == diff
    with tarfile.open(fileobj=io.BytesIO(data)) as tar:
        tar.extractall(rootfs)
if files:
    sys.exit(f"unpack.py: nothing names {sorted(files)}")
with open(config_path, "w", encoding="utf-8") as f:
    json.dump(config, f)
print(entry["annotations"]["io.containerd.image.name"])
