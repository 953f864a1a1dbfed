/*
 * least.h - the sizes of plugin interface 1.0: the least that any plugin has. They are told by their last field and not
 * by sizeof, because structs grow at their tail with minor versions and a plugin of an older one stays welcome. A field
 * behind such a size is read only after MBS_TOLD says that it is there.
 */
#ifndef MBS_PLUG_LEAST_H
#define MBS_PLUG_LEAST_H

#include "mambaseq/ext/checkpoint.h"
#include "mambaseq/ext/edits.h"
#include "mambaseq/ext/inspect.h"
#include "mambaseq/ext/tokenizer.h"
#include "mambaseq/plugin.h"

#define MBS_UP_TO(type, field) (offsetof(type, field) + sizeof(((const type *)0)->field))
#define MBS_TOLD(type, p, field) ((p)->struct_size >= MBS_UP_TO(type, field))

#define MBS_LEAST_ENTRY MBS_UP_TO(mbs_plugin_entry_table, library)
#define MBS_LEAST_DESCRIPTOR MBS_UP_TO(mbs_descriptor, vt)
#define MBS_LEAST_PARAM MBS_UP_TO(mbs_param, help)
#define MBS_LEAST_READER_VT MBS_UP_TO(mbs_reader_vt, get_extension)
#define MBS_LEAST_CODEC_VT MBS_UP_TO(mbs_codec_vt, get_extension)
#define MBS_LEAST_WRITER_VT MBS_UP_TO(mbs_writer_vt, get_extension)
#define MBS_LEAST_HEADER MBS_UP_TO(mbs_stream_header, attrs)
#define MBS_LEAST_RECORD MBS_UP_TO(mbs_record, origin)
#define MBS_LEAST_VOCAB MBS_UP_TO(mbs_vocab, unit)
#define MBS_LEAST_CHECKPOINT MBS_UP_TO(mbs_ext_checkpoint, restore)
#define MBS_LEAST_TOKENIZER MBS_UP_TO(mbs_ext_tokenizer, files)
#define MBS_LEAST_EDITS MBS_UP_TO(mbs_ext_edits, next)
#define MBS_LEAST_INSPECT MBS_UP_TO(mbs_ext_inspect, describe)

#endif
