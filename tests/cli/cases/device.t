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
$ printf '>a\nACGT\n' >a.fa; for name in MAMBASEQ_CPU MAMBASEQ_DEVICE; do env $name=foo mambaseq run share:pipelines/genomics/score.yaml -i a.fa -o a.h5; echo $?; done
> 64
> 64
! ~mambaseq: error: MAMBASEQ_CPU: 'foo' is none of the levels ref, avx2, avx512, avx512vnni and avx512bf16; nothing was written to a.h5; *
! mambaseq: error: MAMBASEQ_DEVICE: device: 'foo' is none of auto, cpu, cuda and cuda:N; nothing was written to a.h5

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

== a program without a backend beside it
$ mkdir bin q && cp $BUILD/bin/mambaseq bin/ && cp $(dirname $(find $BUILD/lib* -name mbsp_fasta.so | head -n 1))/mbsp_*.so q/
$ printf '>a\nACGT\n' >a.fa
$ MAMBASEQ_SHARE=$BUILD/share/mambaseq MAMBASEQ_PLUGIN_PATH=$PWD/q bin/mambaseq run $SOURCE/pipelines/genomics/score.yaml -i a.fa -o a.h5 --device cuda
! ~mambaseq: error: device: the CUDA backend is not installed: there is no mambaseq-cuda.so in {here}/q, *; nothing was written to a.h5; install or build it (-DMBS_CUDA=ON), or use --device cpu
= 69
$ MAMBASEQ_DEVICE=auto MAMBASEQ_SHARE=$BUILD/share/mambaseq MAMBASEQ_PLUGIN_PATH=$PWD/q bin/mambaseq run $SOURCE/pipelines/genomics/score.yaml -i a.fa -o a.h5 | cut -f1-6
> source	name	start	end	length	scored
> a.fa	a	0	4	4	3
! ~mambaseq: 1 record*cpu/*

== nothing of CUDA in the program, its plugins and the library
$ ldd $BUILD/bin/mambaseq $(find $BUILD/lib* -name 'mbsp_*.so') $(find $BUILD/lib* -name 'libmambaseq.so*') 2>/dev/null | grep -i -e libcuda -e libnv -e cublas | wc -l
> 0

== bench on a device that is not there
$ mkdir p && echo rubbish >p/mambaseq-cuda.so && MAMBASEQ_PLUGIN_PATH=$PWD/p mambaseq bench --device cuda --shape tiny
! ~mambaseq: error: {here}/p/mambaseq-cuda.so: the CUDA backend cannot be loaded: *
= 69
$ mambaseq bench --device cuda --cpu ref --shape tiny
! mambaseq: error: --cpu and --device exclude each other
= 64
