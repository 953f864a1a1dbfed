// Bits per base of every genome in genomes/, one job each, and one table of all: nextflow run main.nf
params.model = 'share:models/ecoli-ref'

process score {
    cpus 2
    publishDir 'scores', mode: 'copy'
    input: path fasta
    output: path "${fasta.baseName}.h5"; path "${fasta.baseName}.tsv", emit: table
    """
    mambaseq run share:pipelines/genomics/score.yaml -q -@ ${task.cpus} -m ${params.model} -i ${fasta} \
        --set writer.hdf5.path=${fasta.baseName}.h5 --set writer.table.path=${fasta.baseName}.tsv
    """
}

workflow {
    score(Channel.fromPath('genomes/*.fa'))
    score.out.table.collectFile(name: 'scores.tsv', keepHeader: true, storeDir: '.')
}
