# What readers and writers say of their files without what a run would need.

== what needs more than itself to be run
@ x.vcf
| ##fileformat=VCFv4.2
| ##contig=<ID=c,length=20>
| ##contig=<ID=d,length=20>
| #CHROM	POS	ID	REF	ALT	QUAL	FILTER	INFO
| c	3	.	A	G	.	.	.
| c	5	.	A	GT,C	.	.	.
| c	7	.	A	<DEL>	.	.	.
@ x.bed
| # windows
| c	1	5	one	.	-
| d	7	9
@ bad.bed
| c	5	1
$ mambaseq inspect x.vcf
>   path          x.vcf
>   plugin        vcf
>   records       3
>   alleles       4
>   snvs          2
>   indels        1
>   other         1
>   samples       0
>   contigs       2 in the header, 1 with variants
>   to run        reader.reference: the FASTA that the variants were called on
$ mambaseq inspect x.bed
>   path          x.bed
>   plugin        bed
>   windows       2
>   bases         6
>   shortest      2
>   longest       4
>   minus strand  1
>   to run        reader.reference: the FASTA that the windows lie on
$ mambaseq inspect bad.bed
! ~mambaseq: error: reader 'bed': *bad.bed:1: end 1 is not behind start 5*
= 65
$ mv x.bed x.vcf && mambaseq inspect x.vcf
! ~mambaseq: error: reader 'vcf': *x.vcf: is no VCF or BCF file*
= 65

== sound as it lies there
$ $PYTHON -c 'import wave, struct; w = wave.open("s.wav", "wb"); w.setnchannels(2); w.setsampwidth(2); w.setframerate(8000); w.writeframes(struct.pack("<4000h", *[-16384, 8192] * 2000)); w.close()'
$ mambaseq inspect s.wav
>   path          s.wav
>   plugin        audio
>   format        WAV (Microsoft), Signed 16 bit PCM
>   rate          8000
>   channels      2
>   samples       2000
>   seconds       0.25
>   peak          0.5
>   to run        reader.channels: mix (their mean, the default), left, right, a number, each or all
$ printf 'mambaseq: 1\nreader: {plugin: audio, path: s.wav}\nwriter: {plugin: audio, path: o.wav}\n' >p.yaml && mambaseq run p.yaml
! mambaseq: reader 'audio': s.wav: 2 channels, mixed to one (channels: left, say, takes another)
! ...
$ mambaseq run p.yaml --set reader.channels=left -o q.wav
! ~mambaseq: 1 record, 2,000 samples, *; wrote q.wav

== a track
@ x.fa
| >a
| ACGTNACGTTGCAA
$ mambaseq run share:pipelines/genomics/bigwig.yaml -q -i x.fa -o x.bw >x.tsv && mambaseq inspect x.bw
>   path          x.bw
>   plugin        bigwig
>   contigs       1
>   levels        0
>   bases         12
> ~  least         -1.6*
> ~  mean          -1.3*
> ~  most          -0.9*
$ head -c 60 x.bw >y.bw && mambaseq inspect y.bw
! mambaseq: error: writer 'bigwig': y.bw: truncated: no header
= 65
$ printf '%080d' 0 >z.bw && mambaseq inspect z.bw
! mambaseq: error: writer 'bigwig': z.bw: is no bigWig of this byte order
= 65
