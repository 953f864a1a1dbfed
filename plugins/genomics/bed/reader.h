/*
 * reader.h - windows of a .bed, each a record of letters from a reference.
 */
#ifndef BD_READER_H
#define BD_READER_H

#include "genomics/htsutil/reference.h"
#include "genomics/htsutil/region.h"
#include "mambaseq/ext/inspect.h"
#include "mambaseq/plugin.h"

#define BD_PIECE 65536
#define BD_NONE SIZE_MAX

typedef struct bd_window {
    int64_t entry; /* of the reference's index */
    int64_t beg, end;
    int64_t source;
    size_t name, label; /* offsets into texts; label BD_NONE: none */
    int32_t strand;
} bd_window;

typedef struct bd_reader {
    const mbs_host *host;
    const mbs_params *params;
    int64_t flank; /* INT64_MAX: all */
    int label_column;
    hu_reference reference;
    bd_window *windows;
    int64_t n, cap;
    char *texts;
    size_t texts_len, texts_cap;
    int64_t n_files;
    int64_t file; /* being read */

    mbs_stream_header header;
    mbs_source *sources;
    mbs_contig *contigs;

    int64_t at; /* window; the one behind it where it is not inside */
    int inside;
    int64_t position; /* coordinate of the next row */
    mbs_record record;
    mbs_attr attr;
} bd_reader;

extern const mbs_reader_vt bd_reader_vt;
extern const mbs_ext_inspect bd_inspect; /* inspect.c */

/* windows.c: every line of the files, looked up in the reference. */
mbs_status bd_windows_read(bd_reader *r);

#endif
