== what a run has left
@ x.fa
| >a
| ACGTNACGTTGCAA
| >b
| AC
$ mambaseq run share:pipelines/genomics/score.yaml -q -i x.fa -o o.h5 --set writer.1.path=o.tsv
! ...
$ mambaseq inspect o.h5
>   path          o.h5
>   plugin        hdf5
> ~  format        1
>   task          score
>   records       2
>   tokens        16
>   scored        13
> ~  bits per base *
> ...
>   pipeline      mambaseq: 1
> ~                reader: {plugin: fasta, *
> ...
$ mambaseq inspect o.h5 --json | $PYTHON -c 'import json, sys; v = json.load(sys.stdin); print(v["records"], v["tokens"], v["pipeline"].split("\n")[0])'
> 2 16 mambaseq: 1
$ mambaseq inspect o.tsv
! ~mambaseq: error: reader 'tsv': *o.tsv:1: there is no column 'sequence' *
= 65

== not what its name says
@ x.h5
| text
$ mambaseq inspect x.h5
! ~mambaseq: error: *x.h5*
= 65
