== the same shape and seed give the same bytes
$ mambaseq model init tiny -o a --seed 7
! mambaseq: wrote a: 2 layers of width 16, seed 7
$ mambaseq model init share:configs/model/tiny.yaml -o b --seed 7 -q
$ diff -r a b
$ mambaseq model init tiny -o c --seed 8 -q
$ cmp -s a/model.safetensors c/model.safetensors
= 1
$ ls a
> config.json
> model.safetensors
> tokenizer.json
> tokenizer_config.json
> vocab.txt

== the folder is a model
$ mambaseq model init tiny -o a -q
$ mambaseq inspect a | grep 'd model'
>   d model       16

== --set changes the shape
@ s.yaml
| d_model: 16
| n_layer: 1
| vocab: dna
$ mambaseq model init s.yaml -o a -q --set n_layer=3 --set d_state=4 && mambaseq inspect a | grep -e 'n layer' -e 'd state'
>   n layer       3
>   d state       4
$ mambaseq model init - -o b -q <s.yaml

== all mistakes in one run, and nothing is made
@ s.yaml
| d_model: wide
| n_layers: 1
| vocab: [1]
$ mambaseq model init s.yaml -o a --set norm=fancy
! ~s.yaml:1:10: error: 'd_model' is *, not 'wide'
! ...
! s.yaml:2:1: error: 'n_layers' is not a key of a shape, did you mean 'n_layer'?
! ...
! s.yaml:3:8: error: 'vocab' must be a single value
! ...
! ~--set norm=fancy: error: 'norm' is *, not 'fancy'
! mambaseq: error: s.yaml: 4 errors
= 78
$ ls
> s.yaml
$ echo 'd_model: 16' | mambaseq model init - -o a
! ~mambaseq: error: <stdin>: 'n_layer' is missing*
= 78

== what stands there is not replaced
$ mambaseq model init tiny -o a -q
$ mambaseq model init tiny -o a
! ~mambaseq: error: *a: exists already; *--force*
= 73
$ mambaseq model init tiny -o a --force -q
$ mambaseq model init tiny -o nowhere/a
! ~mambaseq: error: nowhere/a: *
= 73

== no such shape
$ mambaseq model init tinny -o a
! ~mambaseq: error: tinny: there is no such file, and no such shape in share:configs/model, did you mean 'tiny'?; there is *dna-4x128, *
= 66
$ mambaseq model init ./tiny.yaml -o a
! ~mambaseq: error: ./tiny.yaml: *
= 66

== a folder that is not there is named, with what makes it
$ mambaseq model init tiny -o 'no such/m'
! mambaseq: error: no such/m: cannot be created: there is no folder 'no such'; make it first: mkdir -p 'no such'
= 73
