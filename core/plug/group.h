/*
 * group.h - one lock for each serial group, over all plugins of the process: a library that is not thread-safe (HDF5)
 * is so whoever calls it.
 */
#ifndef MBS_PLUG_GROUP_H
#define MBS_PLUG_GROUP_H

typedef struct mbs_group mbs_group;

/* The group of that name; NULL without memory. Give back with leave. */
mbs_group *mbs_group_join(const char *name);
void mbs_group_leave(mbs_group *g);
/* NULL is fine and locks nothing. Not recursive. */
void mbs_group_lock(mbs_group *g);
void mbs_group_unlock(mbs_group *g);

#endif
