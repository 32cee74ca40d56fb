"""Hardware and its ceilings."""

from pydantic import Field

from profiler.spec.frozen import Frozen


class Gpu(Frozen):
    """One accelerator as its driver names it."""

    device: str  # "cuda:0"
    name: str
    memory: int  # bytes


class Hardware(Frozen):
    """One machine as found without torch. None means: this system does not tell."""

    name: str  # of the processor
    system: str  # "Linux-6.1 x86_64"
    cores: int  # usable by this process: affinity mask and container quota
    memory: int  # bytes of main memory that may be used (container limit included)
    cache: int | None  # bytes of the last-level cache
    flags: tuple[str, ...] = ()  # instruction sets that decide matrix speed
    huge_pages: str | None = None  # Linux' transparent huge pages: always, madvise, never
    gpus: tuple[Gpu, ...] = ()

    @property
    def key(self) -> str:
        """What ceilings are kept under: equal machines share them."""
        return f"{self.name}|{self.cores}|{self.memory >> 30}|{','.join(g.name for g in self.gpus)}"


class Scaling(Frozen):
    """What a number of threads reaches together."""

    read: float  # bytes/s from main memory
    matmul: float  # FLOP/s of a large product, in the ceilings' dtype
    matvec: float  # bytes/s of weights in a matrix-vector product, in the ceilings' dtype


class Kernels(Frozen):
    """How fast the library's kernels go in the shapes of a language model, in the ceilings' dtype: no roofs, but what to expect."""

    narrow: dict[int, float]  # rows → bytes/s of weights from main memory, in a product with a matrix of 768 columns
    many: dict[int, float]  # rows of a prompt → bytes/s of weights
    across: float  # as narrow with one row, where weights are stored input by output, as GPT-2's are
    across_many: float  # the same with 128 rows
    cut: dict[int, float]  # rows of a narrow matrix → bytes/s of weights, where the one input is cut out of a prompt: a prefill's lm_head
    cut_aligned: float  # the same with 4,096 rows of 2,048 columns, which lie in the same sets of a cache
    call: dict[int, float]  # rows → seconds of a product with hardly any work in it
    prompt: dict[int, float]  # tokens → FLOP/s of causal attention over a prompt
    recall: float  # bytes/s of keys and values that one query looks at


class Ceilings(Frozen):
    """What this machine reached in microbenchmarks, for one device, thread count and dtype.

    Rates are the best of many short slices: a ceiling is what the hardware can do, not what it does on average.
    """

    device: str
    threads: int
    dtype: str
    at: float  # seconds since the epoch
    read: dict[int, float]  # working set in bytes → bytes/s
    copy_rate: float  # bytes/s from and to main memory, read + written
    triad_rate: float  # bytes/s of a = b + s·c in main memory, two read + one written (McCalpin's STREAM)
    matmul: dict[str, float]  # dtype → FLOP/s of the best large matrix product
    matvec: dict[str, float]  # dtype → bytes/s of weights that the library's matrix-vector product reads: decode's own shape
    packed: dict[str, float] = Field(default_factory=dict)  # quantization → bytes/s of packed weights in the product of one row
    packed_call: dict[str, float] = Field(default_factory=dict)  # quantization → seconds of such a product with hardly any work in it
    dispatch: float = Field(gt=0)  # seconds for one tiny eager operator
    canary_matmul: float  # FLOP/s of the canary's small product at that moment: later ones are compared with it
    few_rows: dict[int, float] = Field(default_factory=dict)  # rows → bytes/s of weights in a product of so many rows, as matvec for one
    scaling: dict[int, Scaling] = Field(default_factory=dict)  # threads → what they reach; processors only
    launch: float | None = None  # seconds from asking for a kernel to its start; accelerators only, as the next two
    upload: float | None = None  # bytes/s from pinned main memory to the device
    download: float | None = None
    kernels: Kernels | None = None  # processors only
    versions: dict[str, str] = Field(default_factory=dict)
    disturbed: bool = False  # the machine was busy with something else: not to be kept
    full: bool = False  # measured with patience, not in passing

    def read_rate(self, working_set: float) -> float:
        """Bytes/s at which `working_set` bytes can be read again and again: the smallest probed set that holds them."""
        sizes = sorted(self.read)
        return self.read[next((size for size in sizes if size >= working_set), sizes[-1])]

    def rows_rate(self, rows: int) -> float | None:
        """Bytes/s of weights in the library's product with so many rows, in this dtype; None where that was not measured."""
        return self.matvec.get(self.dtype) if rows == 1 else self.few_rows.get(rows)

    @property
    def dram(self) -> float:
        """Bytes/s from main memory."""
        return self.read[max(self.read)]

    @property
    def peak(self) -> float:
        """FLOP/s of a large matrix product in this dtype."""
        return self.peak_in(self.dtype)

    def peak_in(self, dtype: str) -> float:
        """FLOP/s of a large matrix product in any measured dtype.

        A narrow number can always be widened and multiplied in float32, so a library that is slower than that has slow
        kernels, not a low roof. A format that was not measured is taken for the ceilings' own.
        """
        return max(self.matmul.get(dtype, self.matmul[self.dtype]), self.matmul.get("float32", 0.0))
