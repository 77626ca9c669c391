#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""build.py BINARY VERSION OUT.tar: an OCI image of the agent, made of this machine's files by nothing but Python.

In it are the program, the shared libraries it is linked with and the loader, all taken from the Debian packages installed
here, the licences of these, what scanners look for (os-release, dpkg's records), an SBOM, and empty folders to mount on.
No shell, no package manager. OUT.tar is an OCI image layout (podman load, ctr images import, skopeo oci-archive:); the
SBOM lies beside it as OUT.spdx.json.

Equal input makes an equal image: times are SOURCE_DATE_EPOCH, which is the commit's time by default. LW_COMMIT names the
commit where there is no git. IMAGE is the name, "laneway" by default.
"""
import datetime
import gzip
import hashlib
import io
import json
import os
import re
import stat
import subprocess
import sys
import tarfile
import tempfile

NAME = "laneway"
MOUNT_POINTS = ["dev", "etc/laneway", "host/cgroup", "proc", "run/laneway", "sys", "tmp",
                "var/run/secrets/kubernetes.io/serviceaccount"]
LINKS = {"bin": "usr/bin", "sbin": "usr/sbin", "lib": "usr/lib", "lib64": "usr/lib64"}
SBOM = "usr/share/sbom/laneway.spdx.json"


def run(*command):
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, env=dict(os.environ, LC_ALL="C")).stdout


def read(path):
    with open(path, "rb") as f:
        return f.read()


def die(text):
    sys.exit(f"build.py: {text}")


def git(*args):
    try:
        return subprocess.run(("git", *args), check=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
                              text=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return ""


def commit():
    if os.environ.get("LW_COMMIT"):
        return os.environ["LW_COMMIT"]
    head = git("rev-parse", "HEAD")
    return head + ("-dirty" if head and git("status", "--porcelain", "--untracked-files=no") else "") if head else "unknown"


def libraries(binary):
    """Names as the loader looks for them, and where they are here: {"/lib64/ld-linux-x86-64.so.2": path, ...}"""
    found = {}
    for line in run("ldd", binary).splitlines():
        words = line.split()
        if "not found" in line:
            die(f"{binary} needs {words[0]}, which is not here")
        path = words[2] if "=>" in words else words[0]
        if path.startswith("/"):
            found[path] = os.path.realpath(path)
    return found


def owners(paths):
    """Packages of files: {path: package}. dpkg knows a file by the name it was installed under, before or after the merge
    of /usr."""
    names = {name: path for path in paths for name in (path, re.sub("^/usr", "", path), "/usr" + path)}
    answer = subprocess.run(("dpkg-query", "-S", *sorted(names)), stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    found = {}
    for line in answer.stdout.splitlines():
        package_names, name = line.rsplit(": ", 1)
        found[names[name]] = package_names.split(", ")[0]
    for path in paths:
        if path not in found:
            die(f"no Debian package has {path}: images are made on a Debian system, of its packages")
    return found


FIELDS = ["Package", "Version", "Architecture", "Maintainer", "Homepage", "source:Package", "source:Version"]


def package(name):
    text = run("dpkg-query", "-W", "-f", "\x1f".join("${" + f + "}" for f in FIELDS), name)
    return dict(zip(FIELDS, text.split("\x1f")))


class Tree:
    """What goes into the layer: path to (mode, contents or None for a folder, target of a link or None)."""

    def __init__(self):
        self.entries = {}

    def folder(self, path, mode=0o755):
        while path:
            self.entries.setdefault(path, (mode, None, None))
            path, mode = os.path.dirname(path), 0o755

    def file(self, path, data, mode=0o644):
        self.folder(os.path.dirname(path))
        self.entries[path] = (mode, data, None)

    def link(self, path, target):
        self.folder(os.path.dirname(path))
        self.folder(target)
        self.entries[path] = (0o777, None, target)

    def tar(self, epoch):
        out = io.BytesIO()
        with tarfile.open(fileobj=out, mode="w", format=tarfile.GNU_FORMAT) as tar:
            for path in sorted(self.entries):
                mode, data, target = self.entries[path]
                info = tarfile.TarInfo(path)
                info.mode, info.mtime = mode, epoch
                info.type = tarfile.SYMTYPE if target else tarfile.REGTYPE if data is not None else tarfile.DIRTYPE
                info.linkname, info.size = target or "", len(data or b"")
                tar.addfile(info, io.BytesIO(data) if data else None)
        return out.getvalue()


def os_release():
    return dict(re.findall(r'^(\w+)="?([^"\n]*)"?$', read("/etc/os-release").decode(), re.M))


def distro(release):
    return f"{release.get('ID', 'debian')}-{release.get('VERSION_ID', '')}".rstrip("-")


def spdx(version, revision, created, files, packages, release):
    """files: {path in the image: (contents, package)}, package None for the program itself."""
    def identity(text):
        return "SPDXRef-" + re.sub(r"[^A-Za-z0-9.-]", "-", text)

    def entry(name, **more):
        return {"SPDXID": identity("Package-" + name), "name": name, "downloadLocation": "NOASSERTION",
                "filesAnalyzed": False, "licenseConcluded": "NOASSERTION", "copyrightText": "NOASSERTION", **more}

    document = {
        "spdxVersion": "SPDX-2.3", "dataLicense": "CC0-1.0", "SPDXID": "SPDXRef-DOCUMENT",
        "name": f"{NAME}-{version}", "documentNamespace": f"https://spdx.org/spdxdocs/{NAME}-{version}-{revision}",
        "creationInfo": {"created": created, "creators": ["Tool: laneway-deploy-image-build.py"]},
        "packages": [entry(NAME, versionInfo=version, licenseDeclared="Apache-2.0 AND (GPL-2.0-only OR BSD-2-Clause)",
                           supplier="NOASSERTION", sourceInfo=f"commit {revision}", primaryPackagePurpose="APPLICATION")],
        "files": [],
        "relationships": [{"spdxElementId": "SPDXRef-DOCUMENT", "relationshipType": "DESCRIBES",
                           "relatedSpdxElement": identity("Package-" + NAME)}],
    }
    for name, p in sorted(packages.items()):
        purl = (f"pkg:deb/{release.get('ID', 'debian')}/{p['Package']}@{p['Version'].replace('+', '%2B')}"
                f"?arch={p['Architecture']}&distro={distro(release)}")
        document["packages"].append(entry(
            p["Package"], versionInfo=p["Version"], licenseDeclared="NOASSERTION", supplier="Person: " + p["Maintainer"],
            sourceInfo=f"built from the source package {p['source:Package']} {p['source:Version']}",
            homepage=p["Homepage"] or "NOASSERTION",
            externalRefs=[{"referenceCategory": "PACKAGE-MANAGER", "referenceType": "purl", "referenceLocator": purl}]))
        document["relationships"].append({"spdxElementId": identity("Package-" + NAME), "relationshipType": "DEPENDS_ON",
                                          "relatedSpdxElement": identity("Package-" + p["Package"])})
    for path, (data, name) in sorted(files.items()):
        document["files"].append({"SPDXID": identity("File-" + path), "fileName": "./" + path,
                                  "checksums": [{"algorithm": "SHA1", "checksumValue": hashlib.sha1(data).hexdigest()},
                                                {"algorithm": "SHA256", "checksumValue": hashlib.sha256(data).hexdigest()}],
                                  "licenseConcluded": "NOASSERTION", "copyrightText": "NOASSERTION"})
        of = packages[name]["Package"] if name else NAME
        document["relationships"].append({"spdxElementId": identity("Package-" + of), "relationshipType": "CONTAINS",
                                          "relatedSpdxElement": identity("File-" + path)})
    return (json.dumps(document, indent=1, sort_keys=True) + "\n").encode()


def fill(binary, version, revision, created):
    """The layer's tree, and the SBOM."""
    tree, files, packages, release = Tree(), {}, {}, os_release()
    with tempfile.NamedTemporaryFile() as stripped:
        run("strip", "--strip-all", "-o", stripped.name, binary)
        files["usr/sbin/" + NAME] = (read(stripped.name), None)
    for link, target in LINKS.items():
        tree.link(link, target)
    needed = libraries(binary)
    of = owners(set(needed.values()))
    for asked, path in needed.items():
        name = of[path]
        packages.setdefault(name, package(name))
        where = asked.lstrip("/")
        files[where if where.startswith("usr/") else "usr/" + where] = (read(path), name)
    for path, (data, _) in files.items():
        tree.file(path, data, 0o755)
    here = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
    tree.file(f"usr/share/doc/{NAME}/copyright", read(os.path.join(here, "LICENSE")))
    for name, p in packages.items():
        tree.file(f"usr/share/doc/{p['Package']}/copyright", read(f"/usr/share/doc/{p['Package']}/copyright"))
        tree.file(f"var/lib/dpkg/status.d/{p['Package']}", run("dpkg-query", "-s", name).encode())
    for path in MOUNT_POINTS:
        tree.folder(path, 0o1777 if path == "tmp" else 0o755)
    tree.file("etc/os-release", read("/etc/os-release"))
    tree.file("etc/passwd", b"root:x:0:0:root:/:/usr/sbin/nologin\n")
    tree.file("etc/group", b"root:x:0:\n")
    tree.file("etc/nsswitch.conf", b"hosts: files dns\n")
    sbom = spdx(version, revision, created, files, packages, release)
    tree.file(SBOM, sbom)
    return tree, sbom, distro(release)


def blob(blobs, data, kind):
    digest = hashlib.sha256(data).hexdigest()
    blobs["blobs/sha256/" + digest] = data
    return {"mediaType": kind, "digest": "sha256:" + digest, "size": len(data)}


def layout(image, version, revision, created, base, layer_tar):
    blobs = {}
    arch = run("dpkg", "--print-architecture").strip()
    labels = {"title": NAME, "description": "eBPF-based traffic lanes for Kubernetes canaries", "version": version,
              "revision": revision, "created": created, "licenses": "Apache-2.0 AND (GPL-2.0-only OR BSD-2-Clause)",
              "base.name": base}
    labels = {"org.opencontainers.image." + k: v for k, v in labels.items()}
    config = {
        "created": created, "architecture": arch, "os": "linux",
        "config": {"Entrypoint": ["/usr/sbin/" + NAME], "Cmd": ["help"], "Env": ["PATH=/usr/sbin:/usr/bin"], "User": "0:0",
                   "WorkingDir": "/", "Labels": labels},
        "rootfs": {"type": "layers", "diff_ids": ["sha256:" + hashlib.sha256(layer_tar).hexdigest()]},
        "history": [{"created": created, "created_by": "make image", "comment": f"commit {revision}"}],
    }
    layer = blob(blobs, gzip.compress(layer_tar, 9, mtime=0), "application/vnd.oci.image.layer.v1.tar+gzip")
    manifest = {"schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json",
                "config": blob(blobs, json.dumps(config, sort_keys=True).encode(), "application/vnd.oci.image.config.v1+json"),
                "layers": [layer], "annotations": labels}
    entry = blob(blobs, json.dumps(manifest, sort_keys=True).encode(), manifest["mediaType"])
    entry["platform"] = {"architecture": arch, "os": "linux"}
    # What podman and skopeo, and what containerd call it.
    full = image if "/" in image else "docker.io/library/" + image
    entry["annotations"] = {"org.opencontainers.image.ref.name": version, "io.containerd.image.name": f"{full}:{version}"}
    index = {"schemaVersion": 2, "mediaType": "application/vnd.oci.image.index.v1+json", "manifests": [entry]}
    return {"oci-layout": b'{"imageLayoutVersion":"1.0.0"}', "index.json": json.dumps(index, sort_keys=True).encode(), **blobs}


def main():
    if len(sys.argv) != 4:
        die("usage: build.py BINARY VERSION OUT.tar")
    binary, version, out = sys.argv[1:]
    if not stat.S_ISREG(os.stat(binary).st_mode):
        die(f"{binary} is no file")
    revision = commit()
    epoch = int(os.environ.get("SOURCE_DATE_EPOCH") or git("log", "-1", "--format=%ct") or 0)
    created = datetime.datetime.fromtimestamp(epoch, datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
    tree, sbom, base = fill(binary, version, revision, created)
    layer_tar = tree.tar(epoch)
    files = Tree()
    for path, data in layout(os.environ.get("IMAGE") or NAME, version, revision, created, base, layer_tar).items():
        files.file(path, data)
    os.makedirs(os.path.dirname(os.path.abspath(out)), exist_ok=True)
    for path, data in ((out, files.tar(epoch)), (re.sub(r"\.tar$", "", out) + ".spdx.json", sbom)):
        with open(path + ".tmp", "wb") as f:
            f.write(data)
        os.rename(path + ".tmp", path)
    print(f"{out}: {os.path.getsize(out) / 1e6:.1f} MB, unpacked {len(layer_tar) / 1e6:.1f} MB, commit {revision}")


main()
