/*
 * reader.h - variants and the reference that they are changes of: contigs as streams of letters, and beside them the
 * alleles as edits (mambaseq/ext/edits.h).
 *
 * Only contigs with variants are read, in the order of the file. The other strand needs the edits from the contig's
 * end, so for it a second look at the file collects those of one contig beforehand.
 */
#ifndef VF_READER_H
#define VF_READER_H

#include <htslib/vcf.h>

#include "genomics/htsutil/reference.h"
#include "mambaseq/ext/edits.h"
#include "mambaseq/ext/inspect.h"
#include "mambaseq/plugin.h"
#include "record.h"

#define VF_PIECE 65536
#define VF_AHEAD 4096 /* records that are read ahead at most, but those of one place */

/* One look at the file, record by record. */
typedef struct vf_input {
    htsFile *fp;
    vf_head *head;
    vf_record *ahead; /* the record that was read last and not taken; NULL: nothing, or the end */
    int ended;
    int64_t n;     /* records read */
    uint8_t *seen; /* contigs, by rid */
    int64_t n_seen;
    int32_t rid; /* of the record before */
    int64_t pos;
} vf_input;

/* What one allele does. */
typedef struct vf_change {
    int reason;          /* MBS_EDIT_... */
    const char *letters; /* n of them */
    int64_t n;
} vf_change;

/* Edits of a record on strand -. */
typedef struct vf_turn {
    int64_t index;
    int64_t start, end;  /* from the contig's end; -1 in the file: it has no place there */
    int64_t text, bytes; /* of its alleles in the file: a reason and letters each, with a NUL behind */
    int64_t n;
} vf_turn;

typedef struct vf_reader {
    const mbs_host *host;
    const mbs_params *params;
    const char *path;
    int allow_truncated;
    int mark; /* a REF that does not fit is marked, not refused */
    uint32_t strands;
    int64_t follow;
    hu_reference reference;
    vf_input in;   /* for strand + */
    vf_input scan; /* for strand - */

    mbs_stream_header header;
    mbs_source source;
    mbs_contig *contigs;
    mbs_attr columns;

    /* the contig at hand */
    int inside;    /* its record is not complete */
    int minus;     /* and is that of strand - */
    int plus_left; /* strand + is still to come */
    int32_t rid;
    int64_t entry; /* in the reference's index, -1: it is not there */
    int64_t length;
    int64_t position; /* next letter, in the coordinates of the record */
    int64_t end;      /* behind the last; -1: not known yet */
    int64_t reach;    /* behind the last edit so far */
    mbs_record record;
    char name[256];
    vf_record *first, *last; /* read ahead, of this contig */
    int64_t n_ahead;

    /* strand -: all edits of the contig in a file without a name, which is taken from its end */
    int turn_file;        /* -1: none yet */
    int64_t turn_bytes;   /* in it, and not read back */
    int64_t turn_longest; /* REF */
    int64_t turn_last;    /* behind the last edit */
    int64_t turn_seen;    /* end of the one that was read back last */
    int64_t turn_at;      /* start of the one that was told last */
    vf_turn *turns;       /* read back and not told: a heap, the next one first */
    int64_t n_turns, cap_turns;
    char *texts; /* alleles on their way to the file, or of one variant */
    size_t n_texts, cap_texts;

    /* what the last edits were made of */
    vf_record *shown;
    mbs_record edit_record;
    mbs_attr edit_attrs[3];
    char *alts; /* text of the attribute */
    size_t cap_alts;
    vf_change *changes;
    int64_t cap_changes;
} vf_reader;

extern const mbs_reader_vt vf_reader_vt;
extern const mbs_ext_edits vf_edits;
extern const mbs_ext_inspect vf_inspect; /* inspect.c */

/* input.c */
mbs_status vf_input_open(vf_reader *r, vf_input *in);
void vf_input_close(vf_input *in);
/* Looks at the next record: in->ahead, NULL at the end. Sorted order is checked here. */
mbs_status vf_input_peek(vf_reader *r, vf_input *in);
/* Takes in->ahead out. */
vf_record *vf_input_take(vf_input *in);
const char *vf_contig(const vf_input *in, int32_t rid);
/* "chr1:1234 (rs1)" */
void vf_show(const vf_record *v, char *to, size_t n);

/* edits.c: whether REF of v is what the contig at hand has there. */
mbs_status vf_judge(vf_reader *r, vf_record *v);
/* What allele i of a judged record does (1: the first ALT). */
vf_change vf_change_of(const vf_record *v, int i);
int64_t vf_ref_length(const vf_record *v);
/* Reads ahead on strand + until `*before` or the contig's end; *over: it has ended. Where that is too much *before is
 * how far it got, which is behind r->position. */
mbs_status vf_read_ahead(vf_reader *r, int64_t *before, int *over);
void vf_forget_ahead(vf_reader *r);
/* A block of edits of n changes. */
mbs_status vf_edits_block(vf_reader *r, int64_t start, int64_t end, const vf_change *changes, int64_t n,
                          mbs_block **out);

/* turned.c: all edits of the contig at hand, from its end. */
mbs_status vf_turn_contig(vf_reader *r);
mbs_status vf_next_turned(vf_reader *r, int64_t before, mbs_block **out);

#endif
