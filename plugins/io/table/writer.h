/* writer.h - the table writer's calls. */
#ifndef MBS_TABLE_WRITER_H
#define MBS_TABLE_WRITER_H

#include "mambaseq/plugin.h"

extern const mbs_writer_vt mbs_table_writer;

#endif
