/* options.c - the table of options. */
#include <string.h>

#include "opt/command.h"

#define RUN MBS_IN(MBS_CMD_RUN)
#define CHECK MBS_IN(MBS_CMD_CHECK)
#define TRAIN MBS_IN(MBS_CMD_TRAIN)
#define BENCH MBS_IN(MBS_CMD_BENCH)
#define EVAL MBS_IN(MBS_CMD_EVAL)
#define INSPECT MBS_IN(MBS_CMD_INSPECT)
#define MERGE MBS_IN(MBS_CMD_MERGE)
#define CONVERT MBS_IN(MBS_CMD_CONVERT)
#define LIST MBS_IN(MBS_CMD_PLUGIN_LIST)
#define SHOW MBS_IN(MBS_CMD_PLUGIN_SHOW)
#define PCHECK MBS_IN(MBS_CMD_PLUGIN_CHECK)
#define NEW MBS_IN(MBS_CMD_PLUGIN_NEW)
#define INIT MBS_IN(MBS_CMD_MODEL_INIT)
#define VERSION MBS_IN(MBS_CMD_VERSION)
#define ALL ((1u << MBS_CMD_COUNT) - 1u)

/* A table, read across. clang-format would put every member on a line of its own. */
/* clang-format off */
const mbs_option mbs_options[] = {
    {.id = MBS_OPT_INPUT, .name = "input", .letter = 'i', .kind = MBS_OPT_TEXT, .repeat = MBS_REPEAT_NEVER,
     .complete = MBS_COMPLETE_FILE, .commands = RUN | CHECK | TRAIN | EVAL, .arg = "PATH",
     .help = "file to read (reader.path), - for standard input",
     .detail = "Several files are a list: --set 'reader.path=[a.fa, b.fa]', or a quoted glob: -i '*.fa'."},
    {.id = MBS_OPT_MODEL, .name = "model", .letter = 'm', .kind = MBS_OPT_TEXT, .repeat = MBS_REPEAT_NEVER,
     .complete = MBS_COMPLETE_FOLDER, .commands = RUN | CHECK | EVAL, .arg = "FOLDER",
     .help = "model to use (model.path)"},
    {.id = MBS_OPT_MODEL, .name = "model", .letter = 'm', .kind = MBS_OPT_TEXT, .repeat = MBS_REPEAT_NEVER,
     .complete = MBS_COMPLETE_FOLDER, .commands = TRAIN, .arg = "FOLDER",
     .help = "model to begin with (model.path)",
     .detail = "Where the recipe begins with a fresh one, also --set model.init=null."},
    {.id = MBS_OPT_MODEL, .name = "model", .letter = 'm', .kind = MBS_OPT_TEXT, .repeat = MBS_REPEAT_NEVER,
     .complete = MBS_COMPLETE_FOLDER, .commands = BENCH, .arg = "FOLDER", .help = "measure this model, not a shape"},
    {.id = MBS_OPT_SHAPE, .name = "shape", .kind = MBS_OPT_TEXT, .complete = MBS_COMPLETE_YAML, .commands = BENCH,
     .arg = "SHAPE", .def = "dna-8x256",
     .help = "the shape to measure: mamba-130m, dna-8x256, tiny, another of share:configs/model, or a YAML file"},
    {.id = MBS_OPT_WORK, .name = "work", .kind = MBS_OPT_TEXT, .commands = BENCH, .arg = "LIST",
     .def = "machine,gemm,scan,conv,norm,prefill,decode",
     .help = "what to measure: machine, gemm, scan, conv, norm, prefill, score, decode, train, along",
     .detail = "gemm is also measured with one row (gemv). prefill is a prompt up to the prediction behind it, score "
               "the log-probability of every token, decode one token after the other, train a step of training: about "
               "16384 tokens in windows of --length, forward, backward and update. along goes along one record of "
               "--length tokens, in turn with records of 1,024, and tells how much longer a token takes: neighbours in "
               "time are compared, so a machine that wobbles may be asked. Without machine there are no shares of a "
               "limit."},
    {.id = MBS_OPT_LENGTH, .name = "length", .kind = MBS_OPT_TEXT, .commands = BENCH, .arg = "LIST", .def = "512,4096",
     .help = "tokens of a prompt, or of a window of train, e.g. 512,64Ki"},
    {.id = MBS_OPT_LEVEL, .name = "cpu", .kind = MBS_OPT_WORD, .commands = BENCH, .arg = "LEVEL",
     .words = "ref|avx2|avx512|avx512vnni|avx512bf16",
     .help = "kernel level: ref, avx2, avx512, avx512vnni or avx512bf16 (default: the best)"},
    {.id = MBS_OPT_RATE, .name = "rate", .kind = MBS_OPT_NUMBER, .commands = BENCH, .arg = "HZ", .min = 1,
     .max = 1000000000, .help = "tokens in a second of sound, for the real-time factor of decode (default: what the "
                                "model folder's preprocessor_config.json says)"},
    {.id = MBS_OPT_REPEAT, .name = "repeat", .kind = MBS_OPT_NUMBER, .commands = BENCH, .arg = "N", .def = "5",
     .min = 1, .max = 99, .help = "repeats of a figure, of which the median counts"},
    {.id = MBS_OPT_SECONDS, .name = "seconds", .kind = MBS_OPT_TEXT, .commands = BENCH, .arg = "TIME", .def = "4",
     .help = "time for the repeats of one figure; one is always made"},
    {.id = MBS_OPT_OUTPUT, .name = "output", .letter = 'o', .kind = MBS_OPT_TEXT, .repeat = MBS_REPEAT_NEVER,
     .complete = MBS_COMPLETE_FILE, .commands = RUN | CHECK | MERGE, .required = MERGE, .arg = "PATH",
     .help = "file to write (writer.path), - for standard output",
     .detail = "Of several writers it means the first; --set writer.1.path=PATH or --set writer.table.path=PATH names "
               "another. {stem} in the name gives one output for each input; {output} in the path of a further writer "
               "is the first one's without its suffix, so that files of one run have one name and lie side by side "
               "(where the first goes to standard output: the input's name, in the current folder)."},
    {.id = MBS_OPT_OUTPUT, .name = "output", .letter = 'o', .kind = MBS_OPT_TEXT, .repeat = MBS_REPEAT_NEVER,
     .complete = MBS_COMPLETE_FOLDER, .commands = INIT | CONVERT, .required = INIT | CONVERT, .arg = "FOLDER",
     .help = "folder to make"},
    {.id = MBS_OPT_OUTPUT, .name = "output", .letter = 'o', .kind = MBS_OPT_TEXT, .repeat = MBS_REPEAT_NEVER,
     .complete = MBS_COMPLETE_FOLDER, .commands = TRAIN, .arg = "FOLDER", .help = "folder to make (output.path)"},
    {.id = MBS_OPT_KIND, .name = "kind", .kind = MBS_OPT_WORD, .repeat = MBS_REPEAT_NEVER, .commands = NEW,
     .required = NEW, .arg = "KIND", .words = "reader|codec|writer", .help = "what to make: reader, codec or writer"},
    {.id = MBS_OPT_LANG, .name = "lang", .kind = MBS_OPT_WORD, .repeat = MBS_REPEAT_NEVER, .commands = NEW,
     .arg = "LANGUAGE", .words = "c|c++", .def = "c", .help = "language of the source: c or c++"},
    {.id = MBS_OPT_OUTPUT, .name = "output", .letter = 'o', .kind = MBS_OPT_TEXT, .repeat = MBS_REPEAT_NEVER,
     .complete = MBS_COMPLETE_FOLDER, .commands = NEW, .arg = "FOLDER", .help = "folder to make (default: NAME)"},
    {.id = MBS_OPT_SET, .name = "set", .kind = MBS_OPT_ASSIGN, .repeat = MBS_REPEAT_ALL,
     .commands = RUN | CHECK | EVAL | MERGE,
     .arg = "KEY=VALUE", .help = "set any value of the pipeline, e.g. model.task=embed; again and again",
     .detail = "KEY is a path into the file (reader.path, writer.1.path counted from 0, writer.table.path by plugin) "
               "and VALUE is YAML; it replaces what stands there, or is added. Later ones win, and options "
               "such as -o win over all."},
    {.id = MBS_OPT_SET, .name = "set", .kind = MBS_OPT_ASSIGN, .repeat = MBS_REPEAT_ALL, .commands = TRAIN,
     .arg = "KEY=VALUE", .help = "set any value of the recipe, e.g. train.steps=100; again and again",
     .detail = "KEY is a path into the file (train.optimizer.lr, reader.path) and VALUE is YAML; it replaces what "
               "stands there, or is added. Later ones win, and options such as -o win over all."},
    {.id = MBS_OPT_SET, .name = "set", .kind = MBS_OPT_ASSIGN, .repeat = MBS_REPEAT_ALL, .commands = INIT,
     .arg = "KEY=VALUE", .help = "set any value of the shape, e.g. n_layer=2; again and again"},
    {.id = MBS_OPT_SEED, .name = "seed", .kind = MBS_OPT_NUMBER, .commands = INIT, .arg = "N", .def = "0",
     .min = 0, .max = INT64_MAX, .help = "seed of the random weights"},
    {.id = MBS_OPT_FORCE, .name = "force", .commands = RUN | TRAIN | INIT | CONVERT | MERGE,
     .help = "replace outputs that exist"},
    {.id = MBS_OPT_RESUME, .name = "resume", .commands = RUN, .help = "go on where a stopped run ended",
     .detail = "Without anything to go on from it starts afresh; where all outputs are complete it ends at once "
               "with 0. A run of another pipeline, model or input is refused, with the difference named."},
    {.id = MBS_OPT_RESUME, .name = "resume", .commands = TRAIN, .help = "go on from the last checkpoint",
     .detail = "Without one it begins at the beginning; where the output is complete it ends at once with 0. A "
               "checkpoint of another recipe, model, input or arithmetic is refused, with the difference named; a "
               "damaged one is passed over for the one before."},
    {.id = MBS_OPT_KEEP_PARTIAL, .name = "keep-partial", .commands = RUN,
     .help = "keep the parts of outputs after a failure",
     .detail = "They stay under their hidden names, never under the final ones."},
    {.id = MBS_OPT_THREADS, .name = "threads", .letter = '@', .kind = MBS_OPT_NUMBER,
     .commands = RUN | TRAIN | EVAL | BENCH | MERGE, .arg = "N", .min = 1, .max = 1024,
     .help = "threads to use, all in all (default: those this process may use)",
     .detail = "The default looks at the affinity mask and the cgroup quota."},
    {.id = MBS_OPT_CHUNK, .name = "chunk", .kind = MBS_OPT_NUMBER, .commands = RUN, .arg = "N", .min = 1,
     .max = (int64_t)1 << 30, .help = "tokens that go through the model at once (model.chunk)",
     .detail = "Memory grows with it, results do not change."},
    {.id = MBS_OPT_MAX_MEMORY, .name = "max-memory", .kind = MBS_OPT_TEXT, .commands = RUN, .arg = "SIZE",
     .help = "memory that long records may take, e.g. 4G (model.max_memory)",
     .detail = "Of a model that takes whole records what is more lies in a file; one with long filters (mixer hyena;\n"
               "s4 and s4d with convolve) makes room for records that fit, and refuses longer ones."},
    {.id = MBS_OPT_DEVICE, .name = "device", .kind = MBS_OPT_DEVICE_NAME, .commands = RUN | TRAIN | EVAL, .arg = "NAME",
     .def = "auto", .help = "where to compute: auto, cpu, cuda or cuda:N",
     .detail = "auto is what MAMBASEQ_DEVICE says, else the first CUDA device that can be used, else the CPU; "
               "also the CPU where MAMBASEQ_CPU names a level of it."},
    {.id = MBS_OPT_DEVICE, .name = "device", .kind = MBS_OPT_DEVICE_NAME, .commands = BENCH, .arg = "NAME",
     .def = "cpu", .help = "what to measure: cpu, cuda or cuda:N",
     .detail = "Of a device: its own copies first, then the kernels beside that, then the model."},
    {.id = MBS_OPT_SHARD, .name = "shard", .kind = MBS_OPT_TEXT, .repeat = MBS_REPEAT_NEVER, .commands = RUN,
     .arg = "I/N", .help = "work on every N-th record only, from the I-th on",
     .detail = "N runs with I = 1 ... N, wherever they are, share the input out by record: a sequence, read, region of "
               "a BED file, or contig of a VCF. Each writes its own outputs, whose paths must differ, and PATH.shard "
               "beside the first; 'mambaseq merge' makes of all of them the bytes of one run."},
    {.id = MBS_OPT_DRY_RUN, .name = "dry-run", .commands = RUN, .help = "print the typed plan and do nothing"},
    {.id = MBS_OPT_DRY_RUN, .name = "dry-run", .commands = TRAIN,
     .help = "print what would be trained, with its sizes, and do nothing"},
    {.id = MBS_OPT_PROGRESS, .name = "progress", .kind = MBS_OPT_WORD, .commands = RUN | TRAIN | EVAL | MERGE,
     .arg = "WHEN", .words = "auto|always|never|json", .def = "auto",
     .help = "show how far it is: auto, always, never or json",
     .detail = "On standard error. auto: a bar where that is a terminal. json: one object a line."},
    {.id = MBS_OPT_EXPECT, .name = "expect", .kind = MBS_OPT_TEXT, .repeat = MBS_REPEAT_NEVER,
     .complete = MBS_COMPLETE_FILE, .commands = INSPECT, .arg = "FILE.safetensors",
     .help = "run the model and print the largest error against these logits",
     .detail = "The file holds input_ids and logits as the README beside a model says."},
    {.id = MBS_OPT_DTYPE, .name = "dtype", .kind = MBS_OPT_WORD, .commands = INSPECT, .arg = "TYPE",
     .words = "auto|f32|bf16|int8", .def = "auto", .help = "with --expect: how to hold the weights, as model.dtype"},
    {.id = MBS_OPT_MATH, .name = "math", .kind = MBS_OPT_WORD, .commands = INSPECT, .arg = "TYPE",
     .words = "f32|bf16|int16|int8", .def = "f32",
     .help = "with --expect: what products are computed in, as model.math"},
    {.id = MBS_OPT_DTYPE, .name = "dtype", .kind = MBS_OPT_WORD, .commands = CONVERT, .arg = "TYPE",
     .words = "keep|f32|bf16|f16", .def = "keep", .help = "how to store the matrices: keep, f32, bf16 or f16",
     .detail = "What is small (norms, biases, A, D) stays as it is, but f32 is for all tensors."},
    {.id = MBS_OPT_DTYPE, .name = "dtype", .kind = MBS_OPT_WORD, .commands = BENCH, .arg = "TYPE",
     .words = "auto|f32|bf16|int8", .def = "auto", .help = "how to hold the weights, as model.dtype",
     .detail = "auto is f32, but bf16 for a folder whose every matrix is BF16. With --math bf16 what is held as f32 is "
               "held rounded."},
    {.id = MBS_OPT_MATH, .name = "math", .kind = MBS_OPT_WORD, .commands = BENCH, .arg = "TYPE",
     .words = "f32|bf16|int16|int8", .def = "f32", .help = "what products are computed in, as model.math",
     .detail = "int16 and int8 are for int8 weights on the CPU."},
    {.id = MBS_OPT_DTYPE, .name = "dtype", .kind = MBS_OPT_TEXT, .repeat = MBS_REPEAT_NEVER, .commands = EVAL,
     .arg = "LIST", .def = "f32,bf16,int8", .help = "how to hold the weights: of auto, f32, bf16, int8, with commas"},
    {.id = MBS_OPT_MATH, .name = "math", .kind = MBS_OPT_TEXT, .repeat = MBS_REPEAT_NEVER, .commands = EVAL,
     .arg = "LIST", .def = "f32,bf16", .help = "what products are computed in: of f32, bf16, int16, int8, with commas",
     .detail = "int16 and int8 stand beside int8 weights alone, and are left out of the other ways."},
    {.id = MBS_OPT_LIMIT, .name = "limit", .kind = MBS_OPT_NUMBER, .commands = EVAL, .arg = "N", .min = 1,
     .max = INT64_MAX, .help = "stop after so many tokens"},
    {.id = MBS_OPT_BASELINE, .name = "baseline", .kind = MBS_OPT_TEXT, .repeat = MBS_REPEAT_NEVER, .commands = EVAL,
     .arg = "LIST", .help = "on the same tokens: of order-K (K from 0 to 24), mix and lpc32, with commas",
     .detail = "order-K is one Markov table; mix weights up to 16 of them, of orders 1 to 24. Where the codec has a "
               "complement both strands are counted. A table takes at most 128 MiB, mix with four letters "
               "940 MiB; less where less is learnt from. lpc32 is for sound: it predicts the sample that a token "
               "of mulaw or pcm (8 bits) stands for from the 32 before, by weights that go on following it while "
               "it scores; ids of other codecs are levels in even steps. The model may be left out."},
    {.id = MBS_OPT_SPLIT, .name = "split", .kind = MBS_OPT_TEXT, .repeat = MBS_REPEAT_NEVER, .commands = EVAL,
     .arg = "FRACTION", .help = "score only what lies behind this part of the tokens, as 0.8 (with --baseline: 0.8)",
     .detail = "Baselines learn from what lies before. What lies behind is scored by all as an input of its own, "
               "without context from before. The input is read twice."},
    {.id = MBS_OPT_STRAND, .name = "strand", .kind = MBS_OPT_WORD, .repeat = MBS_REPEAT_NEVER, .commands = EVAL,
     .arg = "STRAND", .words = "+|-|both", .help = "which strand is scored: + (the input as it is), - or both",
     .detail = "- is every record, or what a split leaves of it, reversed and complemented. With both the mean over "
               "the two is given, and each beside it. What is turned waits in TMPDIR, 4 bytes a token of a record."},
    {.id = MBS_OPT_TRAIN, .name = "train", .kind = MBS_OPT_TEXT, .repeat = MBS_REPEAT_NEVER,
     .complete = MBS_COMPLETE_FILE, .commands = EVAL, .arg = "FILE",
     .help = "let baselines learn from this file instead, and score all of the input",
     .detail = "Read by the pipeline's reader and codec, twice."},
    {.id = MBS_OPT_SAMPLE, .name = "sample", .kind = MBS_OPT_TEXT, .repeat = MBS_REPEAT_NEVER,
     .complete = MBS_COMPLETE_FILE, .commands = PCHECK, .arg = "PATH",
     .help = "a small file of the plugin's format",
     .detail = "A reader reads it, whole, cut off and damaged; a codec of letters is fed its lines."},
    {.id = MBS_OPT_PARAM, .name = "param", .kind = MBS_OPT_ASSIGN, .repeat = MBS_REPEAT_ALL, .commands = PCHECK,
     .arg = "KEY=VALUE", .help = "a parameter of the plugin; again and again"},
    {.id = MBS_OPT_ONLY, .name = "only", .kind = MBS_OPT_TEXT, .repeat = MBS_REPEAT_NEVER, .commands = PCHECK,
     .arg = "TEST", .help = "run this test alone; --list names them"},
    {.id = MBS_OPT_IN_PROCESS, .name = "in-process", .commands = PCHECK,
     .help = "run tests in this process, without deadline, for a debugger"},
    {.id = MBS_OPT_SEED, .name = "seed", .kind = MBS_OPT_NUMBER, .commands = PCHECK, .arg = "N", .def = "0",
     .min = 0, .max = INT64_MAX, .help = "seed of everything that is made up"},
    {.id = MBS_OPT_TIMEOUT, .name = "timeout", .kind = MBS_OPT_NUMBER, .commands = PCHECK, .arg = "S", .def = "30",
     .min = 1, .max = 86400, .help = "seconds that one test may take"},
    {.id = MBS_OPT_LIST, .name = "list", .commands = PCHECK, .help = "list the tests and what each means"},
    {.id = MBS_OPT_JSON, .name = "json", .commands = CHECK | EVAL | BENCH | INSPECT | LIST | SHOW | PCHECK | VERSION,
     .help = "print one JSON object instead of words"},
    {.id = MBS_OPT_QUIET, .name = "quiet", .letter = 'q',
     .commands = RUN | MERGE | CHECK | TRAIN | EVAL | NEW | INIT | CONVERT,
     .help = "say errors only"},
    {.id = MBS_OPT_VERBOSE, .name = "verbose", .letter = 'v', .commands = RUN | TRAIN,
     .help = "say more about what is done"},
    {.id = MBS_OPT_VERBOSE, .name = "verbose", .letter = 'v', .commands = LIST,
     .help = "also list the folders searched, and files and versions"},
    {.id = MBS_OPT_VERBOSE, .name = "verbose", .letter = 'v', .commands = INSPECT,
     .help = "also list every tensor of a model"},
    {.id = MBS_OPT_HELP, .name = "help", .letter = 'h', .commands = ALL, .help = "print this"},
};
/* clang-format on */
const int mbs_n_options = (int)(sizeof mbs_options / sizeof mbs_options[0]);

static int takes(const mbs_command *command, const mbs_option *option) {
    return command->id < MBS_CMD_COUNT && (option->commands & MBS_IN(command->id)) != 0;
}

const mbs_option *mbs_option_find(const mbs_command *command, const char *name, size_t len) {
    for (int i = 0; i < mbs_n_options; i++) {
        const mbs_option *o = &mbs_options[i];
        if (takes(command, o) && strlen(o->name) == len && memcmp(o->name, name, len) == 0) {
            return o;
        }
    }
    return NULL;
}

const mbs_option *mbs_option_letter(const mbs_command *command, char letter) {
    for (int i = 0; i < mbs_n_options; i++) {
        const mbs_option *o = &mbs_options[i];
        if (takes(command, o) && o->letter && o->letter == letter) {
            return o;
        }
    }
    return NULL;
}
