"""What a run will take on this machine: its prefill and its median decode step, in seconds, with an interval.

Nothing here is a data sheet's: kernels take what the ceilings' probes say (`profiler.theory.library`), and what is between
them is counted in operators and takes so many times the measured dispatch of a tiny one. The few constants are numbers of
operators, read from operator traces of models as transformers builds them, and fractions fitted to such traces; none
belongs to a model. `benchmarks/predicted.py` measures how well this holds.
"""

from dataclasses import dataclass
from math import exp

from profiler.spec.machine import Ceilings
from profiler.spec.model import Attention, Block, ModelSpec
from profiler.spec.run import RunSpec, Setup
from profiler.spec.work import Generate
from profiler.theory.cost import Op
from profiler.theory.library import Library
from profiler.theory.predict import ops, predict
from profiler.theory.step import step_ops

RMS, LAYER_NORM = 8, 1  # operators of a norm: transformers writes the one out
ATTENTION, ROTARY = 14, 12  # operators around the attention of a layer, and those more that turn queries and keys
OTHERS = 8  # operators of a layer beside its products and those counted here: residual adds, cache, views
WRITTEN = ("gelu_new", "gelu_fast")  # activations that transformers writes out
WRITTEN_BY_DEFAULT = ("gpt2", "gpt_neo", "gptj", "codegen", "phi")  # families that have one if their configuration does not say
WRITTEN_OUT = 8  # operators of such an activation
ROUTED = 110  # operators that sending tokens to experts is worth, Python included
OPERATOR = {"decode": 2.5, "prefill": 5.0}  # dispatches that an operator takes with its Python; more where its data left the cache
STEP = 1500  # dispatches of a step beside its layers: arguments, masks, cache, sampling

NORM_PASSES = {1: 7, 2: 2, 0: 2}  # numbers read and written for one of the hidden vector, by vectors of the norm
CASTS = 4  # and what a norm in a narrow format adds: it is calculated in float32
ROTARY_PASSES = 10  # for one of queries and keys
GATED_PASSES, PLAIN_PASSES, TANH_PASSES = 5, 2, 18  # for one column of the MLP
SENT_PASSES, ADD_PASSES = 7, 3
WRITTEN_SHARE = 0.4  # of the numbers above that are written
LARGE = 8 << 20  # bytes of a result from which on the system gives fresh memory for it
UNEQUAL = 1.25  # times what experts take that see equally many tokens and need none gathered

CALLS = {"qkv": 3}  # products that are one operation here and several calls there
TO_HIDDEN = ("attention_out", "cross_out", "embedding_projection")  # products that lead back to the hidden vector
HEADS = {"int4-rows-g32": "int8-rows"}  # quantizations that keep the lm_head in another format
BY_COLUMNS = ("gpt2", "openai-gpt")  # families whose weights lie by columns
SPREAD = {"prefill": 0.25, "decode": 0.2}  # logarithm that four of five errors stay below


@dataclass(frozen=True, slots=True)
class Expected:
    """Seconds of one phase, with the interval that four of five runs fell into, and what physics allows at least."""

    time: float
    low: float
    high: float
    least: float
    parts: dict[str, float]  # kind of work → seconds
    origin: str = "measured here"


def expected(spec: RunSpec, ceilings: Ceilings) -> dict[str, Expected]:
    """Both phases of a generate run, decode alone of a quantized one; empty where the kernels were not measured, or others will run."""
    work, setup, model = spec.generate, spec.setup, spec.shape
    if ceilings.kernels is None or _other_kernels(setup, ceilings) or not _known(model):
        return {}
    library = Library(ceilings, ceilings.kernels)
    bounds, steps = predict(spec, ceilings), ops(spec)
    packed, unusual = setup.quantization, setup.attention == "eager" or setup.chunk or setup.prefix or setup.cache != "dynamic"
    phases = ("decode",) if packed or unusual else ("prefill", "decode")
    found = {phase: parts(model, work, phase, steps[phase], library, packed) for phase in phases}
    if setup.cache == "static":
        found["decode"]["cache"] = 0.0  # nothing is joined: the new token has its place
    if setup.cache == "none":
        found["decode"] = _again(spec, library)
    return {phase: _whole(phase, told, bounds[phase].time) for phase, told in found.items()}


