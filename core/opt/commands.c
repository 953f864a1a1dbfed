/* commands.c - the table of commands, and the facts that help shares with the man pages. */
#include <stdio.h>
#include <string.h>

#include "opt/command.h"

#define EXAMPLES(list) (int)(sizeof(list) / sizeof((list)[0])), list

static const mbs_example run_examples[] = {
    {"run share:pipelines/genomics/score.yaml -i genome.fa -o genome.h5", "bits per base of a genome"},
    {"run score.yaml --set model.task=embed --set writer.table.path=-", "another task, the table on the screen"},
    {"run score.yaml --resume", "go on where the last run was stopped"},
    {"run score.yaml -i genome.fa -o part2.h5 --shard 2/3", "every third record; 'merge' makes one of all three"},
};
static const mbs_example check_examples[] = {
    {"check my.yaml", "is the pipeline right, and what will it do"},
    {"check my.yaml -q && echo fine", "in a script"},
};
static const mbs_example train_examples[] = {
    {"train share:configs/train/tiny.yaml -o tiny-model", "a demonstration of seconds"},
    {"train share:configs/train/ecoli.yaml -i genome.fa -o my-model", "a small DNA model of a genome of yours"},
    {"train my.yaml --resume", "go on where the last one was stopped, to the same bytes"},
    {"train my.yaml -m my-model -o better --set model.init=null --set train.optimizer.lr=1e-4", "go on with it"},
};
static const mbs_example eval_examples[] = {
    {"eval share:pipelines/genomics/score.yaml -i genome.fa --limit 1M", "what bf16 and int8 cost on this genome"},
    {"eval score.yaml -m my-model --dtype int8 --math f32 --json", "one way of holding the weights, for a program"},
    {"eval score.yaml -i genome.fa --baseline order-6,mix --split 0.8", "what counting makes of the last fifth"},
};
static const mbs_example inspect_examples[] = {
    {"inspect share:models/ecoli-ref", "sizes, tokens and checks of a model"},
    {"inspect reads.fa.gz", "records, lengths, letters"},
    {"inspect FOLDER --expect expected.safetensors", "are the logits those of the one who trained it"},
    {"inspect FOLDER --expect expected.safetensors --dtype int8", "how far int8 weights are from them"},
};
static const mbs_example convert_examples[] = {
    {"convert mamba-130m -o mamba-130m-safe", "a pytorch_model.bin as safetensors"},
    {"convert hf:state-spaces/mamba-130m-hf -o small --dtype bf16", "half the size, from the local cache"},
};
static const mbs_example merge_examples[] = {
    {"merge part1.h5 part2.h5 part3.h5 -o whole.h5", "after run --shard 1/3 -o part1.h5 and so on"},
    {"merge part-*.bw -o whole.bw --force", "in the place of an older one"},
    {"merge a.h5 b.h5 -o all.h5 --set writer.table.path=all.tsv", "of a pipeline with two writers"},
};
static const mbs_example bench_examples[] = {
    {"bench", "the machine, the kernels and a small DNA model"},
    {"bench --shape mamba-130m --length 512,4096 --repeat 7 --seconds 60", "a public shape, measured with care"},
    {"bench --model share:models/ecoli-ref --work prefill,score --json", "a model of yours, for a program to read"},
};
static const mbs_example list_examples[] = {
    {"plugin list -v", "with the folders searched and what is hidden by what"},
};
static const mbs_example show_examples[] = {
    {"plugin show fasta", "every parameter of reader fasta"},
    {"plugin show model", "every parameter of the model stage"},
    {"plugin show train", "everything that a recipe for training takes"},
};
static const mbs_example plugin_check_examples[] = {
    {"plugin check ./build/mbsp_tabseq.so --sample two.tabseq", "every test of a reader that you write"},
    {"plugin check bases --param vocab=songlab --json", "of an installed codec, for a program"},
    {"plugin check --list", "the tests and what each means"},
};
static const mbs_example new_examples[] = {
    {"plugin new my_format --kind reader", "a reader in C, in the folder my_format"},
    {"plugin new letters --kind codec --lang c++ -o src/letters", "a codec in C++, in a folder of another name"},
};
static const mbs_example init_examples[] = {
    {"model init share:configs/model/dna-8x256.yaml -o fresh --seed 7", "a model with random weights"},
    {"model init dna-8x256 -o small --set n_layer=2", "the same shape with two layers"},
};

