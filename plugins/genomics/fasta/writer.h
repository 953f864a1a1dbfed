/*
 * writer.h - the writer `fasta`: records of letters as they come.
 */
#ifndef FA_WRITER_H
#define FA_WRITER_H

#include "mambaseq/plugin.h"

extern const mbs_writer_vt fa_writer_vt;

#endif
