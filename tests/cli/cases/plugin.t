== list
$ mambaseq plugin list
> ~KIND * SUMMARY
> ...
> ~reader * fasta *
> ...
> ~codec * bases *
> ...
> ~writer * table *
> ...

== list says where
$ mambaseq plugin list -v | grep -A1 '^writer  *table'
> ~writer  table *
>         {build}/lib/mambaseq/plugins-1/mbsp_table.so
$ MAMBASEQ_PLUGIN_PATH={here} mambaseq plugin list -v | sed -n '/^folders/,$p'
> folders, in the order of search:
> ...
>   {build}/lib/mambaseq/plugins-1
> ...

== hidden and broken ones are listed with the reason
$ mkdir p && chmod 755 p && cp "$BUILD"/lib/mambaseq/plugins-1/mbsp_table.so p && echo rubbish >p/mbsp_rubbish.so
$ MAMBASEQ_PLUGIN_PATH=$PWD/p: mambaseq plugin list | sed -n '/^$/,$p'
>
> hidden by another of the same name:
>   writer table {build}/lib/mambaseq/plugins-1/mbsp_table.so, by {here}/p/mbsp_table.so
>
> cannot be used:
> ~  {here}/p/mbsp_rubbish.so: *
$ MAMBASEQ_PLUGIN_PATH=$PWD/p: mambaseq plugin show rubbish
! ~mambaseq: error: {here}/p/mbsp_rubbish.so: *
= 69
$ MAMBASEQ_PLUGIN_PATH=$PWD/p: mambaseq plugin list --json | $PYTHON -c 'import json, sys; v = json.load(sys.stdin); print(sorted((p["id"] or "-", bool(p["hidden_by"]), bool(p["problem"])) for p in v["plugins"] if p["path"].startswith(sys.argv[1]) or p["hidden_by"]))' "$PWD"
> [('-', False, True), ('table', False, False), ('table', True, False)]

== a folder that anybody can write to is not searched
$ mkdir p && echo rubbish >p/mbsp_rubbish.so && chmod 777 p
$ MAMBASEQ_PLUGIN_PATH=$PWD/p: mambaseq plugin list -v | grep $PWD
>   {here}/p: not searched: is writable by anybody
> ~*{here}/.local/lib/mambaseq/plugins: not searched: does not exist

== show
$ mambaseq plugin show table
> ~writer 'table' *: *
>   takes      anything
> ~  suffixes   *.tsv*
>   pipeline   writer: {plugin: table, path: ...}
>   licence    MIT
>   file       {build}/lib/mambaseq/plugins-1/mbsp_table.so
>
> parameters:
> ~  path *file (required)
> ~            *
> ...
$ mambaseq plugin show table writer >a && mambaseq plugin show table >b && cmp a b

== show has an example of each option
$ mambaseq plugin show table writer | grep e.g.
>             e.g. path: rows.tsv
>             e.g. format: tsv
>             e.g. every: 500ms
>             e.g. header: false
$ mambaseq plugin show table writer | grep -A 2 "^  path"
>   path      file (required)
>             file to write, - for standard output
>             e.g. path: rows.tsv

== show of a file
$ mambaseq plugin show "$BUILD"/lib/mambaseq/plugins-1/mbsp_table.so | head -n 1
> ~writer 'table' *
$ mambaseq plugin show ./nothere.so
! ~mambaseq: error: ./nothere.so: there is no such plugin file; *
= 69

== show of the model stage
$ mambaseq plugin show model
> the model stage of a pipeline
>
> parameters:
> ~  path *file (required)
> ...
> ~  chunk *whole number 1..1073741824 tokens (default: 65536)
> ...

== show in JSON
$ mambaseq plugin show table --json | $PYTHON -c 'import json, sys; v = json.load(sys.stdin)["plugins"]; p = v[0]["params"]; print(len(v), v[0]["kind"], p[0]["key"], p[0]["type"], p[0]["required"], all(x["help"] for x in p))'
> 1 writer path path True True
$ mambaseq plugin show model --json | $PYTHON -c 'import json, sys; v = {p["key"]: p for p in json.load(sys.stdin)["plugins"][0]["params"]}; print(v["chunk"]["default"], v["chunk"]["min"], v["task"]["words"][0])'
> 65536 1 score

== show of what is not there
$ mambaseq plugin show tabel
! mambaseq: error: there is no plugin 'tabel', did you mean 'table'?; 'mambaseq plugin list -v' lists what there is and where it was searched
= 69
$ mambaseq plugin show table reader
! mambaseq: error: there is no reader 'table', only a writer
= 69
$ mambaseq plugin show zzzzzzzz
! mambaseq: error: there is no plugin 'zzzzzzzz'; 'mambaseq plugin list -v' lists what there is and where it was searched
= 69
$ mambaseq plugin show table tabel
! mambaseq: error: plugin show: 'tabel' is not a kind, must be reader, codec or writer
= 64
