# A name of another format than the writer's.

== another writer's: named, with what to set
$ mambaseq run share:pipelines/genomics/embed.yaml -o x.tsv
! mambaseq: error: writer 'hdf5': would write its own format to 'x.tsv', a name of writer 'table'; for that format --set 'writer={plugin: table, path: x.tsv}'; else a name that ends with .h5 .hdf5
= 78
$ mambaseq run share:pipelines/genomics/score.yaml -o x.tsv
! mambaseq: error: writer.0 'hdf5': would write its own format to 'x.tsv', a name of writer 'table'; give that one its path: --set writer.table.path=x.tsv
= 78
$ ls
