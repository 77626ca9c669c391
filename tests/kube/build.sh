#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# build.sh DIR [COMMAND...]: these commands of Kubernetes (kube-apiserver, kubelet...) in DIR/bin, kube-apiserver if none is named, built
# from Debian's source package `kubernetes` (1.20.2) with Debian's Go 1.19: no other place has them. Ten minutes on two cores, once:
# what is there already stays. Installs nothing, and changes nothing of the system's package lists: DIR has lists and sources of
# its own.
set -euo pipefail
dir=$(mkdir -p "$1" && cd "$1" && pwd)
exec 9>"$dir/lock"
flock 9
wanted=()
for name in "${@:2}"; do
	[ -x "$dir/bin/$name" ] || wanted+=("$name")
done
[ $# -gt 1 ] || [ -x "$dir/bin/kube-apiserver" ] || wanted=(kube-apiserver)
[ ${#wanted[@]} -gt 0 ] || exit 0
[ "$(id -u)" = 0 ] || {
	echo "build.sh: root is needed to read package lists" >&2
	exit 1
}

apt=$dir/apt
mkdir -p "$apt/lists/partial" "$apt/cache/archives/partial" "$dir/debs" "$dir/k8s" "$dir/bin"
# The machine's own Debian sources, with source packages.
if [ -e /etc/apt/sources.list.d/debian.sources ]; then
	sed 's/^Types:.*/Types: deb deb-src/' /etc/apt/sources.list.d/debian.sources >"$apt/src.sources"
	list=$apt/src.sources
else
	sed -n 's/^deb \(.*\)/deb \1\ndeb-src \1/p' /etc/apt/sources.list >"$apt/src.list"
	list=$apt/src.list
fi
own=(-o "Dir::Etc::sourcelist=$list" -o Dir::Etc::sourceparts=- -o "Dir::State::lists=$apt/lists" -o "Dir::Cache=$apt/cache"
	-o APT::Sandbox::User=root)
say() { printf 'kubernetes: %s\n' "$*"; }

say "fetching the sources and the compiler"
apt-get "${own[@]}" -qq update
(cd "$dir/debs" && apt-get "${own[@]}" -qq download golang-1.19-go golang-1.19-src golang-github-modern-go-reflect2-dev)
for deb in "$dir"/debs/golang-*.deb; do
	dpkg -x "$deb" "$dir/gopkg"
done
src=$dir/k8s/src
if [ ! -e "$src" ]; then
	(cd "$dir/k8s" && apt-get "${own[@]}" -qq source kubernetes >/dev/null)
	mv "$dir"/k8s/kubernetes-1.20* "$src"
fi

export GOROOT=$dir/gopkg/usr/lib/go-1.19 GOPATH=$dir/k8s/go GOCACHE=$dir/k8s/gocache GO111MODULE=off GOFLAGS='' CGO_ENABLED=0
export PATH=$GOROOT/bin:$PATH
unset GOTOOLCHAIN
mkdir -p "$GOPATH/src/k8s.io"
ln -sfn "$src" "$GOPATH/src/k8s.io/kubernetes"
# The vendored reflect2 1.0.1 breaks maps with go >= 1.18; Debian has 1.0.2.
rm -rf "$src/vendor/github.com/modern-go/reflect2"
cp -r "$dir/gopkg/usr/share/gocode/src/github.com/modern-go/reflect2" "$src/vendor/github.com/modern-go/"
cd "$GOPATH/src/k8s.io/kubernetes"
if [ ! -e pkg/generated/openapi/zz_generated.openapi.go ]; then
	say "generating the one file that the source package lacks"
	go build -o "$dir/k8s/openapi-gen" ./vendor/k8s.io/kube-openapi/cmd/openapi-gen
	inputs=$(cd "$src" && grep -rl --include='*.go' '+k8s:openapi-gen=' staging/src/k8s.io pkg cmd | xargs -n1 dirname |
		LC_ALL=C sort -u | grep -vE 'code-generator|sample-apiserver|generators' |
		sed 's,^staging/src/,k8s.io/kubernetes/vendor/,; s,^\(pkg\|cmd\)/,k8s.io/kubernetes/\1/,' | paste -sd,)
	"$dir/k8s/openapi-gen" -h vendor/k8s.io/code-generator/hack/boilerplate.go.txt -i "$inputs" \
		-p k8s.io/kubernetes/pkg/generated/openapi -O zz_generated.openapi --output-base "$GOPATH/src" -r "$dir/k8s/violations"
fi
say "compiling ${wanted[*]}: some ten minutes for the first, and only this once"
version=k8s.io/kubernetes/vendor/k8s.io/component-base/version
for name in "${wanted[@]}"; do
	go build -trimpath -o "$dir/bin/$name.tmp" -ldflags "-s -w -X $version.gitVersion=v1.20.2 -X $version.gitMajor=1 \
		-X $version.gitMinor=20 -X $version.gitTreeState=clean" "./cmd/$name"
	mv "$dir/bin/$name.tmp" "$dir/bin/$name"
done
