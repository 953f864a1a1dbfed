# A pipeline is right, or all that is wrong with it, without anything being opened.

== right
$ mambaseq check share:pipelines/genomics/score.yaml -i not-there.fa -o out.h5
> share:pipelines/genomics/score.yaml: ok
> ~reader    fasta *-> bases/u8
> ~*path: [not-there.fa]*
> ~codec     bases *bases/u8 -> tokens/i32
> ...
> ~model     score *tokens/i32 -> score/f32
> ~*path: share:models/ecoli-ref*
> ~writer    hdf5 *score/f32
> ~*path: out.h5*
> ...
$ ls
$ mambaseq check -q share:pipelines/genomics/score.yaml

== every pipeline that comes with the program
$ for p in "$SOURCE"/pipelines/*/*.yaml; do mambaseq check -q "$p" || exit 1; done

== from standard input
@ p.yaml
| mambaseq: 1
| reader: {plugin: fasta, path: x.fa}
| writer: {plugin: table, path: "-"}
$ mambaseq check -q - <p.yaml
$ sed 's/reader/raeder/' p.yaml | mambaseq check -
! ...
! <stdin>:2:1: error: 'raeder' is not a part of a pipeline, did you mean 'reader'?
! ...
! ~mambaseq: error: <stdin>: * errors
= 78

== all mistakes in one run
@ bad.yaml
| mambaseq: 1
| reader: {plugin: fasta, pth: a.fa}
| model: {path: share:models/ecoli-ref, task: score, chunk: 0}
| writer: {plugin: tabel, path: out.tsv}
$ mambaseq check bad.yaml
! bad.yaml:2:25: error: reader 'fasta': 'pth' is not a parameter, did you mean 'path'?
!     reader: {plugin: fasta, pth: a.fa}
!                             ^
! bad.yaml:3:59: error: model: 'chunk' is 0, must be 1..1073741824 tokens
!     model: {path: share:models/ecoli-ref, task: score, chunk: 0}
!                                                               ^
! ~bad.yaml:4:18: error: *'tabel'*no plugin of this name*did you mean 'table'?
!     writer: {plugin: tabel, path: out.tsv}
!                      ^
! mambaseq: error: bad.yaml: 3 errors
= 78
$ mambaseq check -q bad.yaml 2>&1 | tail -n 1
> mambaseq: error: bad.yaml: 3 errors
$ mambaseq check --json bad.yaml 2>/dev/null | $PYTHON -c 'import json, sys; v = json.load(sys.stdin); print(v["ok"], v["exit_code"], len(v["diagnostics"]), v["error"])'
> False 78 3 bad.yaml: 3 errors

== JSON of a right one
$ mambaseq check --json share:pipelines/genomics/score.yaml | $PYTHON -c 'import json, sys; v = json.load(sys.stdin); print(v["ok"], v["exit_code"], v["diagnostics"], v["canonical"].split("\n")[0])'
> True 0 [] mambaseq: 1

== values of the command line, in their order
$ mambaseq check share:pipelines/genomics/score.yaml --set model.chunk=7 --set model.chunk=1_000 -m m --set writer.1.path=t.tsv | grep -c -e 'chunk: 1000[^0-9]' -e 'path: m,' -e 'path: t.tsv'
> 2
$ mambaseq check share:pipelines/genomics/score.yaml --set model.task=scroe
! --set model.task=scroe: error: model: 'task' is 'scroe', must be score, logits, embed, generate, classify, variant, compress, decompress, mutate or impute, did you mean 'score'?
! mambaseq: error: share:pipelines/genomics/score.yaml: 1 error
= 78

== only a plugin is missing
@ p.yaml
| mambaseq: 1
| reader: {plugin: nanopore, path: x.pod5}
| writer: {plugin: table, path: "-"}
$ mambaseq check p.yaml 2>&1 | tail -n 1
> mambaseq: error: p.yaml: 1 error
$ mambaseq check p.yaml 2>/dev/null
= 69

== no pipeline
$ mambaseq check nothere.yaml
! mambaseq: error: nothere.yaml: cannot open: No such file or directory; check the path and its permissions
= 66
$ mambaseq check /dev/null
! /dev/null:1:1: error: an empty pipeline: it begins with 'mambaseq: 1'
! ...
! mambaseq: error: /dev/null: 1 error
= 78

== success says nothing on a closed stdout
$ mambaseq check -q share:pipelines/genomics/score.yaml >&-
$ mambaseq check share:pipelines/genomics/score.yaml >/dev/full
! ~mambaseq: error: standard output: cannot write: *; what was printed is not complete
= 74

== a typo in the path, and a file of data where the pipeline belongs
$ mambaseq check share:pipelines/genomics/scor.yaml
! ~mambaseq: error: *scor.yaml: cannot open: No such file or directory; did you mean 'share:pipelines/genomics/score.yaml'?
= 66
$ mambaseq check share:pipelines/genomic/score.yaml
! ~mambaseq: error: *genomic/score.yaml: cannot open: No such file or directory; did you mean 'share:pipelines/genomics/score.yaml'?
= 66
@ my.fa
| >a
| ACGT
$ mambaseq check my.fa
! my.fa:1:1: error: this is not a pipeline: a file of data goes behind -i, as in 'run PIPELINE.yaml -i my.fa'
! ...
= 78
$ gzip -k my.fa; mambaseq check my.fa.gz
! my.fa.gz:1:1: error: this is not a pipeline: a file of data goes behind -i, as in 'run PIPELINE.yaml -i my.fa.gz'
! ...
= 78

== the bare name of a shipped pipeline or recipe
$ mambaseq check label.yaml
! ~mambaseq: error: label.yaml: *did you mean 'share:pipelines/audio/label.yaml'*
= 66
$ mambaseq train tiny.yaml -o m
! ~mambaseq: error: tiny.yaml: *did you mean 'share:configs/train/tiny.yaml'*
= 66
