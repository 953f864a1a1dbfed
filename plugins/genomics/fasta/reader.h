/*
 * reader.h - one reader: its files, the regions asked for, and where it stands.
 */
#ifndef FA_READER_H
#define FA_READER_H

#include "genomics/htsutil/index.h"
#include "genomics/htsutil/region.h"
#include "mambaseq/plugin.h"

#define FA_FLANK_ALL INT64_MAX

typedef enum fa_label_kind { FA_LABEL_NONE, FA_LABEL_FOLDER, FA_LABEL_DESCRIPTION, FA_LABEL_KEY } fa_label_kind;

typedef struct fa_file {
    const char *path; /* of the parameters */
    int64_t size;
    uint64_t identity; /* 0: a stream */
    fa_index index;    /* empty where nothing is known */
} fa_file;

typedef struct fa_region {
    int64_t file;
    int64_t entry; /* of that file's index */
    int64_t beg, end;
} fa_region;

/* A region of parameter `mask`. */
typedef struct fa_masked {
    size_t name; /* where in names */
    int64_t beg, end;
    int met; /* a record of that name came */
} fa_masked;

typedef struct fa_mask {
    int on;
    fa_masked *list;
    int64_t n, cap;
    fa_text names;
    int64_t here;   /* how many at the front are of the record at hand */
    int64_t passed; /* of these, lie behind */
} fa_mask;

typedef struct fa_reader {
    const mbs_host *host;
    const mbs_params *params;
    int wanted;    /* format */
    int64_t flank; /* FA_FLANK_ALL: all */
    fa_file *files;
    int64_t n_files;
    fa_region *regions;
    int64_t n_regions, cap_regions;
    int by_region;
    int quality; /* FASTQ: a record is held until its qualities were read */
    fa_text held, qualities;
    fa_mask mask;
    fa_label_kind label_kind;
    const char *label_key; /* "class=" */
    char **found;          /* names of files that folders gave */
    int64_t n_found;

    mbs_stream_header header;
    mbs_source *sources;
    mbs_contig *contigs;

    /* where it stands */
    int64_t file;   /* the one being read; n_files: all done */
    int64_t region; /* the next to begin */
    int is_open;    /* `in` holds file `file` */
    fa_bytes in;
    fa_parser parser;
    int inside;       /* a record has begun and is not complete */
    int begun;        /* its MBS_SEQ_START was delivered */
    int64_t position; /* source coordinate of the next letter */
    int64_t end;      /* of the region, -1: of the record */
    int64_t listed;   /* entries of this file's index that were met */
    mbs_record record;
    fa_text label;   /* of the record */
    uint8_t *window; /* FA_WINDOW letters */

    void *saved; /* what restore gave, until open */
    size_t saved_len;
} fa_reader;

extern const mbs_reader_vt fa_reader_vt;
extern const mbs_param fa_params[];
extern const uint32_t fa_n_params;

/* open.c: files, indexes, regions and the stream header. */
mbs_status fa_open_all(fa_reader *r);
/* region.c: r->regions from the parameters; every file has a sorted index. */
mbs_status fa_regions_read(fa_reader *r);
/* reader.c: what the index beside a file promises is not there. */
mbs_status fa_misfit(fa_reader *r, const char *name);
/* reader.c: makes r->file the open one, at its beginning. */
mbs_status fa_open_file(fa_reader *r, int64_t file);
/* reader.c: stands at the next letter of the region that was begun, at r->position. */
mbs_status fa_enter_region(fa_reader *r);
/* label.c: parameter `label`; the files of folders where it wants them; the label of the record that begins. */
mbs_status fa_label_params(fa_reader *r);
mbs_status fa_label_files(fa_reader *r);
mbs_status fa_label_set(fa_reader *r);
void fa_label_free(fa_reader *r);
/* quality.c: holds the record whose header was read; its next letters; their qualities. */
mbs_status fa_quality_hold(fa_reader *r);
void fa_quality_letters(fa_reader *r, int64_t max, int64_t *n, int *end);
mbs_status fa_quality_side(fa_reader *r, mbs_block *block);
/* mask.c: parameter `mask`: read at open; of a record that begins; beside its letters; whether all names were met. */
mbs_status fa_mask_read(fa_reader *r);
void fa_mask_enter(fa_reader *r);
mbs_status fa_mask_side(fa_reader *r, mbs_block *b);
mbs_status fa_mask_end(fa_reader *r);
void fa_mask_free(fa_reader *r);
/* place.c */
const void *fa_checkpoint(fa_reader *r);
mbs_status fa_place_restore(fa_reader *r);

#endif
