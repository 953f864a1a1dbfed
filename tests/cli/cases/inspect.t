== a file of sequences
@ x.fa
| >a first
| ACGTNN
| acgt
| >b
| AC
$ mambaseq inspect x.fa
>   path          x.fa
>   plugin        fasta
>   type          bases/u8
>   unit          base
>   records       2
>   length        12
>   shortest      2
>   mean          6
>   longest       10
>   letters       A 2, C 2, N 2, G 1, T 1, a 1, c 1, g 1, t 1
$ mambaseq inspect --json x.fa | $PYTHON -c 'import json, sys; v = json.load(sys.stdin); print(v["records"], v["length"], v["letters"]["A"])'
> 2 12 2

== numbers have a point in every locale
@ x.fa
| >a
| A
| >b
| AC
$ mambaseq inspect x.fa | grep mean
>   mean          1.5

== a name that holds control bytes
$ n=$(printf 'x\033[1m.fa'); printf '>a\nAC\n' >"$n"; mambaseq inspect "$n" | head -n 1
>   path          x\x1b[1m.fa
$ mambaseq inspect "$(printf 'y\033[1m.fa')"
! mambaseq: error: y\x1b[1m.fa: there is no such file or folder
= 66

== damaged and empty
@ empty.fa
@ bad.fa
| hello
$ mambaseq inspect empty.fa
! ~mambaseq: error: reader 'fasta': *empty.fa: empty file*
= 65
$ mambaseq inspect bad.fa
! ~mambaseq: error: reader 'fasta': *bad.fa:1: not FASTA or FASTQ*
= 65
$ printf '>a\nACGT\n' | gzip | head -c 20 >cut.fa.gz; mambaseq inspect cut.fa.gz
! ~mambaseq: error: reader 'fasta': *cut.fa.gz*
= 65

== nothing there, nothing known
$ mambaseq inspect nothere
! mambaseq: error: nothere: there is no such file or folder
= 66
$ mambaseq inspect /dev/null
! mambaseq: error: /dev/null: no plugin knows a file of this name; 'mambaseq plugin show ID' lists the suffixes of each plugin
= 69
$ mambaseq inspect share:models/ecoli-ref/model.safetensors
! mambaseq: error: {build}/share/mambaseq/models/ecoli-ref/model.safetensors: the plugin of this suffix can only write such files; name the folder of the model, not a file in it
= 69
$ touch x.odd && mambaseq inspect x.odd
! ~mambaseq: error: x.odd: *
= 69
$ printf '>a\nAC\n' >x.fa && mambaseq inspect x.fa --expect y.safetensors
! mambaseq: error: x.fa: --expect compares a model, and this is not a folder
= 64
