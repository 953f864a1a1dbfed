# Help goes to standard output and ends with 0.

== all of it
$ mambaseq --help
> mambaseq {version}: state-space models on very long sequences
>
> usage: mambaseq COMMAND [OPTIONS]
>
> commands:
>   run PIPELINE            run a pipeline: read, model, write
>   check PIPELINE          check a pipeline or recipe without opening anything
>   train RECIPE            train a model by a recipe
>   eval PIPELINE           score an input by weight types and by counting
>   inspect PATH            say what a model folder or a file holds
>   convert FOLDER          write a model folder anew, as one safetensors file
>   merge PART              make one result of the shards of a run
>   bench                   measure this machine, the kernels and whole models
>   plugin list             list readers, codecs and writers
>   plugin show ID [KIND]   show a plugin and its parameters
>   plugin check FILE       test a plugin against what the headers ask of it
>   plugin new NAME         make a folder in which a plugin of your own begins
>   model init SHAPE        make a fresh model from a shape and a seed
>   version                 print version, build and what this processor is used
>                           for
> ...
> exit codes:
>   0                       done
> ...
>   78                      the pipeline or a parameter is wrong
> ...
> environment:
> ...

== of one command
$ mambaseq model init --help
> usage: mambaseq model init SHAPE -o FOLDER [OPTIONS]
>
> Writes a model folder (config.json and model.safetensors, as transformers reads
> it) with random weights. The same shape and seed give the same bytes on every
> machine.
>
>   SHAPE                   a YAML file, or the name of one in share:configs/model
>
> options:
>   -o, --output FOLDER     folder to make
>       --set KEY=VALUE     set any value of the shape, e.g. n_layer=2; again and
>                           again
>       --seed N            seed of the random weights (default: 0)
>       --force             replace outputs that exist
>   -q, --quiet             say errors only
>   -h, --help              print this
>
> examples:
> ...

== of a group
$ mambaseq plugin -h
> mambaseq plugin: find out about plugins, make new ones
>
> commands:
>   plugin list             list readers, codecs and writers
>   plugin show ID [KIND]   show a plugin and its parameters
>   plugin check FILE       test a plugin against what the headers ask of it
>   plugin new NAME         make a folder in which a plugin of your own begins
>
> 'mambaseq plugin COMMAND --help' explains one.

== help as a word
$ mambaseq help run >one
$ mambaseq run --help >two
$ cmp one two
$ mambaseq help plugin show | head -n 1
> usage: mambaseq plugin show ID [KIND] [OPTIONS]
$ mambaseq help | head -n 1
> mambaseq {version}: state-space models on very long sequences
$ mambaseq help rnu
! mambaseq: error: 'rnu' is not a command, did you mean 'run'?; 'mambaseq --help' lists them
= 64
$ mambaseq help run run
! mambaseq: error: help: 'run' is too much: it takes one command; 'mambaseq help' lists the commands
= 64

== help wins over what stands behind it
$ mambaseq run --help --nonsense >one
$ mambaseq run -h >two
$ cmp one two

== help does not need what a command needs
$ mambaseq run score.yaml --help | head -n 1
> usage: mambaseq run PIPELINE [OPTIONS]

== the version
$ mambaseq --version
> mambaseq {version}
