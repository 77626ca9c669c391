/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Whose a cgroup is, by its name. The kubelet makes one for each pod, which holds those of its containers:
 *
 *	kubepods.slice/kubepods-burstable.slice/kubepods-burstable-podUID.slice/cri-containerd-ID.scope	driver systemd, containerd
 *	kubepods.slice/kubepods-podUID.slice/crio-ID.scope		driver systemd, CRI-O
 *	kubepods/besteffort/podUID/ID					driver cgroupfs, containerd; CRI-O: crio-ID
 *	system.slice/containerd.service/kubepods-burstable-podUID.slice:cri-containerd:ID	driver systemd, containerd not told so
 *
 * and all of it below another folder in some distributions. systemd has `_` for `-` in a UID.
 */
#include <stdbool.h>

#define LW_POD_UID_LEN 40

/* Is this folder a pod's (or one of its containers')? uid: as the API says it. */
bool lw_pod_cgroup(const char *name, char uid[LW_POD_UID_LEN]);
