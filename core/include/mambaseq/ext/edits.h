/*
 * ext/edits.h - "mambaseq.edits/1": a reader that, beside the sequences, tells what could be changed in them.
 *
 * For task variant: how likely is the sequence with the change put in, against how likely it is as it stands. An edit
 * takes units out of a sequence at one place and puts others in. The alternatives at one place (the alleles of a
 * variant) are one group and one block of type "edits": i64, n x 3, a row for each alternative:
 *   position   of the first unit taken out
 *   removed    units taken out; -1: nothing that can be put in (a name, an allele that is missing), it is kept and
 *              marked
 *   inserted   where its units begin in the side channel "inserted" (i32: the numbers of what the reader delivers,
 *              letters of bases/u8); they end at the first value below 0. With removed -1: one of MBS_EDIT_...
 * The block is made for as many rows as the longer of the two needs; shape[0] says how many alternatives there are, 0
 * of a group without any. Its start and end are the place [position, position + removed) of all of them. It carries
 * MBS_SEQ_START and MBS_SEQ_END and a record of its own: what the writers get for it (name, start, length, origin,
 * attributes), with `index` counting the groups in the order of the input, from 0.
 *
 * Coordinates of a record of strand '-' are those of its blocks, counted from its own beginning.
 */
#ifndef MAMBASEQ_EXT_EDITS_H
#define MAMBASEQ_EXT_EDITS_H

#include <stdint.h>

#include "mambaseq/block.h"
#include "mambaseq/status.h"

#define MBS_EXT_EDITS "mambaseq.edits/1"

/* Why an alternative has no likelihood: values of the side channel "reason" (u8) of what a writer gets. */
#define MBS_EDIT_SCORED 0u   /* it has one */
#define MBS_EDIT_SYMBOLIC 1u /* it says no units */
#define MBS_EDIT_MISFIT 2u   /* what it takes out is not what stands there */
#define MBS_EDIT_UNKNOWN 3u  /* units among it that the vocabulary does not know */
#define MBS_EDIT_FIRST 4u    /* at the beginning of the sequence, where nothing predicts it */
#define MBS_EDIT_LENGTH 5u   /* it changes the length, and the model compares letters of one place only */
#define MBS_EDIT_REASONS 6u

#define MBS_EDIT_PLUS 1u
#define MBS_EDIT_MINUS 2u

typedef struct mbs_ext_edits {
    uint32_t struct_size;
    uint32_t reserved;
    /* [control] After create and before open. Of every sequence with edits a record comes for each of `strands`: strand
     * '-' (turned round and complemented) first, then '+'. With MBS_EDIT_MINUS alone the record of strand '+' comes
     * too, without units: its edits have the order of the input. What lies more than `follow` units behind the last
     * edit of a record may be left out. Not called: strand '+', and edits are not asked for. */
    mbs_status (*want)(void *self, uint32_t strands, int64_t follow);
    /* [stage] Between two reads: the next group of the record that the last block belongs to, by position; only one
     * whose start lies before `before`. MBS_END: there is none such. *out belongs to the caller; its record is borrowed
     * until the next call of this instance. A record that ends with groups that nobody asked for loses them. */
    mbs_status (*next)(void *self, int64_t before, mbs_block **out);
} mbs_ext_edits;

#endif
