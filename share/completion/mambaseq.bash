# Printed from the table in core/opt: change it there and build the target docs.
_mambaseq_words() { mapfile -t COMPREPLY < <(compgen -W "$1" -- "$cur"); }
_mambaseq_files() { compopt -o filenames 2>/dev/null; mapfile -t COMPREPLY < <(compgen -f -- "$cur"); }
_mambaseq_folders() { compopt -o filenames 2>/dev/null; mapfile -t COMPREPLY < <(compgen -d -- "$cur"); }
_mambaseq_yaml() {
    compopt -o filenames 2>/dev/null
    mapfile -t COMPREPLY < <(compgen -f -X '!*.yaml' -- "$cur"; compgen -f -X '!*.yml' -- "$cur";
        compgen -d -- "$cur")
}
_mambaseq() {
    local cur="${COMP_WORDS[COMP_CWORD]}" prev="${COMP_WORDS[COMP_CWORD-1]}" command="${COMP_WORDS[1]}"
    COMPREPLY=()
    # --progress=ne arrives as three words
    if [[ $cur == = ]]; then
        cur=
    elif [[ $prev == = && COMP_CWORD -gt 2 ]]; then
        prev="${COMP_WORDS[COMP_CWORD-2]}"
    fi
    if ((COMP_CWORD == 1)); then
        _mambaseq_words 'run check train eval inspect convert merge bench plugin model version --help --version'
        return
    fi
    case "$command" in
    plugin)
        if ((COMP_CWORD == 2)); then
            _mambaseq_words 'list show check new --help'
            return
        fi
        command+=" ${COMP_WORDS[2]}" ;;
    model)
        if ((COMP_CWORD == 2)); then
            _mambaseq_words 'init --help'
            return
        fi
        command+=" ${COMP_WORDS[2]}" ;;
    esac
    case "$command" in
    'run')
        case "$prev" in
        -i|--input) _mambaseq_files; return ;;
        -m|--model) _mambaseq_folders; return ;;
        -o|--output) _mambaseq_files; return ;;
        --set) :; return ;;
        -@|--threads) :; return ;;
        --chunk) :; return ;;
        --max-memory) :; return ;;
        --device) _mambaseq_words 'auto cpu cuda'; return ;;
        --shard) :; return ;;
        --progress) _mambaseq_words 'auto always never json'; return ;;
        esac
        case "$cur" in
        -*) _mambaseq_words '--input --model --output --set --force --resume --keep-partial --threads --chunk --max-memory --device --shard --dry-run --progress --quiet --verbose --help ' ;;
        *) _mambaseq_yaml ;;
        esac ;;
    'check')
        case "$prev" in
        -i|--input) _mambaseq_files; return ;;
        -m|--model) _mambaseq_folders; return ;;
        -o|--output) _mambaseq_files; return ;;
        --set) :; return ;;
        esac
        case "$cur" in
        -*) _mambaseq_words '--input --model --output --set --json --quiet --help ' ;;
        *) _mambaseq_yaml ;;
        esac ;;
    'train')
        case "$prev" in
        -i|--input) _mambaseq_files; return ;;
        -m|--model) _mambaseq_folders; return ;;
        -o|--output) _mambaseq_folders; return ;;
        --set) :; return ;;
        -@|--threads) :; return ;;
        --device) _mambaseq_words 'auto cpu cuda'; return ;;
        --progress) _mambaseq_words 'auto always never json'; return ;;
        esac
        case "$cur" in
        -*) _mambaseq_words '--input --model --output --set --force --resume --threads --device --dry-run --progress --quiet --verbose --help ' ;;
        *) _mambaseq_yaml ;;
        esac ;;
    'eval')
        case "$prev" in
        -i|--input) _mambaseq_files; return ;;
        -m|--model) _mambaseq_folders; return ;;
        --set) :; return ;;
        -@|--threads) :; return ;;
        --device) _mambaseq_words 'auto cpu cuda'; return ;;
        --progress) _mambaseq_words 'auto always never json'; return ;;
        --dtype) :; return ;;
        --math) :; return ;;
        --limit) :; return ;;
        --baseline) :; return ;;
        --split) :; return ;;
        --strand) _mambaseq_words '+ - both'; return ;;
        --train) _mambaseq_files; return ;;
        esac
        case "$cur" in
        -*) _mambaseq_words '--input --model --set --threads --device --progress --dtype --math --limit --baseline --split --strand --train --json --quiet --help ' ;;
        *) _mambaseq_yaml ;;
        esac ;;
    'inspect')
        case "$prev" in
        --expect) _mambaseq_files; return ;;
        --dtype) _mambaseq_words 'auto f32 bf16 int8'; return ;;
        --math) _mambaseq_words 'f32 bf16 int16 int8'; return ;;
        esac
        case "$cur" in
        -*) _mambaseq_words '--expect --dtype --math --json --verbose --help ' ;;
        *) _mambaseq_files ;;
        esac ;;
    'convert')
        case "$prev" in
        -o|--output) _mambaseq_folders; return ;;
        --dtype) _mambaseq_words 'keep f32 bf16 f16'; return ;;
        esac
        case "$cur" in
        -*) _mambaseq_words '--output --force --dtype --quiet --help ' ;;
        *) _mambaseq_folders ;;
        esac ;;
    'merge')
        case "$prev" in
        -o|--output) _mambaseq_files; return ;;
        --set) :; return ;;
        -@|--threads) :; return ;;
        --progress) _mambaseq_words 'auto always never json'; return ;;
        esac
        case "$cur" in
        -*) _mambaseq_words '--output --set --force --threads --progress --quiet --help ' ;;
        *) _mambaseq_files ;;
        esac ;;
    'bench')
        case "$prev" in
        -m|--model) _mambaseq_folders; return ;;
        --shape) _mambaseq_yaml; return ;;
        --work) :; return ;;
        --length) :; return ;;
        --cpu) _mambaseq_words 'ref avx2 avx512 avx512vnni avx512bf16'; return ;;
        --rate) :; return ;;
        --repeat) :; return ;;
        --seconds) :; return ;;
        -@|--threads) :; return ;;
        --device) _mambaseq_words 'auto cpu cuda'; return ;;
        --dtype) _mambaseq_words 'auto f32 bf16 int8'; return ;;
        --math) _mambaseq_words 'f32 bf16 int16 int8'; return ;;
        esac
        case "$cur" in
        -*) _mambaseq_words '--model --shape --work --length --cpu --rate --repeat --seconds --threads --device --dtype --math --json --help ' ;;
        *) : ;;
        esac ;;
    'plugin list')
        case "$prev" in
        esac
        case "$cur" in
        -*) _mambaseq_words '--json --verbose --help ' ;;
        *) : ;;
        esac ;;
    'plugin show')
        case "$prev" in
        esac
        case "$cur" in
        -*) _mambaseq_words '--json --help ' ;;
        *) _mambaseq_words "$(mambaseq plugin list 2>/dev/null | awk 'NR > 1 {if (!NF) exit; print $2}')" ;;
        esac ;;
    'plugin check')
        case "$prev" in
        --sample) _mambaseq_files; return ;;
        --param) :; return ;;
        --only) :; return ;;
        --seed) :; return ;;
        --timeout) :; return ;;
        esac
        case "$cur" in
        -*) _mambaseq_words '--sample --param --only --in-process --seed --timeout --list --json --help ' ;;
        *) _mambaseq_files ;;
        esac ;;
    'plugin new')
        case "$prev" in
        --kind) _mambaseq_words 'reader codec writer'; return ;;
        --lang) _mambaseq_words 'c c++'; return ;;
        -o|--output) _mambaseq_folders; return ;;
        esac
        case "$cur" in
        -*) _mambaseq_words '--kind --lang --output --quiet --help ' ;;
        *) : ;;
        esac ;;
    'model init')
        case "$prev" in
        -o|--output) _mambaseq_folders; return ;;
        --set) :; return ;;
        --seed) :; return ;;
        esac
        case "$cur" in
        -*) _mambaseq_words '--output --set --seed --force --quiet --help ' ;;
        *) _mambaseq_yaml ;;
        esac ;;
    'version')
        case "$prev" in
        esac
        case "$cur" in
        -*) _mambaseq_words '--json --help ' ;;
        *) : ;;
        esac ;;
    esac
}
complete -F _mambaseq mambaseq
