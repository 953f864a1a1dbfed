/*
 * The layout of plugin interface 1.0 on x86-64, as numbers: a plugin that was built with it must find everything in its
 * place in any later host of the same major. Fields are only added at the tail; a size may then grow, with its number
 * here, an offset never changes.
 */
#include <stddef.h>

#include "mambaseq/block.h"
#include "mambaseq/codec.h"
#include "mambaseq/ext/checkpoint.h"
#include "mambaseq/ext/inspect.h"
#include "mambaseq/ext/live.h"
#include "mambaseq/ext/tokenizer.h"
#include "mambaseq/host.h"
#include "mambaseq/params.h"
#include "mambaseq/plugin.h"
#include "mambaseq/reader.h"
#include "mambaseq/writer.h"

#define SIZE(type, bytes) _Static_assert(sizeof(type) == (bytes), "size of " #type)
#define AT(type, field, bytes) _Static_assert(offsetof(type, field) == (bytes), #type "." #field)

SIZE(mbs_attr, 16);
AT(mbs_attr, key, 0);
AT(mbs_attr, value, 8);

SIZE(mbs_source, 8);
AT(mbs_source, path, 0);

SIZE(mbs_contig, 16);
AT(mbs_contig, name, 0);
AT(mbs_contig, length, 8);

SIZE(mbs_stream_header, 104);
AT(mbs_stream_header, struct_size, 0);
AT(mbs_stream_header, reserved, 4);
AT(mbs_stream_header, type, 8);
AT(mbs_stream_header, unit, 16);
AT(mbs_stream_header, rate, 24);
AT(mbs_stream_header, channels, 32);
AT(mbs_stream_header, n_records, 40);
AT(mbs_stream_header, n_units, 48);
AT(mbs_stream_header, n_sources, 56);
AT(mbs_stream_header, sources, 64);
AT(mbs_stream_header, n_contigs, 72);
AT(mbs_stream_header, contigs, 80);
AT(mbs_stream_header, n_attrs, 88);
AT(mbs_stream_header, attrs, 96);

SIZE(mbs_origin, 40);
AT(mbs_origin, struct_size, 0);
AT(mbs_origin, reserved, 4);
AT(mbs_origin, library, 8);
AT(mbs_origin, data, 16);
AT(mbs_origin, ref, 24);
AT(mbs_origin, unref, 32);

SIZE(mbs_record, 96);
AT(mbs_record, struct_size, 0);
AT(mbs_record, strand, 4);
AT(mbs_record, index, 8);
AT(mbs_record, source, 16);
AT(mbs_record, name, 24);
AT(mbs_record, description, 32);
AT(mbs_record, label, 40);
AT(mbs_record, start, 48);
AT(mbs_record, length, 56);
AT(mbs_record, context, 64);
AT(mbs_record, n_attrs, 72);
AT(mbs_record, attrs, 80);
AT(mbs_record, origin, 88);

SIZE(mbs_side, 24);
AT(mbs_side, name, 0);
AT(mbs_side, dtype, 8);
AT(mbs_side, width, 12);
AT(mbs_side, data, 16);

SIZE(mbs_block, 288);
AT(mbs_block, struct_size, 0);
AT(mbs_block, flags, 4);
AT(mbs_block, type, 8);
AT(mbs_block, dtype, 16);
AT(mbs_block, ndim, 20);
AT(mbs_block, shape, 24);
AT(mbs_block, data, 56);
AT(mbs_block, record, 64);
AT(mbs_block, start, 72);
AT(mbs_block, end, 80);
AT(mbs_block, n_sides, 88);
AT(mbs_block, reserved, 92);
AT(mbs_block, sides, 96);

SIZE(mbs_vocab, 88);
AT(mbs_vocab, struct_size, 0);
AT(mbs_vocab, size, 4);
AT(mbs_vocab, name, 8);
AT(mbs_vocab, tokens, 16);
AT(mbs_vocab, complement, 24);
AT(mbs_vocab, decodable, 32);
AT(mbs_vocab, unk, 40);
AT(mbs_vocab, bos, 44);
AT(mbs_vocab, eos, 48);
AT(mbs_vocab, mask, 52);
AT(mbs_vocab, unit, 56);
AT(mbs_vocab, n_before, 64);
AT(mbs_vocab, n_after, 68);
AT(mbs_vocab, before, 72);
AT(mbs_vocab, after, 80);

