# Recipes: what is said about them, without anything being trained.

== mistakes have their places
@ r.yaml
| mambaseq: 1
| reader: {plugin: fasta, path: a.fa}
| model: {init: tiny}
| train:
|   stesp: 10
|   optimizer: {learning: 1}
| output: {path: out}
$ mambaseq train r.yaml
! r.yaml:5:3: error: train: 'stesp' is not a parameter, did you mean 'steps'?
! ...
! r.yaml:6:15: error: train.optimizer: 'learning' is not a parameter, there is lr, betas, eps, weight_decay, clip
! ...
! mambaseq: error: r.yaml: 2 errors
= 78
$ mambaseq check r.yaml --set train.steps=10 --set train.stesp=null
! ...
! mambaseq: error: r.yaml: 2 errors
= 78

== a pipeline is run, a recipe is trained
@ p.yaml
| mambaseq: 1
| reader: {plugin: fasta, path: a.fa}
| writer: {plugin: table, path: a.tsv}
$ mambaseq train p.yaml
! p.yaml:1:1: error: no 'train' and no 'output': this is a pipeline, use 'mambaseq run p.yaml'
! ...
! mambaseq: error: p.yaml: 1 error
= 78
$ mambaseq run share:configs/train/tiny.yaml
! ...
! mambaseq: error: share:configs/train/tiny.yaml: 1 error
= 78

== check and --dry-run say what there is to train
$ mambaseq check share:configs/train/tiny.yaml -q
$ mambaseq check share:configs/train/ecoli.yaml -q -i genome.fa
$ mambaseq check share:configs/train/ecoli-4x128.yaml -q -i genome.fa
$ mambaseq train share:configs/train/ecoli.yaml -i genome.fa -o x --dry-run | tail -n 6 | grep -v -e arithmetic -e memory
> model       fresh, 6 layers of width 192, 1,513,536 parameters
> windows     1024 from step 1, 2048 from step 3751, 4096 from step 6001
> steps       7,500 of 8,192 tokens: 61,440,000 tokens
> output      x
$ ls | wc -l
> 0

== a shape that is not there, a model that is not there
$ mambaseq train share:configs/train/tiny.yaml -o x --set model.init=tiyn
! ~mambaseq: error: model.init: tiyn: there is no such file, and no such shape in share:configs/model, did you mean 'tiny'?; there is *dna-4x128, *, tiny
= 66
$ mambaseq train share:configs/train/tiny.yaml -o x --set model.init=null -m nowhere
! ~mambaseq: error: *nowhere*
= 66

== what is read is not replaced
$ mambaseq model init tiny -o m -q
$ mambaseq train share:configs/train/tiny.yaml -m m -o m --force --set model.init=null
! mambaseq: error: m: the output holds m/model.safetensors, which is read; give the output another name
= 64
$ mambaseq train share:configs/train/tiny.yaml -o m
! mambaseq: error: m: exists already; take another name, or --force to replace it
= 73
$ ls -A
> m

== an input without a model's kind of letters
$ mambaseq train share:configs/train/tiny.yaml -i none.fa -o x
! ~mambaseq: error: *none.fa*
= 66
$ printf '>a\nAC!T\n' >bad.fa; mambaseq train share:configs/train/tiny.yaml -i bad.fa -o x
! ~mambaseq: error: codec 'bases': record 'a', position 3: *
= 65
$ mambaseq train share:configs/train/tiny.yaml -o x --set train.soft_mask=0.5
! mambaseq: error: train.soft_mask: the input does not say what is soft-masked; give the codec soft_mask: mask, or leave train.soft_mask out
= 78
$ ls -A
> bad.fa

== a folder that is not there is named, with what makes it
$ mambaseq train share:configs/train/tiny.yaml -o no/a
! mambaseq: error: no/a: cannot be created: there is no folder 'no'; make it first: mkdir -p 'no'
= 73
