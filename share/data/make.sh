#!/bin/sh
# Makes the inputs in this folder but the table with labels from Debian's ragout-examples; needs samtools and bgzip (packages samtools, tabix).
#
#   share/data/make.sh [MG1655-K12.fasta.gz]
#
# The same genome and the same htslib give the same bytes; another compression library gives other bytes of the same text.
set -eu

genome=${1:-/usr/share/doc/ragout/examples/E.Coli/references/MG1655-K12.fasta.gz}
first=4400001
last=4639675
here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)
out=$here/ecoli-heldout.fa.gz

[ -r "$genome" ] || { echo "make.sh: $genome is missing (Debian: ragout-examples)" >&2; exit 66; }

{
    echo ">NC_000913-heldout bases $first-$last of Escherichia coli K-12 MG1655 (GenBank NC_000913.2, U00096.2)"
    gzip -dc "$genome" | grep -v '^>' | tr -d '\r\n' | cut -c "$first-$last" | fold -w 60
} | bgzip -c >"$out.part"
mv "$out.part" "$out"
bgzip -r "$out"
samtools faidx "$out"

{
    echo ">NC_000913-heldout the first 1000 bases of ecoli-heldout.fa.gz"
    gzip -dc "$out" | grep -v '^>' | tr -d '\r\n' | cut -c 1-1000 | fold -w 60
} >"$here/ecoli-prompt.fa"

# 200 reads of 150 bases from either strand, one base in 200 misread: quality 30 where right, 10 where not.
gzip -dc "$out" | grep -v '^>' | tr -d '\r\n' | awk '
    function draw(n) { x = (x * 69069 + 1) % 4294967296; return int(x / 4294967296 * n) }
    BEGIN { x = 1; OFS = "\t" }
    {
        print "@HD", "VN:1.6", "SO:coordinate"
        print "@SQ", "SN:NC_000913-heldout", "LN:" length($0)
        for (i = 0; i < 200; i++) {
            at = int(i * (length($0) - 150) / 200) + draw(1000)
            seq = substr($0, at + 1, 150)
            qual = ""
            for (k = 1; k <= 150; k++) {
                if (draw(200) == 0) {
                    seq = substr(seq, 1, k - 1) substr("CGTA", index("ACGT", substr(seq, k, 1)), 1) substr(seq, k + 1)
                    qual = qual "+"
                } else {
                    qual = qual "?"
                }
            }
            print "read" i + 1, draw(2) * 16, "NC_000913-heldout", at + 1, 60, "150M", "*", 0, 0, seq, qual
        }
    }' | samtools sort --no-PG -o "$here/ecoli-reads.bam" -

# 40 variants in its first 60,000 bases: single bases, insertions, deletions, several alternatives, and an allele without bases.
gzip -dc "$out" | grep -v '^>' | tr -d '\r\n' | awk '
    function draw(n) { x = (x * 69069 + 1) % 4294967296; return int(x / 4294967296 * n) }
    function other(base, k) { return substr("ACGT", (index("ACGT", base) - 1 + k) % 4 + 1, 1) }
    BEGIN { x = 7; OFS = "\t" }
    {
        print "##fileformat=VCFv4.3"
        print "##contig=<ID=NC_000913-heldout,length=" length($0) ">"
        print "#CHROM", "POS", "ID", "REF", "ALT", "QUAL", "FILTER", "INFO"
        for (i = 0; i < 40; i++) {
            at = i * 1500 + draw(1400) + 1
            ref = substr($0, at, 1)
            alt = other(ref, 1 + draw(3))
            if (i % 8 == 3) { alt = other(ref, 1) "," other(ref, 2) }
            if (i % 8 == 5) { alt = ref "GA" }
            if (i % 8 == 6) { alt = ref; ref = substr($0, at, 4) }
            if (i == 39) { alt = "<DEL>" }
            print "NC_000913-heldout", at, "made" i + 1, ref, alt, ".", ".", "."
        }
    }' >"$here/ecoli-variants.vcf"

# 3,000 of its bases with 50 gaps of 1 to 3, one of 150, and 100 bases in lower case.
gzip -dc "$out" | grep -v '^>' | tr -d '\r\n' | awk '
    function draw(n) { x = (x * 69069 + 1) % 4294967296; return int(x / 4294967296 * n) }
    BEGIN { x = 3 }
    {
        seq = substr($0, 60001, 3000)
        seq = substr(seq, 1, 1200) tolower(substr(seq, 1201, 100)) substr(seq, 1301)
        for (i = 0; i < 50; i++) {
            at = 101 + i * 50 + draw(40)
            n = 1 + (draw(3) == 0) * (1 + draw(2))
            seq = substr(seq, 1, at - 1) substr(at < 1201 || at > 1300 ? "NNN" : "nnn", 1, n) substr(seq, at + n)
        }
        for (i = 0; i < 150; i++) { gap = gap "N" }
        print ">gaps bases 60001-63000 of ecoli-heldout.fa.gz with gaps"
        print substr(seq, 1, 2700) gap substr(seq, 2851)
    }' | fold -w 60 >"$here/ecoli-gaps.fa"
