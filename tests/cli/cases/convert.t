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
