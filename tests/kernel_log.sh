# SPDX-License-Identifier: Apache-2.0
# Sourced: what the kernel complained of.

complaint='WARNING: |BUG: |Oops|general protection|Kernel panic|INFO: task .* blocked|soft lockup|refcount_t|suspicious RCU|use-after-free|hung_task: '
complaint+='|rcu: INFO: .*detected (expedited )?stall|unregister_netdevice: waiting for|UBSAN:|page allocation failure|Out of memory: Kill'

# Writes a line to the kernel log and prints it. Fails where the log is not to be had.
kernel_log_mark() {
	local mark="laneway $1 $$.$RANDOM"
	dmesg >/dev/null 2>&1 && { echo "$mark" >/dev/kmsg; } 2>/dev/null || return 1
	echo "$mark"
}

# The kernel log behind the mark, all of it when the mark has been pushed out. One warning is left out: the kernel's own
# race between a reader and the worker that queues steered bytes to its socket, both of which change sk_forward_alloc
# (docs/adr/0007-forward-alloc-warning.md).
kernel_log_since() {
	dmesg | awk -v mark="$1" '{ line[NR] = $0 } index($0, mark) { from = NR }
		END {
			for (i = from + 1; i <= NR; i++) {
				if (line[i] ~ /WARNING: .*inet_sock_destruct/) {
					known = 0
					for (j = i; j <= NR && line[j] !~ /<\/TASK>|end trace/; j++) {
						if (j <= i + 6 && line[j] ~ /Workqueue: events sk_psock_destroy/)
							known = 1
						# the first that it was called by
						if (line[j] ~ / __sk_destruct\+/ && line[j + 1] ~ / tcp_v[46]_rcv\+/)
							known = 1
					}
					if (known) {
						while (i <= NR && line[i] !~ /<\/TASK>|end trace/)
							i++
						continue
					}
				}
				print line[i]
			}
		}'
}

kernel_complaints_since() {
	kernel_log_since "$1" | grep -E "$complaint" || true
}
