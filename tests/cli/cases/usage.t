# What is said about a command line that is wrong: one last line, and 64.

== nothing at all
$ mambaseq
! usage: mambaseq COMMAND [OPTIONS]
!   run, check, train, eval, inspect, convert, merge, bench, plugin list,
!   plugin show, plugin check, plugin new, model init, version
! for a start: mambaseq run share:pipelines/genomics/score.yaml
! mambaseq: error: a command is missing; 'mambaseq --help' lists them
= 64

== a misspelt command
$ mambaseq rnu score.yaml
! mambaseq: error: 'rnu' is not a command, did you mean 'run'?; 'mambaseq --help' lists them
= 64
$ mambaseq plugin sow fasta
! mambaseq: error: plugin: 'sow' is not a command, did you mean 'show'?; 'mambaseq plugin --help' lists them
= 64

== a pipeline without its command
$ mambaseq score.yaml
! mambaseq: error: 'score.yaml' is not a command, did you mean 'mambaseq run score.yaml'?; 'mambaseq --help' lists them
= 64

== half of a command
$ mambaseq plugin
! mambaseq: error: plugin: a second word is missing: list, show, check, new; 'mambaseq plugin --help' explains them
= 64
$ mambaseq model
! mambaseq: error: model: a second word is missing: init; 'mambaseq model --help' explains them
= 64

== shards are i/n, and a merge says where to
$ mambaseq merge
! ~mambaseq: error: merge: * is missing*
= 64
$ mambaseq merge a b
! ~mambaseq: error: merge: -o PATH is missing*
= 64
$ mambaseq merge a b -o c
! mambaseq: error: a: it is no shard of a run, and a.shard is not there; give what 'mambaseq run --shard i/n -o FILE' wrote; FILE.shard belongs to it and is there when that run has ended
= 66

== options that are not there
$ mambaseq run --thraeds 4 score.yaml
! mambaseq: error: run: '--thraeds' is not an option, did you mean '--threads'?; 'mambaseq run --help' lists the options
= 64
$ mambaseq check --resume score.yaml
! mambaseq: error: check: '--resume' is not an option of this command; 'mambaseq check --help' lists the options
= 64
$ mambaseq -q run score.yaml
! mambaseq: error: '-q' stands where a command must stand; options come after the command: mambaseq run -q ...
= 64

== values that are none
$ mambaseq run score.yaml --threads many
! mambaseq: error: run: '--threads' is 'many', must be a whole number such as 12, 64k or 4Mi; 'mambaseq run --help' lists the options
= 64
$ mambaseq run score.yaml -@ 1,5
! mambaseq: error: run: '-@' is '1,5', must be a whole number such as 12, 64k or 4Mi; 'mambaseq run --help' lists the options
= 64
$ mambaseq run score.yaml --chunk 0
! mambaseq: error: run: '--chunk' is 0, must be 1..1073741824; 'mambaseq run --help' lists the options
= 64
$ mambaseq run score.yaml -o
! mambaseq: error: run: '-o' needs a value; write -o PATH
= 64
$ mambaseq run score.yaml --set reader.path
! mambaseq: error: run: '--set' is 'reader.path', must be KEY=VALUE; 'mambaseq run --help' lists the options
= 64

== a glob that the shell has opened
@ a.fa
@ b.fa
$ mambaseq run score.yaml -i *.fa
! mambaseq: error: run: 'b.fa' is one word too many; -i takes one value: quote a glob (-i '*.fa') or write --set 'reader.path=[a.fa, b.fa]'
= 64

== control bytes do not reach the terminal
$ mambaseq "$(printf 'x\033[31m')"
! mambaseq: error: 'x\x1b[31m' is not a command; 'mambaseq --help' lists them
= 64

== missing operands
$ mambaseq run
! mambaseq: error: run: PIPELINE is missing; write mambaseq run PIPELINE; PIPELINE is a YAML file, share:pipelines/NAME.yaml, or - for standard input
= 64
$ mambaseq model init shape.yaml
! mambaseq: error: model init: -o FOLDER is missing: folder to make; 'mambaseq model init --help' lists the options
= 64
$ mambaseq plugin show fasta reeder
! mambaseq: error: plugin show: 'reeder' is not a kind, must be reader, codec or writer
= 64

== the input as output is told as such, also where a file stands there
@ same.fa
| >a
| ACGT
$ mambaseq run share:pipelines/genomics/score.yaml -i same.fa -o same.fa
! ~mambaseq: error: *same.fa: is the input and the output; write to another file
= 64
