/*
 * verbatim.h - what reader, codec and writer of this library call their blocks.
 */
#ifndef VB_VERBATIM_H
#define VB_VERBATIM_H

#include "mambaseq/plugin.h"

#define VB_TYPE "verbatim/u8"

extern const mbs_reader_vt vb_reader_vt;
extern const mbs_codec_vt vb_codec_vt;
extern const mbs_writer_vt vb_writer_vt;

#endif
