#include "base/cgroup.h"

#include <sys/stat.h>

#include "support/test.h"
#include "support/tmp.h"

/* Writes root/<path>, making its folders. */
static void put(const char *path, const char *text) {
    char full[512];
    snprintf(full, sizeof full, "root/%s", path);
    for (char *p = strchr(full, '/'); p; p = strchr(p + 1, '/')) {
        *p = '\0';
        mkdir(full, 0777);
        *p = '/';
    }
    test_tmp_write(full, text);
}

MBS_TEST(cgroup, v2_tightest_of_the_parents) {
    char dir[256];
    test_tmp_enter(dir);
    put("proc/self/cgroup", "0::/user.slice/job\n");
    CHECK_INT(mbs_cgroup_cpus("root"), 0);
    put("sys/fs/cgroup/user.slice/job/cpu.max", "max 100000\n");
    CHECK_INT(mbs_cgroup_cpus("root"), 0);
    put("sys/fs/cgroup/user.slice/cpu.max", "350000 100000\n");
    CHECK_INT(mbs_cgroup_cpus("root"), 4); /* 3.5 CPUs */
    put("sys/fs/cgroup/user.slice/job/cpu.max", "50000 100000\n");
    CHECK_INT(mbs_cgroup_cpus("root"), 1);
    put("sys/fs/cgroup/user.slice/job/cpu.max", "garbage\n");
    CHECK_INT(mbs_cgroup_cpus("root"), 4);
    test_tmp_leave(dir);
}

MBS_TEST(cgroup, v2_container_root) {
    char dir[256];
    test_tmp_enter(dir);
    put("proc/self/cgroup", "0::/\n");
    put("sys/fs/cgroup/cpu.max", "200000 100000\n");
    CHECK_INT(mbs_cgroup_cpus("root"), 2);
    /* The group as the host sees it, where only its own folder is mounted. */
    put("proc/self/cgroup", "0::/docker/0123abcd\n");
    CHECK_INT(mbs_cgroup_cpus("root"), 2);
    test_tmp_leave(dir);
}

MBS_TEST(cgroup, v1) {
    char dir[256];
    test_tmp_enter(dir);
    put("proc/self/cgroup", "12:cpuset:/a\n4:cpu,cpuacct:/a/b\n1:name=systemd:/x\n");
    put("sys/fs/cgroup/cpu,cpuacct/a/b/cpu.cfs_quota_us", "-1\n");
    put("sys/fs/cgroup/cpu,cpuacct/a/b/cpu.cfs_period_us", "100000\n");
    CHECK_INT(mbs_cgroup_cpus("root"), 0);
    put("sys/fs/cgroup/cpu,cpuacct/a/cpu.cfs_quota_us", "300000\n");
    put("sys/fs/cgroup/cpu,cpuacct/a/cpu.cfs_period_us", "100000\n");
    CHECK_INT(mbs_cgroup_cpus("root"), 3);
    /* The quota of another controller's group is not ours. */
    put("proc/self/cgroup", "12:cpuset:/a\n4:cpuacct:/a\n");
    CHECK_INT(mbs_cgroup_cpus("root"), 0);
    put("proc/self/cgroup", "no colons\n:\n::\n");
    CHECK_INT(mbs_cgroup_cpus("root"), 0);
    CHECK_INT(mbs_cgroup_cpus("none"), 0);
    test_tmp_leave(dir);
}