SIZE(mbs_codec_vt, 80);
AT(mbs_codec_vt, struct_size, 0);
AT(mbs_codec_vt, reserved, 4);
AT(mbs_codec_vt, create, 8);
AT(mbs_codec_vt, open, 16);
AT(mbs_codec_vt, vocab, 24);
AT(mbs_codec_vt, encode, 32);
AT(mbs_codec_vt, decode, 40);
AT(mbs_codec_vt, drain, 48);
AT(mbs_codec_vt, close, 56);
AT(mbs_codec_vt, destroy, 64);
AT(mbs_codec_vt, get_extension, 72);

SIZE(mbs_host, 200);
AT(mbs_host, struct_size, 0);
AT(mbs_host, abi_major, 4);
AT(mbs_host, abi_minor, 8);
AT(mbs_host, reserved, 12);
AT(mbs_host, log, 16);
AT(mbs_host, fail, 24);
AT(mbs_host, hint, 32);
AT(mbs_host, alloc, 40);
AT(mbs_host, realloc, 48);
AT(mbs_host, free, 56);
AT(mbs_host, block_new, 64);
AT(mbs_host, block_side, 72);
AT(mbs_host, block_ref, 80);
AT(mbs_host, block_unref, 88);
AT(mbs_host, param_is_set, 96);
AT(mbs_host, param_bool, 104);
AT(mbs_host, param_int, 112);
AT(mbs_host, param_float, 120);
AT(mbs_host, param_string, 128);
AT(mbs_host, param_count, 136);
AT(mbs_host, param_item, 144);
AT(mbs_host, output, 152);
AT(mbs_host, stdout_write, 160);
AT(mbs_host, model_file, 168);
AT(mbs_host, helpers, 176);
AT(mbs_host, cancelled, 184);
AT(mbs_host, get_extension, 192);

SIZE(mbs_param, 72);
AT(mbs_param, struct_size, 0);
AT(mbs_param, type, 4);
AT(mbs_param, flags, 8);
AT(mbs_param, reserved, 12);
AT(mbs_param, key, 16);
AT(mbs_param, def, 24);
AT(mbs_param, min, 32);
AT(mbs_param, max, 40);
AT(mbs_param, words, 48);
AT(mbs_param, unit, 56);
AT(mbs_param, help, 64);

SIZE(mbs_descriptor, 104);
AT(mbs_descriptor, struct_size, 0);
AT(mbs_descriptor, kind, 4);
AT(mbs_descriptor, id, 8);
AT(mbs_descriptor, version, 16);
AT(mbs_descriptor, licence, 24);
AT(mbs_descriptor, summary, 32);
AT(mbs_descriptor, accepts, 40);
AT(mbs_descriptor, produces, 48);
AT(mbs_descriptor, decodes, 56);
AT(mbs_descriptor, suffixes, 64);
AT(mbs_descriptor, serial_group, 72);
AT(mbs_descriptor, n_params, 80);
AT(mbs_descriptor, flags, 84);
AT(mbs_descriptor, params, 88);
AT(mbs_descriptor, vt, 96);

SIZE(mbs_plugin_entry_table, 40);
AT(mbs_plugin_entry_table, struct_size, 0);
AT(mbs_plugin_entry_table, abi_major, 4);
AT(mbs_plugin_entry_table, abi_minor, 8);
AT(mbs_plugin_entry_table, min_host_minor, 12);
AT(mbs_plugin_entry_table, n_descriptors, 16);
AT(mbs_plugin_entry_table, reserved, 20);
AT(mbs_plugin_entry_table, descriptors, 24);
AT(mbs_plugin_entry_table, library, 32);

SIZE(mbs_reader_vt, 56);
AT(mbs_reader_vt, struct_size, 0);
AT(mbs_reader_vt, reserved, 4);
AT(mbs_reader_vt, create, 8);
AT(mbs_reader_vt, open, 16);
AT(mbs_reader_vt, read, 24);
AT(mbs_reader_vt, close, 32);
AT(mbs_reader_vt, destroy, 40);
AT(mbs_reader_vt, get_extension, 48);