def _again(spec: RunSpec, library: Library) -> dict[str, float]:
    """Without a cache a token takes what reading the whole text does, half-way through the new tokens."""
    work = spec.generate.model_copy(update={"prompt_tokens": spec.generate.prompt_tokens + spec.generate.new_tokens // 2})
    steps = step_ops(spec.shape, work.batch, work.prompt_tokens, work.new_tokens, spec.setup.precision)
    return parts(spec.shape, work, "prefill", steps["prefill"], library)


def _other_kernels(setup: Setup, ceilings: Ceilings) -> bool:
    """Whether a set-up takes kernels that the ceilings' probes do not know."""
    unknown = setup.quantization and setup.quantization not in ceilings.packed
    special = setup.compile or setup.speculation or setup.hog != "none" or setup.attention == "flash_attention_2"
    special = special or not setup.pinned or setup.allocator != "system"
    return bool(special or unknown or setup.kv or setup.engine != "transformers")


def _known(model: ModelSpec) -> bool:
    """Whether all its layers are attention with an MLP or experts: recurrences and latent attention have kernels of their own."""
    return all(isinstance(mixer, Attention) for block in model.blocks for mixer in block.mixers)


def _whole(phase: str, found: dict[str, float], least: float) -> Expected:
    time, spread = max(sum(found.values()), least), exp(SPREAD[phase])
    return Expected(time, max(time / spread, least), time * spread, least, found)


def parts(model: ModelSpec, work: Generate, phase: str, ops: list[Op], library: Library, packed: str = "") -> dict[str, float]:
    """Kind of work → seconds; `packed` is the format of quantized weights, if they are."""
    found: dict[str, float] = {}
    for op in ops:
        if op.cost.flops:
            found[op.name] = found.get(op.name, 0.0) + _kernel(model, work, phase, op, library, packed)
    rows = work.batch * (work.prompt_tokens if phase == "prefill" else 1)
    kept = sum(op.cost.kv for op in ops if op.kind == "attention")
    found["cache"] = library.copy(2 * kept) if phase == "decode" else 0.0  # each step joins a token to a copy of all before
    found["element-wise"] = _element_wise(model, rows, library)
    operators = sum(block.repeat * _operators(model, block) for block in model.blocks) * OPERATOR[phase]
    found["framework"] = (STEP + operators) * library.ceilings.dispatch
    return found


def _element_wise(model: ModelSpec, rows: float, library: Library) -> float:
    """Seconds of all element-wise operators; the largest results are those of the MLP, or of tokens sent to experts."""
    total = 0.0
    for block in model.blocks:
        numbers = rows * block.repeat * _numbers(model, block, library.width)
        widest = block.experts.per_token * model.hidden if block.experts else block.mlp.width if block.mlp else model.hidden
        large = rows * widest * library.width > LARGE
        total += library.vector(numbers) + (library.fresh(WRITTEN_SHARE * numbers * library.width) if large else 0.0)
    return total


def _kernel(model: ModelSpec, work: Generate, phase: str, op: Op, library: Library, packed: str) -> float:
    """Seconds of the products of an operation with all its repetitions."""
    if op.kind == "attention":
        return library.prompt(op.cost.flops, work.prompt_tokens) if phase == "prefill" else library.recall(op.cost.flops)
    if op.kind in ("vector", "scan"):
        return 0.0
    if packed:
        return _packed(model, op, library, packed)
    elements = op.cost.weights / library.width
    calls, outputs = _shape(model, op, elements)
    if op.name == "lm_head" and phase == "prefill":
        return library.cut(op.rows, model.vocab, elements / model.vocab)
    across = model.family in BY_COLUMNS and op.name != "lm_head"
    seconds = library.product(op.rows, elements, outputs, calls, across=across)
    return seconds * (UNEQUAL if op.kind == "experts" and phase == "prefill" else 1.0)


def _packed(model: ModelSpec, op: Op, library: Library, packed: str) -> float:
    """Seconds of a decode step's products with quantized weights: fewer bytes at another rate, else as before."""
    calls, _ = _shape(model, op, op.cost.flops / 2 / op.rows)
    return library.packed(op.cost.weights, calls, HEADS.get(packed, packed) if op.name == "lm_head" else packed)


def _shape(model: ModelSpec, op: Op, elements: float) -> tuple[float, float]:
    """How often the library is called for an operation, and how many columns of results its matrices have, in all."""
    if op.name not in ("mlp", "shared_experts", "experts"):
        outputs = op.count * model.hidden if op.name in TO_HIDDEN else elements / model.hidden
        return op.count * CALLS.get(op.name, 1), outputs
    matrices = 2 + model.gated
    if op.name == "experts" and model.mixture:
        width: float = model.mixture.width
        copies = elements / (matrices * model.hidden * width)
    else:
        width, copies = elements / (op.count * matrices * model.hidden), op.count
    return copies * matrices, copies * ((matrices - 1) * width + model.hidden)


def _operators(model: ModelSpec, block: Block) -> float:
    """Operators of one layer beside its kernels."""
    norm = RMS if model.norm_vectors == 1 else LAYER_NORM
    total: float = block.norms * norm + OTHERS + ROUTED * bool(block.experts)
    for mixer in block.mixers:
        if isinstance(mixer, Attention):
            total += ATTENTION + ROTARY * (not model.positions) + 2 * norm * bool(mixer.norm_width)
    return total + WRITTEN_OUT * _written_out(model)


def _numbers(model: ModelSpec, block: Block, width: int) -> float:
    """Numbers that element-wise operators read and write for one token in one layer."""
    norm = NORM_PASSES[model.norm_vectors] + CASTS * (width < 4 and model.norm_vectors == 1)
    total: float = (block.norms * norm + 2 * ADD_PASSES) * model.hidden
    for mixer in block.mixers:
        if isinstance(mixer, Attention):
            turned = (mixer.heads + mixer.kv_heads) * mixer.head_dim
            total += turned * (ROTARY_PASSES * (not model.positions) + norm * bool(mixer.norm_width))
    if block.mlp:
        total += block.mlp.width * (TANH_PASSES if _written_out(model) else GATED_PASSES if block.mlp.gated else PLAIN_PASSES)
    if block.experts:
        total += block.experts.per_token * (SENT_PASSES * model.hidden + GATED_PASSES * block.experts.width)
    return total


def _written_out(model: ModelSpec) -> bool:
    """Whether the activation is a formula in Python."""
    said = model.config.get("activation_function") or model.config.get("hidden_act")
    return said in WRITTEN if said else model.family in WRITTEN_BY_DEFAULT
