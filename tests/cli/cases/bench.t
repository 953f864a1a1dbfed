== words
$ mambaseq bench --shape tiny --seconds 10ms --repeat 1 --length 16,100 2>/dev/null
> ~machine: *
> ~  f32 multiply-add *GFLOP/s on 1 thread*
> ~  bf16 dot product *
> ~  int16 dot product *
> ~  int8 dot product *
> ~  reading memory *GB/s on 1 thread*
> ~  reading *MB *GB/s on 1 thread*
> ~shape: tiny, f32 weights, f32 math, * kernels, * thread*
> ~  a token of a prompt *MFLOP in matrices*
> ~  a token decoded *MB to read
>
> ~work *part *length *tokens/s *GFLOP/s *GB/s *share *of *repeats
> ~gemm *in_proj *
> ~gemm *x_proj *
> ~gemm *dt_proj *
> ~gemm *out_proj *
> ~gemm *head *
> ~gemv *in_proj *1 *
> ~gemv *x_proj *1 *
> ~gemv *dt_proj *1 *
> ~gemv *out_proj *1 *
> ~gemv *head *1 *
> ~scan *
> ~conv *
> ~norm *
> ~prefill *16 *
> ~prefill *100 *
> ~decode *1 *

== JSON: every key, and rates that fit each other
@ keys.py
| import json, sys
| v = json.load(sys.stdin)
| assert list(v) == ["machine", "results"], v
| m = v["machine"]
| for key in ("f32_gflops", "f32_gflops_1", "memory_gbytes_per_s", "cache_gbytes_per_s"):
|     assert m[key] > 0.1, (key, m)
| assert m["threads"] == 2 and m["cpu"] and "bf16_gflops" in m and "others_cpus" in m, m
| assert [r["work"] for r in v["results"]] == ["gemm"] * 5 + ["gemv"] * 5 + "scan conv norm prefill score decode".split()
| for r in v["results"]:
|     assert list(r)[:8] == "work shape dtype threads length tokens_per_s gflops gbytes_per_s".split(), r
|     assert (r["shape"], r["dtype"], r["math"], r["threads"]) == ("tiny", "f32", "f32", 2), r
|     assert r["tokens_per_s"] > 0 and r["gflops"] > 0 and r["repeats"] >= 1 and r["limit"] and r["share"] > 0, r
|     assert "of_prefill" in r and (r["of_prefill"] is None or r["of_prefill"] > 0), r
|     assert abs(r["length"] / r["seconds"] / r["tokens_per_s"] - 1) < 0.01, r
|     assert abs(r["tokens_per_s"] / r["limit_tokens_per_s"] / r["share"] - 1) < 0.01, r
| gemm = v["results"][0]  # in_proj: 2 * 32 rows of 16
| assert abs(gemm["gflops"] * 1e9 / gemm["tokens_per_s"] / (2 * 64 * 16) - 1) < 0.01, gemm
| print("fine")
$ mambaseq bench --shape tiny --seconds 10ms --repeat 2 --length 64 -@ 2 --work machine,gemm,scan,conv,norm,prefill,score,decode --json 2>/dev/null | $PYTHON keys.py
> fine

== without the machine there is no limit
$ mambaseq bench --shape tiny --seconds 0 --work decode --json 2>/dev/null | $PYTHON -c 'import json, sys; v = json.load(sys.stdin); r = v["results"][0]; print(v["machine"]["f32_gflops"], r["limit"], r["share"], r["repeats"])'
> None None None 1

== every level that is there
$ mambaseq bench --shape tiny --seconds 0 --work gemm,prefill --length 8 --cpu ref --json | grep -c '"level": "ref"'
> 11
$ MAMBASEQ_CPU=ref mambaseq bench --shape tiny --seconds 0 --work norm --json | grep -c '"level": "ref"'
> 1

== the level is that of the kernels, also where one below has the same bits
$ mambaseq bench --shape tiny --seconds 0 --work norm --dtype int8 --math int8 --json | grep -c "\"level\": $(mambaseq version --json | grep -o '"kernels": "[a-z0-9]*"' | cut -d' ' -f2)"
> 1

== how weights are held and multiplied
$ mambaseq bench --shape tiny --seconds 0 --work gemm,decode --dtype int8 --json | grep -c '"dtype": "int8".*"math": "f32"'
> 11
$ mambaseq bench --shape tiny --seconds 0 --work gemm,prefill --math bf16 --length 8 --cpu ref --json | grep -c '"dtype": "bf16".*"math": "bf16", "level": "ref"'
> 11
$ mambaseq bench --shape tiny --seconds 0 --work gemm,prefill --dtype int8 --math int16 --length 8 --cpu ref --json | grep -c '"dtype": "int8".*"math": "int16", "level": "ref"'
> 11
$ mambaseq bench --shape tiny --seconds 0 --work gemm --math int16
! mambaseq: error: model: 'math' is 'int16', which multiplies int8 weights alone, and 'dtype' is 'auto'; take dtype int8, or math f32 or bf16
= 78
$ mambaseq bench --shape tiny --seconds 0 --work train --dtype int8 --length 16
! mambaseq: error: --dtype: int8 weights cannot be trained; take f32 or bf16
= 78
$ mambaseq bench --shape tiny --seconds 0 --work gemm --dtype bf16 | sed -n 2p
> ~shape: tiny, bf16 weights, f32 math, *
$ mambaseq bench --shape tiny --dtype f16
! ~mambaseq: error: *f16*auto, f32, bf16 or int8*
= 64