/* A table, read across. clang-format would put every member on a line of its own. */
/* clang-format off */
const mbs_command mbs_commands[] = {
    {MBS_CMD_RUN, NULL, "run", "run a pipeline: read, model, write",
     "Runs the pipeline that a YAML file describes: a reader streams records, a codec makes tokens of them, a model "
     "works "
     "on them chunk by chunk in constant memory, and writers write what comes out.\n\n"
     "The whole pipeline is checked before anything is opened. A file gets its final name only when it is complete; "
     "until "
     "then its parts stand beside it under a hidden name. A run that is stopped leaves what --resume needs to go on, "
     "and "
     "the bytes written are the same as if it had never been stopped.\n\n"
     "Results do not depend on --chunk, on --threads or on what else is in the input.",
     "PIPELINE", "a YAML file, share:pipelines/NAME.yaml, or - for standard input", 1, 1, MBS_COMPLETE_YAML,
     EXAMPLES(run_examples)},
    {MBS_CMD_CHECK, NULL, "check", "check a pipeline or recipe without opening anything",
     "Reads a pipeline as run would, or a recipe as train would, and says every mistake with its line and column: "
     "unknown keys, wrong types, values out of range, stages that do not fit together, plugins that are "
     "missing. No input is opened and no output is made. A "
     "right "
     "pipeline is shown stage by stage with what each takes and gives.",
     "PIPELINE", "a YAML file, share:pipelines/NAME.yaml, or - for standard input", 1, 1, MBS_COMPLETE_YAML,
     EXAMPLES(check_examples)},
    {MBS_CMD_TRAIN, NULL, "train", "train a model by a recipe",
     "Trains the model that a recipe describes: a pipeline with 'train:' and 'output:' in the place of a writer. "
     "Reader and codec give the tokens, 'model.init' begins with a fresh model of a shape, 'model.path' (-m) with one "
     "that is there. The output is a model folder that run, eval and transformers load, with the recipe, a record of "
     "the training (metrics.jsonl) and a page that shows it (training.html).\n\n"
     "The output gets its name when it is complete. Until then the training works in a hidden folder beside it and "
     "keeps its last two checkpoints there; after a stop, a crash or a loss of power --resume goes on from them, and "
     "ends with the same bytes as if nothing had happened. So does any number of threads.\n\n"
     "What is held out (train.split) is scored during the training and at its end, on both strands where there are "
     "two: the last line says how many bits a token takes. 'mambaseq plugin show train' lists all keys.",
     "RECIPE", "a YAML file, share:configs/train/NAME.yaml, or - for standard input", 1, 1, MBS_COMPLETE_YAML,
     EXAMPLES(train_examples)},
    {MBS_CMD_EVAL, NULL, "eval", "score an input by weight types and by counting",
     "Scores the input of a pipeline and writes no file. The model is held in every way of --dtype and computed in "
     "every way of --math, side by side in one pass over the same tokens, and compared with f32 weights and f32 math. "
     "A line for each way: the bits per token and how many more they are, the largest error of a logit as part of the "
     "largest logit, the bytes that the weights take, and the speed of the model.\n\n"
     "The pipeline's own model.dtype and model.math do not count, its writers are left out, and its task has to be "
     "score or classify. Memory holds all the models at once, and does not grow with the input.\n\n"
     "With task classify the reader has to give labels: the lines say how many records were classified right, and "
     "below them a table for each way says what was taken for what, truth by rows.\n\n"
     "With --baseline there is also a line for each classical model: what tables of counts reach on the very same "
     "tokens, learnt from another part of the input or from another file.",
     "PIPELINE", "a YAML file, share:pipelines/NAME.yaml, or - for standard input", 1, 1, MBS_COMPLETE_YAML,
     EXAMPLES(eval_examples)},
    {MBS_CMD_INSPECT, NULL, "inspect", "say what a model folder or a file holds",
     "Says what is in a model folder (config.json and weights) or in a file that a plugin knows by its suffix. A file "
     "whose "
     "plugin has no short way is read through and counted.",
     "PATH", "a model folder, or a file", 1, 1, MBS_COMPLETE_FILE, EXAMPLES(inspect_examples)},
    {MBS_CMD_CONVERT, NULL, "convert", "write a model folder anew, as one safetensors file",
     "Reads a model folder (model.safetensors or pytorch_model.bin, whole or in shards) and writes another with the "
     "same config.json, one model.safetensors and the tokenizer's files. Nothing of a pytorch_model.bin is executed. "
     "The model is checked as run checks it; a head that is the embedding once more is written once.\n\n"
     "The folder appears whole or not at all, and the same input gives the same bytes.",
     "FOLDER", "a model folder, or hf:ORG/NAME of the local Hugging Face cache", 1, 1, MBS_COMPLETE_FOLDER,
     EXAMPLES(convert_examples)},
    {MBS_CMD_MERGE, NULL, "merge", "make one result of the shards of a run",
     "Takes what runs with --shard 1/n to n/n wrote and writes what one run would have written, in the same bytes: "
     "headers, indexes and side files too, whatever the writer.\n\n"
     "Each shard leaves PATH.shard beside its first output, which holds what the model gave. Merging reads the input "
     "once more as the shards did, from the same place and by the same names, and gives every record what the shard "
     "that it belongs to made of it; the model does not run. Shards of another pipeline, model, machine or input are "
     "refused, with the difference named. When it is done the shards can be deleted.\n\n"
     "-o is the first writer's path as with run. Other writers need a --set writer.1.path=FILE each, for no output may "
     "be one of a shard's.",
     "PART", "an output of a shard, or its PATH.shard; all of them, in any order", 1, 65536,
     MBS_COMPLETE_FILE, EXAMPLES(merge_examples)},
    {MBS_CMD_BENCH, NULL, "bench", "measure this machine, the kernels and whole models",
     "Measures what this machine does at most (multiply-adds, reading memory), how much of it the kernels reach at the "
     "sizes of a shape, and how many tokens a second a whole model of that shape handles. Weights are random and "
     "nothing is written.\n\n"
     "Every figure is the median of several repeats of wall time. What other programs took of the machine meanwhile is "
     "measured too; where it is much, the figures are not worth keeping.",
     NULL, NULL, 0, 0, MBS_COMPLETE_NONE, EXAMPLES(bench_examples)},
    {MBS_CMD_PLUGIN_LIST, "plugin", "list", "list readers, codecs and writers",
     "Opens every plugin that can be found and lists what it offers. Libraries that cannot be used are listed with the "
     "reason, and those that another one hides are listed with its place.",
     NULL, NULL, 0, 0, MBS_COMPLETE_NONE, EXAMPLES(list_examples)},
    {MBS_CMD_PLUGIN_SHOW, "plugin", "show", "show a plugin and its parameters",
     "Shows one plugin: what it takes and gives, its file suffixes and every parameter with type, default, range and "
     "meaning. An id that is there as several kinds is shown for each; name the kind to see one. 'model' shows the "
     "parameters of the model stage, 'train' all that a recipe for training takes.",
     "ID [KIND]",
     "an id from 'mambaseq plugin list', a file name with a slash, 'model' or 'train'; KIND is reader, codec or writer",
     1, 2,
     MBS_COMPLETE_PLUGIN, EXAMPLES(show_examples)},
    {MBS_CMD_PLUGIN_CHECK, "plugin", "check", "test a plugin against what the headers ask of it",
     "Drives every reader, codec and writer of one library through what the plugin headers ask: tables, "
     "parameters, the order of calls, any size of blocks, damaged input, refused memory, saved places. Each "
     "test runs in a process of its own with a deadline, so that a plugin that crashes, hangs or ends the "
     "process is caught and named.\n\n"
     "A test passes, fails, or is not checked. What is not checked (a reader without --sample, a codec that "
     "does not decode) is counted on its own, with the reason. A failure comes with what the test means, a "
     "hint, and the command that runs it again in a debugger. What is made up (codecs and writers are fed, "
     "inputs are damaged) depends on --seed alone.\n\n"
     "The exit code is 0 where no test failed, 69 where one did.",
     "FILE", "a library (.so), or the id of a plugin", 0, 1, MBS_COMPLETE_FILE, EXAMPLES(plugin_check_examples)},
    {MBS_CMD_PLUGIN_NEW, "plugin", "new", "make a folder in which a plugin of your own begins",
     "Makes a folder with a working plugin in one source file, a CMakeLists.txt and a Makefile that build it against "
     "this installation, a pipeline that runs at once, a sample, a test and a README. A reader takes lines of name, "
     "tab, sequence; a codec turns letters into ids and back; a writer makes a line of each row. The marks 'Your "
     "format begins here' show what to replace.\n\n"
     "The folder appears whole or not at all; one that exists is left alone.",
     "NAME", "the name of the plugin: lower-case letters, digits and _, a letter first", 1, 1, MBS_COMPLETE_NONE,
     EXAMPLES(new_examples)},
    {MBS_CMD_MODEL_INIT, "model", "init", "make a fresh model from a shape and a seed",
     "Writes a model folder (config.json and model.safetensors, as transformers reads it) with random weights. The "
     "same "
     "shape and seed give the same bytes on every machine.",
     "SHAPE", "a YAML file, or the name of one in share:configs/model", 1, 1, MBS_COMPLETE_YAML,
     EXAMPLES(init_examples)},
    {MBS_CMD_VERSION, NULL, "version", "print version, build and what this processor is used for",
     "Prints the version, how the program was built, the libraries in it, and the kernel level in use and those that "
     "this "
     "processor has.",
     NULL, NULL, 0, 0, MBS_COMPLETE_NONE, 0, NULL},
};
/* clang-format on */
const int mbs_n_commands = (int)(sizeof mbs_commands / sizeof mbs_commands[0]);

