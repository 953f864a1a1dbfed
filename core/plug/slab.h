/*
 * slab.h - memory of blocks and records, kept by size for the next one: ten million short records then cost two
 * allocations, not twenty million. What is kept is bounded; pieces over 16 MiB go straight back to the system.
 */
#ifndef MBS_PLUG_SLAB_H
#define MBS_PLUG_SLAB_H

#include <stddef.h>

/* Aligned to 64, not cleared, NULL without memory. From any thread. */
void *mbs_slab_get(size_t bytes);
void mbs_slab_put(void *p); /* NULL is fine */
/* Bytes that lie ready for reuse. */
size_t mbs_slab_kept(void);
/* Gives all of them back. */
void mbs_slab_trim(void);

#endif
