/*
 * cgroup.h - the CPU quota of the control group that this process runs in.
 */
#ifndef MBS_BASE_CGROUP_H
#define MBS_BASE_CGROUP_H

/* Number of CPUs that the quota amounts to, rounded up; 0 where there is none. Reads <root>/proc/self/cgroup and
 * <root>/sys/fs/cgroup (v2, and v1's cpu controller), where the tightest of the group and its parents counts. `root` is
 * "" but for tests. */
int mbs_cgroup_cpus(const char *root);

#endif
