"""How people spell devices: a name taken apart into the words that tell the part, and the figures that must agree with it."""

import re
from dataclasses import dataclass

from profiler.spec.device import Device

VENDORS = {"nvidia", "amd", "intel", "apple", "google", "aws", "qualcomm"}
KINDS = {"gpu": "gpu", "igpu": "gpu", "dgpu": "gpu", "npu": "npu", "cpu": "cpu", "processor": "cpu"}
NOISE = re.compile(  # words that tell nothing of the part
    r"geforce|tesla|instinct|radeon|tm|r|the|a|with|w|accelerator|card|graphics|edition|founders|fe|oem|desktop|superchip|soc|chip|"
    r"hbm\d?e?|gddr\dx?|lpddr\dx?|ddr\d|vram|ram|memory|unified|generation|series|cloud|data|center|datacenter|amazon|hgx|dgx|oam|"
    r"nps1|spx|single|[12]s"
)
REWRITTEN = [  # in this order: pattern, replacement
    (r"\((?:r|tm)\)|[®™]", " "),
    (r"pci-?e(?:xpress)?(?: ?(?:gen ?)?\d(?:\.0)?\b)?", " pcie "),
    (r"sxm\d?", " sxm "),
    (r"max-q", "maxq"),
    (r"\b(?:mobile|notebook)\b", "laptop"),
    (r"@? ?\d+(?:\.\d+)? ?ghz", " "),
    (r"\d+[ -]core cpu\b(?=.*core gpu)", " "),
    (r"(core gpu\W+)\d+[ -]core cpu\b", r"\1"),
    (r"\b(\d{1,3})(?:[ -]?cores?|c)\b(?: (?=gpu|cpu))?", r" \1core "),
    (r"(\d+(?:\.\d+)?)[ -]?(tb|gb)/s", r" \1\2ps "),
    (r"\b(\d+)[ -]?(?:gib|gb|g)\b", r" \1gb "),
    (r"(?<=\d),(?=\d{3})", ""),
    (r"\b(\d+) w\b", r"\1w"),
    (r"\b(rtx|gtx|rx)(\d)", r"\1 \2"),
    (r"\b(m\d)(pro|max|ultra)", r"\1 \2"),
    (r"\b(\d{3,4})(ti|super|xtx|xt|gre|d)", r"\1 \2 "),
    (r"\bti(super)\b", r"ti \1"),
    (r"\bmac(?:book)? (?:pro|air|studio|mini)\b|\bimac\b", " "),
    # how many there are is not part of the name: a slice of TPUs, 8x, x4
    (r"\b(v\d(?:[ep]|litepod)?)-\d+\b", r"\1"),
    (r"^ *\d{1,3} ?[x×*] ?(?=[a-z])|(?<=\d)[x×*]\d{1,3} *$", " "),
    (r"\b(?:\d{1,2}x|x\d{1,2})(?= )", " "),
]
RULES = [(re.compile(pattern), replacement) for pattern, replacement in REWRITTEN]
FIGURE = re.compile(r"(\d+(?:\.\d+)?)(gb|w|core|tbps|gbps)")
WORD = re.compile(r"\d+\.\d+(?:tbps|gbps|w)|[a-z0-9+]+")
BRACKET = re.compile(r"\(([^()]*)\)")
TELLING = re.compile(r"laptop|maxq|pcie|sxm|nvl|super|ti|d|gcd|cpu|npu|igpu|" + FIGURE.pattern)  # words that count even in brackets
NEAR = 0.07  # half-way between 80 GB and 80 GiB and a little more: marketing names either


@dataclass(frozen=True, slots=True)
class Name:
    """One spelling of a device."""

    words: frozenset[str]
    figures: frozenset[str]
    kind: str | None
    vendor: str | None


def parse(text: str) -> Name:
    """A name's parts. Case, order, hyphens, glued suffixes and words that tell nothing do not matter."""
    return _name(_words(text))


def readings(text: str) -> list[Name]:
    """How a name may be meant: with all that stands in brackets, then with only what tells the part there."""
    bare, inside = BRACKET.sub(" ", text), " ".join(BRACKET.findall(text))
    kept = [word for word in _words(inside) if TELLING.fullmatch(word)]
    return [parse(text), _name(_words(bare) + kept)] if inside else [parse(text)]


def agrees(wanted: Name, known: Name, device: Device) -> bool:
    """Whether nothing in the wanted name contradicts a device that is known under `known`, whose words are the same."""
    if wanted.vendor and wanted.vendor != device.vendor.lower():
        return False
    if wanted.kind and wanted.kind != device.kind:
        return False
    return all(_fits(figure, device) for figure in wanted.figures - known.figures)


def _fits(figure: str, device: Device) -> bool:
    """Whether a figure in a name may be said of the device."""
    found = FIGURE.fullmatch(figure)
    value, unit = float(found[1]), found[2]  # type: ignore[index]  # figures were made by this pattern
    if unit == "core":
        return device.kind == "cpu"
    if unit == "gb":
        shared = device.family.endswith("unified") or device.family in ("apple", "mobile-npu") or device.kind == "cpu"
        return shared or any(abs(value * unit / device.memory - 1) < NEAR for unit in (1e9, 2**30))
    if unit in ("gbps", "tbps"):
        return abs(value * (1e12 if unit == "tbps" else 1e9) / device.bandwidth - 1) < NEAR
    return True  # watts: a limit is set by whoever runs it


def _words(text: str) -> list[str]:
    text = f" {text.lower()} "
    for pattern, replacement in RULES:
        text = pattern.sub(replacement, text)
    return WORD.findall(text)


def _name(words: list[str]) -> Name:
    figures = frozenset(word for word in words if FIGURE.fullmatch(word))
    kinds = [KINDS[word] for word in words if word in KINDS]
    vendors = [word for word in words if word in VENDORS]
    told = frozenset(word for word in words if not NOISE.fullmatch(word)) - figures - VENDORS - set(KINDS)
    return Name(told, figures, kinds[0] if kinds else None, vendors[0] if vendors else None)
