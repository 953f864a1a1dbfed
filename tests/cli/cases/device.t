# Where to compute, on a machine that may have a backend, a driver, a device or none of them. What a device computes is
# tested in tests/simt.

== names
$ mambaseq run share:pipelines/genomics/score.yaml --device gpu
! mambaseq: error: run: '--device' is 'gpu', must be auto, cpu, cuda or cuda:N; 'mambaseq run --help' lists the options
= 64
$ mambaseq check share:pipelines/genomics/score.yaml --set model.device=cuda:1x
! ~*model: 'device' is 'cuda:1x', must be auto, cpu, cuda or cuda:N
! ...
= 78

== a backend that is none
$ mkdir p && echo rubbish >p/mambaseq-cuda.so
$ printf '>a\nACGT\n' >a.fa && MAMBASEQ_PLUGIN_PATH=$PWD/p mambaseq run $SOURCE/pipelines/genomics/score.yaml -i a.fa -o a.h5 --device cuda
! ~mambaseq: error: {here}/p/mambaseq-cuda.so: the CUDA backend cannot be loaded: *; nothing was written to a.h5; build or install it again for this machine, or use --device cpu
= 69
$ MAMBASEQ_DEVICE=auto MAMBASEQ_PLUGIN_PATH=$PWD/p mambaseq run $SOURCE/pipelines/genomics/score.yaml -i a.fa -o a.h5 | cut -f1-6
> source	name	start	end	length	scored
> a.fa	a	0	4	4	3
! ~mambaseq: computing on the CPU: {here}/p/mambaseq-cuda.so: the CUDA backend cannot be loaded: *
! ~*cpu/*
$ chmod o+w p/mambaseq-cuda.so && MAMBASEQ_PLUGIN_PATH=$PWD/p mambaseq run $SOURCE/pipelines/genomics/score.yaml -i a.fa -o b.h5 --device cuda:7
! mambaseq: error: {here}/p/mambaseq-cuda.so: the CUDA backend is not loaded: it is writable by anybody; nothing was written to b.h5; let only its owner write there, or use --device cpu
= 69
