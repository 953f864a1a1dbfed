# A name of another format than the writer's.

== another writer's: named, with what to set
$ mambaseq run share:pipelines/genomics/embed.yaml -o x.tsv
! mambaseq: error: writer 'hdf5': would write its own format to 'x.tsv', a name of writer 'table'; for that format --set 'writer={plugin: table, path: x.tsv}'; else a name that ends with .h5 .hdf5
= 78
$ mambaseq run share:pipelines/genomics/score.yaml -o x.tsv
! mambaseq: error: writer.0 'hdf5': would write its own format to 'x.tsv', a name of writer 'table'; give that one its path: --set writer.table.path=x.tsv
= 78
$ ls

== -o says where, whatever --set puts in the writer's place
$ printf '>a\nACGTACGT\n' > a.fa
$ mambaseq run -q share:pipelines/genomics/embed.yaml -i a.fa -o x.tsv --set 'writer={plugin: table, path: y.tsv}' --set 'model={path: share:models/ecoli-ref, task: score}'
$ ls
> a.fa
> x.tsv
