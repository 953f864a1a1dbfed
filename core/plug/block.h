/*
 * block.h - what core knows of a block besides its public part. The functions for everybody are in instance.h.
 */
#ifndef MBS_PLUG_BLOCK_H
#define MBS_PLUG_BLOCK_H

#include <stddef.h>
#include <stdint.h>

#include "mambaseq/block.h"

/* What block_new was asked for; shape[0] of the public part may be lower since. */
int64_t mbs_block_rows_made(const mbs_block *b);
/* Nonzero where data and side channels still are the host's memory and the shape still fits into it. */
int mbs_block_is_sound(const mbs_block *b);
/* Nonzero where `b` is a block that block_new made and that was not freed since; b itself is not looked at, so any
 * pointer will do. */
int mbs_block_is_live(const mbs_block *b);
/* Who made it, for as long as it was not handed on (NULL). */
void mbs_block_own(mbs_block *b, const void *owner);
/* Live blocks of an owner: what a plugin left behind. */
int mbs_block_owned(const void *owner);
/* The element type behind the slash of a type name ("bases/u8": MBS_U8; "edits": MBS_I64), 0 where there is none. */
int32_t mbs_type_dtype(const char *type);

#endif
