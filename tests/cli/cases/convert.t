== a folder becomes one that is the same model
$ mambaseq convert share:models/recall -o a
! ~mambaseq: wrote a: * tensors, * bytes of weights, 1 other files
$ mambaseq convert a -o b -q && cmp a/model.safetensors b/model.safetensors
$ mambaseq convert a -o b
! mambaseq: error: ./b: exists already; take another name, or --force to replace it
= 73

== an output is needed
$ mambaseq convert a
! ...
= 64

== what is not in the cache is not downloaded
$ HF_HOME=/nowhere mambaseq convert hf:org/name -o a
! mambaseq: error: hf:org/name: not in the local cache of Hugging Face (/nowhere/hub), and nothing is downloaded; download it: huggingface-cli download org/name
= 66

== a folder that is not there is named, with what makes it
$ mambaseq convert share:models/recall -o no/a
! mambaseq: error: no/a: cannot be created: there is no folder 'no'; make it first: mkdir -p 'no'
= 73

== a tensor that expand() made is told how to be saved
$ mkdir m && cp $BUILD/share/mambaseq/models/recall/config.json m && cp $SOURCE/tests/fuzz/corpus/torch/bad-stride-overlap m/pytorch_model.bin
$ mambaseq convert m -o a
! ~mambaseq: error: m/pytorch_model.bin: tensor 'w': has more elements than its storage: strides that overlap, as of expand(); save it again in Python with .clone(memory_format=torch.contiguous_format) of that tensor, or as safetensors
= 65
