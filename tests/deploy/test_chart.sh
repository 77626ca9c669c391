#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# The chart holds the objects of deploy/, its values do what they say, and all carry the version of the program. It is rendered
# by the libraries that helm is made of: Debian 12 has no helm.
set -euo pipefail
cd "$(dirname "$0")/../.."
build=$(cd "${BUILD:-build}" && pwd)
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
fail() {
	printf 'FAIL: %s\n' "$*" >&2
	exit 1
}
for tool in kubectl jq; do
	command -v $tool >/dev/null || { echo "SKIP: $tool is not installed" && exit 77; }
done
[ -x "$build/tests/render" ] || fail "$build/tests/render is not built"

render() { "$build/tests/render" deploy/helm/laneway laneway "$@" >"$tmp/chart.yaml"; }
# ask FILTER: of the rendered objects as one JSON list.
ask() { /usr/bin/python3 -c 'import json, sys, yaml; print(json.dumps([o for o in yaml.safe_load_all(sys.stdin) if o]))' <"$tmp/chart.yaml" | jq -r "$1"; }
pod='.[] | select(.kind == "DaemonSet") | .spec.template'

kubectl kustomize deploy >"$tmp/kustomized.yaml"
render v1.29.0 namespace.create=true
tests/deploy/same.py "$tmp/kustomized.yaml" "$tmp/chart.yaml" || fail "deploy/ and the chart differ"

# the comparison sees a difference
for change in events=false priorityClassName=other cgroupPath=/x 'tolerations=[]'; do
	render v1.29.0 namespace.create=true "$change"
	tests/deploy/same.py "$tmp/kustomized.yaml" "$tmp/chart.yaml" >"$tmp/out" && fail "$change changes nothing"
done

render v1.29.0
[ "$(ask '[.[] | select(.kind == "Namespace")] | length')" = 0 ] || fail "a namespace that was not asked for"
render v1.31.2
[ "$(ask "$pod"'.spec.containers[0].securityContext.appArmorProfile.type')" = Unconfined ] || fail "1.31: appArmorProfile"
[ "$(ask "$pod"'.metadata.annotations | keys | join(" ")')" = checksum/options ] || fail "1.31: annotations"
render v1.29.0 events=false
[ "$(ask '[.. | .resources? | select(. == ["events"])] | length')" = 0 ] || fail "events=false: the right is still there"
ask '.[] | select(.kind == "ConfigMap") | .data.options' | (! grep -x events) || fail "events=false: the option is still there"
[ "$(ask "$pod"'.spec.containers | length')" = 1 ] || fail "a container that was not asked for"
render v1.29.0 metrics.enabled=true metrics.port=9999 metrics.serviceMonitor=true
[ "$(ask "$pod"'.spec.containers[1] | "\(.args | join(" ")) \(.ports) \(.securityContext.capabilities | tojson) \(.volumeMounts | map(.name) | join(","))"')" = \
	'metrics --listen=0.0.0.0:9999 null {"drop":["ALL"]} run' ] || fail "metrics: $(ask "$pod"'.spec.containers[1]')"
[ "$(ask '.[] | select(.kind == "Service") | "\(.spec.clusterIP) \(.spec.ports[0].name) \(.spec.ports[0].targetPort)"')" = "None metrics 9999" ] || fail "no Service"
[ "$(ask '.[] | select(.kind == "ServiceMonitor") | .spec.endpoints[0].port')" = metrics ] || fail "no ServiceMonitor"
render v1.29.0 metrics.enabled=true
[ "$(ask '[.[] | select(.kind == "ServiceMonitor")] | length')" = 0 ] || fail "a ServiceMonitor that was not asked for"
render v1.29.0
[ "$(ask '[.[] | select(.kind == "ResourceQuota")] | length')" = 0 ] || fail "a quota that was not asked for"
render v1.29.0 resourceQuota.create=true resourceQuota.pods=500 priorityClassName=system-cluster-critical
[ "$(ask '.[] | select(.kind == "ResourceQuota") | "\(.metadata.namespace) \(.spec.hard.pods | @json) \(.spec.scopeSelector.matchExpressions[0].values | join(","))"')" = \
	'laneway "500" system-cluster-critical' ] || fail "resourceQuota: $(ask '.[] | select(.kind == "ResourceQuota")')"
render v1.29.0 events=false
sum=$(ask "$pod"'.metadata.annotations["checksum/options"]')
render v1.29.0 events=false 'options=[log-level debug]'
[ "$(ask '.[] | select(.kind == "ConfigMap") | .data.options')" = "log-level debug" ] || fail "options"
[ "$(ask "$pod"'.metadata.annotations["checksum/options"]')" != "$sum" ] || fail "other options, the same pods"
render v1.29.0 name=lanes image.repository=example.org/x image.tag=9 'imagePullSecrets=[{name: s}]' 'podLabels={a: b}' \
	'podAnnotations={c: d}' 'affinity={nodeAffinity: {}}' 'nodeSelector={e: f}' 'resources={}' updateStrategy.type=OnDelete
[ "$(ask "$pod"'| .metadata.labels.a, .metadata.annotations.c, .spec.nodeSelector.e, .spec.containers[0].image, .spec.imagePullSecrets[0].name, (.spec.containers[0].resources | length)' | paste -sd ' ')" = \
	"b d f example.org/x:9 s 0" ] || fail "values: $(ask "$pod")"

# one version everywhere
version=$(sed -n 's/^VERSION := //p' Makefile)
for file in deploy/helm/laneway/Chart.yaml:version deploy/helm/laneway/Chart.yaml:appVersion; do
	grep -qx "${file#*:}: $version" "${file%:*}" || fail "$file is not $version"
done
[ "$(sed -n 's/^ *image: //p' "$tmp/kustomized.yaml")" = "laneway:$version" ] || fail "the image of deploy/ is not laneway:$version"
echo ok
