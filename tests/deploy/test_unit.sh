#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# `make install` and the systemd unit: systemd understands it, it gives the agent no right that the DaemonSet does not, and the
# agent steers under its capabilities, system calls and address families. There is no systemd here that would run it.
. "$(dirname "$0")/lib.sh"
need systemd-analyze make
setup
root=$LWT_TMP/root unit=$LWT_TMP/root/usr/lib/systemd/system/laneway.service
install_it() { make -s -C "$LWT_ROOT" BUILD="$LWT_BUILD" install PREFIX="$root/usr" SYSCONFDIR="$root/etc"; }

install_it
expect_eq "version" "$("$LANEWAY" --version)" "$("$root/usr/sbin/laneway" --version)"
[ -d "$root/etc/laneway/state" ] || fail "no folder for the state"
echo "fail-closed" >>"$root/etc/laneway/options"
install_it
expect_eq "installed again: options" "fail-closed" "$(tail -n 1 "$root/etc/laneway/options")"
systemd-analyze verify --man=no "$unit" >"$LWT_TMP/out" 2>&1 || fail "$(cat "$LWT_TMP/out")"
expect_eq "systemd's words" "" "$(cat "$LWT_TMP/out")"
grep -q "^ExecStart=$root/usr/sbin/laneway agent --state /etc/laneway/state --options /etc/laneway/options$" "$unit" ||
	fail "ExecStart: $(grep ExecStart "$unit")"
# a key that systemd does not know is said
sed 's/^ProtectClock=/ProtectClocks=/' "$unit" >"$LWT_TMP/laneway.service"
expect_like "an unknown key" "*ProtectClocks*" "$(systemd-analyze verify --man=no "$LWT_TMP/laneway.service" 2>&1)"

two_pods
deploy_setup
expect_eq "capabilities" "$(podspec --print containers.0.securityContext.capabilities.add | sed 's/^/CAP_/' | sort | paste -sd ' ')" \
	"$(sed -n 's/^CapabilityBoundingSet=//p' "$unit" | tr ' ' '\n' | sort | paste -sd ' ')"
"$DEPLOY_HERE/unit_seccomp.py" "$unit" >"$LWT_TMP/seccomp.json"
container_start_state --seccomp "$LWT_TMP/seccomp.json"
container_up
state_sync
ends() { req client -o /dev/null -w '%header{x-pod} %{size_download}' "$@" | names_only; }
expect_eq "tagged" "c1gray 3000" "$(ends -H 'x-mse-tag: gray' "$B1/size/3000")"
expect_eq "an answer that ends with its connection" "c1gray 3000" "$(ends -H 'x-mse-tag: gray' "$B1/close/3000")"
expect_eq "untagged" "b1 3000" "$(ends "$B1/size/3000")"
container_stop

say "without bpf(2) it steers nothing, and says so"
jq '.syscalls[0].names -= ["bpf"]' "$LWT_TMP/seccomp.json" >"$LWT_TMP/less.json"
container_start_state --seccomp "$LWT_TMP/less.json"
container_up
code=0
lw status >"$LWT_TMP/out" || code=$?
expect_eq "status" 4 "$code"
expect_like "tagged" 'b1 3000' "$(ends -H 'x-mse-tag: gray' "$B1/size/3000")"
container_stop
say ok
