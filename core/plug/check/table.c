/* The tests: names that stay, what each means, and what to look at where it fails. */
#include <string.h>

#include "plug/check/impl.h"

#define R MBS_CHECK_READER
#define C MBS_CHECK_CODEC
#define W MBS_CHECK_WRITER

/* clang-format off */
static const mbs_check_test tests[] = {
    {"load.place", 0, NULL, 0, "nobody but you and root can replace the library",
     "put it into a folder that only you can write, and chmod go-w the file"},
    {"abi.machine", 0, "load.place", 0, "the file is a shared library for this machine",
     "build it here, or for this architecture, with -shared -fPIC"},
    {"abi.symbol", 0, "abi.machine", 0, "it exports the constant mbs_plugin_entry",
     "end plugin.c with MBS_PLUGIN_DEFINE(name, list, NULL); a static MBS_PLUGIN_STATIC build does not export it"},
    {"abi.undefined", 0, "abi.machine", 0, "it needs no symbol of the program and none that ends or disturbs it",
     "everything of the host comes through mbs_host; return a status instead of ending the process; link with "
     "-Wl,-z,defs"},
    {"load.open", 0, "abi.symbol", 0, "the loader finds everything that it needs",
     "the words of the loader name what is missing: link it, install it, or set an rpath"},
    {"abi.version", 0, "load.open", 0, "it speaks the plugin interface of this program",
     "build it again with the headers of this program"},
    {"abi.tables", 0, "abi.version", 0, "its entry, descriptors and parameter tables are well formed",
     "compare with plugin.h and params.h; use MBS_PLUGIN_DEFINE and the MBS_PARAM macros"},
    {"load.time", 0, "abi.tables", 0, "loading it takes under 250 ms, so that a list of plugins stays quick",
     "do no work in constructors: whatever takes time belongs into open"},
    {"ids.unknown", R | C | W, "abi.tables", 0, "get_extension answers NULL for what it does not know",
     "compare the whole id, revision included, and take self == NULL"},
    {"params.defaults", R | C | W, "abi.tables", 0, "create takes the defaults of every parameter",
     "create must succeed on what its own table offers; it looks at parameters only and opens nothing"},
    {"data.whole", R | C | W, "params.defaults", 0, "a stream from beginning to end keeps every promise of the headers",
     "the message names the promise; each is described in block.h and in the header of the kind"},
    {"params.range", R | C | W, "data.whole", 1,
     "every value within a range is taken, or refused with the parameter's name",
     "give the row its true MBS_PARAM_RANGE, or call host->fail(host, MBS_ERR_CONFIG, \"key\", ...) in create"},
    {"data.chunks", R | C | W, "data.whole", 0, "results are the same for blocks of 1, 7, 4096 rows and whole",
     "something depends on where a block ends: keep it in the instance, and look at block ends inside a line or token"},
    {"data.interleaved", R | C | W, "data.whole", 0, "two instances at once give what each gives alone",
     "keep all state in the instance: no static variables"},
    {"data.roundtrip", R | C, "data.whole", 0, "what was decoded or written comes back the same",
     "decode must write what encode reads; where that is not meant, leave `decodes` NULL or say MBS_DESC_LOSSY"},
    {"data.truncated", R, "data.whole", 1, "an input that is cut off gives an error or a clean end",
     "check what every read returns, and that a record is whole, before using it"},
    {"data.random", R | C | W, "data.whole", 1, "arbitrary bytes give an error or a result",
     "check every length, offset and letter that comes from the input before using it"},
    {"fault.alloc", R | C | W, "data.whole", 1, "each refused request for memory gives MBS_ERR_MEMORY and no leak",
     "test every answer of host->alloc, realloc, block_new and block_side; destroy must free what is half made"},
    {"life.order", R | C | W, "data.whole", 1, "every order of calls that the state table allows works",
     "destroy may come right after create, after open, and after a failure; open may fail"},
    {"life.many", R | C | W, "data.whole", 1, "a thousand instances leave no memory, file or thread behind",
     "destroy must give back what create and open took: count them"},
    {"life.cancel", R | C | W, "data.whole", 0, "a stream that is left in the middle leaves nothing behind",
     "destroy without close must free, close and join everything; host->cancelled() asks to return MBS_ERR_STOPPED"},
    {"check.checkpoint", R | C | W, "data.whole", 0, "a restored instance goes on exactly where it was saved",
     "save everything that later calls depend on; restore comes before open"},
    {"errors.message", R | C | W, "params.defaults", 0, "a failure comes with words that say why",
     "return host->fail(host, status, NULL, \"what happened, where\") instead of a bare status"},
    {"writer.outputs", W, "data.whole", 0, "files are only made where the host said, and are whole when close returns",
     "write to the path that host->output gave, and to nothing else; close every file in close"},
    {"writer.full", W, "data.whole", 0, "a disk that is full is an error, not a shorter file",
     "check what write, fflush, fclose and fsync return, and fail with MBS_ERR_IO"},
    {"process.quiet", R | C | W, "data.whole", 0, "nothing is written to standard output or standard error",
     "use host->log; a library's own messages must be switched off (H5Eset_auto, hts_set_log_level, ...)"},
    {"process.state", R | C | W, "data.whole", 0,
     "folder, environment, locale, umask, signals and floating point stay as they were",
     "use functions that take a locale or a folder as an argument; do not link with -ffast-math"},
    {"process.threads", R | C | W, "data.whole", 0, "no thread and no open file outlives its instance",
     "join threads and close files in destroy"},
};
/* clang-format on */

static const mbs_check_fn functions[] = {
    mbs_check_load_place,  mbs_check_abi_machine,      mbs_check_abi_symbol,     mbs_check_abi_undefined,
    mbs_check_load_open,   mbs_check_abi_version,      mbs_check_abi_tables,     mbs_check_load_time,
    mbs_check_ids_unknown, mbs_check_params_defaults,  mbs_check_data_whole,     mbs_check_params_range,
    mbs_check_data_chunks, mbs_check_data_interleaved, mbs_check_data_roundtrip, mbs_check_data_truncated,
    mbs_check_data_random, mbs_check_fault_alloc,      mbs_check_life_order,     mbs_check_life_many,
    mbs_check_life_cancel, mbs_check_checkpoint,       mbs_check_errors_message, mbs_check_writer_outputs,
    mbs_check_writer_full, mbs_check_process_quiet,    mbs_check_process_state,  mbs_check_process_threads,
};
_Static_assert(sizeof tests / sizeof tests[0] == sizeof functions / sizeof functions[0], "a function for each test");

const mbs_check_test *mbs_check_tests(int *n) {
    *n = (int)(sizeof tests / sizeof tests[0]);
    return tests;
}

mbs_check_fn mbs_check_function(const mbs_check_test *test) {
    return functions[test - tests];
}
