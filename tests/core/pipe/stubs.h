/*
 * stubs.h - plugins that only have descriptors, for pipelines that are checked and never run.
 *
 *   readers  fasta (bases/u8), wave (pcm/f32)      codecs  bases (bases/u8, decodes), mulaw (pcm/f32), frames (pcm/f32)
 *   writers  hdf5, table (all types), track (score/f32)
 */
#ifndef MBS_TEST_PIPE_STUBS_H
#define MBS_TEST_PIPE_STUBS_H

#include "plug/registry.h"

extern const mbs_plugin_entry_table test_stub_entry;
/* One more codec for bases, so that leaving it out is ambiguous. */
extern const mbs_plugin_entry_table test_stub_kmer_entry;

#endif