static const mbs_fact groups[] = {
    {"model", "make models"},
    {"plugin", "find out about plugins, make new ones"},
};

const char *mbs_group_summary(const char *group) {
    for (size_t i = 0; i < sizeof groups / sizeof groups[0]; i++) {
        if (strcmp(groups[i].name, group) == 0) {
            return groups[i].text;
        }
    }
    return NULL;
}

const char *mbs_command_title(const mbs_command *command, char *out, size_t size) {
    snprintf(out, size, "%s%s%s", command->group ? command->group : "", command->group ? " " : "", command->name);
    return out;
}

const mbs_fact mbs_exit_codes[] = {
    {"0", "done"},
    {"64", "the command line is wrong"},
    {"65", "the input is damaged or not of the promised kind"},
    {"66", "the input cannot be opened"},
    {"69", "a plugin, library or device is not there"},
    {"70", "a mistake in this program or in a plugin"},
    {"71", "out of memory"},
    {"73", "an output cannot be created"},
    {"74", "reading or writing failed"},
    {"75", "stopped; --resume goes on from there"},
    {"78", "the pipeline or a parameter is wrong"},
};
const int mbs_n_exit_codes = (int)(sizeof mbs_exit_codes / sizeof mbs_exit_codes[0]);

const mbs_fact mbs_environment[] = {
    {"MAMBASEQ_PLUGIN_PATH",
     "folders with plugins, a colon between; an empty item stands for those of the installation"},
    {"MAMBASEQ_SHARE", "the folder that share: means, instead of the one of the installation"},
    {"MAMBASEQ_CPU", "a lower kernel level than this processor has: ref, avx2, avx512, avx512vnni or avx512bf16"},
    {"MAMBASEQ_DEVICE", "what device auto means: cpu, cuda or cuda:N"},
    {"MAMBASEQ_CUDA", "with the value tf32, f32 products on tensor cores, less exact; told in arithmetic"},
    {"MAMBASEQ_JOURNAL_EVERY", "seconds between two entries of the journal that run --resume continues from (10)"},
    {"MAMBASEQ_WATCH", "seconds in one call of a plugin after which a line says where it is (60)"},
    {"MAMBASEQ_CORE", "1: a plugin that crashes leaves a core dump, and the exit status is its signal's"},
};
const int mbs_n_environment = (int)(sizeof mbs_environment / sizeof mbs_environment[0]);