SIZE(mbs_writer_vt, 64);
AT(mbs_writer_vt, struct_size, 0);
AT(mbs_writer_vt, reserved, 4);
AT(mbs_writer_vt, create, 8);
AT(mbs_writer_vt, open, 16);
AT(mbs_writer_vt, write, 24);
AT(mbs_writer_vt, drain, 32);
AT(mbs_writer_vt, close, 40);
AT(mbs_writer_vt, destroy, 48);
AT(mbs_writer_vt, get_extension, 56);

SIZE(mbs_ext_checkpoint, 24);
AT(mbs_ext_checkpoint, struct_size, 0);
AT(mbs_ext_checkpoint, reserved, 4);
AT(mbs_ext_checkpoint, save, 8);
AT(mbs_ext_checkpoint, restore, 16);

SIZE(mbs_ext_inspect, 16);
AT(mbs_ext_inspect, struct_size, 0);
AT(mbs_ext_inspect, reserved, 4);
AT(mbs_ext_inspect, describe, 8);

SIZE(mbs_ext_live, 32);
AT(mbs_ext_live, struct_size, 0);
AT(mbs_ext_live, reserved, 4);
AT(mbs_ext_live, begin, 8);
AT(mbs_ext_live, done, 16);
AT(mbs_ext_live, ended, 24);

SIZE(mbs_ext_tokenizer, 16);
AT(mbs_ext_tokenizer, struct_size, 0);
AT(mbs_ext_tokenizer, reserved, 4);
AT(mbs_ext_tokenizer, files, 8);

/* Numbers that are in binaries too. */
_Static_assert(MBS_U8 == 1 && MBS_I32 == 2 && MBS_I64 == 3 && MBS_F32 == 4 && MBS_F64 == 5, "element types");
_Static_assert(MBS_SEQ_START == 1 && MBS_SEQ_END == 2, "flags of a block");
_Static_assert(MBS_DESC_ISOLATE == 1 && MBS_DESC_ORIGIN == 2, "flags of a descriptor");
_Static_assert(MBS_MAX_DIMS == 4 && MBS_MAX_SIDES == 8, "room in a block");
_Static_assert(MBS_LOGLEVEL_WARNING == 1 && MBS_LOGLEVEL_INFO == 2 && MBS_LOGLEVEL_DEBUG == 3, "levels of the log");
_Static_assert(MBS_KIND_READER == 1 && MBS_KIND_CODEC == 2 && MBS_KIND_WRITER == 3 && MBS_KIND_FILTER == 4, "kinds");
_Static_assert(MBS_PARAM_BOOL == 1 && MBS_PARAM_INT == 2 && MBS_PARAM_FLOAT == 3 && MBS_PARAM_STRING == 4 &&
                   MBS_PARAM_PATH == 5 && MBS_PARAM_ENUM == 6 && MBS_PARAM_SIZE == 7 && MBS_PARAM_DURATION == 8 &&
                   MBS_PARAM_LIST == 9 && MBS_PARAM_PATHS == 10,
               "types of parameters");
_Static_assert(MBS_PARAM_F_REQUIRED == 1 && MBS_PARAM_F_RANGE == 2 && MBS_PARAM_F_DEPRECATED == 4 &&
                   MBS_PARAM_F_OUTPUT == 8 && MBS_PARAM_F_NO_RESULT == 16,
               "flags of parameters");
_Static_assert(MBS_OUTPUT_FILE == 0 && MBS_OUTPUT_SCRATCH == 1, "flags of outputs");
_Static_assert(MBS_OK == 0 && MBS_END == 1 && MBS_AGAIN == 2 && MBS_ERR_USAGE == -64 && MBS_ERR_DATA == -65 &&
                   MBS_ERR_NOINPUT == -66 && MBS_ERR_UNAVAILABLE == -69 && MBS_ERR_INTERNAL == -70 &&
                   MBS_ERR_MEMORY == -71 && MBS_ERR_CREATE == -73 && MBS_ERR_IO == -74 && MBS_ERR_STOPPED == -75 &&
                   MBS_ERR_CONFIG == -78,
               "statuses");
