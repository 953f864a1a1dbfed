/* Everything that crosses between a host and a plugin, reachable from one exported constant: abidw writes it down, and
 * abidiff compares it with what was written down for interface 1.0 (baseline-1/plugin.abi). Compiled, never run. */
#include "mambaseq/ext/checkpoint.h"
#include "mambaseq/ext/inspect.h"
#include "mambaseq/ext/live.h"
#include "mambaseq/ext/tokenizer.h"
#include "mambaseq/plugin.h"

typedef struct surface {
    const mbs_plugin_entry_table *entry;
    const mbs_descriptor *descriptor;
    const mbs_param *param;
    const mbs_host *host;
    const mbs_reader_vt *reader;
    const mbs_codec_vt *codec;
    const mbs_writer_vt *writer;
    const mbs_stream_header *header;
    const mbs_record *record;
    const mbs_block *block;
    const mbs_vocab *vocab;
    const mbs_origin *origin;
    const mbs_ext_checkpoint *checkpoint;
    const mbs_ext_inspect *inspect;
    const mbs_ext_live *live;
    const mbs_ext_tokenizer *tokenizer;
} surface;

extern const surface mbs_surface;
const surface mbs_surface = {0};
