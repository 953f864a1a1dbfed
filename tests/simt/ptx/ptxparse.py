"""Reads PTX as nvcc writes it: statements, functions, variables. Nothing here knows what an instruction means."""
import re


class PtxError(Exception):
    """What stops a translation: the message names the statement and its line."""


BITS = {"pred": 1, "b8": 8, "u8": 8, "s8": 8, "b16": 16, "u16": 16, "s16": 16, "f16": 16, "bf16": 16, "b32": 32, "u32": 32,
        "s32": 32, "f32": 32, "b64": 64, "u64": 64, "s64": 64, "f64": 64}


class Statement:
    """One instruction or directive. `source` is (file, line) of the .cu, or None."""

    def __init__(self, text, line, source):
        self.text, self.line, self.source = text, line, source

    def error(self, why):
        return PtxError(f"PTX line {self.line}: {why}: {self.text}")


class Variable:
    """A .shared, .global, .const, .local or .param variable: bytes, alignment and, where given, its initial bytes."""

    def __init__(self, space, name, size, align, init=None):
        self.space, self.name, self.size, self.align, self.init = space, name, size, align, init


class Function:
    def __init__(self, name, is_entry):
        self.name, self.is_entry = name, is_entry
        self.params = []      # Variable
        self.result = None    # Variable of a .func, or None
        self.shared = []      # Variable, those declared inside
        self.items = []       # Statement | "{" | "}" | ("label", name)
        self.max_threads = 0


class Module:
    def __init__(self):
        self.target = 0
        self.functions = []
        self.variables = []   # of the whole module


def split(text):
    """Yields (statement text or one of "{", "}", line): a brace stands alone only where a statement could begin."""
    text = re.sub(r"/\*.*?\*/", lambda m: re.sub(r"[^\n]", " ", m.group()), text, flags=re.S)
    pending, start, in_section = "", 0, False
    for number, line in enumerate(text.split("\n"), 1):
        code = line.split("//", 1)[0]
        if in_section or code.strip().startswith(".section"):  # what debuggers read
            in_section = code.strip() != "}"
            continue
        if not pending.strip():
            bare = code.strip()
            if re.match(r"\.(loc|file|version|target|address_size)\b", bare):
                yield " ".join(bare.split()), number
                continue
        for char in code + " ":
            if not pending.strip():
                start = number
                if char in "{}":
                    yield char, number
                    pending = ""
                    continue
            if char == ";":
                if pending.strip():
                    yield " ".join(pending.split()), start
                pending = ""
                continue
            if char == ":" and re.fullmatch(r"\s*[$\w]+", pending):
                yield pending.strip() + ":", start
                pending = ""
                continue
            if char == "{" and re.match(r"\s*(\.(visible|weak)\s+)*\.(entry|func)\b", pending):
                yield " ".join(pending.split()), start
                yield "{", number
                pending = ""
                continue
            pending += char
    if pending.strip():
        raise PtxError(f"PTX line {start}: ends within a statement: {pending.strip()[:80]}")


VARIABLE = re.compile(r"(?:\.(?:visible|extern|weak)\s+)*\.(shared|global|const|local|param)\s+(?:\.attribute\S*\s+)?"
                      r"(?:\.align\s+(\d+)\s+)?\.(\w+)\s+(?:\.ptr\s+(?:\.\w+\s+)?(?:\.align\s+\d+\s+)?)?([$\w]+)"
                      r"((?:\[\d*\])*)\s*(?:=\s*(.*))?$", re.S)


def variable(text):
    match = VARIABLE.match(text.strip())
    if not match or match.group(3) not in BITS:
        raise PtxError(f"a variable that cannot be read: {text[:120]}")
    space, align, kind, name, dims, init = match.groups()
    width = max(BITS[kind] // 8, 1)
    count = 1
    for dim in re.findall(r"\[(\d*)\]", dims):
        count *= int(dim or 0)
    if "[" not in dims:
        count = 1
    values = None
    if init:
        values = b""
        for item in init.strip().strip("{}").split(","):
            if not re.fullmatch(r"\s*-?(0[xX])?[0-9a-fA-F]+U?\s*", item):
                raise PtxError(f"an initial value that is no whole number: {item.strip()} of {name}")
            values += (int(item.strip().rstrip("U"), 0) % (1 << (8 * width))).to_bytes(width, "little")
    return Variable(space, name, width * count, int(align or width), values)


def head(text):
    """A Function from `.visible .entry name(params) .maxntid ...` or `.func (result) name(params)`."""
    match = re.match(r"(?:\.(?:visible|weak|extern)\s+)*\.(entry|func)\s*(?:\(([^()]*)\)\s*)?([$\w]+)\s*(?:\(([^()]*)\))?(.*)$",
                     text, re.S)
    if not match:
        raise PtxError(f"a function head that cannot be read: {text[:120]}")
    kind, result, name, params, rest = match.groups()
    function = Function(name, kind == "entry")
    function.params = [variable(p) for p in (params or "").split(",") if p.strip()]
    if result:
        function.result = variable(result)
    for word, value in re.findall(r"\.(\w+)((?:\s*[\d,]+)*)", rest):
        if word in ("maxntid", "reqntid"):
            function.max_threads = 1
            for n in value.split(","):
                function.max_threads *= int(n)
        elif word not in ("minnctapersm", "maxnreg", "noreturn"):
            raise PtxError(f".{word} of {name} is not known here")
    return function


def in_toolkit(path):
    return not path.endswith(".cu") and ("/include/" in path and "cuda" in path)


def read(text):
    module, function, depth, source, outer = Module(), None, 0, None, {}
    files = {int(n): name for n, name in re.findall(r'^\s*\.file\s+(\d+)\s+"([^"]*)"', text, re.M)}
    for code, line in split(text):
        if code.startswith(".file"):
            continue
        if code.startswith(".loc "):
            places = re.findall(r"(?:\.loc|inlined_at)\s+(\d+)\s+(\d+)\s+(\d+)", code)
            if len(places) > 1:
                outer[places[0]] = places[1]
            source = places[0]
            while source in outer and in_toolkit(files.get(int(source[0]), "")) and outer[source] != source:
                source = outer[source]
            source = (int(source[0]), int(source[1]))
            continue
        if function is None:
            if code.startswith(".target"):
                module.target = int(re.search(r"sm_(\d+)", code).group(1))
            elif code.startswith((".version", ".address_size", ".pragma")):
                continue
            elif re.match(r"(\.(visible|weak|extern)\s+)*\.(entry|func)\b", code):
                function, depth, source = head(code), 0, None
                if code.startswith(".extern"):
                    function = None
            elif re.match(r"(\.(visible|weak|extern)\s+)*\.(shared|global|const)\b", code):
                module.variables.append(variable(code))
            else:
                raise PtxError(f"PTX line {line}: not known here: {code[:120]}")
            continue
        if code in "{}":
            depth += 1 if code == "{" else -1
            if depth == 0:
                module.functions.append(function)
                function = None
            elif not (code == "{" and depth == 1):
                function.items.append(code)
        elif code.endswith(":"):
            function.items.append(("label", code[:-1]))
        elif code.startswith(".shared"):
            function.shared.append(variable(code))
        elif not code.startswith(".pragma"):
            function.items.append(Statement(code, line, source))
    for function in module.functions:
        for item in function.items:
            if isinstance(item, Statement) and item.source:
                item.source = (files.get(item.source[0], "?"), item.source[1])
    return module
