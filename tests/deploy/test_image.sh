#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# The image: what is in it and nothing else, how large it is, that equal input makes an equal one, and that it runs as built.
. "$(dirname "$0")/lib.sh"
need jq chroot
setup
two_pods
deploy_image
size=$(stat -c %s "$IMAGE_TAR") unpacked=$(du -sb "$DEPLOY/rootfs" | cut -f 1)
say "$((size / 1000)) kB, unpacked $((unpacked / 1000)) kB"
[ "$size" -lt 30000000 ] && [ "$unpacked" -lt 30000000 ] || fail "it is larger than 30 MB"
version=$("$LANEWAY" --version)
expect_eq "name" "docker.io/library/laneway:${LW_VERSION:-0}" "$IMAGE_NAME"

say "equal input, an equal image"
(cd "$LWT_ROOT" && deploy/image/build.py "$LANEWAY" "${LW_VERSION:-0}" "$DEPLOY/again.tar" >/dev/null)
cmp "$IMAGE_TAR" "$DEPLOY/again.tar" || fail "two builds differ"

say "version and commit"
config() { jq -r "$1" "$DEPLOY/volumes/image.json"; }
expect_eq "version" "${LW_VERSION:-0}" "$(config '.config.Labels["org.opencontainers.image.version"]')"
LW_COMMIT=0123abc SOURCE_DATE_EPOCH=1700000000 IMAGE=example.org/x/laneway \
	"$LWT_ROOT/deploy/image/build.py" "$LANEWAY" 9 "$DEPLOY/other.tar" >/dev/null
mkdir "$DEPLOY/other"
expect_eq "another name" "example.org/x/laneway:9" "$("$DEPLOY_HERE/unpack.py" "$DEPLOY/other.tar" "$DEPLOY/other/rootfs" "$DEPLOY/other/config")"
expect_eq "what it says" "0123abc 2023-11-14T22:13:20Z" \
	"$(jq -r '"\(.config.Labels["org.opencontainers.image.revision"]) \(.created)"' "$DEPLOY/other/config")"

say "what is in it"
cd "$DEPLOY/rootfs"
expect_eq "programs" ./usr/sbin/laneway "$(find . -type f -perm /111 ! -name '*.so*')"
expect_eq "files that are writable by others, or owned by others" "" \
	"$(find . \( -perm /022 ! -type l ! -path ./tmp \) -o ! -uid 0 -o -perm /6000)"
sbom=usr/share/sbom/laneway.spdx.json
cmp "$sbom" "$DEPLOY/image.spdx.json" || fail "the SBOM beside the image is another one"
expect_eq "SBOM" "SPDX-2.3 laneway-${LW_VERSION:-0}" "$(jq -r '"\(.spdxVersion) \(.name)"' $sbom)"
# every program and library is in it, by its digest, and of a package with a version and a licence
find . -type f -perm /111 -printf '%p\n' | LC_ALL=C sort | xargs -d '\n' sha256sum >"$DEPLOY/files"
jq -r '.files[] | "\(.checksums[] | select(.algorithm == "SHA256").checksumValue)  \(.fileName)"' $sbom | LC_ALL=C sort -k 2 >"$DEPLOY/told"
cmp "$DEPLOY/files" "$DEPLOY/told" || fail "SBOM: $(diff "$DEPLOY/files" "$DEPLOY/told")"
expect_eq "ids that are there twice" "" "$(jq -r '.. | .SPDXID? // empty' $sbom | sort | uniq -d)"
expect_eq "files of no package" 0 "$(jq '(.files | map(.SPDXID)) - [.relationships[] | select(.relationshipType == "CONTAINS") | .relatedSpdxElement] | length' $sbom)"
while read -r package package_version; do
	expect_eq "version of $package" "$package_version" "$(dpkg-query -W -f '${Version}' "$package" 2>/dev/null || dpkg-query -W -f '${Version}' "$package:$(dpkg --print-architecture)")"
	[ -s "usr/share/doc/$package/copyright" ] || fail "no licence of $package"
	grep -q "^Package: $package$" "var/lib/dpkg/status.d/$package" || fail "no record of $package"
done < <(jq -r '.packages[] | select(.name != "laneway") | "\(.name) \(.versionInfo)"' $sbom)
cd "$LWT_ROOT"

say "it runs as built: from the folder alone"
expect_eq "version" "$version" "$(chroot "$DEPLOY/rootfs" /usr/sbin/laneway --version)"
mkdir "$DEPLOY/rootfs/state"
cp "$LWT_STATE"/* "$DEPLOY/rootfs/state/"
expect_eq "check" gray "$(chroot "$DEPLOY/rootfs" /usr/sbin/laneway check /state -o json | jq -r '.lanes[].name')"
code=0
chroot "$DEPLOY/rootfs" /usr/sbin/laneway agent --kube >"$LWT_TMP/out" 2>&1 || code=$?
expect_like "what it is made to do" '5 *KUBERNETES_SERVICE_HOST*' "$code $(cat "$LWT_TMP/out")"
say ok
