#include "base/cgroup.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/path.h"

/* The first words of a small file; "" where it cannot be read. */
static void first_line(const char *path, char *out, size_t size) {
    char *data = NULL;
    size_t len = 0;
    out[0] = '\0';
    if (mbs_path_read(path, 4096, &data, &len, NULL) == MBS_OK) {
        size_t n = strcspn(data, "\n");
        n = n < size - 1 ? n : size - 1;
        memcpy(out, data, n);
        out[n] = '\0';
        mbs_free(data);
    }
}

/* ceil(quota / period), 0 for no quota. */
static int cpus(long long quota, long long period) {
    if (quota <= 0 || period <= 0) {
        return 0;
    }
    long long n = quota / period + (quota % period != 0);
    return n < INT_MAX ? (int)n : INT_MAX;
}

static int quota_v2(const char *dir) {
    char path[PATH_MAX];
    char line[64];
    if (snprintf(path, sizeof path, "%s/cpu.max", dir) >= (int)sizeof path) {
        return 0;
    }
    first_line(path, line, sizeof line);
    char *end;
    long long quota = strtoll(line, &end, 10); /* "max" gives 0 */
    return cpus(quota, *end == ' ' ? strtoll(end, NULL, 10) : 100000);
}

static int quota_v1(const char *dir) {
    static const char *const names[2] = {"cpu.cfs_quota_us", "cpu.cfs_period_us"};
    long long value[2];
    for (int i = 0; i < 2; i++) {
        char path[PATH_MAX];
        char line[64];
        if (snprintf(path, sizeof path, "%s/%s", dir, names[i]) >= (int)sizeof path) {
            return 0;
        }
        first_line(path, line, sizeof line);
        value[i] = strtoll(line, NULL, 10); /* -1: no quota */
    }
    return cpus(value[0], value[1]);
}

/* The smallest quota of <mount><group> and its parents. In a container the group's own path is often not mounted; its
 * quota then stands at the mount itself, which is always looked at. */
static int tightest(const char *mount, const char *group, int (*quota)(const char *dir)) {
    char dir[PATH_MAX];
    int least = 0;
    size_t base = strlen(mount);
    if (snprintf(dir, sizeof dir, "%s%s", mount, group) >= (int)sizeof dir) {
        dir[base] = '\0';
    }
    for (;;) {
        int n = quota(dir);
        if (n > 0 && (least == 0 || n < least)) {
            least = n;
        }
        char *slash = strrchr(dir, '/');
        if (!slash || slash < dir + base) {
            return least;
        }
        *slash = '\0';
    }
}

/* Is `name` one of the words in "cpu,cpuacct"? */
static int has_controller(const char *list, size_t len, const char *name) {
    size_t n = strlen(name);
    for (const char *p = list; p < list + len; p += strcspn(p, ",:") + 1) {
        if (strcspn(p, ",:") == n && memcmp(p, name, n) == 0) {
            return 1;
        }
    }
    return 0;
}

/* One line of /proc/self/cgroup: "hierarchy:controllers:/group". */
static int line_cpus(const char *root, char *line) {
    static const char *const v1_mounts[] = {"cpu", "cpu,cpuacct", "cpuacct,cpu"};
    char mount[PATH_MAX];
    char *list = strchr(line, ':');
    char *group = list ? strchr(list + 1, ':') : NULL;
    if (!group) {
        return 0;
    }
    list++;
    group++;
    if (strcmp(group, "/") == 0) {
        group++;
    }
    if (strncmp(line, "0::", 3) == 0) {
        snprintf(mount, sizeof mount, "%.1024s/sys/fs/cgroup", root);
        return tightest(mount, group, quota_v2);
    }
    int least = 0;
    if (has_controller(list, (size_t)(group - 1 - list), "cpu")) {
        for (size_t i = 0; i < sizeof v1_mounts / sizeof v1_mounts[0] && least == 0; i++) {
            snprintf(mount, sizeof mount, "%.1024s/sys/fs/cgroup/%s", root, v1_mounts[i]);
            least = tightest(mount, group, quota_v1);
        }
    }
    return least;
}

int mbs_cgroup_cpus(const char *root) {
    char path[PATH_MAX];
    char *data = NULL;
    size_t len = 0;
    int least = 0;
    snprintf(path, sizeof path, "%.1024s/proc/self/cgroup", root);
    if (mbs_path_read(path, 1 << 16, &data, &len, NULL) != MBS_OK) {
        return 0;
    }
    char *rest = NULL;
    for (char *line = strtok_r(data, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest)) {
        int n = line_cpus(root, line);
        if (n > 0 && (least == 0 || n < least)) {
            least = n;
        }
    }
    mbs_free(data);
    return least;
}