== whether a token costs the same all along a record
$ mambaseq bench --shape tiny --work along --length 1024,100000 --json 2>/dev/null | $PYTHON -c 'import json, sys; print([(r["work"], r["length"], r["repeats"], r["to_short"] > 0, r["repeats"] == 1 or 0.1 < r["to_short_end"] < 10, abs(r["length"] / r["seconds"] / r["tokens_per_s"] - 1) < 0.01) for r in json.load(sys.stdin)["results"]])'
> [('along', 1024, 1, True, True, True), ('along', 100000, 97, True, True, True)]
$ mambaseq bench --shape tiny --work along --length 4096 2>/dev/null | tail -n 1
> ~  a token takes * times what it takes in a record of 1,024, * at the end
$ mambaseq bench --shape tiny --work along --length 512
! mambaseq: error: --length: work along needs records of 1024 tokens or more; take a longer one, e.g. --length 4Mi
= 64

== a model instead of a shape
$ mambaseq model init tiny -o m -q
$ mambaseq bench -m m --seconds 0 --work prefill --length 64 | head -n 2 | tail -n 1
> ~shape: m, f32 weights*
$ mambaseq bench -m nowhere --work prefill
! ~mambaseq: error: nowhere*
= 66
$ mambaseq bench -m m --shape tiny
! ~mambaseq: error: --model and --shape exclude each other*
= 64

== the real-time factor of sound, and layers at lower rates
$ mambaseq bench --model share:models/digits-lm --seconds 0 --work decode --json 2>/dev/null | $PYTHON -c 'import json, sys; r = json.load(sys.stdin)["results"][0]; print(abs(r["rtf"] * r["tokens_per_s"] / 8000 - 1) < 1e-2)'
> True
$ mambaseq bench --shape audio-unet-2x32 --rate 16000 --seconds 0 --work decode,gemm 2>/dev/null | grep -o -e 'decoded  *[0-9.]* MFLOP' -e 'real-time factor.*' -e '^gemv  *down' -e '^gemv *in_proj' | sed 's/factor [0-9.]*/factor N/; s/  */ /g'
> decoded 0.19 MFLOP
> gemv in_proj
> gemv down
> gemv in_proj
> gemv down
> gemv in_proj
> real-time factor N: seconds for a second of sound of 16000 tokens
$ mambaseq bench --shape tiny --seconds 0 --work decode --json 2>/dev/null | grep -c rtf
= 1
> 0

== mistakes
$ mambaseq bench --shape tinny
! ~mambaseq: error: tinny: *did you mean 'tiny'*
= 66
$ mambaseq bench --work gemm,prefil
! ~mambaseq: error: --work: *'prefil'*prefill*
= 64
$ mambaseq bench --length 512,0
! ~mambaseq: error: --length: *
= 64
$ mambaseq bench --length ten
! ~mambaseq: error: --length: is 'ten'*
= 64
$ mambaseq bench --seconds soon
! ~mambaseq: error: --seconds: is 'soon'*
= 64
$ mambaseq bench --cpu avx9000
! ~mambaseq: error: *avx9000*
= 64
$ MAMBASEQ_CPU=avx9000 mambaseq bench --shape tiny
! ~mambaseq: error: MAMBASEQ_CPU: 'avx9000' is none of the levels ref, avx2, avx512, avx512vnni and avx512bf16*
= 64
$ mambaseq bench tiny
! ~mambaseq: error: *
= 64

== nothing is left, and a signal ends it
$ mkdir t && TMPDIR=$PWD/t timeout -s TERM 1 mambaseq bench --shape tiny --repeat 99 --seconds 60 --work prefill; echo $?; ls t
> 124

== what attention costs by the length is shown
$ mambaseq bench --shape dna-attention-4x128 --work norm --repeat 1 --seconds 0.01 -@ 1 2>/dev/null | grep -c 'for each position back    0.00.. MFLOP more a token'
> 1

== models that read both ways take a record at once
$ mambaseq bench --shape caduceus-ps-2x32 --work prefill,score,decode --length 8,5000 --repeat 1 --seconds 0.01 -@ 1 2>/dev/null | grep -cE '^(prefill|score) +(8|5000) '
> 4
$ mambaseq bench --shape caduceus-ps-2x32 --work decode
! ~mambaseq: error: *the model takes whole records: it does not read token by token; take --work prefill,score
= 69
